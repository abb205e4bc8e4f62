"""Queueing delay is what a path's delay is above its least of late, without what the radio's silence took."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backhaul.sensing.delay import PATHS_MAX, SPAN_S, SPANS, BaseDelay, Queueing, RoundTrips, Silence
from gateway.backhaul.sensing.samples import DelaySample, Sees

FEW = settings(max_examples=40, deadline=None)
BELIEVED_S = SPAN_S * SPANS
DELAYS_S = st.floats(0.001, 5.0)


def heard(queueing: Queueing, at_s: float, delay_s: float, path: str = "far") -> float:
    return queueing.feed(DelaySample(at_s, delay_s, path, Sees.BOTH))[0]


@FEW
@given(st.lists(DELAYS_S, min_size=1, max_size=60))
def test_the_base_delay_is_the_least_of_the_last_half_minute(delays_s: list[float]) -> None:
    base = BaseDelay()
    for second, delay_s in enumerate(delays_s):
        told_s = base.feed(float(second), delay_s)
        assert told_s <= min(delays_s[max(0, second - int(BELIEVED_S - SPAN_S)) : second + 1])
        assert told_s >= min(delays_s[max(0, second - int(BELIEVED_S)) : second + 1])


def test_a_base_delay_that_fell_is_learned_at_once_and_one_that_grew_after_half_a_minute() -> None:
    base = BaseDelay()
    assert base.feed(0.0, 0.07) == 0.07
    assert base.feed(1.0, 0.04) == 0.04
    told_s = [base.feed(1.0 + tick, 0.07) for tick in range(60)]
    grown_at_s = told_s.index(0.07)
    assert BELIEVED_S - SPAN_S <= grown_at_s <= BELIEVED_S


@FEW
@given(st.lists(st.tuples(st.floats(0.0, 3.0), DELAYS_S, st.sampled_from("abc"), st.integers(0, 1)), max_size=60))
def test_queueing_is_never_negative_nor_more_than_the_delay(story: list[tuple[float, float, str, int]]) -> None:
    queueing, now_s, carried_bytes = Queueing(), 10.0, 0
    for passed_s, delay_s, path, more in story:
        now_s += passed_s
        carried_bytes += more
        queueing.silence.feed(now_s, carried_bytes, 0.06)
        told_s, base_s = queueing.feed(DelaySample(now_s, delay_s, path, Sees.BOTH))
        assert 0.0 <= told_s <= delay_s
        assert base_s <= delay_s


def test_each_path_and_each_direction_has_a_base_of_its_own() -> None:
    queueing = Queueing()
    assert heard(queueing, 0.0, 0.04, "near") == 0.0
    assert heard(queueing, 0.1, 0.2, "far") == 0.0
    assert queueing.feed(DelaySample(0.2, 77.0, "near", Sees.DOWN))[0] == 0.0
    assert heard(queueing, 0.3, 0.05, "near") == pytest.approx(0.01)


def test_no_more_paths_are_kept_than_there_is_room_for_and_the_one_in_use_stays() -> None:
    queueing = Queueing()
    heard(queueing, 0.0, 0.04, "used")
    for number in range(3 * PATHS_MAX):
        heard(queueing, 0.0, 0.5, f"path {number}")
        heard(queueing, 0.0, 0.05, "used")
    assert len(queueing._paths) == PATHS_MAX
    assert heard(queueing, 0.1, 0.06, "used") == pytest.approx(0.02)


def test_the_silence_of_a_radio_is_no_queue() -> None:
    queueing = Queueing()
    for tick in range(10):
        queueing.silence.feed(tick * 0.02, 1_000 * tick, 0.06)
        heard(queueing, tick * 0.02, 0.04)
    queueing.silence.feed(1.7, 20_000, 0.06)  # nothing came for 1.52 s
    assert heard(queueing, 1.7, 0.04 + 1.5) == 0.0
    assert heard(queueing, 1.72, 0.04 + 1.52 + 0.08) == pytest.approx(0.08)


def test_a_pause_in_which_nothing_was_due_is_not_asked_for_patience() -> None:
    silence = Silence()
    silence.feed(0.0, 0, 0.06)
    silence.feed(0.05, 100, 0.06)
    assert silence.within_s(0.0, 1.0) == 0.0
    assert silence.lasts_s(0.3) == pytest.approx(0.25)
    silence.feed(0.3, 200, 0.06)
    assert silence.within_s(0.0, 1.0) == pytest.approx(0.25)
    assert silence.within_s(0.1, 0.2) == pytest.approx(0.1)


@pytest.mark.parametrize("drift_ppm", [-100.0, 100.0])
def test_a_far_clock_that_drifts_by_100_ppm_is_worth_no_more_than_3_ms(drift_ppm: float) -> None:
    queueing = Queueing()
    for tick in range(6_000):
        at_s = tick * 0.05
        told_s = heard(queueing, at_s, 50.0 + 0.02 + at_s * drift_ppm * 1e-6)
        assert told_s <= BELIEVED_S * 100e-6 + 1e-9


def smoothed(before_us: int, sample_us: int, *, receives: bool) -> int:
    """What the kernel keeps, eight times the figure."""
    at_once = receives and sample_us << 3 < before_us
    return sample_us << 3 if at_once else before_us + sample_us - (before_us >> 3)


@FEW
@given(st.lists(st.integers(1_000, 2_000_000), min_size=2, max_size=40), st.booleans(), st.data())
def test_a_round_trip_is_told_as_it_was_before_the_kernel_smoothed_it(
    samples_us: list[int], receives: bool, data: st.DataObject
) -> None:
    trips, kept_us, segments = RoundTrips(receives=receives), samples_us[0] << 3, 1
    trips.feed(1, 1.0, (kept_us >> 3) * 1e-6, segments, None)
    for sample_us in samples_us[1:]:
        kept_us, before_us = smoothed(kept_us, sample_us, receives=receives), kept_us
        segments += data.draw(st.sampled_from((1, 2)))
        told_s = trips.feed(1, 1.0, (kept_us >> 3) * 1e-6, segments, 0.001)
        if kept_us >> 3 != before_us >> 3:
            assert told_s == pytest.approx(sample_us * 1e-6, abs=20e-6)


def test_the_second_segment_of_a_sample_tells_nothing_new() -> None:
    trips = RoundTrips(receives=True)
    trips.feed(1, 1.0, 0.1, 1, 0.04)
    assert trips.feed(1, 1.0, 0.1, 2, 0.04) is None
    assert trips.feed(1, 1.0, 0.1, 2, 0.04) is None
    assert trips.feed(1, 1.0, 0.105, 3, 0.04) == pytest.approx(0.14)
    assert trips.feed(1, 1.0, 0.105, 4, 0.04) is None  # or a queue that is long gone would be told again and again


def test_a_round_trip_that_may_be_longer_than_told_is_not_told_again() -> None:
    trips = RoundTrips(receives=True)
    trips.feed(1, 1.0, 0.1, 1, 0.04)
    assert trips.feed(1, 2.0, 0.1, 9, 0.04, was_read=False) is None
    assert trips.feed(1, 3.0, 0.09, 19, 0.04, was_read=False) == 0.09, "a shorter one is taken in any case"
    assert trips.feed(1, 4.0, 0.09, 29, 0.04) == pytest.approx(0.09)


def test_who_gets_little_is_told_of_all_the_same() -> None:
    trips = RoundTrips(receives=True)
    trips.feed(1, 1.0, 0.1, 1, 0.04)
    assert trips.feed(1, 1.02, 0.1, 2, 0.04) is None
    assert trips.feed(1, 1.5, 0.1, 3, 0.04) == 0.1


def test_a_connection_that_was_made_beside_a_queue_sees_that_it_is_gone() -> None:
    trips = RoundTrips(receives=True)
    trips.feed(1, 1.0, 0.2, 1, 0.2)
    assert trips.feed(1, 1.0, 0.04, 2, 0.2) == 0.04


@FEW
@given(st.lists(st.tuples(st.integers(40_000, 500_000), st.integers(1, 6)), min_size=1, max_size=30))
def test_a_wrong_guess_of_how_many_samples_there_were_is_not_below_the_least(story: list[tuple[int, int]]) -> None:
    """Each segment a sample: three times as many as was thought."""
    trips, kept_us, segments = RoundTrips(receives=False), 300_000 << 3, 1
    trips.feed(1, 1.0, 0.3, segments, 0.04)
    for sample_us, count in story:
        for _ in range(count):
            kept_us = smoothed(kept_us, sample_us, receives=False)
        segments += count
        told_s = trips.feed(1, 1.0, (kept_us >> 3) * 1e-6, segments, 0.04)
        assert told_s is None or told_s >= 0.04 - 20e-6


def test_flows_that_are_gone_are_forgotten() -> None:
    trips = RoundTrips(receives=True)
    for flow in range(5):
        trips.feed(flow, 1.0, 0.1, 1, None)
    trips.forget(3)
    assert list(trips._last) == [0, 1, 2, 4]
    assert trips.feed(7, 1.0, None, 1, None) is None
