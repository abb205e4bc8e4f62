"""A few short trains of packets tell what a link carries, and the weakest link is soon rid of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.sensing.trains import ENOUGH_BPS, FIRST_BYTES, LASTS_S, Passed, Trains, came, passed

MOST_BYTES = 65_536


def over(carries_bps: float, bytes_max: int = MOST_BYTES) -> tuple[Trains, int, float]:
    """Send trains over a link without jitter; returns what they told, their bytes, and how long they took."""
    trains, sent_bytes, took_s = Trains(), 0, 0.0
    while trains.next_bytes is not None:
        size_bytes = trains.next_bytes
        sent_bytes += size_bytes
        took_s += size_bytes * 8 / carries_bps
        trains = came(trains, size_bytes, size_bytes * 8 / carries_bps, bytes_max)
    return trains, sent_bytes, took_s


@given(st.integers(10_000, 100_000_000))
def test_they_tell_what_it_carries(carries_bps: int) -> None:
    found = over(carries_bps)[0].carries_bps
    assert found is not None
    assert found >= ENOUGH_BPS or found == pytest.approx(carries_bps, rel=0.01)


@given(st.integers(40_000, 100_000_000))
def test_they_take_little_of_its_time_and_of_its_data(carries_bps: int) -> None:
    _, sent_bytes, took_s = over(carries_bps)
    assert took_s < 1.3
    assert sent_bytes < 2 * MOST_BYTES


def test_the_weakest_link_gets_one() -> None:
    assert over(40_000)[1] == FIRST_BYTES


def test_a_link_that_carries_more_than_any_call_takes_is_not_filled() -> None:
    assert over(20_000_000)[1] < MOST_BYTES


@given(st.integers(10_000, 10_000_000), st.integers(0, MOST_BYTES))
def test_none_is_larger_than_allowed_but_for_the_first(carries_bps: int, bytes_max: int) -> None:
    trains = Trains()
    while trains.next_bytes is not None:
        assert trains.next_bytes <= max(bytes_max, FIRST_BYTES)
        trains = came(trains, trains.next_bytes, trains.next_bytes * 8 / carries_bps, bytes_max)


def test_a_train_that_takes_no_time_at_all_is_no_error() -> None:
    assert came(Trains(), FIRST_BYTES, 0.0, MOST_BYTES).next_bytes == 2 * FIRST_BYTES


def test_a_pause_of_the_radio_ends_it_with_what_came_till_then() -> None:
    assert came(Trains(), FIRST_BYTES, LASTS_S, MOST_BYTES) == Trains(None, int(FIRST_BYTES * 8 / LASTS_S))


@given(st.integers(20_000, 1_000_000), st.floats(0.0, 5.0))
def test_a_train_that_loses_its_end_tells_what_it_was_before(carries_bps: int, late_s: float) -> None:
    piece_bytes, pieces = 1_400, 16
    piece_s = piece_bytes * 8 / carries_bps
    through = Passed()
    for number in range(1, pieces):
        through = passed(through, number * piece_bytes, number * piece_s)
    through = passed(through, pieces * piece_bytes, pieces * piece_s + late_s)
    if (pieces - 1) * piece_s >= LASTS_S:
        assert through.size_bytes * 8 / through.lasted_s == pytest.approx(carries_bps)
    else:
        assert through == Passed(pieces * piece_bytes, pieces * piece_s + late_s), "too short to be sure of"
