"""From a request to its answer: the decision, then the store or a fetch that others may share.

Its journey is `decide` → `Serve`, or a fetch → its outcome → the answer; whatever goes wrong on the way, a stored
answer is looked at before an error is.
"""

from copy import copy
from dataclasses import replace
from typing import assert_never

from aiohttp import web

from gateway.errors import GatewayError, LinkDown, OriginFault
from gateway.web.answer import send_head_only, whole
from gateway.web.asking import Ask
from gateway.web.body import BodyReader, HeldBody, Source
from gateway.web.coding import Recoding, recoded, recoding
from gateway.web.decision import LINK_DOWN, Decision, Fetch, Refuse, Serve, Validate, decide, stale_instead
from gateway.web.direct import direct
from gateway.web.faults import BodyBroken, NotStored, OriginSilent
from gateway.web.fetch import Arrived, Errand, Failed, Outcome, Validated
from gateway.web.fetch import Fetch as Fetching
from gateway.web.fields import without
from gateway.web.means import Means, Route, accepted_by
from gateway.web.status import Forwarded, forwarded, hit
from gateway.web.stored import StoredResponse
from gateway.web.target import peer_of
from gateway.web.validating import holds_already, told_by_304
from gateway.web.variants import select

# How long a request waits for an origin when there is a stored answer that may be shown instead: a weak link answers a
# validation in 1 s (three round trips of 300 ms), and nobody stares at a blank page for longer than this.
STALE_PATIENCE_S = 3.0
RECODED_BYTES_MAX = 1_048_576  # a body up to this size is coded once and held in memory


