"""A row of the journal is what was written or it is damaged: each carries a seal over all its columns. Pure.

SQLite does not notice a flipped bit inside a value (240 of 300 gave silently wrong rows, 2026-11): every row is checked
against its seal each time it is read. A damaged order is shown as such and never sent; a damaged event counts as not
written, which at worst sends an order again that the marketplace already has under its id.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import ValidationError

from gateway.clock import iso_utc
from gateway.errors import N_
from gateway.market.order import Line, Order, total_minor
from gateway.market.states import State

SEAL_BYTES = 16  # against accidents, not against forgers
DAMAGED = N_("The record of this order is damaged, so it is not sent. Tell the technician.")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The receipt of an order: it is on disk. `state` is what it was when it was recorded."""

    id: str
    receipt: str
    state: State
    recorded_at: str
    hash: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order as it stands in the journal, checked."""

    order: Order
    merchant: str
    receipt: str
    recorded_wall_s: float
    clock_state: str
    hash: str

    @property
    def id(self) -> str:
        """The order's id."""
        return self.order.id

    @property
    def recorded_at(self) -> str:
        """When it was recorded, for people and programs."""
        return iso_utc(self.recorded_wall_s)


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order and what became of it; of a damaged one nothing but what its row claims to be."""

    id: str
    merchant: str
    receipt: str
    state: State
    reason: str
    recorded_at: str
    recorded_wall_s: float
    clock_state: str
    hash: str
    order: Order | None

    @property
    def is_damaged(self) -> bool:
        """Whether the journal's record of it cannot be trusted."""
        return self.order is None

    @property
    def currency(self) -> str:
        """The currency of its prices."""
        return self.order.currency if self.order else ""

    @property
    def lines(self) -> tuple[Line, ...]:
        """What was ordered."""
        return self.order.lines if self.order else ()

    @property
    def total_minor(self) -> int:
        """Its price in minor units."""
        return total_minor(self.order) if self.order else 0


class OrderRow(NamedTuple):
    """The columns of `orders`, in their order."""

    number: int
    id: str
    merchant: str
    merchant_number: int
    counter: int
    receipt: str
    recorded_wall_s: float
    clock_state: str
    document: bytes
    hash: str
    seal: bytes


class EventRow(NamedTuple):
    """The columns of `events`, in their order."""

    order_id: str
    sequence: int
    state: str
    wall_s: float
    clock_state: str
    reason: str
    seal: bytes


def seal(values: Sequence[object]) -> bytes:
    """Return the seal over these values; of whatever type damage has made them.

    >>> seal(["a", 1]) == seal(["a", 2])
    False
    """
    return hashlib.sha256(ascii(tuple(values)).encode()).digest()[:SEAL_BYTES]


def is_whole(row: Sequence[object]) -> bool:
    """Say whether a row is what was written; its last column is its seal."""
    return row[-1] == seal(row[:-1])


def receipt_number(box_code: str, merchant_number: int, counter: int) -> str:
    """Write a receipt's number.

    >>> receipt_number("SMT", 42, 137)
    'SMT-0042-0137'
    """
    return f"{box_code}-{merchant_number:04d}-{counter:04d}"


def stored(row: OrderRow) -> StoredOrder | None:
    """Return the order of a row; None when the row is damaged."""
    if not is_whole(row):
        return None
    try:
        order = Order.model_validate_json(row.document)
    except ValidationError:  # whole, but written by rules that this version does not share
        return None
    return StoredOrder(order, row.merchant, row.receipt, row.recorded_wall_s, row.clock_state, row.hash)


def view(found: StoredOrder, state: State, reason: str) -> OrderView:
    """Return what is shown of a whole order whose last event is `state`."""
    return OrderView(
        found.id,
        found.merchant,
        found.receipt,
        state,
        reason,
        found.recorded_at,
        found.recorded_wall_s,
        found.clock_state,
        found.hash,
        found.order,
    )


def damaged_view(row: OrderRow) -> OrderView:
    """Return what is shown of an order whose row is not what was written."""
    return OrderView(
        id=str(row.id),
        merchant=str(row.merchant),
        receipt=str(row.receipt),
        state=State.NEEDS_ATTENTION,
        reason=DAMAGED,
        recorded_at="",
        recorded_wall_s=0.0,
        clock_state="unknown",
        hash="",
        order=None,
    )
