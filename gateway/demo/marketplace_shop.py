"""What the demo's marketplace sells: articles that change, each change a version, and what it makes of an order's."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from gateway.market.attention import Attention, Code, Remark
from gateway.market.catalogue.articles import ArticleDocument, article_of
from gateway.market.catalogue.delta import apply, write_delta
from gateway.market.catalogue.model import Article, Catalogue, Delta
from gateway.market.catalogue.stock import shortages
from gateway.market.order import Document, Order, Sku, UnitPriceMinor


class _Change(Document):
    sku: Sku
    unit_price_minor: UnitPriceMinor | None = None
    stock: Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?$")] | None = None


class Changes(Document):
    """What changes at once: prices and stock of articles that are there, articles new or described anew, and gone."""

    changed: tuple[_Change, ...] = Field(default=(), strict=False, max_length=1_000)
    articles: tuple[ArticleDocument, ...] = Field(default=(), strict=False, max_length=1_000)
    removed: tuple[Sku, ...] = Field(default=(), strict=False, max_length=1_000)


class Shop:
    """The articles as they are now, and as they came to be."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.now = catalogue
        self._first = catalogue.version
        self._deltas: list[Delta] = []

    def change(self, changes: Changes) -> str:
        """Make a new version of the articles; return its name."""
        here = {each.sku: each for each in self.now.articles}
        found = [_changed(here[each.sku], each) for each in changes.changed if each.sku in here]
        found += [article_of(each, self.now.currency) for each in changes.articles]
        removed = tuple(sku for sku in dict.fromkeys(changes.removed) if sku in here)
        delta = Delta(
            f"{self._first}+{len(self._deltas) + 1}",
            self.now.version,
            self.now.currency,
            tuple({each.sku: each for each in found if each.sku not in removed}.values()),
            removed,
            self.now.prices_include_tax,
        )
        self.now = apply(self.now, delta) or self.now
        self._deltas.append(delta)
        return delta.version

    def since(self, version: str) -> dict[str, object]:
        """Return what changed since a version, or everything to whoever has none that is known."""
        bases = [each.base for each in self._deltas] + [self.now.version]
        if version not in bases:
            return write_delta(replace(self._delta(""), changed=self.now.articles))
        later = self._deltas[bases.index(version) :]
        touched = dict.fromkeys(
            sku for each in later for sku in (*(article.sku for article in each.changed), *each.removed)
        )
        changed = tuple(found for sku in touched if (found := self.now.article(sku)) is not None)
        removed = tuple(sku for sku in touched if self.now.article(sku) is None)
        return write_delta(replace(self._delta(version), changed=changed, removed=removed))

    def objection(self, order: Order) -> Attention | None:
        """Return what a person must decide before the order can be taken; None when nothing."""
        known = {line.sku: self.now.article(line.sku) for line in order.lines}
        unknown = [Remark(sku) for sku, article in known.items() if article is None]
        if unknown:
            return Attention(Code.UNKNOWN_ARTICLE, tuple(unknown))
        prices = {
            line.sku: Remark(line.sku, article.unit_price_minor)
            for line in order.lines
            if (article := known[line.sku]) is not None and article.unit_price_minor != line.unit_price_minor
        }
        if prices:
            return Attention(Code.PRICE_CHANGED, tuple(prices.values()))
        lacking = shortages(self.now, order.lines)
        if lacking:
            return Attention(Code.OUT_OF_STOCK, tuple(Remark(each.sku, available=each.available) for each in lacking))
        return None

    def _delta(self, base: str) -> Delta:
        now = self.now
        return Delta(now.version, base, now.currency, (), prices_include_tax=now.prices_include_tax)


def _changed(article: Article, change: _Change) -> Article:
    price = article.unit_price_minor if change.unit_price_minor is None else change.unit_price_minor
    return replace(article, unit_price_minor=price, stock=article.stock if change.stock is None else change.stock)
