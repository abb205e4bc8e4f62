"""When the link is back, what was kept for later is fetched: in bulk, one page after another, the longest wait first.

A page comes with what it shows of its own site, up to a number and a size. A link that goes down again leaves the page
where it was: what has come is stored, and costs nothing the next time.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial

import structlog

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.state import LinkState
from gateway.clock import Clock
from gateway.errors import LinkDown, OriginFault
from gateway.web.ahead.gather import PART_FIELDS, Gathered, Gatherer
from gateway.web.faults import OriginSilent
from gateway.web.offline.kept import KeptLimits, KeptPage, KeptState, after, pause_s
from gateway.web.offline.kept_list import WRITE_PAUSE_S, KeptList

LOOK_S = 30.0  # how often the list is looked at while nothing happens
BUSY_S = 10.0  # pause where the box itself had no room for a fetch
AT_ONCE = 2  # parts of a page; each wait is a round trip of up to a second
HOPS_MAX = 4  # redirects within the site
PAGE_S_MAX = 600.0  # for a page with what it shows: 3 MB at 40 kbit/s; others wait behind it
DAY_S = 86_400.0  # of the box's run: a date that leaps gives no data
_log = structlog.get_logger("web")


class KeptRun:
    """Fetches what is on the list, and writes the list down."""

    def __init__(
        self, kept: KeptList, gatherer: Gatherer, backhaul: Backhaul, clock: Clock, limits: KeptLimits, pool: Executor
    ) -> None:
        self._kept = kept
        self._gatherer = gatherer
        self._backhaul = backhaul
        self._clock = clock
        self._limits = limits
        self._pool = pool
        self._woken = asyncio.Event()
        self._day = self._spent_bytes = 0

    async def run(self) -> None:
        """Do so until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._fetch_all(), name="web kept pages")
            tasks.create_task(self._watch_link(), name="web kept link")
            tasks.create_task(self._write_all(), name="web kept list")

    async def write(self) -> None:
        """Write the list down where it changed."""
        if not self._kept.is_written:
            data = self._kept.written()
            if not await asyncio.get_running_loop().run_in_executor(self._pool, partial(self._kept.write, data)):
                self._kept.is_written = False  # and is tried again

    async def _watch_link(self) -> None:
        was_down = True
        async for status in self._backhaul.changes():
            is_down = status.state is LinkState.DOWN
            if was_down and not is_down:
                self._woken.set()
            was_down = is_down

    async def _write_all(self) -> None:
        while True:
            await asyncio.sleep(WRITE_PAUSE_S)
            await self.write()

    async def _fetch_all(self) -> None:
        while True:
            self._woken.clear()
            page = None if self._backhaul.is_down or self._is_spent() else self._kept.next()
            if page is not None:
                await self._fetch(page)
                continue
            self._kept.sweep()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._woken.wait()

    async def _fetch(self, page: KeptPage) -> None:
        try:
            found, whole = await self._brought(page)
        except Exception as exc:  # noqa: BLE001 - a fault of ours over one page must not hold up the others
            _log.error("kept.failed", error=type(exc).__name__)
            found, whole = Gathered(error=OriginFault.code), True
        now = self._kept.get(page.at)
        if now is None:
            return  # taken back meanwhile
        settled = after(
            now,
            status=found.status,
            stored=found.stored,
            error=found.error if whole else LinkDown.code,
            title=found.links.title,
            now_s=self._clock.wall_s(),
            tries_max=self._limits.tries_max,
        )
        self._kept.put(settled)
        if settled.state is KeptState.WAITING:
            self._kept.put_off(page.at, pause_s(settled.tries) if settled.tries > now.tries else BUSY_S)

    async def _brought(self, page: KeptPage) -> tuple[Gathered, bool]:
        """Return what came of a page in its time, and whether the link lasted; what it shows may be missing."""
        found, whole = Gathered(error=OriginSilent.code), True
        with suppress(TimeoutError):
            async with asyncio.timeout(PAGE_S_MAX):
                found = await self._page(page)
                whole = await self._parts(page, found) if found.stored else True
        return found, whole

    def _is_spent(self) -> bool:
        """Say whether the day's data is used up; a page may overdraw it."""
        day = int(self._clock.now_s() // DAY_S)
        if day != self._day:
            self._day, self._spent_bytes = day, 0
        return self._spent_bytes >= self._limits.day_bytes_max

    def _spend(self, moved_bytes: int) -> None:
        self._spent_bytes += moved_bytes

    async def _page(self, page: KeptPage) -> Gathered:
        """Return what came of a page, at the end of its redirects."""
        url, found = page.url, Gathered()
        for _ in range(HOPS_MAX):
            found = await self._gatherer.gather(
                page.site, url, page.asked, bytes_max=self._limits.page_bytes_max, spend=self._spend
            )
            if found.moved_to is None or not found.stored:
                break
            url = found.moved_to
        return found

    async def _parts(self, page: KeptPage, found: Gathered) -> bool:
        """Fetch what a page shows; says whether the link lasted."""
        asked = (*PART_FIELDS, *(each for each in page.asked if each[0] == "Accept-Language"))
        left = _Left(found.links.parts[: self._limits.parts_max], self._limits.page_bytes_max - found.link_bytes)

        async def some() -> None:
            while left.urls and left.size_bytes > 0 and not left.is_down:
                url = left.urls.pop()
                part = await self._gatherer.gather(page.site, url, asked, bytes_max=left.size_bytes, spend=self._spend)
                left.size_bytes -= part.link_bytes
                left.is_down |= part.error == LinkDown.code

        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(some(), name="web kept part")
        return not left.is_down


class _Left:
    """What is left to fetch of one page, and the bytes it may still take."""

    def __init__(self, urls: Sequence[str], size_bytes: int) -> None:
        self.urls = list(urls[::-1])
        self.size_bytes = size_bytes
        self.is_down = False
