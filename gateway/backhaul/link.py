"""The backhaul as the rooms see it: ask for a share, say what moved, and be told what the link can carry.

It owns the link's view, the open shares and the pacers; nobody else changes them. Capacity is what it was told (by the
settings, or by whoever set the link); without a figure nothing is paced and calls get a cautious budget.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from gateway.backhaul.sensing.state import (
    CarrierChanged,
    Evidence,
    LinkState,
    LinkView,
    ProbeFailed,
    Progressed,
    Stalled,
    step,
)
from gateway.backhaul.shaping.pacer import Pacer
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.shares import Capacity, divide
from gateway.clock import Clock

CALL_WANTS_BPS = 800_000  # one 640×480 picture at 700 kb/s, its voice and their headers, one direction
CALL_UNKNOWN_BPS = 300_000  # budget where no capacity is known: holds on all but the weakest 4G
CARRIER_POLL_S = 1.0
PROBE_PAUSE_S = 1.0
PROBE_EACH_MAX = 2  # of those configured, those last heard of, and those last asked for in vain

Peer = tuple[str, int]
Probe = Callable[[Peer], Coroutine[None, None, bool]]
_log = structlog.get_logger("backhaul")


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """What the link does now, for pages and metrics."""

    state: LinkState
    told_by: str
    since_s: float
    capacity: Capacity | None


@dataclass(frozen=True, slots=True)
class Budget:
    """What one call may use in each direction, in bit/s; all of it: voice, picture and headers."""

    down_bps: int
    up_bps: int


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes a class has carried over the link since the start."""

    down_bytes: int
    up_bytes: int


class Share:
    """A claim on the link in one class, while it is open."""

    def __init__(self, backhaul: "Backhaul", traffic_class: TrafficClass) -> None:
        self._backhaul = backhaul
        self.traffic_class = traffic_class
        self._former: list[TrafficClass] = []  # what still waits in one must not find it closed

    def rise(self, traffic_class: TrafficClass) -> None:
        """Belong to this class from the next bytes on, if it is served before the one so far."""
        order = list(TrafficClass)
        if order.index(traffic_class) < order.index(self.traffic_class):
            self._former.append(self.traffic_class)
            self.traffic_class = traffic_class
            self._backhaul.hold(traffic_class)

    def settle(self) -> None:
        """Let go of the classes it has risen from."""
        while self._former:
            self._backhaul.let_go(self._former.pop())

    async def take_down(self, size_bytes: int) -> None:
        """Return when `size_bytes` from the far side may be taken in, one piece after another; counts them."""
        self.settle()
        await self._backhaul.pace(self.traffic_class, down_bytes=size_bytes)

    async def take_up(self, size_bytes: int) -> None:
        """Return when `size_bytes` may be sent to the far side; counts them."""
        await self._backhaul.pace(self.traffic_class, up_bytes=size_bytes)

    def moved(self, *, down_bytes: int = 0, up_bytes: int = 0) -> None:
        """Count bytes that crossed without being paced (a call's media)."""
        self._backhaul.count(self.traffic_class, down_bytes, up_bytes)


