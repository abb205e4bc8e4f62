"""The web room: sites by host name and a forward proxy, on one set of rules and one store.

Start and stop it from one task: its fetches live in a task group that `start` enters and `stop` leaves, so nothing
outlives it. Stop the listeners before it; `close_tunnels` lets them stop without waiting for tunnels.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from aiohttp import HttpVersion11, web
from yarl import URL

from gateway.backhaul.classes import TrafficClass
from gateway.backhaul.dialer import Dialer
from gateway.backhaul.link import Backhaul
from gateway.backhaul.state import LinkState
from gateway.clock import Clock
from gateway.errors import N_, BadRequest, GatewayError, LinkDown, NoCapacity, NotAllowed, WrongHost, WrongMethod
from gateway.web.access_log import AccessLog
from gateway.web.answer import BareAnswer, send_head_only
from gateway.web.asking import PROXY, Ask
from gateway.web.early import EarlyAnswers
from gateway.web.exchange import Exchange
from gateway.web.faults import Loop
from gateway.web.fetch import Fetches
from gateway.web.fields import Fields, delta_seconds, first, from_wire
from gateway.web.forwarding import as_at_site, content_length, end_to_end, has_passed
from gateway.web.gather import Gatherer, Realm
from gateway.web.housekeeping import Housekeeping
from gateway.web.kept import KeptForLater, KeptLimits, KeptState, belongs
from gateway.web.kept_list import KeptList
from gateway.web.kept_run import KeptRun
from gateway.web.limits import WebLimits
from gateway.web.means import Means, Route
from gateway.web.origin import Deadlines, OriginClient
from gateway.web.saver.saver import Saver, SaverLimits
from gateway.web.site import Site
from gateway.web.statistics import Counters, WebStatistics
from gateway.web.status import CACHE, FIELD, refused
from gateway.web.store import Store
from gateway.web.target import bare_query, host_asked_for, of_proxy, of_tunnel
from gateway.web.tunnel import Tunnels
from gateway.web.warm import Warming
from gateway.web.warm_fetch import WarmFetcher

NOTES_S = 5.0  # between two writes of what early answers did
CODING_THREADS = 2  # of the cores; the loop has the rest
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


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
        access_log: Path | None = None,
        kept: KeptLimits = KeptLimits(),  # noqa: B008 - frozen
        saver: SaverLimits = SaverLimits(),  # noqa: B008 - frozen
    ) -> None:
        self.sites = tuple(sites)
        self._by_host = {host: site for site in self.sites for host in site.hosts}
        self._name = name
        self._backhaul = backhaul
        self._busy: Counter[str] = Counter()  # requests under way of each device
        self._clock = clock
        self._counters = Counters()
        self._log = AccessLog(access_log)
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
                idle_s=limits.tunnel_idle_s,
            )
            if proxy_dialer
            else None
        )
        self._store = Store(
            folder,
            size_bytes_max=limits.size_bytes_max,
            memory_bytes_max=limits.memory_bytes_max,
            free_bytes_min=limits.free_bytes_min,
            write_every_s=limits.write_every_s,
            clock=clock,
        )
        self._fetches = Fetches(
            self._store,
            backhaul,
            clock,
            self._counters,
            name=name,
            limits=limits,
        )
        pool = ThreadPoolExecutor(CODING_THREADS, "web-coding")
        self.saver = Saver(self._store, saver, pool, on_better=self._changed)
        self._means = Means(
            store=self._store,
            fetches=self._fetches,
            backhaul=backhaul,
            clock=clock,
            counters=self._counters,
            saver=self.saver,
            pool=pool,
            name=name,
            limits=limits,
        )
        realms = {site.name: Realm(self._site_client, site.query) for site in self.sites}
        realms |= {PROXY: Realm(self._proxy_client)} if self._proxy_client else {}
        self.gatherer = Gatherer(realms, self._store, self._fetches, backhaul, clock, self._means.pool)
        self.kept = KeptList(folder / "kept.list", kept, clock, self._belongs, secrets.token_bytes(32))
        self._kept_run = KeptRun(self.kept, self.gatherer, backhaul, clock, kept, self._means.pool)
        self.warming = Warming(
            self.sites,
            WarmFetcher({site.name: site.query for site in self.sites}, self.gatherer, self._store, self._means.pool),
            backhaul,
            clock,
            folder / "warm.json",
        )
        self.housekeeping = Housekeeping(
            self.sites,
            self._store,
            self.warming,
            served=self._log.served,
            waiting=lambda site: self.kept.count(KeptState.WAITING, site=site),
            size_bytes_max=limits.size_bytes_max,
        )
        self.site_early = EarlyAnswers(clock, self._counters, self._log, bytes_max=limits.memory_bytes_max // 2)
        self.proxy_early = EarlyAnswers(clock, self._counters, self._log, bytes_max=limits.memory_bytes_max // 4)
        self._store.on_change, self._store.on_clear = self._changed, self._cleared
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
            await asyncio.get_running_loop().run_in_executor(self._means.pool, self.kept.load)
            starting.push_async_callback(self._kept_run.write)
            tasks = await starting.enter_async_context(asyncio.TaskGroup())
            self._fetches.live_in(tasks)
            self.saver.live_in(tasks)
            starting.push_async_callback(self.saver.stop)
            realms = {site.name for site in self.sites} | ({PROXY} if self._proxy_client else set())
            tending = tasks.create_task(self._store.tend(realms), name="web store")
            starting.callback(tending.cancel)
            watching = tasks.create_task(self._watch_link(), name="web link")
            starting.callback(watching.cancel)
            keeping = tasks.create_task(self._kept_run.run(), name="web kept")
            starting.callback(keeping.cancel)
            starting.push_async_callback(self._write_log)
            noting = tasks.create_task(self._take_notes(), name="web notes")
            starting.callback(noting.cancel)
            await self.warming.start()
            warming = tasks.create_task(self.warming.run(), name="web warm")
            starting.callback(warming.cancel)
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
            disk_is_full=self._store.is_full,
            warm=self.warming.statistics(),
            saver=self.saver.statistics(),
            kept_waiting=self.kept.count(KeptState.WAITING),
            kept_arrived=self.kept.count(KeptState.ARRIVED),
            kept_personal=self.kept.count(KeptState.PERSONAL),
            kept_given_up=self.kept.count(KeptState.GIVEN_UP),
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
        url = site.url(target, bare=bare_query(request._message.path))
        ask = replace(_ask(request, url, moved, site.name), rules=site.query)
        return await self._answer(request, ask, self._route(site))

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
        url = of_proxy(target, bare=bare_query(request._message.path))
        if _ends_here(request.method, fields):
            return await self._options(request)
        return await self._answer(
            request, _ask(request, url, fields, PROXY), Route(self._proxy_client, TrafficClass.WEB, self.proxy_early)
        )

    async def _answer(self, request: web.BaseRequest, ask: Ask, route: Route) -> web.StreamResponse:
        device = request.remote or ""
        if self._busy[device] >= self._means.limits.device_requests_max:
            raise NoCapacity(N_("This device asks for too much at once."))
        self._busy[device] += 1
        try:
            response = await Exchange(self._means, request, ask, route).answer()
            self._log.note(self._clock.wall_s(), ask.site, response.status, _sent_bytes(response), _how(response))
            return response
        except GatewayError as exc:
            error = self._kept_instead(exc, ask, device)
            self._counters.refused += 1
            self._log.note(self._clock.wall_s(), ask.site, error.status, 0, error.code)
            error.headers["Cache-Status"] = refused(error.code)
            raise error from exc.__cause__
        finally:
            self._busy[device] -= 1
            if not self._busy[device]:
                del self._busy[device]

    def _kept_instead(self, error: GatewayError, ask: Ask, device: str) -> GatewayError:
        """Return what a page that is not there is answered with while the link is down: that it is kept for later."""
        token = self.kept.keep(ask, device) if isinstance(error, LinkDown) and self._backhaul.is_down else None
        if token is None:
            return error
        down_s = self._clock.now_s() - self._backhaul.status().since_s
        return KeptForLater(token, down_s=down_s, by_proxy=ask.site == PROXY)

    def _belongs(self, site: str, url: str) -> bool:
        """Say whether a realm may be asked for a URL: a list on disk may be of other settings, or of somebody else."""
        if site == PROXY:
            return self._proxy_client is not None and belongs(url, None)
        return any(each.name == site and belongs(url, each.origin) for each in self.sites)

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

    def _route(self, site: Site) -> Route:
        return Route(
            self._site_client, site.traffic_class, self.site_early, site.origin, site.pictures, banner=site.banner
        )

    async def _options(self, request: web.BaseRequest) -> web.StreamResponse:
        return await send_head_only(request, 200, (("Allow", METHODS),))

    def _clients(self) -> list[OriginClient]:
        return [client for client in (self._site_client, self._proxy_client) if client is not None]

    def _changed(self, site: str, url: str) -> None:
        for early in (self.site_early, self.proxy_early):
            early.forget(site, url)

    async def _take_notes(self) -> None:
        """Write the access log, and let the store know what was asked for without it."""
        while True:
            await asyncio.sleep(NOTES_S)
            for early in (self.site_early, self.proxy_early):
                for at in early.asked_for():
                    self._store.use(*at)
                    self.saver.asked(*at)
            await self._write_log()

    async def _write_log(self) -> None:
        text = self._log.take()
        if text:
            await self._store.spool.run(partial(self._log.write, text))

    def _cleared(self, site: str | None = None) -> None:
        for early in (self.site_early, self.proxy_early):
            early.clear(site)

    async def _watch_link(self) -> None:
        """End waits that became vain the moment the link goes down, and early answers with them."""
        down = False
        async for status in self._backhaul.changes():
            was_down, down = down, status.state is LinkState.DOWN
            if was_down != down:
                self._cleared()  # they say nothing of the link
            if down:
                self._fetches.interrupt()


def _ask(request: web.BaseRequest, url: str, fields: Fields, site: str) -> Ask:
    version = "1.1" if request.version >= HttpVersion11 else "1.0"
    return Ask(request.method, url, end_to_end(fields), request.body_exists, site, version=version)


def _how(response: web.StreamResponse) -> str:
    """Return what the cache did, in a word: the first parameter of its own `Cache-Status`."""
    _, found, told = response.headers.get(FIELD, "").rpartition(f"{CACHE}; ")
    return told.partition(";")[0] if found else "own"


def _sent_bytes(response: web.StreamResponse) -> int:
    return response.sent_bytes if isinstance(response, BareAnswer) else 0


def _ends_here(method: str, fields: Fields) -> bool:
    """RFC 9110 §7.6.2: an OPTIONS request that may go no further is answered here."""
    return method == "OPTIONS" and delta_seconds(first(fields, "max-forwards")) == 0
