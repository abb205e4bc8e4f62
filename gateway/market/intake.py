"""A merchant's program hands in an order and gets its receipt; a faulty one gets a sentence that repeats none of it.

`POST /api/v1/orders` answers 201 when the order is new and 200 when it was there, both with the same receipt; whoever
got no answer may send it again. `GET` shows the merchant's own orders, each with its revision as ETag; `PUT` changes
one and `DELETE` cancels it where `If-Match` names that revision. A change that comes again is answered as done.
All of it is written down in `docs/api/merchant.yaml`.

Source: RFC 9110 §15.3.2 (201 and Location), §15.5.16 (415), §8.4 (Content-Encoding), §13.1.1 (If-Match).
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from gateway.errors import N_, BadRequest, NotFound, TooLarge
from gateway.market.attention import write_remarks
from gateway.market.intake_fields import before, demand_seen, limit, seen, states, tag
from gateway.market.order import ORDER_BYTES_MAX, Order, as_fields, is_order_id, read_order
from gateway.market.records import OrderView, Recorded
from gateway.market.room import LIST_MAX, MarketRoom
from gateway.market.shares import Shares
from gateway.market.states import State

PATH = "/api/v1/orders"
BODY_S = 30.0  # for one order over the village's Wi-Fi
AT_ONCE_BYTES = 16_384  # read in under a millisecond; more would hold up the loop

MerchantOf = Callable[[web.Request], Awaitable[str]]


class WrongContentType(BadRequest):
    """The body is not JSON as it is."""

    status = 415
    code = "wrong-content-type"
    what = N_("The order must be sent as JSON.")
    advice = N_("Send it with Content-Type application/json and without a content coding.")


class TooSlow(BadRequest):
    """The body did not come in time."""

    status = 408
    code = "too-slow"
    what = N_("The order did not arrive whole in time.")
    advice = N_("Nothing was recorded. Send it again.")


def routes(room: MarketRoom, merchant_of: MerchantOf) -> list[web.RouteDef]:
    """Return the merchants' interface; `merchant_of` says who asks, or raises NotSignedIn or NotAllowed."""

    shares = Shares()

    async def hand_in(request: web.Request, merchant: str) -> web.Response:
        recorded = await room.record(await _order(request), merchant)
        headers = {"Location": f"{PATH}/{recorded.id}"}
        return _answer(_receipt(recorded), status=201 if recorded.is_new else 200, headers=headers)

    async def show(request: web.Request, merchant: str) -> web.Response:
        return _one(await _found(room, request, merchant))

    async def change(request: web.Request, merchant: str) -> web.Response:
        found = await _found(room, request, merchant)
        order, if_match = await _order(request), request.headers.get(hdrs.IF_MATCH)
        if found.order == order and found.revision - 1 in seen(if_match):
            return _one(found)  # it came before, and its answer was lost (RFC 9110 §13.1.1)
        demand_seen(found, if_match)
        return _one(await room.change(found.id, merchant, order, revision=found.revision))

    async def cancel(request: web.Request, merchant: str) -> web.Response:
        found = await _found(room, request, merchant)
        if found.state is State.CANCELLED or found.is_cancelled:
            return _one(found)
        demand_seen(found, request.headers.get(hdrs.IF_MATCH))
        return _one(await room.cancel(found.id, merchant, revision=found.revision))

    async def show_all(request: web.Request, merchant: str) -> web.Response:
        asked, most = request.query, limit(request.query.get("limit"), LIST_MAX)
        page = await room.orders(
            merchant, most, before=before(asked.get("before")), states=states(asked.getall("state", []))
        )
        onward = {"next": page[-1].number} if len(page) == most else {}
        return _answer({"orders": [_shown(each) for each in page], **onward})

    def own(answer: Callable[[web.Request, str], Awaitable[web.Response]]) -> Callable[..., Awaitable[web.Response]]:
        async def within_share(request: web.Request) -> web.Response:
            merchant = await merchant_of(request)
            with shares.one_of(merchant):
                return await answer(request, merchant)

        return within_share

    one = f"{PATH}/{{order_id}}"
    return [
        web.post(PATH, own(hand_in)),
        web.get(PATH, own(show_all)),
        web.get(one, own(show)),
        web.put(one, own(change)),
        web.delete(one, own(cancel)),
    ]


async def _found(room: MarketRoom, request: web.Request, merchant: str) -> OrderView:
    order_id = request.match_info["order_id"].lower()
    found = await room.order(order_id, merchant) if is_order_id(order_id) else None
    if found is None:
        raise NotFound(N_("There is no order with this id."), N_("Check the id; only your own orders are shown."))
    return found


async def _order(request: web.Request) -> Order:
    body = await _body(request)
    return read_order(body) if len(body) <= AT_ONCE_BYTES else await asyncio.to_thread(read_order, body)


async def _body(request: web.Request) -> bytes:
    if request.content_type != "application/json" or (request.charset or "utf-8").lower() not in {"utf-8", "utf8"}:
        raise WrongContentType
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise WrongContentType
    if (request.content_length or 0) > ORDER_BYTES_MAX:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > ORDER_BYTES_MAX:
                    raise _too_large()
    except TimeoutError as exc:
        raise TooSlow from exc
    return bytes(body)


def _too_large() -> TooLarge:
    return TooLarge(N_("The order is larger than %(limit)d bytes."), N_("Send it as two."), limit=ORDER_BYTES_MAX)


def _receipt(recorded: Recorded) -> dict[str, object]:
    return {
        "id": recorded.id,
        "receipt": recorded.receipt,
        "state": recorded.state,
        "recorded_at": recorded.recorded_at,
        "hash": recorded.hash,
    }


def _shown(found: OrderView) -> dict[str, object]:
    shown: dict[str, object] = {
        "id": found.id,
        "number": found.number,
        "receipt": found.receipt,
        "state": found.state,
        "reason": found.reason,
        "recorded_at": found.recorded_at,
        "hash": found.hash,
        "revision": found.revision,
        "total_minor": found.total_minor,
    }
    if found.order is not None:
        shown = {**as_fields(found.order), **shown}
    if found.attention is not None:
        shown["attention"] = {"code": found.attention.code, "lines": write_remarks(found.attention.remarks)}
    if found.arrived_at:
        shown["arrived_at"] = found.arrived_at
    return shown


def _one(found: OrderView) -> web.Response:
    return _answer(_shown(found), headers={"ETag": tag(found.revision)})


def _answer(content: dict[str, object], *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(content, status=status, headers={**(headers or {}), "Cache-Control": "no-store"})
