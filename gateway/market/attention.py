"""What a person must decide about an order is named by a code, and what it concerns by its articles. Pure.

A marketplace that cannot take an order as it is says why in a way that the merchant's page can answer with one tap: the
new price, what there is, another article.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.market.order import LINES_MAX, PRICE_MINOR_MAX, SKU_CHARS_MAX, is_plain

_AVAILABLE = re.compile(r"(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?")


class Code(StrEnum):
    """Why a person must decide."""

    PRICE_CHANGED = "price-changed"
    OUT_OF_STOCK = "out-of-stock"
    UNKNOWN_ARTICLE = "unknown-article"
    MERCHANT_BLOCKED = "merchant-blocked"
    UNDELIVERABLE = "undeliverable"  # refused so often that it waits apart from the others
    CHANGE_NOT_TAKEN = "change-not-taken"  # the marketplace has the order, and does not change it
    DAMAGED = "damaged"  # its record is not what was written
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Remark:
    """What the marketplace says of one article: its price now in minor units, or how much there is (a decimal)."""

    sku: str
    unit_price_minor: int | None = None
    available: str | None = None


@dataclass(frozen=True, slots=True)
class Attention:
    """What must be decided."""

    code: Code
    remarks: tuple[Remark, ...] = ()


def read_code(word: object) -> Code:
    """Return the code for a stranger's word.

    >>> str(read_code("out-of-stock")), str(read_code(3)), str(read_code("damaged"))
    ('out-of-stock', 'other', 'other')
    """
    known = {Code.PRICE_CHANGED, Code.OUT_OF_STOCK, Code.UNKNOWN_ARTICLE, Code.MERCHANT_BLOCKED, Code.CHANGE_NOT_TAKEN}
    return Code(word) if isinstance(word, str) and word in known else Code.OTHER


def read_remarks(entries: object) -> tuple[Remark, ...]:
    """Return the well-formed remarks of a stranger's list, as many as an order has lines."""
    if not isinstance(entries, list):
        return ()
    found = [remark for entry in entries[:LINES_MAX] if (remark := _remark(entry)) is not None]
    return tuple(found)


def write_remarks(remarks: Sequence[Remark]) -> list[dict[str, object]]:
    """Return remarks as they stand in a document."""
    return [
        {
            "sku": each.sku,
            **({} if each.unit_price_minor is None else {"unit_price_minor": each.unit_price_minor}),
            **({} if each.available is None else {"available": each.available}),
        }
        for each in remarks
    ]


def _remark(entry: object) -> Remark | None:
    if not isinstance(entry, dict):
        return None
    sku, price, available = entry.get("sku"), entry.get("unit_price_minor"), entry.get("available")
    if not isinstance(sku, str) or not 0 < len(sku) <= SKU_CHARS_MAX or not is_plain(sku):
        return None
    if not isinstance(price, int) or isinstance(price, bool) or not 0 <= price <= PRICE_MINOR_MAX:
        price = None
    if not isinstance(available, str) or not _AVAILABLE.fullmatch(available):
        available = None
    return Remark(sku, price, available)
