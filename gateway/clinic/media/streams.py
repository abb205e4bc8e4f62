"""One RTP stream as a browser sends it: its packets are counted once each, and reported on. Pure.

A number is counted with its wraps, so that order and distance are plain arithmetic. A packet that came before, or that
is too old to say whether it did, is nothing: were it handed on, one number of a copy could stand for two contents,
which SRTP's keys forbid (RFC 3711 §9.1). When a browser starts the stream anew (another SSRC, or numbers from
elsewhere), another `run` begins, and who follows the stream sees that it is another.

Source: RFC 3550 §6.4.1, A.1, A.3, A.8.
"""

from dataclasses import dataclass

from gateway.clinic.media.headers import distance

KNOWN_PACKETS = 1_024  # which ones came is known so far back: 7 s of picture at 700 kb/s; SRTP's own window is as long
NTP_HZ = 1 << 32  # RFC 3550 §4
SET_S = 5.0  # a sender's wall clock that moves by more than a delay can was set


@dataclass(frozen=True, slots=True)
class Reception:
    """What a receiver report says of one stream (RFC 3550 §6.4.1)."""

    ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_sequence: int
    jitter: int
    last_report: int
    since_report: int  # in 1/65536 s


class Incoming:
    """A stream a browser sends to the box."""

    __slots__ = (
        "_began_again",
        "_expected_before",
        "_first",
        "_highest",
        "_jitter",
        "_known",
        "_packets_before",
        "_report",
        "_report_s",
        "_tied",
        "_transit",
        "clock_rate",
        "packets",
        "run",
        "skipped",
        "ssrc",
    )

    def __init__(self, clock_rate: int) -> None:
        self.clock_rate = clock_rate
        self.ssrc: int | None = None
        self.run = object()  # another one each time the stream starts anew
        self.packets = 0
        self.skipped = 0  # numbers left out just before the last packet
        self._known = [-1] * KNOWN_PACKETS
        self._first = 0
        self._highest = 0  # extended: wraps counted
        self._began_again = -1
        self._expected_before = 0
        self._packets_before = 0
        self._transit = 0
        self._jitter = -1.0
        self._report = 0
        self._report_s: float | None = None
        self._tied: tuple[int, int, float] | None = None

    def received(self, ssrc: int, sequence: int, timestamp: int, now_s: float) -> int:
        """Return the packet's extended number; -1 when it came before, or is too late to say."""
        self.skipped = 0
        if ssrc != self.ssrc:
            return self._begin(ssrc, sequence)
        ahead = ((sequence - self._highest + 0x8000) & 0xFFFF) - 0x8000  # `distance`, in place
        if ahead <= -KNOWN_PACKETS:
            if sequence == self._began_again:  # A.1: two in a row from elsewhere
                return self._begin(ssrc, sequence)
            self._began_again = (sequence + 1) & 0xFFFF
            return -1
        number = self._highest + ahead
        if number < self._first or self._known[number % KNOWN_PACKETS] == number:
            return -1
        self._known[number % KNOWN_PACKETS] = number
        self.packets += 1
        transit = (int(now_s * self.clock_rate) - timestamp) & 0xFFFFFFFF
        moved = abs(((transit - self._transit + 0x80000000) & 0xFFFFFFFF) - 0x80000000)
        self._jitter = self._jitter + (moved - self._jitter) / 16 if self._jitter >= 0 else 0.0  # A.8
        self._transit = transit
        if ahead > 0:
            self.skipped = ahead - 1
            self._highest = number
        return number

    def restored(self, sequence: int) -> int:
        """Return the extended number of a packet that came by another way (RTX); -1 when it is there already."""
        number = self._highest + distance(self._highest, sequence)
        if self.ssrc is None or not max(self._first, self._highest - KNOWN_PACKETS) < number <= self._highest:
            return -1
        if self._known[number % KNOWN_PACKETS] == number:
            return -1
        self._known[number % KNOWN_PACKETS] = number
        return number

    @property
    def expected(self) -> int:
        """How many packets there are from the first to the last that came."""
        return self._highest - self._first + 1

    def reported(self, ntp: int, now_s: float) -> None:
        """Take note of a sender report."""
        self._report = (ntp >> 16) & 0xFFFFFFFF
        self._report_s = now_s

    def tie(self, ntp: int, timestamp: int, now_s: float) -> None:
        """From now on this timestamp belongs to this wall clock time."""
        self._tied = (ntp, timestamp, now_s)

    def tied(self, now_s: float) -> tuple[int, int] | None:
        """Return the wall clock and the timestamp of this moment; None before the first report of the run."""
        if self._tied is None:
            return None
        ntp, timestamp, at_s = self._tied
        passed_s = now_s - at_s
        return (
            (ntp + int(passed_s * NTP_HZ)) & 0xFFFFFFFFFFFFFFFF,
            (timestamp + int(passed_s * self.clock_rate)) & 0xFFFFFFFF,
        )

    def reception(self, now_s: float) -> Reception | None:
        """Return the report since the last one, or None before the first packet."""
        if self.ssrc is None:
            return None
        expected = self.expected
        expected_since = expected - self._expected_before
        lost_since = expected_since - (self.packets - self._packets_before)
        self._expected_before, self._packets_before = expected, self.packets
        fraction = min(255, (lost_since << 8) // expected_since) if expected_since and lost_since > 0 else 0
        since_s = now_s - self._report_s if self._report_s is not None else 0.0
        return Reception(
            ssrc=self.ssrc,
            fraction_lost=fraction,
            packets_lost=max(-(1 << 23), min(expected - self.packets, (1 << 23) - 1)),
            highest_sequence=self._highest & 0xFFFFFFFF,
            jitter=int(max(self._jitter, 0.0)),
            last_report=self._report,
            since_report=int(since_s * 65_536) & 0xFFFFFFFF,
        )

    def _begin(self, ssrc: int, sequence: int) -> int:
        self.ssrc = ssrc
        self.run = object()
        self.packets = 1
        self._first = self._highest = sequence
        self._known = [-1] * KNOWN_PACKETS
        self._known[sequence % KNOWN_PACKETS] = sequence
        self._began_again = -1
        self._expected_before = self._packets_before = 0
        self._jitter = -1.0
        self._report, self._report_s, self._tied = 0, None, None
        return sequence


class SenderTime:
    """One browser's wall clock, told by the box's: what it shows with another's then keeps its place in time."""

    def __init__(self) -> None:
        self._shift: int | None = None

    def ours(self, ntp: int, now_s: float) -> int:
        """Return the browser's time as ours; voice and picture keep their distance, so lips stay in step."""
        shift = int(now_s * NTP_HZ) - ntp
        if self._shift is None or abs(shift - self._shift) > SET_S * NTP_HZ:
            self._shift = shift
        return (ntp + self._shift) & 0xFFFFFFFFFFFFFFFF


class Allowance:
    """So much a second, saved up for `burst_s` at most."""

    def __init__(self, rate: float, *, burst_s: float) -> None:
        self.rate = rate
        self._burst_s = burst_s
        self._saved = 0.0
        self._filled_s: float | None = None

    def hold_to(self, rate: float, burst: float) -> None:
        """From now on so much a second, and `burst` at once."""
        self.rate = rate
        self._burst_s = burst / max(rate, 1.0)

    def take(self, amount: float, now_s: float) -> bool:
        """Whether `amount` may go now; it then counts."""
        burst = self.rate * self._burst_s
        passed_s = self._burst_s if self._filled_s is None else now_s - self._filled_s
        self._saved = min(self._saved + passed_s * self.rate, burst)
        self._filled_s = now_s
        if self._saved < amount:
            return False
        self._saved -= amount
        return True
