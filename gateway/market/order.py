"""An order is checked whole where it comes in, and trusted from there on. Pure.

Money is whole minor units (céntimos), quantities are decimals written as text: neither is ever a float. A fault is told
by the field's path in this schema and what is allowed there, never by what was sent. The hash is over the one canonical
way to write the order and its merchant, so every party on the way can check it.

Source: RFC 9562 §4 (UUID), ITU-T E.164 §6 (at most 15 digits), ISO 4217, RFC 8785 (canonical JSON), FIPS 180-4.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from gateway.document import canonical, read_document
from gateway.errors import N_, BadRequest

ORDER_BYTES_MAX = 327_680  # 200 lines of 200 characters, each written as \uXXXX
LINES_MAX = 200
NOTE_CHARS_MAX = 500
REASON_CHARS_MAX = 200
SKU_CHARS_MAX = 64
PRICE_MINOR_MAX = 1_000_000_000
ADDRESS_CHARS_MAX = 200
TAXES_MAX = 20
PHOTOS_MAX = 10

_UUID = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
_QUANTITY = r"^(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?$"
_PHONE = r"^\+?[0-9]([ -]?[0-9]){5,14}$"
_RATE = r"^(0|[1-9][0-9]?)(\.[0-9]{1,4})?$"
_TIME = r"^(|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2}))$"
_SHA256 = r"^[0-9a-f]{64}$"
_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# controls, surrogates, private use, unassigned; and the marks that turn the direction of what follows (UAX #9)
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_plain(text: str) -> bool:
    """Say whether text has nothing in it that a page or a printer would not show.

    >>> is_plain("Papa amarilla, 1 kg"), is_plain("a\\x00b"), is_plain("\\ud800")
    (True, False, False)
    """
    if text.isprintable():  # nothing but letters, marks, numbers, signs and the plain space
        return True
    return not any(unicodedata.category(each) in _REFUSED_CATEGORIES or each in _TURNING for each in text)


def for_people(reason: object) -> str:
    """Return a stranger's words as text that can be shown: plain, and not long."""
    if not isinstance(reason, str):
        return ""
    return "".join(each if is_plain(each) else " " for each in reason[:REASON_CHARS_MAX]).strip()


def _shown(value: str) -> str:
    if not is_plain(value) or not value.strip():
        raise ValueError("not plain text")
    return value


def _note(value: str) -> str:
    lines = value.replace("\r\n", "\n")  # as a browser's form sends them
    if not is_plain(lines.replace("\n", "").replace("\t", "")):
        raise ValueError("not plain text")
    return lines


def _shown_or_none(value: str) -> str:
    return _shown(value) if value else value


def plain_quantity(value: str) -> str:
    """Return the one way to write a quantity.

    >>> plain_quantity("1.50"), plain_quantity("10")
    ('1.5', '10')
    """
    return value.rstrip("0").rstrip(".") if "." in value else value


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
        max_length=SKU_CHARS_MAX,
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


PhotoHash = Annotated[
    str, Field(pattern=_SHA256, description=N_("It must be a photo's SHA-256: 64 hexadecimal digits in lower case."))
]


class Priority(StrEnum):
    """Which goes first."""

    NORMAL = "normal"
    URGENT = "urgent"


class Method(StrEnum):
    """How an order is paid for."""

    CASH_ON_DELIVERY = "cash-on-delivery"
    CREDIT = "credit"  # noted, and settled between the two
    MOBILE_MONEY = "mobile-money"  # claimed by its reference, and checked once the link is there


class Payment(Document):
    """How it is paid; nothing here is proof that it was."""

    method: Method = Field(
        default=Method.CASH_ON_DELIVERY,
        strict=False,
        description=N_("It must be cash-on-delivery, credit or mobile-money; no card can be charged without the link."),
    )
    reference: Annotated[str, AfterValidator(_shown_or_none)] = Field(
        default="",
        max_length=64,
        description=N_("It must be text of at most 64 characters; mobile money needs the operation's number."),
    )

    @model_validator(mode="after")
    def _mobile_money_has_its_reference(self) -> Self:
        if self.method is Method.MOBILE_MONEY and not self.reference:
            raise ValueError("mobile money without its reference")
        return self


