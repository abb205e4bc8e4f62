"""What our own protocol offers beside batches, and how a box and a marketplace find out what the other speaks."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from gateway.backhaul.dialer import OpenDialer
from gateway.backhaul.link import Backhaul
from gateway.demo.marketplace import DemoMarketplace
from gateway.demo.marketplace_faults import Faults
from gateway.market.batch import Batch, Outcome, judge
from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.marketplaces.http import ASK_AGAIN_S, HttpMarketplace
from gateway.market.marketplaces.port import NotDelivered, OffersCatalogue, TakesPhotos, TellsUpdates
from gateway.market.states import State
from gateway.market.wire.columns import MEDIA_TYPE
from tests.bench.orders_made import made
from tests.clocks import HandClock

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SHOP = Catalogue("1", "PEN", (Article("papa", "Papa", "kg", 350, "PEN"),))


@dataclass
class Pair:
    box: HttpMarketplace
    far: DemoMarketplace
    clock: HandClock
    forms: list[str]  # in which batches came


async def answers(peer: tuple[str, int]) -> bool:
    return True


def a_box(url: str, clock: HandClock) -> HttpMarketplace:
    backhaul = Backhaul(clock, capacity=None, carrier=lambda: True, probe=answers)
    return HttpMarketplace(url, dialer=OpenDialer(), backhaul=backhaul, clock=clock, secret=SECRET)


@pytest.fixture
async def pair(tmp_path: Path, clock: HandClock) -> AsyncIterator[Pair]:
    far = DemoMarketplace(tmp_path / "far", catalogue=SHOP, secret=SECRET)
    forms: list[str] = []

    async def noted(request: web.Request, response: web.StreamResponse) -> None:
        del response
        if request.method == "POST":
            forms.append(request.content_type)

    far.app.on_response_prepare.append(noted)
    host, port = await far.start("127.0.0.1", 0)
    box = a_box(f"http://{host}:{port}/orders", clock)
    await box.start()
    yield Pair(box, far, clock, forms)
    await box.stop()
    await far.stop()


def a_batch(count: int, seed: int) -> Batch:
    return Batch("san-mateo", f"b-{seed}", tuple(made(count, seed)))


async def deliver(pair: Pair, batch: Batch) -> set[State]:
    return {verdict.state for verdict in judge(batch.orders, await pair.box.deliver(batch))}


def test_our_own_protocol_offers_all_that_the_port_knows(clock: HandClock) -> None:
    box = a_box("http://127.0.0.1:1/orders", clock)
    assert isinstance(box, TellsUpdates)
    assert isinstance(box, OffersCatalogue)
    assert isinstance(box, TakesPhotos)


async def test_columns_go_from_the_batch_after_they_were_offered(pair: Pair) -> None:
    for seed in range(3):
        assert await deliver(pair, a_batch(10, seed)) == {State.ACCEPTED}
    assert pair.forms == ["application/json", MEDIA_TYPE, MEDIA_TYPE]


async def test_columns_that_are_refused_go_as_rows_at_once_and_for_a_day(pair: Pair) -> None:
    await deliver(pair, a_batch(5, 1))
    pair.far._faults = Faults(columns=False)
    assert await deliver(pair, a_batch(5, 2)) == {State.ACCEPTED}
    pair.far._faults = Faults()
    for seed in (3, 4):
        assert await deliver(pair, a_batch(5, seed)) == {State.ACCEPTED}
    pair.clock.pass_s(90_000)
    for seed in (5, 6):
        assert await deliver(pair, a_batch(5, seed)) == {State.ACCEPTED}
    assert [form == MEDIA_TYPE for form in pair.forms] == [False, True, False, False, False, False, True]


@pytest.mark.parametrize("fault", ["half", "strangers", "reorder", "double"])
async def test_whatever_is_said_of_columns_each_order_is_judged_by_its_own_receipt(pair: Pair, fault: str) -> None:
    await deliver(pair, a_batch(4, 1))
    pair.far._faults = Faults.model_validate({fault: 1})
    expected = {State.ACCEPTED, State.QUEUED} if fault == "half" else {State.ACCEPTED}
    assert await deliver(pair, a_batch(4, 2)) == expected
    assert await deliver(pair, a_batch(4, 2)) == {State.ACCEPTED}


async def test_what_was_decided_later_is_asked_for_by_cursor(pair: Pair) -> None:
    pair.far._faults = Faults(hold=1)
    batch = a_batch(3, 1)
    assert await deliver(pair, batch) == {State.AT_HUB}
    await pair.far._in_thread(pair.far._orders.decide, None, Outcome.ACCEPTED, "")
    told = await pair.box.updates("")
    assert {receipt.id for receipt in told.receipts} == {order.id for order in batch.orders}
    assert told.is_all
    assert (await pair.box.updates(told.cursor)).receipts == ()


async def test_the_catalogue_comes_whole_and_then_as_what_changed(pair: Pair) -> None:
    whole = await pair.box.catalogue("")
    assert (whole.version, whole.base, [each.sku for each in whole.changed]) == ("1", "", ["papa"])
    assert (await pair.box.catalogue("1")).changed == ()


async def test_a_photo_goes_on_where_it_was_cut(pair: Pair) -> None:
    content = bytes(range(256)) * 100
    name, size = hashlib.sha256(content).hexdigest(), len(content)

    async def pieces(first: int) -> AsyncIterator[bytes]:
        for at in range(first, size, 4_096):
            yield content[at : at + 4_096]

    assert await pair.box.photo_offset(name, size) == 0
    await pair.far._in_thread(pair.far._photos.append, name, 0, content[:9_000])
    assert await pair.box.photo_offset(name, size) == 9_000
    assert await pair.box.put_photo(name, pieces(9_000), 9_000, size) == size
    assert await pair.box.photo_offset(name, size) == size
    assert await pair.far._in_thread(pair.far._photos.read, name) == content


async def test_a_picture_is_had_from_the_marketplaces_own_origin_only(pair: Pair) -> None:
    for address in ("http://127.0.0.1:1/a.jpg", "//evil.example/a", "ftp://x/", "http://[", "/nothing"):
        with pytest.raises(NotDelivered):
            await pair.box.picture(address, 1_000)


async def test_what_is_not_offered_is_not_asked_for_again_for_hours(clock: HandClock) -> None:
    asked: list[str] = []

    async def nothing(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=404 if "updates" in request.path else 405)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", nothing)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    box = a_box(f"http://127.0.0.1:{runner.addresses[0][1]}/orders", clock)
    await box.start()
    for _ in range(3):
        assert (await box.updates("7")).cursor == "7"
        with pytest.raises(NotDelivered) as raised:
            await box.catalogue("")
        assert raised.value.reason == "not offered"
        with pytest.raises(NotDelivered):
            await box.photo_offset("0" * 64, 10)
    assert sorted(asked) == ["/orders/catalogue", f"/orders/photos/{'0' * 64}", "/orders/updates"]
    clock.pass_s(ASK_AGAIN_S)
    await box.updates("7")
    assert len(asked) == 4
    await box.stop()
    await runner.cleanup()
