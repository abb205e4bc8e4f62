"""A WooCommerce shop that answers as recorded: each order stands once whatever is cut; what differs is for a person."""

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from gateway.backhaul.dialer import OpenDialer
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.errors import CannotStart
from gateway.market.attention import Attention, Code, Remark
from gateway.market.batch import Outcome, Receipt
from gateway.market.marketplaces.port import NotDelivered, OffersCatalogue, PartlyDelivered, TakesPhotos, TellsUpdates
from gateway.market.marketplaces.woo_orders import PAID_BACK, search_word
from gateway.market.marketplaces.woo_shelf import NOT_WHOLE, OTHER_CURRENCY
from gateway.market.marketplaces.woocommerce import WooCommerceMarketplace
from gateway.market.records import StoredOrder
from tests.clocks import HandClock
from tests.contract.fake_woocommerce import KEY, SECRET, FakeWooCommerce, a_product, meta
from tests.contract.market_fars import a_backhaul, a_batch, as_stored, line, stored, takeable


@asynccontextmanager
async def a_shop() -> AsyncIterator[tuple[FakeWooCommerce, WooCommerceMarketplace, HandClock]]:
    shop, clock = FakeWooCommerce(), HandClock()
    url = await shop.start()
    marketplace = WooCommerceMarketplace(
        url, key=KEY, secret=SECRET, dialer=OpenDialer(), backhaul=a_backhaul(), clock=clock
    )
    await marketplace.start()
    yield shop, marketplace, clock
    await marketplace.stop()
    await shop.stop()
    assert shop.strangers == []


async def deliver(marketplace: WooCommerceMarketplace, *orders: StoredOrder) -> list[Receipt]:
    return list(await marketplace.deliver(a_batch(*orders)))


def in_stock(shop: FakeWooCommerce, quantity: int) -> None:
    shop.product("quinua").update(manage_stock=True, stock_quantity=quantity)


@pytest.mark.parametrize("cuts_after", [False, True])
@pytest.mark.parametrize("cut_at", range(10))
async def test_a_cut_at_any_call_leaves_each_order_standing_once(cut_at: int, cuts_after: bool) -> None:
    orders = stored(2)
    async with a_shop() as (shop, marketplace, _):
        in_stock(shop, 10)
        shop.cut_at, shop.cuts_after = cut_at, cuts_after
        for _ in range(2):
            with suppress(NotDelivered):
                await deliver(marketplace, *orders)
        standing = shop.standing()
        assert {order_id: len(found) for order_id, found in standing.items()} == {each.id: 1 for each in orders}
        assert {found[0]["status"] for found in standing.values()} == {"processing"}
        assert len(shop.orders) == 2  # nothing half made lies about
        assert shop.product("quinua")["stock_quantity"] == 8


@pytest.mark.parametrize("cuts_after", [False, True])
@pytest.mark.parametrize("cut_at", range(5))
async def test_a_change_that_is_cut_at_any_call_is_made_once_and_the_stock_is_right(
    cut_at: int, cuts_after: bool
) -> None:
    (first,) = stored(1)
    changed = as_stored(takeable(id=first.id, lines=[line("quinua", "3", 899)]), revision=2)
    async with a_shop() as (shop, marketplace, _):
        in_stock(shop, 3)  # exactly as many as the change needs, with the one that the order holds already
        await deliver(marketplace, first)
        shop.cut_at, shop.cuts_after = len(shop.requests) + cut_at, cuts_after
        for _ in range(2):
            with suppress(NotDelivered):
                await deliver(marketplace, changed)
        (order,) = shop.standing()[first.id]
        assert (order["status"], meta(order)["_tambo_revision"]) == ("processing", "2")
        assert [(each["sku"], each["quantity"]) for each in order["line_items"]] == [("quinua", 3)]
        assert shop.product("quinua")["stock_quantity"] == 0


async def test_a_cancelled_order_gives_its_goods_back_to_the_stock() -> None:
    (first,) = stored(1)
    async with a_shop() as (shop, marketplace, _):
        in_stock(shop, 5)
        await deliver(marketplace, first)
        assert shop.product("quinua")["stock_quantity"] == 4
        await deliver(marketplace, as_stored(first.order, revision=2, is_cancelled=True))
        assert shop.product("quinua")["stock_quantity"] == 5


