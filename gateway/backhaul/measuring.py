"""What the box's instruments say of both directions: put together, it is a rate for each, and figures for people.

The connections' own round trips are always there. One-way delays, where another instrument tells them (`hear`, `ears`),
are worth more, for they tell which direction queues: a round trip has waited in both, and counts for a direction only
where the box itself loads it, less what is known of the other.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gateway.backhaul.flow import PACKET_BYTES
from gateway.backhaul.sensing.capacity import CapacityMeter, LossMeter
from gateway.backhaul.sensing.control import CALLS_BPS_MIN, TARGET_BITS_MIN, Controller, Heard, Limits, Pace
from gateway.backhaul.sensing.crossed import Crossed
from gateway.backhaul.sensing.delay import Queueing, RoundTrips
from gateway.backhaul.sensing.figures import Estimate, LinkFigures, WayFigures
from gateway.backhaul.sensing.origins import Origins
from gateway.backhaul.sensing.samples import CounterSample, DelaySample, FlowSample, Sees, Way
from gateway.backhaul.sharing.admission import SURE_CONFIDENCE
from gateway.clock import Clock

SILENCE_S = 0.06  # nothing for so long is a silence of the radio, …
SILENCE_PACKETS = 4  # … or for so many packets at the rate of now, where that is longer
START_UP_BPS = 300_000  # a weak cell's, so that the first photo of a day is no burst
BESIDE_S = 1.0  # a one-way delay tells what part of a round trip is its own, for so long
UNSURE_S = 0.1  # a longer queue beside downloads is not the same for two packets, …
ALIKE_S = 0.15  # … but for those that come one after the other
LOADS_BPS_MIN = 24_000  # who moves less in a direction builds no queue there
WAITS_S_MAX = 0.1  # of the other direction's queue that a window makes up for
HEARD_S_MAX = 1.0  # what was heard of a queue is true for so long
STANDS_S = 0.3  # a queue of one picture's frame is gone by then, one that stands is not
KEYFRAME_BITS = 48_000  # … nor that of a small picture that begins
BEGINS_RATIO = 1.5  # beside a call others begin at so much more than the link has carried, where that is a guess, …
BEGINS_BPS_MIN = 50_000  # … and at least so fast, …
BEGINS_SURE_BPS_MIN = 8_000  # … or so, where it is none: on a weak link two segments each are seconds of a queue
FINDS_RATIO = 1.05  # of what the link was seen to carry is sent beside calls, …
FINDS_AFTER_S = 5.0  # … or what its queue allows, where it was not seen full for so long: it may carry more by now
CALLS_TARGET_S = 0.1  # calls alone aim at no queue: at half of this one that stands is felt (bufferbloat.net), …
FRAMES_BITS = 12_000  # … or of two small pictures' frames
STANDS_S_MAX, STANDS_HEARD_MIN = 1.2, 2  # where it is seldom heard of: as long as it takes to hear of it twice


def begins_bps(carries: Estimate, calls_bps: float) -> int:
    """Return at what rate others begin beside calls that use so much."""
    if carries.confidence >= SURE_CONFIDENCE:
        return int(max(carries.value - calls_bps, BEGINS_SURE_BPS_MIN))
    return int(max(carries.value * BEGINS_RATIO - calls_bps, BEGINS_BPS_MIN))


@dataclass(frozen=True, slots=True)
class Load:
    """What the box does with one direction: used since the start, and whether it is what limits the rate."""

    used_bytes: int
    in_turns: bool = False  # there is no window for each
    held_up: bool = False  # somebody waits for leave to use more
    calls_bps: float = 0.0  # what calls use of it
    calls_alone: bool = False  # only calls move: their packets come in bursts, a frame at a time


class _Direction:
    """One direction: its rate, its capacity, its queue."""

    def __init__(self, controller: Controller, *, is_sent: bool = False) -> None:
        self.controller = controller
        self._is_sent = is_sent
        self.meter = CapacityMeter(is_sent=is_sent)
        self.losses = LossMeter()
        self.queueing: tuple[float, float] | None = None  # when it was heard, how long it is
        self.one_way: tuple[float, float] | None = None  # the same, of one-way delays alone
        self._one_ways: deque[tuple[float, float]] = deque()  # the longest of each look within `BESIDE_S`
        self._lately: deque[tuple[float, float]] = deque()  # the same, as heard within `STANDS_S_MAX`

    def step(self, now_s: float, load: Load, carried_bytes: int, heard: Sequence[Heard], base_s: float | None) -> None:
        known = self.meter.estimate(now_s) if load.calls_bps >= CALLS_BPS_MIN else None
        queueing_s = self.controller.step(
            now_s,
            load.used_bytes,
            heard,
            base_s=base_s,
            carries_bps=min(self.meter.lately_bps() or 0.0, known.value if known is not None else math.inf),
            out_bps=self.meter.out_bps,
            calls_bps=load.calls_bps,
            in_turns=load.in_turns,
            held_up=load.held_up,
        )
        if queueing_s is not None:
            self.queueing = now_s, queueing_s
            self._lately.append(self.queueing)
        while self._lately and self._lately[0][0] < now_s - STANDS_S_MAX:
            self._lately.popleft()
        if load.calls_alone:
            carries = self.meter.estimate(now_s)
            target_s = max(CALLS_TARGET_S, FRAMES_BITS / carries.value if carries is not None else 0.0)
            self.meter.feed(now_s, carried_bytes, self.standing_s(now_s), target_s, alone=True)
            carries = self.meter.estimate(now_s)
            if carries is not None:
                used_bps = self.controller.used_bps if carries.confidence >= SURE_CONFIDENCE else 0.0
                self.controller.begin_below(begins_bps(carries, used_bps))
        else:
            carries = self.meter.estimate(now_s)
            packets_s = TARGET_BITS_MIN / carries.value if carries is not None else 0.0
            beside = load.calls_bps >= CALLS_BPS_MIN
            target_s = max(self.controller.target_s, packets_s)
            self.meter.feed(now_s, carried_bytes, self.queueing_s(now_s), target_s, beside=beside)
            is_sure = carries is not None and carries.confidence >= SURE_CONFIDENCE and carries.age_s < FINDS_AFTER_S
            if self._is_sent and beside and carries is not None and is_sure:
                self.controller.begin_below(carries.value * FINDS_RATIO - load.calls_bps)

    def hear_one_way(self, now_s: float, heard: Sequence[Heard]) -> None:
        """Take queues that are this direction's alone, however few."""
        while self._one_ways and self._one_ways[0][0] < now_s - BESIDE_S:
            self._one_ways.popleft()
        if heard:
            self.one_way = now_s, min(each.queueing_s for each in heard)
            self._one_ways.append((now_s, max(each.queueing_s for each in heard)))

    def longest_one_way_s(self, now_s: float) -> float | None:
        """Return the longest queue of its own that was heard of just now, or within `BESIDE_S`."""
        just_now = [each for at_s, each in self._one_ways if now_s - at_s <= ALIKE_S]
        return max(just_now or (each for _, each in self._one_ways), default=None)

    def standing_s(self, now_s: float) -> float | None:
        """Return the least of the queue over several frames, if it was heard of often enough."""
        stands_s = min(max(STANDS_S, KEYFRAME_BITS / max(self.meter.out_bps or 1.0, 1.0)), STANDS_S_MAX)
        lately = [each for each in self._lately if each[0] >= now_s - STANDS_S_MAX]
        fresh = sum(1 for at_s, _ in lately if at_s >= now_s - stands_s)
        counting = lately[-max(fresh, STANDS_HEARD_MIN) :]
        return min(each for _, each in counting) if len(counting) >= STANDS_HEARD_MIN else None

    def queueing_s(self, now_s: float) -> float | None:
        """Return how long the queue is, if it was heard as lately as it takes: a long queue is seldom heard of."""
        if self.queueing is None:
            return None
        heard_s, queueing_s = self.queueing
        return queueing_s if now_s - heard_s < HEARD_S_MAX + queueing_s else None

    def figures(self, now_s: float) -> WayFigures:
        known = WayFigures(self.meter.estimate(now_s), loss_ratio=self.losses.estimate(now_s))
        if self.queueing is None:
            return known
        age_s = now_s - self.queueing[0]
        return WayFigures(
            known.capacity_bps,
            Estimate(self.controller.pace(now_s).base_s, 1.0, age_s),
            Estimate(self.queueing[1], 1.0, age_s),
            known.loss_ratio,
        )


