"""An order is where another one begins, or its own change: at today's prices, and what changed is told. Pure."""

from dataclasses import replace
from decimal import Decimal

from gateway.market.catalogue.model import Catalogue
from gateway.market.order import Order, Priority
from gateway.portal.order_form import OWN_SKU, OrderForm, OwnLine, Row, own_from, with_room
from gateway.portal.typed_figures import typed_price


def repeated(form: OrderForm, order: Order, catalogue: Catalogue | None) -> OrderForm:
    """Return the form for the same order once more: for whom, how it is paid, what; a payment's reference is not."""
    basket: list[Row] = []
    own: list[OwnLine] = []
    left_out: list[str] = []
    for line in order.lines:
        article = catalogue.article(line.sku) if catalogue else None
        if article is not None:
            was = line.unit_price_minor if line.unit_price_minor != article.unit_price_minor else None
            basket.append(Row(len(basket), article, line.quantity, was))
        elif catalogue is None or line.sku == OWN_SKU:
            price = typed_price(line.unit_price_minor, order.currency)
            own.append(OwnLine(own_from(catalogue) + len(own), line.name, line.quantity, line.unit, price))
        else:
            left_out.append(line.name)
    return replace(
        form,
        basket=_together(basket),
        own=with_room(own, catalogue),
        left_out=tuple(left_out),
        buyer=order.buyer.name,
        phone=order.buyer.phone,
        address=order.buyer.address,
        note=order.note,
        method=order.payment.method,
    )


def edited(form: OrderForm, order: Order, revision: int, catalogue: Catalogue | None) -> OrderForm:
    """Return the form that changes an order, of the revision that was shown."""
    return replace(
        repeated(form, order, catalogue),
        id=order.id,
        revision=revision,
        reference=order.payment.reference,
        is_urgent=order.priority is Priority.URGENT,
    )


def looking_for_another(form: OrderForm, sku: str) -> OrderForm:
    """Return the form without an article, beside others of its category to take instead."""
    gone = next((row.article for row in form.basket if row.article.sku == sku), None)
    if gone is None:
        return form
    rows = [row for row in form.basket if row.article.sku != sku]
    basket = tuple(replace(row, number=number) for number, row in enumerate(rows))
    return replace(form, basket=basket, left_out=(*form.left_out, gone.name), category=gone.category)


def _together(rows: list[Row]) -> tuple[Row, ...]:
    """Return one row for each article: a form has one field for it."""
    found: dict[str, Row] = {}
    for row in rows:
        before = found.get(row.article.sku)
        if before is None:
            found[row.article.sku] = replace(row, number=len(found))
        else:
            found[row.article.sku] = replace(before, typed=_sum(before.typed, row.typed))
    return tuple(found.values())


def _sum(one: str, other: str) -> str:
    return f"{(Decimal(one) + Decimal(other)).normalize():f}"