async def test_a_failure_after_the_first_order_tells_the_receipts_there_are() -> None:
    orders = stored(3)
    async with a_shop() as (shop, marketplace, _):
        await deliver(marketplace, orders[0])
        calls = len(shop.requests)
        await deliver(marketplace, orders[0])
        shop.cut_at = len(shop.requests) + (len(shop.requests) - calls) + 1
        with pytest.raises(PartlyDelivered) as caught:
            await deliver(marketplace, *orders)
        told = [(each.id, each.outcome) for each in caught.value.receipts]
        assert told == [(orders[0].id, Outcome.DUPLICATE)]


async def test_an_order_that_the_shop_makes_late_goes_when_it_turns_up() -> None:
    (first,) = stored(1)
    async with a_shop() as (shop, marketplace, _):
        in_stock(shop, 5)
        late = shop.slow = asyncio.Event()
        with pytest.raises(NotDelivered):
            await deliver(marketplace, first)
        assert [each.outcome for each in await deliver(marketplace, first)] == [Outcome.ACCEPTED]
        late.set()
        await shop.made_late.wait()
        assert len(shop.standing()[first.id]) == 2
        await marketplace.updates("")
        (order,) = shop.standing()[first.id]
        assert order["status"] == "processing"
        assert sorted(each["status"] for each in shop.orders.values()) == ["processing", "trash"]
        assert shop.product("quinua")["stock_quantity"] == 4


async def test_doubles_that_another_box_left_are_settled_by_whoever_asks() -> None:
    (first,) = stored(1)
    async with a_shop() as (shop, marketplace, _):
        in_stock(shop, 5)
        await deliver(marketplace, first)
        for number, status in ((728, "processing"), (729, "pending")):
            shop.orders[number] = {**copy.deepcopy(shop.orders[727]), "id": number, "status": status}
            shop.set_status(number, status)
        await marketplace.updates("")
        (order,) = shop.standing()[first.id]
        assert order["id"] == 727
        assert [shop.orders[number]["status"] for number in (728, 729)] == ["trash", "trash"]


async def test_a_cancel_and_its_order_at_the_same_time_end_cancelled() -> None:
    (first,) = stored(1)
    cancel = as_stored(first.order, revision=2, is_cancelled=True)
    async with a_shop() as (shop, marketplace, _):
        in_stock(shop, 5)
        for _ in range(2):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(deliver(marketplace, first))
                tasks.create_task(deliver(marketplace, cancel))
        (order,) = shop.standing()[first.id]
        assert (order["status"], meta(order)["_tambo_revision"]) == ("cancelled", "2")
        assert shop.product("quinua")["stock_quantity"] == 5


async def test_a_shop_whose_search_finds_nothing_gets_no_order() -> None:
    orders = stored(2)
    async with a_shop() as (shop, marketplace, clock):
        shop.is_blind = True
        with pytest.raises(NotDelivered) as raised:
            await deliver(marketplace, *orders)
        assert raised.value.reason == "order not found by its search word"
        with pytest.raises(NotDelivered):  # and no more is left in its bin each time
            await deliver(marketplace, *orders)
        assert (len(shop.orders), shop.standing()) == (1, {})
        shop.is_blind = False
        clock.pass_s(3_601)
        assert [each.outcome for each in await deliver(marketplace, *orders)] == [Outcome.ACCEPTED] * 2


async def test_what_one_order_of_a_batch_takes_is_not_there_for_the_next() -> None:
    orders = [as_stored(takeable(lines=[line("quinua", "3", 899)])) for _ in range(3)]
    async with a_shop() as (shop, marketplace, _):
        in_stock(shop, 7)
        assert [each.outcome for each in await deliver(marketplace, *orders)] == [
            Outcome.ACCEPTED,
            Outcome.ACCEPTED,
            Outcome.ATTENTION,
        ]
        assert shop.product("quinua")["stock_quantity"] == 1


async def test_what_the_shop_does_not_take_is_for_a_person_and_holds_up_no_other() -> None:
    good = stored(1)[0]
    cases = [
        (takeable(lines=[line("oca", "1", 100), line("quinua", "1", 899)]), Code.UNKNOWN_ARTICLE, (Remark("oca"),), ""),
        (takeable(lines=[line("quinua", "1", 850)]), Code.PRICE_CHANGED, (Remark("quinua", 899),), ""),
        (takeable(lines=[line("quinua", "9", 899)]), Code.OUT_OF_STOCK, (Remark("quinua", available="4"),), ""),
        (takeable(lines=[line("quinua", "0.5", 899)]), Code.OTHER, (), NOT_WHOLE),
        (takeable(currency="USD"), Code.OTHER, (), OTHER_CURRENCY),
    ]
    async with a_shop() as (shop, marketplace, _):
        in_stock(shop, 4)
        receipts = await deliver(marketplace, *(as_stored(order) for order, _, _, _ in cases), good)
        assert receipts == [
            *(
                Receipt(order.id, Outcome.ATTENTION, reason, attention=Attention(code, remarks))
                for order, code, remarks, reason in cases
            ),
            Receipt(good.id, Outcome.ACCEPTED),
        ]
        assert set(shop.standing()) == {good.id}


