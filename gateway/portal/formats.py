"""Money, quantities, rates and times as a reader of the page's language writes them. Pure.

Money is whole minor units with a currency, never a float. A time is shown in the box's own time zone, which is the
village's.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from functools import cache

from babel import Locale
from babel.dates import format_datetime, format_timedelta
from babel.numbers import format_currency, format_decimal, get_currency_precision

from gateway.clock import WALL_FLOOR_S, clock_state
from gateway.languages import locale


@dataclass(frozen=True, slots=True)
class Formats:
    """How one language writes figures."""

    locale: Locale
    zone: tzinfo | None = None

    def money(self, amount_minor: int, currency: str) -> str:
        """Write an amount given in the currency's smallest unit.

        >>> Formats(locale("es")).money(123450, "PEN").replace("\\xa0", " ")
        'S/ 1,234.50'
        """
        amount = Decimal(amount_minor).scaleb(-get_currency_precision(currency))
        return format_currency(amount, currency, locale=self.locale)

    def quantity(self, text: str) -> str:
        """Write a decimal string.

        >>> Formats(locale("es")).quantity("1.50")
        '1.5'
        """
        try:
            return format_decimal(Decimal(text), locale=self.locale, decimal_quantization=False)
        except InvalidOperation:
            return text

    def rate(self, rate_bps: int) -> str:
        """Write a rate in the unit that keeps it short.

        >>> Formats(locale("es")).rate(3_450_000), Formats(locale("es")).rate(80_000)
        ('3.5\\xa0Mbit/s', '80\\xa0kbit/s')
        """
        if rate_bps >= 999_500:
            return f"{format_decimal(round(rate_bps / 1e6, 1), locale=self.locale)}\u00a0Mbit/s"
        return f"{format_decimal(round(rate_bps / 1e3), locale=self.locale)}\u00a0kbit/s"

    def figure(self, value: float) -> str:
        """Write a number.

        >>> Formats(locale("es")).figure(12345.0)
        '12,345'
        """
        return format_decimal(round(value, 3), locale=self.locale)

    def size(self, size_bytes: float) -> str:
        """Write a number of bytes in the unit that keeps it short.

        >>> Formats(locale("es")).size(13_400_000), Formats(locale("es")).size(0)
        ('13.4\\xa0MB', '0\\xa0B')
        """
        for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
            if size_bytes >= factor:
                return f"{format_decimal(round(size_bytes / factor, 1), locale=self.locale)}\u00a0{unit}"
        return f"{round(size_bytes)}\u00a0B"

    def lasting(self, duration_s: float) -> str:
        """Write a duration in its largest unit.

        >>> Formats(locale("es")).lasting(125)
        '2 minutos'
        """
        return format_timedelta(max(round(duration_s), 1), locale=self.locale, threshold=1.5)

    def when(self, wall_s: float) -> str:
        """Write a date and time, or nothing when the box did not know the date.

        >>> Formats(locale("es"), UTC).when(1_800_000_000.0)
        '15 ene. 2027, 08:00'
        """
        if clock_state(wall_s) == "unknown":
            return ""
        moment = datetime.fromtimestamp(wall_s, UTC)
        moment = moment.astimezone(self.zone) if self.zone else moment.astimezone()
        return format_datetime(moment, "d MMM y, HH:mm", locale=self.locale)


@cache
def formats(tag: str) -> Formats:
    """Return how the language with this tag writes figures; the first time reads it from disk, whole."""
    made = Formats(locale(tag))
    # Babel reads its tables when they are first used
    made.money(1, "PEN")
    made.quantity("1.5")
    made.lasting(1)
    made.when(WALL_FLOOR_S)
    return made
