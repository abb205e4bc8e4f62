"""The far clock's bounds hold through queues and drift, and exclude each other when it is set."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.sensing.far_clock import FarClock

TRIPS = st.lists(st.tuples(st.floats(0.001, 6), st.floats(0.001, 6)), min_size=2, max_size=50)


@given(TRIPS, st.floats(-1e6, 1e6), st.floats(-4e-4, 4e-4))
def test_queues_and_drift_never_look_like_a_clock_that_was_set(
    trips: list[tuple[float, float]], ahead_s: float, drift_ratio: float
) -> None:
    clock = FarClock()
    for number, (up_s, down_s) in enumerate(trips, 1):
        at_s = number * 10.0
        assert clock.fits(at_s, ahead_s + drift_ratio * at_s + up_s, up_s + down_s)


def test_a_clock_that_was_set_is_noticed_once() -> None:
    clock = FarClock()
    assert clock.fits(1.0, 5.020, 0.040)
    assert not clock.fits(2.0, 8.020, 0.040)
    assert clock.fits(3.0, 8.020, 0.040)


def test_a_wrong_tick_is_noticed_within_seconds() -> None:
    """A sender of 1024 ticks a second taken for one of 1000, over a link of 40 ms."""
    clock = FarClock()
    assert next(at for at in range(1, 60) if not clock.fits(float(at), -0.024 * at, 0.040)) <= 4
