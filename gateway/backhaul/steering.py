"""The hand on the wheel: fifty times a second, while there is load, what was measured becomes windows and turns.

Down, each connection gets a window for its share (`sensing.control` says how much may be under way in all); where that
is less than two segments each, they take turns. Up, the box is the sender and paces. Where the capacity was told and
not measured, both ways are paced at it, and nothing else is done. Without load nothing is done at all.

Which instruments there are may change from box to box: the connections' own round trips are always there; one-way
delays, where somebody tells them (`hear`), are worth more, for they tell which direction queues.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice

import structlog

from gateway.backhaul.flow import HEADERS_BYTES, LEAST_BPS, PACKET_BYTES, WIRE_RATIO, YIELDING, Flow
from gateway.backhaul.measuring import BEGINS_BPS_MIN, Load, Measuring, begins_bps
from gateway.backhaul.sensing.figures import Estimate, LinkFigures, WayFigures
from gateway.backhaul.sensing.flows import SMALL_BYTES, Flows
from gateway.backhaul.sensing.samples import FULL_BYTES, CounterSample, FlowSample, Way
from gateway.backhaul.shaping.pacer import Pacer
from gateway.backhaul.shaping.turns import PATIENCE_PLANS, Turns
from gateway.backhaul.shaping.window import SEGMENTS_MIN, window_for
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.company import Company
from gateway.backhaul.sharing.policy import Policy
from gateway.backhaul.sharing.shares import Capacity
from gateway.backhaul.sharing.tree import Claim, divide
from gateway.clock import Clock

Ceiling = Callable[[str, TrafficClass, int], int | None]

TICK_S = 0.02
IDLE_TICK_S = 0.25  # shares are open, and nothing moves
IDLE_AFTER_S = 2.0  # a share sleeps then, or the link
SLEEPERS_EVERY = 25  # ticks in which every sleeping share is looked at once: phones leave hundreds of tunnels open
DIVIDE_EVERY_S = 0.1
FIRST_BYTES_MAX = 10 * FULL_BYTES  # RFC 6928: what a sender would begin with
CROWDED, STAYS_CROWDED = 1.3, 1.15  # times the window: then nobody is read from before its turn
PIECES = 4  # of a window that are sent one by one
PIECE_BYTES_MAX = 16_384
PACED_RATIO = 1.15  # the window holds a sender to its share; pacing only keeps it from sending all of it at once
AGAIN_S = 5.0  # after a fault of ours
MAKES_ROOM_S = 0.6  # until a call that had a weak link for itself uses less of it: a look at budgets, and the way there
BEGINS_QUEUE_S_MAX = 0.2  # a longer queue is to go before another page begins beside a call on a weak link, …
BEGINS_LATE_BPS = 2_000  # … but for one in five seconds: it may be somebody else's
SMALL_PACKET_BYTES = SMALL_BYTES + HEADERS_BYTES
SMALL_BELOW_BPS = 400_000  # there a full segment takes 30 ms: beside a call new connections have smaller ones
QUIET_BPS_MAX = 8_000  # a connection that moves less does not move
LATE_S_MAX = 2.0  # what is under way is waited for so much longer where there is a queue
NEVER_S = float("-inf")

_log = structlog.get_logger("backhaul")


class Steering:
    """Holds every flow to its share of what the link carries."""

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
    ) -> None:
        self._clock = clock
        self._flows = flows
        self.policy = policy
        self.told = told
        self.measures = measures
        self.measuring = Measuring(clock, counters)
        self._call_wants_bps = call_wants_bps
        self.lookers: list[Callable[[CounterSample, Sequence[FlowSample]], None]] = []  # told what was seen
        self.ceiling_bps: Ceiling = lambda tenant, traffic_class, whole_bps: None  # what a class may have, if less
        self.kernel_shapes = False  # what phones send past the proxy is held to the rate, too
        self.open: dict[int, Flow] = {}
        self._sleeping: dict[int, None] = {}  # the longest not looked at first
        self._reading, self._sending = Turns(), Turns()
        self._pacers: dict[tuple[int, Way], Pacer] = {}
        self._beginning = Pacer(self._begins_bps, clock.now_s, burst_bytes_min=SEGMENTS_MIN * SMALL_BYTES)
        self._used = dict.fromkeys(Way, 0)
        self._in_turns = self._crowded = False
        self._busy, self._newcomer = asyncio.Event(), asyncio.Event()
        self._moved_s = NEVER_S
        self._company = Company()
        self._room_s = NEVER_S  # when a call has made room for whoever begins
        self._divided_s = NEVER_S
        flows.first_window_bytes, flows.small_segments = self._first_window_bytes, self._wants_small_segments

    async def run(self) -> None:
        """Steer while there is load; until cancelled."""
        while True:
            await self._busy.wait()
            try:
                self.tick()
            except Exception as exc:  # noqa: BLE001 - a fault of ours here must not end the calls and the queue
                _log.error("steering.failed", error=type(exc).__name__)
                self._let_all_go()
                await asyncio.sleep(AGAIN_S)
            await asyncio.sleep(TICK_S)
            if self._clock.now_s() - self._moved_s > IDLE_AFTER_S:
                await self._idle()
            if not self.open and not self.kernel_shapes:
                self._busy.clear()

    async def _idle(self) -> None:
        """Wait for a while, or until a share is opened."""
        self._newcomer.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_TICK_S):
                await self._newcomer.wait()

    def opened(self, number: int, flow: Flow) -> None:
        """Take note of an open share."""
        flow.looked_s = flow.moved_s = self._clock.now_s()
        self.open[number] = flow
        if flow.traffic_class is not TrafficClass.REALTIME:
            self._company.opened(flow.moved_s)
        self.changed()
        self._busy.set()
        self._newcomer.set()

    def changed(self) -> None:
        """Take note that the shares are not what they were."""
        self._divided_s = NEVER_S

    def closed(self, number: int) -> None:
        """Forget a share."""
        self.open.pop(number, None)
        self._sleeping.pop(number, None)
        self.measuring.forget(number)
        for turns in (self._reading, self._sending):
            turns.forget(number)
        for way in Way:
            self._pacers.pop((number, way), None)
        self.changed()

    def wake(self, number: int) -> None:
        """Look at a share fifty times a second again: something is about to move."""
        if number in self._sleeping:
            del self._sleeping[number]
            self.open[number].moved_s = self._clock.now_s()
            self.changed()

    def shape(self, *, shapes: bool) -> None:
        """Take note whether the kernel holds to the rate what phones send past the proxy."""
        self.kernel_shapes = shapes
        if shapes:
            self._busy.set()

    def tell(self, told: Capacity | None) -> None:
        """Believe this figure, or measure again."""
        self.told = told
        self.changed()
        if not self._steers:
            self._let_all_go()

    def _let_all_go(self) -> None:
        """Have nobody wait for a turn that does not come, and leave windows and pace to the kernel."""
        for turns in (self._reading, self._sending):
            turns.plan(None, 0.0, {})
        for number in self.open:
            self._let_go(number)

    def _let_go(self, number: int) -> None:
        for turns in (self._reading, self._sending):
            turns.forget(number)
        self._flows.clamp(number, None)
        self._flows.pace_up(number, None)

    async def begin(self, number: int) -> None:
        """Return when a flow may ask for its first bytes: beside calls one after another.

        Each connection may be sent two segments before anything is heard of the queue that they make.
        """
        flow = self.open.get(number)
        if flow is None or flow.traffic_class not in YIELDING:
            return
        if self._wants_small_segments():
            await self._makes_room()
        first_bytes = SEGMENTS_MIN * self._new_segment_bytes()
        await self._beginning.take(first_bytes)
        if self._wants_small_segments():
            await self._reading.take(number, first_bytes)
            flow.paid_bytes = first_bytes
            self.wake(number)

    async def _makes_room(self) -> None:
        """Return when a call that had the link for itself uses less of it; every page of that moment waits."""
        now_s = self._clock.now_s()
        if self.calls_alone():
            self._company.begins(now_s)
            self._room_s = now_s + MAKES_ROOM_S
        await asyncio.sleep(max(self._room_s - now_s, 0.0))

    def _begins_bps(self) -> int | None:
        """Return at what rate first bytes may be asked for; None: no call has to wait for them."""
        calls = self._calls()
        if not self._steers or not calls:
            return None
        rate_bps, carries = self.whole_bps(Way.DOWN), self.measuring.figures().down.capacity_bps
        if carries is None:
            return min(rate_bps, BEGINS_BPS_MIN)
        begins = min(rate_bps, begins_bps(carries, sum(flow.down_rate_bps for flow in calls)))
        if not self._wants_small_segments():
            return begins
        is_late = (self.measuring.queueing_s(Way.DOWN) or 0.0) > BEGINS_QUEUE_S_MAX
        return BEGINS_LATE_BPS if is_late else begins // 2  # what has begun goes on

    async def take_down(self, number: int, size_bytes: int) -> None:
        """Return when a flow may read on, after a piece of this size."""
        self.wake(number)
        if self.told is not None:
            await self._pacer(number, Way.DOWN).take(size_bytes)
        elif self.measures and (flow := self.open.get(number)) is not None and not flow.is_near:
            lets_come_bytes = min(size_bytes, flow.window_bytes or size_bytes)
            if flow.is_short_answer:
                self._reading.charge(lets_come_bytes)
            else:
                await self._reading.take(number, lets_come_bytes)
            flow.paid_bytes += lets_come_bytes

    def holds_reading(self, number: int) -> bool:
        """Say whether a flow must not be read from before its turn: what is read makes room for as much to come."""
        flow = self.open.get(number)
        return flow is not None and flow.window_bytes is not None and self._crowded

    async def take_up(self, number: int, size_bytes: int) -> None:
        """Return when a flow may send so much."""
        self.wake(number)
        if self.told is not None:
            await self._pacer(number, Way.UP).take(size_bytes)
        elif self.measures and not self._is_near(number):
            await self._sending.take(number, size_bytes)

    def _is_near(self, number: int) -> bool:
        flow = self.open.get(number)
        return flow is not None and flow.is_near

    @property
    def piece_bytes(self) -> int:
        """How much is sent at once: a piece of what may be under way."""
        if not self._steers:
            return PIECE_BYTES_MAX
        return min(max(int(self.measuring.window_bytes(Way.UP) / PIECES), self._new_segment_bytes()), PIECE_BYTES_MAX)

    def congested(self) -> set[str]:
        """Return the tenants who ask for more than they get now."""
        if self._clock.now_s() - self._moved_s > IDLE_AFTER_S:
            return set()
        return {
            each.tenant
            for number, each in self._awake().items()
            if each.traffic_class is not TrafficClass.REALTIME
            and each.down_rate_bps > LEAST_BPS
            and self._demand_bps(number, each, Way.DOWN) is None
        }

    def whole_bps(self, way: Way) -> int:
        """Return what all that crosses may take of a direction together."""
        if self.told is not None:
            return self.told.down_bps if way is Way.DOWN else self.told.up_bps
        return self.measuring.pace(way).rate_bps

    def is_quiet(self) -> bool:
        """Say whether the link is measured, no call crosses it, and hardly anything else does."""
        return self._steers and not any(
            flow.traffic_class is TrafficClass.REALTIME or flow.down_rate_bps + flow.up_rate_bps > QUIET_BPS_MAX
            for flow in self.open.values()
            if not flow.is_near
        )

    def calls_alone(self) -> bool:
        """Say whether there are calls, and they have had the link to themselves for a while, or nearly."""
        return bool(self._calls()) and self._company.leaves_alone(self._clock.now_s())

    def _calls(self) -> list[Flow]:
        """Return the calls that cross the link."""
        return [each for each in self.open.values() if each.traffic_class is TrafficClass.REALTIME and not each.is_near]

    def _watch_company(self, now_s: float, used: dict[Way, int], before: CounterSample, passed_s: float) -> None:
        """Take note of what crosses beside calls, where the kernel shapes it, and beside the box's own connections."""
        bps = {True: 0.0, False: 0.0}
        for flow in self.open.values():
            if not flow.is_near:
                bps[flow.traffic_class is TrafficClass.REALTIME] += max(flow.down_rate_bps, flow.up_rate_bps)
        carried = self.measuring.carried
        crossed = {Way.DOWN: carried.down_bytes - before.down_bytes, Way.UP: carried.up_bytes - before.up_bytes}
        for way in Way if self.kernel_shapes else ():
            self._company.crossed(way, crossed[way] - (self._used[way] - used[way]), passed_s)
        if self._wants_small_segments() and self._reading.anybody_waits:  # and would use more
            self._company.begins(now_s)
        self._company.look(now_s, calls_bps=bps[True], others_bps=bps[False])

    def figures(self) -> LinkFigures:
        """Return what is known of the link now; what was told is certain."""
        if self.told is None:
            return self.measuring.figures()
        down, up = (WayFigures(capacity_bps=Estimate(self.whole_bps(way), 1.0, 0.0, is_told=True)) for way in Way)
        return LinkFigures(down, up)

    def tick(self) -> None:
        """Measure once, and steer by it."""
        now_s = self._clock.now_s()
        before = self.measuring.carried
        passed_s = max(now_s - before.at_s, 0.001)
        used = dict(self._used)
        samples = self._look(now_s)
        carried = self.measuring.count(self._used)
        if self.kernel_shapes and carried.down_bytes - before.down_bytes > PACKET_BYTES:
            self._moved_s = now_s
        self._watch_company(now_s, used, before, passed_s)
        for looker in self.lookers:
            looker(carried, samples)
        if not self.measuring.pace(Way.DOWN).drains:
            crowding = self._crowding()
            self._in_turns = crowding > 1.0
            self._crowded = crowding > (STAYS_CROWDED if self._crowded else CROWDED)
        far = [each for each in samples if not self.open[each.flow].is_near]
        self.measuring.look(far, self._loads())
        if now_s - self._divided_s >= DIVIDE_EVERY_S and self.open:
            self._divide()
        if self._steers:
            self._steer(passed_s)

    @property
    def _steers(self) -> bool:
        return self.told is None and self.measures

    def _crowding(self) -> float:
        """Return how much larger than the window what all connections need together is."""
        if not self._steers:
            return 0.0
        awake = self._awake().values()
        packets_bytes = sum(each.packet_bytes for each in awake if each.moves)
        if self._wants_small_segments():  # who begins does not read all at once, either
            packets_bytes += SMALL_PACKET_BYTES * sum(each.dials for each in awake if each.traffic_class in YIELDING)
        return SEGMENTS_MIN * packets_bytes / self.measuring.window_bytes(Way.DOWN)

    def _awake(self) -> dict[int, Flow]:
        return {number: flow for number, flow in self.open.items() if number not in self._sleeping}

    def _look(self, now_s: float) -> list[FlowSample]:
        """Bring flows up to what the kernel and the rooms say has moved; return samples of those that are awake."""
        sleepers = tuple(islice(self._sleeping, -(-len(self._sleeping) // SLEEPERS_EVERY)))
        looked_at = {**self._awake(), **{number: self.open[number] for number in sleepers}}
        samples = [each for each in self._flows.sample(looked_at) if each.flow in looked_at]
        for sample in samples:
            looked_at[sample.flow].sampled(sample)
        for number, flow in looked_at.items():
            down_bytes, up_bytes = flow.moved(now_s)
            if not flow.is_near:
                self._used[Way.DOWN] += down_bytes
                self._used[Way.UP] += up_bytes
                if down_bytes or up_bytes:
                    self._moved_s = now_s
            self._maybe_sleep(number, flow, now_s, moves=bool(down_bytes or up_bytes))
        return [each for each in samples if each.flow not in self._sleeping]

    def _maybe_sleep(self, number: int, flow: Flow, now_s: float, *, moves: bool) -> None:
        waits = self._reading.waits(number) or self._sending.waits(number)
        if moves or waits or flow.unread_bytes or flow.going_bytes:
            self.wake(number)
            flow.moved_s = now_s
        elif now_s - flow.moved_s > IDLE_AFTER_S and flow.traffic_class is not TrafficClass.REALTIME:
            self._sleeping.pop(number, None)
            self._sleeping[number] = None

    def _loads(self) -> dict[Way, Load]:
        carried = self.measuring.carried
        used = {Way.DOWN: carried.down_bytes, Way.UP: carried.up_bytes} if self.kernel_shapes else self._used
        turns = {Way.DOWN: self._reading, Way.UP: self._sending}
        in_turns = {Way.DOWN: self.kernel_shapes or self._crowded, Way.UP: self.kernel_shapes}
        alone, calls = self.calls_alone(), self._calls()
        calls_bps = {
            Way.DOWN: sum(each.down_rate_bps for each in calls),
            Way.UP: sum(each.up_rate_bps for each in calls),
        }
        return {way: Load(used[way], in_turns[way], turns[way].anybody_waits, calls_bps[way], alone) for way in Way}

    def _steer(self, passed_s: float) -> None:
        """Give each connection its window and its pace, and those who wait their turns."""
        down, up = self.measuring.pace(Way.DOWN), self.measuring.pace(Way.UP)
        carrying = {}
        for number, each in self._awake().items():
            if each.is_near:
                self._let_go(number)
            elif each.window_bytes is not None:
                carrying[number] = each
        total_bps = max(sum(each.down_share_bps for each in carrying.values()), 1)
        scale = min(down.rate_bps / total_bps, 1.0)
        coming_bytes, beside_s = 0.0, self.measuring.waits_s(Way.UP)
        is_weak = self._wants_small_segments()
        for number, flow in carrying.items():
            share_bps = max(int(flow.down_share_bps * scale), LEAST_BPS)
            rtt_s = self.measuring.round_trip_s(flow.peer) + beside_s
            window = window_for(int(share_bps / WIRE_RATIO), rtt_s, down.target_s, flow.segment_bytes, flow.owed_bytes)
            flow.window_bytes, flow.owed_bytes = window
            self._flows.clamp(number, window.size_bytes, tight=self._crowded)
            self._flows.pace_up(number, max(int(flow.up_share_bps * PACED_RATIO), LEAST_BPS))
            owes_bytes = flow.owes_bytes()
            if is_weak:  # elsewhere the window that all have together is what counts
                self._reading.charge(owes_bytes)
            if flow.moves:
                coming_bytes += flow.coming_bytes(crowded=self._crowded) // flow.segment_bytes * flow.packet_bytes
        shares = {number: each.down_share_bps for number, each in carrying.items()}
        more_bytes = down.rate_bps / 8 * passed_s * PACED_RATIO
        down_bytes = more_bytes if self._crowded else math.inf
        late_s = min(self.measuring.queueing_s(Way.DOWN) or 0.0, LATE_S_MAX)
        patience_plans = PATIENCE_PLANS + math.ceil(late_s / TICK_S)
        window_bytes = self.measuring.window_bytes(Way.DOWN) if self._in_turns else None
        new_bytes = SMALL_PACKET_BYTES if is_weak else PACKET_BYTES
        packet_bytes = max((each.packet_bytes for each in carrying.values() if each.moves), default=new_bytes)
        self._reading.plan(window_bytes, coming_bytes, shares, down_bytes, patience_plans, packet_bytes)
        going_bytes = sum(each.going_bytes for each in carrying.values())
        shares = {number: each.up_share_bps for number, each in carrying.items()}
        more_bytes = up.rate_bps / 8 * passed_s * PACED_RATIO
        self._sending.plan(self.measuring.window_bytes(Way.UP), going_bytes * WIRE_RATIO, shares, more_bytes)

    def _divide(self) -> None:
        now_s = self._clock.now_s()
        passed_s, self._divided_s = min(now_s - self._divided_s, 1.0), now_s
        for way in Way:
            whole_bps = self.whole_bps(way)
            claims = self._claims(way, whole_bps)
            shares = divide(whole_bps, claims, self.policy, way)
            for number, share_bps in shares.items():
                self.open[number].share(way, share_bps, whole_bps)
            if way is Way.DOWN and self._steers:
                self._even([self.open[each.flow] for each in claims if each.demand_bps is None], passed_s)

    def _even(self, hungry: Sequence[Flow], passed_s: float) -> None:
        """Give those who got less than their share so far somewhat more of it: windows are whole segments."""
        total_bps = sum(each.down_share_bps for each in hungry)
        scale = sum(each.down_rate_bps for each in hungry) / total_bps if total_bps else 0.0
        for flow in hungry:
            flow.even(scale, passed_s)

    def _claims(self, way: Way, whole_bps: int) -> list[Claim]:
        """Return all claims on a told capacity; on a measured rate, which is what calls leave, those of the others."""
        claims = [
            Claim(number, each.traffic_class, each.tenant, each.device, self._demand_bps(number, each, way))
            for number, each in self._awake().items()
            if self.told is not None or not (each.is_near or each.traffic_class is TrafficClass.REALTIME)
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
        turns = self._reading if way is Way.DOWN else self._sending
        waits = (pacer is not None and pacer.waits) or turns.waits(number)
        return flow.demand_bps(way, waits=waits)

    def _pacer(self, number: int, way: Way) -> Pacer:
        def rate_bps() -> int | None:
            if self.told is None:
                return None
            if self._divided_s == NEVER_S:
                self._divide()
            flow = self.open.get(number)
            return None if flow is None else max(flow.share_of(way), LEAST_BPS)

        return self._pacers.setdefault((number, way), Pacer(rate_bps, self._clock.now_s))

    def _first_window_bytes(self) -> int | None:
        """Return what a new connection may begin with: its share of the window, in whole segments."""
        if not self._steers:
            return None
        segment_bytes = self._new_segment_bytes()
        segments = self.measuring.pace(Way.DOWN).window_bytes / (len(self.open) or 1) // segment_bytes
        return int(min(max(segments, SEGMENTS_MIN) * segment_bytes, FIRST_BYTES_MAX))

    def _new_segment_bytes(self) -> int:
        return SMALL_BYTES if self._wants_small_segments() else FULL_BYTES

    def _wants_small_segments(self) -> bool:
        """Return whether a new connection's packets are to be short, so that a voice waits less behind each."""
        if not self._steers or not self._calls():
            return False
        carries = self.measuring.figures().down.capacity_bps
        return carries is not None and carries.value < SMALL_BELOW_BPS


def _least(demand_bps: int | None, ceiling_bps: int) -> int:
    return ceiling_bps if demand_bps is None else min(demand_bps, ceiling_bps)
