"""Shares never add up to more than the link carries, never fall as it carries more, and leave nobody out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.policy import Policy
from gateway.backhaul.sharing.shares import Capacity, divide

REALTIME, INTERACTIVE, WEB, BULK = TrafficClass
CAPACITY = st.integers(0, 200_000_000)
IN_USE = st.dictionaries(st.sampled_from(list(TrafficClass)), st.integers(0, 50))
WANTED = st.integers(0, 5_000_000)


def used(in_use: dict[TrafficClass, int]) -> list[TrafficClass]:
    return [each for each, count in in_use.items() if count]


@given(CAPACITY, IN_USE, WANTED)
def test_the_shares_in_use_never_exceed_the_capacity(
    capacity_bps: int, in_use: dict[TrafficClass, int], wanted_bps: int
) -> None:
    shares = divide(capacity_bps, in_use, wanted_bps)
    assert set(shares) == set(TrafficClass)
    assert min(shares.values()) >= 0
    assert sum(shares[each] for each in used(in_use)) <= capacity_bps


@given(CAPACITY, st.integers(0, 1_000_000), IN_USE, WANTED)
def test_no_share_falls_as_the_capacity_grows(
    capacity_bps: int, more_bps: int, in_use: dict[TrafficClass, int], wanted_bps: int
) -> None:
    less, more = divide(capacity_bps, in_use, wanted_bps), divide(capacity_bps + more_bps, in_use, wanted_bps)
    assert all(more[each] >= less[each] for each in TrafficClass)


@given(CAPACITY, IN_USE, WANTED)
def test_orders_never_starve(capacity_bps: int, in_use: dict[TrafficClass, int], wanted_bps: int) -> None:
    shares = divide(capacity_bps, {**in_use, INTERACTIVE: 1}, wanted_bps)
    assert shares[INTERACTIVE] >= min(capacity_bps, Policy().interactive_floor_bps)


@given(st.integers(100_000, 200_000_000), IN_USE, WANTED)
def test_every_class_in_use_gets_something(capacity_bps: int, in_use: dict[TrafficClass, int], wanted_bps: int) -> None:
    shares = divide(capacity_bps, in_use, max(wanted_bps, 1))
    assert all(shares[each] > 0 for each in used(in_use))


@given(CAPACITY, IN_USE, WANTED)
def test_nothing_is_kept_back_for_who_is_not_there(
    capacity_bps: int, in_use: dict[TrafficClass, int], wanted_bps: int
) -> None:
    shares = divide(capacity_bps, in_use, wanted_bps)
    if set(used(in_use)) & {INTERACTIVE, WEB, BULK}:
        assert sum(shares[each] for each in used(in_use)) == capacity_bps


@given(CAPACITY, IN_USE, WANTED, st.integers(0, 1_000_000))
def test_a_calls_share_does_not_depend_on_pages_and_bulk(
    capacity_bps: int, in_use: dict[TrafficClass, int], wanted_bps: int, more: int
) -> None:
    alone = divide(capacity_bps, {**in_use, WEB: 0, BULK: 0}, wanted_bps)
    beside = divide(capacity_bps, {**in_use, WEB: more, BULK: more}, wanted_bps)
    assert alone[REALTIME] == beside[REALTIME] <= wanted_bps


@pytest.mark.parametrize(
    ("capacity_bps", "in_use", "wanted_bps", "expected"),
    [
        (1_000_000, {REALTIME: 1, WEB: 2}, 800_000, {REALTIME: 800_000, WEB: 200_000}),
        (500_000, {REALTIME: 1, WEB: 2}, 800_000, {REALTIME: 450_000, WEB: 50_000}),
        (1_000_000, {WEB: 1, BULK: 1}, 0, {WEB: 900_000, BULK: 100_000}),
        (1_000_000, {BULK: 1}, 0, {BULK: 1_000_000}),
        (1_000_000, {INTERACTIVE: 1}, 0, {INTERACTIVE: 1_000_000}),
        (1_000_000, {INTERACTIVE: 1, WEB: 1}, 0, {INTERACTIVE: 504_000, WEB: 496_000}),
        (5_000, {INTERACTIVE: 1, REALTIME: 1}, 800_000, {INTERACTIVE: 5_000, REALTIME: 0}),
        (0, {INTERACTIVE: 1, REALTIME: 1, WEB: 1}, 800_000, {INTERACTIVE: 0, REALTIME: 0, WEB: 0}),
    ],
)
def test_the_classes_are_served_in_their_order(
    capacity_bps: int, in_use: dict[TrafficClass, int], wanted_bps: int, expected: dict[TrafficClass, int]
) -> None:
    shares = divide(capacity_bps, in_use, wanted_bps)
    assert {each: shares[each] for each in expected} == expected


def test_a_capacity_is_not_negative() -> None:
    with pytest.raises(ValueError):
        Capacity(-1, 0)
