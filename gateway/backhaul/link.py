"""The backhaul as the rooms see it: ask for a share, say what moved, and be told what the link can carry.

A room says what it is about to take or to send, and waits until it may; `steering` sees to it that what all of them
take together is what the link carries. Nobody else changes what is known of the link.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from gateway.backhaul.budgets import CALL_UNKNOWN_BPS, CALL_WANTS_BPS, Budget, CallBudgets
from gateway.backhaul.flow import WIRE_RATIO, Flow
from gateway.backhaul.sensing.figures import LinkFigures
from gateway.backhaul.sensing.flows import Flows
from gateway.backhaul.sensing.samples import CounterSample, FlowSample
from gateway.backhaul.sensing.samples import Way as Direction
from gateway.backhaul.sensing.silence import Lately, is_expected, look
from gateway.backhaul.sensing.state import LinkState, Progressed
from gateway.backhaul.sensing.watch import Peer, Probe
from gateway.backhaul.sharing.admission import NO_LINK, SURE_CONFIDENCE, Admission, Need, admit, needs_bps
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.policy import Policy
from gateway.backhaul.sharing.shares import Capacity
from gateway.backhaul.sharing.tenants import NOBODY, tenant_of
from gateway.backhaul.steering import Steering
from gateway.backhaul.ways.ways import Way, Ways
from gateway.clock import Clock

_ORDER = MappingProxyType({each: place for place, each in enumerate(TrafficClass)})

__all__ = ["CALL_UNKNOWN_BPS", "CALL_WANTS_BPS", "Backhaul", "Budget", "LinkStatus", "Moved", "Peer", "Probe", "Share"]


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """What the link does now, for pages and metrics."""

    state: LinkState
    told_by: str
    since_s: float
    capacity: Capacity | None


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes a class has carried over the link since the start."""

    down_bytes: int
    up_bytes: int


class Book(Protocol):
    """Where what crossed is written down, for whom."""

    def count(
        self, tenant: str, traffic_class: TrafficClass, *, down_bytes: int = 0, up_bytes: int = 0, device: str = ""
    ) -> None:
        """Count bytes over the link."""
        ...


class Source(Protocol):
    """Where a piece came from: what can be let stand unread in the kernel, so that its sender stops."""

    def is_reading(self) -> bool:
        """Say whether it is read from."""
        ...

    def pause_reading(self) -> None:
        """Let what comes stand."""
        ...

    def resume_reading(self) -> None:
        """Take what comes again."""
        ...


