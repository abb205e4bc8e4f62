"""An allowance is forecast from the first hour on, slows what can wait, and never what cannot."""

import doctest
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.backhaul.sharing import allowance as module
from gateway.backhaul.sharing.allowance import (
    FULL_SPEED,
    Allowance,
    Every,
    Slowing,
    Steps,
    forecast,
    in_hours,
    in_words,
    period_at,
    price_minor,
    slowing,
    tightest,
)
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.hours import Local, parse_hours

LIMA = ZoneInfo("America/Lima")
SANTIAGO = ZoneInfo("America/Santiago")  # sets its clocks at midnight: some days have no 00:00
GB = 1_000_000_000
STEPS = Steps()

zones = some.sampled_from([UTC, LIMA, SANTIAGO, ZoneInfo("Europe/Madrid"), ZoneInfo("Asia/Kathmandu"), None])
walls = some.floats(1_800_000_000, 2_000_000_000)
allowances = some.builds(
    Allowance,
    size_bytes=some.integers(1_000_000, 10**13),
    every=some.sampled_from(list(Every)),
    day=some.integers(1, 31),
    hour=some.integers(0, 23),
)


def at(text: str, zone: ZoneInfo = LIMA) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@given(allowances, walls, zones)
def test_a_moment_is_in_one_period_and_its_end_begins_the_next(
    allowance: Allowance, wall_s: float, zone: ZoneInfo
) -> None:
    period = period_at(allowance, wall_s, zone)
    assert period.begin_s <= wall_s < period.end_s
    assert period_at(allowance, period.end_s, zone).begin_s == period.end_s
    assert period_at(allowance, period.begin_s, zone) == period
    days = (period.end_s - period.begin_s) / 86_400
    assert 0.9 < days < 1.1 if allowance.every is Every.DAY else 27.9 < days < 31.1


@given(allowances, walls, zones, some.lists(some.integers(0, 2 * 10**13), min_size=2, max_size=2))
def test_more_used_never_allows_more(allowance: Allowance, wall_s: float, zone: ZoneInfo, used: list[int]) -> None:
    less, more = (slowing(allowance, each, wall_s, STEPS, zone) for each in sorted(used))
    for each in (TrafficClass.WEB, TrafficClass.BULK):
        ceilings = [told.ceiling_bps(each, 4_000_000) for told in (less, more)]
        low, high = (4_000_000 if ceiling is None else ceiling for ceiling in ceilings)
        assert high <= low


@given(allowances, walls, zones, some.integers(0, 2 * 10**13))
def test_calls_and_orders_are_never_slowed_and_the_web_only_once_bulk_stands(
    allowance: Allowance, wall_s: float, zone: ZoneInfo, used: int
) -> None:
    told = slowing(allowance, used, wall_s, STEPS, zone)
    assert told.ceiling_bps(TrafficClass.REALTIME, 4_000_000) is None
    assert told.ceiling_bps(TrafficClass.INTERACTIVE, 4_000_000) is None
    if told.web_ratio < 1:
        assert told.ceiling_bps(TrafficClass.BULK, 4_000_000) == 0
        web = told.ceiling_bps(TrafficClass.WEB, 4_000_000)
        assert web is not None
        assert web >= STEPS.web_floor_bps


@given(allowances, walls, zones, some.integers(0, 10**13))
def test_nothing_is_slowed_while_the_data_outlasts_the_time(
    allowance: Allowance, wall_s: float, zone: ZoneInfo, used: int
) -> None:
    period = period_at(allowance, wall_s, zone)
    time_left = (period.end_s - wall_s) / (period.end_s - period.begin_s)
    if used < allowance.size_bytes and 1 - used / allowance.size_bytes >= time_left:
        assert slowing(allowance, used, wall_s, STEPS, zone) == FULL_SPEED


@given(allowances, walls, zones, some.integers(0, 10**13), some.none() | some.floats(0, 1e7))
def test_a_forecast_is_within_its_period_and_comes_sooner_the_more_is_used(
    allowance: Allowance, wall_s: float, zone: ZoneInfo, used: int, recent: float | None
) -> None:
    told = forecast(allowance, used, wall_s, recent, zone)
    more = forecast(allowance, used + 10**9, wall_s, recent, zone)
    assert told.left_bytes >= more.left_bytes
    if told.ends_wall_s is not None:
        assert wall_s <= told.ends_wall_s < told.renews_wall_s
        assert more.ends_wall_s is not None
        assert more.ends_wall_s <= told.ends_wall_s
    message, values = in_words(told, wall_s, zone)
    assert message % values


def test_at_this_pace_it_ends_on_the_23rd() -> None:
    allowance = Allowance(30 * GB)
    now = at("2027-03-12T00:00")
    told = forecast(allowance, 15 * GB, now, 15 * GB / (11 * 86_400), LIMA)
    message, values = in_words(told, now, LIMA)
    assert message % values == "At this pace it ends on 2027-03-23."


