"""What became of each row of a file, before and after its orders are recorded: values. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import MappingProxyType

from gateway.market.bulk.columns import Column
from gateway.market.order import Order


class Standing(IntEnum):
    """How a row stands; what a person must look at first comes first."""

    FAULT = 0  # it cannot be recorded
    HELD = 1  # it is right, and another row of its order has a fault
    WARNING = 2  # it can be recorded; a person should look at it
    KNOWN = 3  # its order was recorded before
    GOOD = 4


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence (a message id) about a cell; `price_minor`, `unit` and `row` fill its places."""

    column: Column
    sentence: str
    is_fault: bool = True
    price_minor: int | None = None
    unit: str = ""
    row: int = 0


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """A row and what was found in it; `order_id` is its order's, nothing where there is a fault in it."""

    number: int
    cells: Mapping[Column, str]
    standing: Standing
    remarks: tuple[Remark, ...] = ()
    order_id: str = ""


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """An order that can be recorded, and the rows it was made of."""

    order: Order
    rows: tuple[int, ...]
    total_minor: int


@dataclass(frozen=True, slots=True)
class Report:
    """What is told of a file; `rows` begin with those at fault, `orders` are all that can be recorded."""

    rows: tuple[CheckedRow, ...]
    orders: tuple[PlannedOrder, ...]
    currency: str
    unknown_columns: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    counts: Mapping[Standing, int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def is_faultless(self) -> bool:
        """Whether all of the file can be recorded."""
        return not self.counts.get(Standing.FAULT)

    @property
    def total_minor(self) -> int:
        """The price of all that can be recorded, in minor units."""
        return sum(planned.total_minor for planned in self.orders)


def in_reading_order(report: Report) -> Report:
    """Return the report with its rows counted, and what needs a person first."""
    rows = tuple(sorted(report.rows, key=lambda row: (row.standing, row.number)))
    return replace(report, rows=rows, counts=MappingProxyType(Counter(row.standing for row in rows)))


def knowing(report: Report, recorded: frozenset[str]) -> Report:
    """Return the report without the orders of these ids, which were recorded before."""
    rows = tuple(replace(row, standing=Standing.KNOWN) if row.order_id in recorded else row for row in report.rows)
    orders = tuple(planned for planned in report.orders if planned.order.id not in recorded)
    return in_reading_order(replace(report, rows=rows, orders=orders))
