"""The shop shows what its catalogue file says; a faulty file stops the start, with the place of the fault.

The file says the same as a whole catalogue on the wire: stock, category, tax and picture may be left out.
"""

from pathlib import Path

from pydantic import Field, ValidationError

from gateway.document import read_document
from gateway.errors import N_, BadRequest, CannotStart, TooLarge
from gateway.market.catalogue.articles import ARTICLES_MAX, ArticleDocument, Version, article_of
from gateway.market.catalogue.model import Catalogue
from gateway.market.order import Currency, Document

FILE_BYTES_MAX = 8_000_000


class _File(Document):
    version: Version
    currency: Currency
    prices_include_tax: bool = True
    articles: tuple[ArticleDocument, ...] = Field(strict=False, max_length=ARTICLES_MAX)


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
    articles = tuple(article_of(each, found.currency) for each in found.articles)
    if len({article.sku for article in articles}) < len(articles):
        raise _faulty(path, "articles: two have the same sku")
    return Catalogue(found.version, found.currency, articles, found.prices_include_tax)


def _faulty(path: Path, reason: str) -> CannotStart:
    return CannotStart(
        N_("The catalogue cannot be used: %(path)s (%(reason)s)."),
        N_("Mend that place in the file named by [market] catalogue."),
        path=path,
        reason=reason,
    )
