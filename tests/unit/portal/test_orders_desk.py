"""The technician sees the queue without its buyers, and lets dead letters go once more, and nobody else does."""

import io
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest

from gateway.durable.disk import Disk
from gateway.errors import CannotStart, NoCapacity
from gateway.listener import Listener
from gateway.market.attention import Attention, Code
from gateway.market.bundle import MEDIA_TYPE, read_bundle
from gateway.market.records import OrderView
from gateway.market.states import State
from gateway.portal.admin import admin_application
from gateway.portal.apology import render_error
from gateway.portal.orders_desk import LISTED, OrdersDesk
from gateway.units import Address
from tests.clocks import HandClock
from tests.unit.market.carried import TRUSTED, bundle_of, stored
from tests.unit.market.orders import an_order
from tests.unit.portal.fake_market import FakeMarket
from tests.unit.portal.test_admin import FakeBox


@dataclass
class Market(FakeMarket):
    """A room that can be exported."""

    breaks: bool = False
    recipients: tuple[str, ...] = ()

    async def disk(self) -> Disk:
        return Disk(4_000, 5_000_000)

    async def export(self, recipient: str = "") -> AsyncGenerator[bytes, None]:
        self.recipients += (recipient,)
        if recipient == "none":
            raise CannotStart
        whole = bundle_of([stored()])
        yield whole[:100]
        if self.breaks:
            raise NoCapacity
        yield whole[100:]


@pytest.fixture
def market(clock: HandClock) -> Market:
    return Market(clock)


@pytest.fixture
async def base(market: Market, clock: HandClock) -> AsyncIterator[str]:
    application = admin_application(FakeBox(), {"127.0.0.1"}, OrdersDesk(market, clock, "to whom").routes())
    listener = Listener("admin", Address("127.0.0.1", 0), application, render_error)
    await listener.start()
    yield f"http://{listener.address}"
    await listener.stop()


async def told(method: str, url: str, document: object = None, **headers: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, url, json=document) as answer,
    ):
        return answer.status, await answer.json()


async def recorded(market: Market, state: State = State.QUEUED, code: Code | None = None) -> OrderView:
    order = an_order()
    await market.record(order, "ana")
    view = replace(market.kept[order.id], state=state, attention=Attention(code) if code else None)
    market.kept[order.id] = view
    return view


async def test_the_queue_is_told_in_numbers(base: str, market: Market) -> None:
    await recorded(market)
    await recorded(market, State.NEEDS_ATTENTION, Code.PRICE_CHANGED)
    market.heard_wall_s = 1_800_000_000.0
    status, said = await told("GET", f"{base}/orders/stat")
    assert status == 200
    assert (said["waiting"], said["attention"], said["heard_wall_s"]) == (1, 1, 1_800_000_000.0)
    assert (said["used_bytes"], said["free_bytes"]) == (4_000, 5_000_000)


async def test_an_order_is_shown_without_who_it_is_for(base: str, market: Market, clock: HandClock) -> None:
    waits = await recorded(market)
    await recorded(market, State.ACCEPTED)
    needs = await recorded(market, State.NEEDS_ATTENTION, Code.OUT_OF_STOCK)
    clock.pass_s(90.0)
    _, said = await told("GET", f"{base}/orders/open")
    assert [each["id"] for each in said["orders"]] == [needs.id, waits.id]
    assert "Quispe" not in json.dumps(said, ensure_ascii=False)
    _, said = await told("GET", f"{base}/orders/attention")
    assert said == {
        "orders": [
            {
                "number": needs.number,
                "id": needs.id,
                "receipt": needs.receipt,
                "merchant": "ana",
                "state": "needs-attention",
                "code": "out-of-stock",
                "revision": 1,
                "age_s": 90,
            }
        ],
        "before": None,
    }


async def test_the_age_is_left_open_where_a_clock_did_not_know(base: str, market: Market, clock: HandClock) -> None:
    order = await recorded(market)
    market.kept[order.id] = replace(order, clock_state="unknown", recorded_wall_s=0.0)
    _, said = await told("GET", f"{base}/orders/open")
    assert said["orders"][0]["age_s"] is None
    market.kept[order.id] = order
    clock.wall = 0.0
    _, said = await told("GET", f"{base}/orders/open")
    assert said["orders"][0]["age_s"] is None


async def test_a_long_list_is_told_in_pages(base: str, market: Market) -> None:
    made = [await recorded(market, State.NEEDS_ATTENTION, Code.OTHER) for _ in range(LISTED + 3)]
    _, first = await told("GET", f"{base}/orders/attention")
    _, then = await told("GET", f"{base}/orders/attention?before={first['before']}")
    assert [each["id"] for each in first["orders"] + then["orders"]] == [each.id for each in reversed(made)]
    assert then["before"] is None
    assert (await told("GET", f"{base}/orders/attention?before=;drop"))[1] == first


