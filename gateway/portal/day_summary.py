"""A day's orders as figures: how many, how they are paid, where they stand, what was sold. Pure.

What is cancelled or refused counts as an order and not as money. Currencies are never added to each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal

from gateway.market.order import Line, Method, line_total_minor
from gateway.market.records import OrderView
from gateway.market.states import State

_WITHOUT_EFFECT = frozenset({State.CANCELLED, State.REJECTED})


@dataclass(frozen=True, slots=True)
class Sum:
    """How many orders, and what they come to in each currency."""

    orders: int
    money: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Sold:
    """How much of an article was sold, and for how much."""

    name: str
    unit: str
    quantity: str
    currency: str
    total_minor: int


@dataclass(frozen=True, slots=True)
class DaySummary:
    """A day: all that counts, by payment, by state, by article."""

    all: Sum
    by_method: Mapping[Method, Sum]
    by_state: Mapping[State, Sum]
    sold: tuple[Sold, ...]


def summary(orders: Sequence[OrderView]) -> DaySummary:
    """Return a day's orders as figures."""
    counted = [order for order in orders if order.order is not None and order.state not in _WITHOUT_EFFECT]
    methods = {method: [each for each in counted if _is_paid(each, method)] for method in Method}
    states = {state: [each for each in orders if each.state is state] for state in State}
    return DaySummary(
        _sum(counted),
        {method: _sum(found) for method, found in methods.items() if found},
        {state: _sum(found) for state, found in states.items() if found},
        _sold(counted),
    )


def day_of(wall_s: float, zone: tzinfo | None) -> date:
    """Return the day that a moment is in; without a zone, in the box's own."""
    return datetime.fromtimestamp(wall_s, UTC).astimezone(zone).date()


def yesterday(wall_s: float, zone: tzinfo | None) -> date:
    """Return the day before the one that a moment is in."""
    return day_of(wall_s, zone) - timedelta(days=1)


def span(day: date, zone: tzinfo | None) -> tuple[float, float]:
    """Return when a day begins and ends there, as wall times; days on which clocks change are longer or shorter.

    >>> span(date(2027, 1, 15), UTC)
    (1799971200.0, 1800057600.0)
    """
    begins, ends = (datetime.combine(each, time.min, tzinfo=zone) for each in (day, day + timedelta(days=1)))
    return begins.timestamp(), ends.timestamp()


def read_day(text: str) -> date | None:
    """Return a day as a form sends it, within the years that a box may live.

    >>> read_day("2026-11-22"), read_day("22/11/2026"), read_day("0001-01-01")
    (datetime.date(2026, 11, 22), None, None)
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 2000 <= day.year < 2200 else None


def _is_paid(order: OrderView, method: Method) -> bool:
    return order.order is not None and order.order.payment.method is method


def _sum(orders: Sequence[OrderView]) -> Sum:
    money: dict[str, int] = {}
    for order in orders:
        if order.order is not None:
            money[order.currency] = money.get(order.currency, 0) + order.total_minor
    return Sum(len(orders), money)


def _sold(orders: Sequence[OrderView]) -> tuple[Sold, ...]:
    lines: dict[tuple[str, str, str, str], list[Line]] = {}
    for order in orders:
        for line in order.lines:
            lines.setdefault((line.sku, line.name, line.unit, order.currency), []).append(line)
    found = []
    for (_, name, unit, currency), each in lines.items():
        amount = sum((Decimal(line.quantity) for line in each), Decimal(0))
        total_minor = sum(line_total_minor(line) for line in each)
        found.append(Sold(name, unit, f"{amount.normalize():f}", currency, total_minor))
    return tuple(sorted(found, key=lambda sold: (sold.currency, -sold.total_minor, sold.name)))
