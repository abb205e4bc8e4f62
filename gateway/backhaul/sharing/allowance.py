"""A data allowance is to last: whether it does at this pace, and what is slowed so that it does. Pure.

Bulk gives way first, by quarters, as soon as less is left of the data than of the time; then the web, by halves, down
to a floor on which a page still comes. Calls and orders are never slowed, even when nothing is left: who must not pay
for more is told so by the words, and decides. The more is used, the less is allowed; at no moment the other way round.

Days and months are the box's own: a reset at 00:00 is midnight on the wall, also where clocks are set twice a year.
"""

import calendar
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import NamedTuple

from gateway.backhaul.sharing.classes import TrafficClass
from gateway.errors import N_
from gateway.hours import Hours, Local, left_s

DAY_S = 86_400.0
GIGABYTE = 1_000_000_000  # as operators sell it
PRIOR_RATIO = 0.1  # of a period: for so long the days before count as much as what was seen of this one
SEEN_RATIO_MIN = 0.03  # of a period that must have been seen where nothing is known of the days before: a day a month
BULK_SLACK = 0.2  # bulk is down to nothing when the data left is so much shorter than the time left
BULK_STEPS = 4
WEB_STEPS = 3  # a half, a quarter, an eighth; then the floor


class Every(StrEnum):
    """How often an allowance begins anew."""

    MONTH = "month"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Allowance:
    """Bytes both ways over the link in a period; a month begins on `day` (its last, where it has fewer) at `hour`."""

    size_bytes: int
    every: Every = Every.MONTH
    day: int = 1
    hour: int = 0

    def __post_init__(self) -> None:
        if self.size_bytes <= 0 or not 1 <= self.day <= 31 or not 0 <= self.hour <= 23:
            raise ValueError("not an allowance")


class Period(NamedTuple):
    """When an allowance began and when it begins anew, in wall seconds."""

    begin_s: float
    end_s: float


