"""A catalogue is a version and its articles; a delta leads from one version to the next, or is the whole. Pure.

A price is whole minor units of the catalogue's one currency. The version goes with each order, so that it can later be
read with the prices it was made with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Article:
    """Something that can be ordered.

    `stock`: how much there is, a decimal written as text; "" where nobody says. `tax_rate`: percent, as text; "" for
    none. `picture`: where its photo is to be had, and part of what makes it another photo; "" for none.
    """

    sku: str
    name: str
    unit: str
    unit_price_minor: int
    currency: str
    category: str = ""
    stock: str = ""
    tax_name: str = ""
    tax_rate: str = ""
    picture: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the shop offers; `prices_include_tax` says what its prices are."""

    version: str
    currency: str
    articles: tuple[Article, ...]
    prices_include_tax: bool = True
    _by_sku: Mapping[str, Article] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_sku", MappingProxyType({each.sku: each for each in self.articles}))

    def article(self, sku: str) -> Article | None:
        """Return the article with this SKU."""
        return self._by_sku.get(sku)


@dataclass(frozen=True, slots=True)
class Delta:
    """What leads to `version`: articles new or changed, SKUs gone; `base`: the version it starts from, "" for none."""

    version: str
    base: str
    currency: str
    changed: tuple[Article, ...]
    removed: tuple[str, ...] = ()
    prices_include_tax: bool = True
