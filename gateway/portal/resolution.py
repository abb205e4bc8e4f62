"""What a marketplace says of an order's articles becomes the order it would take, to be agreed to with one press. Pure.

Nothing is agreed to unseen: whoever presses sends the hash of what the page showed, so that a word of the marketplace
that came meanwhile is shown first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from gateway.errors import BadRequest, TooLarge
from gateway.market.attention import Attention, Code, Remark
from gateway.market.catalogue.model import Catalogue
from gateway.market.catalogue.taxes import taxes_of
from gateway.market.order import Line, Order, order_from, plain_quantity, total_minor

_ABOUT_ARTICLES = frozenset({Code.PRICE_CHANGED, Code.OUT_OF_STOCK, Code.UNKNOWN_ARTICLE, Code.OTHER})
_GONE = "0"


@dataclass(frozen=True, slots=True)
class ChangedLine:
    """A line as it was ordered, and as the marketplace would take it; `quantity` "" is not at all."""

    sku: str
    name: str
    unit: str
    was_quantity: str
    quantity: str
    was_minor: int
    unit_price_minor: int

    @property
    def price_changed(self) -> bool:
        """Whether it has another price."""
        return self.was_minor != self.unit_price_minor

    @property
    def quantity_changed(self) -> bool:
        """Whether there is less of it."""
        return self.was_quantity != self.quantity


@dataclass(frozen=True, slots=True)
class Proposal:
    """The order that the marketplace would take, None where nothing is left of it, and what is other in it."""

    order: Order | None
    lines: tuple[ChangedLine, ...]

    @property
    def total_minor(self) -> int:
        """What it would come to."""
        return total_minor(self.order) if self.order else 0

    @property
    def one_price_minor(self) -> int | None:
        """The new price where one price is all that changed."""
        alone = self.lines[0] if len(self.lines) == 1 else None
        return alone.unit_price_minor if alone and alone.price_changed and not alone.quantity_changed else None

    @property
    def is_prices_only(self) -> bool:
        """Whether all that was ordered is there."""
        return not any(line.quantity_changed for line in self.lines)


def proposal(order: Order, attention: Attention | None, catalogue: Catalogue | None) -> Proposal | None:
    """Return what can be agreed to; None where the marketplace said nothing, or more than an order can hold."""
    if attention is None or attention.code not in _ABOUT_ARTICLES:
        return None
    said = _said(order, attention, catalogue)
    left = {sku: Decimal(remark.available) for sku, remark in said.items() if remark.available is not None}
    kept: list[Line] = []
    changed: list[ChangedLine] = []
    for line in order.lines:
        taken = _taken(line, said.get(line.sku), left)
        if taken is not None:
            kept.append(taken)
        if taken != line:
            changed.append(_changed(line, taken))
    if not changed:
        return None
    try:
        return Proposal(_with_lines(order, kept, catalogue) if kept else None, tuple(changed))
    except (BadRequest, TooLarge):
        return None


def _said(order: Order, attention: Attention, catalogue: Catalogue | None) -> Mapping[str, Remark]:
    """Return a remark for each article; one that names an article alone means that there is none of it."""
    if attention.code is Code.PRICE_CHANGED and not attention.remarks and catalogue is not None:
        known = {line.sku: catalogue.article(line.sku) for line in order.lines}
        return {sku: Remark(sku, article.unit_price_minor) for sku, article in known.items() if article is not None}
    means_gone = attention.code in {Code.OUT_OF_STOCK, Code.UNKNOWN_ARTICLE}
    found = {}
    for remark in attention.remarks:
        bare = remark.unit_price_minor is None and remark.available is None
        found[remark.sku] = Remark(remark.sku, None, _GONE) if bare and means_gone else remark
    return found


def _taken(line: Line, remark: Remark | None, left: dict[str, Decimal]) -> Line | None:
    if remark is None:
        return line
    amount = Decimal(line.quantity)
    if line.sku in left:
        amount = min(amount, left[line.sku])
        left[line.sku] -= amount
    if amount <= 0:
        return None
    price = line.unit_price_minor if remark.unit_price_minor is None else remark.unit_price_minor
    return line.model_copy(update={"quantity": plain_quantity(f"{amount:f}"), "unit_price_minor": price})


def _changed(line: Line, taken: Line | None) -> ChangedLine:
    now = (taken.quantity, taken.unit_price_minor) if taken else ("", line.unit_price_minor)
    return ChangedLine(line.sku, line.name, line.unit, line.quantity, now[0], line.unit_price_minor, now[1])


def _with_lines(order: Order, lines: list[Line], catalogue: Catalogue | None) -> Order:
    fields = dict(order) | {"lines": tuple(lines), "taxes": taxes_of(catalogue, lines) if order.taxes else ()}
    return order_from(fields)