def period_at(allowance: Allowance, wall_s: float, zone: tzinfo | None = None) -> Period:
    """Return the period that holds a moment, in a time zone, or in the box's own.

    >>> from datetime import UTC
    >>> [datetime.fromtimestamp(each, UTC).date().isoformat()
    ...  for each in period_at(Allowance(1, day=31), 1_802_000_000.0, UTC)]
    ['2027-01-31', '2027-02-28']
    """
    begins = sorted(set(_begins(allowance, datetime.fromtimestamp(wall_s, zone).date(), zone)))
    at = max(index for index, begin_s in enumerate(begins) if begin_s <= wall_s)
    return Period(begins[at], begins[at + 1])


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is used and left; when it ends at this pace (None: it lasts, unless `is_known` denies that one can tell)."""

    used_bytes: int
    allowed_bytes: int
    renews_wall_s: float
    ends_wall_s: float | None = None
    is_known: bool = True

    @property
    def left_bytes(self) -> int:
        """What is left; 0 where more was used than allowed."""
        return max(self.allowed_bytes - self.used_bytes, 0)

    @property
    def used_ratio(self) -> float:
        """What part is used; above 1 where more was used than allowed."""
        return self.used_bytes / self.allowed_bytes


def forecast(
    allowance: Allowance, used_bytes: int, wall_s: float, recent_bytes_s: float | None, zone: tzinfo | None = None
) -> Forecast:
    """Return how far an allowance reaches; `recent_bytes_s` is the pace of the days before, bytes a second.

    The pace is that of this period and of the days before, the less of these the more of this one was seen: the first
    hours alone say little, least of all the first hours of a night.
    """
    period = period_at(allowance, wall_s, zone)
    told = Forecast(used_bytes, allowance.size_bytes, period.end_s)
    if not told.left_bytes:
        return Forecast(used_bytes, allowance.size_bytes, period.end_s, ends_wall_s=wall_s)
    length_s, seen_s = period.end_s - period.begin_s, wall_s - period.begin_s
    prior_s = PRIOR_RATIO * length_s if recent_bytes_s is not None else 0.0
    if recent_bytes_s is None and seen_s < SEEN_RATIO_MIN * length_s:
        return Forecast(used_bytes, allowance.size_bytes, period.end_s, is_known=False)
    pace = (used_bytes + (recent_bytes_s or 0.0) * prior_s) / (seen_s + prior_s)
    left_time_s = period.end_s - wall_s
    if told.left_bytes >= pace * left_time_s:
        return told
    return Forecast(used_bytes, allowance.size_bytes, period.end_s, ends_wall_s=wall_s + told.left_bytes / pace)


Line = tuple[str, Mapping[str, object]]


def in_words(told: Forecast, wall_s: float, zone: tzinfo | None = None) -> Line:
    """Return a message id and its values; `date` and `time` are to be written by who shows them."""
    if not told.left_bytes:
        return N_("The allowance is used up. It begins anew on %(date)s."), {"date": _local(told.renews_wall_s, zone)}
    if not told.is_known:
        return N_("It is too early to say how long the allowance lasts."), {}
    if told.ends_wall_s is None:
        return N_("At this pace it lasts until %(date)s, when it begins anew."), {
            "date": _local(told.renews_wall_s, zone)
        }
    ends = datetime.fromtimestamp(told.ends_wall_s, zone)
    if ends.date() == _local(wall_s, zone):
        return N_("At this pace it ends today at %(time)s."), {"time": ends.time()}
    return N_("At this pace it ends on %(date)s."), {"date": ends.date()}


@dataclass(frozen=True, slots=True)
class Steps:
    """From which part of an allowance on something is slowed, and to what the web at most."""

    bulk_slows_ratio: float = 0.8
    web_slows_ratio: float = 0.9
    web_floor_bps: int = 64_000  # a text page of 30 kB in 4 s


@dataclass(frozen=True, slots=True)
class Slowing:
    """What part of the link the web and bulk may have at most; 1 is all of it."""

    web_ratio: float = 1.0
    bulk_ratio: float = 1.0
    web_floor_bps: int = 0

    def ceiling_bps(self, traffic_class: TrafficClass, capacity_bps: int) -> int | None:
        """Return what a class may have at most of a link that carries so much; None: all of it."""
        if traffic_class is TrafficClass.BULK and self.bulk_ratio < 1:
            return int(capacity_bps * self.bulk_ratio)
        if traffic_class is TrafficClass.WEB and self.web_ratio < 1:
            return max(int(capacity_bps * self.web_ratio), self.web_floor_bps)
        return None


FULL_SPEED = Slowing()


def slowing(allowance: Allowance, used_bytes: int, wall_s: float, steps: Steps, zone: tzinfo | None = None) -> Slowing:
    """Return what to slow now so that an allowance lasts; nothing while the data lasts longer than the time."""
    period = period_at(allowance, wall_s, zone)
    used_ratio = used_bytes / allowance.size_bytes
    time_left_ratio = (period.end_s - wall_s) / (period.end_s - period.begin_s)
    reach = (1 - used_ratio) / time_left_ratio  # below 1: the data ends before the period
    if used_ratio < 1 and (reach >= 1 or used_ratio < min(steps.bulk_slows_ratio, steps.web_slows_ratio)):
        return FULL_SPEED
    web_ratio = _web_ratio(used_ratio, steps.web_slows_ratio)
    if web_ratio < 1:
        return Slowing(web_ratio, 0.0, steps.web_floor_bps)
    bulk = max(0.0, 1 - (1 - reach) / BULK_SLACK) if used_ratio >= steps.bulk_slows_ratio else 1.0
    return Slowing(1.0, int(bulk * BULK_STEPS) / BULK_STEPS, steps.web_floor_bps)


def tightest(slowings: Sequence[Slowing]) -> Slowing:
    """Return what all of these allow: a tenant keeps within its own cap, and within the link's."""
    return Slowing(
        min((each.web_ratio for each in slowings), default=1.0),
        min((each.bulk_ratio for each in slowings), default=1.0),
        min((each.web_floor_bps for each in slowings if each.web_ratio < 1), default=0),
    )


def in_hours(told: Slowing, windows: Sequence[Hours], now: Local) -> Slowing:
    """Return the same with bulk held back outside its hours; without hours it has all of them."""
    if not windows or left_s(windows, now):
        return told
    return Slowing(told.web_ratio, 0.0, told.web_floor_bps)


def price_minor(size_bytes: int, gigabyte_minor: int) -> int:
    """Return what so many bytes would have cost, in the currency's smallest unit, rounded half up.

    >>> price_minor(1_500_000_000, 333), price_minor(1, 333)
    (500, 0)
    """
    return (2 * size_bytes * gigabyte_minor + GIGABYTE) // (2 * GIGABYTE)


def _web_ratio(used_ratio: float, from_ratio: float) -> float:
    if used_ratio >= 1:
        return 0.0
    if used_ratio < from_ratio:
        return 1.0
    step = int((used_ratio - from_ratio) / (1 - from_ratio) * WEB_STEPS)
    return float(0.5 ** (1 + min(step, WEB_STEPS - 1)))


def _begins(allowance: Allowance, around: date, zone: tzinfo | None) -> Iterator[float]:
    """Yield when periods begin, from the one before this day on to the one after it."""
    if allowance.every is Every.DAY:
        days = [around + timedelta(days=count) for count in (-2, -1, 0, 1, 2)]
    else:
        months = [around.year * 12 + around.month - 1 + count for count in (-2, -1, 0, 1, 2)]
        days = [_day_of(month // 12, month % 12 + 1, allowance.day) for month in months]
    for each in days:
        yield datetime(each.year, each.month, each.day, allowance.hour, tzinfo=zone).timestamp()


def _day_of(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, calendar.monthrange(year, month)[1]))


def _local(wall_s: float, zone: tzinfo | None) -> date:
    return datetime.fromtimestamp(wall_s, zone).date()
