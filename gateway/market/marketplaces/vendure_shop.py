"""What a Vendure shop says of itself, its articles and its orders, as checked values. Pure.

Vendure counts whole pieces. An article may be sold in a unit of several (`piecesPerUnit` 4 and a piece of 250 g: the
unit is the kilo, and 1.5 of them are 6 pieces). Prices and stock are told here by the piece, to the market by the unit.

Source: Vendure 3.7, `ProductVariantService.getSaleableStockLevel` (on hand, less allocated, less the threshold).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal

from gateway.market.marketplaces.graphql import at, items, text, whole
from gateway.market.order import PRICE_MINOR_MAX, SKU_CHARS_MAX, is_plain, is_time

PIECES_MAX = 1_000_000  # of one article: far above an order's, far below GraphQL's 32-bit Int
_ID_CHARS_MAX = 64
_UNIT_CHARS_MAX = 16


@dataclass(frozen=True, slots=True)
class Variant:
    """An article by the piece; `available` is None where the shop does not count it."""

    id: str
    sku: str
    price_minor: int  # without tax
    price_with_tax_minor: int
    available: int | None
    unit: str
    pieces_per_unit: int

    def unit_price_minor(self, *, with_tax: bool) -> int:
        """Return the price of one unit."""
        return (self.price_with_tax_minor if with_tax else self.price_minor) * self.pieces_per_unit

    @property
    def stock(self) -> str:
        """How many units there are, a decimal; "" where nobody says."""
        if self.available is None:
            return ""
        units = (Decimal(min(self.available, PIECES_MAX - 1)) / self.pieces_per_unit).quantize(
            Decimal("0.001"), ROUND_DOWN
        )
        return f"{units.normalize():f}"


@dataclass(frozen=True, slots=True)
class Shop:
    """What goes for every article."""

    currency: str
    prices_include_tax: bool
    tracks_stock: bool
    threshold: int


@dataclass(frozen=True, slots=True)
class FoundLine:
    """A line of an order at the shop."""

    id: str
    variant_id: str
    pieces: int
    price_minor: int
    price_with_tax_minor: int


@dataclass(frozen=True, slots=True)
class Found:
    """An order as it stands at the shop."""

    id: str
    external_id: str
    state: str
    revision: int
    created_at: str
    lines: tuple[FoundLine, ...]
    has_customer: bool
    address: tuple[str, str, str]  # name, phone, street
    has_shipping: bool

    def pieces(self) -> dict[str, int]:
        """Return how many pieces of each article there are."""
        counts: dict[str, int] = {}
        for line in self.lines:
            counts[line.variant_id] = counts.get(line.variant_id, 0) + line.pieces
        return counts


def read_shop(data: Mapping[str, object]) -> Shop | None:
    """Return what goes for every article; None when it is not said."""
    currency, includes_tax = at(data, "activeChannel", "currencyCode"), at(data, "activeChannel", "pricesIncludeTax")
    tracks, threshold = at(data, "globalSettings", "trackInventory"), at(data, "globalSettings", "outOfStockThreshold")
    if not isinstance(currency, str) or not isinstance(includes_tax, bool):
        return None
    return Shop(currency, includes_tax, tracks is not False, whole(threshold) or 0)


def read_variant(entry: object, shop: Shop) -> Variant | None:
    """Return an article that is on sale; None when it is not, or is not well-formed."""
    variant_id, sku = read_id(at(entry, "id")), text(at(entry, "sku"))
    net, gross = whole(at(entry, "price")), whole(at(entry, "priceWithTax"))
    if not variant_id or not 0 < len(sku) <= SKU_CHARS_MAX or not is_plain(sku) or not sku.strip():
        return None
    if at(entry, "enabled") is not True or at(entry, "product", "enabled") is False or net is None or gross is None:
        return None
    unit, pieces = text(at(entry, "customFields", "unit")), whole(at(entry, "customFields", "piecesPerUnit")) or 1
    if not 1 <= pieces <= PIECES_MAX or not 0 <= max(net, gross) * pieces <= PRICE_MINOR_MAX or min(net, gross) < 0:
        return None
    if len(unit) > _UNIT_CHARS_MAX or not is_plain(unit):
        unit = ""
    return Variant(variant_id, sku, net, gross, _available(entry, shop), unit.strip(), pieces)


def read_variants(data: Mapping[str, object], shop: Shop) -> dict[str, Variant]:
    """Return the articles of an answer by SKU; the first one where several share it."""
    found: dict[str, Variant] = {}
    for entry in items(at(data, "productVariants", "items")):
        variant = read_variant(entry, shop)
        if variant is not None:
            found.setdefault(variant.sku, variant)
    return found


def read_found(entry: object) -> Found | None:
    """Return an order of the shop's; None when it is not well-formed."""
    order_id, state, created_at = read_id(at(entry, "id")), text(at(entry, "state")), text(at(entry, "createdAt"))
    lines = [_line(each) for each in items(at(entry, "lines"))]
    if not order_id or not state:
        return None
    address = at(entry, "shippingAddress")
    return Found(
        order_id,
        text(at(entry, "customFields", "externalId")),
        state,
        whole(at(entry, "customFields", "externalRevision")) or 0,
        created_at if is_time(created_at) else "",
        tuple(line for line in lines if line is not None),
        at(entry, "customer", "id") is not None,
        (text(at(address, "fullName")), text(at(address, "phoneNumber")), text(at(address, "streetLine1"))),
        bool(items(at(entry, "shippingLines"))),
    )


def read_orders(data: Mapping[str, object]) -> dict[str, Found]:
    """Return the orders of an answer by their external id."""
    read = [read_found(entry) for entry in items(at(data, "orders", "items"))]
    return {each.external_id: each for each in read if each is not None and each.external_id}


def read_id(value: object) -> str:
    """Return an id of the shop's; "" in place of anything else."""
    return value if isinstance(value, str) and value.isascii() and len(value) <= _ID_CHARS_MAX else ""


def read_time(value: object) -> float | None:
    """Return a time as seconds since 1970 UTC; None where there is none.

    >>> read_time("2026-11-22T08:30:00.000Z"), read_time("soon")
    (1795336200.0, None)
    """
    try:
        return datetime.fromisoformat(text(value)).timestamp()
    except (ValueError, OverflowError):
        return None


def _line(entry: object) -> FoundLine | None:
    line_id, variant_id = read_id(at(entry, "id")), read_id(at(entry, "productVariant", "id"))
    pieces, net, gross = (whole(at(entry, name)) for name in ("quantity", "unitPrice", "unitPriceWithTax"))
    if not line_id or pieces is None or net is None or gross is None:
        return None
    return FoundLine(line_id, variant_id, pieces, net, gross)


def _available(entry: object, shop: Shop) -> int | None:
    tracked = at(entry, "trackInventory")
    if tracked == "FALSE" or (tracked == "INHERIT" and not shop.tracks_stock):
        return None
    levels = items(at(entry, "stockLevels"))
    on_hand = sum(whole(at(level, "stockOnHand")) or 0 for level in levels)
    allocated = sum(whole(at(level, "stockAllocated")) or 0 for level in levels)
    is_global = at(entry, "useGlobalOutOfStockThreshold") is not False
    threshold = shop.threshold if is_global else whole(at(entry, "outOfStockThreshold")) or 0
    return max(on_hand - allocated - threshold, 0)
