"""The shop's form: a basket that travels with the page, becomes an order, or comes back whole with its faults. Pure.

Nothing of an order is kept on the box before it is recorded: each page carries all that was typed so far. Lines left
blank are fine. What an order may hold at all is the market's rule (`order_from`), asked where the form is whole.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from pydantic import ValidationError

from gateway.errors import N_
from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.catalogue.taxes import taxes_of
from gateway.market.order import (
    ADDRESS_CHARS_MAX,
    LINES_MAX,
    Buyer,
    Line,
    Method,
    Priority,
    TaxLine,
    line_total_minor,
)
from gateway.portal.typed_figures import price_minor, quantity

OWN_LINES = 5
OWN_FROM = 501  # beside a catalogue, whose rows have the numbers below
OWN_SKU = "-"  # of what the merchant wrote, and no catalogue knows
OWN_UNIT = "und"
TYPED_CHARS_MAX = 500
_OWN_PARTS = ("name", "quantity", "unit", "price")
_NUMBERED = re.compile(r"(sku|name|quantity|unit|price)-([0-9]{1,3})\Z")
_MINOR = re.compile(r"[0-9]{1,10}\Z")
_PHONE_SIGNS = re.compile(r"[\s().\-\u2010-\u2015]+")
_BY_PATH = {
    "buyer.name": "buyer_name",
    "buyer.phone": "buyer_phone",
    "buyer.address": "address",
    "note": "note",
    "payment": "reference",
    "payment.reference": "reference",
}

FAULT_QUANTITY = N_("Write a number, like 2 or 1.5.")
FAULT_PRICE = N_("Write a price, like 3.50.")
FAULT_NO_LINES = N_("Write how much of at least one article.")
FAULT_LINE_NAME = N_("Write what it is.")
FAULT_LINE_QUANTITY = N_("Write how much.")
FAULT_NAME = N_("Write the name of whoever gets it.")
FAULT_PHONE = N_("Write a phone number, so that it can be arranged.")
FAULT_REFERENCE = N_("Write the number of the operation, so that the payment can be found.")


@dataclass(frozen=True, slots=True)
class Row:
    """An article and the quantity typed beside it; `was_minor` is the price seen before, where it is another now."""

    number: int
    article: Article
    typed: str = ""
    was_minor: int | None = None

    @property
    def field(self) -> str:
        """The name of its field."""
        return f"quantity-{self.number}"


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
class Total:
    """What the basket comes to, with its taxes."""

    lines: int
    total_minor: int
    taxes: tuple[TaxLine, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderForm:
    """The form as it was typed, and its faults by field (message ids); `revision` is 0 for a new order."""

    id: str
    currency: str
    basket: tuple[Row, ...] = ()
    own: tuple[OwnLine, ...] = ()
    left_out: tuple[str, ...] = ()  # what is not offered any more
    buyer: str = ""
    phone: str = ""
    address: str = ""
    note: str = ""
    method: Method = Method.CASH_ON_DELIVERY
    reference: str = ""
    is_urgent: bool = False
    revision: int = 0
    search: str = ""
    category: str = ""
    page: int = 1
    faults: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def has_changed(self) -> bool:
        """Whether the shop's offer is not the one that the page showed."""
        return bool(self.left_out) or any(row.was_minor is not None for row in self.basket)

    def with_faults(self, faults: Mapping[str, str]) -> "OrderForm":
        """Return the same form with other faults."""
        return replace(self, faults=MappingProxyType(dict(faults)))


def blank(order_id: str, catalogue: Catalogue | None, currency: str) -> OrderForm:
    """Return the form as it is first shown: without a catalogue there are lines to write."""
    return OrderForm(order_id, catalogue.currency if catalogue else currency, own=with_room([], catalogue))


def own_from(catalogue: Catalogue | None) -> int:
    """Return the number of the first line that the merchant writes, apart from the rows of articles."""
    return OWN_FROM if catalogue else 1


