"""What a technician may ask of the store: how it is, site by site; to forget, to hold on to, and to have ready."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import N_, NotFound
from gateway.web.ahead.warm import Warming
from gateway.web.rules.asking import PROXY
from gateway.web.site import Site, resources
from gateway.web.statistics import Served
from gateway.web.store.store import Kept, Removed

At = tuple[str, str]  # a site, and a URL at its origin


class Shelves(Protocol):
    """The store, as it is kept in order."""

    async def purge(self, site: str, url: str) -> Removed: ...
    async def purge_site(self, site: str) -> Removed: ...
    async def purge_group(self, site: str, group: str) -> Removed: ...
    async def pin(self, site: str, url: str, *, on: bool) -> bool: ...
    async def pinned(self) -> tuple[tuple[str, str], ...]: ...
    async def by_site(self) -> dict[str, Kept]: ...


@dataclass(frozen=True, slots=True)
class SiteFigures:
    """How the store is for one site, or for the forward proxy ("")."""

    site: str
    answers: int
    size_bytes: int
    pinned: int
    hits: int
    misses: int
    saved_bytes: int
    waiting: int  # pages to come: asked for while the link was down, or to be pinned


@dataclass(frozen=True, slots=True)
class Pinned:
    """How many answers are pinned now, and how many will be once they have come."""

    pages: int
    to_come: int = 0


class Housekeeping:
    """The technician's hand on the store."""

    def __init__(
        self,
        sites: Sequence[Site],
        store: Shelves,
        warming: Warming,
        *,
        served: Callable[[], Mapping[str, Served]],
        waiting: Callable[[str], int],
        size_bytes_max: int,
    ) -> None:
        self._sites = {site.name: site for site in sites}
        self._store = store
        self._served = served
        self._waiting = waiting
        self.warming = warming
        self.size_bytes_max = size_bytes_max

    async def stat(self) -> list[SiteFigures]:
        """Return how the store is for each site, and for the forward proxy where it has anything."""
        kept, served = await self._store.by_site(), self._served()
        names = [*self._sites, *([PROXY] if PROXY in kept or PROXY in served else [])]
        return [self._figures(name, kept.get(name), served.get(name)) for name in names]

    async def purge(self, address: str) -> Removed:
        """Forget an address, for every site that it may be stored for.

        Raises: BadRequest.
        """
        found = resources(tuple(self._sites.values()), address)
        removed = [await self._store.purge(site, url) for site, url in found]
        return Removed(sum(each.answers for each in removed), sum(each.size_bytes for each in removed))

    async def purge_site(self, name: str) -> Removed:
        """Forget all of a site.

        Raises: NotFound.
        """
        return await self._store.purge_site(self._site(name).name)

    async def purge_group(self, name: str, group: str) -> Removed:
        """Forget what a site's answers put in a group (RFC 9875 §2).

        Raises: NotFound.
        """
        return await self._store.purge_group(self._site(name).name, group)

    async def pin(self, address: str, *, on: bool) -> Pinned:
        """Pin an address, or pin it no longer.

        Raises: BadRequest.
        """
        found = resources(tuple(self._sites.values()), address)
        of_sites = [each for each in found if each[0] != PROXY] or list(found)
        return await (self._pin(of_sites) if on else self._unpin(found))

    async def pin_site(self, name: str, *, on: bool) -> Pinned:
        """Pin the pages that a site's settings name; off: all that is pinned of it.

        Raises: NotFound.
        """
        site = self._site(name)
        if on:
            return await self._pin([(name, site.at(path)) for path in site.warm.pages])
        pinned = [each for each in await self._store.pinned() if each[0] == name]
        return await self._unpin([*pinned, *((name, url) for url in self.warming.to_pin(name))])

    async def pinned(self) -> tuple[tuple[str, str], ...]:
        """Return all that is pinned, as (site, URL)."""
        return await self._store.pinned()

    async def _pin(self, found: Iterable[At]) -> Pinned:
        pages = to_come = 0
        for site, url in found:
            is_stored = await self._store.pin(site, url, on=True)
            pages += is_stored
            if site in self._sites:
                self.warming.pin_later(site, url, on=not is_stored)
                to_come += not is_stored
        return Pinned(pages, to_come)

    async def _unpin(self, found: Iterable[At]) -> Pinned:
        pinned, pages = set(await self._store.pinned()), 0
        for site, url in found:
            if site in self._sites:
                self.warming.pin_later(site, url, on=False)
            if (site, url) in pinned:
                await self._store.pin(site, url, on=False)
                pages += 1
        return Pinned(pages)

    def _figures(self, name: str, kept: Kept | None, served: Served | None) -> SiteFigures:
        return SiteFigures(
            site=name,
            answers=kept.answers if kept else 0,
            size_bytes=kept.size_bytes if kept else 0,
            pinned=kept.pinned if kept else 0,
            hits=served.hits if served else 0,
            misses=served.misses if served else 0,
            saved_bytes=served.bytes_from_store if served else 0,
            waiting=self._waiting(name) + len(self.warming.to_pin(name)),
        )

    def _site(self, name: str) -> Site:
        site = self._sites.get(name)
        if site is None:
            raise NotFound(N_("There is no site of this name."), N_("The settings file names the sites: [[sites]]."))
        return site
