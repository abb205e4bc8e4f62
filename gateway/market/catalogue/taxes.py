"""Taxes are computed once, when an order is made, per tax and rate over all its lines, and rounded half up. Pure.

Where prices include them, a tax is the part of the price that it is: rate / (100 + rate); otherwise rate / 100 on top.
An article of rate 0 gets its line of 0, since that says that nothing is owed; one without a tax says nothing.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

from gateway.errors import N_, TooLarge
from gateway.market.catalogue.model import Catalogue
from gateway.market.order import PRICE_MINOR_MAX, TAXES_MAX, Line, TaxLine, line_total_minor


def taxes_of(catalogue: Catalogue | None, lines: Iterable[Line]) -> tuple[TaxLine, ...]:
    """Return the taxes of an order's lines, at the prices they were sold for; lines of no article here have none.

    Raises: TooLarge when there are more, or larger ones, than an order can hold.
    """
    if catalogue is None:
        return ()
    taxed_minor: defaultdict[tuple[str, str], int] = defaultdict(int)
    for line in lines:
        article = catalogue.article(line.sku)
        if article is not None and article.tax_name:
            taxed_minor[article.tax_name, article.tax_rate] += line_total_minor(line)
    included = catalogue.prices_include_tax
    amounts = {tax: tax_minor(total, tax[1], included=included) for tax, total in taxed_minor.items()}
    if len(amounts) > TAXES_MAX or any(amount > PRICE_MINOR_MAX for amount in amounts.values()):
        raise TooLarge(N_("The order's taxes are more than an order can hold."), N_("Make two orders of it."))
    in_order = sorted(amounts, key=lambda tax: (tax[0], Decimal(tax[1])))
    return tuple(TaxLine(name=tax[0], rate=tax[1], amount_minor=amounts[tax]) for tax in in_order)


def tax_minor(total_minor: int, rate: str, *, included: bool) -> int:
    """Return the tax in a total, or on top of it, in minor units.

    >>> tax_minor(11_800, "18", included=True), tax_minor(10_000, "18", included=False)
    (1800, 1800)
    >>> tax_minor(25, "18", included=False)  # 4.5, half up
    5
    """
    percent = Decimal(rate)
    whole = 100 + percent if included else Decimal(100)
    return int((total_minor * percent / whole).quantize(Decimal(1), ROUND_HALF_UP))
