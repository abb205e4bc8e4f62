"""A quantity or a price is read as people write it: with a comma or a point, and as little as they like. Pure."""

import re
from decimal import Decimal, InvalidOperation

from babel.numbers import get_currency_precision

_NUMBER = re.compile(r"[0-9]{0,7}([.,][0-9]{0,3})?\Z")
_PRICE = re.compile(r"[0-9]{1,7}([.,][0-9]{0,2})?\Z")


def quantity(text: str) -> str | None:
    """Return a typed quantity as the market writes it; "" for none, None when it is not one.

    >>> quantity("1,50"), quantity(" 2 "), quantity(".5"), quantity("0"), quantity(""), quantity("dos")
    ('1.5', '2', '0.5', '', '', None)
    """
    bare = "".join(text.split())
    if not _NUMBER.match(bare) or bare in {".", ","}:
        return None
    number = Decimal(bare.replace(",", ".") or 0)
    return f"{number.normalize():f}" if number else ""


def price_minor(text: str, currency: str) -> int | None:
    """Return a typed price in minor units; None when it is not one.

    >>> price_minor("3,5", "PEN"), price_minor("S/ 12", "PEN"), price_minor("x", "PEN")
    (350, 1200, None)
    """
    bare = "".join(text.split()).upper().removeprefix("S/").removeprefix(".")
    if not _PRICE.match(bare):
        return None
    try:
        amount = Decimal(bare.replace(",", ".")).scaleb(get_currency_precision(currency))
    except InvalidOperation:
        return None
    return int(amount) if amount == int(amount) else None  # what is finer than the currency is not cut off


def typed_price(amount_minor: int, currency: str) -> str:
    """Return an amount as it would be typed.

    >>> typed_price(350, "PEN")
    '3.50'
    """
    return str(Decimal(amount_minor).scaleb(-get_currency_precision(currency)))
