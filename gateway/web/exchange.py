"""From a request to its answer: the decision, then the store or a fetch that others may share.

Its journey is `decide` → `Serve`, or a fetch → its outcome → the answer; whatever goes wrong on the way, a stored
answer is looked at before an error is.
"""

from contextlib import suppress
from copy import copy
from dataclasses import replace
from functools import partial
from math import ceil
from typing import assert_never

from aiohttp import HttpVersion11, web

from gateway.errors import GatewayError, LinkDown
from gateway.web.answer import send_head_only, sent_head
from gateway.web.faults import NotStored, OriginSilent
from gateway.web.fetching.body import HeldBody, SpanSource
from gateway.web.fetching.direct import direct
from gateway.web.fetching.errand import Arrived, Errand, Failed, Outcome, Validated, as_stored
from gateway.web.fetching.errand import Fetch as Fetching
from gateway.web.fetching.growing import BodyReader
from gateway.web.fetching.interim import to_browser
from gateway.web.fetching.ranged import with_ranges
from gateway.web.fetching.slices import Here
from gateway.web.fetching.slicing import Slicing
from gateway.web.means import Means, Route
from gateway.web.offline.banner import told_with_banner
from gateway.web.offline.bannered import bannered
from gateway.web.rules.alike import alike
from gateway.web.rules.asking import Ask, wishes_of
from gateway.web.rules.decision import LINK_DOWN, Decision, Fetch, Refuse, Serve, Validate, decide, stale_instead
from gateway.web.rules.fields import Fields, values, without
from gateway.web.rules.freshness import age_s as age_of
from gateway.web.rules.spans import asked, shortened, size_of, spans_of
from gateway.web.rules.status import Forwarded, forwarded, hit
from gateway.web.rules.stored import Shelf, StoredResponse
from gateway.web.rules.storing import to_store
from gateway.web.rules.target import peer_of
from gateway.web.rules.validating import own_conditions, told_by_304
from gateway.web.rules.variants import select, siblings
from gateway.web.saver.coding import Recoding
from gateway.web.saver.telling import Answer, as_it_came, recoding_for, told_304

_UNSATISFIABLE = 416


