"""Files of orders, and a room that keeps them, to upload with."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.clock import iso_utc
from gateway.errors import Conflict, NoCapacity
from gateway.market.bulk.columns import Column, heading
from gateway.market.bulk.csv_file import read_csv
from gateway.market.bulk.report import Report
from gateway.market.bulk.rows import check
from gateway.market.bulk.sheets import csv_lines
from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.order import Order, content_hash
from gateway.market.records import OrderView, Recorded
from gateway.market.states import State

CATALOGUE = Catalogue(
    "2026-11",
    "PEN",
    (
        Article("papa", "Papa amarilla", "kg", 350, "PEN", stock="100", tax_name="IGV", tax_rate="18"),
        Article("queso", "Queso fresco", "molde", 1800, "PEN"),
    ),
)
GOOD = {
    Column.NAME: "Julia Mamani",
    Column.PHONE: "984 123 456",
    Column.ARTICLE: "papa",
    Column.QUANTITY: "1,5",
}


def a_row(**changes: str) -> dict[Column, str]:
    """A good row, with other cells by the names of their columns."""
    return GOOD | {Column[name.upper()]: text for name, text in changes.items()}


def a_csv(rows: Sequence[dict[Column, str]], tag: str = "es") -> bytes:
    """A file of these rows, as our template has it."""
    head = [heading(column, tag) for column in Column]
    return csv_lines([head, *([row.get(column, "") for column in Column] for row in rows)]).encode()


def report_of(rows: Sequence[dict[Column, str]], catalogue: Catalogue | None = CATALOGUE) -> Report:
    """What is told of these rows, which begin at row 2."""
    return check(read_csv(a_csv(rows)), catalogue, "rosa", "PEN")


def many_rows(count: int, faults: int) -> list[dict[Column, str]]:
    """So many rows, evenly strewn with faults of several kinds."""
    wrong = [{"quantity": "dos"}, {"phone": "x"}, {"article": "oro"}, {"name": ""}, {"payment": "tarjeta"}]
    rows = [a_row(name=f"Cliente {number}", quantity=str(number % 9 + 1)) for number in range(count)]
    for number in range(faults):
        rows[(number + 1) * count // (faults + 1)] |= a_row(**wrong[number % len(wrong)])
    return rows


@dataclass
class FakeRoom:
    """Keeps orders by the rules of the real room."""

    catalogue: Catalogue | None = field(default_factory=lambda: CATALOGUE)
    kept: dict[str, OrderView] = field(default_factory=dict)
    calls: list[int] = field(default_factory=list)
    fails_after: int | None = None  # so many calls
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    wall_s: float = 1_800_000_000.0

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def storefront(self) -> "FakeRoom":
        """What the shop offers."""
        return self

    async def record_all(self, orders: Sequence[Order], merchant: str, made_by: str = "") -> list[Recorded]:
        await self.gate.wait()
        if self.fails_after is not None and len(self.calls) >= self.fails_after:
            raise NoCapacity
        for order in orders:
            found = self.kept.get(order.id)
            if found is not None and found.hash != content_hash(order, merchant):
                raise Conflict
        self.calls.append(len(orders))
        return [self._record(order, merchant, made_by) for order in orders]

    def _record(self, order: Order, merchant: str, made_by: str) -> Recorded:
        number = len(self.kept) + 1
        digest = content_hash(order, merchant)
        view = OrderView(
            number,
            order.id,
            merchant,
            f"SMT-0001-{number:04d}",
            State.QUEUED,
            "",
            iso_utc(self.wall_s),
            self.wall_s,
            "trusted",
            digest,
            order,
            made_by=made_by,
        )
        found = self.kept.setdefault(order.id, view)
        return Recorded(found.id, found.receipt, found.state, found.recorded_at, found.hash, found is view)

    async def order(self, order_id: str, merchant: str) -> OrderView | None:
        found = self.kept.get(order_id)
        return found if found and found.merchant == merchant else None

    async def orders(self, merchant: str, limit: int, *, before: int | None = None) -> Sequence[OrderView]:
        own = [each for each in reversed(self.kept.values()) if each.merchant == merchant]
        return [each for each in own if before is None or each.number < before][:limit]
