"""The shop's form becomes an order, or comes back with its faults beside their fields and nothing lost. Pure.

People write quantities with a comma or a point and leave lines blank; both are fine. What an order may hold at all is
the market's rule (`order_from`), asked where the form is whole.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Protocol

from babel.numbers import get_currency_precision

from gateway.errors import N_

OWN_LINES = 5
ROWS_MAX = 200  # as many as an order may have lines
TYPED_CHARS_MAX = 500
OWN_UNIT = "und"
_OWN_PARTS = ("name", "quantity", "unit", "price")
_NUMBER = re.compile(r"[0-9]{0,7}([.,][0-9]{0,3})?\Z")
_PRICE = re.compile(r"[0-9]{1,7}([.,][0-9]{0,2})?\Z")
_PHONE_SIGNS = re.compile(r"[\s().\-\u2010-\u2015]+")

FAULT_QUANTITY = N_("Write a number, like 2 or 1.5.")
FAULT_PRICE = N_("Write a price, like 3.50.")
FAULT_NO_LINES = N_("Write how much of at least one article.")
FAULT_LINE_NAME = N_("Write what it is.")
FAULT_LINE_QUANTITY = N_("Write how much.")
FAULT_NAME = N_("Write the name of whoever gets it.")
FAULT_PHONE = N_("Write a phone number, so that it can be arranged.")


class Article(Protocol):
    """Something the catalogue offers."""

    @property
    def sku(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def unit_price_minor(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Row:
    """An article of the catalogue and the quantity typed beside it."""

    field: str
    sku: str
    name: str
    unit: str
    unit_price_minor: int
    typed: str = ""


@dataclass(frozen=True, slots=True)
class OwnLine:
    """A line that the merchant writes: what was typed into each of its fields."""

    number: int
    name: str = ""
    quantity: str = ""
    unit: str = ""
    price: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether nothing was written; a unit alone is nothing."""
        return not (self.name or self.quantity or self.price)


@dataclass(frozen=True, slots=True)
class OrderForm:
    """The form as it was typed, and its faults by field (message ids)."""

    id: str
    currency: str
    rows: tuple[Row, ...]
    own: tuple[OwnLine, ...]
    buyer: str = ""
    phone: str = ""
    note: str = ""
    faults: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def with_id(self, order_id: str) -> "OrderForm":
        """Return the same form for another order."""
        return replace(self, id=order_id)

    def with_faults(self, faults: Mapping[str, str]) -> "OrderForm":
        """Return the same form with other faults."""
        return replace(self, faults=MappingProxyType(dict(faults)))


def blank(order_id: str, articles: Sequence[Article], currency: str) -> OrderForm:
    """Return the form as it is first shown: the catalogue's rows, or free lines where there is no catalogue."""
    rows = tuple(
        Row(f"quantity-{number}", article.sku, article.name, article.unit, article.unit_price_minor)
        for number, article in enumerate(articles[:ROWS_MAX])
    )
    own = () if rows else tuple(OwnLine(number) for number in range(1, OWN_LINES + 1))
    return OrderForm(order_id, currency, rows, own)


def typed(form: OrderForm, fields: Mapping[str, str]) -> OrderForm:
    """Return the form filled with what was sent.

    A row is found by its article, not by its place: the catalogue may have changed since the form was shown.
    """
    by_sku = {
        sku: fields.get(name.replace("sku", "quantity"), "") for name, sku in fields.items() if name.startswith("sku-")
    }
    return replace(
        form,
        id=_clean(fields, "id"),
        rows=tuple(replace(row, typed=by_sku.get(row.sku, "").strip()[:TYPED_CHARS_MAX]) for row in form.rows),
        own=tuple(
            OwnLine(line.number, *(_clean(fields, f"{part}-{line.number}") for part in _OWN_PARTS)) for line in form.own
        ),
        buyer=_clean(fields, "buyer_name"),
        phone=_clean(fields, "buyer_phone"),
        note=fields.get("note", "").strip()[: TYPED_CHARS_MAX * 2],
    )


