"""A merchant's program hands in an order and gets its receipt; a faulty one gets a sentence that repeats none of it.

`POST /api/v1/orders` answers 201 when the order is new and 200 when it was there, both with the same receipt; whoever
got no answer may send it again. `GET /api/v1/orders` and `/api/v1/orders/{id}` show the merchant's own.

Source: RFC 9110 §15.3.2 (201 and Location), §15.5.16 (415), §8.4 (Content-Encoding).
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from gateway.errors import N_, BadRequest, NotFound, TooLarge
from gateway.market.order import ORDER_BYTES_MAX, is_order_id, read_order
from gateway.market.records import OrderView, Recorded
from gateway.market.room import LIST_MAX, MarketRoom

PATH = "/api/v1/orders"
BODY_S = 30.0  # for one order over the village's Wi-Fi
LIST_DEFAULT = 50
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

    async def hand_in(request: web.Request) -> web.Response:
        merchant = await merchant_of(request)
        body = await _body(request)
        order = read_order(body) if len(body) <= AT_ONCE_BYTES else await asyncio.to_thread(read_order, body)
        recorded = await room.record(order, merchant)
        headers = {"Location": f"{PATH}/{recorded.id}"}
        return _answer(_receipt(recorded), status=201 if recorded.is_new else 200, headers=headers)

    async def show(request: web.Request) -> web.Response:
        merchant = await merchant_of(request)
        order_id = request.match_info["order_id"].lower()
        found = await room.order(order_id, merchant) if is_order_id(order_id) else None
        if found is None:
            raise NotFound(N_("There is no order with this id."), N_("Check the id; only your own orders are shown."))
        return _answer(_shown(found))

    async def show_all(request: web.Request) -> web.Response:
        merchant = await merchant_of(request)
        found = await room.orders(merchant, _limit(request))
        return _answer({"orders": [_shown(each) for each in found]})

    return [
        web.post(PATH, hand_in),
        web.get(PATH, show_all),
        web.get(f"{PATH}/{{order_id}}", show),
    ]


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


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(LIST_DEFAULT))
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= LIST_MAX):
        raise BadRequest(
            N_("The limit is not allowed."), N_("It must be a whole number, 1 to %(most)d."), most=LIST_MAX
        )
    return int(text)


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
    return {
        "id": found.id,
        "receipt": found.receipt,
        "state": found.state,
        "reason": found.reason,
        "recorded_at": found.recorded_at,
        "hash": found.hash,
        "total_minor": found.total_minor,
        **(found.order.model_dump(mode="json", exclude={"id"}) if found.order else {}),
    }


def _answer(content: dict[str, object], *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(content, status=status, headers={**(headers or {}), "Cache-Control": "no-store"})
