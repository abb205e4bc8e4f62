"""At a real Vendure 3 shop each order takes effect once, whatever the link does to any call, and no draft is left."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from gateway.backhaul.dialer import OpenDialer
from gateway.backhaul.link import Backhaul
from gateway.clock import SystemClock
from gateway.exchange.exchange import DeliveryLimits
from gateway.market.attention import Attention, Code, Remark
from gateway.market.batch import Batch, Outcome, Receipt
from gateway.market.marketplaces.port import NotDelivered, OffersCatalogue, TellsUpdates
from gateway.market.marketplaces.vendure import VendureMarketplace
from gateway.market.marketplaces.vendure_api import Credentials
from gateway.market.marketplaces.vendure_orders import ShopWays
from gateway.market.order import content_hash, order_from
from gateway.market.records import StoredOrder
from tests.peer.vendure.lying_link import LIES, Lie, LyingLink, now_and_then, once
from tests.peer.vendure.running_shop import ROOT, USER, Shop, missing, running_shop
from tests.unit.market.orders import fields, new_id
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(missing() != "", reason=missing())
PRICES = {"papa": 350, "quinua": 899, "cuy": 2_500}
UNPLACED = {"Draft", "AddingItems", "ArrangingPayment"}
CALLS = 7  # sign in, look up, create, name, fill, move, pay
WAYS = ShopWays(has_units=True, orphan_s=-2.0)  # at once: the shop's clocks count whole seconds, and differ by one
LIMITS = DeliveryLimits(connect_s=2.0, silence_s=10.0, total_s=20.0)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with running_shop(tmp_path_factory.mktemp("vendure") / "log") as running:
        for sku, price_minor in PRICES.items():
            running.sell(sku, price_minor, 100_000)
        running.sell("queso", 400, 1_000, unit="kg", pieces=4)
        yield running


def stored(*lines: tuple[str, str], number: int = 1, **changes: Any) -> StoredOrder:
    wanted = [
        {"sku": sku, "name": sku, "quantity": quantity, "unit": "u", "unit_price_minor": PRICES.get(sku, 1_600)}
        for sku, quantity in lines
    ]
    order = order_from(fields(lines=wanted) | changes)
    return StoredOrder(order, "ana", f"SMT-0001-{number:04d}", 1_800_000_000.0, "trusted", content_hash(order, "ana"))


def batch(*orders: StoredOrder) -> Batch:
    return Batch("san-mateo", new_id(), orders)


async def answers(peer: tuple[str, int]) -> bool:
    return True


@asynccontextmanager
async def facing(port: int, credentials: Credentials, ways: ShopWays = WAYS) -> AsyncIterator[VendureMarketplace]:
    marketplace = VendureMarketplace(
        f"http://127.0.0.1:{port}/admin-api",
        credentials,
        dialer=OpenDialer(),
        backhaul=Backhaul(SystemClock(), capacity=None, carrier=lambda: True, probe=answers),
        clock=SystemClock(),
        ways=ways,
        limits=LIMITS,
    )
    await marketplace.start()
    try:
        yield marketplace
    finally:
        await marketplace.stop()


def signed_in(shop: Shop) -> Credentials:
    return Credentials(user=USER, password=shop.password)


async def delivered(marketplace: VendureMarketplace, orders: Sequence[StoredOrder], tries: int = 500) -> list[Receipt]:
    """Deliver until each order has a word that ends it; return those words."""
    words: dict[str, Receipt] = {}
    for _ in range(tries):
        waiting = [order for order in orders if order.id not in words]
        if not waiting:
            return [words[order.id] for order in orders]
        try:
            receipts = await marketplace.deliver(batch(*waiting))
        except NotDelivered:
            continue
        words |= {receipt.id: receipt for receipt in receipts if receipt.outcome is not Outcome.RETRY}
    raise AssertionError(f"{len(orders) - len(words)} orders still wait")


async def swept(marketplace: VendureMarketplace, link: LyingLink) -> None:
    link.next_lie = lambda: Lie.NONE
    await wait_until(lambda: link.under_way == 0)
    for _ in range(3):  # a hundred drafts at once
        await marketplace.updates("")
        if not marketplace._drafts.may_be_there:
            break


async def test_an_order_is_at_the_shop_as_it_was_made(shop: Shop) -> None:
    payment = {"method": "mobile-money", "reference": "YAPE-77"}
    one = stored(
        ("papa", "3"),
        ("quinua", "2"),
        buyer={"name": "Lucía Quispe", "phone": "984 123 456", "address": "Plaza 3"},
        payment=payment,
    )
    before = shop.stock("papa")
    async with facing(shop.port, signed_in(shop)) as marketplace:
        assert [word.outcome for word in await marketplace.deliver(batch(one))] == [Outcome.ACCEPTED]
        again = await marketplace.deliver(batch(one))
        assert [(word.outcome, bool(word.arrived_at)) for word in again] == [(Outcome.DUPLICATE, True)]
    assert shop.stock("papa") == (before[0], before[1] + 3)
    [found] = shop.of(one.id)
    assert found["state"] == "PaymentSettled"
    assert found["totalWithTax"] == 3 * 350 + 2 * 899
    assert found["customFields"] == {
        "externalId": one.id,
        "externalRevision": 1,
        "externalReceipt": "SMT-0001-0001",
        "externalNote": "Por la tarde",
    }
    assert found["customer"] == {"firstName": "ana", "emailAddress": "ana@merchants.invalid"}
    assert found["shippingAddress"] == {
        "fullName": "Lucía Quispe",
        "phoneNumber": "984 123 456",
        "streetLine1": "Plaza 3",
        "countryCode": "PE",
    }
    assert found["payments"] == [
        {"method": "mobile-money", "amount": found["totalWithTax"], "state": "Settled", "transactionId": "YAPE-77"}
    ]


async def test_200_orders_under_a_lying_link_are_200_orders(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    random = Random(42)
    orders = [
        stored(
            *((sku, str(random.randint(1, 3))) for sku in random.sample(list(PRICES), random.randint(1, 2))),
            number=number,
        )
        for number in range(1, 201)
    ]
    wanted: Counter[str] = Counter()
    for order in orders:
        wanted.update({line.sku: int(line.quantity) for line in order.order.lines})
    before = {sku: shop.stock(sku) for sku in PRICES}
    others = len(shop.standing())
    link = LyingLink(shop.port, now_and_then(random, 0.12))
    async with link.running(), facing(link.port, signed_in(shop)) as marketplace:
        words = await delivered(marketplace, orders)
        await swept(marketplace, link)
    found, ids = shop.standing(), {order.id for order in orders}
    ours = [(name, state) for _, name, state in found if name in ids]
    drafts = [state for _, _, state in found if state in UNPLACED]
    with capsys.disabled():
        told = ", ".join(f"{count} {lie}" for lie, count in sorted(link.told.items()))
        print(
            f"\n200 orders over {link.told.total()} calls ({told}): {len(ours)} at the shop, {len(drafts)} drafts left"
        )
    assert {word.outcome for word in words} <= {Outcome.ACCEPTED, Outcome.DUPLICATE}
    assert sorted(ours) == sorted((order_id, "PaymentSettled") for order_id in ids)
    assert len(found) == others + 200
    assert drafts == []
    assert {sku: shop.stock(sku) for sku in PRICES} == {
        sku: (there, aside + wanted[sku]) for sku, (there, aside) in before.items()
    }
    assert all(link.told[lie] for lie in LIES)


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_about_any_one_call_leaves_one_order(shop: Shop, lie: Lie) -> None:
    before, others = shop.stock("papa"), len(shop.standing())
    orders = [stored(("papa", "2")) for _ in range(CALLS)]
    link = LyingLink(shop.port)
    async with link.running():
        for call, order in enumerate(orders):
            async with facing(link.port, signed_in(shop)) as marketplace:
                link.next_lie = once(lie, call)
                await delivered(marketplace, [order], 5)
                await swept(marketplace, link)
    found = shop.standing()
    assert len(found) == others + CALLS
    assert {state for _, _, state in found}.isdisjoint(UNPLACED)
    assert shop.stock("papa") == (before[0], before[1] + 2 * CALLS)
    assert link.told[lie] == CALLS


async def test_two_boxes_with_the_same_orders_make_each_once(shop: Shop) -> None:
    orders = [stored(("quinua", "1")) for _ in range(10)]
    before = shop.stock("quinua")
    ways = replace(WAYS, orphan_s=60.0)
    async with (
        facing(shop.port, signed_in(shop), ways) as one,
        facing(shop.port, signed_in(shop), ways) as other,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(delivered(one, orders))
        tasks.create_task(delivered(other, orders))
    async with facing(shop.port, signed_in(shop)) as sweeper:
        await sweeper.updates("")
    assert [len(shop.of(order.id)) for order in orders] == [1] * 10
    assert shop.stock("quinua") == (before[0], before[1] + 10)
    assert "Draft" not in {state for _, _, state in shop.standing()}


async def test_what_the_shop_cannot_take_is_told_and_nothing_is_made(shop: Shop) -> None:
    shop.sell("chuno", 1_600, 5)
    others = len(shop.standing())
    asked = [
        stored(
            ("chuno", "1"),
            ("papa", "1"),
            lines=[{"sku": "chuno", "name": "x", "quantity": "1", "unit": "u", "unit_price_minor": 1_500}],
        ),
        stored(("llama", "1"), ("papa", "1")),
        stored(("chuno", "6")),
        stored(("papa", "1.5")),
        stored(("papa", "1000")),  # Vendure takes 999 in an order
        stored(("papa", "1"), currency="USD"),
    ]
    async with facing(shop.port, signed_in(shop)) as marketplace:
        words = await marketplace.deliver(batch(*asked))
    assert [word.attention for word in words] == [
        Attention(Code.PRICE_CHANGED, (Remark("chuno", 1_600),)),
        Attention(Code.UNKNOWN_ARTICLE, (Remark("llama"),)),
        Attention(Code.OUT_OF_STOCK, (Remark("chuno", available="5"),)),
        Attention(Code.OTHER, (Remark("papa"),)),
        Attention(Code.OTHER),
        None,
    ]
    assert [bool(word.reason) for word in words] == [False, False, False, True, True, True]
    assert words[5].outcome is Outcome.REJECTED
    assert len(shop.standing()) == others
    assert shop.stock("chuno") == (5, 0)


async def test_orders_of_one_batch_share_the_last_of_the_stock(shop: Shop) -> None:
    shop.sell("oca", 1_600, 5)
    orders = [stored(("oca", "2")) for _ in range(3)]
    async with facing(shop.port, signed_in(shop)) as marketplace:
        words = await marketplace.deliver(batch(*orders))
    assert [word.outcome for word in words] == [Outcome.ACCEPTED, Outcome.ACCEPTED, Outcome.ATTENTION]
    assert words[2].attention == Attention(Code.OUT_OF_STOCK, (Remark("oca", available="1"),))
    assert shop.stock("oca") == (5, 4)
    assert shop.of(orders[2].id) == []


async def test_an_article_sold_by_the_kilo_is_ordered_in_its_pieces(shop: Shop) -> None:
    one, before = stored(("queso", "1.5")), shop.stock("queso")
    uneven = stored(("queso", "0.1"))
    async with facing(shop.port, signed_in(shop)) as marketplace:
        words = await marketplace.deliver(batch(one, uneven))
    assert [word.outcome for word in words] == [Outcome.ACCEPTED, Outcome.ATTENTION]
    assert shop.stock("queso") == (before[0], before[1] + 6)
    assert shop.of(one.id)[0]["totalWithTax"] == 2_400


async def test_a_cancelled_order_gives_its_stock_back_once(shop: Shop) -> None:
    one, before = stored(("cuy", "4")), shop.stock("cuy")
    gone = replace(one, revision=2, is_cancelled=True)
    never_there = replace(stored(("cuy", "4")), revision=2, is_cancelled=True)
    async with facing(shop.port, signed_in(shop)) as marketplace:
        await marketplace.deliver(batch(one))
        words = [*await marketplace.deliver(batch(gone)), *await marketplace.deliver(batch(gone, never_there))]
        told = (await marketplace.updates("")).receipts
    assert [(word.outcome, word.revision) for word in words] == [
        (Outcome.ACCEPTED, 2),
        (Outcome.DUPLICATE, 2),
        (Outcome.ACCEPTED, 2),
    ]
    assert shop.stock("cuy") == before
    assert [each["state"] for each in shop.of(one.id)] == ["Cancelled"]
    assert shop.of(never_there.id) == []
    assert (one.id, Outcome.CANCELLED) in {(word.id, word.outcome) for word in told}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_about_a_cancellation_gives_the_stock_back_once(shop: Shop, lie: Lie) -> None:
    one, before = stored(("cuy", "4")), shop.stock("cuy")
    link = LyingLink(shop.port)
    async with link.running(), facing(link.port, signed_in(shop)) as marketplace:
        await marketplace.deliver(batch(one))
        link.next_lie = once(lie, 1)
        [word] = await delivered(marketplace, [replace(one, revision=2, is_cancelled=True)], 5)
        await swept(marketplace, link)
    assert word.outcome in (Outcome.ACCEPTED, Outcome.DUPLICATE)
    assert shop.stock("cuy") == before


async def test_an_edit_is_placed_when_nothing_is_there_and_not_taken_when_something_is(shop: Shop) -> None:
    one = stored(("papa", "2"))
    edited = replace(stored(("papa", "5"), id=one.id), revision=2)
    new = replace(stored(("papa", "1")), revision=3)
    async with facing(shop.port, signed_in(shop)) as marketplace:
        await marketplace.deliver(batch(one))
        words = await marketplace.deliver(batch(edited, new))
    assert words[0].attention == Attention(Code.CHANGE_NOT_TAKEN)
    assert [(word.outcome, word.revision) for word in words] == [(Outcome.ATTENTION, 2), (Outcome.ACCEPTED, 3)]
    assert [each["lines"][0]["quantity"] for each in shop.of(one.id)] == [2]
    assert shop.of(new.id)[0]["customFields"]["externalRevision"] == 3


async def test_an_edit_of_a_half_made_order_is_what_is_placed(shop: Shop) -> None:
    one = stored(("papa", "2"), ("quinua", "1"))
    edited = replace(
        stored(("papa", "5"), ("cuy", "1"), id=one.id, buyer={"name": "Rosa", "phone": "984000111"}), revision=2
    )
    before, others = shop.stock("papa"), len(shop.standing())
    link = LyingLink(shop.port, once(Lie.CUT_BEFORE, CALLS - 1))
    async with link.running(), facing(link.port, signed_in(shop)) as marketplace:
        with pytest.raises(NotDelivered):
            await marketplace.deliver(batch(one))
        assert [word.outcome for word in await marketplace.deliver(batch(edited))] == [Outcome.ACCEPTED]
    [found] = shop.of(one.id)
    assert {line["productVariant"]["sku"]: line["quantity"] for line in found["lines"]} == {"papa": 5, "cuy": 1}
    assert (len(shop.standing()), shop.stock("papa")) == (others + 1, (before[0], before[1] + 5))


async def test_a_begun_order_whose_price_changes_is_taken_away(shop: Shop) -> None:
    shop.sell("mani", 1_600, 50)
    for calls in (CALLS - 2, CALLS - 1):
        one, others = stored(("mani", "2")), len(shop.standing())
        link = LyingLink(shop.port, once(Lie.CUT_BEFORE, calls))
        async with link.running(), facing(link.port, signed_in(shop)) as marketplace:
            with pytest.raises(NotDelivered):
                await marketplace.deliver(batch(one))
            shop.change("mani", price=1_700)
            [word] = await marketplace.deliver(batch(one))
            shop.change("mani", price=1_600)
        assert word.attention == Attention(Code.PRICE_CHANGED, (Remark("mani", 1_700),))
        assert shop.of(one.id) == []
        assert [state for _, _, state in shop.standing()[others:]] in ([], ["Cancelled"])
    assert shop.stock("mani") == (50, 0)


async def test_the_shops_own_drafts_stay(shop: Shop) -> None:
    clerk = Shop(shop.port, "a box's", user=shop.administrator(["CreateOrder"]))
    clerk.sign_in()
    draft = clerk.ask("mutation{createDraftOrder{id}}")["createDraftOrder"]["id"]
    ours = shop.ask("mutation{createDraftOrder{id}}")["createDraftOrder"]["id"]
    async with facing(shop.port, signed_in(shop)) as marketplace:
        await marketplace.updates("")
    there = {shop_id for shop_id, _, _ in shop.standing()}
    shop.ask("mutation($id:ID!){deleteDraftOrder(orderId:$id){result}}", id=draft)
    assert draft in there
    assert ours not in there


async def test_the_catalogue_comes_whole_and_then_by_what_changed(shop: Shop) -> None:
    shop.sell("maca", 1_200, 7)
    async with facing(shop.port, signed_in(shop)) as marketplace:
        assert isinstance(marketplace, OffersCatalogue)
        whole = await marketplace.catalogue("")
        same = await marketplace.catalogue(whole.version)
        shop.change("maca", price=1_300, stockLevels=[{"stockLocationId": shop.location, "stockOnHand": 6}])
        changed = await marketplace.catalogue(whole.version)
        shop.change("maca", enabled=False)
        gone = await marketplace.catalogue(changed.version)
    articles = {each.sku: each for each in whole.changed}
    maca, queso = articles["maca"], articles["queso"]
    assert (whole.base, whole.currency, whole.prices_include_tax) == ("", "PEN", True)
    assert (maca.name, maca.unit, maca.unit_price_minor, maca.stock) == ("Maca", "unidad", 1_200, "7")
    assert (maca.tax_name, maca.tax_rate, maca.currency) == ("IGV", "18", "PEN")
    assert (queso.unit, queso.unit_price_minor) == ("kg", 1_600)
    assert (same.version, same.base, same.changed, same.removed) == (whole.version, whole.version, (), ())
    assert changed.base == whole.version
    assert [(each.sku, each.unit_price_minor, each.stock) for each in changed.changed] == [("maca", 1_300, "6")]
    assert (gone.changed, gone.removed) == ((), ("maca",))


async def test_an_order_handed_over_is_told(shop: Shop) -> None:
    one = stored(("papa", "1"))
    async with facing(shop.port, signed_in(shop)) as marketplace:
        assert isinstance(marketplace, TellsUpdates)
        await marketplace.deliver(batch(one))
        before = await marketplace.updates("")
        shop.hand_over(shop.of(one.id)[0]["id"])
        after = await marketplace.updates(before.cursor)
        [late] = await marketplace.deliver(batch(replace(one, revision=2, is_cancelled=True)))
    assert one.id not in {word.id for word in before.receipts}
    assert [(word.id, word.outcome) for word in after.receipts if word.id == one.id] == [(one.id, Outcome.FULFILLED)]
    assert after.is_all
    assert late.outcome is Outcome.FULFILLED


async def test_the_permissions_of_the_guide_are_enough(shop: Shop) -> None:
    guide = (ROOT / "docs" / "marketplaces" / "vendure.md").read_text()
    named = re.findall(r"`((?:Create|Read|Update|Delete)[A-Z][A-Za-z]+)`", guide)
    credentials = Credentials(user=shop.administrator(sorted(set(named))), password="a box's")
    one, orphan = stored(("papa", "1")), stored(("papa", "1"))
    link = LyingLink(shop.port)
    async with link.running(), facing(link.port, credentials) as marketplace:
        assert [word.outcome for word in await marketplace.deliver(batch(one))] == [Outcome.ACCEPTED]
        link.next_lie = once(Lie.CUT_AFTER, 1)
        await delivered(marketplace, [orphan, replace(one, revision=2, is_cancelled=True)], 5)
        await swept(marketplace, link)
        assert (await marketplace.catalogue("")).changed
    assert [each["state"] for each in shop.of(one.id)] == ["Cancelled"]
    assert {state for _, _, state in shop.standing()}.isdisjoint(UNPLACED)


async def test_an_order_that_costs_nothing_is_placed(shop: Shop) -> None:
    shop.sell("semilla", 0, 10)
    lines = [{"sku": "semilla", "name": "x", "quantity": "2", "unit": "u", "unit_price_minor": 0}]
    one = stored(lines=lines)
    async with facing(shop.port, signed_in(shop)) as marketplace:
        assert [word.outcome for word in await marketplace.deliver(batch(one))] == [Outcome.ACCEPTED]
    assert shop.stock("semilla") == (10, 2)


async def test_a_session_that_ended_is_begun_anew(shop: Shop) -> None:
    async with facing(shop.port, signed_in(shop)) as marketplace:
        await marketplace.deliver(batch(stored(("papa", "1"))))
        marketplace._api._token = "ended"
        assert [word.outcome for word in await marketplace.deliver(batch(stored(("papa", "1"))))] == [Outcome.ACCEPTED]


async def test_an_api_key_needs_no_session(shop: Shop) -> None:
    async with facing(shop.port, Credentials(api_key=shop.api_key())) as marketplace:
        assert [word.outcome for word in await marketplace.deliver(batch(stored(("papa", "1"))))] == [Outcome.ACCEPTED]
        shop.ask("mutation{createDraftOrder{id}}")
        await marketplace.updates("")
    assert "Draft" not in {state for _, _, state in shop.standing()}


@pytest.mark.parametrize("credentials", [Credentials(user=USER, password="wrong"), Credentials(api_key="0:wrong")])
async def test_a_stranger_delivers_nothing(shop: Shop, credentials: Credentials) -> None:
    async with facing(shop.port, credentials) as marketplace:
        with pytest.raises(NotDelivered) as raised:
            await marketplace.deliver(batch(stored(("papa", "1"))))
    assert not raised.value.is_silent
    assert not raised.value.is_refusal
