"""No age is negative, no lifetime either, and reading an answer's fields again costs nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.rules import freshness
from gateway.web.rules.fields import Fields
from gateway.web.rules.freshness import HEURISTIC_S_MAX, Times, age_s, lifetime_s

DATE = ("Date", "Fri, 15 Jan 2027 08:00:00 GMT")
CAME_S = 1_800_000_000.0
AGES = st.one_of(st.integers(-(10**30), 10**30).map(str), st.text(max_size=20), st.just("1, 2"))


@given(AGES, AGES, st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_an_age_is_never_negative_whatever_clocks_and_origins_say(
    one: str, other: str, asked_s: float, passed_s: float
) -> None:
    times = Times(CAME_S - asked_s, CAME_S)
    assert age_s((DATE, ("Age", one), ("Age", other)), times, CAME_S + passed_s) >= 0


@pytest.mark.parametrize(
    ("ages", "age"),
    [(("7",), 7), (("7, 9",), 7), (("7", "9"), 7), (("", "9"), 9), (("x, 9",), 0), (("-1",), 0), (("9" * 30,), 2**31)],
)
def test_of_several_ages_the_first_counts(ages: tuple[str, ...], age: int) -> None:
    assert age_s((DATE, *(("Age", each) for each in ages)), Times(CAME_S, CAME_S), CAME_S) == age


def test_the_time_on_the_way_counts() -> None:
    assert age_s((DATE, ("Age", "10")), Times(CAME_S - 5, CAME_S), CAME_S + 2) == 17


def test_nobody_guesses_more_than_a_day() -> None:
    old: Fields = (DATE, ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"))
    assert lifetime_s(200, old, Times(CAME_S, CAME_S), "") == HEURISTIC_S_MAX


def test_a_targeted_lifetime_is_for_its_realm() -> None:
    fields: Fields = (DATE, ("Cache-Control", "max-age=1"), ("CDN-Cache-Control", "max-age=9"))
    times = Times(CAME_S, CAME_S)
    assert (lifetime_s(200, fields, times, "sitio"), lifetime_s(200, fields, times, "")) == (9, 1)


def test_the_fields_of_a_stored_answer_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fields: Fields = (DATE, ("Expires", "Fri, 15 Jan 2027 09:00:00 GMT"), ("X", "read once"))
    times = Times(CAME_S, CAME_S)
    before = (lifetime_s(200, fields, times, ""), age_s(fields, times, CAME_S))
    monkeypatch.setattr(freshness, "http_date", None)
    assert (lifetime_s(200, fields, times, ""), age_s(fields, times, CAME_S)) == before == (3600, 0)
