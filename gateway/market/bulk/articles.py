"""A row's article is found by its SKU or its name, and its line has the catalogue's name, unit and price. Pure.

A price that differs from the catalogue's is kept, since it may be what was agreed, and told. Too little in stock is
told and taken: a sale that was made cannot be unmade here. Another unit is a fault: the quantity would mean something
else.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from gateway.errors import N_
from gateway.market.bulk import cells
from gateway.market.bulk.columns import Column, folded
from gateway.market.bulk.report import Remark
from gateway.market.catalogue.model import Article, Catalogue

OWN_UNIT = "und"  # where neither file nor catalogue says
_NO_ARTICLE = N_("Write which article.")
_UNKNOWN = N_("The catalogue has no such article. Write its SKU or its name as in the catalogue.")
_QUANTITY = N_("Write how much as a number above 0, like 2 or 1.5, with at most 3 decimals.")
_UNIT = N_("The catalogue sells it by %(unit)s. Write how many of these, or leave the unit blank.")
_PRICE = N_("Write a price, like 3.50.")
_OTHER_PRICE = N_("The catalogue's price is %(price)s. The price of the file is kept.")
_STOCK = N_("There is less than this in stock. It is taken all the same.")


class ArticleFinder:
    """Makes lines of rows, for one catalogue or none."""

    def __init__(self, catalogue: Catalogue | None, currency: str) -> None:
        self.catalogue = catalogue
        self.currency = catalogue.currency if catalogue else currency
        self._by_word: dict[str, Article | None] = {}
        for article in catalogue.articles if catalogue else ():
            for word in {folded(article.sku), folded(article.name)}:
                self._by_word[word] = None if word in self._by_word else article  # two of a name are none

    @property
    def whole(self) -> Mapping[str, object]:
        """What the catalogue says of every order made with it."""
        if self.catalogue is None:
            return {}
        version, included = self.catalogue.version, self.catalogue.prices_include_tax
        return {"catalogue_version": version, "prices_include_tax": included}

    def line(self, row: Mapping[Column, str]) -> tuple[dict[str, object], list[Remark]]:
        """Return the line that a row asks for and what is to be said of it; a plain value stands for a fault."""
        remarks: list[Remark] = []
        word = row.get(Column.ARTICLE, "")
        article = self._found(word)
        if not word:
            remarks.append(Remark(Column.ARTICLE, _NO_ARTICLE))
        elif article is None and self.catalogue is not None:
            remarks.append(Remark(Column.ARTICLE, _UNKNOWN))
        amount = cells.quantity(row.get(Column.QUANTITY, ""))
        if amount is None:
            remarks.append(Remark(Column.QUANTITY, _QUANTITY))
        unit = row.get(Column.UNIT, "")
        if article and unit and folded(unit) != folded(article.unit):
            remarks.append(Remark(Column.UNIT, _UNIT, unit=article.unit))
        price = self._price_minor(row.get(Column.PRICE, ""), article, remarks)
        if article and amount and _is_short(article.stock, amount):
            remarks.append(Remark(Column.QUANTITY, _STOCK, is_fault=False))
        line: dict[str, object] = {
            "sku": article.sku if article else word or "-",
            "name": article.name if article else row.get(Column.DESCRIPTION) or word or "-",
            "quantity": amount or "1",
            "unit": article.unit if article else unit or OWN_UNIT,
            "unit_price_minor": price or 0,
        }
        return line, remarks

    def _found(self, word: str) -> Article | None:
        if self.catalogue is None or not word:
            return None
        return self.catalogue.article(word) or self._by_word.get(folded(word))

    def _price_minor(self, typed: str, article: Article | None, remarks: list[Remark]) -> int | None:
        if not typed and article is not None:
            return article.unit_price_minor
        price = cells.price_minor(typed, self.currency)
        if price is None:
            if typed or self.catalogue is None:
                remarks.append(Remark(Column.PRICE, _PRICE))
        elif article is not None and price != article.unit_price_minor:
            remarks.append(Remark(Column.PRICE, _OTHER_PRICE, is_fault=False, price_minor=article.unit_price_minor))
        return price


def _is_short(stock: str, amount: str) -> bool:
    try:
        return bool(stock) and Decimal(amount) > Decimal(stock)
    except InvalidOperation:
        return False
