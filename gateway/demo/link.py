"""An emulated 4G link in user space: everything between the box and its small world crosses the same two bottlenecks.

Up and down are as the village sees them. No privileges are needed: TCP connections and datagrams are relayed between
real sockets of this machine, in the event loop of the box. What a packet suffers on the way is the pure model in
`bottleneck`; this file owns the two directions, the outage and the relays, and closes all of them when it stops.
"""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from gateway.backhaul.dialer import Endpoint, UnreachableError
from gateway.backhaul.sharing.shares import Capacity
from gateway.clock import Clock
from gateway.demo.bottleneck import Bottleneck, Conditions, ConstantRate, Service, TraceRate, WayStatistics
from gateway.demo.link_settings import LinkChange, LinkSettings, Traces, parse_change
from gateway.demo.media import MediaRelay
from gateway.demo.relay import TcpRelay, listen
from gateway.demo.trace import Trace, parse_trace
from gateway.demo.way import Way
from gateway.resources import content

__all__ = ["EmulatedLink", "LinkChange", "LinkSettings", "LinkStatistics", "parse_change", "shipped_traces"]

LOOPBACK = "127.0.0.1"
RELAYS_MAX = 128  # far endpoints at once; one page may name dozens of hosts
MEDIA_MAX = 64  # one or two a call and address
RELAY_IDLE_S = 60.0
RELAY_IDLE_S_MIN = 5.0  # a client that asked for an endpoint connects to it at once
MEDIA_IDLE_S = 600.0
SWEEP_S = 15.0


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """What each direction has done, and what is open."""

    down: WayStatistics
    up: WayStatistics
    connections: int
    in_outage: bool


