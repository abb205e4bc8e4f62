"""A catalogue's version is what stands in it, and a delta is what two catalogues do not share. Pure.

Vendure's `updatedAt` says nothing of stock, of a product's picture or of a tax: what changed is found by comparing.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal

from gateway.document import canonical
from gateway.market.catalogue.model import Article, Delta
from gateway.market.marketplaces.graphql import at, items, text
from gateway.market.marketplaces.vendure_shop import Shop, read_variant
from gateway.market.order import is_plain

_NAME_CHARS_MAX = 120
_PICTURE_CHARS_MAX = 500
_RATE = re.compile(r"(0|[1-9][0-9]?)(\.[0-9]{1,4})?")


def read_article(entry: object, shop: Shop, unit: str) -> Article | None:
    """Return an article that is on sale, by the unit; None when it is not, or is not well-formed."""
    variant, name = read_variant(entry, shop), _shown(at(entry, "name"))
    if variant is None or not name:
        return None
    categories = items(at(entry, "product", "collections"))
    tax_name, rate = _shown(at(entry, "taxRateApplied", "name")), _rate(at(entry, "taxRateApplied", "value"))
    picture = text(at(entry, "featuredAsset", "preview")) or text(at(entry, "product", "featuredAsset", "preview"))
    return Article(
        variant.sku,
        name,
        variant.unit or unit,
        variant.unit_price_minor(with_tax=shop.prices_include_tax),
        shop.currency,
        category=_shown(at(categories[0], "name")) if categories else "",
        stock=variant.stock,
        tax_name=tax_name if rate else "",
        tax_rate=rate if tax_name else "",
        picture=picture if len(picture) <= _PICTURE_CHARS_MAX and is_plain(picture) else "",
    )


def version_of(articles: Mapping[str, Article], shop: Shop) -> str:
    """Return what tells this catalogue from every other."""
    listed: list[object] = [asdict(articles[sku]) for sku in sorted(articles)]
    content = {"articles": listed, "currency": shop.currency, "prices_include_tax": shop.prices_include_tax}
    return hashlib.sha256(canonical(content)).hexdigest()[:16]


def delta(before: Mapping[str, Article], base: str, after: Mapping[str, Article], shop: Shop) -> Delta:
    """Return what leads from one catalogue to the next; from nothing when `base` is ""."""
    changed = tuple(article for sku, article in after.items() if before.get(sku) != article)
    removed = tuple(sku for sku in before if sku not in after)
    return Delta(version_of(after, shop), base, shop.currency, changed, removed, shop.prices_include_tax)


def _shown(value: object) -> str:
    words = text(value).strip()[:_NAME_CHARS_MAX]
    return words if is_plain(words) else ""


def _rate(value: object) -> str:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return ""
    rate = f"{Decimal(str(value)).normalize():f}"
    return rate if _RATE.fullmatch(rate) else ""
