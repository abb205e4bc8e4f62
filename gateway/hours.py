"""Hours of the day in which something may happen, as a technician writes them: `01:00-05:00`, over midnight too. Pure.

Time is the box's local time as a day and a second of it; whoever has a clock and a time zone makes one of it. Where
clocks are set twice a year, a window of that night is an hour longer or shorter.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

DAY_S = 86_400
_WRITTEN = re.compile(r"(?P<h1>[01]\d|2[0-3]):(?P<m1>[0-5]\d)-(?P<h2>[01]\d|2[0-4]):(?P<m2>[0-5]\d)")


class Local(NamedTuple):
    """A moment in local time: the day (any count of days that goes on by one a day) and the second of it."""

    day: int
    second: int


class Hours(NamedTuple):
    """A window of the day, in seconds of it; one that ends before it begins goes over midnight."""

    begins_s: int
    ends_s: int

    def __str__(self) -> str:
        return f"{_clock(self.begins_s)}-{_clock(self.ends_s)}"


def parse_hours(text: str) -> Hours:
    """Read `01:00-05:00`.

    Raises: ValueError for anything else, and for a window without length.

    >>> str(parse_hours("22:30-05:00")), parse_hours("00:00-24:00")
    ('22:30-05:00', Hours(begins_s=0, ends_s=86400))
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError("not hours of a day")
    begins_s = int(found["h1"]) * 3_600 + int(found["m1"]) * 60
    ends_s = int(found["h2"]) * 3_600 + int(found["m2"]) * 60
    if begins_s == ends_s or ends_s > DAY_S:
        raise ValueError("not a stretch of a day")
    return Hours(begins_s, ends_s)


def opening(windows: Sequence[Hours], now: Local) -> Local | None:
    """Return when the window that is open now has opened, the latest one where several are; None when none is.

    >>> opening([parse_hours("22:00-05:00")], Local(7, 3_600))
    Local(day=6, second=79200)
    """
    return max((opened for each in windows if (opened := _opened(each, now)) is not None), default=None)


def left_s(windows: Sequence[Hours], now: Local) -> int:
    """Return how many seconds some window is open still; 0 when none is.

    >>> left_s([parse_hours("22:00-05:00")], Local(7, 3_600))
    14400
    """
    return max(((each.ends_s - now.second) % DAY_S or DAY_S for each in windows if _opened(each, now)), default=0)


def _opened(window: Hours, now: Local) -> Local | None:
    over_midnight = window.ends_s < window.begins_s
    if window.begins_s <= now.second and (over_midnight or now.second < window.ends_s):
        return Local(now.day, window.begins_s)
    return Local(now.day - 1, window.begins_s) if over_midnight and now.second < window.ends_s else None


def _clock(second: int) -> str:
    return f"{second // 3_600:02}:{second % 3_600 // 60:02}"
