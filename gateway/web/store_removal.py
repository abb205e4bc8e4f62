"""Whatever is taken away is gone from memory and from disk, and what is being fetched does not bring it back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

from gateway.web.disk import DiskTier
from gateway.web.groups import groups_of
from gateway.web.store_front import At, Front
from gateway.web.store_marks import Marks
from gateway.web.store_space import Kept, Removed
from gateway.web.stored import StoredResponse, url_key

T = TypeVar("T")

_GONE, _DOUBTED = "gone", "doubted"


class Removal:
    """The side of the store that takes away, and knows what stays."""

    def __init__(self, disk: DiskTier, front: Front, pool: ThreadPoolExecutor) -> None:
        self.disk = disk
        self.front = front
        self.pool = pool
        self.marks = Marks()

    async def run(self, work: Callable[[], T]) -> T:
        """Do blocking work on the thread that owns the index."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)

    async def purge(self, site: str, url: str) -> Removed:
        """Have nothing of a URL: no variant, part or rendition, in memory or on disk."""
        at = (site, url)
        self.marks.take((_GONE, *at))
        self.front.drop(at)
        removed = await self.run(partial(self.disk.space.remove, [url_key(*at)]))
        self.front.drop(at)
        return removed

    async def purge_site(self, site: str) -> Removed:
        """Have nothing of a site."""
        self.marks.take((_GONE, site))
        self.front.drop_site(site)
        found = []
        while (removed := await self.run(partial(self.disk.space.remove_of_site, site))).answers:
            found.append(removed)
        self.front.drop_site(site)
        return total(found)

    async def purge_group(self, site: str, group: str) -> Removed:
        """Have nothing of a site's URLs with an answer in this group."""
        self.marks.take((_GONE, site, "group", group))
        return total([await self.purge(*at) async for at in self._of_group(site, group)])

    async def invalidate(self, site: str, url: str) -> None:
        """Have every answer of a URL validated before its next use, one that is coming in too (RFC 9111 §4.4)."""
        at = (site, url)
        self.marks.take((_DOUBTED, *at))
        self.front.doubt(at)
        self.front.change(at, await self.run(partial(self.disk.invalidate, url_key(*at))))

    async def invalidate_group(self, site: str, origin: str, group: str) -> None:
        """Have every answer of an origin in this group validated before its next use (RFC 9875 §3)."""
        self.marks.take((_DOUBTED, site, "group", group))
        async for at in self._of_group(site, group):
            if at[1].startswith(f"{origin.rstrip('/')}/"):
                await self.invalidate(*at)

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

    def touched_since(self, mark: int, site: str, url: str) -> bool:
        """Say whether a URL, or all of its site, was taken away or called in question after a mark."""
        return self.marks.taken_since(mark, [(_GONE, site), (_GONE, site, url), (_DOUBTED, site, url)])

    def taken_since(self, mark: int | None, stored: StoredResponse) -> bool:
        """Say whether an answer was taken away after a mark."""
        return mark is not None and self.marks.taken_since(mark, _names(_GONE, stored))

    def as_of(self, mark: int | None, stored: StoredResponse) -> StoredResponse:
        """Return an answer that began to come at a mark, to be validated where it was called in question since."""
        doubted = mark is not None and self.marks.taken_since(mark, _names(_DOUBTED, stored))
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


def total(found: list[Removed]) -> Removed:
    """Return the sum of what was removed."""
    return Removed(sum(each.answers for each in found), sum(each.size_bytes for each in found))


def _names(kind: str, stored: StoredResponse) -> list[tuple[str, ...]]:
    groups = [(kind, stored.site, "group", group) for group in groups_of(stored.fields)]
    return [(kind, stored.site), (kind, stored.site, stored.url), *groups]
