"""After each failure the pause doubles, up to a limit, and no two boxes wait the same time. Pure.

Source: RFC 9110 §10.2.3 (Retry-After); "equal jitter", so that a pause never shrinks to nothing (AWS Architecture Blog,
"Exponential Backoff and Jitter", 2015).
"""

from email.utils import parsedate_to_datetime

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