def with_room(lines: Sequence[OwnLine], catalogue: Catalogue | None) -> tuple[OwnLine, ...]:
    """Return the lines that are written, and where there is no catalogue blank ones to go on with."""
    first, wanted = own_from(catalogue), 0 if catalogue else max(OWN_LINES, len(lines) + 2)
    numbers = range(first + len(lines), first + min(wanted, LINES_MAX))
    return (*lines, *(OwnLine(number) for number in numbers))


def typed(form: OrderForm, fields: Mapping[str, str], catalogue: Catalogue | None) -> OrderForm:
    """Return the form filled with what was sent.

    A row is found by its article, not by its place: the catalogue may have changed since the form was shown.
    """
    basket, left_out = _basket(fields, catalogue)
    method = fields.get("payment", "")
    page = fields.get("page", "")
    revision = fields.get("revision", "")
    return replace(
        form,
        id=_clean(fields, "id"),
        basket=basket,
        left_out=left_out,
        own=_own_lines(fields, catalogue),
        buyer=_clean(fields, "buyer_name"),
        phone=_clean(fields, "buyer_phone"),
        address=fields.get("address", "").strip()[: ADDRESS_CHARS_MAX * 2],
        note=fields.get("note", "").strip()[: TYPED_CHARS_MAX * 2],
        method=Method(method) if method in set(Method) else Method.CASH_ON_DELIVERY,
        reference=_clean(fields, "reference"),
        is_urgent=fields.get("urgent") == "yes",
        revision=int(revision) if _MINOR.match(revision) else 0,
        search=_clean(fields, "search"),
        category=_clean(fields, "category"),
        page=int(page) if re.fullmatch(r"[1-9][0-9]{0,3}", page) else 1,
    )


def with_customer(form: OrderForm, chosen: str, buyers: Sequence[Buyer], *, is_asked: bool) -> OrderForm:
    """Return the form for a remembered customer, when that was asked for or nobody was written yet."""
    found = next((buyer for buyer in buyers if chosen and customer_key(buyer) == chosen), None)
    if found is None or not (is_asked or not (form.buyer or form.phone)):
        return form
    return replace(form, buyer=found.name, phone=found.phone, address=found.address or form.address)


def customer_key(buyer: Buyer) -> str:
    """Return what a remembered customer is chosen by."""
    return f"{buyer.phone} {buyer.name}"


def checked(form: OrderForm) -> OrderForm:
    """Return the form with what is wrong in it, told beside each field."""
    faults: dict[str, str] = {}
    for row in form.basket:
        if quantity(row.typed) is None:
            faults[row.field] = FAULT_QUANTITY
    for line in form.own:
        faults.update(_own_faults(line, form.currency))
    if not faults and not _lines(form):
        faults["lines"] = FAULT_NO_LINES
    if not form.buyer:
        faults["buyer_name"] = FAULT_NAME
    if not form.phone:
        faults["buyer_phone"] = FAULT_PHONE
    if form.method is Method.MOBILE_MONEY and not form.reference:
        faults["reference"] = FAULT_REFERENCE
    return form.with_faults(faults)


def as_order(form: OrderForm, catalogue: Catalogue | None) -> dict[str, object]:
    """Return the fields of the order a faultless form asks for, its taxes computed.

    Raises: TooLarge when there are more taxes than an order can hold.
    """
    buyer = {"name": form.buyer, "phone": _PHONE_SIGNS.sub(" ", form.phone).strip(), "address": form.address}
    return {
        "id": form.id,
        "currency": form.currency,
        "buyer": buyer,
        "lines": [fields for _, fields in _lines(form)],
        "note": form.note,
        "payment": {
            "method": form.method.value,
            "reference": form.reference if form.method is Method.MOBILE_MONEY else "",
        },
        "taxes": taxes_of(catalogue, _sound_lines(form)),
        "prices_include_tax": catalogue.prices_include_tax if catalogue else True,
        "catalogue_version": catalogue.version if catalogue and form.basket else "",
        "priority": (Priority.URGENT if form.is_urgent else Priority.NORMAL).value,
    }


