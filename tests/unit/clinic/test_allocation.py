"""What a side may send never exceeds the budget, does not fall as it grows, and always holds the voice."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.clinic.allocation import (
    FULL,
    LEAN,
    PICTURE_MIN_BPS,
    PICTURE_RESUME_BPS,
    SPARSE,
    Allocation,
    Picture,
    Voice,
    allocate,
    choose_voice,
)

MAX_BPS = 700_000
budgets = st.integers(min_value=0, max_value=20_000_000)
voices = st.sampled_from([SPARSE, LEAN, FULL])
estimates = st.none() | st.integers(min_value=0, max_value=5_000_000)
pictures = st.sampled_from(list(Picture))


@given(budgets, voices, estimates, pictures)
def test_it_never_exceeds_the_budget_but_for_the_voice(
    budget_bps: int, voice: Voice, far_bps: int | None, before: Picture
) -> None:
    found = allocate(budget_bps, voice=voice, video_bps_max=MAX_BPS, far_bps=far_bps, before=before)
    assert found.wire_bps <= max(budget_bps, voice.wire_bps)
    assert found.voice == voice
    assert found.video_bps <= MAX_BPS


@given(budgets, budgets, voices, estimates, pictures)
def test_more_budget_never_means_less(a: int, b: int, voice: Voice, far_bps: int | None, before: Picture) -> None:
    less, more = (
        allocate(each, voice=voice, video_bps_max=MAX_BPS, far_bps=far_bps, before=before) for each in sorted((a, b))
    )
    assert less.video_bps <= more.video_bps
    assert choose_voice(min(a, b)).rate_bps <= choose_voice(max(a, b)).rate_bps


@given(budgets, voices, estimates)
def test_a_picture_is_watchable_or_not_there(budget_bps: int, voice: Voice, far_bps: int | None) -> None:
    found = allocate(budget_bps, voice=voice, video_bps_max=MAX_BPS, far_bps=far_bps)
    assert found.video_bps == 0 or found.video_bps >= PICTURE_MIN_BPS
    assert (found.picture is Picture.PAUSED) == (found.video_bps == 0)
    assert found.remb_bps >= PICTURE_MIN_BPS


def on(budget_bps: int, far_bps: int | None = None) -> Allocation:
    return allocate(budget_bps, voice=choose_voice(budget_bps), video_bps_max=MAX_BPS, far_bps=far_bps)


def test_eighty_kilobits_hold_voice_and_picture() -> None:
    found = on(72_000)  # what the backhaul gives a call on a link of 80 kb/s
    assert found.voice == SPARSE
    assert 40_000 <= found.video_bps <= 50_000


def test_a_quarter_megabit_keeps_headroom() -> None:
    found = on(225_000)  # a link of 250 kb/s: 190 beside a full voice queued for 350 ms, 140 for 66 (2026-11)
    assert 140_000 <= found.video_bps <= 190_000
    assert found.wire_bps < 0.87 * 250_000


def test_forty_kilobits_hold_the_voice_alone() -> None:
    assert on(40_000) == Allocation(SPARSE, 0, Picture.PAUSED)


def test_the_far_browser_may_ask_for_less() -> None:
    assert on(800_000, far_bps=120_000).video_bps == 120_000
    assert on(800_000, far_bps=1).video_bps == PICTURE_MIN_BPS


def test_a_paused_picture_comes_back_a_little_later_than_it_went() -> None:
    between_bps = next(each for each in range(40_000, 90_000, 500) if on(each).video_bps > PICTURE_MIN_BPS)
    assert on(between_bps).video_bps < PICTURE_RESUME_BPS
    stays = allocate(between_bps, voice=SPARSE, video_bps_max=MAX_BPS, before=Picture.PAUSED)
    assert stays.picture is Picture.PAUSED
    back = allocate(between_bps + 15_000, voice=SPARSE, video_bps_max=MAX_BPS, before=Picture.PAUSED)
    assert back.picture is Picture.ON


def test_the_encoder_never_begins_above_its_cap() -> None:
    assert on(72_000).connect_bps == on(72_000).video_bps
    assert on(5_000_000).connect_bps == 300_000
