"""The shop as an app: what a phone keeps to work without the box, and how it hands in what waited in it.

An order made in a phone comes as the same document that programs send, as often as the phone likes, and is answered
with the receipt that is on disk. It needs a session, a token of that session (a fresh one is told with each look, so an
order of yesterday is sent with one of today), and the mark of the shop that it was written for. Whoever signs out while
orders wait in the phone keeps what it stored: the phone says so in a cookie, which holds nothing else.

Source: Service Workers §5.3 (Service-Worker-Allowed), RFC 9110 §13.1.2 (If-None-Match), RFC 9111 §5.2.2.4 (no-cache).
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import hdrs, web

from gateway.document import read_document
from gateway.errors import N_, BadRequest, NotAllowed, TooLarge
from gateway.market.catalogue.model import Catalogue
from gateway.market.intake import TooSlow
from gateway.market.order import ORDER_BYTES_MAX, is_order_id, read_order
from gateway.portal.app_shown import manifest, order_fields, phone_document, shop_mark, worker_script
from gateway.portal.coding import accepted, code
from gateway.portal.guards import guard
from gateway.portal.identity import FORM_S_MAX, VISIT
from gateway.portal.shop_frame import Desk, ShopFrame
from gateway.portal.statics import Statics
from gateway.portal.thumbnails import picture_url

PAGE = "/tienda/sin-caja"
IDS_MAX = 100  # a phone asks for in one look
LOOK_BYTES_MAX = 8_192
PICTURES_S = 60.0  # how old a phone's articles may be: pictures come without a new version
LANGUAGES_KEPT = 8
_SHELL_FILES = ("tambo.css", "tambo.svg", "outbox.js", "shop.js", "shop_away.js")
_A_DAY = "public, max-age=86400"


class StaleToken(NotAllowed):
    """The token is not of this session."""

    code = "stale-token"
    what = N_("This page was open too long, or its cookies are blocked.")
    advice = N_("Go back, load the page anew and send it once more.")


class OtherShop(NotAllowed):
    """The order was written for another shop than the one that is signed in."""

    code = "other-shop"
    what = N_("This order was written for another shop.")
    advice = N_("Sign in with the account that wrote it.")


@dataclass(frozen=True, slots=True)
class _Kept:
    """A phone's articles and words, coded once, and of what they are."""

    catalogue: Catalogue | None
    made_s: float
    etag: str
    bodies: Mapping[str, bytes]


