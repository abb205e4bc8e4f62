"""A cell says a quantity, a price, a way to pay or a priority, as people write it. Pure.

A comma or a point before the decimals are both fine. Where a price has both, the later one is before its decimals.
"""

import re
from decimal import Decimal

from babel.numbers import get_currency_precision

from gateway.market.bulk.columns import folded
from gateway.market.order import Method, Priority

_QUANTITY = re.compile(r"([0-9]{0,6})(?:[.,]([0-9]{0,3}))?")
_PRICE = re.compile(r"([0-9]{1,8})(?:[.,]([0-9]{1,3}))?")
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]{1,3}|[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]{1,3}")
_CURRENCY = re.compile(r"^(?:S/\.?|\$|€)|[A-Z]{3}$")
_PHONE_SIGNS = re.compile(r"[\s().\-\u2010-\u2015]+")
_METHODS = {
    Method.CASH_ON_DELIVERY: (
        "",
        "cash",
        "cash on delivery",
        "efectivo",
        "contra entrega",
        "contraentrega",
        "al contado",
    ),
    Method.CREDIT: ("credit", "on credit", "credito", "al credito", "fiado"),
    Method.MOBILE_MONEY: ("mobile money", "dinero movil", "billetera", "billetera movil", "yape", "plin"),
}
_METHOD_OF = {word: method for method, words in _METHODS.items() for word in words}
_PRIORITY_OF = {
    **dict.fromkeys(("", "normal", "no"), Priority.NORMAL),
    **dict.fromkeys(("urgent", "urgente", "yes", "si"), Priority.URGENT),
}


def quantity(text: str) -> str | None:
    """Return a quantity as the market writes it; None where it is none.

    >>> quantity("1,50"), quantity(" 2 "), quantity(".5"), quantity("0"), quantity("dos"), quantity("1.2345")
    ('1.5', '2', '0.5', None, None, None)
    """
    found = _QUANTITY.fullmatch("".join(text.split()))
    if found is None or not (found[1] or found[2]):
        return None
    number = Decimal(f"{found[1] or 0}.{found[2] or 0}")
    return f"{number.normalize():f}" if number else None


def price_minor(text: str, currency: str) -> int | None:
    """Return a price in minor units; None where it is none.

    >>> [price_minor(text, "PEN") for text in ("3,5", "S/ 1,234.50", "12 PEN", "x")]
    [350, 123450, 1200, None]
    >>> price_minor("3.505", "PEN"), price_minor("500", "CLP")
    (None, 500)
    """
    bare = _CURRENCY.sub("", "".join(text.split()).upper(), count=2)
    if _GROUPED.fullmatch(bare):
        bare = re.sub(r"[.,](?=[0-9]{3}[.,])", "", bare)
    found = _PRICE.fullmatch(bare)
    if found is None:
        return None
    amount = Decimal(f"{found[1]}.{found[2] or 0}").scaleb(get_currency_precision(currency))
    return int(amount) if amount == int(amount) else None


def phone(text: str) -> str:
    """Return a phone number with a space for each of the signs that people write in it.

    >>> phone("(084) 22-33-44"), phone("987654321")
    ('084 22 33 44', '987654321')
    """
    return _PHONE_SIGNS.sub(" ", text).strip()


def method(text: str) -> Method | None:
    """Return how an order is paid for; nothing written is cash on delivery.

    >>> str(method("Crédito")), str(method("")), method("tarjeta")
    ('credit', 'cash-on-delivery', None)
    """
    return _METHOD_OF.get(folded(text))


def priority(text: str) -> Priority | None:
    """Return which goes first; nothing written is normal.

    >>> str(priority("URGENTE")), str(priority("")), priority("mañana")
    ('urgent', 'normal', None)
    """
    return _PRIORITY_OF.get(folded(text))
