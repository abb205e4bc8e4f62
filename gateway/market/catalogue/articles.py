"""An article is checked whole where it comes in: from a file, from the network, from a marketplace's own words. Pure.

As a document it leaves out what says nothing. What an article may be is what an order's line may hold, so that each one
that is shown can be ordered.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from gateway.errors import N_
from gateway.market.catalogue.model import Article
from gateway.market.order import Document, Name, Sku, Unit, UnitPriceMinor, is_plain, plain_quantity

ARTICLES_MAX = 10_000
CATEGORY_CHARS_MAX = 60
PICTURE_CHARS_MAX = 500
VERSION_CHARS_MAX = 64  # as much as an order has room for

_STOCK = r"^(|-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,3})?)$"
_RATE = r"^(0|[1-9][0-9]?)(\.[0-9]{1,4})?$"  # as in an order's taxes
_PICTURE = r"^[\x21-\x7e]*$"  # an address as it is written on the wire, or part of one


def _plain(value: str) -> str:
    if not is_plain(value) or not value.strip():
        raise ValueError("not plain text")
    return value


def _plain_or_none(value: str) -> str:
    return _plain(value) if value else value


def _not_below_nothing(value: str) -> str:
    return "0" if value and Decimal(value) <= 0 else value  # what is owed already cannot be had either


Version = Annotated[
    str,
    Field(
        min_length=1,
        max_length=VERSION_CHARS_MAX,
        description=N_("It must be text of 1 to 64 characters, without control characters."),
    ),
    AfterValidator(_plain),
]


class TaxDocument(Document):
    """The tax that an article's sale owes; a rate of 0 says that it owes none."""

    name: Name
    rate: Annotated[str, AfterValidator(plain_quantity)] = Field(
        pattern=_RATE, description=N_("It must be a percentage from 0 to below 100, written as text, like 18.")
    )


class ArticleDocument(Document):
    """Something that can be ordered, as it is written."""

    sku: Sku
    name: Name
    unit: Unit
    unit_price_minor: UnitPriceMinor
    category: Annotated[str, AfterValidator(_plain_or_none)] = Field(
        default="",
        max_length=CATEGORY_CHARS_MAX,
        description=N_("It must be text of at most 60 characters, without control characters."),
    )
    stock: Annotated[str, AfterValidator(plain_quantity), AfterValidator(_not_below_nothing)] = Field(
        default="", pattern=_STOCK, description=N_("It must be a number with at most 3 decimals, written as text.")
    )
    tax: TaxDocument | None = Field(default=None, description=N_("It must be an object with name and rate."))
    picture: str = Field(
        default="",
        pattern=_PICTURE,
        max_length=PICTURE_CHARS_MAX,
        description=N_("It must be an address of at most 500 characters, without spaces."),
    )


def article_of(document: ArticleDocument, currency: str) -> Article:
    """Return the article that a checked document describes."""
    tax = document.tax
    return Article(
        document.sku,
        document.name,
        document.unit,
        document.unit_price_minor,
        currency,
        document.category,
        document.stock,
        tax.name if tax else "",
        tax.rate if tax else "",
        document.picture,
    )


def as_fields(article: Article) -> dict[str, object]:
    """Return an article as a document without what says nothing; its currency is the catalogue's.

    >>> as_fields(Article("papa", "Papa", "kg", 350, "PEN", tax_name="IGV", tax_rate="18"))["tax"]
    {'name': 'IGV', 'rate': '18'}
    """
    fields: dict[str, object] = {
        "sku": article.sku,
        "name": article.name,
        "unit": article.unit,
        "unit_price_minor": article.unit_price_minor,
    }
    for name in ("category", "stock", "picture"):
        if said := getattr(article, name):
            fields[name] = said
    if article.tax_name:
        fields["tax"] = {"name": article.tax_name, "rate": article.tax_rate}
    return fields


def from_own_fields(fields: Mapping[str, Any], currency: str) -> Article:
    """Return the article of a document that was checked before it was written here.

    Raises: KeyError, TypeError, AttributeError where it is not such a document.
    """
    said = fields.get
    tax = said("tax") or {}
    return Article(
        fields["sku"],
        fields["name"],
        fields["unit"],
        fields["unit_price_minor"],
        currency,
        said("category", ""),
        said("stock", ""),
        tax.get("name", ""),
        tax.get("rate", ""),
        said("picture", ""),
    )


def checked(article: Article, currency: str) -> Article | None:
    """Return an article as it may be shown; None for one that could not be ordered here.

    What is only told beside it (category, stock, picture) is left out where it is wrong; its price and tax cannot be.
    """
    if article.currency != currency:
        return None
    for said in (article, replace(article, category="", stock="", picture="")):
        with suppress(ValidationError):
            return article_of(ArticleDocument.model_validate(as_fields(said)), currency)
    return None
