"""A row of the journal is what was written or it is damaged: each carries a seal over all its columns. Pure.

A damaged order is shown as such and never sent; a damaged event counts as not written, which at worst sends an order
again that the marketplace already has under its id.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class OrderRow(NamedTuple):
    """An order as it was first written; `document` is locked."""

    number: int
    id: str
    merchant: str
    merchant_number: int
    counter: int
    receipt: str
    made_by: str
    is_urgent: int
    recorded_wall_s: float
    clock_state: str
    now_s: float
    boot: str
    document: bytes
    hash: str
    seal: bytes


class RevisionRow(NamedTuple):
    """A change of an order, the whole of it; a cancel has no document."""

    order_number: int
    revision: int
    is_cancelled: int
    made_by: str
    wall_s: float
    document: bytes
    hash: str
    seal: bytes


class EventRow(NamedTuple):
    """What became of an order; `detail` is locked."""

    order_number: int
    sequence: int
    state: str
    revision: int
    wall_s: float
    clock_state: str
    now_s: float
    boot: str
    detail: bytes
    seal: bytes


class TrimmedRow(NamedTuple):
    """What is kept of an order that was trimmed: that it was there, and that its receipt is given."""

    number: int
    id: str
    merchant_number: int
    counter: int
    receipt: str
    state: str
    recorded_wall_s: float
    hash: str
    seal: bytes


COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "orders": ", ".join(OrderRow._fields),
        "revisions": ", ".join(RevisionRow._fields),
        "events": ", ".join(EventRow._fields),
        "trimmed": ", ".join(TrimmedRow._fields),
    }
)


def receipt_number(box_code: str, merchant_number: int, counter: int) -> str:
    """Write a receipt's number.

    >>> receipt_number("SMT", 42, 137)
    'SMT-0042-0137'
    """
    return f"{box_code}-{merchant_number:04d}-{counter:04d}"
