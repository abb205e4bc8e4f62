"""The demo's marketplace applies each order once, and misbehaves as it is told."""

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import brotli
import pytest

from gateway.demo.marketplace import DemoMarketplace
from gateway.market.order import content_hash, order_from
from tests.unit.market.orders import fields, new_id


def as_sent(**changes: Any) -> dict[str, Any]:
    order = fields(**changes)
    return {
        **order,
        "receipt": "SMT-0001-0001",
        "recorded_at": "2027-01-15T08:00:00.000Z",
        "merchant": "ana",
        "hash": content_hash(order_from(order), "ana"),
    }


def a_batch(*orders: object) -> dict[str, Any]:
    return {"box": "san-mateo", "batch": new_id(), "orders": orders}


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    marketplace = DemoMarketplace(tmp_path / "far")
    host, port = await marketplace.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        yield session
    await marketplace.stop()


async def deliver(far: aiohttp.ClientSession, *orders: object) -> list[dict[str, str]]:
    async with far.post("/orders", json=a_batch(*orders)) as answer:
        assert answer.status == 200
        receipts: list[dict[str, str]] = (await answer.json())["receipts"]
        return receipts


async def tell(far: aiohttp.ClientSession, **faults: float) -> int:
    async with far.post("/faults", json=faults) as answer:
        return answer.status


async def listed(far: aiohttp.ClientSession) -> dict[str, dict[str, Any]]:
    async with far.get("/orders") as answer:
        return {order["id"]: order for order in (await answer.json())["orders"]}


async def test_an_order_takes_effect_once_however_often_it_comes(far: aiohttp.ClientSession) -> None:
    order = as_sent()
    said = [(await deliver(far, order))[0]["outcome"] for _ in range(3)]
    assert said == ["accepted", "duplicate", "duplicate"]
    arrived = (await listed(far))[order["id"]]
    assert (arrived["deliveries"], arrived["times_applied"], arrived["box"]) == (3, 1, "san-mateo")
    assert arrived["order"] == order


@pytest.mark.parametrize("coding", ["br", "gzip", "identity"])
async def test_bodies_are_taken_in_each_coding(far: aiohttp.ClientSession, coding: str) -> None:
    plain = json.dumps(a_batch(as_sent())).encode()
    body = {"br": brotli.compress, "gzip": gzip.compress, "identity": bytes}[coding](plain)
    async with far.post("/orders", data=body, headers={"Content-Encoding": coding}) as answer:
        assert answer.status == 200
        assert [receipt["outcome"] for receipt in (await answer.json())["receipts"]] == ["accepted"]


async def test_a_lost_batch_is_taken_and_the_connection_cut(far: aiohttp.ClientSession) -> None:
    order = as_sent()
    await tell(far, lose=1)
    with pytest.raises(aiohttp.ClientError):
        await deliver(far, order)
    assert (await listed(far))[order["id"]]["times_applied"] == 1
    assert (await deliver(far, order))[0]["outcome"] == "duplicate"


async def test_a_doubled_batch_takes_effect_once_and_everything_is_said_twice(far: aiohttp.ClientSession) -> None:
    order = as_sent()
    await tell(far, double=1)
    assert [receipt["outcome"] for receipt in await deliver(far, order)] == ["accepted", "duplicate"]
    arrived = (await listed(far))[order["id"]]
    assert (arrived["deliveries"], arrived["times_applied"]) == (2, 1)


async def test_a_refused_batch_is_not_taken(far: aiohttp.ClientSession) -> None:
    await tell(far, refuse=1)
    async with far.post("/orders", json=a_batch(as_sent())) as answer:
        assert answer.status == 503
    assert await listed(far) == {}
    assert len(await deliver(far, as_sent())) == 1


async def test_a_delayed_batch_is_taken_after_the_delay(far: aiohttp.ClientSession) -> None:
    await tell(far, delay_s=600)
    with pytest.raises(TimeoutError):
        async with far.post("/orders", json=a_batch(as_sent()), timeout=aiohttp.ClientTimeout(total=0.05)):
            pass
    assert await tell(far, delay_s=0) == 200
    assert (await deliver(far, as_sent()))[0]["outcome"] == "accepted"


async def test_an_order_that_was_damaged_on_the_way_is_asked_for_again(far: aiohttp.ClientSession) -> None:
    order = as_sent() | {"note": "changed on the way"}
    assert (await deliver(far, order))[0]["outcome"] == "retry"
    assert await listed(far) == {}


async def test_what_is_no_order_gets_no_receipt(far: aiohttp.ClientSession) -> None:
    assert await deliver(far, None, 7, {}, {"id": "x"}, {"id": 7}) == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"box":1,"orders":[]}', b'{"box":"a","orders":{}}', b"\xff", b"[" * 50_000]
)
async def test_what_is_no_batch_is_refused(far: aiohttp.ClientSession, body: bytes) -> None:
    async with far.post("/orders", data=body) as answer:
        assert answer.status == 400


@pytest.mark.parametrize("coding", ["br", "gzip"])
async def test_a_bomb_is_refused(far: aiohttp.ClientSession, coding: str) -> None:
    plain = b" " * 20_000_000
    body = brotli.compress(plain, quality=1) if coding == "br" else gzip.compress(plain, 1)
    async with far.post("/orders", data=body, headers={"Content-Encoding": coding}) as answer:
        assert answer.status == 413


async def test_a_body_over_the_limit_is_refused(far: aiohttp.ClientSession) -> None:
    async with far.post("/orders", data=b" " * 1_100_000) as answer:
        assert answer.status == 413


@pytest.mark.parametrize("faults", [{"lose": -1}, {"lose": 1.5}, {"lose": True}, {"steal": 1}, {"delay_s": -1}])
async def test_faults_that_are_not_known_are_refused(far: aiohttp.ClientSession, faults: dict[str, Any]) -> None:
    assert await tell(far, **faults) == 400


async def test_orders_are_kept_over_a_restart(tmp_path: Path) -> None:
    order = as_sent()
    for expected in ("accepted", "duplicate"):
        marketplace = DemoMarketplace(tmp_path)
        host, port = await marketplace.start("127.0.0.1", 0)
        async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
            assert (await deliver(session, order))[0]["outcome"] == expected
        await marketplace.stop()