async def test_an_order_that_needed_a_person_is_taken_once_it_is_changed() -> None:
    order = takeable(lines=[line("quinua", "1", 850)])
    async with a_shop() as (shop, marketplace, _):
        assert [each.outcome for each in await deliver(marketplace, as_stored(order))] == [Outcome.ATTENTION]
        changed = as_stored(takeable(id=order.id, lines=[line("quinua", "1", 899)]), revision=2)
        assert await deliver(marketplace, changed) == [Receipt(order.id, Outcome.ACCEPTED, revision=2)]
        assert len(shop.standing()[order.id]) == 1


@pytest.mark.parametrize("status", ["completed", "refunded", "failed", "cancelled"])
async def test_an_order_that_is_closed_at_the_shop_takes_no_change(status: str) -> None:
    (first,) = stored(1)
    async with a_shop() as (shop, marketplace, _):
        await deliver(marketplace, first)
        shop.set_status(727, status)
        changed = as_stored(takeable(id=first.id, lines=[line("quinua", "3", 899)]), revision=2)
        (receipt,) = await deliver(marketplace, changed)
        assert (receipt.outcome, receipt.attention) == (Outcome.ATTENTION, Attention(Code.CHANGE_NOT_TAKEN))
        assert meta(shop.orders[727])["_tambo_revision"] == "1"


async def test_an_order_at_the_shop_can_be_found_read_and_paid_as_it_was_meant() -> None:
    order = takeable(payment={"method": "mobile-money", "reference": "0012345"}, note="Por la tarde")
    async with a_shop() as (shop, marketplace, _):
        await deliver(marketplace, as_stored(order))
        (made,) = shop.standing()[order.id]
        assert made["status"] == "on-hold"
        assert made["payment_method_title"] == "Mobile money, claimed: 0012345"
        assert made["billing"]["first_name"] == order.buyer.name
        assert made["billing"]["company"] == ""
        assert made["shipping"]["company"] == f"Tambo {search_word(order.id)}"
        assert made["transaction_id"] == f"tambo-{search_word(order.id)}"
        assert made["customer_note"] == "Por la tarde"
        assert meta(made)["_tambo_total_minor"] == "1599"
        assert meta(made)["_tambo_box"] == "san-mateo"


async def test_the_key_is_never_in_an_address_and_never_goes_without_tls() -> None:
    async with a_shop() as (shop, marketplace, _):
        await deliver(marketplace, *stored(1))
        assert not any(KEY in path or SECRET in path for _, path in shop.requests)
    with pytest.raises(CannotStart):
        WooCommerceMarketplace(
            "http://shop.example", key=KEY, secret=SECRET, dialer=OpenDialer(), backhaul=a_backhaul(), clock=HandClock()
        )


async def test_a_wrong_key_and_a_busy_shop_are_not_held_against_the_orders() -> None:
    async with a_shop() as (shop, marketplace, clock):
        shop.refuse = 1
        with pytest.raises(NotDelivered) as raised:
            await deliver(marketplace, *stored(1))
        assert (raised.value.is_refusal, raised.value.retry_after_s) == (False, 30.0)
        url = f"http://127.0.0.1:{marketplace._exchange._peer[1]}/shop"
        other = WooCommerceMarketplace(
            url, key="ck_other", secret=SECRET, dialer=OpenDialer(), backhaul=a_backhaul(), clock=clock
        )
        await other.start()
        with pytest.raises(NotDelivered) as raised:
            await deliver(other, *stored(1))
        assert (raised.value.reason, raised.value.is_refusal) == ("status 401", False)
        await other.stop()