class Backhaul:
    """One link, shared by what matters."""

    def __init__(
        self,
        clock: Clock,
        *,
        capacity: Capacity | None,
        carrier: Callable[[], bool],
        probe: Probe,
        peers: tuple[Peer, ...] = (),
        call_wants_bps: int = CALL_WANTS_BPS,
    ) -> None:
        self._clock = clock
        self._carrier = carrier
        self._probe = probe
        self._capacity = capacity
        self._call_wants_bps = call_wants_bps
        self._view = LinkView(since_s=clock.now_s())
        self._open: Counter[TrafficClass] = Counter()
        self._down: Counter[TrafficClass] = Counter()
        self._up: Counter[TrafficClass] = Counter()
        self._pacers = {(each, way): self._pacer(each, way) for each in TrafficClass for way in ("down", "up")}
        self._configured = deque(peers)
        self._heard: deque[Peer] = deque(maxlen=PROBE_EACH_MAX)  # who answered, the latest last
        self._wanted: deque[Peer] = deque(maxlen=PROBE_EACH_MAX)  # who was asked for and did not answer
        self._changed: set[asyncio.Event] = set()
        self._doubt = asyncio.Event()

    async def run(self) -> None:
        """Watch the carrier, and probe while the link is in doubt; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_carrier(), name="backhaul carrier")
            tasks.create_task(self._probe_in_doubt(), name="backhaul probe")

    def status(self) -> LinkStatus:
        """Return what the link does now."""
        return LinkStatus(self._view.state, self._view.told_by, self._view.since_s, self._capacity)

    @property
    def is_down(self) -> bool:
        """Whether it is known that nothing can cross now."""
        return self._view.state is LinkState.DOWN

    def moved(self) -> dict[TrafficClass, Moved]:
        """Return the bytes each class has carried."""
        return {each: Moved(self._down[each], self._up[each]) for each in TrafficClass}

    def open_shares(self) -> dict[TrafficClass, int]:
        """Return how many shares of each class are open."""
        return {each: self._open[each] for each in TrafficClass}

    @contextmanager
    def share(self, traffic_class: TrafficClass) -> Iterator[Share]:
        """Hold a share of the link in a class."""
        share = Share(self, traffic_class)
        self.hold(traffic_class)
        try:
            yield share
        finally:
            share.settle()
            self.let_go(share.traffic_class)

    def hold(self, traffic_class: TrafficClass) -> None:
        """Count one more share of a class."""
        self._open[traffic_class] += 1
        self._tell()

    def let_go(self, traffic_class: TrafficClass) -> None:
        """Count one share of a class less."""
        self._open[traffic_class] -= 1
        self._tell()

    def call_budget(self) -> Budget:
        """Return what each open call may use; with none open, what the next would get."""
        calls = max(self._open[TrafficClass.REALTIME], 1)
        if self._capacity is None:
            return Budget(CALL_UNKNOWN_BPS // calls, CALL_UNKNOWN_BPS // calls)
        in_use = {**self._open, TrafficClass.REALTIME: calls}
        down, up = (
            divide(bps, in_use, calls * self._call_wants_bps)[TrafficClass.REALTIME]
            for bps in (self._capacity.down_bps, self._capacity.up_bps)
        )
        return Budget(down // calls, up // calls)

    async def changes(self) -> AsyncGenerator[LinkStatus, None]:
        """Yield the status now, and again each time it or a budget may have changed."""
        changed = asyncio.Event()
        self._changed.add(changed)
        try:
            while True:
                yield self.status()
                await changed.wait()
                changed.clear()
        finally:
            self._changed.discard(changed)

    def tell_capacity(self, capacity: Capacity | None) -> None:
        """Take a figure for what the link can carry."""
        self._capacity = capacity
        self._tell()

    def progressed(self, peer: Peer) -> None:
        """Take note that bytes came in from `peer`."""
        _put_last(self._heard, peer)
        self._learn(Progressed())

    def stalled(self, peer: Peer, since_s: float) -> None:
        """Take note that nothing came from `peer` since `since_s` (monotonic)."""
        _put_last(self._wanted, peer)
        self._learn(Stalled(since_s))

    def wanted(self, peer: Peer) -> None:
        """Take note that somebody asks for `peer` while the link is down: the next probe asks it too."""
        _put_last(self._wanted, peer)

    async def pace(self, traffic_class: TrafficClass, *, down_bytes: int = 0, up_bytes: int = 0) -> None:
        """Return when these bytes may pass in their class; counts them."""
        if down_bytes:
            await self._pacers[traffic_class, "down"].take(down_bytes)
        if up_bytes:
            await self._pacers[traffic_class, "up"].take(up_bytes)
        self.count(traffic_class, down_bytes, up_bytes)

    def count(self, traffic_class: TrafficClass, down_bytes: int, up_bytes: int) -> None:
        """Add to the account of a class."""
        self._down[traffic_class] += down_bytes
        self._up[traffic_class] += up_bytes

    def _pacer(self, traffic_class: TrafficClass, way: str) -> Pacer:
        def rate_bps() -> int | None:
            if self._capacity is None:
                return None
            capacity_bps = self._capacity.down_bps if way == "down" else self._capacity.up_bps
            calls_want_bps = self._open[TrafficClass.REALTIME] * self._call_wants_bps
            return divide(capacity_bps, self._open, calls_want_bps)[traffic_class]

        return Pacer(rate_bps, self._clock.now_s)

    def _learn(self, evidence: Evidence) -> None:
        before = self._view.state
        self._view = step(self._view, evidence, self._clock.now_s())
        if self._view.state is before:
            return
        _log.info("link.changed", state=self._view.state.value, told_by=self._view.told_by)
        if self._view.state is LinkState.UP:
            self._doubt.clear()
        else:
            self._doubt.set()
        self._tell()

    def _tell(self) -> None:
        for changed in self._changed:
            changed.set()

    async def _watch_carrier(self) -> None:
        while True:
            self._learn(CarrierChanged(self._carrier()))
            await asyncio.sleep(CARRIER_POLL_S)

    async def _probe_in_doubt(self) -> None:
        while True:
            await self._doubt.wait()
            if self._view.carrier and not await self._any_answers():
                self._learn(ProbeFailed())
            await asyncio.sleep(PROBE_PAUSE_S)

    async def _any_answers(self) -> bool:
        """Ask the peers last heard of, all at once; any answer, a refusal too, is progress."""
        self._configured.rotate(-1)
        configured = list(self._configured)[:PROBE_EACH_MAX]
        peers = dict.fromkeys([*configured, *self._heard, *self._wanted])
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(self._probe(peer), name="backhaul probe peer") for peer in peers]
        answered = any(each.result() for each in asked)
        if answered:
            self._learn(Progressed())
        return answered


def _put_last(peers: deque[Peer], peer: Peer) -> None:
    if peer in peers:
        peers.remove(peer)
    peers.append(peer)
