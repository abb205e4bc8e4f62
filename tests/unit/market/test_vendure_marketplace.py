"""Whatever a shop answers, a delivery ends as receipts or as not delivered, and what was placed is told."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from gateway.backhaul.dialer import OpenDialer
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import SystemClock
from gateway.exchange.exchange import DeliveryLimits
from gateway.market.batch import Batch, Outcome
from gateway.market.marketplaces.port import NotDelivered, PartlyDelivered
from gateway.market.marketplaces.vendure import VendureMarketplace
from gateway.market.marketplaces.vendure_api import Credentials
from gateway.market.order import content_hash
from gateway.market.records import StoredOrder
from tests.unit.market.orders import an_order, new_id

LIMITS = DeliveryLimits(connect_s=1.0, silence_s=1.0, total_s=5.0, answer_bytes_max=20_000)
SHOP = {
    "activeChannel": {"currencyCode": "PEN", "pricesIncludeTax": True},
    "globalSettings": {"trackInventory": True, "outOfStockThreshold": 0},
    "shippingMethods": {"items": [{"id": "1", "code": "camion"}]},
    "productVariants": {"items": []},
    "customers": {"items": []},
}
Answer = Callable[[dict[str, Any]], web.Response]


@dataclass
class Far:
    """A server that answers each call as it is told, and a shop where every order is placed already."""

    answer: Answer | None = None
    asked: list[web.BaseRequest] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        if request.method == "GET":
            return web.Response(body=b"a picture" if request.path == "/assets/p.jpg" else b"", status=200)
        call = await request.json()
        self.calls.append(call)
        return self.answer(call) if self.answer is not None else self.placed(call)

    def placed(self, call: dict[str, Any]) -> web.Response:
        orders = [
            {"id": str(number), "state": "PaymentSettled", "customFields": {"externalId": each, "externalRevision": 1}}
            for number, each in enumerate(call["variables"].get("ids", []), 1)
        ]
        return told({**SHOP, "orders": {"items": orders}})


def told(data: object, **more: object) -> web.Response:
    return web.Response(text=json.dumps({"data": data, **more}), content_type="application/json")


def stored(count: int) -> tuple[StoredOrder, ...]:
    orders = [an_order() for _ in range(count)]
    return tuple(StoredOrder(each, "ana", "", 0.0, "unknown", content_hash(each, "ana")) for each in orders)


async def answers(peer: tuple[str, int]) -> bool:
    return True


@asynccontextmanager
async def facing(
    far: Far, credentials: Credentials | None = None
) -> AsyncIterator[tuple[VendureMarketplace, Backhaul]]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", far.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    backhaul = Backhaul(SystemClock(), capacity=None, carrier=lambda: True, probe=answers)
    marketplace = VendureMarketplace(
        f"http://127.0.0.1:{runner.addresses[0][1]}/admin-api",
        credentials or Credentials(api_key="a key"),
        dialer=OpenDialer(),
        backhaul=backhaul,
        clock=SystemClock(),
        channel_token="valle",
        limits=LIMITS,
    )
    await marketplace.start()
    try:
        yield marketplace, backhaul
    finally:
        await marketplace.stop()
        await runner.cleanup()


def a_batch(orders: tuple[StoredOrder, ...]) -> Batch:
    return Batch("san-mateo", new_id(), orders)


async def test_a_call_bears_key_and_channel() -> None:
    far = Far()
    async with facing(far) as (marketplace, _):
        [word] = await marketplace.deliver(a_batch(stored(1)))
    assert word.outcome is Outcome.DUPLICATE
    head = far.asked[0].headers
    assert (far.asked[0].method, far.asked[0].path) == ("POST", "/admin-api")
    assert (head["vendure-api-key"], head["vendure-token"]) == ("a key", "valle")
    assert not {"Cookie", "User-Agent", "Authorization"} & set(head)


async def test_orders_are_looked_up_twenty_at_once() -> None:
    far, orders = Far(), stored(45)
    async with facing(far) as (marketplace, _):
        words = await marketplace.deliver(a_batch(orders))
    assert [word.id for word in words] == [order.id for order in orders]
    assert [len(call["variables"].get("ids", [])) for call in far.calls][:3] == [20, 20, 5]


async def test_nothing_is_asked_for_an_empty_batch() -> None:
    far = Far()
    async with facing(far) as (marketplace, _):
        assert list(await marketplace.deliver(a_batch(()))) == []
    assert far.calls == []


async def test_what_was_told_before_the_cut_counts() -> None:
    far, orders = Far(), stored(25)

    def second_fails(call: dict[str, Any]) -> web.Response:
        return far.placed(call) if len(far.calls) == 1 else web.Response(status=502)

    far.answer = second_fails
    async with facing(far) as (marketplace, _):
        with pytest.raises(PartlyDelivered) as caught:
            await marketplace.deliver(a_batch(orders))
        with pytest.raises(PartlyDelivered) as again:
            await marketplace.deliver(a_batch(orders))
    assert [word.id for word in caught.value.receipts] == [order.id for order in orders[:20]]
    assert not again.value.receipts


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(text=""),
        web.Response(text="[]"),
        web.Response(text="{}"),
        web.Response(text="not json"),
        web.Response(text='{"data": null}'),
        web.Response(text='{"data": {"orders": 3}}'),
        web.Response(text=json.dumps({"data": {**SHOP, "shippingMethods": {"items": []}}})),
        web.Response(text=json.dumps({"data": SHOP, "errors": [{"extensions": {"code": "FORBIDDEN"}}]})),
        web.Response(text=json.dumps({"data": SHOP, "errors": [{"message": "no"}]})),
        web.Response(text='{"data": {"a": "' + "x" * 30_000 + '"}}'),
        web.Response(text='{"errors": []}', status=400),
        web.Response(status=401),
        web.Response(status=500),
        web.Response(status=302, headers={"Location": "/elsewhere"}),
    ],
)
async def test_a_shop_that_cannot_be_understood_gets_no_order(answer: web.Response) -> None:
    body, status = answer.text, answer.status
    far = Far(lambda call: web.Response(text=body, status=status, headers={"Location": "/x"} if status == 302 else {}))
    async with facing(far) as (marketplace, _):
        with pytest.raises(NotDelivered) as raised:
            await marketplace.deliver(a_batch(stored(1)))
        with pytest.raises(NotDelivered):
            await marketplace.catalogue("")
        with pytest.raises(NotDelivered):
            await marketplace.updates("")
    assert (raised.value.is_silent, raised.value.is_refusal) == (False, False)
    assert not any("createDraftOrder" in call["query"] for call in far.calls)


async def test_an_order_the_shop_stumbles_over_is_to_come_again_and_holds_up_no_other() -> None:
    variants = [
        {
            "id": "1",
            "sku": "papa-amarilla",
            "enabled": True,
            "price": 350,
            "priceWithTax": 350,
            "trackInventory": "FALSE",
        },
        {"id": "2", "sku": "quinua", "enabled": True, "price": 899, "priceWithTax": 899, "trackInventory": "FALSE"},
    ]
    orders = [
        an_order(lines=[{"sku": "quinua", "name": "q", "quantity": "1", "unit": "u", "unit_price_minor": 899}])
        for _ in range(2)
    ]
    far = Far()

    def stumbles(call: dict[str, Any]) -> web.Response:
        if "createDraftOrder" in call["query"]:
            return told(None, errors=[{"message": "a fault"}])
        there = [{"id": "9", "state": "Delivered", "customFields": {"externalId": orders[1].id}}]
        found = there if orders[1].id in call["variables"].get("ids", []) else []
        return told({**SHOP, "productVariants": {"items": variants}, "orders": {"items": found}})

    far.answer = stumbles
    async with facing(far) as (marketplace, _):
        asked = tuple(StoredOrder(each, "ana", "", 0.0, "unknown", content_hash(each, "ana")) for each in orders)
        words = await marketplace.deliver(a_batch(asked))
    assert [word.outcome for word in words] == [Outcome.RETRY, Outcome.FULFILLED]


async def test_a_password_that_is_refused_is_tried_once_a_delivery() -> None:
    refused = {"login": {"errorCode": "INVALID_CREDENTIALS_ERROR", "message": "no"}}
    far = Far(lambda call: told(refused))
    async with facing(far, Credentials(user="box", password="hush")) as (marketplace, _):
        with pytest.raises(NotDelivered) as raised:
            await marketplace.deliver(a_batch(stored(1)))
    assert raised.value.reason == "sign-in refused"
    assert len(far.calls) == 1


async def test_a_page_of_updates_goes_on_where_the_last_one_ended() -> None:
    ids = [new_id() for _ in range(100)]

    def a_page(call: dict[str, Any]) -> web.Response:
        if "take" not in call["variables"]:
            return told({"activeAdministrator": {"id": "1"}, "orders": {"items": []}})
        entries = [
            {"updatedAt": "2026-11-22T08:30:00.000Z", "state": "Cancelled", "customFields": {"externalId": each}}
            for each in ids[call["variables"]["skip"] :]
        ]
        return told({"orders": {"items": [*entries, {"state": "Delivered"}][:100]}})

    async with facing(Far(a_page)) as (marketplace, _):
        first = await marketplace.updates("")
        second = await marketplace.updates(first.cursor)
    assert {word.id for word in first.receipts} == set(ids)
    assert {word.outcome for word in first.receipts} == {Outcome.CANCELLED}
    assert (first.is_all, second.is_all) == (False, True)
    assert second.cursor == "2026-11-22T08:29:50.000Z"


async def test_a_picture_comes_from_the_shops_own_server_as_bulk() -> None:
    far = Far()
    async with facing(far) as (marketplace, backhaul):
        assert await marketplace.picture("/assets/p.jpg", 100) == b"a picture"
        assert backhaul.moved()[TrafficClass.BULK].down_bytes > 0
        for address, bytes_max in (("/assets/p.jpg", 3), ("http://127.0.0.1:1/p.jpg", 100), ("http://[", 100)):
            with pytest.raises(NotDelivered):
                await marketplace.picture(address, bytes_max)
    assert len(far.asked) == 2