class TaxLine(Document):
    """A tax as it was computed when the order was made; never computed again."""

    name: Name
    rate: str = Field(
        pattern=_RATE, description=N_("It must be a percentage from 0 to below 100, written as text, like 18.")
    )
    amount_minor: UnitPriceMinor


class Buyer(Document):
    """Who gets the goods."""

    name: Name
    phone: str = Field(
        pattern=_PHONE,
        max_length=32,
        description=N_("It must be a phone number of 6 to 15 digits; it may begin with + and have spaces or hyphens."),
    )
    address: Annotated[str, AfterValidator(_note)] = Field(
        default="",
        max_length=ADDRESS_CHARS_MAX,
        description=N_("It must be text of at most 200 characters, without control characters."),
    )


class Line(Document):
    """One article of an order, at the price it was sold for."""

    sku: Sku
    name: Name
    quantity: Annotated[str, AfterValidator(_above_zero), AfterValidator(plain_quantity)] = Field(
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
    payment: Payment = Field(
        default=Payment(),
        description=N_("It must be an object with method and reference; mobile money needs the operation's number."),
    )
    taxes: tuple[TaxLine, ...] = Field(
        default=(), strict=False, max_length=TAXES_MAX, description=N_("It must be a list of at most 20 taxes.")
    )
    prices_include_tax: bool = Field(default=True, description=N_("It must be true or false."))
    catalogue_version: Annotated[str, AfterValidator(_shown_or_none)] = Field(
        default="",
        max_length=64,
        description=N_("It must be text of at most 64 characters, without control characters."),
    )
    priority: Priority = Field(default=Priority.NORMAL, strict=False, description=N_("It must be normal or urgent."))
    made_at: str = Field(
        default="", pattern=_TIME, description=N_("It must be a time like 2026-11-22T08:30:00Z, or be left out.")
    )
    photos: tuple[PhotoHash, ...] = Field(
        default=(), strict=False, max_length=PHOTOS_MAX, description=N_("It must be a list of at most 10 photos.")
    )


# what version 1 of an order had not: left out where it says nothing, so that old hashes stay
_ADDED_LATER = ("payment", "taxes", "prices_include_tax", "catalogue_version", "priority", "made_at", "photos")


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


def is_time(text: str) -> bool:
    """Say whether this is a time as it stands in a document.

    >>> is_time("2026-11-22T08:30:00Z"), is_time("today"), is_time("")
    (True, False, False)
    """
    return text != "" and re.fullmatch(_TIME, text) is not None


def line_total_minor(line: Line) -> int:
    """Return a line's price in minor units, rounded half up."""
    return int((Decimal(line.quantity) * line.unit_price_minor).quantize(Decimal(1), ROUND_HALF_UP))


def total_minor(order: Order) -> int:
    """Return an order's price in minor units: the sum of its rounded lines, and of taxes that they do not include."""
    taxes = 0 if order.prices_include_tax else sum(tax.amount_minor for tax in order.taxes)
    return taxes + sum(line_total_minor(line) for line in order.lines)


def as_fields(order: Order) -> dict[str, object]:
    """Return an order as it is stored, sent and hashed: a JSON document without what says nothing."""
    fields = order.model_dump(mode="json")
    model = type(order).model_fields
    for name in _ADDED_LATER:
        if getattr(order, name) == model[name].default:
            del fields[name]
    if not order.buyer.address:
        del fields["buyer"]["address"]
    return fields


def content_hash(order: Order, merchant: str) -> str:
    """Return the SHA-256, in hex, of the canonical JSON of the order's fields and its merchant."""
    return fields_hash(as_fields(order), merchant)


def fields_hash(fields: Mapping[str, object], merchant: str) -> str:
    """Return the hash of an order by its fields."""
    return hashlib.sha256(canonical({**fields, "merchant": merchant})).hexdigest()


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
    if isinstance(loc[-1], int) and named[-1] == "lines":
        return FieldInfo(description=N_("It must be an object with the fields of a line."))
    return model.model_fields[named[-1]]


_PARTS: dict[str, type[BaseModel]] = {"buyer": Buyer, "lines": Line, "payment": Payment, "taxes": TaxLine}
