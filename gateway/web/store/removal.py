"""Whatever is taken away is gone from memory and from disk, and what is being fetched does not bring it back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

from gateway.web.rules.fields import Fields
from gateway.web.rules.groups import groups_of
from gateway.web.rules.stored import StoredResponse, url_key
from gateway.web.store.disk import DiskTier
from gateway.web.store.front import At, Front
from gateway.web.store.marks import Marks
from gateway.web.store.space import Kept, Removed

T = TypeVar("T")

INDEX_S = 2.0  # a page waits so long for the index, then it passes by: a card that syncs may take a second (2026-11)
_GONE, _DOUBTED = "gone", "doubted"


class Removal:
    """The side of the store that takes away, and knows what stays."""

    def __init__(self, disk: DiskTier, front: Front, pool: ThreadPoolExecutor) -> None:
        self.disk = disk
        self.front = front
        self.pool = pool
        self.marks = Marks()
        self._late = 0  # how often in a row the index was not there in time
        self._stuck: Future[None] | None = None  # done once it is there again

    @property
    def late(self) -> int:
        """How often in a row the index was not there in time; none once it is."""
        return self._late if self._is_stuck else 0

    @property
    def _is_stuck(self) -> bool:
        return self._stuck is not None and not self._stuck.done()

    async def run(self, work: Callable[[], T]) -> T:
        """Do blocking work on the thread that owns the index."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)

    async def soon(self, work: Callable[[], T], *, goes_on: bool = False) -> T | None:
        """Do blocking work on that thread; None where that is not done in time: a disk that hangs holds up nobody.

        Until the thread is there again nobody else waits for it. `goes_on`: it is done then all the same.
        """
        is_stuck = self._is_stuck
        if is_stuck and not goes_on:
            self._late += 1
            return None
        future = asyncio.get_running_loop().run_in_executor(self.pool, work)
        try:
            await asyncio.wait({future}, timeout=0.0 if is_stuck else INDEX_S)
        except asyncio.CancelledError:
            if not goes_on:
                future.cancel()
            raise
        if future.done():
            self._late = 0
            return future.result()
        self._late += 1
        if not is_stuck:
            self._stuck = self.pool.submit(_nothing)
        if not goes_on:
            future.cancel()
        return None

    async def purge(self, site: str, url: str) -> Removed:
        """Have nothing of a URL: no variant, part or rendition, in memory or on disk.

        Raises: LocalError where the disk would not.
        """
        at = (site, url)
        self.marks.take((_GONE, *at))
        self.front.drop(at)
        try:
            return await self.run(partial(self.disk.space.remove, [url_key(*at)]))
        finally:
            self.front.drop(at)
            self.tell_evicted()

    async def purge_site(self, site: str) -> Removed:
        """Have nothing of a site.

        It goes step by step, each on disk when it is done, and others have their turn in between. A large site takes
        longer than a client may wait: one that hangs up ends nothing (aiohttp lets its handler run on).

        Raises: LocalError where the disk would not.
        """
        self.marks.take((_GONE, site))
        self.front.drop_site(site)
        found = []
        while (removed := await self.run(partial(self.disk.space.remove_of_site, site))).answers:
            found.append(removed)
        self.front.drop_site(site)
        return total(found)

    async def purge_group(self, site: str, group: str) -> Removed:
        """Have nothing of a site's URLs with an answer in this group.

        Raises: LocalError where the disk would not.
        """
        self.marks.take((_GONE, site, "group", group))
        return total([await self.purge(*at) async for at in self._of_group(site, group)])

    async def invalidate(self, site: str, url: str) -> None:
        """Have every answer of a URL validated before its next use, one that is coming in too (RFC 9111 §4.4).

        On disk when this returns, unless that hangs or fails; what else is invalidated meanwhile shares the writing.
        """
        await self._doubt((site, url))
        await self.soon(self.disk.rows.write_taken, goes_on=True)

    async def _doubt(self, at: At) -> None:
        self.marks.take((_DOUBTED, *at))
        self.front.doubt(at)
        shelf = await self.soon(partial(self.disk.invalidate, url_key(*at)), goes_on=True)
        if shelf is not None:
            self.front.change(at, shelf)

    async def invalidate_group(self, site: str, origin: str, group: str) -> None:
        """Have every answer of an origin in this group validated before its next use (RFC 9875 §3)."""
        self.marks.take((_DOUBTED, site, "group", group))
        async for at in self._of_group(site, group):
            if at[1].startswith(f"{origin.rstrip('/')}/"):
                await self._doubt(at)
        await self.soon(self.disk.rows.write_taken, goes_on=True)

    async def pin(self, site: str, url: str, *, on: bool) -> bool:
        """Have a stored URL stay whatever room is needed, or let go of it; says whether it is so now."""
        return await self.run(partial(self.disk.space.pin, site, url, on=on))

    async def pinned(self) -> tuple[tuple[str, str], ...]:
        """Return what is pinned, by site and URL, the first pinned first."""
        return await self.run(self.disk.space.pinned)

    async def by_site(self) -> dict[str, Kept]:
        """Return what is stored of each site; "" is the forward proxy."""
        return await self.run(self.disk.space.by_site)

    def mark(self) -> int:
        """Return what `keep` needs to know, to tell whether an answer was taken away while it was fetched."""
        return self.marks.now()

    def touched_since(self, mark: int, site: str, url: str, fields: Fields = ()) -> bool:
        """Say whether a URL, all of its site, or a group that its answer's fields name, was touched after a mark.

        What is touched is taken away, or called in question.
        """
        return self.marks.taken_since(
            mark, [each for kind in (_GONE, _DOUBTED) for each in _names(kind, site, url, fields)]
        )

    def taken_since(self, mark: int | None, stored: StoredResponse) -> bool:
        """Say whether an answer was taken away after a mark."""
        return mark is not None and self.marks.taken_since(mark, _names(_GONE, stored.site, stored.url, stored.fields))

    def as_of(self, mark: int | None, stored: StoredResponse) -> StoredResponse:
        """Return an answer that began to come at a mark, to be validated where it was called in question since."""
        doubted = mark is not None and self.marks.taken_since(
            mark, _names(_DOUBTED, stored.site, stored.url, stored.fields)
        )
        return replace(stored, invalid=True) if doubted else stored

    def tell_evicted(self) -> bool:
        """Drop from memory what made room on disk; says whether anything did."""
        evicted = self.disk.space.evicted
        told = bool(evicted)
        while evicted:
            self.front.drop(evicted.popleft())
        return told

    async def _of_group(self, site: str, group: str) -> AsyncIterator[At]:
        after: str | None = ""
        while after is not None:
            found, after = await self.run(partial(self.disk.space.of_group, site, group, after))
            for at in found:
                yield at


def _nothing() -> None:
    """Done when it is its turn."""


def total(found: list[Removed]) -> Removed:
    """Return the sum of what was removed."""
    return Removed(sum(each.answers for each in found), sum(each.size_bytes for each in found))


def _names(kind: str, site: str, url: str, fields: Fields) -> list[tuple[str, ...]]:
    return [(kind, site), (kind, site, url), *((kind, site, "group", group) for group in groups_of(fields))]
