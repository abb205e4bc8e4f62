"""One more call is admitted where it fits beside those that are open, at the quality the weaker direction carries."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.sensing.figures import Estimate, LinkFigures, WayFigures
from gateway.backhaul.sharing import admission
from gateway.backhaul.sharing.admission import (
    CALL_WANTS_BPS,
    OLD_S,
    UNKNOWN_BPS,
    VOICE_NEEDS_BPS,
    Need,
    Quality,
    admit,
    needs_bps,
    quality_of,
    trusted_bps,
)
from gateway.backhaul.sharing.policy import Policy

POLICY = Policy()
ORDER = list(Quality)
ESTIMATE = st.builds(Estimate, st.floats(0, 20e6), st.floats(0, 1), st.floats(0, 2 * OLD_S))
NEED = st.builds(Need, st.integers(24_000, 800_000), st.integers(24_000, 800_000))


def link(down_bps: float, up_bps: float, *, confidence: float = 1.0, age_s: float = 1.0) -> LinkFigures:
    return LinkFigures(
        WayFigures(Estimate(down_bps, confidence, age_s)), WayFigures(Estimate(up_bps, confidence, age_s))
    )


@pytest.mark.parametrize(
    ("down_bps", "up_bps", "quality"),
    [
        (4_000_000, 4_000_000, Quality.FULL),
        (4_000_000, 300_000, Quality.VOICE_SMALL_PICTURE),
        (110_000, 4_000_000, Quality.VOICE_SMALL_PICTURE),
        (80_000, 80_000, Quality.VOICE_SMALL_PICTURE),
        (75_000, 4_000_000, Quality.VOICE_ONLY),
        (36_000, 4_000_000, Quality.VOICE_ONLY),
        (30_000, 4_000_000, Quality.NOTHING),
        (0, 0, Quality.NOTHING),
    ],
)
def test_the_weaker_direction_decides(down_bps: int, up_bps: int, quality: Quality) -> None:
    admitted = admit(link(down_bps, up_bps), (), POLICY)
    assert (admitted.quality, admitted.fits) == (quality, quality is not Quality.NOTHING)


def test_it_is_said_in_words_what_the_link_carries() -> None:
    admitted = admit(link(200_000, 200_000), (), POLICY)
    assert admitted.reason == "Today the link carries voice and a small picture."
    assert admitted.next_step


def test_open_calls_keep_what_they_need() -> None:
    full = Need(350_000, 350_000)
    alone, beside = admit(link(600_000, 600_000), (), POLICY), admit(link(600_000, 600_000), [full], POLICY)
    assert (alone.quality, beside.quality) == (Quality.FULL, Quality.VOICE_SMALL_PICTURE)
    assert alone.down_bps - beside.down_bps == 350_000
    refused = admit(link(600_000, 600_000), [full, Need(170_000, 80_000)], POLICY)
    assert not refused.fits
    assert refused.reason != admit(link(0, 0), (), POLICY).reason


def test_a_link_that_was_never_measured_begins_small_and_says_so() -> None:
    admitted = admit(LinkFigures(), (), POLICY)
    assert (admitted.quality, admitted.down_bps, admitted.up_bps) == (
        Quality.VOICE_SMALL_PICTURE,
        UNKNOWN_BPS,
        UNKNOWN_BPS,
    )
    assert "not been measured" in admitted.reason
    half = LinkFigures(down=WayFigures(Estimate(9e6, 1.0, 0.0)))
    assert admit(half, (), POLICY).quality is Quality.VOICE_SMALL_PICTURE


@pytest.mark.parametrize(("confidence", "age_s"), [(0.1, 1.0), (1.0, OLD_S + 1)])
def test_a_figure_nobody_is_sure_of_counts_for_less_and_is_called_so(confidence: float, age_s: float) -> None:
    sure = admit(link(700_000, 700_000), (), POLICY)
    doubtful = admit(link(700_000, 700_000, confidence=confidence, age_s=age_s), (), POLICY)
    assert doubtful.down_bps < sure.down_bps
    assert "not been measured" in doubtful.reason
    assert "not been measured" not in sure.reason


@given(ESTIMATE, ESTIMATE, st.lists(NEED, max_size=5))
def test_never_more_is_promised_than_calls_may_have(down: Estimate, up: Estimate, needs: list[Need]) -> None:
    admitted = admit(LinkFigures(WayFigures(down), WayFigures(up)), needs, POLICY)
    for bps, estimate, needed in (
        (admitted.down_bps, down, sum(need.down_bps for need in needs)),
        (admitted.up_bps, up, sum(need.up_bps for need in needs)),
    ):
        assert 0 <= bps <= CALL_WANTS_BPS
        assert bps == 0 or bps + needed <= trusted_bps(estimate) * POLICY.calls_ratio_max
    assert admitted.fits == (min(admitted.down_bps, admitted.up_bps) >= VOICE_NEEDS_BPS)


@given(ESTIMATE, st.floats(0, 5e6), st.floats(0, 1), st.lists(NEED, max_size=3), NEED)
def test_more_capacity_or_sureness_never_promises_less_and_one_more_call_never_more(
    estimate: Estimate, more_bps: float, sureness: float, needs: list[Need], another: Need
) -> None:
    def quality(one: Estimate, calls: list[Need]) -> int:
        return ORDER.index(admit(LinkFigures(WayFigures(one), WayFigures(one)), calls, POLICY).quality)

    more = Estimate(estimate.value + more_bps, max(estimate.confidence, sureness), estimate.age_s)
    assert quality(estimate, [*needs, another]) <= quality(estimate, needs) <= quality(more, needs)


@given(st.integers(0, 2_000_000))
def test_what_an_open_call_needs_leaves_it_as_it_is(bps: int) -> None:
    assert quality_of(max(bps, VOICE_NEEDS_BPS)) is quality_of(needs_bps(bps))
    assert needs_bps(bps) <= max(bps, VOICE_NEEDS_BPS)


def test_docstring_examples_hold() -> None:
    result = doctest.testmod(admission)
    assert (result.failed, result.attempted > 0) == (0, True)