@pytest.mark.parametrize("used_bytes", [0, 40_000_000, 400_000_000])
def test_the_first_hours_of_a_month_go_by_the_days_before(used_bytes: int) -> None:
    allowance = Allowance(30 * GB)
    now = at("2027-03-01T02:00")
    told = forecast(allowance, used_bytes, now, 2 * GB / 86_400, LIMA)
    assert told.ends_wall_s is not None
    assert at("2027-03-12T00:00") < told.ends_wall_s < at("2027-03-19T00:00"), "15 days at 2 GB a day, or a little less"


def test_without_days_before_the_first_hours_say_nothing() -> None:
    now = at("2027-03-01T02:00")
    told = forecast(Allowance(30 * GB), 400_000_000, now, None, LIMA)
    assert not told.is_known
    assert in_words(told, now, LIMA)[0] == "It is too early to say how long the allowance lasts."
    later = forecast(Allowance(30 * GB), 3 * GB, at("2027-03-02T12:00"), None, LIMA)
    assert later.ends_wall_s == pytest.approx(at("2027-03-16T00:00"))


def test_the_words_say_today_used_up_and_that_it_lasts() -> None:
    daily = Allowance(GB, Every.DAY)
    noon = at("2027-03-10T12:00")
    today = in_words(forecast(daily, 900_000_000, noon, None, LIMA), noon, LIMA)
    assert today[0] % today[1] == "At this pace it ends today at 13:20:00."
    gone = in_words(forecast(daily, GB, noon, None, LIMA), noon, LIMA)
    assert gone[0] % gone[1] == "The allowance is used up. It begins anew on 2027-03-11."
    lasts = in_words(forecast(daily, GB // 4, noon, None, LIMA), noon, LIMA)
    assert lasts[0] % lasts[1] == "At this pace it lasts until 2027-03-11, when it begins anew."


def test_a_month_that_begins_on_the_31st_begins_on_the_last_day_of_shorter_ones() -> None:
    allowance = Allowance(GB, day=31, hour=6)
    period = period_at(allowance, at("2027-03-01T00:00"), LIMA)
    assert period == (at("2027-02-28T06:00"), at("2027-03-31T06:00"))
    assert period_at(allowance, at("2027-02-28T05:59"), LIMA).begin_s == at("2027-01-31T06:00")


def test_a_day_on_which_clocks_are_set_is_an_hour_longer_or_shorter() -> None:
    daily = Allowance(GB, Every.DAY, hour=12)
    madrid = ZoneInfo("Europe/Madrid")
    spring = period_at(daily, at("2027-03-28T00:00", madrid), madrid)
    autumn = period_at(daily, at("2027-10-31T00:00", madrid), madrid)
    assert [(each.end_s - each.begin_s) / 3_600 for each in (spring, autumn)] == [23, 25]


def test_bulk_gives_way_by_quarters_then_the_web_by_halves() -> None:
    allowance, now = Allowance(100 * GB), at("2027-03-16T12:00")  # half of the month is left
    near_end = at("2027-03-28T00:00")  # and here an eighth of it
    told = [slowing(allowance, used * GB, now, STEPS, LIMA) for used in (79, 81, 90, 94, 97, 100, 150)]
    assert [each.bulk_ratio for each in told] == [1, 0, 0, 0, 0, 0, 0]
    assert [each.web_ratio for each in told] == [1, 1, 0.5, 0.25, 0.125, 0, 0]
    assert told[-1].ceiling_bps(TrafficClass.WEB, 4_000_000) == STEPS.web_floor_bps
    late = [slowing(allowance, used * 10**8, near_end, STEPS, LIMA).bulk_ratio for used in (870, 877, 883, 888, 899)]
    assert late == [1, 0.75, 0.5, 0.25, 0]


def test_a_tenant_keeps_within_its_cap_and_the_links() -> None:
    assert tightest([]) == FULL_SPEED
    told = tightest([Slowing(0.5, 0.0, 64_000), FULL_SPEED, Slowing(1.0, 0.25, 64_000)])
    assert told == Slowing(0.5, 0.0, 64_000)


def test_bulk_waits_for_its_hours() -> None:
    windows = [parse_hours("22:00-05:00")]
    assert in_hours(FULL_SPEED, windows, Local(7, 12 * 3_600)).ceiling_bps(TrafficClass.BULK, 10**6) == 0
    assert in_hours(FULL_SPEED, windows, Local(7, 3 * 3_600)) == FULL_SPEED
    assert in_hours(FULL_SPEED, [], Local(7, 12 * 3_600)) == FULL_SPEED


@given(some.integers(0, 10**15), some.integers(0, 10**6))
def test_money_is_exact(size_bytes: int, gigabyte_minor: int) -> None:
    assert abs(price_minor(size_bytes, gigabyte_minor) * GB - size_bytes * gigabyte_minor) * 2 <= GB


def test_the_examples_hold() -> None:
    assert doctest.testmod(module).failed == 0