class Measuring:
    """What is measured of the link."""

    def __init__(self, clock: Clock, counters: Callable[[], CounterSample] | None) -> None:
        self._clock = clock
        self._counters = counters
        self._ways = {
            Way.DOWN: _Direction(Controller()),
            # upwards packets are sent one by one: two of them need not wait together
            Way.UP: _Direction(Controller(Limits(start_bps=START_UP_BPS, packets_s_max=0.0)), is_sent=True),
        }
        self._queueing = Queueing()
        self._origins = Origins()
        self._received, self._sent = RoundTrips(receives=True), RoundTrips(receives=False)
        self._came_bytes: dict[int, int] = {}  # by flow, at the last look
        self._told: list[DelaySample] = []
        self.ears: list[Callable[[], Iterable[DelaySample]]] = []  # other instruments, asked at each look
        self.carried = CounterSample(clock.now_s(), 0, 0)
        self._crossed = Crossed()

    def hear(self, samples: Iterable[DelaySample]) -> None:
        """Take delays from another instrument."""
        self._told.extend(samples)

    def hear_loss(self, way: Way, expected: int, lost: int) -> None:
        """Take how many packets of a call were due in a direction, and how many of them never came."""
        self._ways[way].losses.feed(self._clock.now_s(), expected, lost)

    def learn(self, way: Way, carries_bps: float) -> None:
        """Take what trains of packets have shown of a direction."""
        self._ways[way].meter.learn(self._clock.now_s(), carries_bps)

    def pace(self, way: Way) -> Pace:
        """Return what the box may take of a direction now."""
        return self._ways[way].controller.pace(self._clock.now_s())

    def queueing_s(self, way: Way) -> float | None:
        """Return how long the queue of a direction is, if that was heard lately."""
        return self._ways[way].queueing_s(self._clock.now_s())

    def is_clear(self, way: Way, *, calls_alone: bool) -> bool:
        """Say whether a queue was heard of lately that is none, or that of two packets or small frames."""
        queueing_s = self.standing_s(way) if calls_alone else self.queueing_s(way)
        carries = self._ways[way].meter.estimate(self._clock.now_s())
        bits = FRAMES_BITS if calls_alone else TARGET_BITS_MIN
        packets_s = bits / carries.value if carries is not None else 0.0
        return queueing_s is not None and queueing_s < max(CALLS_TARGET_S / 2, packets_s)

    def standing_s(self, way: Way) -> float | None:
        """Return the queue that one picture's frame did not make, if that was heard lately."""
        return self._ways[way].standing_s(self._clock.now_s())

    def out_bps(self, way: Way) -> float | None:
        """Return what a direction has carried over several frames."""
        return self._ways[way].meter.out_bps

    def window_bytes(self, way: Way) -> float:
        """Return what may be under way in a direction: acknowledgements wait in the other one's queue meanwhile."""
        pace = self.pace(way)
        other = Way.UP if way is Way.DOWN else Way.DOWN
        return pace.window_bytes + pace.rate_bps / 8 * self.waits_s(other)

    def waits_s(self, way: Way) -> float:
        """Return how long a packet of a direction waits now, as far as was heard lately."""
        return min(self.queueing_s(way) or 0.0, WAITS_S_MAX)

    def round_trip_s(self, peer: str) -> float:
        """Return a round trip to a peer through an empty link; that of the others, where it was not heard of."""
        return self._queueing.base_s(peer, Sees.BOTH) or self.pace(Way.DOWN).base_s

    def lately_bps(self, way: Way) -> float | None:
        """Return what a direction has carried of late, if it was not silent."""
        return self._ways[way].meter.lately_bps()

    def one_way_s(self, way: Way) -> float | None:
        """Return the same, as one-way delays alone tell it."""
        heard = self._ways[way].one_way
        return heard[1] if heard is not None and self._clock.now_s() - heard[0] < HEARD_S_MAX else None

    def figures(self) -> LinkFigures:
        """Return what is known of the link now."""
        now_s = self._clock.now_s()
        return LinkFigures(self._ways[Way.DOWN].figures(now_s), self._ways[Way.UP].figures(now_s))

    def count(self, used: dict[Way, int]) -> CounterSample:
        """Return what the interface has carried; without one to look at, what the box has used."""
        now_s = self._clock.now_s()
        self.carried = CounterSample(now_s, used[Way.DOWN], used[Way.UP])
        if self._counters is not None:  # what the box used has crossed, were it by another interface
            seen = self._counters()
            self.carried = self._crossed.feed(now_s, seen, self.carried)
        rate_bps = max(self.pace(Way.DOWN).rate_bps, 1)
        patience_s = max(SILENCE_S, SILENCE_PACKETS * PACKET_BYTES * 8 / rate_bps)
        self._queueing.silence.feed(now_s, self.carried.down_bytes, patience_s)
        return self.carried

    def look(self, samples: Sequence[FlowSample], loads: dict[Way, Load]) -> None:
        """Move both rates by what is heard of their queues, and learn what the link carries."""
        now_s = self._clock.now_s()
        for ear in self.ears:
            self._told.extend(ear())
        delays = self._delays(samples)
        both = [heard for sees, heard in delays if sees is Sees.BOTH]
        base_s = both[-1].base_s if both else None  # one way's own has no zero
        carried = {Way.DOWN: self.carried.down_bytes, Way.UP: self.carried.up_bytes}
        loaded = {
            Way.DOWN: self._ways[Way.DOWN].controller.used_bps > LOADS_BPS_MIN,
            Way.UP: any(each.unsent_bytes for each in samples)
            or (loads[Way.UP].calls_alone and self._ways[Way.UP].controller.used_bps > LOADS_BPS_MIN),
        }
        for way, direction in self._ways.items():
            heard = [heard for sees, heard in delays if sees.value == way.value]
            other = Way.UP if way is Way.DOWN else Way.DOWN
            direction.hear_one_way(now_s, heard)
            has_own = bool(heard) or (loads[way].calls_alone and self._one_way_lately(direction, now_s))
            if both and loaded[way] and not (has_own and loaded[other]):  # a round trip's zero is surer than one way's
                steady = has_own or loads[other].calls_alone
                beside_s = self._beside_s(other, now_s, is_loaded=loaded[other], is_steady=steady)
                heard = [each._replace(queueing_s=max(0.0, each.queueing_s - beside_s)) for each in both]
            direction.step(now_s, loads[way], carried[way], heard, base_s)

    @staticmethod
    def _one_way_lately(direction: _Direction, now_s: float) -> bool:
        return direction.one_way is not None and now_s - direction.one_way[0] < BESIDE_S

    def begin_anew(self) -> None:
        """Forget what was heard of delays: another link has taken over."""
        self._queueing = Queueing()
        self._received, self._sent = RoundTrips(receives=True), RoundTrips(receives=False)
        self._told.clear()

    def forget(self, flow: int) -> None:
        """Forget a flow that is no longer open."""
        self._came_bytes.pop(flow, None)
        self._received.forget(flow)
        self._sent.forget(flow)

    def _delays(self, samples: Sequence[FlowSample]) -> list[tuple[Sees, Heard]]:
        """Return what is heard of both directions' queues: from other instruments, and from the connections' own."""
        told, self._told = self._told, []
        for each in samples:
            was_read = each.received_bytes - each.unread_bytes >= self._came_bytes.get(each.flow, 0)
            self._came_bytes[each.flow], least_s = each.received_bytes, each.min_rtt_s
            came_s = self._received.feed(
                each.flow, each.at_s, each.rcv_rtt_s, each.segments_in, least_s, was_read=was_read
            )
            if came_s is not None:
                told.append(DelaySample(each.at_s, came_s, each.peer, Sees.BOTH))
            if each.unsent_bytes:
                went_s = self._sent.feed(
                    each.flow, each.at_s, each.rtt_s, each.acked_bytes // each.segment_bytes, least_s
                )
                if went_s is not None:
                    told.append(DelaySample(each.at_s, went_s, each.peer, Sees.BOTH))
        heard = [(each, Heard(*self._queueing.feed(each))) for each in told]
        return self._origins.agreed(self._clock.now_s(), heard)

    def _beside_s(self, way: Way, now_s: float, *, is_loaded: bool, is_steady: bool) -> float:
        """Return the other direction's queue, in which a round trip has waited too: as heard, or as it is aimed at.

        A long one changes much between the two that are compared: unless it is steady, or one-way delays tell of this
        direction too, a round trip is taken to have waited there as long as any packet that came just before it.
        """
        direction = self._ways[way]
        longest_s = direction.longest_one_way_s(now_s)
        if longest_s is not None and longest_s > UNSURE_S and not is_steady:
            return longest_s
        if direction.one_way is not None and now_s - direction.one_way[0] < BESIDE_S:
            return direction.one_way[1]
        return direction.controller.target_s if is_loaded else 0.0