class Exchange:
    """One request on its way to its answer."""

    def __init__(self, means: Means, request: web.BaseRequest, ask: Ask, route: Route) -> None:
        self._means = means
        self._request = request
        self._ask = ask
        self._route = route

    async def answer(self) -> web.StreamResponse:
        """Answer the request.

        Raises: GatewayError where there is no answer.
        """
        decision = await self._decide()
        match decision:
            case Serve(stored=stored, detail=detail, refresh=refresh):
                source = await self._means.store.open(stored)
                if source is None:  # damaged on disk, and forgotten by now
                    return await self.answer()
                if refresh:
                    self._refresh(stored)
                return await self._serve(stored, source, detail=detail)
            case Refuse(link_down=True):
                self._means.backhaul.wanted(peer_of(self._ask.url))
                raise LinkDown
            case Refuse():
                raise NotStored
            case Validate(stored=stored, why=why):
                return await self._fetched(why, stored, validate=True)
            case Fetch(why=why, stored=stored):
                if self._ask.reusable and (self._ask.method == "GET" or stored is not None):
                    return await self._fetched(why, stored, validate=False)
                return await direct(self._means, self._request, self._ask, self._route, why)
            case _:
                assert_never(decision)

    async def _decide(self) -> Decision:
        means, ask = self._means, self._ask
        shelf = await means.store.shelf(ask.site, ask.url) if ask.reusable else ()
        selection = select(shelf, ask.fields)
        return decide(ask, selection, now_s=means.clock.wall_s(), link_down=means.backhaul.is_down)

    def _refresh(self, stored: StoredResponse) -> None:
        _, reader, _ = self._means.fetches.join(self._errand(stored, validate=True))
        reader.close()  # the store alone waits for it

    def _errand(self, stored: StoredResponse | None, *, validate: bool) -> Errand:
        ask, route = replace(self._ask, method="GET"), self._route
        return Errand(ask, route.client, route.traffic_class, stored, validate)

    async def _fetched(self, why: Forwarded, stored: StoredResponse | None, *, validate: bool) -> web.StreamResponse:
        errand = self._errand(stored, validate=validate)
        fetch, reader, began = self._means.fetches.join(errand)
        try:
            outcome = await self._wait(fetch, stored)
            if not began and outcome is not None and not fetch.suits(self._ask):
                reader.close()
                fetch, reader = self._means.fetches.begin(errand)
                began, outcome = True, await self._wait(fetch, stored)
            self._means.counters.collapsed += not began
            return await self._outcome(outcome, reader, why, stored, collapsed=not began)
        finally:
            reader.close()

    async def _wait(self, fetch: Fetching, stored: StoredResponse | None) -> Outcome | None:
        """Return what a fetch brought, or None where a stored answer may be shown and patience is at its end."""
        if stored is None or not self._may_be_stale(stored, status=None):
            return await fetch.wait(None)
        passed_s = self._means.clock.now_s() - fetch.began_s
        outcome = await fetch.wait(max(0.0, STALE_PATIENCE_S - passed_s))
        if outcome is None:
            fetch.link.silent()
        return outcome

    def _may_be_stale(self, stored: StoredResponse, *, status: int | None) -> bool:
        now_s, down = self._means.clock.wall_s(), self._means.backhaul.is_down
        return stale_instead(stored, self._ask, now_s=now_s, link_down=down, status=status)

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
                source = await self._means.store.open(fresh)
                if source is None:  # its body is gone: now it is fetched
                    return await self.answer()
                self._means.counters.revalidated += 1
                return await self._serve(fresh, source, status=forwarded(why, 304, collapsed=collapsed))
            case Arrived(status=code):
                if stored is not None and code >= 500 and self._may_be_stale(stored, status=code):
                    source = await self._means.store.open(stored)
                    if source is not None:
                        return await self._serve(stored, source, detail=f"origin-{code}")
                return await self._arrived(outcome, reader, why, collapsed=collapsed)
            case _:
                assert_never(outcome)

    async def _instead(self, stored: StoredResponse | None, error: GatewayError) -> web.StreamResponse:
        """Serve what is stored where the origin gave nothing; raise where that is not allowed, or not there."""
        source = None
        if stored is not None and self._may_be_stale(stored, status=None):
            source = await self._means.store.open(stored)
        if stored is None or source is None:
            raise copy(error)  # each browser's own: raising adds to it
        return await self._serve(stored, source, detail=LINK_DOWN if self._means.backhaul.is_down else error.code)

    async def _serve(
        self, stored: StoredResponse, source: Source, *, detail: str | None = None, status: str | None = None
    ) -> web.StreamResponse:
        means, now_s = self._means, self._means.clock.wall_s()
        ttl_s = stored.ttl_s(now_s)
        means.counters.hits += 1
        means.counters.served_stale += ttl_s <= 0 and status is None
        means.counters.bytes_from_store += source.size_bytes or 0
        aged = (*without(stored.fields, {"age"}), ("Age", str(int(stored.age_s(now_s)))))  # RFC 9111 §5.1
        told = means.told(aged, self._route, status or hit(ttl_s, detail))
        try:
            if holds_already(self._ask.fields, stored.status, stored.fields, stored.times.received_s):
                return await send_head_only(self._request, 304, told_by_304(told))
            done = recoding(told, source.size_bytes, accepted_by(self._ask))
            if done.changes and isinstance(source, HeldBody) and len(source.data) <= RECODED_BYTES_MAX:
                data = HeldBody(await self._recoded_once(stored, source, done))
                return await means.send(self._request, stored.status, recoded(told, done), data, Recoding())
            return await means.send(self._request, stored.status, told, source, done)
        finally:
            source.close()

    async def _recoded_once(self, stored: StoredResponse, source: HeldBody, done: Recoding) -> bytes:
        coding = done.encode or "identity"
        held = self._means.store.recoded(stored, coding)
        if held is not None:
            return held
        try:
            data = await whole(source, done, self._means.pool, self._means.decoded_bytes_max)
        except BodyBroken as exc:
            raise OriginFault from exc  # it cannot be decoded
        self._means.store.hold_recoded(stored, coding, data)
        return data

    async def _arrived(
        self, arrived: Arrived, reader: BodyReader, why: Forwarded, *, collapsed: bool
    ) -> web.StreamResponse:
        means = self._means
        means.counters.misses += 1
        status = forwarded(why, arrived.status, stored=arrived.shared, collapsed=collapsed)
        told = means.told(arrived.fields, self._route, status)
        if holds_already(self._ask.fields, arrived.status, arrived.fields, arrived.times.received_s):
            return await send_head_only(self._request, 304, told_by_304(told))
        done = recoding(told, reader.size_bytes, accepted_by(self._ask))
        return await means.send(self._request, arrived.status, told, reader, done)
