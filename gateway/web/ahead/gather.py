"""A page is fetched for the store alone, ahead of whoever will ask for it, by the rules that hold for everybody.

It goes the way of every fetch (`Fetches`): those who ask for it meanwhile share it, what is fresh costs nothing, what
is stale is validated, and only what may be stored is. All of it is bulk: people who wait go first.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import Clock
from gateway.errors import GatewayError, LinkDown, OriginFault, TooLarge
from gateway.web.ahead.page_links import HTML_BYTES_MAX, PageLinks, page_links, reference_in
from gateway.web.answer import whole
from gateway.web.faults import BodyBroken
from gateway.web.fetching.errand import Arrived, Errand, Failed, Fetch, Validated
from gateway.web.fetching.fetch import Fetches
from gateway.web.fetching.growing import BodyReader
from gateway.web.fetching.origin import OriginClient
from gateway.web.rules.asking import Ask
from gateway.web.rules.decision import Serve, decide
from gateway.web.rules.fields import Fields, first
from gateway.web.rules.query import AS_SENT, QueryRules, normalised
from gateway.web.rules.stored import StoredResponse
from gateway.web.rules.validating import has_validator
from gateway.web.rules.variants import select
from gateway.web.saver.coding import recoding
from gateway.web.store.store import Store

# As a browser asks for a page, so that an origin that looks at it answers with the page people will see.
PAGE_FIELDS: Fields = (("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),)
PART_FIELDS: Fields = (("Accept", "*/*"),)
_HTML = frozenset({"text/html", "application/xhtml+xml"})


@dataclass(frozen=True, slots=True)
class Gathered:
    """What became of one URL: an answer with its status, or the code of the error that came instead."""

    status: int | None = None
    stored: bool = False  # it lies in the store now, and may be shown to others
    link_bytes: int = 0  # of bodies, that crossed the link for it
    fields: Fields = ()
    links: PageLinks = PageLinks()  # noqa: RUF009 - frozen
    moved_to: str | None = None  # where a redirect leads, at the same origin
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Realm:
    """How the origins of a site, or of the forward proxy, are reached, and how their queries are spelt."""

    client: OriginClient
    rules: QueryRules = AS_SENT


class Gatherer:
    """Fetches for the store; realms are known by a site's name, or the proxy's."""

    def __init__(
        self,
        realms: Mapping[str, Realm],
        store: Store,
        fetches: Fetches,
        backhaul: Backhaul,
        clock: Clock,
        pool: Executor,
    ) -> None:
        self._realms = realms
        self._store = store
        self._fetches = fetches
        self._backhaul = backhaul
        self._clock = clock
        self._pool = pool

    async def gather(
        self,
        site: str,
        url: str,
        asked: Fields = PAGE_FIELDS,
        *,
        bytes_max: int | None = None,
        spend: Callable[[int], None] | None = None,
    ) -> Gathered:
        """Have a URL in the store if it may be there, and return what became of it.

        It is asked for with the fields `asked`; a body that grows past `bytes_max` is broken off, and one whose wait is
        cancelled too. `spend` is told of the bytes of a body that crossed the link, however it ended.
        """
        realm = self._realms.get(site)
        if self._backhaul.is_down or realm is None:
            return Gathered(error=LinkDown.code)
        ask = Ask("GET", normalised(url, realm.rules), asked, site=site, rules=realm.rules)
        stored = select(await self._store.shelf(site, ask.url), asked).stored
        if stored is not None and not stored.whole:
            stored = None  # the rest of it belongs to the rest: all is fetched anew
        if stored is not None and self._is_fresh(ask, stored):
            return await self._read(stored, Gathered(stored=True))
        errand = Errand(ask, realm.client, TrafficClass.BULK, stored, stored is not None and has_validator(stored))
        try:
            fetch, reader, began = self._fetches.join(errand)
        except GatewayError as exc:
            return Gathered(error=exc.code)
        try:
            return await self._brought(fetch, reader, ask, began=began, bytes_max=bytes_max)
        except asyncio.CancelledError:
            _let_go(fetch, reader)
            raise
        finally:
            reader.close()
            if began and spend is not None:
                spend(reader.offset)

    def _is_fresh(self, ask: Ask, stored: StoredResponse) -> bool:
        selection = select((stored,), ask.fields)
        match decide(ask, selection, now_s=self._clock.wall_s(), link_down=False):
            case Serve(refresh=refresh):
                return not refresh
        return False

    async def _brought(
        self, fetch: Fetch, reader: BodyReader, ask: Ask, *, began: bool, bytes_max: int | None
    ) -> Gathered:
        """Return what a fetch brought, once all of it is stored."""
        match await fetch.wait(None):
            case Failed(error=error):
                return Gathered(error=error.code)
            case Validated(stored=stored, shared=shared):
                return await self._read(stored, Gathered(stored=shared))
            case Arrived(status=status, fields=fields, shared=shared):
                found = Gathered(status, fields=fields, moved_to=_moved_to(ask.url, status, fields))
                if not shared:
                    return found  # not for the store: its body is not waited for
                fault = await _drained(reader, bytes_max)
                found = replace(found, link_bytes=reader.offset if began else 0)
                if fault is not None:
                    _let_go(fetch, reader)
                    return replace(found, error=fault)
                if fetch.task is not None:
                    await asyncio.wait([fetch.task])  # the body is stored when its fetch ends
                kept = select(await self._store.shelf(ask.site, ask.url), ask.fields).stored
                return found if kept is None or not kept.whole else await self._read(kept, replace(found, stored=True))
        return Gathered(error=OriginFault.code)

    async def _read(self, stored: StoredResponse, found: Gathered) -> Gathered:
        """Return what was found, with what is said of it in the store, and the links of a page."""
        found = replace(
            found,
            status=stored.status,
            fields=stored.fields,
            moved_to=_moved_to(stored.url, stored.status, stored.fields),
        )
        kind = (first(stored.fields, "content-type") or "").partition(";")[0].strip().lower()
        if stored.status != 200 or kind not in _HTML or stored.size_bytes > HTML_BYTES_MAX:
            return found
        source = await self._store.open(stored)
        if source is None:
            return replace(found, stored=False)  # damaged on disk, and gone by now
        try:
            html = await whole(source, recoding(stored.fields, None, "identity"), self._pool, 4 * HTML_BYTES_MAX)
        except BodyBroken:
            return found
        finally:
            source.close()
        links = await asyncio.get_running_loop().run_in_executor(self._pool, partial(page_links, stored.url, html))
        return replace(found, links=links)


async def _drained(reader: BodyReader, bytes_max: int | None) -> str | None:
    """Read a body to its end, so that it is wanted; return an error's code where it is not whole, or too large."""
    try:
        async for _ in reader.pieces():
            if bytes_max is not None and max(reader.offset, reader.size_bytes or 0) > bytes_max:
                return TooLarge.code
    except BodyBroken:
        return OriginFault.code
    return None


def _let_go(fetch: Fetch, reader: BodyReader) -> None:
    """Have a body that is too large for us, or comes too late, end, unless somebody else reads it."""
    reader.close()
    if not fetch.body.wanted:
        fetch.body.stop_keeping()


def _moved_to(url: str, status: int, fields: Fields) -> str | None:
    return reference_in(url, first(fields, "location")) if 300 <= status <= 399 else None
