"""What of the shop is on the page: what was found, a page of it, and the basket with what each line comes to. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from gateway.market.catalogue.model import Article
from gateway.market.catalogue.search import Found
from gateway.market.catalogue.stock import is_out_of_stock, shortage
from gateway.market.order import LINES_MAX
from gateway.portal.order_form import OrderForm, Row
from gateway.portal.typed_figures import quantity

ROWS = 10  # of a page: with thumbnails of 3 KB each and the scripts a first page stays below 50 KB

PictureUrl = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class ShownArticle:
    """An article that was found; `row` is the number of its line in the basket, or of its field here."""

    row: int
    article: Article
    picture_url: str
    in_basket: str  # how much of it, as it was typed
    is_out: bool


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A line of the basket; `left` is how much there was where more is asked for."""

    row: Row
    picture_url: str
    total_minor: int | None
    left: str | None


@dataclass(frozen=True, slots=True)
class Shelf:
    """A page of what was found, and the basket."""

    found: tuple[ShownArticle, ...]
    total: int
    page: int
    pages: int
    basket: tuple[ShownRow, ...]
    is_full: bool


def shelf(form: OrderForm, found: Found, picture_url: PictureUrl) -> Shelf:
    """Return what is shown beside a form; fields here have the numbers after the basket's."""
    rows = {row.article.sku: row for row in form.basket}
    shown: list[ShownArticle] = []
    number = len(rows)
    for article in found.articles:
        row = rows.get(article.sku)
        place = row.number if row else number
        number += row is None
        url = picture_url(article.sku)
        shown.append(ShownArticle(place, article, url, row.typed if row else "", is_out_of_stock(article)))
    pages = max(-(-found.total // ROWS), 1)
    basket = tuple(_shown(row, picture_url) for row in form.basket)
    return Shelf(tuple(shown), found.total, form.page, pages, basket, len(rows) >= LINES_MAX)


def _shown(row: Row, picture_url: PictureUrl) -> ShownRow:
    amount = quantity(row.typed)
    lacking = shortage(row.article, amount) if amount else None
    exact = Decimal(amount or 0) * row.article.unit_price_minor
    total_minor = int(exact.quantize(Decimal(1), ROUND_HALF_UP)) if amount else None  # as a receipt's line
    return ShownRow(row, picture_url(row.article.sku), total_minor, lacking.available if lacking else None)
