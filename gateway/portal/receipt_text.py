"""A receipt as plain text of 32 columns: what a thermal printer of 58 mm prints as it is, and any phone opens. Pure."""

import textwrap
from collections.abc import Callable, Iterator

from gateway.errors import N_
from gateway.market.order import Order, line_total_minor
from gateway.market.records import OrderView
from gateway.portal.formats import Formats
from gateway.portal.order_words import METHODS, in_words

COLUMNS = 32  # of 58 mm paper in a printer's first font
_RULE = "-" * COLUMNS
_CHECK, _FOR, _OPERATION = N_("Check code"), N_("For"), N_("Number of the operation")


def receipt_text(view: OrderView, figures: Formats, say: Callable[[str], str]) -> str:
    """Return an order's receipt; `say` translates."""
    lines = [view.receipt, figures.when(view.recorded_wall_s) or say(N_("The box did not know the date")), _RULE]
    if view.order is not None:
        total = figures.money(view.total_minor, view.currency)
        lines += [*_body(view.order, figures, say), *_sides(say(N_("Total")), total)]
        lines += [*_taxes(view.order, figures, say), _RULE, *_end(view.order, say)]
    lines += [say(in_words(view).name), f"{say(_CHECK)}: {view.hash[:16]}"]
    wrapped = [part for line in lines for part in (textwrap.wrap(line, COLUMNS) if len(line) > COLUMNS else [line])]
    return "\n".join(wrapped).replace("\xa0", " ").replace("\u202f", " ") + "\n"


def _body(order: Order, figures: Formats, say: Callable[[str], str]) -> Iterator[str]:
    yield f"{say(_FOR)}: {order.buyer.name}"
    yield order.buyer.phone
    if order.buyer.address:
        yield from order.buyer.address.splitlines()
    yield _RULE
    for line in order.lines:
        yield line.name
        price = figures.money(line.unit_price_minor, order.currency)
        each = f" {figures.quantity(line.quantity)} {line.unit} x {price}"
        yield from _sides(each, figures.money(line_total_minor(line), order.currency))
    yield _RULE


def _taxes(order: Order, figures: Formats, say: Callable[[str], str]) -> Iterator[str]:
    word = N_("included") if order.prices_include_tax else N_("added")
    for tax in order.taxes:
        amount = figures.money(tax.amount_minor, order.currency)
        yield from _sides(f" {tax.name} {tax.rate}% ({say(word)})", amount)


def _end(order: Order, say: Callable[[str], str]) -> Iterator[str]:
    yield say(METHODS[order.payment.method])
    if order.payment.reference:
        yield f"{say(_OPERATION)}: {order.payment.reference}"
    if order.note:
        yield from order.note.splitlines()
    yield _RULE


def _sides(left: str, right: str) -> Iterator[str]:
    """Return words on the left and an amount on the right: in one line, or in two where one is too short."""
    room = COLUMNS - len(right) - 1
    if len(left) <= room:
        yield left.ljust(room + 1) + right
    else:
        yield left
        yield right.rjust(COLUMNS)
