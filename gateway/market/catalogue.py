"""The shop shows what its catalogue file says; a faulty file stops the start, with the place of the fault.

A price is whole minor units of the catalogue's one currency. The version goes with the articles, so that an order can
later be read with the prices it was made with.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from gateway.errors import N_, BadRequest, CannotStart, TooLarge
from gateway.market.document import read_document
from gateway.market.order import Currency, Document, Name, Sku, Unit, UnitPriceMinor

FILE_BYTES_MAX = 4_000_000
ARTICLES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Article:
    """Something that can be ordered."""

    sku: str
    name: str
    unit: str
    unit_price_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the shop offers."""

    version: str
    currency: str
    articles: tuple[Article, ...]

    def article(self, sku: str) -> Article | None:
        """Return the article with this SKU."""
        return next((article for article in self.articles if article.sku == sku), None)


class _Entry(Document):
    sku: Sku
    name: Name
    unit: Unit
    unit_price_minor: UnitPriceMinor


class _File(Document):
    version: Annotated[str, Field(min_length=1, max_length=32)]
    currency: Currency
    articles: tuple[_Entry, ...] = Field(strict=False, max_length=ARTICLES_MAX)


def load_catalogue(path: Path) -> Catalogue:
    """Return the catalogue in a file.

    Raises: CannotStart.
    """
    try:
        with path.open("rb") as file:
            document = read_document(file.read(FILE_BYTES_MAX + 1), FILE_BYTES_MAX)
        found = _File.model_validate(document)
    except OSError as exc:
        raise _faulty(path, exc.strerror or type(exc).__name__) from exc
    except (BadRequest, TooLarge) as exc:
        raise _faulty(path, str(exc)) from exc
    except ValidationError as exc:
        fault = exc.errors(include_url=False, include_context=False)[0]
        raise _faulty(path, f"{'.'.join(str(part) for part in fault['loc']) or 'articles'}: {fault['msg']}") from exc
    articles = tuple(
        Article(each.sku, each.name, each.unit, each.unit_price_minor, found.currency) for each in found.articles
    )
    if len({article.sku for article in articles}) < len(articles):
        raise _faulty(path, "articles: two have the same sku")
    return Catalogue(found.version, found.currency, articles)


def _faulty(path: Path, reason: str) -> CannotStart:
    return CannotStart(
        N_("The catalogue cannot be used: %(path)s (%(reason)s)."),
        N_("Mend that place in the file named by [market] catalogue."),
        path=path,
        reason=reason,
    )