def checked(form: OrderForm) -> OrderForm:
    """Return the form with what is wrong in it, told beside each field."""
    faults: dict[str, str] = {}
    for row in form.rows:
        if row.typed and quantity(row.typed) is None:
            faults[row.field] = FAULT_QUANTITY
    for line in form.own:
        faults.update(_own_faults(line, form.currency))
    if not faults and not _lines(form):
        faults["lines"] = FAULT_NO_LINES
    if not form.buyer:
        faults["buyer_name"] = FAULT_NAME
    if not form.phone:
        faults["buyer_phone"] = FAULT_PHONE
    return form.with_faults(faults)


def as_order(form: OrderForm) -> dict[str, object]:
    """Return the fields of the order a faultless form asks for."""
    return {
        "id": form.id,
        "currency": form.currency,
        "buyer": {"name": form.buyer, "phone": _PHONE_SIGNS.sub(" ", form.phone).strip()},
        "lines": _lines(form),
        "note": form.note,
    }


def blame(form: OrderForm, paths: Sequence[str], sentence: str) -> OrderForm:
    """Return the form with the market's faults, by their paths in the order, beside the fields they came from."""
    places = [row.field for row in form.rows if quantity(row.typed)]
    places += [f"name-{line.number}" for line in form.own if not line.is_blank]
    faults = {}
    for path in paths:
        found = re.match(r"lines\[(\d+)\]", path)
        by_path = {"buyer.name": "buyer_name", "buyer.phone": "buyer_phone", "note": "note"}
        faults[places[int(found[1])] if found else by_path.get(path, "lines")] = sentence
    return form.with_faults(faults)


def quantity(text: str) -> str | None:
    """Return a typed quantity as the market writes it; "" for none, None when it is not one.

    >>> quantity("1,50"), quantity(" 2 "), quantity(".5"), quantity("0"), quantity(""), quantity("dos")
    ('1.5', '2', '0.5', '', '', None)
    """
    bare = "".join(text.split())
    if not _NUMBER.match(bare) or bare in {".", ","}:
        return None
    number = Decimal(bare.replace(",", ".") or 0)
    return f"{number.normalize():f}" if number else ""


def price_minor(text: str, currency: str) -> int | None:
    """Return a typed price in minor units; None when it is not one.

    >>> price_minor("3,5", "PEN"), price_minor("S/ 12", "PEN"), price_minor("x", "PEN")
    (350, 1200, None)
    """
    bare = "".join(text.split()).upper().removeprefix("S/").removeprefix(".")
    if not _PRICE.match(bare):
        return None
    try:
        return int(Decimal(bare.replace(",", ".")).scaleb(get_currency_precision(currency)))
    except InvalidOperation:
        return None


def _own_faults(line: OwnLine, currency: str) -> dict[str, str]:
    if line.is_blank:
        return {}
    faults = {}
    if not line.name:
        faults[f"name-{line.number}"] = FAULT_LINE_NAME
    if not (amount := quantity(line.quantity)):
        faults[f"quantity-{line.number}"] = FAULT_QUANTITY if amount is None else FAULT_LINE_QUANTITY
    if price_minor(line.price, currency) is None:
        faults[f"price-{line.number}"] = FAULT_PRICE
    return faults


def _lines(form: OrderForm) -> list[dict[str, object]]:
    lines: list[dict[str, object]] = [
        {
            "sku": row.sku,
            "name": row.name,
            "quantity": amount,
            "unit": row.unit,
            "unit_price_minor": row.unit_price_minor,
        }
        for row in form.rows
        if (amount := quantity(row.typed))
    ]
    lines += [
        {
            "sku": "-",
            "name": line.name,
            "quantity": quantity(line.quantity) or "",
            "unit": line.unit or OWN_UNIT,
            "unit_price_minor": price_minor(line.price, form.currency) or 0,
        }
        for line in form.own
        if not line.is_blank
    ]
    return lines


def _clean(fields: Mapping[str, str], name: str) -> str:
    return " ".join(fields.get(name, "").split())[:TYPED_CHARS_MAX]
