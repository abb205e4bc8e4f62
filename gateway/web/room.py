"""The web room: sites by host name and a forward proxy, on one set of rules and one store.

Start and stop it from one task: its fetches live in a task group that `start` enters and `stop` leaves, so nothing
outlives it. Stop the listeners before it; `close_tunnels` lets them stop without waiting for tunnels.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path

from gateway.backhaul.dialer import Dialer
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.state import LinkState
from gateway.clock import Clock
from gateway.web.access_log import AccessLog
from gateway.web.ahead.gather import Gatherer, Realm
from gateway.web.ahead.warm import Warming
from gateway.web.ahead.warm_fetch import WarmFetcher
from gateway.web.doors import Doors, Way
from gateway.web.early.answers import EarlyAnswers
from gateway.web.fetching.fetch import Fetches
from gateway.web.fetching.origin import Deadlines, OriginClient
from gateway.web.housekeeping import Housekeeping
from gateway.web.lasting import lasting
from gateway.web.limits import WebLimits
from gateway.web.means import Means
from gateway.web.offline.kept import KeptLimits, KeptState, belongs
from gateway.web.offline.kept_list import KeptList
from gateway.web.offline.kept_run import KeptRun
from gateway.web.rules.asking import PROXY
from gateway.web.saver.saver import Saver, SaverLimits
from gateway.web.site import Site
from gateway.web.statistics import Counters, WebStatistics
from gateway.web.store.store import Store
from gateway.web.tunnel import Tunnels

NOTES_S = 5.0  # between two writes of what early answers did
CODING_THREADS = 2  # of the cores; the loop has the rest


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
        served: Callable[[str, int], None] | None = None,
    ) -> None:
        """`served` is told the address of a device, `""` where it is not known, and bytes that it got without the link.

        Of an answer it is told when that ends; what was answered early is gathered by device for `NOTES_S`.
        """
        self._served = served or _untold
        self.sites = tuple(sites)
        self._backhaul = backhaul
        self._clock = clock
        self._counters = Counters()
        self._log = AccessLog(access_log)
        self._means = self._make_means(folder, name, limits, saver)
        deadlines = Deadlines(limits.connect_s, limits.silence_s)
        self._site_client = OriginClient(site_dialer, deadlines, backhaul, clock)
        self._proxy_client = OriginClient(proxy_dialer, deadlines, backhaul, clock) if proxy_dialer else None
        self._make_ahead(folder, kept)
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
        self._tunnels = self._make_tunnels(proxy_dialer, limits) if proxy_dialer else None
        self.doors = Doors(
            self._means,
            self.sites,
            site_way=Way(self._site_client, self.site_early),
            proxy_way=Way(self._proxy_client, self.proxy_early) if self._proxy_client else None,
            tunnels=self._tunnels,
            kept=self.kept,
            log=self._log,
        )
        self._store.on_change, self._store.on_clear = self._changed, self._cleared
        self._running = AsyncExitStack()

    def _make_means(self, folder: Path, name: str, limits: WebLimits, saver: SaverLimits) -> Means:
        self._store = Store(
            folder,
            size_bytes_max=limits.size_bytes_max,
            memory_bytes_max=limits.memory_bytes_max,
            free_bytes_min=limits.free_bytes_min,
            write_every_s=limits.write_every_s,
            clock=self._clock,
        )
        self._fetches = Fetches(self._store, self._backhaul, self._clock, self._counters, name=name, limits=limits)
        pool = ThreadPoolExecutor(CODING_THREADS, "web-coding")
        self.saver = Saver(self._store, saver, pool, on_better=self._changed)
        return Means(
            store=self._store,
            fetches=self._fetches,
            backhaul=self._backhaul,
            clock=self._clock,
            counters=self._counters,
            saver=self.saver,
            pool=pool,
            name=name,
            limits=limits,
            served=self._served,
        )

    def _make_ahead(self, folder: Path, kept: KeptLimits) -> None:
        backhaul, clock, pool = self._backhaul, self._clock, self._means.pool
        realms = {site.name: Realm(self._site_client, site.query) for site in self.sites}
        realms |= {PROXY: Realm(self._proxy_client)} if self._proxy_client else {}
        self.gatherer = Gatherer(realms, self._store, self._fetches, backhaul, clock, pool)
        self.kept = KeptList(folder / "kept.list", kept, clock, self._belongs, secrets.token_bytes(32))
        self._kept_run = KeptRun(self.kept, self.gatherer, backhaul, clock, kept, pool)
        fetcher = WarmFetcher(self.sites, self.gatherer, self._store, pool)
        self.warming = Warming(self.sites, fetcher, backhaul, clock, folder / "warm.json")

    def _make_tunnels(self, dialer: Dialer, limits: WebLimits) -> Tunnels:
        return Tunnels(
            dialer,
            self._backhaul,
            self._clock,
            self._counters,
            connect_s=limits.connect_s,
            tunnels_max=limits.tunnels_max,
            idle_s=limits.tunnel_idle_s,
        )

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
            tending = tasks.create_task(lasting(partial(self._store.tend, realms), "store"), name="web store")
            starting.callback(tending.cancel)
            watching = tasks.create_task(lasting(self._watch_link, "link"), name="web link")
            starting.callback(watching.cancel)
            keeping = tasks.create_task(lasting(self._kept_run.run, "kept"), name="web kept")
            starting.callback(keeping.cancel)
            starting.push_async_callback(self._write_log)
            starting.callback(self._tell_served)
            noting = tasks.create_task(lasting(self._take_notes, "notes"), name="web notes")
            starting.callback(noting.cancel)
            await self.warming.start()
            warming = tasks.create_task(lasting(self.warming.run, "warm"), name="web warm")
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

    def _belongs(self, site: str, url: str) -> bool:
        """Say whether a realm may be asked for a URL: a list on disk may be of other settings, or of somebody else."""
        if site == PROXY:
            return self._proxy_client is not None and belongs(url, None)
        return any(each.name == site and belongs(url, each.origin) for each in self.sites)

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
            self._tell_served()
            await self._write_log()

    def _tell_served(self) -> None:
        for early in (self.site_early, self.proxy_early):
            for device, size_bytes in early.take_served().items():
                self._served(device, size_bytes)

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


def _untold(device: str, size_bytes: int) -> None:
    del device, size_bytes
