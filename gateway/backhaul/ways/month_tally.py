"""What each way has carried in a calendar month, whatever the wall clock does. Pure.

The month goes forward with the date, and each way begins it with nothing. Where the date is not known the month known
last goes on. A date that fell back to an earlier month is not believed at once: the later month goes on until it is
reached again. Only when bytes crossed in `BEHIND_S_MIN` seconds of that, in which any time server could have set it
right, was the later month the mistake (a date of 2035 would else hold a spent way back until then): the earlier one
goes on where it was left, and what was counted meanwhile is added to it. The month that was left is kept beside the one
that is counted: a date that comes and goes finds what was there.
"""

from collections.abc import Mapping
from datetime import datetime, tzinfo

from gateway.clock import clock_state

BEHIND_S_MIN = 3_600  # seconds in which something crossed
MONTHS_MAX = 12 * 9_999 + 11  # as far as a date is written
NEVER = 0  # no month was known yet

Used = dict[str, int]  # bytes by way


def month_of(wall_s: float, zone: tzinfo | None = None) -> int | None:
    """Return the calendar month of a date, counted from the year 0; None where the date is not known.

    >>> from datetime import UTC
    >>> divmod(month_of(1_800_000_000.0, UTC), 12), month_of(5.0)
    ((2027, 0), None)
    """
    if clock_state(wall_s) == "unknown":
        return None
    try:
        date = datetime.fromtimestamp(wall_s, zone)
    except (ValueError, OverflowError, OSError):
        return None
    return date.year * 12 + date.month - 1


class MonthTally:
    """The bytes of each way in the month of now, and in the one that was left last."""

    def __init__(self, month: int = NEVER, months: Mapping[int, Used] | None = None) -> None:
        self.month = month
        self._months: dict[int, Used] = {each: dict(used) for each, used in (months or {}).items()}
        self._months.setdefault(month, {})
        self._behind_s = 0

    @property
    def used(self) -> Mapping[str, int]:
        """What each way carried in the month of now."""
        return self._months[self.month]

    @property
    def months(self) -> Mapping[int, Mapping[str, int]]:
        """All that is to be kept."""
        return self._months

    def pass_s(self, month: int | None, crossed: Mapping[str, int]) -> None:
        """Count what crossed in a second at whose end the date was in `month`, if it is known."""
        if month is None or month == self.month:
            self._behind_s = 0
        elif month > self.month:
            self._go(month, {} if self.month != NEVER else self._months[NEVER])
        elif self._behind_s >= BEHIND_S_MIN:
            self._go(month, self._months[self.month])
        else:
            self._behind_s += any(crossed.values())
        used = self._months[self.month]
        for name, size_bytes in crossed.items():
            used[name] = used.get(name, 0) + size_bytes

    def _go(self, month: int, added: Mapping[str, int]) -> None:
        """Count in another month from here on, with what was counted of it before."""
        left, used = self.month, dict(self._months.get(month, {}))
        for name, size_bytes in added.items():
            used[name] = used.get(name, 0) + size_bytes
        self._months = {month: used} if left == NEVER else {left: self._months[left], month: used}
        self.month = month
        self._behind_s = 0
