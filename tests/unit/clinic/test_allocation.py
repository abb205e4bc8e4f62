"""What a side may send never exceeds the budget, does not fall as it grows, and always holds the voice."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clinic.allocation import (
    FULL,
    LEAN,
    PICTURE_MIN_BPS,
    SPARSE,
    Voice,
    choose_voice,
    doubled,
    left_for_pictures_bps,
    on_the_wire_bps,
)
from gateway.clinic.sharing_out import CLEAR_RATIO, Budgets, Given, Outcome, Person, begin_with, share_out

MAX_BPS = 700_000
WIDE_BPS = 20_000_000
budgets = st.integers(min_value=0, max_value=20_000_000)
voices = st.sampled_from([SPARSE, LEAN, FULL])
estimates = st.none() | st.integers(min_value=0, max_value=5_000_000)


def of_two(budget_bps: int, voice: Voice, far_bps: int | None = None) -> Given:
    """What the nurse may send up a link of this budget, with the voice that was agreed on."""
    pair = [Person("nurse", False, 3, voice), Person("doctor", True, 3, voice, receives_bps=far_bps)]
    outcome = share_out(pair, Budgets(budget_bps, WIDE_BPS, MAX_BPS), None, Outcome(), 0.0)
    assert outcome.given["doctor"].picture_bps == MAX_BPS, "the other direction is its own"
    return outcome.given["nurse"]


def wire_bps(given: Given, voice: Voice) -> int:
    return voice.wire_bps + on_the_wire_bps(given.picture_bps)


@given(budgets, voices, estimates)
def test_it_never_exceeds_the_budget_but_for_the_voice(budget_bps: int, voice: Voice, far_bps: int | None) -> None:
    found = of_two(budget_bps, voice, far_bps)
    assert wire_bps(found, voice) <= max(budget_bps, voice.wire_bps)
    assert found.picture_bps <= MAX_BPS


@given(budgets, budgets, voices, estimates)
def test_more_budget_never_means_less(a: int, b: int, voice: Voice, far_bps: int | None) -> None:
    less, more = (of_two(each, voice, far_bps) for each in sorted((a, b)))
    assert less.picture_bps <= more.picture_bps
    assert choose_voice(min(a, b)).rate_bps <= choose_voice(max(a, b)).rate_bps


@given(budgets, voices, estimates)
def test_a_picture_is_watchable_or_not_there(budget_bps: int, voice: Voice, far_bps: int | None) -> None:
    found = of_two(budget_bps, voice, far_bps)
    assert found.picture_bps == 0 or found.picture_bps >= PICTURE_MIN_BPS
    assert found.remb_bps >= PICTURE_MIN_BPS


@given(budgets, voices, estimates)
def test_of_two_each_has_what_its_direction_leaves_and_no_more_than_the_other_can_take(
    budget_bps: int, voice: Voice, far_bps: int | None
) -> None:
    left_bps = int((budget_bps - voice.wire_bps - max(budget_bps * 0.05, 4_000)) / 1.08)
    least_bps = min(max(left_bps, 0), MAX_BPS, max(far_bps or 0, 30_000) if far_bps is not None else MAX_BPS)
    assert of_two(budget_bps, voice, far_bps).picture_bps == (least_bps if left_bps >= 30_000 else 0)


def on(budget_bps: int, far_bps: int | None = None) -> Given:
    return of_two(budget_bps, choose_voice(budget_bps), far_bps)


def test_eighty_kilobits_hold_voice_and_picture() -> None:
    found = on(72_000)  # what the backhaul gives a call on a link of 80 kb/s
    assert found.voice == SPARSE
    assert 40_000 <= found.picture_bps <= 50_000


def test_a_quarter_megabit_keeps_headroom() -> None:
    found = on(225_000)  # a link of 250 kb/s: 190 beside a full voice queued for 350 ms, 140 for 66 (2026-11)
    assert 140_000 <= found.picture_bps <= 190_000
    assert wire_bps(found, choose_voice(225_000)) < 0.87 * 250_000


def test_forty_kilobits_hold_the_voice_and_a_still_now_and_then() -> None:
    found = on(36_000)
    assert (found.voice, found.picture_bps, found.still_s) == (SPARSE, 0, 6)
    assert on(24_000).still_s is None


def test_the_far_browser_may_ask_for_less() -> None:
    assert on(800_000, far_bps=120_000).picture_bps == 120_000
    assert on(800_000, far_bps=1).picture_bps == PICTURE_MIN_BPS


def test_the_encoder_never_begins_above_its_cap() -> None:
    assert begin_with(False, Budgets(72_000, WIDE_BPS, MAX_BPS)) == (SPARSE, on(72_000).picture_bps)
    assert begin_with(True, Budgets(72_000, WIDE_BPS, MAX_BPS)) == (FULL, 300_000)


def test_more_voices_on_one_way_are_cheaper_ones() -> None:
    assert choose_voice(300_000) == FULL
    assert choose_voice(300_000, copies=4, legs=2) == LEAN
    assert choose_voice(150_000, copies=4, legs=2) == SPARSE


def test_lost_packets_double_a_voice_where_there_is_room_and_only_then() -> None:
    def of(budget_bps: int, lost_ratio: float, *, was_red: bool = False) -> bool:
        return doubled(FULL, budget_bps, 1, 1, lost_ratio=lost_ratio, was_red=was_red).red

    assert of(500_000, 0.03)
    assert not of(500_000, 0.015)
    assert of(500_000, 0.015, was_red=True), "it does not go on and off around one figure"
    assert not of(500_000, 0.005, was_red=True)
    assert not of(140_000, 0.2), "the picture would have to go"
    assert left_for_pictures_bps(500_000, [doubled(FULL, 500_000, 1, 1, lost_ratio=0.03, was_red=False)]) > 60_000
    assert doubled(FULL, 500_000, 1, 1, lost_ratio=0.03, was_red=False).wire_bps > FULL.wire_bps + 24_000


@pytest.mark.parametrize("far", [True, False])
def test_beside_others_a_browser_s_guess_is_not_the_last_word_while_nothing_waits(far: bool) -> None:
    person = Person("doctor" if far else "nurse", far, 3, receives_bps=100_000)
    plain = Budgets(500_000, 500_000, 700_000)
    assert plain.believed_bps(person) == 100_000
    assert replace(plain, is_clear_up=far, is_clear_down=not far).believed_bps(person) == int(CLEAR_RATIO * 100_000)
    assert replace(plain, is_clear_up=not far, is_clear_down=far).believed_bps(person) == 100_000
    assert replace(plain, is_clear_up=True).believed_bps(replace(person, receives_bps=None)) is None
