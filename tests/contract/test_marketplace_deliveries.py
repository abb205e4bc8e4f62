"""Every marketplace keeps the port's promises: each order takes effect once, and what is not known is said to be so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from gateway.backhaul.dialer import OpenDialer
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import SystemClock
from gateway.demo.marketplace import DemoMarketplace
from gateway.market.batch import Batch, Outcome
from gateway.market.marketplace import HttpMarketplace, Marketplace, NotDelivered
from gateway.market.order import content_hash
from gateway.market.records import StoredOrder
from tests.unit.market.memory_marketplace import MemoryMarketplace
from tests.unit.market.orders import an_order, new_id

Tell = Callable[[dict[str, int]], Awaitable[None]]


@dataclass
class Far:
    """A marketplace, how to make it misbehave, and how often each order took effect there."""

    marketplace: Marketplace
    tell: Tell
    applied: Callable[[], Awaitable[dict[str, int]]]


def stored(count: int) -> tuple[StoredOrder, ...]:
    orders = [an_order() for _ in range(count)]
    return tuple(
        StoredOrder(order, "ana", f"SMT-0001-{number:04d}", 1_800_000_000.0, "trusted", content_hash(order, "ana"))
        for number, order in enumerate(orders, 1)
    )


def a_batch(orders: tuple[StoredOrder, ...]) -> Batch:
    return Batch("san-mateo", new_id(), orders)


async def answers(peer: tuple[str, int]) -> bool:
    return True


def a_backhaul() -> Backhaul:
    return Backhaul(SystemClock(), capacity=None, carrier=lambda: True, probe=answers)


@pytest.fixture(params=["memory", "http"])
async def far(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Far]:
    if request.param == "memory":
        fake = MemoryMarketplace()

        async def tell_fake(faults: dict[str, int]) -> None:
            fake.lose, fake.refuse = faults.get("lose", 0), faults.get("refuse", 0)

        async def applied_by_fake() -> dict[str, int]:
            return dict(fake.applied)

        yield Far(fake, tell_fake, applied_by_fake)
        return
    demo = DemoMarketplace(tmp_path / "far")
    host, port = await demo.start("127.0.0.1", 0)
    url = f"http://{host}:{port}"
    http = HttpMarketplace(f"{url}/orders", dialer=OpenDialer(), backhaul=a_backhaul(), clock=SystemClock())
    await http.start()
    async with aiohttp.ClientSession(url) as session:

        async def tell_demo(faults: dict[str, int]) -> None:
            async with session.post("/faults", json=faults) as answer:
                assert answer.status == 200

        async def applied_by_demo() -> dict[str, int]:
            async with session.get("/orders") as answer:
                return {order["id"]: order["times_applied"] for order in (await answer.json())["orders"]}

        yield Far(http, tell_demo, applied_by_demo)
    await http.stop()
    await demo.stop()


async def test_each_order_of_a_batch_is_accepted(far: Far) -> None:
    orders = stored(5)
    receipts = await far.marketplace.deliver(a_batch(orders))
    assert {receipt.id: receipt.outcome for receipt in receipts} == {order.id: Outcome.ACCEPTED for order in orders}
    assert await far.applied() == {order.id: 1 for order in orders}


async def test_an_order_that_comes_again_is_a_duplicate_and_takes_no_effect(far: Far) -> None:
    orders = stored(3)
    await far.marketplace.deliver(a_batch(orders[:2]))
    receipts = await far.marketplace.deliver(a_batch(orders))
    assert [receipt.outcome for receipt in receipts] == [Outcome.DUPLICATE, Outcome.DUPLICATE, Outcome.ACCEPTED]
    assert set((await far.applied()).values()) == {1}


async def test_a_refused_batch_is_not_delivered_and_takes_no_effect(far: Far) -> None:
    await far.tell({"refuse": 1})
    orders = stored(2)
    with pytest.raises(NotDelivered) as raised:
        await far.marketplace.deliver(a_batch(orders))
    assert not raised.value.is_silent
    assert await far.applied() == {}
    assert len(await far.marketplace.deliver(a_batch(orders))) == 2


async def test_a_lost_answer_is_not_delivered_and_the_orders_are_duplicates_after(far: Far) -> None:
    await far.tell({"lose": 1})
    orders = stored(2)
    with pytest.raises(NotDelivered) as raised:
        await far.marketplace.deliver(a_batch(orders))
    assert raised.value.is_silent
    receipts = await far.marketplace.deliver(a_batch(orders))
    assert {receipt.outcome for receipt in receipts} == {Outcome.DUPLICATE}
    assert await far.applied() == {order.id: 1 for order in orders}


async def test_an_empty_batch_has_no_receipts(far: Far) -> None:
    assert list(await far.marketplace.deliver(a_batch(()))) == []


async def test_deliveries_at_the_same_time_take_effect_once(far: Far) -> None:
    orders = stored(4)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(_deliver(far, orders))
    assert await far.applied() == {order.id: 1 for order in orders}


async def _deliver(far: Far, orders: tuple[StoredOrder, ...]) -> None:
    await far.marketplace.deliver(a_batch(orders))


async def test_a_delivery_is_counted_as_interactive(tmp_path: Path) -> None:
    demo = DemoMarketplace(tmp_path)
    host, port = await demo.start("127.0.0.1", 0)
    backhaul = a_backhaul()
    http = HttpMarketplace(f"http://{host}:{port}/orders", dialer=OpenDialer(), backhaul=backhaul, clock=SystemClock())
    await http.start()
    await http.deliver(a_batch(stored(100)))
    moved = backhaul.moved()[TrafficClass.INTERACTIVE]
    assert 100 * 40 < moved.up_bytes < 100 * 200
    assert 100 * 10 < moved.down_bytes < 100 * 100
    assert backhaul.open_shares()[TrafficClass.INTERACTIVE] == 0
    await http.stop()
    await demo.stop()
