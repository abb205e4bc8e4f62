"""The hand on the wheel: fifty times a second, while there is load, what was measured becomes windows and turns.

Down, each connection gets a window for its share (`sensing.control` says how much may be under way in all); where that
is less than two segments each, they take turns. Up, the box is the sender and paces. Where the capacity was told and
not measured, both ways are paced at it, and nothing else is done. Without load nothing is done at all.

Which instruments there are may change from box to box: the connections' own round trips are always there; one-way
delays, where somebody tells them (`hear`), are worth more, for they tell which direction queues.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.backhaul.sensing.capacity import CapacityMeter, LossMeter
from gateway.backhaul.sensing.control import Controller, Heard, Limits, Pace
from gateway.backhaul.sensing.delay import Queueing, RoundTrips
from gateway.backhaul.sensing.figures import Estimate, LinkFigures, WayFigures
from gateway.backhaul.sensing.flows import FIRST_BYTES_MIN, Flows
from gateway.backhaul.sensing.samples import CounterSample, DelaySample, FlowSample, Sees, Way
from gateway.backhaul.shaping.pacer import Pacer
from gateway.backhaul.shaping.turns import Turns
from gateway.backhaul.shaping.window import SEGMENTS_MIN, window_for
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.policy import Policy
from gateway.backhaul.sharing.shares import Capacity
from gateway.backhaul.sharing.tree import Claim, divide
from gateway.clock import Clock

Ceiling = Callable[[str, TrafficClass, int], int | None]

TICK_S = 0.02
IDLE_TICK_S = 0.25  # shares are open, and nothing moves
IDLE_AFTER_S = 2.0
DIVIDE_EVERY_S = 0.1
MSS_BYTES = 1_448  # of content: 1500 B less 40 B of headers and 12 B of time stamps
PACKET_BYTES = 1_500
WIRE_RATIO = PACKET_BYTES / MSS_BYTES
FIRST_BYTES_MAX = 10 * MSS_BYTES  # RFC 6928: what a sender would begin with
SILENCE_S = 0.06  # nothing for so long is a silence of the radio, …
SILENCE_PACKETS = 4  # … or for so many packets at the rate of now, where that is longer
RATE_S = 1.0  # over which a flow's use is smoothed
HUNGRY_RATIO = 0.6  # who uses so much of its share would take more
DEMAND_RATIO = 1.5  # room for who uses less: so much of what it uses,
DEMAND_BPS_MIN = 32_000  # and at least this
LEAST_BPS = 8_000  # no flow is told less
BESIDE_S = 0.3  # a one-way delay tells what part of a round trip is its own, for so long
HEARD_S_MAX = 1.0  # what was heard of a queue is true for so long


@dataclass(slots=True)
class Flow:
    """What is known of one open share."""

    traffic_class: TrafficClass
    tenant: str
    device: str
    down_bytes: int = 0  # content that has come, and gone, since it was opened
    up_bytes: int = 0
    arrived_bytes: int = 0  # as the kernel has it for the connection of now
    unread_bytes: int = 0
    window_bytes: int | None = None
    owed_bytes: float = 0.0
    down_rate_bps: float = 0.0  # used of late
    up_rate_bps: float = 0.0
    down_share_bps: int = 0
    up_share_bps: int = 0
    seen_down_bytes: int = 0  # at the last tick
    seen_up_bytes: int = 0
    rtt_s: float | None = None

    @property
    def dials(self) -> bool:
        """Whether it waits for a connection."""
        return self.window_bytes is None and not self.down_bytes and not self.up_bytes

    @property
    def moves(self) -> bool:
        """Whether it has a connection on which something comes."""
        return self.window_bytes is not None and (self.unread_bytes > 0 or self.down_rate_bps > LEAST_BPS)

    def demand_bps(self, way: Way, *, waits: bool) -> int | None:
        """Return what it would take: all, or somewhat more than it uses."""
        share, rate = (
            (self.down_share_bps, self.down_rate_bps) if way is Way.DOWN else (self.up_share_bps, self.up_rate_bps)
        )
        if waits or rate >= HUNGRY_RATIO * share or self.unread_bytes:
            return None
        return max(int(rate * DEMAND_RATIO), DEMAND_BPS_MIN)


class Steering:
    """Measures the link, and holds every flow to its share of it."""

    def __init__(
        self,
        clock: Clock,
        flows: Flows,
        *,
        counters: Callable[[], CounterSample] | None,
        policy: Policy,
        told: Capacity | None,
        measures: bool,
        call_wants_bps: int,
        limits: Limits | None = None,
    ) -> None:
        self._clock = clock
        self._flows = flows
        self._counters = counters
        self.policy = policy
        self.told = told
        self.measures = measures
        self._call_wants_bps = call_wants_bps
        self._pacers: dict[tuple[int, Way], Pacer] = {}
        self.ears: list[Callable[[], Iterable[DelaySample]]] = []  # other instruments, asked at each tick
        self.lookers: list[Callable[[CounterSample, Sequence[FlowSample]], None]] = []  # told what was seen
        self.ceiling_bps: Ceiling = lambda tenant, traffic_class, whole_bps: None  # what a class may have, if less
        self.kernel_shapes = False  # what phones send past the proxy is held to the rate, too
        self._losses = {way: LossMeter() for way in Way}
        self.open: dict[int, Flow] = {}
        self.turns = Turns()
        self._down = Controller(limits)
        self._up = Controller(limits)
        self._meters = {way: CapacityMeter() for way in Way}
        self._queueing = Queueing()
        self._round_trips = RoundTrips()
        self._told_delays: list[DelaySample] = []
        self._queueing_s: dict[Way, tuple[float, float] | None] = dict.fromkeys(Way)  # when, how long
        self._one_way: dict[Way, tuple[float, float] | None] = dict.fromkeys(Way)
        self._busy = asyncio.Event()
        self._used = dict.fromkeys(Way, 0)
        self._moved_s = float("-inf")
        self._divided_s = float("-inf")
        self._carried = CounterSample(clock.now_s(), 0, 0)
        flows.first_window_bytes = self._first_window_bytes

    async def run(self) -> None:
        """Steer while there is load; until cancelled."""
        while True:
            await self._busy.wait()
            self.tick()
            idle = self._clock.now_s() - self._moved_s > IDLE_AFTER_S
            await asyncio.sleep(IDLE_TICK_S if idle else TICK_S)
            if not self.open:
                self._busy.clear()

    def opened(self, number: int, flow: Flow) -> None:
        """Take note of an open share."""
        self.open[number] = flow
        self.changed()
        self._busy.set()

    def changed(self) -> None:
        """Take note that the shares are not what they were."""
        self._divided_s = float("-inf")

    def closed(self, number: int) -> None:
        """Forget a share."""
        self.open.pop(number, None)
        self.turns.forget(number)
        for way in Way:
            self._pacers.pop((number, way), None)
        self.changed()

    def hear(self, samples: Iterable[DelaySample]) -> None:
        """Take delays from another instrument."""
        self._told_delays.extend(samples)

    def hear_loss(self, way: Way, expected: int, lost: int) -> None:
        """Take how many packets of a call were due in a direction, and how many of them never came."""
        self._losses[way].feed(self._clock.now_s(), expected, lost)

    def tell(self, told: Capacity | None) -> None:
        """Believe this figure, or measure again."""
        self.told = told
        self.changed()

    def counted(self, flow: Flow, down_bytes: int, up_bytes: int) -> None:
        """Take note of what a room has moved."""
        if flow.window_bytes is None:  # else the kernel says what has come
            flow.down_bytes += down_bytes
        flow.up_bytes += up_bytes

    async def take_down(self, number: int, size_bytes: int) -> None:
        """Return when a flow may read on, after a piece of this size."""
        if self.told is not None:
            await self._pacer(number, Way.DOWN).take(size_bytes)
        elif self.measures:
            await self.turns.take(number, size_bytes)

    async def take_up(self, number: int, size_bytes: int) -> None:
        """Return when a flow may send so much."""
        if self.told is not None or self.measures:
            await self._pacer(number, Way.UP).take(size_bytes)

    def congested(self) -> set[str]:
        """Return the tenants who ask for more than they get now."""
        now_s = self._clock.now_s()
        if now_s - self._moved_s > IDLE_AFTER_S:
            return set()
        return {
            each.tenant
            for number, each in self.open.items()
            if each.traffic_class is not TrafficClass.REALTIME
            and each.down_rate_bps > LEAST_BPS
            and self._demand_bps(number, each, Way.DOWN) is None
        }

    def whole_bps(self) -> dict[Way, int]:
        """Return what all that crosses may take together, calls too."""
        now_s = self._clock.now_s()
        if self.told is not None:
            return {Way.DOWN: self.told.down_bps, Way.UP: self.told.up_bps}
        return {Way.DOWN: self._down.pace(now_s).rate_bps, Way.UP: self._up.pace(now_s).rate_bps}

    def queueing_s(self, way: Way) -> float | None:
        """Return how long the queue of a direction is, if that was heard lately."""
        heard = self._queueing_s[way]
        return heard[1] if heard is not None and self._clock.now_s() - heard[0] < HEARD_S_MAX else None

    @property
    def in_turns(self) -> bool:
        """Whether there are more connections than windows."""
        if self.told is not None or not self.measures:
            return False
        moving = sum(1 for each in self.open.values() if each.moves)
        return moving * SEGMENTS_MIN * PACKET_BYTES > self._down.pace(self._clock.now_s()).window_bytes

    def _pacer(self, number: int, way: Way) -> Pacer:
        def rate_bps() -> int | None:
            if self.told is None and not self.measures:
                return None
            if self._divided_s == float("-inf"):
                self._divide()
            flow = self.open.get(number)
            if flow is None:
                return None
            return max(flow.down_share_bps if way is Way.DOWN else flow.up_share_bps, LEAST_BPS)

        return self._pacers.setdefault((number, way), Pacer(rate_bps, self._clock.now_s))

    def tick(self) -> None:
        """Measure once, and steer by it."""
        now_s = self._clock.now_s()
        samples = self._flows.sample()
        self._round_trips.forget(set(self.open))
        self._note_progress(now_s, samples)
        self._carried = self._counters() if self._counters else CounterSample(now_s, *self._used.values())
        rate_bps = max(self._down.pace(now_s).rate_bps, 1)
        self._queueing.silence.feed(
            now_s, self._carried.down_bytes, max(SILENCE_S, SILENCE_PACKETS * PACKET_BYTES * 8 / rate_bps)
        )
        for ear in self.ears:
            self._told_delays.extend(ear())
        _d = self._delays(samples)  # DBG
        self._control(now_s, _d)
        self._dbg(now_s, samples, _d)
        if now_s - self._divided_s >= DIVIDE_EVERY_S and self.open:
            self._divide()
        if self.told is None and self.measures:
            self._steer(now_s)

    def _dbg(self, now_s, samples, delays):  # DBG
        import os

        if "STEER_LOG" in os.environ:
            if not hasattr(self, "_dbgf"):
                self._dbgf = open(os.environ["STEER_LOG"], "w")
            p = self._down.pace(now_s)
            print(
                round(now_s, 3),
                p,
                [round(h.queueing_s * 1000) for _, h in delays],
                [
                    (f.window_bytes, f.unread_bytes, round(f.down_rate_bps / 1e3), round(f.down_share_bps / 1e3))
                    for f in self.open.values()
                ][:8],
                self.in_turns,
                round(self._down._used_bps(now_s, self._used[Way.DOWN]) / 1e3),
                self._carried.down_bytes,
                [round((x.rcv_rtt_s or 0) * 1000) for x in samples][:8],
                file=self._dbgf,
                flush=True,
            )  # DBG

    def _note_progress(self, now_s: float, samples: Sequence[FlowSample]) -> None:
        """Bring the flows up to what the kernel and the rooms say has moved."""
        for sample in samples:
            flow = self.open.get(sample.flow)
            if flow is None:
                continue
            came = sample.received_bytes - flow.arrived_bytes
            flow.arrived_bytes = sample.received_bytes
            flow.unread_bytes = sample.unread_bytes
            flow.rtt_s = sample.min_rtt_s if flow.rtt_s is None else min(flow.rtt_s, sample.min_rtt_s or flow.rtt_s)
            if flow.window_bytes is None:
                flow.window_bytes = FIRST_BYTES_MIN  # it has a connection from now on: what came before is not its own
                continue
            flow.down_bytes += max(came, 0)
        weight = min(1.0, max(now_s - self._carried.at_s, 0.001) / RATE_S)
        for flow in self.open.values():
            down, up = flow.down_bytes - flow.seen_down_bytes, flow.up_bytes - flow.seen_up_bytes
            flow.seen_down_bytes, flow.seen_up_bytes = flow.down_bytes, flow.up_bytes
            passed_s = weight * RATE_S
            flow.down_rate_bps += (down * 8 * WIRE_RATIO / passed_s - flow.down_rate_bps) * weight
            flow.up_rate_bps += (up * 8 * WIRE_RATIO / passed_s - flow.up_rate_bps) * weight
            if down or up:
                self._moved_s = now_s
            self._used[Way.DOWN] += int(down * WIRE_RATIO)
            self._used[Way.UP] += int(up * WIRE_RATIO)

    def _delays(self, samples: Sequence[FlowSample]) -> list[tuple[Sees, Heard]]:
        told, self._told_delays = self._told_delays, []
        for sample in samples:
            round_trip_s = self._round_trips.feed(sample)
            if round_trip_s is not None:
                told.append(DelaySample(sample.at_s, round_trip_s, sample.peer, Sees.BOTH))
        return [(each.sees, Heard(*self._queueing.feed(each))) for each in told]

    def _control(self, now_s: float, delays: Sequence[tuple[Sees, Heard]]) -> None:
        """Move both rates, and learn what the link carries."""
        both = [heard for sees, heard in delays if sees is Sees.BOTH]
        carried = {Way.DOWN: self._carried.down_bytes, Way.UP: self._carried.up_bytes}
        used = carried if self.kernel_shapes else self._used
        for way, controller in ((Way.DOWN, self._down), (Way.UP, self._up)):
            one_way = [heard for sees, heard in delays if sees.value == way.value]
            beside_s = self._one_way_s(Way.UP if way is Way.DOWN else Way.DOWN, now_s)
            heard = one_way or [each._replace(queueing_s=max(0.0, each.queueing_s - beside_s)) for each in both]
            if one_way:
                self._one_way[way] = (now_s, min(each.queueing_s for each in one_way))
            in_turns = self.kernel_shapes or (way is Way.DOWN and self.in_turns)
            base_s = both[-1].base_s if both else None  # one way's own has no zero
            queueing_s = controller.step(now_s, used[way], heard, base_s=base_s, in_turns=in_turns)
            if queueing_s is not None:
                self._queueing_s[way] = (now_s, queueing_s)
            self._meters[way].feed(now_s, carried[way], queueing_s, controller.target_s)

    def _one_way_s(self, way: Way, now_s: float) -> float:
        """Return what is known of the other direction's queue: a round trip has waited there too."""
        heard = self._one_way[way]
        return heard[1] if heard is not None and now_s - heard[0] < BESIDE_S else 0.0

    def _steer(self, now_s: float) -> None:
        down = self._down.pace(now_s)
        carrying = {number: each for number, each in self.open.items() if each.window_bytes is not None}
        total_bps = max(sum(each.down_share_bps for each in carrying.values()), 1)
        scale = min(down.rate_bps / total_bps, 1.0) if total_bps > down.rate_bps else 1.0
        coming_bytes = 0.0
        for number, flow in carrying.items():
            share_bps = max(int(flow.down_share_bps * scale), LEAST_BPS)
            rtt_s = max(flow.rtt_s or 0.0, down.base_s)
            window = window_for(int(share_bps / WIRE_RATIO), rtt_s, down.target_s, MSS_BYTES, flow.owed_bytes)
            flow.window_bytes, flow.owed_bytes = window
            self._flows.clamp(number, window.size_bytes)
            self._flows.pace_up(number, max(flow.up_share_bps, LEAST_BPS))
            if flow.moves:
                coming_bytes += max(window.size_bytes - flow.unread_bytes, 0) // MSS_BYTES * PACKET_BYTES
        shares = {number: each.down_share_bps for number, each in carrying.items()}
        self.turns.plan(down.window_bytes if self.in_turns else None, coming_bytes, shares)

    def _divide(self) -> None:
        self._divided_s = self._clock.now_s()
        for way, controller in ((Way.DOWN, self._down), (Way.UP, self._up)):
            if self.told is not None:
                whole_bps = self.told.down_bps if way is Way.DOWN else self.told.up_bps
            else:
                whole_bps = controller.pace(self._divided_s).rate_bps
            for number, share_bps in divide(whole_bps, self._claims(way, whole_bps), self.policy, way).items():
                if way is Way.DOWN:
                    self.open[number].down_share_bps = share_bps
                else:
                    self.open[number].up_share_bps = share_bps

    def _claims(self, way: Way, whole_bps: int) -> list[Claim]:
        """Return all claims on a told capacity; on a measured rate, which is what calls leave, those of the others."""
        claims = [
            Claim(number, each.traffic_class, each.tenant, each.device, self._demand_bps(number, each, way))
            for number, each in self.open.items()
            if self.told is not None or each.traffic_class is not TrafficClass.REALTIME
        ]
        many = Counter((each.tenant, each.traffic_class) for each in claims)
        ceilings = {of: self.ceiling_bps(*of, whole_bps) for of in many}
        return [
            each
            if (ceiling_bps := ceilings[each.tenant, each.traffic_class]) is None
            else replace(each, demand_bps=_least(each.demand_bps, ceiling_bps // many[each.tenant, each.traffic_class]))
            for each in claims
        ]

    def _demand_bps(self, number: int, flow: Flow, way: Way) -> int | None:
        if flow.traffic_class is TrafficClass.REALTIME:
            return self._call_wants_bps
        pacer = self._pacers.get((number, way))
        waits = (pacer is not None and pacer.waits) or (way is Way.DOWN and self.turns.waits(number))
        return flow.demand_bps(way, waits=waits)

    def figures(self) -> LinkFigures:
        """Return what is known of the link now."""
        now_s = self._clock.now_s()
        return LinkFigures(self._way_figures(Way.DOWN, now_s), self._way_figures(Way.UP, now_s))

    def _way_figures(self, way: Way, now_s: float) -> WayFigures:
        if self.told is not None:
            told_bps = self.told.down_bps if way is Way.DOWN else self.told.up_bps
            return WayFigures(capacity_bps=Estimate(told_bps, 1.0, 0.0))
        heard, loss = self._queueing_s[way], self._losses[way].estimate(now_s)
        if heard is None:
            return WayFigures(capacity_bps=self._meters[way].estimate(now_s), loss_ratio=loss)
        base_s = (self._down if way is Way.DOWN else self._up).pace(now_s).base_s
        age_s = now_s - heard[0]
        return WayFigures(
            capacity_bps=self._meters[way].estimate(now_s),
            base_delay_s=Estimate(base_s, 1.0, age_s),
            queueing_s=Estimate(heard[1], 1.0, age_s),
            loss_ratio=loss,
        )

    def rates(self) -> Mapping[Way, Pace]:
        """Return what the box takes of each direction at most."""
        now_s = self._clock.now_s()
        return {Way.DOWN: self._down.pace(now_s), Way.UP: self._up.pace(now_s)}

    def _first_window_bytes(self) -> int | None:
        """Return what a new connection may begin with: its share of the window, in whole segments."""
        if self.told is not None or not self.measures:
            return None
        pace = self._down.pace(self._clock.now_s())
        share_bytes = pace.window_bytes / (len(self.open) or 1)
        return int(min(max(share_bytes // MSS_BYTES * MSS_BYTES, FIRST_BYTES_MIN), FIRST_BYTES_MAX))


def _least(demand_bps: int | None, ceiling_bps: int) -> int:
    return ceiling_bps if demand_bps is None else min(demand_bps, ceiling_bps)
