"""An order is checked whole where it comes in, and trusted from there on. Pure.

Money is whole minor units (céntimos), quantities are decimals written as text: neither is ever a float. A fault is told
by the field's path in this schema and what is allowed there, never by what was sent. The hash is over the one canonical
way to write the order and its merchant, so every party on the way can check it.

Source: RFC 9562 §4 (UUID), ITU-T E.164 §6 (at most 15 digits), ISO 4217, RFC 8785 (canonical JSON), FIPS 180-4.
"""

import hashlib
import re
import unicodedata
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from gateway.errors import N_, BadRequest
from gateway.market.document import canonical, read_document

ORDER_BYTES_MAX = 327_680  # 200 lines of 200 characters, each written as \uXXXX
LINES_MAX = 200
NOTE_CHARS_MAX = 500
PRICE_MINOR_MAX = 1_000_000_000

_UUID = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
_QUANTITY = r"^(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?$"
_PHONE = r"^\+?[0-9]([ -]?[0-9]){5,14}$"
_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# controls, surrogates, private use, unassigned; and the marks that turn the direction of what follows (UAX #9)
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_plain(text: str) -> bool:
    """Say whether text has nothing in it that a page or a printer would not show.

    >>> is_plain("Papa amarilla, 1 kg"), is_plain("a\\x00b"), is_plain("\\ud800")
    (True, False, False)
    """
    return not any(unicodedata.category(each) in _REFUSED_CATEGORIES or each in _TURNING for each in text)


def _shown(value: str) -> str:
    if not is_plain(value) or not value.strip():
        raise ValueError("not plain text")
    return value


def _note(value: str) -> str:
    lines = value.replace("\r\n", "\n")  # as a browser's form sends them
    if not is_plain(lines.replace("\n", "").replace("\t", "")):
        raise ValueError("not plain text")
    return lines


def _above_zero(value: str) -> str:
    if Decimal(value) == 0:
        raise ValueError("zero")
    return value


class Document(BaseModel):
    """A part of what somebody sends: exact types, no unknown names, never changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Sku = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        description=N_("It must be text of 1 to 64 characters, without control characters."),
    ),
    AfterValidator(_shown),
]
Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=120,
        description=N_("It must be text of 1 to 120 characters, without control characters."),
    ),
    AfterValidator(_shown),
]
Unit = Annotated[
    str,
    Field(
        min_length=1,
        max_length=16,
        description=N_("It must be text of 1 to 16 characters, without control characters."),
    ),
    AfterValidator(_shown),
]
UnitPriceMinor = Annotated[
    int,
    Field(
        ge=0,
        le=PRICE_MINOR_MAX,
        description=N_("It must be a whole number of the currency's smallest unit, 0 to 1000000000."),
    ),
]
Currency = Annotated[
    str, Field(pattern=r"^[A-Z]{3}$", description=N_("It must be the three capital letters of a currency, like PEN."))
]


class Buyer(Document):
    """Who gets the goods."""

    name: Name
    phone: str = Field(
        pattern=_PHONE,
        max_length=32,
        description=N_("It must be a phone number of 6 to 15 digits; it may begin with + and have spaces or hyphens."),
    )


class Line(Document):
    """One article of an order, at the price it was sold for."""

    sku: Sku
    name: Name
    quantity: Annotated[str, AfterValidator(_above_zero)] = Field(
        pattern=_QUANTITY,
        description=N_("It must be a number above 0 and below 1000000 with at most 3 decimals, written as text."),
    )
    unit: Unit
    unit_price_minor: UnitPriceMinor


class Order(Document):
    """What a merchant asks for, as it came and was found right."""

    id: Annotated[str, AfterValidator(str.lower)] = Field(
        pattern=_UUID, description=N_("It must be a UUID: 32 hexadecimal digits in five groups.")
    )
    currency: Currency
    buyer: Buyer = Field(description=N_("It must be an object with name and phone."))
    lines: tuple[Line, ...] = Field(
        strict=False,  # a JSON array is a list; the lines themselves stay strict
        min_length=1,
        max_length=LINES_MAX,
        description=N_("It must be a list of 1 to 200 lines."),
    )
    note: Annotated[str, AfterValidator(_note)] = Field(
        default="",
        max_length=NOTE_CHARS_MAX,
        description=N_("It must be text of at most 500 characters, without control characters."),
    )


class FaultyOrder(BadRequest):
    """The order breaks a rule; `fields` are the paths at fault, in our own names."""

    code = "faulty-order"

    def __init__(self, fields: tuple[str, ...], what: str, advice: str, **values: object) -> None:
        self.fields = fields
        super().__init__(what, advice, field=fields[0], **values)


def read_order(document: bytes) -> Order:
    """Return the order in a JSON document.

    Raises: TooLarge, BadRequest (FaultyOrder where a field is at fault).
    """
    return order_from(read_document(document, ORDER_BYTES_MAX))


def order_from(fields: object) -> Order:
    """Return the order made of these fields, of a document or of a form.

    Raises: FaultyOrder.
    """
    try:
        return Order.model_validate(fields)
    except ValidationError as exc:
        faults = exc.errors(include_url=False, include_context=False, include_input=False)
        raise _faulty([(fault["loc"], fault["type"]) for fault in faults]) from None  # its text holds the input


def is_order_id(text: str) -> bool:
    """Say whether this is an order's id in its canonical form."""
    return _CANONICAL_UUID.fullmatch(text) is not None


def line_total_minor(line: Line) -> int:
    """Return a line's price in minor units, rounded half up."""
    return int((Decimal(line.quantity) * line.unit_price_minor).quantize(Decimal(1), ROUND_HALF_UP))


def total_minor(order: Order) -> int:
    """Return an order's price in minor units: the sum of its rounded lines."""
    return sum(line_total_minor(line) for line in order.lines)


def content_hash(order: Order, merchant: str) -> str:
    """Return the SHA-256, in hex, of the canonical JSON of the order's fields and its merchant."""
    return hashlib.sha256(canonical({**order.model_dump(mode="json"), "merchant": merchant})).hexdigest()


def _faulty(faults: list[tuple[tuple[int | str, ...], str]]) -> FaultyOrder:
    # the last part of an unknown name's path is the sender's
    paths = tuple(_path(loc[:-1] if kind == "extra_forbidden" else loc) for loc, kind in faults)
    loc, kind = faults[0]
    if kind == "missing":
        return FaultyOrder(
            paths, N_("The order lacks %(field)s."), _field(loc).description or N_("Add it and send the order again.")
        )
    if kind == "extra_forbidden":
        return FaultyOrder(
            paths, N_("The order has a name that is not known, in %(field)s."), N_("Leave out what is not asked for.")
        )
    advice = _field(loc).description if loc else None
    return FaultyOrder(
        paths,
        N_("The order has a fault in %(field)s."),
        advice or N_("It must be an object with the fields of an order."),
    )


def _path(loc: tuple[int | str, ...]) -> str:
    """Write a place as `lines[3].quantity`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".") or "order"


def _field(loc: tuple[int | str, ...]) -> FieldInfo:
    model: type[BaseModel] = Order
    named = [part for part in loc if isinstance(part, str)]
    for part in named[:-1]:
        model = _PARTS[part]
    if isinstance(loc[-1], int):
        return FieldInfo(description=N_("It must be an object with the fields of a line."))
    return model.model_fields[named[-1]]


_PARTS: dict[str, type[BaseModel]] = {"buyer": Buyer, "lines": Line}
