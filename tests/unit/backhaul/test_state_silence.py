"""A silence is a doubt, an outage when it lasts, and never more than six changes a minute that people could see."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backhaul.sensing.samples import FlowSample
from gateway.backhaul.sensing.silence import (
    AGAIN_AFTER_S_MAX,
    Hearing,
    Lately,
    hear,
    is_expected,
    look,
    proven,
    silent_since_s,
    told,
)
from gateway.backhaul.sensing.state import (
    DOWN_AFTER_S,
    LinkState,
    LinkView,
    ModemChanged,
    ProbeFailed,
    Progressed,
    Silent,
    step,
)

UP, DEGRADED, DOWN = LinkState.UP, LinkState.DEGRADED, LinkState.DOWN
TICK_S = 0.05
# (start, length) of the gaps of a second and more in recorded links, and how many changes a minute may be seen of them
RECORDED = {
    "LTE, New York, at home": ([(174.1, 2.03)], 2),
    "LTE, New York, in a crowd": ([(118.2, 2.08)], 2),
    "LTE, driving, uplink": (
        [
            (0.5, 1.04),
            (3.0, 2.22),
            (19.3, 1.27),
            (20.8, 4.06),
            (83.9, 1.07),
            (100.9, 1.05),
            (110.2, 1.07),
            (111.6, 1.07),
        ],
        4,  # two were longer than two seconds
    ),
    "UMTS, driving": (
        [
            *((0.1, 2.33), (2.5, 1.63), (4.2, 1.96), (6.2, 1.46), (8.8, 5.75), (14.6, 1.47), (16.2, 4.18)),
            *((88.6, 4.94), (93.7, 3.07), (97.7, 2.33), (136.3, 2.96), (142.6, 1.66), (147.2, 1.93), (289.3, 2.83)),
        ],
        4,
    ),
}


def lived(gaps: list[tuple[float, float]], until_s: float) -> list[tuple[float, LinkState]]:
    """Live through (start, length) gaps of a loaded link whose probes are unanswered in them; return the changes."""
    view, hearing, changes, now_s, came = LinkView(), Hearing(), [(0.0, UP)], 0.0, 0
    while now_s < until_s:
        now_s += TICK_S
        silent = any(start < now_s < start + length for start, length in gaps)
        came += 0 if silent else 5_000
        before, hearing = hearing, hear(hearing, down_bytes=came, expected=True, now_s=now_s)
        if hearing.heard_s > before.heard_s:
            if view.in_doubt:
                hearing, view = proven(hearing), step(view, Progressed(), now_s)
        elif (since_s := silent_since_s(hearing, now_s)) is not None:
            hearing = told(hearing, now_s)
            view = step(view, Silent(since_s), now_s)
        if view.silent_s is not None and now_s - view.silent_s >= 1.6:
            view = step(view, ProbeFailed(), now_s)
        if view.state is not changes[-1][1]:
            changes.append((now_s, view.state))
    return changes[1:]


def most_a_minute(changes: list[tuple[float, LinkState]]) -> int:
    return max((sum(begin <= at < begin + 60 for at, _ in changes) for begin, _ in changes), default=0)


def test_a_silence_alone_changes_nothing_that_is_shown_and_asks_for_a_probe() -> None:
    view = step(LinkView(), Silent(since_s=9.0), 10.0)
    assert (view.state, view.in_doubt) == (UP, True)
    assert step(view, Progressed(), 10.1).in_doubt is False
    assert step(view, ProbeFailed(), 10.3).state is UP, "a second of radio silence is not an outage"


def test_a_silence_that_lasts_unanswered_is_an_outage_within_two_seconds() -> None:
    view = step(LinkView(), Silent(since_s=9.0), 10.0)
    found = step(view, ProbeFailed(), 9.0 + DOWN_AFTER_S[0])
    assert (found.state, found.told_by, DOWN_AFTER_S[0] < 2.0) == (DOWN, "silence", True)


def test_a_silence_is_stale_once_something_came() -> None:
    view = step(LinkView(), Progressed(), 9.5)
    assert not step(view, Silent(since_s=9.0), 10.0).in_doubt


def test_a_modem_that_says_it_lost_its_connection_is_asked_about_and_a_probe_decides() -> None:
    view = step(LinkView(), ModemChanged(connected=True), 1.0)
    doubted = step(view, ModemChanged(connected=False), 2.0)
    assert (doubted.state, doubted.told_by) == (DEGRADED, "modem")
    assert step(doubted, Progressed(), 3.0).state is UP, "the bytes know better"
    found = step(doubted, ProbeFailed(), 3.0)
    assert (found.state, found.told_by) == (DOWN, "modem")


def test_a_modem_that_never_was_connected_says_nothing_of_the_link() -> None:
    assert step(LinkView(), ModemChanged(connected=False), 2.0).state is UP


def test_a_cut_is_told_within_two_seconds_and_the_return_at_the_first_bytes() -> None:
    changes = lived([(20.0, 20.0), (100.0, 120.0)], 300.0)
    assert [state for _, state in changes] == [DOWN, UP, DOWN, UP]
    at_s = [at for at, _ in changes]
    assert at_s == pytest.approx([21.75, 40.0, 101.75, 220.0], abs=0.15)


def test_gaps_of_a_moving_radio_are_not_shown() -> None:
    gaps = [(float(start), 0.6 + start % 7 / 6) for start in range(5, 300, 5)]  # 0.6 to 1.6 s, each five seconds
    assert lived(gaps, 310.0) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_whatever_the_gaps_people_see_at_most_six_changes_a_minute(seed: int) -> None:
    chance = random.Random(seed)
    now_s, gaps = 1.0, []
    while now_s < 240.0:
        length = chance.choice((0.5, 1.5, 2.0, 2.5, 4.0, 6.5, 9.0, 56.0))
        gaps.append((now_s, length))
        now_s += length + chance.choice((0.3, 1.0, 3.0, 10.0))
    assert most_a_minute(lived(gaps, 260.0)) <= 6


@pytest.mark.parametrize(("gaps", "shown_most"), RECORDED.values(), ids=RECORDED)
def test_on_recorded_radio_few_changes_a_minute_are_seen(gaps: list[tuple[float, float]], shown_most: int) -> None:
    assert most_a_minute(lived(gaps, 310.0)) <= shown_most


def test_two_outages_within_a_minute_are_told_at_once_and_the_third_has_to_last() -> None:
    changes = lived([(10.0, 3.0), (20.0, 10.0), (40.0, 15.0)], 60.0)
    assert [at - cut for (at, _), cut in zip(changes[::2], (10.0, 20.0, 40.0), strict=True)] == pytest.approx(
        [1.75, 1.75, 6.0], abs=0.1
    )


def test_what_a_modem_says_by_itself_does_not_break_a_silence() -> None:
    hearing = hear(Hearing(), down_bytes=10_000, expected=True, now_s=0.0)
    for tick in range(1, 13):
        hearing = hear(hearing, down_bytes=10_000 + 28 * tick, expected=True, now_s=tick / 10)
    assert silent_since_s(hearing, 1.2) == 0.0


def test_a_link_from_which_nothing_is_expected_is_never_silent() -> None:
    hearing = hear(Hearing(), down_bytes=10_000, expected=False, now_s=0.0)
    assert silent_since_s(hear(hearing, down_bytes=10_000, expected=False, now_s=9.0), 9.0) is None
    asked = hear(hearing, down_bytes=10_000, expected=True, now_s=10.0)
    assert silent_since_s(asked, 10.5) is None, "it begins when something is asked for"
    assert silent_since_s(asked, 11.0) == 10.0


def test_a_counter_that_begins_anew_is_no_silence() -> None:
    hearing = hear(Hearing(), down_bytes=10_000, expected=True, now_s=0.0)
    assert silent_since_s(hear(hearing, down_bytes=50, expected=True, now_s=1.1), 1.1) is None


def test_silences_that_were_none_are_told_less_and_less_often() -> None:
    hearing = replace(Hearing(), down_bytes=0, expected_s=0.0)
    told_at_s = []
    for tick in range(600):
        if silent_since_s(hearing, tick / 10) is not None:
            told_at_s.append(tick / 10)
            hearing = told(hearing, tick / 10)
    pauses_s = [after - before for before, after in pairwise(told_at_s)]
    assert pauses_s[:4] == pytest.approx([1.0, 2.0, 4.0, 8.0])
    assert max(pauses_s) == pytest.approx(AGAIN_AFTER_S_MAX)


def flow(number: int, received_bytes: int, unsent_bytes: int, at_s: float) -> FlowSample:
    return FlowSample(at_s, number, "", received_bytes, 0, 0, 0, unsent_bytes, None, None, None, 0, 0, 0)


def test_something_is_expected_of_what_moved_lately_and_of_what_was_sent() -> None:
    lately = look(Lately(), [flow(1, 0, 0, 1.0)])
    assert not is_expected(lately, [flow(1, 0, 0, 1.0)], 1.0), "an idle connection"
    assert is_expected(lately, [flow(1, 0, 500, 1.0)], 1.0), "a request on its way"
    lately = look(lately, [flow(1, 9_000, 0, 2.0)])
    lately = look(lately, [flow(1, 9_000, 0, 4.0)])
    assert is_expected(lately, [flow(1, 9_000, 0, 4.0)], 4.0)
    assert not is_expected(lately, [flow(1, 9_000, 0, 9.0)], 9.0)
    assert not is_expected(look(lately, []), [], 4.0), "it has ended"