class Exchange:
    """One request on its way to its answer."""

    def __init__(self, means: Means, request: web.BaseRequest, ask: Ask, route: Route) -> None:
        self._means = means
        self._request = request
        self._ask = ask
        self._route = route
        self._slicing = Slicing(means, ask, route)
        self._changes = 0
        self._shelf: Shelf = ()  # all that is stored of what is asked for
        self._others: Shelf = ()  # stored for other requests than this

    async def answer(self) -> web.StreamResponse:
        """Answer the request.

        Raises: GatewayError where there is no answer.
        """
        decision = await self._decide()
        match decision:
            case Serve(stored=stored, detail=detail, refresh=refresh):
                return await self._from_store(stored, detail=detail, refresh=refresh)
            case Refuse(link_down=True):
                self._means.backhaul.wanted(peer_of(self._ask.url))
                raise LinkDown
            case Refuse():
                raise NotStored
            case Validate(stored=stored, why=why):
                # a slice that is missing anyway says by its own validator whether the rest still holds
                return await self._fetched(why, stored, validate=not self._slicing.lacks_first_byte(stored))
            case Fetch(why=why, stored=stored):
                if self._ask.reusable and self._ask.method == "GET" and not self._slicing.goes_straight(stored):
                    return await self._fetched(why, stored, validate=False)
                return await self._direct(why, stored)
            case _:
                assert_never(decision)

    async def _decide(self) -> Decision:
        fetches, ask = self._means.fetches, self._ask
        coming = fetches.coming(ask.site, ask.url)
        decision = await self._look()
        if coming is None or coming is fetches.coming(ask.site, ask.url) or isinstance(decision, Serve):
            return decision
        return await self._look()  # what was coming came while the store was looked at, and may be there by now

    async def _look(self) -> Decision:
        means, ask = self._means, self._ask
        self._changes = self._route.early.generations.changes  # before the store is looked at
        shelf = await means.store.shelf(ask.site, ask.url) if ask.reusable else ()
        now_s = means.clock.wall_s()
        decision = decide(ask, select(shelf, ask.fields, now_s), now_s=now_s, link_down=means.backhaul.is_down)
        self._others, self._shelf = siblings(shelf), shelf
        match decision:
            case Fetch(stored=None) | Refuse() if ask.reusable:
                return await self._likewise(now_s) or decision
            case Serve(stored=stored) if self._slicing.lacks(stored):
                return self._as_far_as_may_be(decision, stored)
        return decision

    def _as_far_as_may_be(self, decision: Decision, stored: StoredResponse) -> Decision:
        """Refuse what would have to be fetched where nothing may be, before any of it is sent."""
        down = self._means.backhaul.is_down
        if not down and not wishes_of(self._ask.fields).only_if_cached:
            return decision
        nearer = shortened(self._ask, stored)
        if nearer is None:
            return Refuse(link_down=down)
        self._ask, self._slicing = nearer, replace(self._slicing, ask=nearer)
        return decision

    async def _likewise(self, now_s: float) -> Serve | None:
        """Return what serves from an answer to a URL that differs in nothing that matters (No-Vary-Search)."""
        means, ask = self._means, self._ask
        url = means.fetches.alike.find(ask.site, ask.url)
        if url is None:
            return None
        chosen = select(await means.store.shelf(ask.site, url), ask.fields, now_s)
        decision = decide(ask, chosen, now_s=now_s, link_down=means.backhaul.is_down)
        fits = isinstance(decision, Serve) and alike(url, ask.url, decision.stored.fields)
        if not isinstance(decision, Serve) or not fits or self._slicing.lacks(decision.stored):
            return None
        return decision

    def _refresh(self, stored: StoredResponse) -> None:
        with suppress(GatewayError):  # no room for it now: the answer is in hand
            _, reader, _ = self._means.fetches.join(replace(self._errand(stored, validate=True), tell=None))
            reader.close()  # the store alone waits for it

    def _errand(self, stored: StoredResponse | None, *, validate: bool) -> Errand:
        ask, route = replace(self._ask, method="GET"), self._route
        tell = to_browser(self._request, self._means.name)
        held = own_conditions(ask.fields) if stored is None else ()
        others = self._others if stored is None else ()
        errand = Errand(ask, route.client, route.traffic_class, stored, validate, tell, held=held, others=others)
        return self._slicing.with_slice(replace(errand, device=route.device))

    async def _direct(self, why: Forwarded, stored: StoredResponse | None) -> web.StreamResponse:
        try:
            return await direct(self._means, self._request, self._ask, self._route, why)
        except GatewayError as exc:
            return await self._instead(stored, exc)

    async def _from_store(
        self, stored: StoredResponse, *, detail: str | None = None, status: str | None = None, refresh: bool = False
    ) -> web.StreamResponse:
        if self._slicing.lacks_first_byte(stored):
            return await self._fetched(Forwarded.PARTIAL, stored, validate=False)
        source = await self._slicing.open(stored)
        if source is None:  # damaged on disk, and forgotten by now
            return await self.answer()
        if refresh:
            self._refresh(stored)
        return await self._serve(stored, source, detail=detail, status=status)

    async def _fetched(self, why: Forwarded, stored: StoredResponse | None, *, validate: bool) -> web.StreamResponse:
        errand, fetches = self._errand(stored, validate=validate), self._means.fetches
        try:
            fetch, reader, began = fetches.join(errand)
        except GatewayError as exc:
            return await self._instead(stored, exc)
        try:
            outcome = await self._wait(fetch, stored)
            while not (began or outcome is None or fetches.suits(fetch, self._ask) or _is_vain(errand, outcome)):
                reader.close()
                try:
                    fetch, reader, began = fetches.join_again(errand, outcome)
                except GatewayError as exc:
                    return await self._instead(stored, exc)
                outcome = await self._wait(fetch, stored)
            self._means.counters.collapsed += not began
            if errand.spec and isinstance(outcome, Arrived) and (outcome.stretch or outcome.vain):
                return await self._sliced(outcome, reader, why, stored, collapsed=not began)
            return await self._outcome(outcome, reader, why, stored, collapsed=not began)
        finally:
            reader.close()

    async def _wait(self, fetch: Fetching, stored: StoredResponse | None) -> Outcome | None:
        """Return what a fetch brought, or None where a stored answer may be shown and patience is at its end."""
        if stored is None or not self._may_be_stale(stored, status=None):
            return await fetch.wait(None)
        passed_s = self._means.clock.now_s() - fetch.began_s
        outcome = await fetch.wait(max(0.0, self._means.limits.patience_s - passed_s))
        if outcome is None:
            fetch.link.silent()
        return outcome

    def _may_be_stale(self, stored: StoredResponse, *, status: int | None) -> bool:
        now_s, down = self._means.clock.wall_s(), self._means.backhaul.is_down
        allowed = stale_instead(stored, self._ask, now_s=now_s, link_down=down, status=status)
        return allowed and not self._slicing.lacks(stored)

    async def _outcome(
        self,
        outcome: Outcome | None,
        reader: BodyReader,
        why: Forwarded,
        stored: StoredResponse | None,
        *,
        collapsed: bool,
    ) -> web.StreamResponse:
        match outcome:
            case None:
                return await self._instead(stored, OriginSilent())
            case Failed(error=error):
                return await self._instead(stored, error)
            case Validated(stored=fresh):
                self._means.counters.revalidated += 1
                return await self._from_store(fresh, status=forwarded(why, 304, collapsed=collapsed))
            case Arrived(status=code):
                if stored is not None and code >= 500 and self._may_be_stale(stored, status=code):
                    source = await self._slicing.open(stored)
                    if source is not None:
                        return await self._serve(stored, source, detail=f"origin-{code}")
                return await self._arrived(outcome, reader, why, collapsed=collapsed)
            case _:
                assert_never(outcome)

    async def _instead(self, stored: StoredResponse | None, error: GatewayError) -> web.StreamResponse:
        """Serve what is stored where the origin gave nothing; raise where that is not allowed, or not there."""
        source = None
        if stored is not None and self._may_be_stale(stored, status=None):
            source = await self._slicing.open(stored)
        if stored is None or source is None:
            raise copy(error)  # each browser's own: raising adds to it
        return await self._serve(stored, source, detail=LINK_DOWN if self._means.backhaul.is_down else error.code)

    async def _sliced(
        self,
        arrived: Arrived,
        reader: BodyReader,
        why: Forwarded,
        stored: StoredResponse | None,
        *,
        collapsed: bool,
    ) -> web.StreamResponse:
        """Answer from a slice that has begun, or by the origin itself where slices do not serve this request."""
        alone = len(asked(self._ask.fields) or ()) == 1
        if arrived.status == _UNSATISFIABLE and alone and not values(self._ask.fields, "if-range"):
            return await self._arrived(arrived, reader, why, collapsed=collapsed)
        if arrived.stretch is None or arrived.vain:
            return await self._direct(why, stored)  # of several ranges the others may be there
        known = as_stored(self._ask, arrived, arrived.stretch.size_bytes)
        here = Here(arrived.stretch.span, reader, arrived.stretch.span.at)
        status = forwarded(why, arrived.status, stored=arrived.shared, collapsed=collapsed)
        return await self._serve(known, self._slicing.pieced(known, here), status=status)

    async def _serve(
        self, stored: StoredResponse, source: SpanSource, *, detail: str | None = None, status: str | None = None
    ) -> web.StreamResponse:
        means = self._means
        now_s = float(ceil(means.clock.wall_s()))  # a whole second, so that all answers within it are the same
        ttl_s = stored.ttl_s(now_s)
        means.fetches.alike.learn(stored.site, stored.url, stored.fields)
        lacked_bytes = size_of(self._slicing.lacks(stored))
        means.counters.hits += not lacked_bytes
        means.counters.misses += lacked_bytes > 0
        means.counters.served_stale += ttl_s <= 0 and status is None
        means.counters.bytes_from_store += size_of(spans_of(self._ask, stored)) - lacked_bytes
        aged = (*without(stored.fields, {"age"}), ("Age", str(int(stored.age_s(now_s)))))  # RFC 9111 §5.1
        how = status or (forwarded(Forwarded.PARTIAL) if lacked_bytes else hit(ttl_s, detail))
        told = means.told(with_ranges(aged) if stored.status == 200 else aged, self._route, how)
        on_sent = partial(self._served_here, lacked_bytes)
        try:
            shown = await self._with_banner(stored, source, told, stored.age_s(now_s))
            if shown is not None:
                return shown
            answer = Answer(stored.status, told, source.size_bytes, stored.times.received_s)
            held = told_304(self._ask, self._route.pictures, answer)
            if held is not None:
                return await send_head_only(self._request, 304, told_by_304(held))
            plain = as_it_came(self._ask, self._route.pictures, answer)
            done = recoding_for(self._ask, told, source.size_bytes)
            cut = self._slicing.cut(stored.status, plain, source, done)
            if cut is not None:
                return await means.send(self._request, *cut, Recoding(), on_sent=on_sent)
            saved = await means.saver.saved(stored, source, told, self._ask, self._route.pictures)
            response = await means.send(
                self._request, stored.status, saved.fields, saved.source, saved.done, on_sent=on_sent
            )
            final = saved.settled and not saved.done.changes and detail is None and status is None
            final = final and not self._shows_age
            if final and isinstance(saved.source, HeldBody):
                self._teach(stored, response, saved.source.data)
            return response
        finally:
            source.close()

    @property
    def _shows_age(self) -> bool:
        return self._route.banner and self._means.backhaul.is_down

    async def _with_banner(
        self, stored: StoredResponse, source: SpanSource, told: Fields, age_s: float
    ) -> web.StreamResponse | None:
        """Send a page that says how old it is; None where it is to be sent as it is."""
        ask, means = self._ask, self._means
        page = await bannered(ask.method, ask.fields, stored, source, age_s, means.pool) if self._shows_age else None
        if page is None:
            return None
        fields = told_with_banner(told)
        done = recoding_for(ask, fields, page.size_bytes)
        on_sent = partial(self._served_here, 0)
        return await means.send(self._request, stored.status, fields, page, done, on_sent=on_sent)

    def _served_here(self, crossed_bytes: int, sent_bytes: int) -> None:
        """Take note of what was sent and did not cross the link for it."""
        if sent_bytes > crossed_bytes:
            self._means.served(self._route.device, sent_bytes - crossed_bytes)

    def _teach(self, stored: StoredResponse, response: web.StreamResponse, body: bytes) -> None:
        """Let the next request like this one be answered early."""
        request = self._request
        if request.method == "GET" and request.version == HttpVersion11 and stored in self._shelf:
            target = request._message.path.encode("utf-8", "surrogateescape")
            also = {name for each in self._shelf for name, _ in each.vary}
            head = sent_head(response)
            self._route.early.learn(target, request.raw_headers, stored, head, body, self._changes, also)

    async def _arrived(
        self, arrived: Arrived, reader: BodyReader, why: Forwarded, *, collapsed: bool
    ) -> web.StreamResponse:
        means = self._means
        means.counters.misses += 1
        status = forwarded(why, arrived.status, stored=arrived.shared, collapsed=collapsed)
        # what is for one browser (`private="…"`) is for the one that asked
        fields = self._for_others(arrived) if collapsed else arrived.fields
        told = means.told(fields, self._route, status)
        answer = Answer(arrived.status, told, reader.size_bytes, arrived.times.received_s)
        held = told_304(self._ask, self._route.pictures, answer)
        if held is not None:
            return await send_head_only(self._request, 304, told_by_304(held))
        told = as_it_came(self._ask, self._route.pictures, answer)
        done = recoding_for(self._ask, told, reader.size_bytes)
        cut = self._slicing.cut(arrived.status, told, reader, done)
        if cut is not None:
            return await means.send(self._request, *cut, Recoding())
        return await means.send(self._request, arrived.status, told, reader, done)

    def _for_others(self, arrived: Arrived) -> Fields:
        """Return the fields of an answer that another's request brought, with its age where that is any by now."""
        fields = to_store(arrived.fields, self._ask.site)
        age_s = int(age_of(arrived.fields, arrived.times, self._means.clock.wall_s()))
        return (*without(fields, {"age"}), ("Age", str(age_s))) if age_s else fields


def _is_vain(errand: Errand, outcome: Outcome) -> bool:
    return errand.spec is not None and isinstance(outcome, Arrived) and outcome.vain
