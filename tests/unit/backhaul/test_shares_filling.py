"""A whole divided by water-filling: exact, within every bound, and fair wherever no bound holds."""

import doctest

from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.sharing import filling
from gateway.backhaul.sharing.filling import UNLIMITED, Side, by_weight, equally, in_two

WHOLE = st.integers(0, 10_000)
MOST = st.just(UNLIMITED) | st.integers(0, 3_000)


@st.composite
def sides(draw: st.DrawFn) -> list[Side]:
    found = []
    for weight, most in draw(st.lists(st.tuples(st.integers(1, 20), MOST), min_size=1, max_size=8)):
        found.append(Side(weight, draw(st.integers(0, min(most, 1_000))), most))
    return found


@given(WHOLE, st.lists(MOST, max_size=10))
def test_alike_means_nobody_gets_less_than_another_who_takes_as_much(whole: int, most: list[int]) -> None:
    parts = equally(whole, most)
    assert sum(parts) == min(whole, sum(most))
    level = max(parts, default=0)
    assert all(part == limit or part >= level - 1 for part, limit in zip(parts, most, strict=True))


@given(WHOLE, st.integers(0, 3), st.lists(MOST, max_size=10))
def test_no_equal_part_falls_as_the_whole_grows(whole: int, more: int, most: list[int]) -> None:
    assert all(less <= grown for less, grown in zip(equally(whole, most), equally(whole + more, most), strict=True))


@given(WHOLE, sides())
def test_weighted_parts_keep_their_bounds_and_give_out_all_but_rounding(whole: int, among: list[Side]) -> None:
    parts = by_weight(whole, among)
    assert all(part <= side.most for part, side in zip(parts, among, strict=True))
    assert min(whole, sum(side.most for side in among)) - len(among) < sum(parts) <= whole
    if sum(side.least for side in among) <= whole:
        assert all(part >= side.least for part, side in zip(parts, among, strict=True))


@given(WHOLE, sides())
def test_by_weight_nobody_is_poorer_than_another_but_by_a_bound(whole: int, among: list[Side]) -> None:
    """Max-min: whoever could take more has, for their weight, as much as any who is above their minimum."""
    parts = by_weight(whole, among)
    if sum(side.least for side in among) >= whole:
        return
    hungry = [part / side.weight for part, side in zip(parts, among, strict=True) if part < side.most]
    loose = [(part - 1) / side.weight for part, side in zip(parts, among, strict=True) if part > side.least]
    for part, side in zip(parts, among, strict=True):
        if part < side.most:
            assert all((part + 1) / side.weight >= level for level in loose), (hungry, loose)


@given(WHOLE, st.integers(0, 3), sides())
def test_no_weighted_part_falls_as_the_whole_grows(whole: int, more: int, among: list[Side]) -> None:
    assert all(
        less <= grown for less, grown in zip(by_weight(whole, among), by_weight(whole + more, among), strict=True)
    )


@given(WHOLE, st.floats(0.01, 0.99), MOST, MOST)
def test_of_two_each_gets_its_ratio_or_what_the_other_leaves(whole: int, ratio: float, first: int, second: int) -> None:
    one, other = in_two(whole, ratio, first, second)
    assert (one <= first, other <= second) == (True, True)
    assert one + other == min(whole, first + second)
    assert one >= min(first, int(whole * ratio))


def test_docstring_examples_hold() -> None:
    result = doctest.testmod(filling)
    assert (result.failed, result.attempted > 0) == (0, True)
