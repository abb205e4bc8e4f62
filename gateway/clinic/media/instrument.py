"""What a call tells of the link: the way down by its sender's clock, the round trip, and what is lost each way. Pure.

Every packet that a browser was asked to stamp says when it left (abs-send-time: 1/262144 s, around once in 64 s).
Arrival less that stamp is a delay whose zero nobody knows; it holds for one *run* of the stamps. Where they go back,
leap ahead of all before, or stood still while the sender rested, a run ends and another begins: nothing of it is a
queue. A run is believed after half a second, so stamps that keep leaping tell nothing at all.

RTP timestamps are not used: they count samples, and each that a busy computer drops would look like a queue for good.
Of loss the voice alone tells: it is never sent again, so what is missing was lost.

Source: draft-alvestrand-rmcat-remb-03 §5 (abs-send-time), RFC 8285 §4.2, RFC 3550 §6.4.1 (LSR, DLSR).
"""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from gateway.backhaul.sensing.samples import DelaySample, Sees
from gateway.clinic.media.headers import element
from gateway.clinic.media.streams import Allowance

STAMP_HZ = 1 << 18
STAMPS = 1 << 24
AROUND_S = STAMPS / STAMP_HZ
SAMPLES_PER_S_MAX = 50  # as many packets as a voice of 20 ms has
SETTLED_S = 0.5  # of a run, before it is believed
LEAP_S = 0.1  # a packet that comes so much sooner than all before had another clock
PAUSE_S = 2.0  # a gap in which a sender's clock may have stood still: a computer that slept
DELAY_S_MAX = 5.0  # no queue is longer
REPORTS_MAX = 48  # sender reports that are remembered, of six streams: a browser answers in 1 to 5 s
EXPECTED_MAX = 1_000  # voice packets between two reports: 20 s of them
LOST_MAX = 64  # of them; more at once is an outage, and no sign of a queue


class Loss(NamedTuple):
    """How many packets were due since the last time, and how many of them never came."""

    expected: int
    lost: int


class Instrument:
    """What is measured on one far browser's media."""

    def __init__(self, path: str, stamp_ids: Mapping[str, int]) -> None:
        """Name its delays after `path`; `stamp_ids` are the ids under which each kind's stamps come."""
        self._path = path
        self._stamp_ids = stamp_ids
        self._allowance = Allowance(SAMPLES_PER_S_MAX, burst_s=0.1)
        self._clock = SenderClock()
        self._frame = -1
        self._reports: deque[tuple[int, int, float]] = deque(maxlen=REPORTS_MAX)
        self._down = Losses()
        self._up: dict[int, Losses] = {}

    def arrived(self, packet: bytes, payload_at: int, kind: str, timestamp: int, now_s: float) -> DelaySample | None:
        """Return what a packet tells of the way down; of a picture, its first alone: the others wait for each other."""
        if kind == "video" and timestamp == self._frame:
            return None
        sent = sent_at(packet, payload_at, self._stamp_ids.get(kind, 0))
        if sent is None:
            return None
        if kind == "video":
            self._frame = timestamp
        if not self._allowance.take(1, now_s):
            return None
        delay_s = self._clock.delay_s(sent, now_s)
        if delay_s is None:
            return None
        return DelaySample(now_s, delay_s, f"{self._path}:{self._clock.run}", Sees.DOWN)

    def reported(self, ssrc: int, ntp: int, now_s: float) -> None:
        """Take note that a sender report with this time went to the browser."""
        self._reports.append((ssrc, (ntp >> 16) & 0xFFFFFFFF, now_s))

    def answered(self, ssrc: int, last_report: int, since_report: int, now_s: float) -> DelaySample | None:
        """Return the round trip that the browser's answer to one of those reports closes."""
        for known_ssrc, known, sent_s in self._reports:
            round_trip_s = now_s - sent_s - since_report / 65_536
            if (known_ssrc, known) == (ssrc, last_report) and last_report and 0 <= round_trip_s <= DELAY_S_MAX:
                return DelaySample(now_s, round_trip_s, self._path, Sees.BOTH)
        return None

    def lost_down(self, expected: int, received: int) -> Loss | None:
        """Return the voice's losses towards the village, from what was due and came since its stream began."""
        return self._down.since(expected, expected - received)

    def lost_up(self, ssrc: int, highest_sequence: int, lost: int) -> Loss | None:
        """Return the losses of one of our voices towards the browser, from its report."""
        return self._up.setdefault(ssrc, Losses()).since(highest_sequence, lost)


class SenderClock:
    """A one-way delay whose zero is nobody's, from stamps that may do anything."""

    def __init__(self) -> None:
        self.run = 0
        self._began_s = float("-inf")
        self._sent = 0
        self._at_s = float("-inf")
        self._delay_s = 0.0
        self._least_s = 0.0

    def delay_s(self, sent: int, now_s: float) -> float | None:
        """Return the delay of what left at `sent`, in this run's own zero; None where it tells nothing."""
        moved_s = ((sent - self._sent + STAMPS // 2) % STAMPS - STAMPS // 2) / STAMP_HZ
        passed_s = now_s - self._at_s
        delay_s = self._delay_s + passed_s - moved_s
        if -LEAP_S <= moved_s <= 0 and passed_s < AROUND_S / 4:
            return None  # overtaken by the one before
        rested = passed_s > PAUSE_S and delay_s - self._delay_s > passed_s / 2
        leapt = moved_s < 0 or delay_s < self._least_s - LEAP_S or delay_s - self._least_s > DELAY_S_MAX
        self._sent, self._at_s = sent, now_s
        if rested or leapt or passed_s >= AROUND_S / 4:
            self.run += 1
            self._began_s, self._delay_s, self._least_s = now_s, 0.0, 0.0
            return None
        self._delay_s, self._least_s = delay_s, min(self._least_s, delay_s)
        return delay_s if now_s - self._began_s >= SETTLED_S else None


class Losses:
    """What was lost between two looks at counters that a peer may have set to anything."""

    def __init__(self) -> None:
        self._before: Loss | None = None

    def since(self, expected: int, lost: int) -> Loss | None:
        """Return what was due and lost since the last look; None the first time, and after a leap or an outage."""
        before, self._before = self._before, Loss(expected, lost)
        if before is None:
            return None
        due, missing = expected - before.expected, max(lost - before.lost, 0)
        if not 0 < due <= EXPECTED_MAX or missing > min(due, LOST_MAX):
            return None
        return Loss(due, missing)


def sent_at(packet: bytes, payload_at: int, stamp_id: int) -> int | None:
    """Return the abs-send-time in a packet's header extension, or None where there is none."""
    at, length = element(packet, payload_at, stamp_id)
    return int.from_bytes(packet[at : at + 3]) if length == 3 else None
