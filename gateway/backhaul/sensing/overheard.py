"""One-way delay from the timestamps of the TCP segments that pass anyway: not a byte is sent for it. Pure.

Down: when a segment came, less its sender's timestamp. Up: the far end's timestamp on the first segment that echoes
one of ours, less when ours left by this interface (so the village's Wi-Fi is not in it). Of the second the least of a
few is taken, for the far end may wait before it answers. Each flow is a path of its own, for each sender has its own
clock; its zero is set so that its first delays are what others show at that moment, and is void when the two clocks'
bounds exclude each other. A sender whose timestamps nothing vouches for, because it echoes none of ours, is not heard:
it could make up any delay. A sender's tick is told from how its timestamps advance; where that is not 1 µs, 1 ms or
4 ms, the flow is not listened to. Where the operator splits connections, its machine is the far end: just the link.

Source: RFC 7323 §3.2 and §4.3, RFC 9840 §4.2, K. Nichols' pping (2017).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.backhaul.sensing.far_clock import FarClock
from gateway.backhaul.sensing.samples import DelaySample, Sees
from gateway.backhaul.sensing.segments import Segment

FLOWS_MAX = 256
TICKS_S = (0.001, 0.004, 0.000001)  # Linux, macOS, Windows; old Linux; Linux with `tcp_usec_ts`
TICK_AFTER_S = 0.5
TICK_GIVEN_UP_S = 10.0  # then it is tried again from here
TICK_ERROR_RATIO = 0.3  # a queue that fills holds up the timestamps too; the ticks are a factor of 4 apart
PAUSE_S_MAX = 30.0  # after a longer one a flow is new: clocks drift
JUMP_TICKS_MAX = 1 << 24
OURS_MAX = 64  # timestamps of ours that wait for their echo, of one flow
SETTLING = 5  # delays that a zero is set from
UP_EACH = 3  # answers of which the least tells the way up
UP_WITHIN_S = 0.5
UP_AFTER_S = 0.1
VOUCHED_S = 1.0  # an echo of ours bounds the sender's clock for so long
FAULTS_MAX = 3  # then its tick is not what it was taken for

Known = Callable[[Sees], float | None]


@dataclass(slots=True)
class _Zero:
    """One direction's zero: such that its first delays are the queueing known from elsewhere."""

    at_s: float = float("inf")
    seen: int = 0

    def delay_s(self, raw_s: float, known_s: float | None) -> float | None:
        """Return the delay, once the zero is set."""
        if self.seen < SETTLING:
            self.seen += 1
            self.at_s = min(self.at_s, raw_s - (known_s or 0.0))
            return None
        return raw_s - self.at_s


@dataclass(slots=True)
class _Flow:
    number: int
    began_s: float  # where the ticks are counted from
    last_s: float
    last_stamp: int
    ticks: int = 0
    tick_s: float | None = None
    faults: int = 0  # how often its clock's bounds excluded each other
    vouched_s: float = float("-inf")  # when a timestamp of ours was echoed last
    clock: FarClock = field(default_factory=lambda: FarClock(slack_s=0.006))
    ours: dict[int, float] = field(default_factory=dict)  # timestamp → when it left
    down: _Zero = field(default_factory=_Zero)
    up: _Zero = field(default_factory=_Zero)
    up_least_s: float = float("inf")
    up_count: int = 0
    up_since_s: float = 0.0


def _unknown(sees: Sees) -> float | None:
    del sees
    return None


