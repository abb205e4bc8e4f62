"""The technician's hand on the merchants' orders: how the queue is, what needs a person, and what may go once more.

They stand on the technician's listener, which takes what changes something as JSON only. What is told of an order is
its receipt number, merchant, state, the code of what must be decided, and its age: nothing of a buyer. The bundle of
all that waits is the one thing with more in it; it is signed, and sealed where the settings name a recipient.
"""

import json
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from aiohttp import web

from gateway.clock import Clock, clock_state
from gateway.durable.disk import Disk
from gateway.errors import N_, BadRequest, Conflict, NotFound, TooMany
from gateway.market.attention import Code
from gateway.market.bundle import MEDIA_TYPE
from gateway.market.order import is_order_id
from gateway.market.records import Counts, OrderView
from gateway.market.room import MarketStatistics
from gateway.market.states import WAITING, State
from gateway.portal.guards import guard

LISTED = 200  # orders of one answer; the room gives no more
OPEN = WAITING | {State.AT_HUB, State.NEEDS_ATTENTION}
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


class Orders(Protocol):
    """The room of orders."""

    async def orders(
        self,
        merchant: str | None,
        limit: int = 50,
        *,
        before: int | None = None,
        states: frozenset[State] | None = None,
    ) -> Sequence[OrderView]: ...
    async def requeue(self, order_id: str, merchant: str | None) -> OrderView: ...
    async def disk(self) -> Disk: ...
    def export(self, recipient: str = "") -> AsyncGenerator[bytes, None]: ...
    def counts(self, merchant: str | None) -> Counts: ...
    def statistics(self) -> MarketStatistics: ...


class OrdersDesk:
    """Takes the technician's orders; `recipient` is the key that bundles are sealed to, "" for none."""

    def __init__(self, market: Orders, clock: Clock, recipient: str = "") -> None:
        self._market = market
        self._clock = clock
        self._recipient = recipient
        self._is_bundling = False

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the desk."""
        return [
            web.get("/orders/stat", self._stat),
            web.get("/orders/open", self._open),
            web.get("/orders/attention", self._attention),
            web.post("/orders/requeue", self._requeue),
            web.post("/orders/bundle", self._bundle),
        ]

    async def _stat(self, request: web.Request) -> web.StreamResponse:
        del request
        disk = await self._market.disk()
        return _json(figures_of(self._market) | {"used_bytes": disk.used_bytes, "free_bytes": disk.free_bytes})

    async def _open(self, request: web.Request) -> web.StreamResponse:
        return await self._list(request, OPEN)

    async def _attention(self, request: web.Request) -> web.StreamResponse:
        return await self._list(request, frozenset({State.NEEDS_ATTENTION}))

    async def _list(self, request: web.Request, states: frozenset[State]) -> web.StreamResponse:
        """Answer with the newest of them; `before` of the answer, asked with, gives those that follow."""
        asked = request.query.get("before", "")
        before = int(asked) if _NUMBER.fullmatch(asked) else None
        found = await self._market.orders(None, LISTED, before=before, states=states)
        wall_s = self._clock.wall_s()
        more = found[-1].number if len(found) == LISTED else None
        return _json({"orders": [_shown(each, wall_s) for each in found], "before": more})

    async def _requeue(self, request: web.Request) -> web.StreamResponse:
        order = await _order(request)
        if order.get("all") is True and "id" not in order:
            return _json({"requeued": await self._requeue_all()})
        asked = order.get("id")
        if not isinstance(asked, str) or not is_order_id(asked.lower()) or "all" in order:
            raise BadRequest(N_("The order names no order, or more than one."))
        await self._market.requeue(asked.lower(), None)
        return _json({"requeued": 1})

    async def _requeue_all(self) -> int:
        """Let all go once more that were refused too often; whatever else waits for a person is the merchant's."""
        requeued, before = 0, None
        while True:
            found = await self._market.orders(None, LISTED, before=before, states=frozenset({State.NEEDS_ATTENTION}))
            for each in found:
                if each.attention is not None and each.attention.code is Code.UNDELIVERABLE:
                    requeued += await self._requeue_one(each.id)
            if len(found) < LISTED:
                return requeued
            before = found[-1].number

    async def _requeue_one(self, order_id: str) -> int:
        try:
            await self._market.requeue(order_id, None)
        except (Conflict, NotFound):  # its merchant was faster
            return 0
        return 1

    async def _bundle(self, request: web.Request) -> web.StreamResponse:
        if await _order(request):
            raise BadRequest(N_("This order takes nothing with it."))
        if self._is_bundling:
            raise TooMany(N_("A bundle is being made already."))
        self._is_bundling = True
        try:
            return await self._stream(request)
        finally:
            self._is_bundling = False

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Send the bundle as it is made; what breaks in the middle ends the connection, and the file is not whole."""
        async with aclosing(self._market.export(self._recipient)) as pieces:
            first = await anext(pieces)  # what cannot be begun is told as any other refusal
            response = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store"})
            guard(response.headers)
            await response.prepare(request)
            try:
                await response.write(first)
                async for piece in pieces:
                    await response.write(piece)
                await response.write_eof()
            except BaseException:
                if request.transport is not None:
                    request.transport.abort()
                raise
        return response


def figures_of(market: Orders) -> dict[str, object]:
    """Return how the queue is, in numbers: what waits, what needs a person, what went since the start."""
    told, counts = market.statistics(), market.counts(None)
    return {
        "waiting": counts.waiting,
        "attention": counts.attention,
        "recorded": told.recorded,
        "accepted": told.drain.accepted,
        "rejected": told.drain.rejected,
        "failures_in_a_row": told.drain.failures_in_a_row,
        "heard_wall_s": told.drain.heard_wall_s,
        "damaged": told.journal.damaged,
        "put_aside": told.journal.put_aside,
        "is_taking": told.journal.is_taking,
    }


def _shown(order: OrderView, wall_s: float) -> dict[str, object]:
    is_known = not order.is_damaged and "unknown" not in {order.clock_state, clock_state(wall_s)}
    return {
        "number": order.number,
        "id": order.id,
        "receipt": order.receipt,
        "merchant": order.merchant,
        "state": order.state.value,
        "code": order.attention.code.value if order.attention else "",
        "revision": order.revision,
        "age_s": max(round(wall_s - order.recorded_wall_s), 0) if is_known else None,
    }


async def _order(request: web.Request) -> dict[str, Any]:
    try:
        found = await request.json()
    except ValueError as exc:
        raise BadRequest(N_("This is not JSON.")) from exc
    if not isinstance(found, dict):
        raise BadRequest(N_("This is not a JSON object."))
    return found


def _json(document: object) -> web.Response:
    return web.Response(
        body=json.dumps(document, ensure_ascii=False).encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
