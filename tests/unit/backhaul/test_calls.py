"""A call's budget is never above its share, falls at once, rises only after proof, and does not flap."""

from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backhaul.sharing.calls import (
    BLIND_PROOF_S,
    KEPT_PICTURE_BPS,
    PICTURE_BPS,
    PROOF_S,
    QUEUEING_MAX_S,
    REMEMBERED_S,
    STEP_BPS_MIN,
    STEP_RATIO,
    VOICE_BPS,
    CallBudget,
    begin,
    step,
)

TICK_S = 0.1
SMOOTH_S = 0.01
CHANGES_A_MINUTE_MAX = 6
TRACE = Path(__file__).parents[3] / "content/demo/traces/small.down"
SHARES = st.lists(st.tuples(st.integers(0, 1_000_000), st.integers(1, 80)), min_size=1, max_size=40)


def told(shares: list[tuple[int, int]]) -> list[int]:
    """Shares, each for some ticks."""
    return [share for share, ticks in shares for _ in range(ticks)]


def played(shares: list[int], queueing_s: float | None = SMOOTH_S) -> list[CallBudget]:
    states = [begin(0.0, shares[0])]
    for tick, share in enumerate(shares[1:], start=1):
        states.append(step(states[-1], tick * TICK_S, share, queueing_s))
    return states


def changes_s(states: list[CallBudget]) -> list[float]:
    """When the picture changed."""
    seen = enumerate(pairwise(states), start=1)
    return [
        tick * TICK_S for tick, (one, other) in seen if one.bps != other.bps and max(one.bps, other.bps) > VOICE_BPS
    ]


def most_in_a_minute(moments_s: list[float]) -> int:
    return max((sum(begins_s <= at_s < begins_s + 60 for at_s in moments_s) for begins_s in moments_s), default=0)


@given(SHARES)
def test_a_budget_is_never_above_its_share(shares: list[tuple[int, int]]) -> None:
    ticks = told(shares)
    assert all(0 <= state.bps <= share for state, share in zip(played(ticks), ticks, strict=True))


@given(SHARES)
def test_a_rise_comes_after_proof_and_in_steps(shares: list[tuple[int, int]]) -> None:
    states = played(told(shares))
    since = 0
    for tick, (before, after) in enumerate(pairwise(states), start=1):
        if after.bps > before.bps:
            assert (tick - since) * TICK_S >= PROOF_S - 1e-6
            assert after.bps <= max(before.bps * STEP_RATIO, before.bps + STEP_BPS_MIN)
        if after.bps != before.bps:
            since = tick


def test_it_falls_in_the_step_that_tells_of_it() -> None:
    state = step(begin(0.0, 800_000), TICK_S, 300_000, SMOOTH_S)
    assert state.bps == 300_000


def test_an_estimate_that_wavers_is_no_slide_and_half_of_it_is() -> None:
    assert played([223_000, 215_000, 214_900])[-1].bps >= 200_000
    assert played([223_000, 215_000, 110_000])[-1].bps < 110_000


def test_it_rises_in_steps_after_good_seconds() -> None:
    shares = [300_000] + [800_000] * 200
    levels = [state.bps for state in played(shares)]
    risen = [round(tick * TICK_S, 1) for tick in range(1, len(levels)) if levels[tick] > levels[tick - 1]]
    assert levels[0] == 300_000
    assert risen[0] == pytest.approx(PROOF_S, abs=2 * TICK_S)
    assert levels[-1] >= 0.9 * 800_000
    assert len(risen) <= 3


def test_a_queue_is_no_proof() -> None:
    assert played([300_000] + [800_000] * 300, QUEUEING_MAX_S + 0.001)[-1].bps == 300_000


def test_one_bad_moment_begins_the_proof_anew() -> None:
    state = begin(0.0, 300_000)
    for tick in range(1, 100):
        bad = tick % 25 == 0
        state = step(state, tick * TICK_S, 800_000, 0.2 if bad else SMOOTH_S)
    assert state.bps == 300_000


def test_where_nobody_tells_of_queues_proof_takes_longer() -> None:
    ticks = round(BLIND_PROOF_S / TICK_S)
    states = played([300_000] + [800_000] * (2 * ticks), None)
    assert {state.bps for state in states[: ticks - 1]} == {300_000}
    assert states[-1].bps > 300_000


def test_what_nobody_watched_is_no_proof() -> None:
    state = step(begin(0.0, 300_000), TICK_S, 800_000, SMOOTH_S)
    assert step(state, 60.0, 800_000, SMOOTH_S).bps == 300_000


def test_a_share_a_little_larger_is_not_worth_a_change() -> None:
    assert {state.bps for state in played([300_000] + [320_000] * 300)} == {300_000}


