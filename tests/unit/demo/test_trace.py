"""A trace says at which milliseconds a packet may leave, and is looped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.trace import LINES_MAX, Trace, parse_trace

TRACES = st.lists(st.integers(1, 500), min_size=1, max_size=50).map(lambda times: Trace(tuple(sorted(times))))


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "0\n", "-1\n5\n", "5\n4\n", "1.5\n", "one\n", "\n" * (LINES_MAX + 1)]
)
def test_what_is_no_trace_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_trace(text)


def test_lines_are_opportunities_and_comments_are_not() -> None:
    assert parse_trace("# made by hand\n\n3\n3\n1000\n").times_ms == (3, 3, 1000)


def test_the_mean_rate_counts_every_opportunity_of_a_round() -> None:
    assert Trace((1, 1, 500, 1000)).mean_bps == 4 * 1_500 * 8


@given(TRACES, st.integers(0, 300))
def test_opportunities_never_go_back_and_repeat_each_round(trace: Trace, opportunity: int) -> None:
    round_length = len(trace.times_ms)
    assert trace.time_s(opportunity) <= trace.time_s(opportunity + 1)
    again = trace.time_s(opportunity + round_length)
    assert again == pytest.approx(trace.time_s(opportunity) + trace.period_s)


@given(TRACES, st.floats(0, 20))
def test_the_first_opportunity_from_an_instant_is_not_before_it_and_the_one_before_is(
    trace: Trace, elapsed_s: float
) -> None:
    found = trace.first_from(elapsed_s)
    assert trace.time_s(found) >= elapsed_s - 1e-8
    if found:
        assert trace.time_s(found - 1) < elapsed_s + 1e-8


@given(TRACES, st.integers(0, 300))
def test_an_opportunitys_own_instant_finds_its_millisecond(trace: Trace, opportunity: int) -> None:
    assert trace.time_s(trace.first_from(trace.time_s(opportunity))) == trace.time_s(opportunity)
