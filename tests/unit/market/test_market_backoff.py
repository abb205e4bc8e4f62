"""Pauses between tries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.backoff import pause_s, retry_after_s


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_a_pause_is_within_its_limits(failures: int, fraction: float) -> None:
    assert 0.5 <= pause_s(failures, fraction, least_s=1.0, most_s=300.0) <= 300.0


@given(st.integers(1, 50), st.floats(0, 1))
def test_a_pause_does_not_shrink_as_failures_add_up(failures: int, fraction: float) -> None:
    assert pause_s(failures + 1, fraction, least_s=1.0, most_s=300.0) >= pause_s(
        failures, fraction, least_s=1.0, most_s=300.0
    )


@pytest.mark.parametrize(
    ("field", "expected_s"),
    [
        (None, None),
        ("", None),
        ("120", 120.0),
        ("0", 0.0),
        ("-5", None),
        ("1.5", None),
        ("9" * 5_000, 999_999_999.0),
        ("١٢", None),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 99 Jan 1970", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(field: str | None, expected_s: float | None) -> None:
    assert retry_after_s(field, 100.0) == expected_s
