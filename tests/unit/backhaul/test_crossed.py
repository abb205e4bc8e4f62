"""What has crossed the link is what its interface counts, and at least what the box has used."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.sensing.crossed import AHEAD_BYTES_MAX, Crossed
from gateway.backhaul.sensing.samples import CounterSample


def feed(crossed: Crossed, seen_bytes: int, used_bytes: int) -> int:
    return crossed.feed(1.0, CounterSample(1.0, seen_bytes, 0), CounterSample(1.0, used_bytes, 0)).down_bytes


def test_where_the_bytes_go_by_another_interface_what_was_used_counts() -> None:
    crossed = Crossed()
    assert [feed(crossed, 60, used) for used in (0, 100_000, 200_000)] == [60, 100_000, 200_000]


def test_after_others_have_carried_much_what_goes_by_another_interface_soon_counts() -> None:
    crossed = Crossed()
    before = feed(crossed, 1_000_000_000, 0)
    assert feed(crossed, 1_000_000_000, AHEAD_BYTES_MAX + 5_000_000) == before + 5_000_000


def test_bytes_that_are_noted_a_moment_later_count_once() -> None:
    crossed = Crossed()
    for tick in range(1, 100):
        assert feed(crossed, tick * 1_500, (tick - 2) * 1_448 if tick > 1 else 0) == tick * 1_500


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=30))
def test_it_is_never_less_than_was_seen_or_used_and_never_falls(steps: list[tuple[int, int]]) -> None:
    crossed, seen, used, last = Crossed(), 0, 0, 0
    for more_seen, more_used in steps:
        seen, used = seen + more_seen, used + more_used
        now = feed(crossed, seen, used)
        assert now >= max(last, seen, used)
        assert now - last <= more_seen + more_used
        last = now
