"""Every marketplace keeps the port's promises: each order takes effect once, and what is not known is said to be so."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from gateway.backhaul.dialer import OpenDialer
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import SystemClock
from gateway.demo.marketplace import DemoMarketplace
from gateway.market.batch import Outcome, judge
from gateway.market.marketplaces.http import HttpMarketplace
from gateway.market.marketplaces.port import NotDelivered, OffersCatalogue, TakesPhotos, TellsUpdates
from gateway.market.records import StoredOrder
from gateway.market.states import State
from tests.contract.market_fars import FARS, Far, a_backhaul, a_batch, as_stored, line, stored, takeable


@pytest.fixture(params=list(FARS))
async def far(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Far]:
    async with FARS[request.param](tmp_path) as opened:
        yield opened


async def deliver(far: Far, *orders: StoredOrder) -> list[Outcome]:
    """Deliver, with a receipt for each order and for no other."""
    receipts = await far.marketplace.deliver(a_batch(*orders))
    assert [receipt.id for receipt in receipts] == [order.id for order in orders]
    assert [receipt.revision for receipt in receipts] == [order.revision for order in orders]
    return [receipt.outcome for receipt in receipts]


async def test_each_order_of_a_batch_is_accepted(far: Far) -> None:
    orders = stored(5)
    assert await deliver(far, *orders) == [Outcome.ACCEPTED] * 5
    standing = await far.standing()
    assert set(standing) == {order.id for order in orders}
    assert {(each.times, each.revision, each.is_cancelled) for each in standing.values()} == {(1, 1, False)}
    assert standing[orders[0].id].quantities == {"papa-amarilla": "2", "quinua": "1"}


async def test_an_order_that_comes_again_is_a_duplicate_and_takes_no_effect(far: Far) -> None:
    orders = stored(3)
    await deliver(far, *orders[:2])
    before = await far.standing()
    assert await deliver(far, *orders) == [Outcome.DUPLICATE, Outcome.DUPLICATE, Outcome.ACCEPTED]
    after = await far.standing()
    assert {order.id: after[order.id] for order in orders[:2]} == before
    assert after[orders[2].id].times == 1


async def test_an_order_in_two_batches_at_once_and_in_another_order_stands_once(far: Far) -> None:
    orders = stored(3)
    await deliver(far, orders[1], orders[0])
    await deliver(far, orders[2], orders[1])
    await deliver(far, orders[0], orders[2])
    assert {each.times for each in (await far.standing()).values()} == {1}
    assert len(await far.standing()) == 3


async def test_a_refused_batch_is_not_delivered_and_takes_no_effect(far: Far) -> None:
    orders = stored(2)
    await far.refuse()
    with pytest.raises(NotDelivered) as raised:
        await far.marketplace.deliver(a_batch(*orders))
    assert not raised.value.is_silent
    await far.heal()
    assert await far.standing() == {}
    assert await deliver(far, *orders) == [Outcome.ACCEPTED] * 2


async def test_a_lost_answer_is_not_delivered_and_the_orders_stand_once_after(far: Far) -> None:
    orders = stored(2)
    await far.lose()
    with pytest.raises(NotDelivered) as raised:
        await far.marketplace.deliver(a_batch(*orders))
    assert raised.value.is_silent
    outcomes = await deliver(far, *orders)
    assert outcomes[0] is Outcome.DUPLICATE
    assert set(outcomes) <= {Outcome.DUPLICATE, Outcome.ACCEPTED}
    assert {order_id: each.times for order_id, each in (await far.standing()).items()} == {
        order.id: 1 for order in orders
    }


async def test_an_empty_batch_has_no_receipts(far: Far) -> None:
    assert list(await far.marketplace.deliver(a_batch())) == []


async def test_deliveries_at_the_same_time_take_effect_once(far: Far) -> None:
    orders = stored(4)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(_deliver(far, orders))
    assert {order_id: each.times for order_id, each in (await far.standing()).items()} == {
        order.id: 1 for order in orders
    }


async def _deliver(far: Far, orders: tuple[StoredOrder, ...]) -> None:
    await far.marketplace.deliver(a_batch(*orders))


async def test_a_change_replaces_the_order_and_nothing_else(far: Far) -> None:
    first, other = stored(2)
    await deliver(far, first, other)
    before = await far.standing()
    changed = as_stored(takeable(id=first.id, lines=[line("quinua", "5", 899)]), revision=2)
    assert await deliver(far, changed) == [Outcome.ACCEPTED]
    after = await far.standing()
    assert (after[first.id].times, after[first.id].revision) == (1, 2)
    assert after[first.id].quantities == {"quinua": "5"}
    assert after[other.id] == before[other.id]


async def test_a_change_whose_answer_was_lost_is_made_once(far: Far) -> None:
    (first,) = stored(1)
    await deliver(far, first)
    changed = as_stored(takeable(id=first.id, lines=[line("quinua", "5", 899)]), revision=2)
    await far.lose()
    with pytest.raises(NotDelivered):
        await far.marketplace.deliver(a_batch(changed))
    (receipt,) = await far.marketplace.deliver(a_batch(changed))
    assert [verdict.state for verdict in judge([changed], [receipt])] == [State.ACCEPTED]
    standing = (await far.standing())[first.id]
    assert (standing.times, standing.revision, standing.quantities) == (1, 2, {"quinua": "5"})


async def test_an_older_revision_after_a_newer_one_changes_nothing(far: Far) -> None:
    (first,) = stored(1)
    changed = as_stored(takeable(id=first.id, lines=[line("quinua", "5", 899)]), revision=3)
    await deliver(far, changed)
    assert await deliver(far, first) == [Outcome.DUPLICATE]
    assert (await far.standing())[first.id].quantities == {"quinua": "5"}


async def test_a_cancel_cancels_once(far: Far) -> None:
    first, other = stored(2)
    await deliver(far, first, other)
    cancel = as_stored(first.order, revision=2, is_cancelled=True)
    for _ in range(2):
        receipts = await far.marketplace.deliver(a_batch(cancel))
        assert [verdict.state for verdict in judge([cancel], receipts)] == [State.CANCELLED]
    standing = await far.standing()
    assert (standing[first.id].times, standing[first.id].is_cancelled) == (1, True)
    assert not standing[other.id].is_cancelled


async def test_an_order_that_comes_after_its_cancel_takes_no_effect(far: Far) -> None:
    (first,) = stored(1)
    cancel = as_stored(first.order, revision=2, is_cancelled=True)
    receipts = await far.marketplace.deliver(a_batch(cancel))
    assert [verdict.state for verdict in judge([cancel], receipts)] == [State.CANCELLED]
    assert await deliver(far, first) == [Outcome.DUPLICATE]
    standing = (await far.standing())[first.id]
    assert (standing.times, standing.is_cancelled) == (1, True)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_fails_in_between_the_latest_revision_of_each_order_stands_once(far: Far, seed: int) -> None:
    random = Random(seed)
    latest = {each.id: each for each in stored(4)}
    for _ in range(12):
        some = random.sample(list(latest.values()), random.randint(1, 4))
        for each in some:
            if random.random() < 0.3 and not each.is_cancelled:
                latest[each.id] = changed(each, random)
        fails = random.choice([far.lose, far.refuse, None])
        if fails is not None:
            await fails()
        with suppress(NotDelivered):
            await far.marketplace.deliver(a_batch(*(latest[each.id] for each in some)))
        await far.heal()
    for _ in range(2):  # what was told to fail may not have failed yet
        with suppress(NotDelivered):
            await far.marketplace.deliver(a_batch(*latest.values()))
    receipts = await far.marketplace.deliver(a_batch(*latest.values()))
    states = {verdict.id: verdict.state for verdict in judge(list(latest.values()), receipts)}
    standing = await far.standing()
    assert set(standing) == set(latest)
    for order_id, each in latest.items():
        stands = standing[order_id]
        assert (stands.times, stands.revision, stands.is_cancelled) == (1, each.revision, each.is_cancelled)
        assert states[order_id] is (State.CANCELLED if each.is_cancelled else State.ACCEPTED)
        if not each.is_cancelled:
            assert stands.quantities == {ordered.sku: ordered.quantity for ordered in each.order.lines}


def changed(each: StoredOrder, random: Random) -> StoredOrder:
    if random.random() < 0.3:
        return as_stored(each.order, each.revision + 1, is_cancelled=True)
    lines = [line("quinua", str(random.randint(1, 9)), 899)]
    return as_stored(takeable(id=each.id, lines=lines), each.revision + 1)


async def test_what_is_decided_there_is_told_from_the_cursor_on(far: Far) -> None:
    if not isinstance(far.marketplace, TellsUpdates):
        pytest.skip("it tells no updates")
    first, second, third = stored(3)
    await deliver(far, first, second, third)
    cursor = (await every_update(far, ""))[1]
    await far.fulfil(first.id)
    told, cursor = await every_update(far, cursor)
    assert told == {first.id: Outcome.FULFILLED}
    await far.fulfil(second.id)
    told, cursor = await every_update(far, cursor)
    assert told[second.id] is Outcome.FULFILLED
    assert third.id not in told
    again, last = await every_update(far, cursor)
    assert again.items() <= told.items()  # nothing new
    assert last == cursor


async def every_update(far: Far, cursor: str) -> tuple[dict[str, Outcome], str]:
    """What is not yet decided may be told as accepted, or not at all."""
    assert isinstance(far.marketplace, TellsUpdates)
    told: dict[str, Outcome] = {}
    is_all = False
    while not is_all:
        updates = await far.marketplace.updates(cursor)
        cursor, is_all = updates.cursor, updates.is_all
        told |= {each.id: each.outcome for each in updates.receipts if each.outcome is not Outcome.ACCEPTED}
    return told, cursor


async def test_a_catalogue_is_the_whole_first_and_then_what_changed(far: Far) -> None:
    if not isinstance(far.marketplace, OffersCatalogue):
        pytest.skip("it offers no catalogue")
    whole = await far.marketplace.catalogue("")
    assert (whole.base, whole.currency) == ("", "PEN")
    assert {(each.sku, each.unit, each.unit_price_minor) for each in whole.changed} >= {
        ("papa-amarilla", "kg", 350),
        ("quinua", "kg", 899),
    }
    later = await far.marketplace.catalogue(whole.version)
    assert (later.version, later.base, later.removed) == (whole.version, whole.version, ())
    assert set(later.changed) <= set(whole.changed)
    assert (await far.marketplace.catalogue("a version of nobody's")).base == ""


async def test_a_photo_goes_on_from_where_it_was_cut(far: Far) -> None:
    if not isinstance(far.marketplace, TakesPhotos):
        pytest.skip("it takes no photos")
    photo = bytes(range(256)) * 100
    sha256, size = hashlib.sha256(photo).hexdigest(), len(photo)
    assert await far.marketplace.photo_offset(sha256, size) == 0
    with suppress(NotDelivered):
        await far.marketplace.put_photo(sha256, cut_off(photo[:10_000]), 0, size)
    offset = await far.marketplace.photo_offset(sha256, size)
    assert 0 <= offset <= 10_000
    assert await far.marketplace.put_photo(sha256, in_pieces(photo[offset:]), offset, size) == size
    assert await far.marketplace.photo_offset(sha256, size) == size


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1_000):
        yield content[start : start + 1_000]


async def cut_off(content: bytes) -> AsyncIterator[bytes]:
    async for piece in in_pieces(content):
        yield piece
    raise NotDelivered(is_silent=True, reason="cut")


async def test_a_delivery_is_counted_as_interactive(tmp_path: Path) -> None:
    demo = DemoMarketplace(tmp_path)
    host, port = await demo.start("127.0.0.1", 0)
    backhaul = a_backhaul()
    http = HttpMarketplace(f"http://{host}:{port}/orders", dialer=OpenDialer(), backhaul=backhaul, clock=SystemClock())
    await http.start()
    await http.deliver(a_batch(*stored(100)))
    moved = backhaul.moved()[TrafficClass.INTERACTIVE]
    assert 100 * 40 < moved.up_bytes < 100 * 200
    assert 100 * 10 < moved.down_bytes < 100 * 100
    assert backhaul.open_shares()[TrafficClass.INTERACTIVE] == 0
    await http.stop()
    await demo.stop()
