"""How much probing the month's data allowance bears now. Pure.

Two purses, both filled steadily. The *reserve* is a tenth of the month and gets the other nine tenths spread over it,
so any 31 days together stay within the month, whatever the calendar says (a box may not know the date). The *hour*
keeps one long download from taking the reserve. While a purse is half full the rate is what was asked for; below, it
falls with what is left, and so comes to rest where it spends what comes in.
"""

from dataclasses import dataclass

MONTH_S = 31 * 86_400.0
RESERVE_RATIO = 0.1  # of the month
HOUR_RATIO = 1 / 40  # of the month: two minutes at 20 a second; as much comes in within an hour


@dataclass(frozen=True, slots=True)
class Purses:
    """What is left in each."""

    reserve_bytes: float
    hour_bytes: float


class ProbeBudget:
    """What may be spent, and what is left."""

    def __init__(self, month_bytes: int, now_s: float, left: Purses | None = None) -> None:
        self._month_bytes = month_bytes
        self._full = Purses(month_bytes * RESERVE_RATIO, month_bytes * HOUR_RATIO)
        given = left or self._full
        self._left = Purses(
            min(given.reserve_bytes, self._full.reserve_bytes), min(given.hour_bytes, self._full.hour_bytes)
        )
        self._at_s = now_s

    def left(self, now_s: float) -> Purses:
        """Return what is left."""
        passed_s = max(0.0, now_s - self._at_s)
        reserve_bps = self._month_bytes * (1 - RESERVE_RATIO) / MONTH_S
        return Purses(
            min(self._full.reserve_bytes, self._left.reserve_bytes + reserve_bps * passed_s),
            min(self._full.hour_bytes, self._left.hour_bytes + self._full.hour_bytes * passed_s / 3600),
        )

    def rate_hz(self, asked_hz: float, each_bytes: int, now_s: float) -> float:
        """Return how many exchanges of `each_bytes` a second are borne, at most what is asked; 0: not one now."""
        left = self.left(now_s)
        if min(left.reserve_bytes, left.hour_bytes) < each_bytes:
            return 0.0
        fullest = min(left.reserve_bytes / self._full.reserve_bytes, left.hour_bytes / self._full.hour_bytes)
        return asked_hz * min(1.0, 2 * fullest)

    def spend(self, size_bytes: int, now_s: float) -> None:
        """Take bytes out."""
        left = self.left(now_s)
        self._left = Purses(left.reserve_bytes - size_bytes, left.hour_bytes - size_bytes)
        self._at_s = now_s
