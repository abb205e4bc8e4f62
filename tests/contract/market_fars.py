"""The marketplaces that stand under the one contract, each with how to make it fail and how to look into it.

A new one is a context manager that yields a `Far`, and a line in `FARS`.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from gateway.backhaul.dialer import OpenDialer
from gateway.backhaul.link import Backhaul
from gateway.clock import SystemClock
from gateway.demo.marketplace import DemoMarketplace
from gateway.market.batch import Batch, Outcome, Receipt
from gateway.market.catalogue.articles import as_fields
from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.marketplaces.files import FileMarketplace
from gateway.market.marketplaces.http import HttpMarketplace
from gateway.market.marketplaces.port import Marketplace, NotDelivered
from gateway.market.marketplaces.woocommerce import WooCommerceMarketplace
from gateway.market.order import Order, content_hash
from gateway.market.records import StoredOrder
from tests.clocks import HandClock
from tests.contract.fake_woocommerce import KEY, SECRET, FakeWooCommerce, meta
from tests.unit.market.memory_marketplace import MemoryMarketplace
from tests.unit.market.orders import an_order, new_id

ARTICLES = (  # what every one of them sells that sells anything
    Article("papa-amarilla", "Papa amarilla", "kg", 350, "PEN"),
    Article("quinua", "Quinua", "kg", 899, "PEN"),
)


@dataclass(frozen=True)
class Standing:
    """How an order stands at a marketplace."""

    times: int  # how often it counts there: never more than once
    revision: int
    is_cancelled: bool
    quantities: dict[str, str]  # by SKU; empty for a cancelled one


@dataclass
class Far:
    """A marketplace, how to make it fail once, and what stands there."""

    marketplace: Marketplace
    lose: Callable[[], Awaitable[None]]  # the next delivery takes effect, at least in part, and its answer is lost
    refuse: Callable[[], Awaitable[None]]  # the next delivery takes no effect
    heal: Callable[[], Awaitable[None]]  # whatever was broken works again
    standing: Callable[[], Awaitable[dict[str, Standing]]]
    fulfil: Callable[[str], Awaitable[None]]  # the goods of an order are handed over there


def takeable(**changes: object) -> Order:
    """An order that every marketplace takes: whole pieces of known articles at their prices."""
    lines = [line("papa-amarilla", "2", 350), line("quinua", "1", 899)]
    return an_order(**{"lines": lines} | changes)


def line(sku: str, quantity: str, unit_price_minor: int) -> dict[str, object]:
    return {"sku": sku, "name": sku.title(), "quantity": quantity, "unit": "kg", "unit_price_minor": unit_price_minor}


def as_stored(order: Order, revision: int = 1, *, is_cancelled: bool = False, number: int = 1) -> StoredOrder:
    receipt, wall_s = f"SMT-0001-{number:04d}", 1_800_000_000.0
    return StoredOrder(
        order, "ana", receipt, wall_s, "trusted", content_hash(order, "ana"), revision, is_cancelled=is_cancelled
    )


def stored(count: int) -> tuple[StoredOrder, ...]:
    return tuple(as_stored(takeable(), number=number) for number in range(1, count + 1))


def a_batch(*orders: StoredOrder) -> Batch:
    return Batch("san-mateo", new_id(), orders)


async def answers(peer: tuple[str, int]) -> bool:
    return True


def a_backhaul() -> Backhaul:
    return Backhaul(SystemClock(), capacity=None, carrier=lambda: True, probe=answers)


async def nothing() -> None:
    """Nothing needs to be done."""


@asynccontextmanager
async def in_memory(folder: Path) -> AsyncIterator[Far]:
    fake = MemoryMarketplace()

    async def lose() -> None:
        fake.lose = 1

    async def refuse() -> None:
        fake.refuse = 1

    async def standing() -> dict[str, Standing]:
        return {
            each.id: Standing(fake.applied[each.id], each.revision, each.is_cancelled, _quantities(each))
            for each in fake.kept.values()
        }

    async def fulfil(order_id: str) -> None:
        fake.decided.append(Receipt(order_id, Outcome.FULFILLED))

    yield Far(fake, lose, refuse, nothing, standing, fulfil)


@asynccontextmanager
async def by_http(folder: Path) -> AsyncIterator[Far]:
    demo = DemoMarketplace(folder / "far", catalogue=Catalogue("1", "PEN", ARTICLES))
    host, port = await demo.start("127.0.0.1", 0)
    url = f"http://{host}:{port}"
    http = HttpMarketplace(f"{url}/orders", dialer=OpenDialer(), backhaul=a_backhaul(), clock=SystemClock())
    await http.start()
    async with aiohttp.ClientSession(url) as session:

        async def fault(name: str) -> None:
            async with session.post("/faults", json={name: 1}) as answer:
                assert answer.status == 200

        async def fulfil(order_id: str) -> None:
            async with session.post("/decide", json={"id": order_id, "outcome": "fulfilled"}) as answer:
                assert answer.status == 200

        async def standing() -> dict[str, Standing]:
            async with session.get("/orders") as answer:
                listed = (await answer.json())["orders"]
            return {each["id"]: _of_entry(each["order"], each["times_applied"]) for each in listed}

        yield Far(http, lambda: fault("lose"), lambda: fault("refuse"), nothing, standing, fulfil)
    await http.stop()
    await demo.stop()


@asynccontextmanager
async def at_woocommerce(folder: Path) -> AsyncIterator[Far]:
    shop = FakeWooCommerce()
    marketplace = WooCommerceMarketplace(
        await shop.start(), key=KEY, secret=SECRET, dialer=OpenDialer(), backhaul=a_backhaul(), clock=HandClock()
    )
    await marketplace.start()

    async def lose() -> None:
        shop.lose = 1

    async def refuse() -> None:
        shop.refuse = 1

    async def standing() -> dict[str, Standing]:
        return {order_id: _of_shop(orders) for order_id, orders in shop.standing().items()}

    async def fulfil(order_id: str) -> None:
        shop.set_status(shop.standing()[order_id][0]["id"], "completed")

    yield Far(marketplace, lose, refuse, nothing, standing, fulfil)
    await marketplace.stop()
    await shop.stop()
    assert shop.strangers == []  # the recorded contract knows all that was asked


@asynccontextmanager
async def in_a_folder(folder: Path) -> AsyncIterator[Far]:
    kept, away = folder / "cooperative", folder / "away"
    kept.mkdir()
    catalogue = {"version": "1", "currency": "PEN", "articles": [as_fields(each) for each in ARTICLES]}
    (kept / "catalogue.json").write_text(json.dumps(catalogue))
    marketplace = _Losing(kept, clock=HandClock())
    await marketplace.start()

    async def lose() -> None:
        marketplace.lose = 1

    async def refuse() -> None:
        kept.rename(away)

    async def heal() -> None:
        if away.exists():
            away.rename(kept)

    async def standing() -> dict[str, Standing]:
        found: dict[str, Standing] = {}
        seen: set[tuple[str, int]] = set()
        for path in sorted(kept.glob("orders-*.jsonl")):
            for text in path.read_text().splitlines():
                entry = json.loads(text)
                key = (entry["id"], entry.get("revision", 1))
                found[entry["id"]] = _of_entry(entry, 2 if key in seen else 1)
                seen.add(key)
        return found

    async def fulfil(order_id: str) -> None:
        with (kept / "answers.jsonl").open("a") as file:
            file.write(json.dumps({"id": order_id, "outcome": "fulfilled"}) + "\n")

    yield Far(marketplace, lose, refuse, heal, standing, fulfil)
    await marketplace.stop()


class _Losing(FileMarketplace):
    """A folder that is pulled out after it was written and before that is known."""

    lose = 0

    async def deliver(self, batch: Batch) -> list:  # type: ignore[type-arg]
        receipts = await super().deliver(batch)
        if self.lose:
            self.lose -= 1
            raise NotDelivered(is_silent=True, reason="pulled out")
        return list(receipts)


def _quantities(each: StoredOrder) -> dict[str, str]:
    return {} if each.is_cancelled else {line.sku: line.quantity for line in each.order.lines}


def _of_entry(entry: dict, times: int) -> Standing:  # type: ignore[type-arg]
    is_cancelled = entry.get("cancelled", False)
    quantities = {} if is_cancelled else {each["sku"]: each["quantity"] for each in entry["lines"]}
    return Standing(times, entry.get("revision", 1), is_cancelled, quantities)


def _of_shop(orders: list) -> Standing:  # type: ignore[type-arg]
    order = orders[0]
    is_cancelled = order["status"] == "cancelled"
    assert is_cancelled or order["status"] == "processing"
    quantities = {} if is_cancelled else {each["sku"]: str(each["quantity"]) for each in order["line_items"]}
    return Standing(len(orders), int(meta(order)["_tambo_revision"]), is_cancelled, quantities)


FARS: dict[str, Callable[[Path], AbstractAsyncContextManager[Far]]] = {
    "memory": in_memory,
    "http": by_http,
    "woocommerce": at_woocommerce,
    "file": in_a_folder,
}
