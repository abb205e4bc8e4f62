"""The demo's marketplace applies each order once, and misbehaves as it is told."""

import gzip
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import brotli
import pytest

from gateway.demo.marketplace import DemoMarketplace
from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.order import content_hash, order_from
from gateway.market.wire.columns import MEDIA_TYPE, write_columns
from gateway.market.wire.signature import key_from, sign
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


SHOP = Catalogue(
    "1",
    "PEN",
    (
        Article("papa-amarilla", "Papa amarilla", "kg", 350, "PEN", stock="2"),
        Article("quinua", "Quinua", "kg", 899, "PEN"),
    ),
)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    marketplace = DemoMarketplace(tmp_path / "far", catalogue=SHOP)
    host, port = await marketplace.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        yield session
    await marketplace.stop()


async def deliver(far: aiohttp.ClientSession, *orders: object) -> list[dict[str, Any]]:
    async with far.post("/orders", json=a_batch(*orders)) as answer:
        assert answer.status == 200
        receipts: list[dict[str, Any]] = (await answer.json())["receipts"]
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


async def post(far: aiohttp.ClientSession, path: str, **said: Any) -> dict[str, Any]:
    async with far.post(path, json=said) as answer:
        assert answer.status == 200, await answer.text()
        told: dict[str, Any] = await answer.json()
        return told


async def get(far: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    async with far.get(path) as answer:
        assert answer.status == 200, await answer.text()
        told: dict[str, Any] = await answer.json()
        return told


async def test_each_revision_takes_effect_once_and_an_older_one_none(far: aiohttp.ClientSession) -> None:
    first = as_sent()
    second = as_sent(id=first["id"], note="Mañana") | {"revision": 2}
    said = [(await deliver(far, order))[0] for order in (first, second, second, first)]
    assert [(each["outcome"], each.get("revision", 1)) for each in said] == [
        ("accepted", 1),
        ("accepted", 2),
        ("duplicate", 2),
        ("duplicate", 1),
    ]
    arrived = (await listed(far))[first["id"]]
    assert (arrived["times_applied"], arrived["revision"], arrived["order"]["note"]) == (1, 2, "Mañana")


async def test_a_cancelled_order_is_cancelled_even_if_it_never_came_before(far: aiohttp.ClientSession) -> None:
    order = as_sent() | {"revision": 2, "cancelled": True}
    (told,) = await deliver(far, order)
    assert (told["outcome"], told["revision"]) == ("accepted", 2)
    (told,) = await deliver(
        far, {name: value for name, value in order.items() if name not in {"revision", "cancelled"}}
    )
    assert told["outcome"] == "duplicate"
    assert (await listed(far))[order["id"]]["outcome"] == "cancelled"


async def test_an_order_that_does_not_fit_the_shop_needs_attention_and_its_revision_does_not(
    far: aiohttp.ClientSession,
) -> None:
    await tell(far, checks=True)
    await post(far, "/catalogue", changed=[{"sku": "quinua", "unit_price_minor": 950}])
    order = as_sent()
    (told,) = await deliver(far, order)
    assert (told["outcome"], told["code"]) == ("attention", "price-changed")
    assert told["lines"] == [{"sku": "quinua", "unit_price_minor": 950}]
    assert await listed(far) == {}
    lines = [order["lines"][0], order["lines"][1] | {"unit_price_minor": 950}]
    (told,) = await deliver(far, as_sent(id=order["id"], lines=lines) | {"revision": 2})
    assert (told["outcome"], told["revision"]) == ("accepted", 2)
    (told,) = await deliver(far, as_sent(lines=[order["lines"][0] | {"quantity": "3"}]))
    assert (told["code"], told["lines"]) == ("out-of-stock", [{"sku": "papa-amarilla", "available": "2"}])
    (told,) = await deliver(far, as_sent(lines=[order["lines"][0] | {"sku": "oro"}]))
    assert (told["code"], told["lines"]) == ("unknown-article", [{"sku": "oro"}])


async def test_what_is_held_is_decided_later_and_told_once_from_each_cursor(far: aiohttp.ClientSession) -> None:
    await tell(far, hold=1)
    order = as_sent()
    assert (await deliver(far, order))[0]["outcome"] == "held"
    assert (await deliver(far, order))[0]["outcome"] == "held"
    assert await get(far, "/orders/updates") == {"receipts": [], "cursor": "0", "more": False}
    assert await post(far, "/decide", outcome="rejected", reason="cerrado") == {"decided": 1}
    told = await get(far, "/orders/updates?after=0")
    assert [(each["id"], each["outcome"], each["reason"]) for each in told["receipts"]] == [
        (order["id"], "rejected", "cerrado")
    ]
    assert (await get(far, f"/orders/updates?after={told['cursor']}"))["receipts"] == []
    assert (await deliver(far, order))[0]["outcome"] == "rejected"


async def test_an_order_that_is_fulfilled_is_not_changed_any_more(far: aiohttp.ClientSession) -> None:
    order = as_sent()
    await deliver(far, order)
    await post(far, "/decide", id=order["id"], outcome="fulfilled")
    (told,) = await deliver(far, as_sent(id=order["id"], note="tarde") | {"revision": 2})
    assert (told["outcome"], told["code"]) == ("attention", "change-not-taken")


async def test_the_catalogue_is_told_whole_and_then_by_what_changed(far: aiohttp.ClientSession) -> None:
    whole = await get(far, "/orders/catalogue?since=")
    assert (whole["version"], whole["base"], len(whole["articles"])) == ("1", "", 2)
    await post(far, "/catalogue", changed=[{"sku": "quinua", "stock": "0"}])
    sal = {"sku": "sal", "name": "Sal", "unit": "kg", "unit_price_minor": 180}
    await post(far, "/catalogue", articles=[sal], removed=["papa-amarilla"])
    delta = await get(far, "/orders/catalogue?since=1")
    assert (delta["version"], delta["base"], delta["removed"]) == ("1+2", "1", ["papa-amarilla"])
    assert [(each["sku"], each.get("stock")) for each in delta["articles"]] == [("quinua", "0"), ("sal", None)]
    assert (await get(far, "/orders/catalogue?since=1%2B2"))["articles"] == []
    assert (await get(far, "/orders/catalogue?since=other"))["base"] == ""


async def test_a_photo_goes_on_where_it_ended_and_is_whole_when_its_hash_says_so(far: aiohttp.ClientSession) -> None:
    content = bytes(range(256)) * 40
    path = f"/orders/photos/{hashlib.sha256(content).hexdigest()}"
    async with far.head(path) as answer:
        assert answer.status == 404
    part = {"Content-Range": f"bytes 0-4999/{len(content)}"}
    async with far.put(path, data=content[:5_000], headers=part) as answer:
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, "5000")
    gap = {"Content-Range": f"bytes 6000-{len(content) - 1}/{len(content)}"}
    async with far.put(path, data=content[6_000:], headers=gap) as answer:
        assert (answer.status, answer.headers["Upload-Offset"]) == (409, "5000")
    rest = {"Content-Range": f"bytes 5000-{len(content) - 1}/{len(content)}"}
    async with far.put(path, data=content[5_000:], headers=rest) as answer:
        assert answer.status == 201
    async with far.get(path) as answer:
        assert await answer.read() == content
    async with far.put(f"/orders/photos/{'0' * 64}", data=b"other") as answer:
        assert answer.status == 422
    async with far.head(f"/orders/photos/{'0' * 64}") as answer:
        assert answer.status == 404


