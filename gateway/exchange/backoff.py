"""After each failure the pause doubles, up to a limit, and no two boxes wait the same time. Pure.

Source: RFC 9110 §10.2.3 (Retry-After); "equal jitter", so that a pause never shrinks to nothing (AWS Architecture Blog,
"Exponential Backoff and Jitter", 2015).
"""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime

_FAILURES_TO_OPEN = 3  # a cell tower drops two answers in a row; the third says that something is wrong
_DOUBLINGS_MAX = 30  # beyond any limit in seconds; keeps the power small


def pause_s(failures: int, fraction: float, *, least_s: float, most_s: float) -> float:
    """Return how long to pause after so many failures in a row; `fraction` is random, 0 to 1.

    >>> [pause_s(failures, 1.0, least_s=1.0, most_s=300.0) for failures in (1, 2, 3, 20)]
    [1.0, 2.0, 4.0, 300.0]
    """
    whole_s = min(most_s, least_s * 2.0 ** min(max(failures, 1) - 1, _DOUBLINGS_MAX))
    return whole_s * (0.5 + 0.5 * fraction)


def retry_after_s(field: str | None, wall_s: float) -> float | None:
    """Return the pause a `Retry-After` asks for; None when there is none that can be read.

    >>> retry_after_s("120", 0.0), retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", 10.0), retry_after_s("soon", 0.0)
    (120.0, 50.0, None)
    """
    if field is None:
        return None
    text = field.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(parsedate_to_datetime(text).timestamp() - wall_s, 0.0)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Breaker:
    """Whether the far end is worth a whole batch: after some failures in a row one order tries it alone.

    Source: Nygard, "Release It!", 2nd ed. 2018, §5.2 (circuit breaker).

    >>> Breaker().failed().failed().failed().orders(100), Breaker().failed().orders(100)
    (1, 100)
    """

    failures: int = 0  # in a row

    @property
    def is_open(self) -> bool:
        """Whether nothing but a trial goes out."""
        return self.failures >= _FAILURES_TO_OPEN

    def failed(self) -> "Breaker":
        """Return it after one more failure."""
        return Breaker(self.failures + 1)

    def orders(self, orders_max: int) -> int:
        """Return how many orders may go at once."""
        return 1 if self.is_open else orders_max


@dataclass(frozen=True, slots=True)
class Patience:
    """How often an order is sent that the far end refuses, and how long it waits each time."""

    refusals_max: int = 10  # then a person must look at it
    pause_s_min: float = 30.0
    pause_s_max: float = 3_600.0

    def pause_s(self, refusals: int) -> float:
        """Return how long an order waits after having been refused so often.

        >>> [Patience().pause_s(refusals) for refusals in (1, 2, 20)]
        [30.0, 60.0, 3600.0]
        """
        return min(self.pause_s_max, self.pause_s_min * 2.0 ** min(max(refusals, 1) - 1, _DOUBLINGS_MAX))
