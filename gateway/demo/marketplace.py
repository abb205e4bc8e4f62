"""The demo's marketplace: a revision of an order takes effect once, however often and however badly it is delivered.

It is what `docs/api/marketplace.yaml` describes. Beside that, `GET /orders` tells what arrived, how often, and how
often it took effect; `POST /faults` makes it misbehave, `POST /catalogue` changes what it sells, and `POST /decide`
says what becomes of orders that it holds, or has. With a secret it takes only what is signed; it does without the time
of the signature, since a demo's clock may be anything.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import hdrs, web
from pydantic import Field, ValidationError

from gateway.clock import SystemClock, iso_utc
from gateway.demo.marketplace_faults import Faults, spoiled
from gateway.demo.marketplace_orders import DOCUMENT_BYTES_MAX, OrderTables, Told
from gateway.demo.marketplace_photos import PhotoFiles, photo_routes
from gateway.demo.marketplace_shop import Changes, Shop
from gateway.document import canonical, read_document
from gateway.errors import N_, BadRequest, GatewayError, NotFound, NotSignedIn
from gateway.exchange.coding import compress, decode
from gateway.market.batch import Outcome
from gateway.market.catalogue.model import Catalogue
from gateway.market.order import Document
from gateway.market.wire.column_reading import read_columns
from gateway.market.wire.columns import MEDIA_TYPE
from gateway.market.wire.receipts import BY_PLACE, write_answer
from gateway.market.wire.rows import Rows
from gateway.market.wire.signature import Check, key_from, verify

BODY_BYTES_MAX = 1_000_000  # as it comes
PLAIN = "application/json"
_CURSOR = re.compile(r"[0-9]{1,15}")
Model = TypeVar("Model", bound=Document)


class Decision(Document):
    """What becomes of an order, or of all that are held."""

    id: str | None = None
    outcome: Outcome = Field(strict=False)
    reason: str = Field(default="", max_length=200)


class DemoMarketplace:
    """A marketplace that keeps orders in a folder."""

    def __init__(self, folder: Path, *, catalogue: Catalogue | None = None, secret: str | None = None) -> None:
        self._clock = SystemClock()
        self._key = key_from(secret) if secret else None
        self._shop = Shop(catalogue) if catalogue is not None else None
        self._orders = OrderTables(folder)
        self._photos = PhotoFiles(folder / "photos")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="demo marketplace")
        self._runner: web.AppRunner | None = None
        self._faults = Faults()
        self.app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_sentences])
        self.app.add_routes(
            [
                web.post("/orders", self._deliver),
                web.get("/orders", self._list),
                web.get("/orders/updates", self._tell_updates),
                web.get("/orders/catalogue", self._tell_catalogue),
                *photo_routes("/orders/photos", self._photos, self._in_thread),
                web.post("/faults", self._misbehave),
                web.post("/catalogue", self._change_catalogue),
                web.post("/decide", self._decide),
            ]
        )
        self.app.cleanup_ctx.append(self._open)

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Accept deliveries; return the address, where port 0 became a free one."""
        self._runner = web.AppRunner(self.app, auto_decompress=False, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        address = self._runner.addresses[0]
        return str(address[0]), int(address[1])

    async def stop(self) -> None:
        """Accept nothing more."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def _open(self, app: web.Application) -> AsyncIterator[None]:
        del app
        await self._in_thread(self._orders.open)
        yield
        await self._in_thread(self._orders.close)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[..., Any], *values: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *values)

    # What a marketplace must have.

    async def _deliver(self, request: web.Request) -> web.Response:
        coded = await request.read()
        coding = request.headers.get(hdrs.CONTENT_ENCODING, "")
        document = await asyncio.to_thread(decode, coded, coding, DOCUMENT_BYTES_MAX)
        self._check_signature(request, document)
        is_columns = request.content_type == MEDIA_TYPE
        if is_columns and not self._faults.columns:
            raise _NotTaken
        batch = await asyncio.to_thread(_read_columns if is_columns else _read_rows, document)
        if self._faults.delay_s:
            await asyncio.sleep(self._faults.delay_s)
        if self._has_fault("refuse"):
            return web.json_response({"error": "not now"}, status=503)
        told = await self._take(batch)
        if self._has_fault("fail"):
            return web.json_response({"error": "it broke, and nobody knows where"}, status=500)
        if self._has_fault("lose") and request.transport is not None:
            request.transport.abort()
        return self._answer(request, batch, told)

    async def _take(self, batch: Rows) -> list[Told | None]:
        """Take a batch, and once more if told to; return a receipt for each row."""
        holds = self._has_fault("hold")

        def take() -> list[Told | None]:
            arrived_at = iso_utc(self._clock.wall_s())
            objection = self._shop.objection if self._shop is not None and self._faults.checks else lambda _: None
            return self._orders.take(batch.box, batch.orders, arrived_at, objection, holds=holds)

        told: list[Told | None] = await self._in_thread(take)
        if self._has_fault("double"):
            told += await self._in_thread(take)
        return told

    def _answer(self, request: web.Request, batch: Rows, told: Sequence[Told | None]) -> web.Response:
        headers = {"Content-Type": PLAIN}
        faults = {name: self._has_fault(name) for name in ("half", "strangers", "reorder")}
        if batch.digest and len(told) == len(batch.orders) and not any(faults.values()):
            body = _by_place(batch.digest, iso_utc(self._clock.wall_s()), told)
        else:
            body = canonical({"receipts": spoiled([each for each in told if each is not None], **faults)})
        if not batch.digest and self._faults.columns:
            headers["Accept-Post"] = f"{PLAIN}, {MEDIA_TYPE}"
        codings = {
            each.partition(";")[0].strip().lower() for each in request.headers.get("Accept-Encoding", "").split(",")
        }
        if "br" in codings:
            headers["Content-Encoding"] = "br"
            body = compress(body)
        return web.Response(body=body, headers=headers)

    def _check_signature(self, request: web.Request, document: bytes) -> None:
        if self._key is None:
            return
        fields = {name.lower(): value for name, value in request.headers.items()}
        if verify(self._key, fields, document, self._clock.wall_s(), tolerance_s=None) is not Check.GENUINE:
            raise NotSignedIn(N_("The delivery is not signed by who is expected."))

    # What a marketplace may have.

    async def _tell_updates(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "")
        if after and not _CURSOR.fullmatch(after):
            raise BadRequest(N_("This is no cursor of this marketplace."))
        receipts, cursor, more = await self._in_thread(self._orders.updates, int(after or 0))
        return web.json_response({"receipts": receipts, "cursor": str(cursor), "more": more})

    async def _tell_catalogue(self, request: web.Request) -> web.Response:
        return web.json_response(self._require_shop().since(request.query.get("since", "")))

    # What only the demo has.

    async def _list(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"orders": await self._in_thread(self._listed)})

    async def _misbehave(self, request: web.Request) -> web.Response:
        self._faults = await _said(request, Faults)
        return web.json_response(self._faults.model_dump())

    async def _change_catalogue(self, request: web.Request) -> web.Response:
        return web.json_response({"version": self._require_shop().change(await _said(request, Changes))})

    async def _decide(self, request: web.Request) -> web.Response:
        decision = await _said(request, Decision)
        decided = await self._in_thread(self._orders.decide, decision.id, decision.outcome, decision.reason)
        return web.json_response({"decided": decided})

    def _listed(self) -> list[Told]:
        return self._orders.listed()

    def _require_shop(self) -> Shop:
        if self._shop is None:
            raise NotFound
        return self._shop

    def _has_fault(self, name: str) -> bool:
        """Say whether this batch meets a fault, and count it."""
        left = getattr(self._faults, name)
        if left:
            self._faults = self._faults.model_copy(update={name: left - 1})
        return bool(left)


class _NotTaken(BadRequest):
    status = 415


def _read_rows(document: bytes) -> Rows:
    batch = read_document(document, DOCUMENT_BYTES_MAX)
    box, orders = (batch.get("box"), batch.get("orders")) if isinstance(batch, dict) else (None, None)
    if not isinstance(box, str) or not isinstance(orders, list):
        raise BadRequest(N_("This is not a batch of orders."))
    return Rows(box, "", tuple(orders), "")


def _read_columns(document: bytes) -> Rows:
    return read_columns(document, DOCUMENT_BYTES_MAX)


def _by_place(digest: str, arrived_at: str, told: Sequence[Told | None]) -> bytes:
    places: dict[Outcome, list[int]] = {}
    others: list[Told] = []
    for place, each in enumerate(told):
        if each is None:
            continue
        if each["outcome"] in BY_PLACE and not each["reason"]:
            places.setdefault(Outcome(str(each["outcome"])), []).append(place)
        else:
            others.append(each)
    return write_answer(digest, arrived_at, places, others)


async def _said(request: web.Request, model: type[Model]) -> Model:
    try:
        return model.model_validate(read_document(await request.read(), BODY_BYTES_MAX))
    except ValidationError:
        raise BadRequest(
            N_("This is not known here."), N_("Its names are %(names)s."), names=", ".join(model.model_fields)
        ) from None


@web.middleware
async def _sentences(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer a fault with a sentence of our own."""
    try:
        return await handler(request)
    except GatewayError as exc:
        return web.json_response({"error": str(exc)}, status=exc.status, headers=exc.headers)
    except web.HTTPException as exc:
        return web.json_response({"error": exc.reason}, status=exc.status)