async def test_an_order_goes_once_more_by_its_id(base: str, market: Market) -> None:
    needs = await recorded(market, State.NEEDS_ATTENTION, Code.PRICE_CHANGED)
    assert await told("POST", f"{base}/orders/requeue", {"id": needs.id.upper()}) == (200, {"requeued": 1})
    assert market.kept[needs.id].state is State.QUEUED
    assert (await told("POST", f"{base}/orders/requeue", {"id": needs.id}))[0] == 409
    assert (await told("POST", f"{base}/orders/requeue", {"id": an_order().id}))[0] == 404


async def test_all_dead_letters_go_once_more_and_what_a_merchant_must_decide_does_not(
    base: str, market: Market
) -> None:
    dead = [await recorded(market, State.NEEDS_ATTENTION, Code.UNDELIVERABLE) for _ in range(LISTED + 5)]
    price = await recorded(market, State.NEEDS_ATTENTION, Code.PRICE_CHANGED)
    assert await told("POST", f"{base}/orders/requeue", {"all": True}) == (200, {"requeued": len(dead)})
    assert {market.kept[each.id].state for each in dead} == {State.QUEUED}
    assert market.kept[price.id].state is State.NEEDS_ATTENTION
    assert await told("POST", f"{base}/orders/requeue", {"all": True}) == (200, {"requeued": 0})


@pytest.mark.parametrize(
    "order", [[], {}, {"id": 5}, {"id": "no"}, {"all": False}, {"all": "yes"}, {"all": True, "id": an_order().id}]
)
async def test_an_order_that_is_none_is_refused(base: str, order: object) -> None:
    assert (await told("POST", f"{base}/orders/requeue", order))[0] == 400


async def test_a_bundle_comes_whole_and_sealed_to_whom_the_settings_name(base: str, market: Market) -> None:
    async with aiohttp.ClientSession() as session, session.post(f"{base}/orders/bundle", json={}) as answer:
        assert (answer.status, answer.content_type) == (200, MEDIA_TYPE)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        whole = await answer.read()
    assert read_bundle(io.BytesIO(whole), TRUSTED).head.orders == 1
    assert market.recipients == ("to whom",)
    assert (await told("POST", f"{base}/orders/bundle", {"to": "me"}))[0] == 400


async def test_a_bundle_that_breaks_off_does_not_look_whole_and_the_next_one_can_be_made(
    base: str, market: Market
) -> None:
    for breaks in (True, False):
        market.breaks = breaks
        async with aiohttp.ClientSession() as session:
            try:
                async with session.post(f"{base}/orders/bundle", json={}) as answer:
                    await answer.read()
                    is_whole = True
            except aiohttp.ClientError:
                is_whole = False
        assert is_whole is not breaks


async def test_a_bundle_that_cannot_be_begun_is_told(market: Market, clock: HandClock) -> None:
    application = admin_application(FakeBox(), {"127.0.0.1"}, OrdersDesk(market, clock, "none").routes())
    listener = Listener("admin", Address("127.0.0.1", 0), application, render_error)
    await listener.start()
    assert (await told("POST", f"http://{listener.address}/orders/bundle", {}))[0] == 500
    await listener.stop()


@pytest.mark.parametrize("path", ["requeue", "bundle"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 400),
        ({"Content-Type": "application/json", "Origin": "http://evil.example"}, 403),
        ({"Content-Type": "application/json", "Host": "evil.example"}, 421),
    ],
)
async def test_a_foreign_page_gets_no_orders(
    base: str, market: Market, path: str, headers: dict[str, str], status: int
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{base}/orders/{path}", data=b"{}", headers=headers) as answer,
    ):
        assert answer.status == status
    assert market.recipients == ()


async def test_the_technicians_page_shows_the_counts(market: Market) -> None:
    class Box(FakeBox):
        def market(self) -> object | None:
            return market.statistics()

    await recorded(market)
    listener = Listener("admin", Address("127.0.0.1", 0), admin_application(Box(), {"127.0.0.1"}), render_error)
    await listener.start()
    headers = {"Accept-Language": "en", "Accept-Encoding": "br"}
    try:
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"http://{listener.address}/") as page,
        ):
            text = await page.text()
            assert int(page.headers["Content-Length"]) + 700 < 4_000
    finally:
        await listener.stop()
    assert re.search(r"Wait for the link or the marketplace</th><td class=\"num\">1<", text)
    assert "Need a person" in text
    assert "Not since the start" in text