async def test_columns_are_offered_with_rows_and_answered_by_places(far: aiohttp.ClientSession) -> None:
    async with far.post("/orders", json=a_batch(as_sent())) as answer:
        assert MEDIA_TYPE in answer.headers["Accept-Post"]
    rows = [as_sent() for _ in range(3)]
    columns = write_columns("san-mateo", "b", rows)
    async with far.post("/orders", data=columns, headers={"Content-Type": MEDIA_TYPE}) as answer:
        told = await answer.json()
    assert (told["accepted"], "receipts" in told) == ([[0, 2]], False)
    assert {row["id"] for row in rows} <= set(await listed(far))
    await tell(far, columns=False)
    async with far.post("/orders", data=columns, headers={"Content-Type": MEDIA_TYPE}) as answer:
        assert answer.status == 415


@pytest.mark.parametrize(("fault", "told"), [("half", 2), ("strangers", 7), ("reorder", 3)])
async def test_receipts_are_spoiled_as_told_and_every_order_is_taken(
    far: aiohttp.ClientSession, fault: str, told: int
) -> None:
    orders = [as_sent() for _ in range(3)]
    await tell(far, **{fault: 1})
    said = await deliver(far, *orders)
    assert len(said) == told
    if fault == "reorder":
        assert [each["id"] for each in said] == [each["id"] for each in orders[::-1]]
    assert {each["times_applied"] for each in (await listed(far)).values()} == {1}
    assert len(await listed(far)) == 3


async def test_a_batch_that_fails_after_it_was_stored_is_a_duplicate_after(far: aiohttp.ClientSession) -> None:
    order = as_sent()
    await tell(far, fail=1)
    async with far.post("/orders", json=a_batch(order)) as answer:
        assert answer.status == 500
    assert (await deliver(far, order))[0]["outcome"] == "duplicate"


async def test_with_a_secret_only_what_is_signed_is_taken(tmp_path: Path) -> None:
    marketplace = DemoMarketplace(tmp_path, secret=SECRET)
    host, port = await marketplace.start("127.0.0.1", 0)
    body = json.dumps(a_batch(as_sent())).encode()
    signed = sign(key_from(SECRET), "b-1", 0.0, body)
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        for fields_, status in (({}, 401), (signed | {"webhook-id": "b-2"}, 401), (signed, 200)):
            async with session.post("/orders", data=body, headers=fields_) as answer:
                assert answer.status == status
    await marketplace.stop()