class AppPages:
    """What makes the shop an app that can be installed."""

    def __init__(self, frame: ShopFrame, statics: Statics, currency: str) -> None:
        self._frame = frame
        self._statics = statics
        self._currency = currency
        self._kept: dict[tuple[str, str], _Kept] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the app."""
        return [
            web.get("/tienda/app.webmanifest", self._manifest),
            web.get("/tienda/sw.js", self._worker),
            web.get(PAGE, self._shell),
            web.get("/tienda/telefono.json", self._phone),
            web.post("/tienda/estado", self._look),
            web.post("/tienda/enviar", self._take),
        ]

    async def _manifest(self, request: web.Request) -> web.StreamResponse:
        text = json.dumps(manifest(request[VISIT].language, self._statics.url), ensure_ascii=False)
        headers = {"Cache-Control": _A_DAY, "Vary": "Accept-Language, Cookie"}
        return web.Response(text=text, content_type="application/manifest+json", headers=headers)

    async def _worker(self, request: web.Request) -> web.StreamResponse:
        del request
        urls = {name: self._statics.url(name) for name in _SHELL_FILES}
        text = worker_script(
            self._statics.text("sw.js"), page=PAGE, outbox=urls["outbox.js"], files=sorted(urls.values())
        )
        headers = {"Cache-Control": "no-cache", "Service-Worker-Allowed": "/tienda"}
        return web.Response(text=text, content_type="text/javascript", headers=headers)

    async def _shell(self, request: web.Request) -> web.StreamResponse:
        self._frame.demand_market()
        return self._frame.pages.render(request, "shop_away.html", personal=False)

    async def _phone(self, request: web.Request) -> web.StreamResponse:
        desk = self._frame.demand(request)
        kept = await self._fresh(desk)
        headers = {"ETag": kept.etag, "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding, Cookie"}
        guard(headers)
        if request.headers.get(hdrs.IF_NONE_MATCH) == kept.etag:
            return web.Response(status=304, headers=headers)
        coding = next(iter(accepted(request.headers.get(hdrs.ACCEPT_ENCODING, ""))), "")
        if coding:
            headers[hdrs.CONTENT_ENCODING] = coding
        return web.Response(body=kept.bodies[coding], content_type="application/json", headers=headers)

    async def _look(self, request: web.Request) -> web.StreamResponse:
        """Tell a phone whose shop this is, a token to send with, and what became of its orders."""
        desk = self._frame.demand(request)
        found = [await desk.market.order(each, desk.shop) for each in _ids(await _body(request, LOOK_BYTES_MAX))]
        tag = desk.visit.language
        return _answer(
            {
                "token": self._frame.identity.form_token(desk.visit),
                "shop": shop_mark(desk.shop),
                "orders": [order_fields(each, tag) for each in found if each is not None],
            }
        )

    async def _take(self, request: web.Request) -> web.StreamResponse:
        desk = self._frame.demand(request)
        token = request.headers.get("Tambo-Token", "")
        if not token.isascii() or not self._frame.identity.is_genuine(desk.visit, {"token": token}):
            raise StaleToken
        if request.headers.get("Tambo-Shop") != shop_mark(desk.shop):
            raise OtherShop
        body = await _body(request, ORDER_BYTES_MAX)
        order = await asyncio.to_thread(read_order, body)
        recorded = await desk.market.record(order, desk.shop, desk.account.name)
        receipt = {
            "id": recorded.id,
            "receipt": recorded.receipt,
            "state": recorded.state,
            "recorded_at": recorded.recorded_at,
            "hash": recorded.hash,
        }
        return _answer(receipt, 201 if recorded.is_new else 200)

    async def _fresh(self, desk: Desk) -> _Kept:
        """Return a shop's articles and words as they are now, or were a minute ago."""
        key, now_s = (desk.visit.language, desk.shop), self._frame.clock.now_s()
        storefront = desk.market.storefront
        catalogue = storefront.catalogue
        kept = self._kept.get(key)
        if kept is not None and kept.catalogue is catalogue and now_s - kept.made_s < PICTURES_S:
            return kept
        urls = {each.sku: picture_url(storefront, each.sku) for each in (catalogue.articles if catalogue else ())}
        body = await asyncio.to_thread(phone_document, *key, catalogue, self._currency, urls.__getitem__)
        etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
        bodies = kept.bodies if kept and kept.etag == etag else await asyncio.to_thread(_coded, body)
        while len(self._kept) >= LANGUAGES_KEPT and key not in self._kept:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = _Kept(catalogue, now_s, etag, bodies)
        return self._kept[key]


def _coded(body: bytes) -> dict[str, bytes]:
    return {"": body, "br": code(body, "br"), "gzip": code(body, "gzip")}


def _ids(body: bytes) -> list[str]:
    """Return the orders that a phone asks for.

    Raises: BadRequest, TooLarge.
    """
    document = read_document(body, LOOK_BYTES_MAX)
    ids = document.get("ids") if isinstance(document, dict) else None
    if not isinstance(ids, list) or len(ids) > IDS_MAX or not all(isinstance(id_, str) for id_ in ids):
        raise BadRequest(N_("The request could not be read."))
    return [id_ for id_ in ids if is_order_id(id_)]


async def _body(request: web.Request, bytes_max: int) -> bytes:
    if request.content_type != "application/json" or hdrs.CONTENT_ENCODING in request.headers:
        raise BadRequest(N_("The request could not be read."))
    if (request.content_length or 0) > bytes_max:
        raise _too_large(bytes_max)
    body = bytearray()
    try:
        async with asyncio.timeout(FORM_S_MAX):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > bytes_max:
                    raise _too_large(bytes_max)
    except TimeoutError as exc:
        raise TooSlow from exc
    return bytes(body)


def _too_large(bytes_max: int) -> TooLarge:
    return TooLarge(N_("The document is larger than %(limit)d bytes."), N_("Send less at once."), limit=bytes_max)


def _answer(content: Mapping[str, object], status: int = 200) -> web.Response:
    headers: dict[str, str] = {}
    guard(headers)
    return web.json_response(content, status=status, headers=headers)