class Share:
    """A claim on the link in one class, while it is open."""

    def __init__(self, backhaul: "Backhaul", number: int, flow: Flow) -> None:
        self._backhaul = backhaul
        self._number = number
        self._flow = flow
        self._carried: socket.socket | None = None  # what carries it

    @property
    def traffic_class(self) -> TrafficClass:
        """The class it is of now."""
        return self._flow.traffic_class

    def rise(self, traffic_class: TrafficClass) -> None:
        """Belong to this class from the next bytes on, if it is served before the one so far."""
        if _ORDER[traffic_class] < _ORDER[self._flow.traffic_class]:
            before, self._flow.traffic_class = self._flow.traffic_class, traffic_class
            self._backhaul.look_again(before)
            self._backhaul.flows.rise(self._number, traffic_class)
            self._backhaul.steering.changed()
            self._backhaul.has_changed()

    def needs(self, *, down_bps: int, up_bps: int) -> None:
        """Send so much whatever its share."""
        self._flow.down_needs_bps, self._flow.up_needs_bps = down_bps, up_bps

    def through(self, sock: socket.socket) -> None:
        """Be carried by this socket from now on, with the marks of its class."""
        if self._carried is not sock:
            self._flow.let_go()
        self._carried = sock
        self._backhaul.steering.wake(self._number)
        self._backhaul.flows.through(self._number, sock, self._flow.traffic_class)

    def leave(self, sock: socket.socket) -> None:
        """Be carried by it no more."""
        self._backhaul.flows.leave(self._number, sock)
        if self._carried is sock:
            self._carried = None
            self._flow.let_go()

    async def begin(self) -> None:
        """Return when something may be asked of the far side: beside a call not everybody at once."""
        await self._backhaul.steering.begin(self._number)

    async def take_down(self, size_bytes: int, source: Source | None = None) -> None:
        """Return when the next piece may be read from `source`, after one of `size_bytes` has come; counts them."""
        self.moved(down_bytes=size_bytes)
        steering = self._backhaul.steering
        if source is None or not steering.holds_reading(self._number) or not source.is_reading():
            await self._wait_down(size_bytes)
            return
        source.pause_reading()
        try:
            await self._wait_down(size_bytes)
        finally:
            source.resume_reading()

    async def _wait_down(self, size_bytes: int) -> None:
        await self._backhaul.wait_allowed(self._flow)
        await self._backhaul.steering.take_down(self._number, size_bytes)

    async def take_up(self, size_bytes: int) -> None:
        """Return when `size_bytes` may be sent to the far side; counts them."""
        await self._backhaul.wait_allowed(self._flow)
        await self._backhaul.steering.take_up(self._number, size_bytes)
        self.moved(up_bytes=size_bytes)

    async def going_up(self, content: bytes) -> AsyncIterator[bytes]:
        """Yield content for the far side in pieces, each when it may be sent; counts them."""
        at = 0
        while at < len(content):
            piece = content[at : at + self._backhaul.steering.piece_bytes]
            await self.take_up(len(piece))
            yield piece
            at += len(piece)

    async def coming_down(self, content: bytes, source: Source | None = None) -> AsyncIterator[bytes]:
        """Yield content that has come from `source`, when the next may be read; counts it."""
        await self.take_down(len(content), source)
        yield content

    def moved(self, *, down_bytes: int = 0, up_bytes: int = 0) -> None:
        """Count bytes that crossed (a call's media are not paced)."""
        self._backhaul.count(self._flow, down_bytes, up_bytes)


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
        ways: Sequence[Way] = (),
        call_wants_bps: int = CALL_WANTS_BPS,
        policy: Policy = Policy(),  # noqa: B008 - frozen
        counters: Callable[[], CounterSample] | None = None,
        marks: bool = True,
        measured: bool = False,
    ) -> None:
        """Make it; with a `capacity`, that is believed; else it is `measured`, or nothing is paced."""
        self._clock = clock
        self.ways = Ways(clock, ways or (Way("", carrier, probe),), peers=peers, on_change=self._tell)
        self.flows = Flows(clock, marks=marks)
        self.flows.bind = self.ways.bind
        self.steering = Steering(
            clock,
            self.flows,
            counters=counters,
            policy=policy,
            told=capacity,
            measures=measured,
            call_wants_bps=call_wants_bps,
        )
        self._budgets = CallBudgets(clock, self.steering, call_wants_bps, on_change=self._tell)
        self._opened = 0  # so far: the number of the next flow
        self._moved = {each: [0, 0] for each in TrafficClass}
        self._changed: set[asyncio.Event] = set()
        self._held: dict[TrafficClass, asyncio.Event] = {}
        self.book: Book | None = None
        self._lately = Lately()
        self.steering.lookers.append(self._look)

    async def run(self) -> None:
        """Watch the link, steer what crosses it, and keep the calls' budgets; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.ways.run(), name="backhaul ways")
            tasks.create_task(self.steering.run(), name="backhaul steering")
            tasks.create_task(self._budgets.run(), name="backhaul budgets")

    def status(self) -> LinkStatus:
        """Return what the link does now."""
        view = self.ways.watch.view
        return LinkStatus(view.state, view.told_by, view.since_s, self._capacity())

    @property
    def is_down(self) -> bool:
        """Whether it is known that nothing can cross now."""
        return self.ways.watch.is_down

    def figures(self) -> LinkFigures:
        """Return what is known of the link now, each figure with how sure it is."""
        return self.steering.figures()

    def moved(self) -> dict[TrafficClass, Moved]:
        """Return the bytes each class has carried."""
        return {each: Moved(*moved) for each, moved in self._moved.items()}

    def open_shares(self) -> dict[TrafficClass, int]:
        """Return how many shares of each class are open."""
        found = Counter(flow.traffic_class for flow in self.steering.open.values())
        return {each: found[each] for each in TrafficClass}

    @contextmanager
    def share(self, traffic_class: TrafficClass, device: str = "") -> Iterator[Share]:
        """Hold a share of the link in a class, for a device of the village, or for the box itself."""
        self._opened += 1
        number = self._opened
        flow = Flow(traffic_class, self.tenant_of(device), device)
        self.steering.opened(number, flow)
        self.has_changed()
        try:
            yield Share(self, number, flow)
        finally:
            self.steering.closed(number)
            self.has_changed()

    def tenant_of(self, device: str) -> str:
        """Return whose a device is."""
        tenants = self.steering.policy.tenants
        return tenant_of(device, tenants) if tenants else NOBODY

    def has_changed(self) -> None:
        """Tell that the shares are not what they were."""
        self._budgets.look()
        self._tell()

    def call_budget(self) -> Budget:
        """Return what each open call may use; with none open, what the next would get."""
        return self._budgets.each()

    def admission(self) -> Admission:
        """Return whether one more call fits, how well, and in what words."""
        if self.is_down:
            return NO_LINK
        calls, budget = self.open_shares()[TrafficClass.REALTIME], self.call_budget()
        need = Need(needs_bps(budget.down_bps), needs_bps(budget.up_bps))
        return admit(self.figures(), [need] * calls, self.steering.policy)

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
        self.steering.tell(capacity)
        self.has_changed()

    def progressed(self, peer: Peer) -> None:
        """Take note that bytes came in from `peer`."""
        self.ways.watch.progressed(peer)

    def heard(self) -> None:
        """Take note that something came over the link, from nobody who could be asked later."""
        self.ways.watch.learn(Progressed())

    def is_known(self) -> bool:
        """Say whether what the link carries is more than a guess, in both directions."""
        figures = self.figures()
        estimates = (figures.down.capacity_bps, figures.up.capacity_bps)
        return all(each is not None and each.confidence >= SURE_CONFIDENCE for each in estimates)

    def is_clear(self, direction: Direction) -> bool:
        """Say whether it is known that nothing waits but what takes turns, or the frames of a call that is alone."""
        return self.steering.measuring.is_clear(direction, calls_alone=self.steering.calls_alone())

    def wants_check(self) -> bool:
        """Say whether trains of packets would tell what nobody knows, and disturb nobody."""
        return self.steering.is_quiet() and not (self.is_known() or self.is_down)

    def checked(self, direction: Direction, content_bps: int) -> None:
        """Take what trains of packets have shown that a direction carries."""
        self.steering.measuring.learn(direction, content_bps * WIRE_RATIO)
        self._budgets.begin_anew()
        self.has_changed()

    def stalled(self, peer: Peer, since_s: float) -> None:
        """Take note that nothing came from `peer` since `since_s` (monotonic)."""
        self.ways.stalled(peer, since_s)

    def wanted(self, peer: Peer) -> None:
        """Take note that somebody asks for `peer` while the link is down: the next probe asks it too."""
        self.ways.watch.wanted(peer)

    def hold(self, traffic_class: TrafficClass, *, held: bool) -> None:
        """Let a class wait, or go on."""
        if held:
            self._held.setdefault(traffic_class, asyncio.Event())
        elif traffic_class in self._held:
            self._held.pop(traffic_class).set()

    def look_again(self, traffic_class: TrafficClass) -> None:
        """Let those who wait in a class that is held see whether they still belong to it."""
        if traffic_class in self._held:
            waiting, self._held[traffic_class] = self._held[traffic_class], asyncio.Event()
            waiting.set()

    async def wait_allowed(self, flow: Flow) -> None:
        """Return when the class of a flow is not held."""
        while (held := self._held.get(flow.traffic_class)) is not None:
            await held.wait()

    def count(self, flow: Flow, down_bytes: int, up_bytes: int) -> None:
        """Write down what has crossed for a flow."""
        moved = self._moved[flow.traffic_class]
        moved[0] += down_bytes
        moved[1] += up_bytes
        flow.counted(down_bytes, up_bytes)
        if self.book is not None:
            self.book.count(
                flow.tenant, flow.traffic_class, down_bytes=down_bytes, up_bytes=up_bytes, device=flow.device
            )

    def _look(self, carried: CounterSample, samples: Sequence[FlowSample]) -> None:
        """Let the watch know whether what should come does."""
        self._lately = look(self._lately, samples)
        due = is_expected(self._lately, samples, carried.at_s) or any(
            each.traffic_class is TrafficClass.REALTIME or each.dials for each in self.steering.open.values()
        )
        self.ways.watch.counted(carried.down_bytes, expected=due)

    def _capacity(self) -> Capacity | None:
        """Return the figure for pages: told, or measured in both directions."""
        if self.steering.told is not None:
            return self.steering.told
        figures = self.figures()
        down, up = figures.down.capacity_bps, figures.up.capacity_bps
        return Capacity(int(down.value), int(up.value)) if down is not None and up is not None else None

    def _tell(self) -> None:
        for changed in self._changed:
            changed.set()
