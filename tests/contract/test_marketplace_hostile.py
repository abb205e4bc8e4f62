"""Whatever a far end answers, a delivery ends as not delivered, in time, and the backhaul is told the truth."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import brotli
import pytest

from gateway.backhaul.dialer import OpenDialer
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.state import LinkState
from gateway.clock import SystemClock
from gateway.exchange.coding import decode
from gateway.exchange.exchange import DeliveryLimits
from gateway.market.batch import Batch, Outcome, Receipt
from gateway.market.marketplaces.http import HttpMarketplace
from gateway.market.marketplaces.port import NotDelivered
from gateway.market.order import as_fields, content_hash
from gateway.market.records import StoredOrder
from tests.unit.market.orders import an_order, new_id

LIMITS = DeliveryLimits(connect_s=1.0, silence_s=0.2, total_s=5.0, answer_bytes_max=10_000)
ORDER = an_order()
STORED = StoredOrder(ORDER, "ana", "SMT-0001-0001", 1_800_000_000.0, "trusted", content_hash(ORDER, "ana"))
BATCH = Batch("san-mateo", new_id(), (STORED,))
GOOD = json.dumps({"receipts": [{"id": ORDER.id, "outcome": "accepted", "reason": ""}]}).encode()

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def http(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    fields = {"Content-Length": str(len(body)), "Content-Type": "application/json", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items() if value)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


class Far:
    """A raw server that reads a whole request and answers with given bytes."""

    def __init__(self, answer: bytes, *, keeps_open: bool = False) -> None:
        self.answer = answer
        self.keeps_open = keeps_open
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        self.requests.append(head + await reader.readexactly(int(length.partition(b":")[2])))
        writer.write(self.answer)
        await writer.drain()
        if self.keeps_open:
            await reader.read()
        writer.close()


@asynccontextmanager
async def facing(far: Far, token: str | None = None) -> AsyncIterator[tuple[HttpMarketplace, Backhaul]]:
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    backhaul = Backhaul(SystemClock(), capacity=None, carrier=lambda: True, probe=answers)
    marketplace = HttpMarketplace(
        f"http://127.0.0.1:{port}/orders",
        dialer=OpenDialer(),
        backhaul=backhaul,
        clock=SystemClock(),
        token=token,
        limits=LIMITS,
    )
    await marketplace.start()
    yield marketplace, backhaul
    await marketplace.stop()
    server.close()


async def answers(peer: tuple[str, int]) -> bool:
    return True


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff" * 100,
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        http(b""),
        http(b"not json"),
        http(b"[]"),
        http(b'{"receipts": 7}'),
        http(b'{"receipts": []}' + b" " * 10_000),
        http(GOOD, Content_Encoding="br"),
        http(GOOD, Content_Encoding="gzip"),
        http(GOOD, Content_Encoding="zstd"),
        http(brotli.compress(GOOD + b" " * 50_000_000, quality=1), Content_Encoding="br"),
        http(gzip.compress(GOOD + b" " * 5_000_000), Content_Encoding="gzip"),
        http(GOOD, "500 Internal Server Error"),
        http(GOOD, "401 Unauthorized"),
        http(GOOD, "404 Not Found"),
        http(b"", "302 Found", Location="http://127.0.0.1:1/elsewhere"),
        http(b"", "307 Temporary Redirect", Location="/orders"),
    ],
)
async def test_a_faulty_answer_is_not_delivered(answer: bytes) -> None:
    far = Far(answer)
    async with facing(far) as (marketplace, _):
        with pytest.raises(NotDelivered):
            await marketplace.deliver(BATCH)
    assert len(far.requests) == 1


async def test_silence_ends_at_its_deadline_and_puts_the_link_in_doubt() -> None:
    async with facing(Far(b"", keeps_open=True)) as (marketplace, backhaul):
        with pytest.raises(NotDelivered) as raised:
            await marketplace.deliver(BATCH)
        assert raised.value.is_silent
        assert backhaul.status().state is LinkState.DEGRADED


async def test_an_answer_that_stops_halfway_ends_at_its_deadline() -> None:
    far = Far(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", keeps_open=True)
    async with facing(far) as (marketplace, _):
        with pytest.raises(NotDelivered) as raised:
            await marketplace.deliver(BATCH)
        assert raised.value.is_silent


async def test_nobody_at_the_address_is_not_delivered() -> None:
    backhaul = Backhaul(SystemClock(), capacity=None, carrier=lambda: True, probe=answers)
    nobody = HttpMarketplace(
        "http://127.0.0.1:1/orders", dialer=OpenDialer(), backhaul=backhaul, clock=SystemClock(), limits=LIMITS
    )
    await nobody.start()
    with pytest.raises(NotDelivered) as raised:
        await nobody.deliver(BATCH)
    assert raised.value.is_silent
    await nobody.stop()


async def test_a_refusal_says_when_to_come_again() -> None:
    async with facing(Far(http(b"", "503 Service Unavailable", Retry_After="120"))) as (marketplace, backhaul):
        with pytest.raises(NotDelivered) as raised:
            await marketplace.deliver(BATCH)
        assert (raised.value.is_silent, raised.value.retry_after_s) == (False, 120.0)
        assert backhaul.status().state is LinkState.UP


@pytest.mark.parametrize(
    ("status", "is_refusal"),
    [(400, True), (409, True), (413, True), (415, True), (422, True)]
    + [(status, False) for status in (302, 401, 403, 404, 408, 429, 500, 502, 503, 504)],
)
async def test_only_a_status_about_what_was_sent_is_a_refusal_of_it(status: int, is_refusal: bool) -> None:
    async with facing(Far(http(b"", f"{status} Said"))) as (marketplace, _):
        with pytest.raises(NotDelivered) as raised:
            await marketplace.deliver(BATCH)
        assert (raised.value.is_silent, raised.value.is_refusal) == (False, is_refusal)


@pytest.mark.parametrize("coding", ["", "br", "gzip"])
async def test_a_good_answer_is_read_in_any_coding_asked_for(coding: str) -> None:
    coded = {"": GOOD, "br": brotli.compress(GOOD), "gzip": gzip.compress(GOOD)}[coding]
    async with facing(Far(http(coded, Content_Encoding=coding))) as (marketplace, _):
        assert await marketplace.deliver(BATCH) == [Receipt(ORDER.id, Outcome.ACCEPTED)]


async def test_the_batch_on_the_wire_is_as_documented() -> None:
    far = Far(http(GOOD))
    async with facing(far, token="far-token") as (marketplace, _):
        await marketplace.deliver(BATCH)
    head, _, body = far.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /orders HTTP/1.1"
    assert {"Content-Encoding: br", "Content-Type: application/json", "Authorization: Bearer far-token"} <= set(lines)
    assert not any(line.lower().startswith(("user-agent", "transfer-encoding", "cookie")) for line in lines)
    sent = json.loads(decode(body, "br", 100_000))
    assert set(sent) == {"box", "batch", "orders"}
    assert (sent["box"], sent["batch"]) == (BATCH.box, BATCH.id)
    assert sent["orders"] == [
        {
            **as_fields(ORDER),
            "receipt": "SMT-0001-0001",
            "recorded_at": "2027-01-15T08:00:00.000Z",
            "merchant": "ana",
            "hash": STORED.hash,
        }
    ]


async def test_a_marketplace_that_was_stopped_delivers_nothing() -> None:
    async with facing(Far(http(GOOD))) as (marketplace, _):
        await marketplace.stop()
        with pytest.raises(NotDelivered):
            await marketplace.deliver(BATCH)
