"""One step of warm-up is fetched like any page; what it leads to is read from it: links, `Link` fields, sitemaps."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import TypeVar

from gateway.web.ahead.css_links import CSS_BYTES_MAX, css_links
from gateway.web.ahead.gather import PAGE_FIELDS, PART_FIELDS, Gathered, Gatherer
from gateway.web.ahead.link_field import wanted
from gateway.web.ahead.sitemap import BYTES_MAX, Listed, Sitemap, read_sitemap, sitemaps_named
from gateway.web.ahead.warm_plan import Found, Kind, Step, latest_first
from gateway.web.answer import whole
from gateway.web.faults import BodyBroken
from gateway.web.rules.fields import first
from gateway.web.rules.query import QueryRules, normalised
from gateway.web.rules.variants import select
from gateway.web.saver.coding import recoding
from gateway.web.site import Site
from gateway.web.store.store import Store

_ROBOTS = "/robots.txt"
T = TypeVar("T")


class WarmFetcher:
    """Takes the steps of warm-up through the room's own fetches and store."""

    def __init__(self, sites: Iterable[Site], gatherer: Gatherer, store: Store, pool: Executor) -> None:
        self._sites = {site.name: site for site in sites}
        self._gatherer = gatherer
        self._store = store
        self._pool = pool

    async def fetch(self, site: str, step: Step, bytes_max: int) -> Found | None:
        """Have a step's URL in the store, and return what it leads to; None where it cannot be kept."""
        asked = PAGE_FIELDS if step.kind is Kind.PAGE else PART_FIELDS
        got = await self._gatherer.gather(site, step.url, asked, bytes_max=bytes_max)
        if got.error is not None or got.status is None or got.status >= 400 or not (got.stored or got.moved_to):
            return None
        if step.kind is Kind.LIST and got.moved_to is None:
            return await self._listed(site, step.url)
        found = await self._run(partial(_found, step.url, got, self._sites[site].query))
        if _is_style(got):
            return replace(found, pieces=[*found.pieces, *await self._drawn_in(site, step.url)])
        return found

    async def pinned(self, site: str) -> Sequence[str]:
        """Return the URLs of a site that are pinned."""
        return [url for each, url in await self._store.pinned() if each == site]

    async def pin(self, site: str, url: str) -> bool:
        """Pin an answer; says whether it is stored."""
        return await self._store.pin(site, url, on=True)

    async def _listed(self, site: str, url: str) -> Found | None:
        """Return what a list that is stored lists; None where it cannot be read."""
        data = await self._content(site, url, BYTES_MAX)
        if data is None:
            return None
        if url.endswith(_ROBOTS):
            return Found(lists=await self._run(partial(sitemaps_named, data, url)))
        sitemap = await self._run(partial(_listed, data, url, self._sites[site]))
        return Found(listed=sitemap.pages, lists=sitemap.sitemaps)

    async def _drawn_in(self, site: str, url: str) -> list[str]:
        """Return what a style sheet that is stored draws in."""
        data = await self._content(site, url, CSS_BYTES_MAX)
        found = await self._run(partial(css_links, url, data or b""))
        return [normalised(each, self._sites[site].query) for each in found]

    async def _content(self, site: str, url: str, bytes_max: int) -> bytes | None:
        """Return the content of an answer that is stored, decoded."""
        at = normalised(url, self._sites[site].query)
        stored = select(await self._store.shelf(site, at), PART_FIELDS).stored
        if stored is None or not stored.whole or stored.size_bytes > bytes_max:
            return None
        source = await self._store.open(stored)
        if source is None:
            return None
        try:
            return await whole(source, recoding(stored.fields, None, "identity"), self._pool, bytes_max)
        except BodyBroken:
            return None
        finally:
            source.close()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _listed(data: bytes, url: str, site: Site) -> Sitemap:
    """Return what a sitemap lists, each page in its one spelling, and no more of them than a run can take.

    As many again may be of pages that the run has already.
    """
    sitemap, found = read_sitemap(data, url), dict[str, Listed]()
    for each in latest_first(sitemap.pages):
        if len(found) >= 2 * site.warm.pages_max:
            break
        spelt = normalised(each.url, site.query)
        found.setdefault(spelt, replace(each, url=spelt))
    return replace(sitemap, pages=tuple(found.values()))


def _is_style(got: Gathered) -> bool:
    return (first(got.fields, "content-type") or "").partition(";")[0].strip().lower() == "text/css"


def _found(url: str, got: Gathered, rules: QueryRules) -> Found:
    """Each in its one spelling; RFC 8288 §3: a `Link` field says the same as a link in the page."""
    pieces = (*got.links.parts, *wanted(got.fields, url), *got.links.ahead)
    return Found(
        pages=[normalised(each, rules) for each in got.links.pages],
        pieces=[normalised(each, rules) for each in pieces],
        moved_to=got.moved_to and normalised(got.moved_to, rules),
    )
