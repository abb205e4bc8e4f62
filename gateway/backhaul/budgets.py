"""What each call may use, kept while there are calls: it falls at once with the link, and rises after proof.

Where nobody knows what the link carries, a call begins cautiously and finds out: it may have somewhat more than the
link has carried so far, as long as no queue grows.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from gateway.backhaul.sensing.samples import Way
from gateway.backhaul.sharing.admission import SURE_CONFIDENCE
from gateway.backhaul.sharing.alone import Alone, Seen
from gateway.backhaul.sharing.alone import begin as begin_alone
from gateway.backhaul.sharing.alone import begun as begun_alone
from gateway.backhaul.sharing.alone import resume as resume_alone
from gateway.backhaul.sharing.alone import step as step_alone
from gateway.backhaul.sharing.calls import PICTURE_BPS, VOICE_BPS, CallBudget, begin, step
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.shares import divide
from gateway.backhaul.steering import Steering
from gateway.clock import Clock

CALL_WANTS_BPS = 800_000  # one 640×480 picture at 700 kb/s, its voice and their headers, one direction
CALL_UNKNOWN_BPS = 50_000  # budget where no capacity is known: the voice, until the empty link has been heard,
AGAIN_BPS_MAX, AGAIN_RATIO, AGAIN_S = 150_000, 0.5, 600.0  # … or what the last call found out: half, or a picture
CALL_CLAIMS_BPS = 300_000  # or what it claims of others who fill the link: that holds on all but the weakest 4G
BUDGET_EVERY_S = 0.2
ASKED_S = 5.0  # whoever asks again within so long sees a budget that is kept
NEVER_S = float("-inf")
DRAINS_S_MIN = 0.1  # of a queue that is to go, …
DRAINS_BITS = 48_000  # … or as long as two turns of a download take, which are two segments each:
DRAINS_RATIO = 0.4  # for which calls leave more than half the link: at once, for each step less is one that people see
BURST_RATIO, BURST_DRAINS_RATIO = 0.8, 0.65  # a link that carries what it did has not fallen: somebody has begun
DRAINS_BPS_MIN = 120_000  # whatever waits: a picture that paused comes back later than the queue goes
LEAVES_RATIO, LEAVES_BPS_MAX = 0.3, 75_000  # to others: with less, two packets of each make a queue that stays
FRESH_S = 2.0  # an estimate so young bounds what calls that are alone find out
PROVES_RATIO = 1.5  # a call may find out so much more than the link has carried so far, while no queue grows


@dataclass(frozen=True, slots=True)
class Budget:
    """What one call may use in each direction, in bit/s; all of it: voice, picture and headers."""

    down_bps: int
    up_bps: int


class CallBudgets:
    """The budgets of the calls that are open; all have the same."""

    def __init__(self, clock: Clock, steering: Steering, call_wants_bps: int, *, on_change: Callable[[], None]) -> None:
        self._clock = clock
        self._steering = steering
        self._call_wants_bps = call_wants_bps
        self._on_change = on_change
        self._kept: dict[Way, CallBudget] = {}
        self._alone: dict[Way, Alone] = {}  # of all calls together, while nothing else moves
        self._found: dict[Way, Alone] = {}  # the same, when they last were
        self._were_open = False
        self._asked = asyncio.Event()
        self._asked_s = NEVER_S

    def each(self) -> Budget:
        """Return what each open call may use; with none open, what the next would get, kept while somebody asks."""
        self._asked_s = self._clock.now_s()
        self._asked.set()
        return self._each()

    def _each(self) -> Budget:
        calls = max(self._open()[TrafficClass.REALTIME], 1)
        down_bps, up_bps = (self._bps(way, calls) for way in Way)
        return Budget(down_bps, up_bps)

    def _bps(self, way: Way, calls: int) -> int:
        if way in self._alone:
            return self._alone[way].bps // calls
        return self._kept[way].bps if way in self._kept else self._share_bps(way, calls)

    def begin_anew(self) -> None:
        """Forget what earlier calls found out: what the link carries is known better now."""
        for each in (self._kept, self._alone, self._found):
            each.clear()

    def look(self) -> None:
        """Take note that a call may have begun or ended."""
        if self._open()[TrafficClass.REALTIME]:
            self._asked.set()

    async def run(self) -> None:
        """Keep the budgets while there are calls, or somebody asks; until cancelled."""
        while True:
            await self._asked.wait()
            before, calls = self._each(), self._open()[TrafficClass.REALTIME]
            forgotten = not calls and self._clock.now_s() - self._asked_s > ASKED_S
            if self._steering.told is not None:
                self._found.clear()
            if forgotten or self._steering.told is not None:
                self._kept.clear()
                self._found |= self._alone
                self._alone.clear()
                self._asked.clear()
                self._were_open = False
            else:
                self._step(calls)
            if self._each() != before:
                self._on_change()
            await asyncio.sleep(BUDGET_EVERY_S)

    def _step(self, open_calls: int) -> None:
        begins = open_calls > 0 and not self._were_open
        self._were_open = open_calls > 0
        calls = max(open_calls, 1)  # or the next one
        now_s, alone = self._clock.now_s(), self._steering.calls_alone()
        for way in Way:
            before_bps = self._bps(way, calls)
            if alone:
                self._kept.pop(way, None)
                if way not in self._alone:
                    self._alone[way] = self._begin_alone(way, now_s, max(before_bps * calls, self._again_bps(way)))
                if begins:
                    self._alone[way] = begun_alone(self._alone[way], now_s)
                self._alone[way] = step_alone(self._alone[way], now_s, self._seen(way, calls))
                continue
            if way in self._alone:
                self._found[way] = self._alone.pop(way)
                self._kept[way] = begin(now_s, _begins_bps(before_bps, self._share_bps(way, calls)))
            share_bps, known = self._share_bps(way, calls), self._kept.get(way)
            queueing_s = self._felt_s(way)
            self._kept[way] = begin(now_s, share_bps) if known is None else step(known, now_s, share_bps, queueing_s)

    def _begin_alone(self, way: Way, now_s: float, bps: int) -> Alone:
        found = self._lately_found(way)
        if found is not None:
            return resume_alone(found, now_s, bps)
        figures = self._steering.figures()
        carries = (figures.down if way is Way.DOWN else figures.up).capacity_bps
        is_sure = carries is not None and carries.confidence >= SURE_CONFIDENCE
        return begin_alone(now_s, bps, int(carries.value) if carries is not None and is_sure else None)

    def _seen(self, way: Way, calls: int) -> Seen:
        """Return what calls that are alone see of a direction."""
        measuring, policy = self._steering.measuring, self._steering.policy
        most_bps = calls * min(self._call_wants_bps, policy.call_bps_max)
        figures = self._steering.figures()
        estimate = (figures.down if way is Way.DOWN else figures.up).capacity_bps
        learned_bps = estimate.value if estimate is not None and estimate.confidence >= SURE_CONFIDENCE else None
        carries_bps = None
        if estimate is not None and learned_bps is not None and estimate.age_s < FRESH_S:
            carries_bps = int(learned_bps)
            in_use = {TrafficClass.REALTIME: calls}
            most_bps = divide(carries_bps, in_use, most_bps, policy)[TrafficClass.REALTIME]
        return Seen(
            measuring.standing_s(way),
            measuring.out_bps(way),
            most_bps,
            carries_bps=carries_bps,
            is_sent=way is Way.UP,
            calls=calls,
            learned_bps=learned_bps,
            voices_bps=self._voices_bps(way),
        )

    def _voices_bps(self, way: Way) -> int:
        """Return what the voices of all calls take, as far as they said."""
        calls = [each for each in self._steering.open.values() if each.traffic_class is TrafficClass.REALTIME]
        needs_bps = (each.down_needs_bps if way is Way.DOWN else each.up_needs_bps for each in calls)
        return sum(max(each, VOICE_BPS) for each in needs_bps)

    def _felt_s(self, way: Way) -> float | None:
        """Return by how much the queue is longer than it is meant to be."""
        queueing_s = self._steering.measuring.queueing_s(way)
        return None if queueing_s is None else max(0.0, queueing_s - self._steering.measuring.pace(way).target_s)

    def _share_bps(self, way: Way, calls: int) -> int:
        """Return one call's part of what the link carries, as far as that is known."""
        figures, policy = self._steering.figures(), self._steering.policy
        wants_bps = min(self._call_wants_bps, policy.call_bps_max)
        estimate = (figures.down if way is Way.DOWN else figures.up).capacity_bps
        if estimate is None:
            return min(self._least_bps(way) // calls, wants_bps)
        carries_bps = int(estimate.value)
        if estimate.confidence < SURE_CONFIDENCE:  # it carries at least that: more is found out by trying
            carries_bps = max(int(carries_bps * PROVES_RATIO), self._least_bps(way))
        if self._has_company():
            leaves_bps = min(int(LEAVES_RATIO * carries_bps), LEAVES_BPS_MAX)
            wants_bps = min(wants_bps, max((carries_bps - leaves_bps) // calls, PICTURE_BPS))
        measuring, alone = self._steering.measuring, self._steering.calls_alone()
        queueing_s = measuring.standing_s(way) if alone else measuring.queueing_s(way)  # one picture's is soon gone
        drains_s = max(DRAINS_S_MIN, DRAINS_BITS / max(carries_bps, 1))
        if queueing_s is not None and queueing_s > drains_s:  # what waits is to go, too
            lately_bps = self._steering.measuring.lately_bps(way)
            is_burst = (measuring.out_bps(way) or 0.0) >= BURST_RATIO * carries_bps
            drains_ratio = BURST_DRAINS_RATIO if is_burst else DRAINS_RATIO
            drains_bps = int(min(carries_bps, lately_bps or math.inf) * drains_ratio)
            carries_bps = max(drains_bps, min(carries_bps, DRAINS_BPS_MIN))
        in_use = {**self._open(), TrafficClass.REALTIME: calls}
        return divide(carries_bps, in_use, calls * wants_bps, policy)[TrafficClass.REALTIME] // calls

    def _has_company(self) -> bool:
        """Say whether something else moves beside the calls, or is open when the next one begins."""
        in_use = self._open()
        if in_use[TrafficClass.REALTIME]:
            return not self._steering.calls_alone()
        return bool(in_use.keys() & {TrafficClass.WEB, TrafficClass.BULK})

    def _least_bps(self, way: Way) -> int:
        """Return what a link is taken to carry at least while nobody is sure."""
        if self._open().keys() & {TrafficClass.WEB, TrafficClass.BULK}:
            return CALL_CLAIMS_BPS
        return max(self._again_bps(way), CALL_UNKNOWN_BPS)

    def _again_bps(self, way: Way) -> int:
        found = self._lately_found(way)
        if found is None:
            return 0
        return min(found.good_bps, max(int(found.good_bps * AGAIN_RATIO), PICTURE_BPS), AGAIN_BPS_MAX)

    def _lately_found(self, way: Way) -> Alone | None:
        found = self._found.get(way)
        return found if found is not None and self._clock.now_s() - found.seen_s <= AGAIN_S else None

    def _open(self) -> Counter[TrafficClass]:
        return Counter(flow.traffic_class for flow in self._steering.open.values())


def _begins_bps(before_bps: int, share_bps: int) -> int:
    """Return what a call goes on with that is no longer alone; within a picture, the tenth it had more is no fall."""
    if share_bps >= PICTURE_BPS:
        return min(max(before_bps, PICTURE_BPS), share_bps)
    return max(before_bps, share_bps)
