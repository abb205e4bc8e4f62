"""What is not in stock is told and taken all the same: only the marketplace knows what it has by then. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.order import Line


@dataclass(frozen=True, slots=True)
class Shortage:
    """More is wanted of an article than there was, when the catalogue was last renewed."""

    sku: str
    available: str

    @property
    def is_out(self) -> bool:
        """Whether nothing was left."""
        return Decimal(self.available) <= 0


def shortage(article: Article, quantity: str) -> Shortage | None:
    """Return what is lacking when so much is ordered; None when nothing is, or nobody says what there is.

    >>> shortage(Article("papa", "Papa", "kg", 350, "PEN", stock="2.5"), "3")
    Shortage(sku='papa', available='2.5')
    """
    if not article.stock or Decimal(quantity) <= Decimal(article.stock):
        return None
    return Shortage(article.sku, article.stock)


def is_out_of_stock(article: Article) -> bool:
    """Say whether nothing was left of an article."""
    return bool(article.stock) and Decimal(article.stock) <= 0


def shortages(catalogue: Catalogue | None, lines: Iterable[Line]) -> tuple[Shortage, ...]:
    """Return what an order lacks, each article once: the quantities of all its lines together count."""
    wanted: dict[str, Decimal] = {}
    for line in lines:
        wanted[line.sku] = wanted.get(line.sku, Decimal(0)) + Decimal(line.quantity)
    found = []
    for sku, quantity in wanted.items():
        article = catalogue.article(sku) if catalogue is not None else None
        lacking = shortage(article, str(quantity)) if article is not None else None
        if lacking is not None:
            found.append(lacking)
    return tuple(found)
