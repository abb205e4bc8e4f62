"""The ways out of the village: each is watched, one is taken, and new connections go by it.

With one way this is its watch and nothing more. With more, the order of preference decides (`order`): what is cut is
left as soon as its watch says so, its connections are cut too, so that rooms do not wait for them but dial again; what
is better is asked first, a few bytes each `CHECK_S`, before it is gone back to. Connections that work may end where
they are on a return, for `LEAVE_S`: what is open for hours would else stay on the way that costs more.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakSet

import structlog

from gateway.backhaul.dialer import Dialer
from gateway.backhaul.sensing.interface import Handshakes, carrier_of, default_interface, probe_by
from gateway.backhaul.sensing.state import LinkView, ModemChanged
from gateway.backhaul.sensing.watch import Peer, Probe, Watch, WatchStatistics, know_already
from gateway.backhaul.ways.binding import bind_to, cut
from gateway.backhaul.ways.modem_view import ModemView
from gateway.backhaul.ways.order import Order, Standing, better_than, choose
from gateway.clock import Clock

CHECK_S = 10.0  # between two looks at a way that is to be gone back to
LEAVE_S = 120.0  # 7 MB at 0.5 Mbit/s: most of what a village fetches has ended by then
_log = structlog.get_logger("backhaul")


@dataclass(frozen=True, slots=True)
class Way:
    """One way out: what it is called, its device, and how it is looked at."""

    name: str
    carrier: Callable[[], bool]
    probe: Probe
    interface: str | None = None  # None: whichever the machine's routes choose; its sockets are bound to none


@dataclass(frozen=True, slots=True)
class WayStatus:
    """How one way is, for pages and metrics."""

    name: str
    interface: str | None
    active: bool
    spent: bool
    view: LinkView
    probing: WatchStatistics


@dataclass(slots=True)
class _Watched:
    way: Way
    watch: Watch
    spent: bool = False
    made: WeakSet[socket.socket] = field(default_factory=WeakSet)

    def cut(self) -> None:
        """End the connections that were made over it."""
        for sock in tuple(self.made):
            cut(sock)
        self.made.clear()

    def standing(self) -> Standing:
        view = self.watch.view
        return Standing(self.way.name, view.state, view.since_s, self.spent)


def way_by(interface: str, name: str, dialer: Dialer) -> Way:
    """Return the way by this interface: its sockets are bound to it, and so are its probes."""
    probe = probe_by(dialer, partial(_bind_to, interface))
    return Way(name, carrier_of(interface), probe, interface)


class Ways:
    """Every way, and which is taken."""

    def __init__(
        self, clock: Clock, ways: Sequence[Way], *, peers: tuple[Peer, ...] = (), on_change: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        self._ways = {way.name: self._watched(way, peers) for way in ways}
        self._order = Order(ways[0].name, clock.now_s())
        self._changed: set[asyncio.Event] = set()

    async def run(self) -> None:
        """Watch every way, and go back to a better one; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for each in self._ways.values():
                tasks.create_task(each.watch.run(), name=f"backhaul way {each.way.name}")
            if len(self._ways) > 1:
                tasks.create_task(self._go_back(), name="backhaul ways")

    @property
    def active(self) -> str:
        """The name of the way that is taken."""
        return self._order.active

    @property
    def interface(self) -> str | None:
        """The device of the way that is taken; `None` where the machine's routes choose."""
        return self._active.way.interface

    @property
    def watch(self) -> Watch:
        """What watches the way that is taken."""
        return self._active.watch

    def carries(self, name: str) -> bool:
        """Whether a way is not known to be down."""
        return not self._ways[name].watch.is_down

    def status(self) -> tuple[WayStatus, ...]:
        """Return how every way is, in the operator's order."""
        return tuple(
            WayStatus(
                name, each.way.interface, name == self.active, each.spent, each.watch.view, each.watch.statistics()
            )
            for name, each in self._ways.items()
        )

    def bind(self, sock: socket.socket) -> None:
        """Let a socket that is not connected yet go by the way that is taken, and be cut when that is dead.

        Raises: OSError, where its device is gone.
        """
        if self.interface is not None:
            bind_to(sock, self.interface)
            self._active.made.add(sock)

    def stalled(self, peer: Peer, since_s: float) -> None:
        """Take note that nothing came from `peer` since `since_s`; what began on another way says nothing of this."""
        if since_s >= self._order.since_s or len(self._ways) == 1:
            self.watch.stalled(peer, since_s)

    def spend(self, name: str, *, spent: bool) -> None:
        """Take note whether a way's allowance is spent."""
        way = self._ways.get(name)
        if way is not None and way.spent is not spent:
            way.spent = spent
            self._reconsider()

    def hear_modems(self, views: Sequence[ModemView]) -> None:
        """Take what the modems say of the ways they are."""
        for each in self._ways.values():
            device = each.way.interface or default_interface()
            modem = next((view for view in views if device and view.interface == device), None)
            connected = modem is not None and modem.connected
            known = each.watch.view.connected
            if connected is not known and (modem is not None or known is not None):
                each.watch.learn(ModemChanged(connected))

    @property
    def _active(self) -> _Watched:
        return self._ways[self._order.active]

    def _watched(self, way: Way, peers: tuple[Peer, ...]) -> _Watched:
        def changed(view: LinkView) -> None:
            del view
            self._reconsider()
            self._on_change()

        return _Watched(
            way,
            Watch(
                self._clock,
                carrier=way.carrier,
                probe=way.probe,
                peers=peers,
                on_change=changed,
                find=way.probe.find if isinstance(way.probe, Handshakes) else know_already,
                name=way.name,
            ),
        )

    def _reconsider(self) -> None:
        before, now_s = self._active, self._clock.now_s()
        self._order = choose(self._order, [each.standing() for each in self._ways.values()], now_s)
        late = now_s - self._order.since_s >= LEAVE_S
        for each in self._ways.values():
            if each is not self._active and (late or each.watch.is_down):
                each.cut()
        if self._active is not before:
            _log.info("link.way", way=self.active, before=before.way.name, told_by=before.watch.view.told_by)
            self._on_change()

    async def _go_back(self) -> None:
        while True:
            await asyncio.sleep(CHECK_S)
            standings = {name: each.standing() for name, each in self._ways.items()}
            for better in better_than(standings[self.active], list(standings.values())):
                if await self._ways[better.name].watch.check():
                    break
            self._reconsider()


def _bind_to(interface: str, sock: socket.socket) -> None:
    bind_to(sock, interface)