class Overheard:
    """The flows that are listened to; `known` tells the queueing that others show now, `None` where nobody does."""

    def __init__(self, known: Known = _unknown, *, flows_max: int = FLOWS_MAX) -> None:
        self._known = known
        self._flows_max = flows_max
        self._flows: dict[bytes, _Flow] = {}  # the last heard stands last
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._flows)

    def feed(self, segment: Segment) -> tuple[DelaySample, ...]:
        """Take a segment; returns what it tells: queueing above the empty link, as far as that was ever known."""
        flow = self._flows.pop(segment.flow, None)
        if flow is None and segment.outgoing:
            return ()  # the far end is heard first: who scans outward fills no table
        if flow is None or segment.at_s - flow.last_s > PAUSE_S_MAX:
            flow = self._new(segment)
        self._flows[segment.flow] = flow
        if segment.outgoing:
            _keep(flow.ours, segment.stamp, segment.at_s)
            return ()
        if flow.faults >= FAULTS_MAX:
            flow.last_s = segment.at_s
            return ()
        if not _advance(flow, segment):
            self._flows[segment.flow] = self._new(segment)
            return ()
        if flow.tick_s is None:
            _tell_tick(flow, segment.at_s)
            flow.ours.pop(segment.echoed, None)
            return ()
        return self._told(flow, segment, flow.ticks * flow.tick_s)

    def _new(self, segment: Segment, faults: int = 0) -> _Flow:
        while len(self._flows) >= self._flows_max:
            del self._flows[next(iter(self._flows))]
        self._numbers += 1
        return _Flow(self._numbers, segment.at_s, segment.at_s, segment.stamp, faults=faults)

    def _told(self, flow: _Flow, segment: Segment, far_s: float) -> tuple[DelaySample, ...]:
        at_s = segment.at_s
        left_s = flow.ours.pop(segment.echoed, None)
        if left_s is not None and not flow.clock.fits(at_s, at_s - far_s, at_s - left_s):
            self._flows[segment.flow] = self._new(segment, flow.faults + 1)
            return ()
        if left_s is not None:
            flow.vouched_s = at_s
        elif at_s - flow.vouched_s > VOUCHED_S:
            return ()
        path = f"tcp:{hash(segment.far_host) & 0xFFFFFF:06x}:{flow.number}"
        down_s = flow.down.delay_s(at_s - far_s, self._known(Sees.DOWN) if flow.down.seen < SETTLING else None)
        told = () if down_s is None else (DelaySample(at_s, down_s, path, Sees.DOWN),)
        up_raw_s = None if left_s is None else _least_up(flow, at_s, far_s - left_s)
        if up_raw_s is None:
            return told
        up_s = flow.up.delay_s(up_raw_s, self._known(Sees.UP) if flow.up.seen < SETTLING else None)
        return told if up_s is None else (*told, DelaySample(at_s, up_s, path, Sees.UP))


def lowest(samples: list[DelaySample]) -> list[DelaySample]:
    """Return the least delay of each path and direction: what one look brought, without its noise."""
    least: dict[tuple[str, Sees], DelaySample] = {}
    for each in samples:
        key = (each.path, each.sees)
        if key not in least or each.delay_s < least[key].delay_s:
            least[key] = each
    return list(least.values())


def _keep(ours: dict[int, float], stamp: int, at_s: float) -> None:
    if stamp not in ours:  # the first to carry it is the one that is echoed (RFC 7323 §4.3)
        ours[stamp] = at_s
        if len(ours) > OURS_MAX:
            del ours[next(iter(ours))]


def _advance(flow: _Flow, segment: Segment) -> bool:
    """Count the far end's ticks on; `False` where its clock jumped, and is another."""
    step = ((segment.stamp - flow.last_stamp + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
    if abs(step) > JUMP_TICKS_MAX:
        return False
    flow.ticks += step
    flow.last_stamp, flow.last_s = segment.stamp, segment.at_s
    return True


def _tell_tick(flow: _Flow, at_s: float) -> None:
    span_s = at_s - flow.began_s
    if span_s < TICK_AFTER_S:
        return
    flow.tick_s = next((each for each in TICKS_S if abs(flow.ticks * each / span_s - 1) <= TICK_ERROR_RATIO), None)
    if flow.tick_s is None and span_s > TICK_GIVEN_UP_S:
        flow.began_s, flow.ticks = at_s, 0


def _least_up(flow: _Flow, at_s: float, raw_s: float) -> float | None:
    """Return the least of the last few answers' ways up, when there are enough."""
    if flow.up_count == 0 or at_s - flow.up_since_s > UP_WITHIN_S:
        flow.up_count, flow.up_since_s, flow.up_least_s = 0, at_s, raw_s
    flow.up_count += 1
    flow.up_least_s = min(flow.up_least_s, raw_s)
    if flow.up_count < UP_EACH or at_s - flow.up_since_s < UP_AFTER_S:
        return None
    flow.up_count = 0
    return flow.up_least_s