class EmulatedLink:
    """A link between the box and the world; nothing crosses it before `run` and after it."""

    def __init__(self, clock: Clock, settings: LinkSettings, random: Random, traces: Traces | None = None) -> None:
        self._clock = clock
        self._settings = settings
        self._traces = traces
        conditions, now_s = _conditions(settings), clock.now_s()
        down = _service(settings.trace_down, settings.down_bps, now_s)
        up = _service(settings.trace_up, settings.up_bps, now_s)
        self._down = Way(clock, Bottleneck(down, conditions, random))
        self._up = Way(clock, Bottleneck(up, conditions, random))
        self._reached: dict[Endpoint, TcpRelay] = {}
        self._exposed: list[TcpRelay] = []
        self._media: dict[Endpoint, MediaRelay] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._running = asyncio.Event()
        self._closed = False
        self._outage_until_s = float("-inf")
        self._silent = False
        self._outage_timer: asyncio.TimerHandle | None = None
        self._outage_over = asyncio.Event()
        self._outage_over.set()

    async def run(self) -> None:
        """Carry until cancelled; then close every relay and cut what was open."""
        if self._traces is None:
            self._traces = await asyncio.to_thread(shipped_traces)
        async with asyncio.TaskGroup() as self._tasks:
            try:
                self._running.set()
                while True:
                    await asyncio.sleep(SWEEP_S)
                    self._sweep()
            finally:
                self._close()

    @property
    def settings(self) -> LinkSettings:
        """What the link is set to."""
        return self._settings

    def set(self, settings: LinkSettings) -> None:
        """Change the link from now on; what has left its queue arrives as it would have."""
        before, self._settings = self._settings, settings
        conditions, now_s = _conditions(settings), self._clock.now_s()
        for way, was, becomes in (
            (self._down, (before.trace_down, before.down_bps), (settings.trace_down, settings.down_bps)),
            (self._up, (before.trace_up, before.up_bps), (settings.trace_up, settings.up_bps)),
        ):
            way.change(conditions, None if was == becomes else _service(*becomes, now_s))

    def apply(self, change: LinkChange) -> None:
        """Do what a request asked for."""
        self.set(change.applied_to(self._settings, self._traces or {}))
        if change.outage_s is not None:
            self.outage(change.outage_s, silent=change.silent)

    def outage(self, seconds: float, *, silent: bool = False) -> None:
        """Carry nothing for `seconds` from now; 0 ends an outage. A silent one leaves the modem its carrier."""
        was_out = self.in_outage()
        self._outage_until_s = self._clock.now_s() + seconds
        self._silent = silent
        if self._outage_timer is not None:
            self._outage_timer.cancel()
            self._outage_timer = None
        for way in (self._down, self._up):
            way.block(self._outage_until_s)
        if seconds <= 0:
            self._resume()
            return
        self._outage_over.clear()
        if not was_out:
            for relay in self._relays():
                relay.shut()
        self._outage_timer = asyncio.get_running_loop().call_later(seconds, self._resume)

    def in_outage(self) -> bool:
        """Whether nothing crosses now."""
        return not self._outage_over.is_set()

    async def wait_outage_over(self) -> None:
        """Return when packets cross again; at once when they do."""
        await self._outage_over.wait()

    def carrier(self) -> bool:
        """Whether the modem says it has the network."""
        return self._silent or not self.in_outage()

    def capacity(self) -> Capacity:
        """Return what the link carries, on average where a trace runs."""
        return self._settings.capacity()

    def statistics(self) -> LinkStatistics:
        """Return what each direction has done, and what is open."""
        connections = sum(len(relay.connections) for relay in self._relays())
        return LinkStatistics(self._down.statistics(), self._up.statistics(), connections, self.in_outage())

    async def reach(self, host: str, port: int) -> Endpoint:
        """Return where the box connects to, so as to reach a far address over the link.

        Raises: UnreachableError when the link is closed, or reaches as many as it can.
        """
        tasks = await self._wait_running()
        target = Endpoint(host, port)
        relay = self._reached.get(target)
        if relay is None:
            self._make_room()
            relay = TcpRelay(self._clock, self._up, self._down, _listen(LOOPBACK, 0), target, tasks)
            self._reached[target] = self._begin(relay)
        relay.touch()
        return relay.endpoint

    async def expose(self, host: str, port: int, listen_port: int = 0) -> Endpoint:
        """Return where the far side connects to, so as to reach a listener of the box over the link.

        Raises: UnreachableError when the link is closed or the port is taken.
        """
        tasks = await self._wait_running()
        listening = _listen(LOOPBACK, listen_port)
        relay = TcpRelay(self._clock, self._down, self._up, listening, Endpoint(host, port), tasks)
        self._exposed.append(self._begin(relay))
        return relay.endpoint

    async def media(self, local: Endpoint) -> Endpoint:
        """Return where the far side sends datagrams to, so that they reach `local` over the link: on the same address.

        Raises: UnreachableError when the link is closed, or relays as many as it can.
        """
        await self._wait_running()
        relay = self._media.get(local)
        if relay is None:
            if len(self._media) >= MEDIA_MAX:
                raise UnreachableError("too many media relays")
            try:
                relay = self._media[local] = MediaRelay(self._clock, self._down, self._up, local)
            except OSError as exc:
                raise UnreachableError("no such address on this machine") from exc
        return relay.endpoint

    @property
    def direct(self) -> bool:
        """Whether the box may send to a far browser's own addresses: it may not, that would pass by the link."""
        return False

    async def advertise(self, local: Endpoint) -> Endpoint:
        """Return the address a far browser must use to reach the box's `local` (the clinic's word for `media`)."""
        return await self.media(local)

    def release(self, local: Endpoint) -> None:
        """Close the relay of a socket that is closed itself."""
        relay = self._media.pop(local, None)
        if relay is not None:
            relay.close()

    async def _wait_running(self) -> asyncio.TaskGroup:
        await self._running.wait()
        if self._closed or self._tasks is None:
            raise UnreachableError("the link is closed")
        return self._tasks

    def _begin(self, relay: TcpRelay) -> TcpRelay:
        relay.open()
        if self.in_outage():
            relay.shut()
        return relay

    def _resume(self) -> None:
        if not self._outage_over.is_set():
            self._outage_over.set()
            for relay in self._relays():
                relay.open()

    def _relays(self) -> Sequence[TcpRelay]:
        return [*self._reached.values(), *self._exposed]

    def _make_room(self) -> None:
        if len(self._reached) >= RELAYS_MAX:
            self._sweep(RELAY_IDLE_S_MIN)
        if len(self._reached) >= RELAYS_MAX:
            raise UnreachableError("too many far addresses at once")

    def _sweep(self, relay_idle_s: float = RELAY_IDLE_S) -> None:
        """Close relays that nobody uses."""
        now_s = self._clock.now_s()
        for target, relay in list(self._reached.items()):
            if not relay.connections and now_s - relay.used_s > relay_idle_s:
                self._reached.pop(target).close()
        for local, media in list(self._media.items()):
            media.expire()
            if now_s - media.used_s > MEDIA_IDLE_S:
                self._media.pop(local).close()

    def _close(self) -> None:
        self._closed = True
        if self._outage_timer is not None:
            self._outage_timer.cancel()
        self._outage_over.set()
        for way in (self._down, self._up):
            way.close()
        for relay in self._relays():
            relay.close()
        for media in self._media.values():
            media.close()
        self._reached.clear()
        self._exposed.clear()
        self._media.clear()


def shipped_traces() -> Traces:
    """Read the traces that travel with the program."""
    folder = content() / "demo" / "traces"
    down, up = (parse_trace((folder / f"small.{way}").read_text(encoding="ascii")) for way in ("down", "up"))
    return {"small": (down, up)}


def _conditions(settings: LinkSettings) -> Conditions:
    return Conditions(settings.delay_s, settings.queue_bytes, settings.loss_ratio)


def _service(trace: Trace | None, rate_bps: int, now_s: float) -> Service:
    return TraceRate(trace, now_s) if trace else ConstantRate(rate_bps, now_s)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as exc:
        raise UnreachableError("the port is taken") from exc