def test_a_rise_is_to_what_was_there_all_the_while() -> None:
    shares = [200_000] + [500_000, 260_000] * 100
    assert max(state.bps for state in played(shares)) <= 260_000


def test_below_what_a_picture_takes_there_is_a_voice_and_below_that_nothing() -> None:
    assert begin(0.0, PICTURE_BPS).bps == PICTURE_BPS
    assert begin(0.0, PICTURE_BPS - 1).bps == VOICE_BPS
    assert begin(0.0, VOICE_BPS - 1).bps == 0


@pytest.mark.parametrize(
    ("shares", "kept_bps"),
    [
        ([72_000, 63_900, 62_900], PICTURE_BPS),  # a slide that ends above what a picture begins with
        ([72_000, 63_900, 61_500], KEPT_PICTURE_BPS),
        ([72_000, 63_900, 62_900, 59_000, 57_000], KEPT_PICTURE_BPS),
        ([72_000, KEPT_PICTURE_BPS - 1], VOICE_BPS),
        ([300_000, 60_000], KEPT_PICTURE_BPS),
    ],
)
def test_a_picture_that_is_seen_stays_while_the_share_carries_the_smallest(shares: list[int], kept_bps: int) -> None:
    states = [state for share in shares for state in [share] * 4]
    assert played(states)[-1].bps == kept_bps


def test_a_picture_that_rests_does_not_come_back_for_the_smallest() -> None:
    assert played([VOICE_BPS] + [PICTURE_BPS - 1] * 600)[-1].bps == VOICE_BPS
    assert played([VOICE_BPS] + [PICTURE_BPS] * 600)[-1].bps == PICTURE_BPS


def test_after_an_outage_it_comes_back() -> None:
    levels = [state.bps for state in played([800_000] * 100 + [0] * 20 + [800_000] * 150)]
    assert levels[101] == 0
    assert levels[120 + 35] >= PICTURE_BPS
    assert levels[-1] >= 0.8 * 800_000


def test_a_voice_comes_back_after_proof_however_much_has_changed() -> None:
    shares = [400_000, 300_000, 200_000, 120_000, 90_000, 0, 0] + [60_000] * 40
    assert played(shares)[-1].bps == VOICE_BPS


@given(st.integers(60_000, 400_000), st.lists(st.tuples(st.floats(1.0, 4.0), st.integers(1, 120)), max_size=60))
def test_a_share_within_a_factor_of_four_changes_it_six_times_a_minute_at_most(
    lowest_bps: int, jitter: list[tuple[float, int]]
) -> None:
    shares = told([(lowest_bps, 1), *((int(lowest_bps * factor), ticks) for factor, ticks in jitter)])
    assert most_in_a_minute(changes_s(played(shares))) <= CHANGES_A_MINUTE_MAX


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", ["noise", "walk", "square"])
def test_jitter_does_not_make_it_flap(kind: str, seed: int) -> None:
    random = Random(seed)
    low, high, ticks = 100_000.0, 400_000.0, 1_800
    if kind == "noise":
        shares = [random.uniform(low, high) for _ in range(ticks)]
    elif kind == "walk":
        shares = [low]
        for _ in range(ticks):
            shares.append(min(max(shares[-1] * random.choice((1.1, 1 / 1.1)), low), high))
    else:
        period = random.randrange(1, 200)
        shares = [low if tick // period % 2 else high for tick in range(ticks)]
    moments = changes_s(played([int(share) for share in shares]))
    assert most_in_a_minute(moments) <= CHANGES_A_MINUTE_MAX


def test_on_a_recorded_4g_link_it_changes_six_times_a_minute_at_most() -> None:
    opportunities_ms = [int(line) for line in TRACE.read_text().splitlines()]
    length_ms = opportunities_ms[-1]
    carried = [0] * (length_ms + 1)
    for at_ms in opportunities_ms:
        carried[at_ms] += 1_500 * 8
    window_ms = 500
    rates = [sum(carried[at - window_ms : at]) * 1_000 // window_ms for at in range(window_ms, length_ms, 100)]
    shares = [min(800_000, int(0.9 * rate)) for rate in rates] * 3
    states = played(shares)
    assert most_in_a_minute(changes_s(states)) <= CHANGES_A_MINUTE_MAX
    assert all(state.bps <= share for state, share in zip(states, shares, strict=True))


@settings(max_examples=30)
@given(SHARES)
def test_what_it_remembers_is_bounded(shares: list[tuple[int, int]]) -> None:
    for tick, state in enumerate(played(told(shares))):
        assert len(state.changes_s) <= CHANGES_A_MINUTE_MAX
        assert all(tick * TICK_S - at_s <= REMEMBERED_S for at_s in state.changes_s)
