"""The rows of a file become orders, and each fault is told at its row and column with what is allowed there. Pure.

Rows with the same order key are one order; without a key each row is one. An order's id is made of its merchant and of
what its rows say, so the same file again, or the same rows in a mended one, are the same orders and never doubled; the
same row twice in one file is two orders. What an order may hold at all is the market's rule (`order_from`).

Source: RFC 9562 §5.5 (UUIDv5).
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.document import canonical
from gateway.errors import N_, TooLarge
from gateway.market.bulk import cells
from gateway.market.bulk.articles import ArticleFinder
from gateway.market.bulk.columns import REQUIRED, Column, column_of, heading, is_told
from gateway.market.bulk.report import CheckedRow, PlannedOrder, Remark, Report, Standing, in_reading_order
from gateway.market.bulk.table import Row, Table, Unreadable
from gateway.market.catalogue.model import Catalogue
from gateway.market.catalogue.taxes import taxes_of
from gateway.market.order import LINES_MAX, Buyer, FaultyOrder, Line, Order, Payment, order_from, total_minor

_NAMESPACE = uuid.UUID("5b6f5a0e-6c1e-5d0e-9d8a-0d4f6c2b7a31")
_OF_ORDER = (
    Column.NAME,
    Column.PHONE,
    Column.ADDRESS,
    Column.NOTE,
    Column.PAYMENT,
    Column.REFERENCE,
    Column.PRIORITY,
)
_OTHER = N_("It differs from row %(row)d of the same order. Write the same, or leave it blank.")
_TWICE = N_("It says the same as row %(row)d. Both are recorded; take one away if it is there by mistake.")
_METHOD = N_("Write cash, credit or mobile money (Yape, Plin). No card can be charged without the link.")
_PRIORITY = N_("Write normal or urgent, or leave it blank.")
_REFERENCE = N_("Mobile money needs the operation's number.")
_LINES = N_("The order has more than 200 rows. Make two orders of it.")
_TAXES = N_("The order's taxes are more than an order can hold. Make two orders of it.")
_CANNOT = N_("This cannot be recorded as it is.")
_LINE = re.compile(r"lines\[(\d+)\](?:\.(\w+))?")
_COLUMN_OF_PATH = {
    "buyer.name": Column.NAME,
    "buyer.phone": Column.PHONE,
    "buyer.address": Column.ADDRESS,
    "note": Column.NOTE,
    "payment": Column.REFERENCE,
    "payment.reference": Column.REFERENCE,
    "quantity": Column.QUANTITY,
    "unit": Column.UNIT,
    "unit_price_minor": Column.PRICE,
    "name": Column.DESCRIPTION,
    "sku": Column.ARTICLE,
}
_RULE_OF = {
    Column.NAME: Buyer.model_fields["name"].description,
    Column.PHONE: Buyer.model_fields["phone"].description,
    Column.ADDRESS: Buyer.model_fields["address"].description,
    Column.NOTE: Order.model_fields["note"].description,
    Column.REFERENCE: Payment.model_fields["reference"].description,
    Column.QUANTITY: Line.model_fields["quantity"].description,
    Column.UNIT: Line.model_fields["unit"].description,
    Column.PRICE: Line.model_fields["unit_price_minor"].description,
    Column.DESCRIPTION: Line.model_fields["name"].description,
    Column.ARTICLE: Line.model_fields["sku"].description,
}


@dataclass(slots=True)
class _Group:
    """The rows of one order, what is wrong in each, and the order once it is found right."""

    rows: list[tuple[int, Mapping[Column, str]]] = field(default_factory=list)
    remarks: dict[int, list[Remark]] = field(default_factory=dict)
    order: Order | None = None

    def blame(self, place: int, remark: Remark) -> None:
        self.remarks.setdefault(place, []).append(remark)

    @property
    def has_fault(self) -> bool:
        return any(remark.is_fault for found in self.remarks.values() for remark in found)


def check(table: Table, catalogue: Catalogue | None, merchant: str, currency: str, occasion: str = "") -> Report:
    """Return what is told of a file's rows; another `occasion` makes other orders of the same rows.

    Raises: Unreadable.
    """
    columns = [column_of(cell) for cell in table.heading.cells]
    missing = [column for column in REQUIRED if column not in columns]
    if missing:
        raise Unreadable(
            N_("The file lacks these columns: %(columns)s."),
            N_("Nothing was recorded. Begin with the template, and keep its first row."),
            columns=", ".join(f"{heading(column, 'es')} / {heading(column, 'en')}" for column in missing),
        )
    groups = _grouped(table.rows, columns)
    finder = ArticleFinder(catalogue, currency)
    seen: dict[str, list[int]] = {}
    for group in groups:
        _make_order(group, finder, _order_id(group, merchant, occasion, seen))
    return in_reading_order(
        Report(
            tuple(row for group in groups for row in _checked(group)),
            tuple(
                PlannedOrder(group.order, tuple(number for number, _ in group.rows), total_minor(group.order))
                for group in groups
                if group.order is not None
            ),
            currency,
            tuple(
                cell[:40]
                for cell, column in zip(table.heading.cells, columns, strict=True)
                if cell and column is None and not is_told(cell)
            ),
            table.notices,
        )
    )


def _grouped(rows: Sequence[Row], columns: Sequence[Column | None]) -> list[_Group]:
    groups: dict[str, _Group] = {}
    for row in rows:
        named: dict[Column, str] = {}
        for column, cell in zip(columns, row.cells, strict=False):
            if column is not None and cell:
                named.setdefault(column, cell)
        key = named.get(Column.ORDER) or f"\0{row.number}"  # no cell is this
        groups.setdefault(key, _Group()).rows.append((row.number, named))
    return list(groups.values())


def _order_id(group: _Group, merchant: str, occasion: str, seen: dict[str, list[int]]) -> str:
    """Return the id of an order, and tell where another of the file says the same."""
    rows = [{str(column): text for column, text in row.items()} for _, row in group.rows]
    once = str(uuid.uuid5(_NAMESPACE, canonical([merchant, occasion, rows]).decode()))
    before = seen.setdefault(once, [])
    before.append(group.rows[0][0])
    if len(before) == 1:
        return once
    group.blame(0, Remark(Column.ORDER, _TWICE, is_fault=False, row=before[0]))
    return str(uuid.uuid5(uuid.UUID(once), str(len(before))))


def _make_order(group: _Group, finder: ArticleFinder, order_id: str) -> None:
    """Leave in the group its order, or what is wrong in it."""
    whole = _of_order(group)
    lines = []
    for place, (_, row) in enumerate(group.rows):
        line, remarks = finder.line(row)
        lines.append(line)
        for remark in remarks:
            group.blame(place, remark)
    pays, goes = cells.method(whole.get(Column.PAYMENT, "")), cells.priority(whole.get(Column.PRIORITY, ""))
    if pays is None:
        group.blame(0, Remark(Column.PAYMENT, _METHOD))
    if goes is None:
        group.blame(0, Remark(Column.PRIORITY, _PRIORITY))
    fields: dict[str, object] = {
        "id": order_id,
        "currency": finder.currency,
        "buyer": {
            "name": whole.get(Column.NAME, ""),
            "phone": cells.phone(whole.get(Column.PHONE, "")),
            "address": whole.get(Column.ADDRESS, ""),
        },
        "lines": lines,
        "note": whole.get(Column.NOTE, ""),
        "payment": {"method": pays or "credit", "reference": whole.get(Column.REFERENCE, "")},
        "priority": goes or "normal",
        **finder.whole,
    }
    try:
        order = order_from(fields)
        taxes = taxes_of(finder.catalogue, order.lines)
    except FaultyOrder as exc:
        _blame_paths(group, exc)
    except TooLarge:
        group.blame(0, Remark(Column.ORDER, _TAXES))
    else:
        if not group.has_fault:
            group.order = order.model_copy(update={"taxes": taxes})


def _of_order(group: _Group) -> dict[Column, str]:
    """Return what the rows of an order say of it as a whole, each thing once."""
    whole: dict[Column, str] = {}
    said_in: dict[Column, int] = {}
    for place, (number, row) in enumerate(group.rows):
        for column in _OF_ORDER:
            text = row.get(column, "")
            if text and column not in whole:
                whole[column], said_in[column] = text, number
            elif text and text != whole[column]:
                group.blame(place, Remark(column, _OTHER, row=said_in[column]))
    return whole


def _blame_paths(group: _Group, exc: FaultyOrder) -> None:
    """Tell the market's faults, by their paths in the order, at the rows and columns they came from."""
    for path in exc.fields:
        found = _LINE.match(path)
        place = int(found[1]) if found else 0
        column = _COLUMN_OF_PATH.get((found[2] or "") if found else path)
        if column is None:
            continue
        told = group.remarks.get(place, ())
        if all(remark.column is not column for remark in told if remark.is_fault):
            sentence = _REFERENCE if path == "payment" else _RULE_OF[column]
            group.blame(place, Remark(column, sentence or _CANNOT))
    if not group.has_fault:  # it is in the order as a whole
        group.blame(0, Remark(Column.ORDER, _LINES if len(group.rows) > LINES_MAX else exc.advice))


def _checked(group: _Group) -> list[CheckedRow]:
    return [
        CheckedRow(
            number,
            row,
            _standing(group, place),
            tuple(group.remarks.get(place, ())),
            group.order.id if group.order else "",
        )
        for place, (number, row) in enumerate(group.rows)
    ]


def _standing(group: _Group, place: int) -> Standing:
    remarks = group.remarks.get(place, ())
    if any(remark.is_fault for remark in remarks):
        return Standing.FAULT
    if group.order is None:
        return Standing.HELD
    return Standing.WARNING if remarks else Standing.GOOD
