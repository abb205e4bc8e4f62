"""What goes first: what is unused for long, and sooner where its bytes came cheap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.store.eviction import BONUS_S_MAX, HEAD_BYTES, PINNED_S, Room, bonus_s, victims

SIZES = st.integers(0, 10**10)


@pytest.mark.parametrize(
    ("held", "free", "wanted", "is_there", "excess"),
    [
        (0, 10_000, 500, False, -500),  # there is room
        (1_000, 10_000, 0, False, 0),  # full to the brim, and nothing wanted
        (900, 10_000, 300, False, 200),
        (900, 10_000, 300, True, 200),  # it counts, wherever it lies now
        (0, 1_200, 300, False, 100),  # others need 1,000 of the disk
        (0, 1_200, 300, True, -200),  # it takes nothing that it has not taken already
        (900, 900, 300, False, 400),  # the worse of both
        (5_000, 10_000, 0, False, 4_000),  # the limit was lowered
    ],
)
def test_so_much_has_to_go(held: int, free: int, wanted: int, is_there: bool, excess: int) -> None:
    room = Room(held_bytes=held, size_bytes_max=1_000, free_bytes=free, free_bytes_min=1_000)
    assert room.excess_bytes(wanted, is_there=is_there) == excess


@given(st.floats(0.0, 1e6), st.floats(0.0, 1e6), SIZES)
def test_a_byte_that_cost_more_stays_no_shorter(one_s: float, other_s: float, size_bytes: int) -> None:
    cheap, dear = sorted((one_s, other_s))
    assert 0.0 <= bonus_s(cheap, size_bytes) <= bonus_s(dear, size_bytes) <= BONUS_S_MAX < PINNED_S


@pytest.mark.parametrize("cost_s", [0.0, -1.0, float("nan")])
def test_what_cost_nothing_has_no_bonus(cost_s: float) -> None:
    assert bonus_s(cost_s, 1_000) == 0.0


def test_a_page_outlives_a_film_of_the_same_hour_by_most_of_a_day() -> None:
    page, film = bonus_s(0.6, 4_000), bonus_s(800.0, 100_000_000)
    assert 43_200.0 < page - film < 86_400.0


@given(st.lists(st.tuples(st.text(), st.integers(0, 10_000))), st.integers(-10, 50_000))
def test_no_more_goes_than_is_needed(by_rank: list[tuple[str, int]], excess: int) -> None:
    gone = victims(by_rank, excess)
    assert gone == [key for key, _ in by_rank[: len(gone)]], "the lowest rank first"
    freed = [size_bytes + HEAD_BYTES for _, size_bytes in by_rank[: len(gone)]]
    assert sum(freed[:-1]) < max(excess, 1), "the last of them was needed"
    assert sum(freed) >= excess or len(gone) == len(by_rank)
