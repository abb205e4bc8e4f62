"""What was sent of a picture a moment ago, to be sent again as it was: within an age, bytes, and the link. Pure.

Without a cap, resends fed on themselves: 141,000 of them, and 12 s of delay (2026-11). So they have a part of what the
direction may carry, together, and a packet is sent again three times at most, and not before the last copy can have
come.
"""

from gateway.clinic.media.headers import distance
from gateway.clinic.media.streams import Allowance

PACKETS_MAX = 512  # 1 s at 4 Mbit/s
BYTES_MAX = 262_144  # 1 s at 2 Mbit/s
AGE_S = 1.0  # an older packet comes too late for a picture that is 150 ms behind, ...
AGE_ROUND_TRIPS = 3.0  # ... unless the round trip is long: then the picture is behind by as much
AGE_S_MAX = 3.0
RESEND_RATIO = 0.2  # of what the direction may carry
RESEND_PAUSE_RTT = 0.7  # who asks again before that has not waited for the answer
RESEND_PAUSE_S = 0.05  # while the round trip is not known
RESEND_PAUSE_S_MIN = 0.01
RESENDS_MAX = 3


class History:
    """The last packets of one stream, by their extended numbers."""

    __slots__ = ("_bytes", "_newest", "_numbers", "_oldest", "_packets", "_resends", "_resent_s", "_sent_s")

    def __init__(self) -> None:
        self._packets = [b""] * PACKETS_MAX
        self._numbers = [-1] * PACKETS_MAX
        self._sent_s = [0.0] * PACKETS_MAX
        self._resent_s = [0.0] * PACKETS_MAX
        self._resends = [0] * PACKETS_MAX
        self._bytes = 0
        self._oldest = self._newest = -1

    def keep(self, number: int, packet: bytes, now_s: float) -> None:
        """Remember a packet, and forget what is too much."""
        if number > self._newest:
            if self._newest < 0 or number - self._newest >= PACKETS_MAX:
                self.clear()
                self._oldest = number
            self._newest = number
            self._oldest = max(self._oldest, number - PACKETS_MAX + 1)
        elif number < self._oldest or number <= self._newest - PACKETS_MAX:
            return
        at = number % PACKETS_MAX
        self._bytes += len(packet) - len(self._packets[at])
        self._packets[at] = packet
        self._numbers[at] = number
        self._sent_s[at] = now_s
        self._resends[at] = 0
        self._resent_s[at] = float("-inf")
        while self._bytes > BYTES_MAX:
            self._forget_oldest()

    def again(self, sequence: int, now_s: float, *, round_trip_s: float, allowance: Allowance) -> bytes | None:
        """Return a packet to send again; None when it is gone, was just sent, or has used its part of the link."""
        number = self._newest + distance(self._newest, sequence)
        at = number % PACKETS_MAX
        packet = self._packets[at]
        if not packet or self._numbers[at] != number or now_s - self._sent_s[at] > _age_s(round_trip_s):
            return None
        if self._resends[at] >= RESENDS_MAX or now_s - self._resent_s[at] < _pause_s(round_trip_s):
            return None
        if not allowance.take(len(packet), now_s):
            return None
        self._resends[at] += 1
        self._resent_s[at] = now_s
        return packet

    def trim(self, now_s: float, round_trip_s: float) -> None:
        """Forget what is too old."""
        age_s = _age_s(round_trip_s)
        while 0 <= self._oldest <= self._newest:
            at = self._oldest % PACKETS_MAX
            if self._numbers[at] == self._oldest and now_s - self._sent_s[at] <= age_s:
                break
            self._forget_oldest()

    def clear(self) -> None:
        """Forget everything."""
        self._packets = [b""] * PACKETS_MAX
        self._bytes = 0
        self._oldest = self._newest = -1

    def _forget_oldest(self) -> None:
        at = self._oldest % PACKETS_MAX
        if self._numbers[at] <= self._oldest:
            self._bytes -= len(self._packets[at])
            self._packets[at] = b""
        self._oldest += 1


def _pause_s(round_trip_s: float) -> float:
    return max(RESEND_PAUSE_RTT * round_trip_s, RESEND_PAUSE_S_MIN) if round_trip_s else RESEND_PAUSE_S


def _age_s(round_trip_s: float) -> float:
    return min(max(AGE_S, AGE_ROUND_TRIPS * round_trip_s), AGE_S_MAX)
