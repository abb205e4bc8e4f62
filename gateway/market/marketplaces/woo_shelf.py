"""An order goes to the shop only when the shop has its articles, at its prices, in its quantities. Pure.

WooCommerce itself checks none of this for an order that comes by its REST API: it takes any SKU's price as it is now
and lets stock fall below zero. So the shop's products are looked at first, and what differs is for a person to decide.
Its core counts whole pieces (`quantity` is an integer): half a kilo is not taken.

Source: WooCommerce REST API v3, "Products"; its Version3/class-wc-rest-products-controller.php.
"""

import html
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from gateway.errors import N_
from gateway.market.attention import Attention, Code, Remark
from gateway.market.catalogue.articles import CATEGORY_CHARS_MAX, PICTURE_CHARS_MAX, checked
from gateway.market.catalogue.model import Article
from gateway.market.marketplaces.woo_money import price_minor
from gateway.market.order import SKU_CHARS_MAX, Line, Order, for_people

NAME_CHARS_MAX = 120
UNIT_CHARS_MAX = 16
STOCK_MAX = 999_999
SKUS_CHARS_MAX = 1_500  # in one address; servers take 8 kB, and a character may be written as nine
UNIT_NAMES = frozenset({"unit", "unidad"})  # a product's attribute that tells what one of it is
PIECE = "u"  # the unit of a product that tells none

NOT_WHOLE = N_("The shop sells whole pieces only. Change the quantities to whole numbers.")
OTHER_CURRENCY = N_("The shop has another currency.")


@dataclass(frozen=True, slots=True)
class Product:
    """What an order must know of a shop's product. `available`: None is as many as are wanted."""

    number: int
    sku: str
    price_minor: int
    available: int | None = None


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why an order cannot go to the shop as it is."""

    attention: Attention
    reason: str = ""


def read_products(entries: Iterable[object], currency: str) -> dict[str, Product]:
    """Return the products that can be ordered, by SKU."""
    found = [product for entry in entries if (product := _product(entry, currency)) is not None]
    return {product.sku: product for product in found}


def hindrance(order: Order, shelf: Mapping[str, Product], held: Mapping[str, int]) -> Hindrance | None:
    """Return what keeps an order from going to the shop; `held` is what the shop already keeps for it, by SKU."""
    if any(Decimal(line.quantity) % 1 for line in order.lines):
        return Hindrance(Attention(Code.OTHER), NOT_WHOLE)
    unknown = tuple(Remark(sku) for sku in _skus(order.lines) if sku not in shelf)
    if unknown:
        return Hindrance(Attention(Code.UNKNOWN_ARTICLE, unknown))
    priced_otherwise = _skus(line for line in order.lines if line.unit_price_minor != shelf[line.sku].price_minor)
    if priced_otherwise:
        return Hindrance(
            Attention(Code.PRICE_CHANGED, tuple(Remark(sku, shelf[sku].price_minor) for sku in priced_otherwise))
        )
    short = tuple(_short(order, shelf, held))
    return Hindrance(Attention(Code.OUT_OF_STOCK, short)) if short else None


def after(order: Order, shelf: Mapping[str, Product], held: Mapping[str, int]) -> dict[str, Product]:
    """Return what is left once the shop has taken an order; `held` is what it kept for it before."""
    left = dict(shelf)
    for sku, quantity in _wanted(order).items():
        available = shelf[sku].available
        if available is not None:
            left[sku] = replace(shelf[sku], available=available + held.get(sku, 0) - quantity)
    return left


def article(entry: object, currency: str, origin: str) -> Article | None:
    """Return the article of a shop's product; None for one that cannot be ordered by itself.

    A photo is named only where it lies at the shop's own `origin`: no other is asked.
    """
    product = _product(entry, currency)
    if product is None or not isinstance(entry, dict):
        return None
    told = Article(
        product.sku,
        _words(entry.get("name"), NAME_CHARS_MAX),
        _unit(entry.get("attributes")) or PIECE,
        product.price_minor,
        currency,
        category=_words(_first(entry.get("categories")).get("name"), CATEGORY_CHARS_MAX),
        stock="" if product.available is None else str(product.available),
        picture=_picture(_first(entry.get("images")), origin),
    )
    return checked(told, currency)


def asked_together(skus: Iterable[str]) -> list[str]:
    """Return SKUs as the shop's `sku` parameter takes them: some at a time, divided by commas.

    >>> asked_together(["papa", "a,b", "quinua"])
    ['papa,quinua', 'a,b']
    """
    groups: list[str] = []
    alone = []
    for sku in skus:
        if "," in sku:  # divided by the shop as well, but also looked for as it stands
            alone.append(sku)
        elif groups and len(groups[-1]) + len(sku) < SKUS_CHARS_MAX:
            groups[-1] += f",{sku}"
        else:
            groups.append(sku)
    return groups + alone


def sku_of(entry: object) -> str:
    """Return a product's SKU; "" for none of ours."""
    sku = entry.get("sku") if isinstance(entry, dict) else None
    return sku if isinstance(sku, str) and len(sku) <= SKU_CHARS_MAX and for_people(sku) == sku else ""


def _product(entry: object, currency: str) -> Product | None:
    sku = sku_of(entry)
    if not sku or not isinstance(entry, dict):
        return None
    number, price = entry.get("id"), price_minor(entry.get("price"), currency)
    is_offered = entry.get("status") == "publish" and entry.get("type") in {"simple", "variation"}
    if type(number) is not int or number < 1 or price is None or not is_offered:
        return None
    return Product(number, sku, price, _available(entry))


def _available(entry: dict[str, object]) -> int | None:
    if entry.get("stock_status") == "onbackorder" or entry.get("backorders_allowed") is True:
        return None
    quantity = entry.get("stock_quantity")
    if isinstance(quantity, int | float) and not isinstance(quantity, bool) and entry.get("manage_stock"):
        return int(min(max(quantity, 0), STOCK_MAX))
    return 0 if entry.get("stock_status") == "outofstock" else None


def _skus(lines: Iterable[Line]) -> list[str]:
    return list(dict.fromkeys(line.sku for line in lines))


def _short(order: Order, shelf: Mapping[str, Product], held: Mapping[str, int]) -> Iterable[Remark]:
    for sku, quantity in _wanted(order).items():
        available = shelf[sku].available
        if available is not None and available + held.get(sku, 0) < quantity:
            yield Remark(sku, available=str(min(available + held.get(sku, 0), STOCK_MAX)))


def _wanted(order: Order) -> Counter[str]:
    wanted: Counter[str] = Counter()
    for line in order.lines:
        wanted[line.sku] += int(Decimal(line.quantity))
    return wanted


def _unit(attributes: object) -> str:
    for each in attributes if isinstance(attributes, list) else []:
        if isinstance(each, dict) and str(each.get("name")).strip().lower() in UNIT_NAMES:
            options = each.get("options")
            if isinstance(options, list) and len(options) == 1:
                return _words(options[0], UNIT_CHARS_MAX)
    return ""


def _picture(image: dict[str, object], origin: str) -> str:
    for name in ("thumbnail", "src"):
        address = image.get(name)
        if isinstance(address, str) and address.startswith(f"{origin}/"):
            return address if len(address) <= PICTURE_CHARS_MAX and address.isascii() else ""
    return ""


def _first(entries: object) -> dict[str, object]:
    return entries[0] if isinstance(entries, list) and entries and isinstance(entries[0], dict) else {}


def _words(text: object, chars_max: int) -> str:
    """Return the shop's words as plain text; it writes some characters as HTML does."""
    return for_people(html.unescape(text) if isinstance(text, str) else "")[:chars_max].strip()
