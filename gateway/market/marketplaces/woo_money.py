"""A shop's price is a decimal written as text; here it is whole minor units, or nothing where it is not exact. Pure.

Source: ISO 4217 (how many decimals a currency has).
"""

import re
from decimal import Decimal

from gateway.market.order import PRICE_MINOR_MAX

_PRICE = re.compile(r"[0-9]{1,10}(\.[0-9]{1,8})?")
_WITHOUT = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"}
)
_WITH_THREE = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})


def price_minor(price: object, currency: str) -> int | None:
    """Return a price in minor units; None for what is no price, too high, or finer than the currency.

    >>> price_minor("3.50", "PEN"), price_minor("350", "CLP"), price_minor("0.005", "PEN"), price_minor("", "PEN")
    (350, 350, None, None)
    """
    if not isinstance(price, str) or not _PRICE.fullmatch(price):
        return None
    minor = Decimal(price).scaleb(0 if currency in _WITHOUT else 3 if currency in _WITH_THREE else 2)
    return int(minor) if minor == minor.to_integral_value() and minor <= PRICE_MINOR_MAX else None
