"""A delta is read as strictly as an order, and leads from exactly one version to exactly one other. Pure.

On the wire it is the answer to `GET {catalogue_url}?since=VERSION`: a JSON object with `version`, `base` ("" where
`articles` are all there are), `currency`, `prices_include_tax`, `articles` and `removed`. What does not fit what is
here (another base, another currency, prices of another kind) is not applied; then the whole is asked for.
"""

from dataclasses import replace
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from gateway.errors import N_, BadRequest, TooLarge
from gateway.market.catalogue.articles import (
    ARTICLES_MAX,
    VERSION_CHARS_MAX,
    ArticleDocument,
    Version,
    article_of,
    as_fields,
    checked,
)
from gateway.market.catalogue.model import Article, Catalogue, Delta
from gateway.market.order import Currency, Document, Sku, is_plain

DELTA_BYTES_MAX = 8_000_000  # 10,000 articles with all that they may say take 2 to 5 MB


def _plain_or_none(value: str) -> str:
    if not is_plain(value):
        raise ValueError("not plain text")
    return value


class _Delta(Document):
    version: Version
    base: Annotated[str, AfterValidator(_plain_or_none)] = Field(default="", max_length=VERSION_CHARS_MAX)
    currency: Currency
    prices_include_tax: bool = True
    articles: tuple[ArticleDocument, ...] = Field(strict=False, max_length=ARTICLES_MAX)
    removed: tuple[Sku, ...] = Field(default=(), strict=False, max_length=ARTICLES_MAX)

    @model_validator(mode="after")
    def _says_each_article_once(self) -> Self:
        named = [*(each.sku for each in self.articles), *self.removed]
        if len(set(named)) < len(named):
            raise ValueError("an article twice")
        if self.removed and not self.base:
            raise ValueError("nothing to remove from")
        return self


def read_delta(document: object) -> Delta:
    """Return the delta in a JSON document.

    Raises: TooLarge, BadRequest.
    """
    try:
        found = _Delta.model_validate(document)
    except ValidationError as exc:
        raise _fault(exc.errors(include_url=False, include_context=False, include_input=False)[0]) from None
    articles = tuple(article_of(each, found.currency) for each in found.articles)
    return Delta(found.version, found.base, found.currency, articles, found.removed, found.prices_include_tax)


def write_delta(delta: Delta) -> dict[str, object]:
    """Return a delta as a JSON document."""
    return {
        "version": delta.version,
        "base": delta.base,
        "currency": delta.currency,
        "prices_include_tax": delta.prices_include_tax,
        "articles": [as_fields(each) for each in delta.changed],
        "removed": list(delta.removed),
    }


def whole(catalogue: Catalogue) -> Delta:
    """Return the delta that leads from nothing to this catalogue."""
    included = catalogue.prices_include_tax
    return Delta(catalogue.version, "", catalogue.currency, catalogue.articles, prices_include_tax=included)


def apply(catalogue: Catalogue | None, delta: Delta) -> Catalogue | None:
    """Return the catalogue that a delta leads to; None where it does not fit this one, and the whole is needed.

    A changed article keeps its place, a new one comes last.
    """
    if not delta.base:
        by_sku: dict[str, Article] = {}
    elif catalogue is None or _kind(catalogue, catalogue.version) != _kind(delta, delta.base):
        return None
    else:
        by_sku = {each.sku: each for each in catalogue.articles}
    by_sku.update((each.sku, each) for each in delta.changed)
    for sku in delta.removed:
        by_sku.pop(sku, None)
    if len(by_sku) > ARTICLES_MAX:
        return None
    return Catalogue(delta.version, delta.currency, tuple(by_sku.values()), delta.prices_include_tax)


def usable(delta: Delta) -> tuple[Delta, int]:
    """Return a marketplace's delta with only what can be ordered here, and how many articles were left out.

    One article that is wrong hides itself, not the others; nor does it go on as it was before.

    Raises: TooLarge, BadRequest when nothing can be made of it.
    """
    if len(delta.changed) > ARTICLES_MAX or len(delta.removed) > ARTICLES_MAX:
        raise _too_many()
    found = {each.sku: checked(each, delta.currency) for each in delta.changed}
    right = {sku: each for sku, each in found.items() if each is not None}
    if found and not right:
        raise BadRequest(N_("No article of the catalogue can be used."), N_("Check how it is written."))
    gone = (*(sku for sku in delta.removed if sku not in found), *(sku for sku in found if sku not in right))
    made = replace(delta, changed=tuple(right.values()), removed=gone if delta.base else ())
    read_delta({**write_delta(made), "articles": (), "removed": ()})
    return made, len(delta.changed) - len(right)


def _kind(of: Catalogue | Delta, version: str) -> tuple[str, str, bool]:
    return version, of.currency, of.prices_include_tax


def _fault(fault: ErrorDetails) -> BadRequest | TooLarge:
    loc = fault["loc"]
    if fault["type"] == "too_long" and loc in {("articles",), ("removed",)}:
        return _too_many()
    known = loc[:-1] if fault["type"] == "extra_forbidden" else loc  # the last part of an unknown name is the sender's
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in known).removeprefix(".")
    return BadRequest(
        N_("The catalogue has a fault in %(field)s."), N_("Check how it is written."), field=path or "catalogue"
    )


def _too_many() -> TooLarge:
    return TooLarge(
        N_("The catalogue has more than %(limit)d articles."), N_("Offer fewer of them here."), limit=ARTICLES_MAX
    )