async def test_what_the_shop_decides_is_told_once_it_is_asked() -> None:
    orders = stored(5)
    async with a_shop() as (shop, marketplace, _):
        assert isinstance(marketplace, TellsUpdates)
        await deliver(marketplace, *orders)
        told = await marketplace.updates("")
        assert (told.receipts, told.is_all) == ((), True)
        for number, status in enumerate(["completed", "cancelled", "refunded", "failed"], 727):
            shop.set_status(number, status)
        after = await marketplace.updates(told.cursor)
        assert {each.id: (each.outcome, each.reason) for each in after.receipts if each.id != orders[3].id} == {
            orders[0].id: (Outcome.FULFILLED, ""),
            orders[1].id: (Outcome.CANCELLED, ""),
            orders[2].id: (Outcome.CANCELLED, PAID_BACK),
        }
        assert after.receipts[-1].attention == Attention(Code.OTHER)
        again = await marketplace.updates(after.cursor)
        assert [each.id for each in again.receipts] == [orders[3].id]  # its second may not have been over
        assert again.cursor == after.cursor


async def test_more_updates_than_a_page_are_told_page_by_page() -> None:
    async with a_shop() as (shop, marketplace, _):
        await deliver(marketplace, *stored(1))
        for number in range(728, 728 + 249):
            copied = {**shop.orders[727], "id": number, "status": "completed"}
            order_id = f"00000000-0000-4000-8000-{number:012d}"
            copied["meta_data"] = [
                {"id": 1, "key": "_tambo_id", "value": order_id},
                {"id": 2, "key": "_tambo_revision", "value": "1"},
            ]
            copied["date_modified_gmt"] = "2026-11-22T12:00:00"  # all in the same second
            shop.orders[number] = copied
        told: set[str] = set()
        cursor, is_all, asked = "", False, 0
        while not is_all:
            updates = await marketplace.updates(cursor)
            cursor, is_all, asked = updates.cursor, updates.is_all, asked + 1
            told |= {each.id for each in updates.receipts}
        assert len(told) == 249
        assert asked <= 5


async def test_the_catalogue_is_what_can_be_ordered_and_then_what_changed() -> None:
    async with a_shop() as (shop, marketplace, clock):
        assert isinstance(marketplace, OffersCatalogue)
        assert not isinstance(marketplace, TakesPhotos)
        origin = f"http://127.0.0.1:{marketplace._exchange._peer[1]}"
        shop.products[0]["images"][0]["src"] = f"{origin}/shop/wp-content/papa.jpg"
        shop.products += [a_product(94, "", "1.00"), a_product(95, "fino", "0.005"), a_product(96, "chal", "9.00")]
        shop.products[-1]["status"] = "draft"
        for each in shop.products[2:]:
            each["date_modified_gmt"] = "2026-10-01T10:00:00"
        whole = await marketplace.catalogue("")
        assert (whole.base, whole.currency, whole.removed) == ("", "PEN", ())
        assert {each.sku: (each.unit_price_minor, each.unit, each.stock, each.category) for each in whole.changed} == {
            "papa-amarilla": (350, "kg", "", "Granos"),
            "quinua": (899, "kg", "", "Granos"),
        }
        assert [each.picture for each in whole.changed] == [f"{origin}/shop/wp-content/papa.jpg", ""]
        assert await marketplace.picture(whole.changed[0].picture, 1_000) == b"a picture"
        in_stock(shop, 3)
        shop.products[0]["status"] = "draft"
        shop._touch(shop.products[0])
        shop._touch(shop.products[1])
        delta = await marketplace.catalogue(whole.version)
        assert (delta.base, delta.removed) == (whole.version, ("papa-amarilla",))
        assert [(each.sku, each.stock) for each in delta.changed] == [("quinua", "3")]
        clock.pass_s(8 * 86_400)
        assert (await marketplace.catalogue(delta.version)).base == ""


async def test_a_photo_elsewhere_and_one_too_large_are_not_fetched() -> None:
    async with a_shop() as (_, marketplace, _clock):
        origin = f"http://127.0.0.1:{marketplace._exchange._peer[1]}"
        for address, bytes_max in (("http://127.0.0.1:1/x.jpg", 1_000), (f"{origin}/shop/wp-content/papa.jpg", 3)):
            with pytest.raises(NotDelivered):
                await marketplace.picture(address, bytes_max)


async def test_an_order_takes_a_few_calls_and_the_link_knows_their_class() -> None:
    async with a_shop() as (shop, marketplace, _):
        await deliver(marketplace, *stored(10))
        assert len(shop.requests) == 10 * 4 + 2  # found, made, found, made real; the currency and the products once
        moved = marketplace._exchange._backhaul.moved()
        assert (moved[TrafficClass.INTERACTIVE].up_bytes + moved[TrafficClass.INTERACTIVE].down_bytes) / 10 > 1_000
        await marketplace.catalogue("")
        assert marketplace._exchange._backhaul.moved()[TrafficClass.BULK].down_bytes > 300
