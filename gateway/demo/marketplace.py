"""The demo's marketplace: an order takes effect once, by its id, however often and however badly it is delivered.

It can be told to misbehave (`POST /faults`): to lose (take a batch, then cut the connection), to delay, to double (work
through the same delivery twice, and say everything twice) and to refuse. `GET /orders` tells what arrived, how often,
and how many times it took effect: `times_applied` counts rows that nothing keeps unique, so it would show a second one.
"""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from aiohttp import hdrs, web
from pydantic import Field, ValidationError

from gateway.errors import N_, BadRequest, GatewayError, TooLarge
from gateway.market.batch import Outcome
from gateway.market.coding import compress, decode
from gateway.market.document import canonical, read_document
from gateway.market.order import Document, is_order_id, order_from

BODY_BYTES_MAX = 1_000_000  # as it comes
DOCUMENT_BYTES_MAX = 8_000_000  # decoded
LISTED_MAX = 10_000
_ADDED = ("receipt", "recorded_at", "merchant", "hash")  # to the order as the merchant gave it

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, box TEXT NOT NULL, document BLOB NOT NULL, deliveries INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS effects (number INTEGER PRIMARY KEY, order_id TEXT NOT NULL);
"""


class Faults(Document):
    """How to misbehave: for so many batches to come, or (the delay) until told otherwise."""

    lose: int = Field(default=0, ge=0, le=10_000)
    delay_s: float = Field(default=0.0, ge=0, le=600)
    double: int = Field(default=0, ge=0, le=10_000)
    refuse: int = Field(default=0, ge=0, le=10_000)


class DemoMarketplace:
    """A marketplace that keeps orders in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._database: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="demo marketplace")
        self._runner: web.AppRunner | None = None
        self._faults = Faults()
        self.app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_sentences])
        self.app.add_routes(
            [
                web.post("/orders", self._deliver),
                web.get("/orders", self._list),
                web.post("/faults", self._misbehave),
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
        await self._in_thread(self._open_database)
        yield
        await self._in_thread(self._close_database)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[..., Any], *values: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *values)

    async def _misbehave(self, request: web.Request) -> web.Response:
        try:
            faults = Faults.model_validate(read_document(await request.read(), BODY_BYTES_MAX))
        except ValidationError:
            raise BadRequest(N_("These are not faults."), N_("It knows lose, delay_s, double and refuse.")) from None
        self._faults = faults
        return web.json_response(faults.model_dump())

    async def _list(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"orders": await self._in_thread(self._listed)})

    async def _deliver(self, request: web.Request) -> web.Response:
        coded = await request.read()
        coding = request.headers.get(hdrs.CONTENT_ENCODING, "")
        box, orders = await asyncio.to_thread(_read_batch, coded, coding)
        if self._faults.delay_s:
            await asyncio.sleep(self._faults.delay_s)
        if self._has_fault("refuse"):
            return web.json_response({"error": "not now"}, status=503)
        receipts = await self._in_thread(self._take, box, orders)
        if self._has_fault("double"):
            receipts += await self._in_thread(self._take, box, orders)
        if self._has_fault("lose") and request.transport is not None:
            request.transport.abort()
        return _receipts(receipts, request.headers.get(hdrs.ACCEPT_ENCODING, ""))

    def _has_fault(self, name: str) -> bool:
        """Say whether this batch meets a fault, and count it."""
        left = getattr(self._faults, name)
        if left:
            self._faults = self._faults.model_copy(update={name: left - 1})
        return bool(left)

    # What follows runs in the database's thread.

    def _open_database(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._database = sqlite3.connect(self._folder / "marketplace.sqlite3", isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(_SCHEMA)

    def _close_database(self) -> None:
        if self._database is not None:
            self._database.close()

    def _take(self, box: str, orders: list[object]) -> list[dict[str, str]]:
        """Let each order take effect that has not yet, all in one transaction; return a receipt for each."""
        database = self._database
        if database is None:
            raise GatewayError
        database.execute("BEGIN IMMEDIATE")
        try:
            receipts = [_taken(database, box, order) for order in orders]
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise
        return [receipt for receipt in receipts if receipt is not None]

    def _listed(self) -> list[dict[str, object]]:
        if self._database is None:
            return []
        with closing(self._database.cursor()) as cursor:
            cursor.execute(
                "SELECT id, box, deliveries, document, (SELECT count(*) FROM effects WHERE order_id = id)"
                " FROM orders ORDER BY rowid DESC LIMIT ?",
                (LISTED_MAX,),
            )
            return [
                {
                    "id": order_id,
                    "box": box,
                    "deliveries": deliveries,
                    "times_applied": times_applied,
                    "order": read_document(document, DOCUMENT_BYTES_MAX),
                }
                for order_id, box, deliveries, document, times_applied in cursor
            ]


def _taken(database: sqlite3.Connection, box: str, entry: object) -> dict[str, str] | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or not is_order_id(entry["id"].lower()):
        return None
    order_id = entry["id"].lower()
    if not _is_as_recorded(entry):
        return {"id": order_id, "outcome": Outcome.RETRY, "reason": "damaged on the way"}
    try:
        order_from({name: value for name, value in entry.items() if name not in _ADDED})
    except BadRequest:
        return {"id": order_id, "outcome": Outcome.REJECTED, "reason": "not a valid order"}
    if database.execute("UPDATE orders SET deliveries = deliveries + 1 WHERE id = ?", (order_id,)).rowcount:
        return {"id": order_id, "outcome": Outcome.DUPLICATE, "reason": ""}
    database.execute("INSERT INTO orders VALUES (?, ?, ?, 1)", (order_id, box, canonical(entry)))
    database.execute("INSERT INTO effects (order_id) VALUES (?)", (order_id,))
    return {"id": order_id, "outcome": Outcome.ACCEPTED, "reason": ""}


def _is_as_recorded(entry: dict[str, object]) -> bool:
    """Check the hash that the merchant was given: the order is the one that was recorded, all the way."""
    content = {name: value for name, value in entry.items() if name not in {"receipt", "recorded_at", "hash"}}
    try:
        return hashlib.sha256(canonical(content)).hexdigest() == entry.get("hash")
    except (UnicodeEncodeError, ValueError):
        return False


def _read_batch(coded: bytes, coding: str) -> tuple[str, list[object]]:
    batch = read_document(decode(coded, coding, DOCUMENT_BYTES_MAX), DOCUMENT_BYTES_MAX)
    box, orders = (batch.get("box"), batch.get("orders")) if isinstance(batch, dict) else (None, None)
    if not isinstance(box, str) or not isinstance(orders, list):
        raise BadRequest(N_("This is not a batch of orders."))
    return box, orders


def _receipts(receipts: list[dict[str, str]], accept_encoding: str) -> web.Response:
    body = canonical({"receipts": receipts})
    codings = {each.partition(";")[0].strip().lower() for each in accept_encoding.split(",")}
    headers = {"Content-Type": "application/json"}
    if "br" in codings:
        headers["Content-Encoding"] = "br"
        body = compress(body)
    return web.Response(body=body, headers=headers)


@web.middleware
async def _sentences(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer a fault with a sentence of our own."""
    try:
        return await handler(request)
    except GatewayError as exc:
        return web.json_response({"error": str(exc)}, status=exc.status)
    except web.HTTPRequestEntityTooLarge:
        return web.json_response({"error": TooLarge.what}, status=413)