def total(form: OrderForm, catalogue: Catalogue | None) -> Total:
    """Return what the basket comes to so far; a line that cannot be read does not count.

    Raises: TooLarge.
    """
    lines = _sound_lines(form)
    taxes = taxes_of(catalogue, lines)
    on_top = 0 if catalogue is None or catalogue.prices_include_tax else sum(tax.amount_minor for tax in taxes)
    return Total(len(lines), on_top + sum(line_total_minor(line) for line in lines), taxes)


def blame(form: OrderForm, paths: Sequence[str], sentence: str) -> OrderForm:
    """Return the form with the market's faults, by their paths in the order, beside the fields they came from."""
    places = [place for place, _ in _lines(form)]
    faults = {}
    for path in paths:
        found = re.match(r"lines\[(\d+)\]", path)
        faults[places[int(found[1])] if found else _BY_PATH.get(path, "lines")] = sentence
    return form.with_faults(faults)


def _basket(fields: Mapping[str, str], catalogue: Catalogue | None) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    rows: dict[str, Row] = {}
    left_out: list[str] = []
    for number, sku in sorted(
        (number, fields[name]) for name in fields if (number := _number(name, "sku")) is not None
    ):
        amount = _clean(fields, f"quantity-{number}")
        if not amount or quantity(amount) == "":
            continue
        article = catalogue.article(sku) if catalogue else None
        if article is None:
            left_out.append(sku[:TYPED_CHARS_MAX])
        elif len(rows) < LINES_MAX:
            seen = fields.get(f"seen-{number}", "")
            was = int(seen) if _MINOR.match(seen) and int(seen) != article.unit_price_minor else None
            place = rows[sku].number if sku in rows else len(rows)
            rows[sku] = Row(place, article, amount, was)
    return tuple(rows.values()), tuple(left_out[:LINES_MAX])


def _own_lines(fields: Mapping[str, str], catalogue: Catalogue | None) -> tuple[OwnLine, ...]:
    first = own_from(catalogue)
    numbers = [number for name in fields if (number := _number(name, "name")) is not None]
    lines = [
        OwnLine(number, *(_clean(fields, f"{part}-{number}") for part in _OWN_PARTS))
        for number in range(first, min(max(numbers, default=0), first + LINES_MAX - 1) + 1)
    ]
    while lines and lines[-1].is_blank:
        lines.pop()
    return with_room(lines, catalogue)


def _number(name: str, part: str) -> int | None:
    found = _NUMBERED.match(name)
    return int(found[2]) if found and found[1] == part else None


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


def _lines(form: OrderForm) -> list[tuple[str, dict[str, object]]]:
    """Return each line that says something, and the field it came from."""
    lines = [(row.field, _row_line(row, amount)) for row in form.basket if (amount := quantity(row.typed))]
    for line in form.own:
        if not line.is_blank:
            price = price_minor(line.price, form.currency) or 0
            amount = quantity(line.quantity) or ""
            lines.append((f"name-{line.number}", _line(OWN_SKU, line.name, amount, line.unit or OWN_UNIT, price)))
    return lines


def _line(sku: str, name: str, amount: str, unit: str, unit_price_minor: int) -> dict[str, object]:
    return {"sku": sku, "name": name, "quantity": amount, "unit": unit, "unit_price_minor": unit_price_minor}


def _row_line(row: Row, amount: str) -> dict[str, object]:
    article = row.article
    return _line(article.sku, article.name, amount, article.unit, article.unit_price_minor)


def _sound_lines(form: OrderForm) -> tuple[Line, ...]:
    found = []
    for _, fields in _lines(form):
        try:
            found.append(Line.model_validate(fields))
        except ValidationError:
            continue  # it is told where the order is made
    return tuple(found)


def _clean(fields: Mapping[str, str], name: str) -> str:
    return " ".join(fields.get(name, "").split())[:TYPED_CHARS_MAX]
