"""How large a receive window is: whole segments, and over successive calls what the rate carries in a round trip."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.shaping.window import SEGMENTS_MIN, WINDOW_BYTES_MAX, window_for

MSS_BYTES = 1_448
CALLS = 200
RATES = st.integers(0, 100_000_000)
TIMES = st.floats(0.001, 5.0)
MSS = st.sampled_from((536, 1_220, 1_448, 65_483))


@given(RATES, TIMES, st.floats(0, 0.1), MSS, st.floats(-1e6, 1e6))
def test_a_window_is_whole_segments_and_never_fewer_than_one(
    rate_bps: int, rtt_s: float, target_s: float, mss_bytes: int, owed_bytes: float
) -> None:
    window = window_for(rate_bps, rtt_s, target_s, mss_bytes, owed_bytes)
    assert window.size_bytes >= SEGMENTS_MIN * mss_bytes
    assert window.size_bytes % mss_bytes == 0 or window.size_bytes == WINDOW_BYTES_MAX
    assert abs(window.owed_bytes) <= mss_bytes


@given(st.integers(1_000_000, 40_000_000), st.floats(0.025, 0.6), st.floats(0, 0.05))
def test_the_mean_of_successive_windows_is_what_the_rate_carries(rate_bps: int, rtt_s: float, target_s: float) -> None:
    wanted_bytes = rate_bps / 8 * (rtt_s + target_s)
    owed_bytes, given_bytes, sizes = 0.0, 0, set()
    for _ in range(CALLS):
        size_bytes, owed_bytes = window_for(rate_bps, rtt_s, target_s, MSS_BYTES, owed_bytes)
        given_bytes += size_bytes
        sizes.add(size_bytes)
    assert abs(given_bytes / CALLS - wanted_bytes) <= MSS_BYTES / CALLS + 1
    assert max(sizes) - min(sizes) <= MSS_BYTES, "only the two next to it"


def test_a_debt_does_not_grow_while_the_rate_is_below_one_segment() -> None:
    owed_bytes = 0.0
    for _ in range(CALLS):
        size_bytes, owed_bytes = window_for(10_000, 0.04, 0.01, MSS_BYTES, owed_bytes)
        assert size_bytes == SEGMENTS_MIN * MSS_BYTES
    size_bytes, owed_bytes = window_for(4_000_000, 0.04, 0.01, MSS_BYTES, owed_bytes)
    assert size_bytes >= 25_000 - 2 * MSS_BYTES, "what was given too much is held against it once"


def test_a_window_is_never_larger_than_its_field_can_say() -> None:
    assert window_for(1_000_000_000, 0.6, 0.03, MSS_BYTES).size_bytes == WINDOW_BYTES_MAX
