"""The web room: sites by host name and a forward proxy, on one set of rules and one store.

Start and stop it from one task: its fetches live in a task group that `start` enters and `stop` leaves, so nothing
outlives it. Stop the listeners before it; `close_tunnels` lets them stop without waiting for tunnels.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from aiohttp import HttpVersion11, web
from yarl import URL

from gateway.backhaul.classes import TrafficClass
from gateway.backhaul.dialer import Dialer
from gateway.backhaul.link import Backhaul
from gateway.backhaul.state import LinkState
from gateway.clock import Clock
from gateway.errors import N_, BadRequest, GatewayError, NoCapacity, NotAllowed, WrongHost, WrongMethod
from gateway.web.answer import send_head_only
from gateway.web.asking import PROXY, Ask
from gateway.web.exchange import Exchange
from gateway.web.faults import Loop
from gateway.web.fetch import Fetches
from gateway.web.fields import Fields, delta_seconds, first, from_wire
from gateway.web.forwarding import as_at_site, content_length, end_to_end, has_passed
from gateway.web.means import Means, Route
from gateway.web.origin import Deadlines, OriginClient
from gateway.web.site import Site
from gateway.web.statistics import Counters, WebStatistics
from gateway.web.status import refused
from gateway.web.store import Store
from gateway.web.target import host_asked_for, of_proxy, of_site, of_tunnel
from gateway.web.tunnel import Tunnels

PER_DEVICE_MAX = 48  # requests under way; a browser opens 32 connections to a proxy, 6 to a site
CODING_THREADS = 2  # of the cores; the loop has the rest
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


@dataclass(frozen=True, slots=True)
class WebLimits:
    """The settings of the room."""

    size_bytes_max: int
    memory_bytes_max: int
    object_bytes_max: int
    request_bytes_max: int
    connect_s: float
    silence_s: float
    tunnels_max: int


class WebRoom:
    """Everything between a browser and the sites."""

    def __init__(
        self,
        *,
        folder: Path,
        name: str,
        sites: Sequence[Site],
        limits: WebLimits,
        clock: Clock,
        backhaul: Backhaul,
        site_dialer: Dialer,
        proxy_dialer: Dialer | None,
    ) -> None:
        self.sites = tuple(sites)
        self._by_host = {host: site for site in self.sites for host in site.hosts}
        self._name = name
        self._backhaul = backhaul
        self._busy: Counter[str] = Counter()  # requests under way of each device
        self._counters = Counters()
        deadlines = Deadlines(limits.connect_s, limits.silence_s)
        self._site_client = OriginClient(site_dialer, deadlines, backhaul, clock)
        self._proxy_client = OriginClient(proxy_dialer, deadlines, backhaul, clock) if proxy_dialer else None
        self._tunnels = (
            Tunnels(
                proxy_dialer,
                backhaul,
                clock,
                self._counters,
                connect_s=limits.connect_s,
                tunnels_max=limits.tunnels_max,
            )
            if proxy_dialer
            else None
        )
        self._store = Store(folder, size_bytes_max=limits.size_bytes_max, memory_bytes_max=limits.memory_bytes_max)
        self._fetches = Fetches(
            self._store, backhaul, clock, self._counters, name=name, object_bytes_max=limits.object_bytes_max
        )
        self._means = Means(
            store=self._store,
            fetches=self._fetches,
            backhaul=backhaul,
            clock=clock,
            counters=self._counters,
            pool=ThreadPoolExecutor(CODING_THREADS, "web-coding"),
            name=name,
            object_bytes_max=limits.object_bytes_max,
            request_bytes_max=limits.request_bytes_max,
            silence_s=limits.silence_s,
        )
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Open the store, and be ready to serve."""
        async with AsyncExitStack() as starting:
            for client in self._clients():
                await client.start()
                starting.push_async_callback(client.stop)
            starting.callback(self._means.pool.shutdown, wait=False)
            await self._store.start()
            starting.push_async_callback(self._store.stop)
            tasks = await starting.enter_async_context(asyncio.TaskGroup())
            self._fetches.live_in(tasks)
            watching = tasks.create_task(self._watch_link(), name="web link")
            starting.callback(watching.cancel)
            starting.callback(self._fetches.stop)
            self._running = starting.pop_all()

    async def stop(self) -> None:
        """End tunnels and fetches, close the store."""
        self.close_tunnels()
        await self._running.aclose()

    def close_tunnels(self) -> None:
        """End every tunnel, so that a listener that stops need not wait for them."""
        if self._tunnels:
            self._tunnels.close()

    def serves(self, host: str) -> bool:
        """Say whether a host name, in small letters and without port, is that of a site."""
        return host in self._by_host

    def statistics(self) -> WebStatistics:
        """Return what was done so far, and what is stored."""
        return WebStatistics(
            **asdict(self._counters),
            stored_objects=self._store.objects,
            stored_bytes=self._store.size_bytes,
            memory_bytes=self._store.memory_bytes,
            fetches_open=self._fetches.open,
            failures_in_a_row=self._store.failures_in_a_row,
        )

    async def serve_site(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request for one of the sites.

        Raises: GatewayError.
        """
        fields, target = self._read(request)
        if request.method == "CONNECT":
            raise WrongMethod  # a site is no proxy, and an origin that takes it would be a tunnel without a guard
        host = first(fields, "host")
        site = self._by_host.get(host_asked_for(target, host))
        if site is None:
            raise WrongHost
        if target.raw_path == "*" or _ends_here(request.method, fields):
            return await self._options(request)
        moved = as_at_site(fields, host=host or "", scheme=request.scheme, origin=site.origin)
        ask = _ask(request, of_site(site.origin, target), moved, site.name)
        return await self._answer(request, ask, Route(self._site_client, site.traffic_class, site.origin))

    async def serve_proxy(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request of a browser that has this box as its proxy.

        Raises: GatewayError.
        """
        fields, target = self._read(request)
        if self._proxy_client is None or self._tunnels is None:
            raise NotAllowed
        if request.method == "CONNECT":
            if content_length(fields) or first(fields, "transfer-encoding"):
                raise BadRequest(N_("A tunnel's request has no body."))  # RFC 9110 §9.3.6
            return await self._tunnels.serve(request, *of_tunnel(target))
        url = of_proxy(target)
        if _ends_here(request.method, fields):
            return await self._options(request)
        return await self._answer(
            request, _ask(request, url, fields, PROXY), Route(self._proxy_client, TrafficClass.WEB)
        )

    async def _answer(self, request: web.BaseRequest, ask: Ask, route: Route) -> web.StreamResponse:
        device = request.remote or ""
        if self._busy[device] >= PER_DEVICE_MAX:
            raise NoCapacity(N_("This device asks for too much at once."))
        self._busy[device] += 1
        try:
            return await Exchange(self._means, request, ask, route).answer()
        except GatewayError as exc:
            self._counters.refused += 1
            exc.headers["Cache-Status"] = refused(exc.code)
            raise
        finally:
            self._busy[device] -= 1
            if not self._busy[device]:
                del self._busy[device]

    def _read(self, request: web.BaseRequest) -> tuple[Fields, URL]:
        """Return a request's fields and target; what no listener of ours takes is refused here."""
        fields = from_wire(request.raw_headers)
        if request.method == "TRACE":
            raise WrongMethod  # RFC 9110 §9.3.8: it would show a browser's cookies to its scripts
        if request.version < HttpVersion11 and first(fields, "transfer-encoding") is not None:
            raise BadRequest(N_("The request is not valid HTTP."))  # RFC 9112 §6.1
        if has_passed(fields, self._name):
            raise Loop
        return fields, request._message.url  # the target as it was sent; `request.url` changes its scheme

    async def _options(self, request: web.BaseRequest) -> web.StreamResponse:
        return await send_head_only(request, 200, (("Allow", METHODS),))

    def _clients(self) -> list[OriginClient]:
        return [client for client in (self._site_client, self._proxy_client) if client is not None]

    async def _watch_link(self) -> None:
        """End waits that became vain the moment the link goes down."""
        async for status in self._backhaul.changes():
            if status.state is LinkState.DOWN:
                self._fetches.interrupt()


def _ask(request: web.BaseRequest, url: str, fields: Fields, site: str) -> Ask:
    return Ask(request.method, url, end_to_end(fields), has_content=request.body_exists, site=site)


def _ends_here(method: str, fields: Fields) -> bool:
    """RFC 9110 §7.6.2: an OPTIONS request that may go no further is answered here."""
    return method == "OPTIONS" and delta_seconds(first(fields, "max-forwards")) == 0
