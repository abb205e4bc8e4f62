"""A call that has the link to itself finds out what it carries: it falls with a queue, and rises after proof."""

from collections import deque
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backhaul.sharing.alone import (
    BEGINS_BITS,
    BEGINS_S,
    DRAINING_RATIO,
    FIRST_PROOF_S,
    FIRST_STEP_RATIO,
    FOLLOWS_S,
    GOES_ON_BPS,
    KNOWN_TRY_S,
    NEAR_RATIO,
    NO_PICTURE_TRY_S,
    PROOF_S,
    ROOM_RATIO,
    STEP_RATIO,
    TRY_S,
    TRY_S_MAX,
    Alone,
    Seen,
    begin,
    begun,
    resume,
    step,
)
from gateway.backhaul.sharing.calls import PICTURE_BPS, VOICE_BPS

STEP_S = 0.2
MOST_BPS = 800_000
LONG_S = 0.5
SETTLES_S = 20.0

stories = st.lists(
    st.tuples(
        st.sampled_from((None, 0.0, 0.02, 0.06, 0.3, 2.0)),
        st.sampled_from((None, 0.0, 900.0, 15_000.0, 40_000.0, 250_000.0, 3_000_000.0)),
        st.sampled_from((VOICE_BPS, 62_000, 300_000, MOST_BPS)),
        st.booleans(),
        st.sampled_from((0.2, 0.4, 3.0)),
    ),
    max_size=150,
)


def seen(
    standing_s: float | None = 0.0, out_bps: float | None = None, most_bps: int = MOST_BPS, calls: int = 1
) -> Seen:
    return Seen(standing_s, out_bps, most_bps, calls=calls)


def used(state: Alone, now_s: float, until_s: float, *, most_bps: int = MOST_BPS) -> tuple[Alone, float]:
    """A call uses all it may, and no queue stands."""
    while now_s < until_s:
        now_s += STEP_S
        state = step(state, now_s, seen(0.0, state.bps, most_bps))
    return state, now_s


@settings(max_examples=150, deadline=None)
@given(stories, st.booleans(), st.integers(1, 3))
def test_calls_never_have_more_than_the_most_nor_less_than_a_voice(
    story: list[tuple[float | None, float | None, int, bool, float]], is_sent: bool, calls: int
) -> None:
    now_s, least_bps = 50.0, VOICE_BPS * calls
    state = begin(now_s, 50_000 * calls)
    for standing_s, out_bps, each_bps, is_known, passed_s in story:
        now_s += passed_s
        most_bps, before = each_bps * calls, state
        state = step(state, now_s, Seen(standing_s, out_bps, most_bps, most_bps if is_known else None, is_sent, calls))
        assert least_bps <= state.bps <= most_bps
        assert state.try_s <= TRY_S_MAX
        if state.bps > before.bps:
            assert now_s >= before.follows_until_s
            assert standing_s is None or standing_s <= 0.3


@settings(max_examples=100, deadline=None)
@given(st.integers(VOICE_BPS, MOST_BPS), st.floats(0.31, 5.0), st.floats(0.3, 1.0), st.booleans())
def test_a_queue_that_stands_makes_it_fall_in_one_step_and_not_again_before_it_is_obeyed(
    bps: int, standing_s: float, used_ratio: float, is_sent: bool
) -> None:
    full = Seen(standing_s, bps * used_ratio, MOST_BPS, is_sent=is_sent)
    fallen = step(begin(0.0, bps), STEP_S, full)
    keeps_picture = bps > GOES_ON_BPS and DRAINING_RATIO * bps * used_ratio >= GOES_ON_BPS
    assert fallen.bps <= max(ROOM_RATIO * bps, GOES_ON_BPS if keeps_picture else VOICE_BPS)
    waits, now_s = fallen, STEP_S
    while now_s + STEP_S < fallen.follows_until_s:
        now_s += STEP_S
        waits = step(waits, now_s, full)
        assert waits.bps == fallen.bps
    assert now_s > FOLLOWS_S - STEP_S
    again = step(waits, fallen.follows_until_s, full)
    assert again.bps < fallen.bps or again.bps == VOICE_BPS or used_ratio * bps * 0.5 >= fallen.bps


def test_it_rises_only_after_proof_and_in_steps() -> None:
    state, now_s = used(begin(0.0, 100_000), 0.0, FIRST_PROOF_S - STEP_S)
    assert state.bps == 100_000
    state, now_s = used(state, now_s, FIRST_PROOF_S + STEP_S)
    assert 100_000 < state.bps <= 100_000 * FIRST_STEP_RATIO
    state = step(state, now_s + STEP_S, seen(0.1, 200_000))
    fallen_bps, now_s = state.bps, now_s + STEP_S
    state, _ = used(state, now_s, now_s + PROOF_S - STEP_S)
    assert state.bps == fallen_bps
    state, now_s = used(state, now_s + PROOF_S - STEP_S, now_s + PROOF_S + STEP_S)
    assert fallen_bps < state.bps <= fallen_bps * STEP_RATIO


def test_what_is_not_used_is_no_proof() -> None:
    state = begin(0.0, 200_000)
    for tick in range(300):
        state = step(state, tick * STEP_S, seen(0.0, 100_000))
    assert state.bps == 200_000


def test_a_queue_that_is_not_clear_is_no_proof() -> None:
    state = begin(0.0, 200_000)
    for tick in range(300):
        state = step(state, tick * STEP_S, seen(0.04, 200_000))
    assert state.bps == 200_000


def test_a_gap_in_which_nobody_looked_is_no_proof() -> None:
    state = step(begin(0.0, 200_000), 60.0, seen(0.0, 200_000))
    assert state.bps == 200_000


def test_what_is_known_to_be_there_need_not_be_used_but_proven() -> None:
    state = step(begin(0.0, 400_000), STEP_S, Seen(0.0, 0.0, 40_000, carries_bps=44_000))
    assert state.bps == 40_000
    for tick in range(2, 15):
        state = step(state, tick * STEP_S, Seen(0.0, 0.0, MOST_BPS, carries_bps=2 * MOST_BPS))
        assert state.bps == 40_000, "three good seconds"
    for tick in range(15, 400):
        state = step(state, tick * STEP_S, Seen(0.0, 0.0, MOST_BPS, carries_bps=2 * MOST_BPS))
    assert state.bps == MOST_BPS


def test_what_the_link_turned_out_to_carry_is_not_tried_anew_at_once() -> None:
    state = begin(0.0, 200_000, 248_000)
    state, now_s = used(state, 0.0, KNOWN_TRY_S + 4 * PROOF_S)
    assert 225_000 < state.bps < NEAR_RATIO * 248_000
    state = step(state, now_s, Seen(0.0, state.bps, 225_000, carries_bps=250_000))
    state, now_s = used(state, now_s, now_s + 2 * KNOWN_TRY_S - STEP_S)
    assert state.bps == 225_000
    assert used(state, now_s, now_s + 2 * PROOF_S)[0].bps > 225_000, "but not never"


def test_what_a_sender_had_to_send_is_not_taken_for_what_the_link_carries() -> None:
    state = replace(begin(0.0, 74_000, 82_000), bps=74_000)
    sent = Seen(0.115, 60_000.0, MOST_BPS, is_sent=True)
    assert step(state, STEP_S, sent).bps < GOES_ON_BPS
    kept = step(state, STEP_S, replace(sent, learned_bps=82_000.0))
    assert (kept.bps, kept.carries_bps) == (GOES_ON_BPS, 82_000)
    assert step(state, STEP_S, replace(sent, learned_bps=820_000.0)).bps < GOES_ON_BPS, "unless it is another link"


def test_an_estimate_that_wavers_does_not_put_off_the_next_try() -> None:
    state = begin(0.0, PICTURE_BPS, 80_000)
    for tick in range(1, 20):
        most_bps = PICTURE_BPS - 100 * tick
        state = step(state, tick * STEP_S, Seen(0.0, 60_000.0, most_bps, carries_bps=most_bps + 6_000))
    assert state.try_s == KNOWN_TRY_S


def test_a_link_that_carries_much_more_again_is_used_again() -> None:
    state = step(begin(0.0, 400_000), STEP_S, Seen(0.0, 0.0, 225_000, carries_bps=250_000))
    for tick in range(2, 40):
        state = step(state, tick * STEP_S, Seen(0.0, 0.0, MOST_BPS, carries_bps=1_000_000))
    assert state.bps > 400_000


def test_it_does_not_stay_where_no_picture_begins() -> None:
    for calls in (1, 2, 5):
        state = step(begin(0.0, 300_000 * calls), STEP_S, seen(LONG_S, 80_000.0 * calls, MOST_BPS * calls, calls))
        now_s = STEP_S
        for _ in range(600):
            now_s += STEP_S
            state = step(state, now_s, seen(0.0, 18_000.0 * calls, MOST_BPS * calls, calls))
        assert state.bps == PICTURE_BPS * calls


def test_with_more_voices_than_one_a_call_it_does_not_stay_where_no_picture_begins_either() -> None:
    voices_bps = 83_000  # of three people, two of them beyond the link
    state = begin(0.0, 50_000)
    for tick in range(1, 100):
        state = step(state, tick * STEP_S, Seen(0.0, float(voices_bps), MOST_BPS, voices_bps=voices_bps))
        assert state.bps >= voices_bps, "they are sent in any case"
    assert state.bps == voices_bps + PICTURE_BPS - VOICE_BPS
    fallen = step(state, 100 * STEP_S, Seen(LONG_S, 90_000.0, MOST_BPS, voices_bps=voices_bps))
    assert fallen.bps == voices_bps


def test_a_link_that_stood_still_is_where_it_was_when_it_is_back() -> None:
    state, now_s = used(begin(0.0, 100_000), 0.0, 60.0)
    assert state.bps == MOST_BPS
    for _ in range(100):
        now_s += STEP_S
        state = step(state, now_s, seen(2.0, 600.0))
    state = step(state, now_s + STEP_S, seen(0.5, 15_000.0))
    assert (state.bps, state.carries_bps) == (MOST_BPS, None), "what waited comes first"
    state = step(state, now_s + FOLLOWS_S + STEP_S, seen(0.5, 40_000.0))
    assert state.bps < 40_000, "and then what it carries now"


def test_a_link_that_moves_in_fits_and_starts_is_where_it_was_soon_after() -> None:
    state, now_s = used(begin(0.0, 100_000), 0.0, 60.0)
    state = step(state, now_s + STEP_S, seen(2.0, 9_000.0))
    assert state.bps == VOICE_BPS
    assert state.carries_bps is None, "it told nothing of what it carries"
    state, _ = used(state, now_s + STEP_S, now_s + 10.0)
    assert state.bps >= PICTURE_BPS


def test_after_a_hole_of_the_radio_a_call_has_soon_what_it_had_and_not_minutes_later() -> None:
    before = begin(0.0, 400_000, 1_000_000)
    hole = Seen(0.4, 300_000.0, MOST_BPS, is_sent=True, learned_bps=1_000_000.0)
    state = step(before, STEP_S, hole)
    assert state.bps <= 150_000, "what waits is to go first"
    state, now_s = used(state, STEP_S, FOLLOWS_S + 8 * PROOF_S)
    assert state.bps > before.bps
    known = step(before, STEP_S, replace(hole, learned_bps=310_000.0))
    assert used(known, STEP_S, now_s)[0].bps <= ROOM_RATIO * 310_000, "a link that carries no more is not tried so soon"


def test_more_is_tried_ever_more_seldom_where_it_fails() -> None:
    state, now_s, falls_s = begin(0.0, 100_000), 0.0, []
    while now_s < 1_800.0:
        now_s += STEP_S
        before = state
        state = step(state, now_s, seen(0.1 if state.bps > 100_000 else 0.0, min(state.bps, 100_000)))
        if state.bps < before.bps:
            falls_s.append(now_s)
    pauses_s = [later - sooner for sooner, later in pairwise(falls_s)]
    assert pauses_s[0] >= TRY_S
    assert all(later >= sooner - STEP_S for sooner, later in pairwise(pauses_s))
    assert pauses_s[-1] >= TRY_S_MAX
    assert sum(1 for at_s in falls_s if at_s < 60.0) <= 5


def test_a_link_that_has_become_good_is_found_within_minutes_and_not_hours() -> None:
    state, now_s = begin(0.0, 100_000), 0.0
    while now_s < 1_800.0:
        now_s += STEP_S
        state = step(state, now_s, seen(0.1 if state.bps > 80_000 else 0.0, min(state.bps, 80_000)))
    assert state.try_s == TRY_S_MAX
    state, _ = used(state, now_s, now_s + TRY_S_MAX + 60.0)
    assert state.bps == MOST_BPS


def test_a_day_alone_is_no_number_that_overflows() -> None:
    state = step(begin(0.0, 100_000), STEP_S, seen(0.1, 100_000))
    state = step(state, 86_400.0, seen(0.0, state.bps))
    state, _ = used(state, 86_400.0, 86_410.0)
    assert state.bps > 80_000


def test_who_is_alone_again_remembers_what_the_link_carries() -> None:
    found = step(begin(0.0, 300_000), STEP_S, seen(0.1, 250_000))
    again = resume(found, 5.0, 90_000)
    assert (again.bps, again.carries_bps, again.is_first) == (90_000, 250_000, False)


@dataclass
class Played:
    """A link that carries so much, and a call whose picture follows its budget within a second, a frame at a time."""

    link_bps: int
    is_sent: bool
    fps: int = 15
    queue_bits: float = 0.0
    sent: deque[tuple[float, float]] = field(default_factory=deque)
    came: deque[tuple[float, float]] = field(default_factory=deque)
    stood: deque[tuple[float, float]] = field(default_factory=deque)
    waits_s: list[float] = field(default_factory=list)  # of the voice

    def run(self, seconds: float) -> list[int]:
        """Return the budget at each of its steps."""
        tick_s, now_s, state = 0.01, 100.0, begin(100.0, 50_000)
        told: deque[tuple[float, int]] = deque([(0.0, 50_000)])
        shown, frame_s, look_s, voice_s, has_picture = [], 0.0, 0.0, 0.0, False
        while now_s < 100.0 + seconds:
            now_s += tick_s
            while len(told) > 1 and told[1][0] <= now_s - 0.7:
                told.popleft()
            bps = told[0][1]
            has_picture = bps >= (56_000 if has_picture else 60_000)
            bits = 0.0
            if now_s >= voice_s:
                voice_s, bits = now_s + 0.06, 20_000 * 0.06
                self.waits_s.append(self.queue_bits / self.link_bps)
            if has_picture and now_s >= frame_s:
                frame_s, bits = now_s + 1 / self.fps, bits + 0.95 * (bps - 20_000) / self.fps
            self._cross(now_s, bits, tick_s)
            if now_s >= look_s:
                look_s = now_s + STEP_S
                state = step(
                    state, now_s, Seen(self._standing_s(), self._out_bps(now_s), MOST_BPS, is_sent=self.is_sent)
                )
                told.append((now_s, state.bps))
                shown.append(state.bps)
        return shown

    def _cross(self, now_s: float, bits: float, tick_s: float) -> None:
        carried = min(self.queue_bits + bits, self.link_bps * tick_s)
        self.queue_bits += bits - carried
        self.sent.append((now_s, bits))
        self.came.append((now_s, carried))
        if not self.stood or now_s - self.stood[-1][0] >= 0.1:
            self.stood.append((now_s, self.queue_bits / self.link_bps))
        for lately, over_s in ((self.sent, 0.6), (self.came, 0.6), (self.stood, 0.5)):
            while lately[0][0] < now_s - over_s:
                lately.popleft()

    def _out_bps(self, now_s: float) -> float:
        lately = self.sent if self.is_sent else self.came
        return sum(bits for _, bits in lately) / max(now_s - lately[0][0], STEP_S)

    def _standing_s(self) -> float:
        return min(queue_s for _, queue_s in self.stood)


@pytest.mark.parametrize("is_sent", [False, True], ids=["down", "up"])
@pytest.mark.parametrize("link_bps", [80_000, 250_000, 2_000_000])
def test_a_call_settles_a_little_below_what_the_link_carries(link_bps: int, is_sent: bool) -> None:
    shown = Played(link_bps, is_sent).run(200.0)
    settled = shown[round(SETTLES_S / STEP_S) :]
    most_bps = min(link_bps, MOST_BPS / 0.95)
    assert jumps_a_minute(settled) <= 6
    typical_bps = sorted(settled)[len(settled) // 2]
    assert 0.6 * most_bps <= typical_bps <= 0.951 * most_bps


@pytest.mark.parametrize("is_sent", [False, True], ids=["down", "up"])
def test_where_no_picture_fits_one_is_tried_seldom_and_the_voice_does_not_wait(is_sent: bool) -> None:
    played = Played(40_000, is_sent)
    settled = played.run(300.0)[round(SETTLES_S / STEP_S) :]
    assert jumps_a_minute(settled) <= 6
    assert sum(1 for each in settled if each >= 60_000) <= 0.05 * len(settled)
    assert min(settled) >= VOICE_BPS
    assert sum(1 for each in played.waits_s if each > 0.2) <= 0.05 * len(played.waits_s)


def jumps_a_minute(shown: list[int]) -> int:
    """The most that are seen in any minute: between two budgets without a picture there is nothing to see."""
    jumps = [
        max(before, after) >= PICTURE_BPS and abs(after - before) > before / 3 for before, after in pairwise(shown)
    ]
    minute = round(60 / STEP_S)
    return max(sum(jumps[begin : begin + minute]) for begin in range(0, max(len(jumps) - minute, 1), 5))


def test_a_link_that_is_known_before_the_call_is_not_filled_to_be_found_out() -> None:
    state, now_s = used(begin(0.0, 190_000, 250_000), 0.0, KNOWN_TRY_S - 1.0)
    assert state.bps == int(ROOM_RATIO * 250_000)
    assert used(state, now_s, 2 * KNOWN_TRY_S)[0].bps > ROOM_RATIO * 250_000, "it may have changed"


def test_a_picture_that_does_not_fit_as_was_shown_before_the_call_is_not_tried_for_long() -> None:
    state, now_s = used(begin(0.0, VOICE_BPS, 40_000), 0.0, NO_PICTURE_TRY_S - 1.0)
    assert state.bps < PICTURE_BPS
    assert used(state, now_s, NO_PICTURE_TRY_S + 10.0)[0].bps >= PICTURE_BPS


def test_the_first_pictures_of_a_call_whose_link_is_known_are_no_sign_of_a_full_one() -> None:
    state, now_s = used(begin(0.0, 72_000, 80_000), 0.0, 20.0)  # a page is open, and nobody has come in yet
    bps = state.bps
    state = begun(state, now_s)
    ticks = round((BEGINS_S + BEGINS_BITS / 16_000) / STEP_S)
    for tick in range(1, ticks):
        state = step(state, now_s + tick * STEP_S, seen(0.4, 78_000.0))
    assert state.bps == bps
    for tick in range(ticks, 40):
        state = step(state, now_s + tick * STEP_S, seen(0.4, 78_000.0))
    assert state.bps < bps, "but a queue that stays is"
    assert begun(begin(0.0, 72_000), 0.0) == begin(0.0, 72_000), "where nothing is known, a queue is"


def test_a_large_frame_proves_what_the_smaller_ones_beside_it_do_not() -> None:
    frames = (30_000.0, 30_000.0, 60_000.0, 30_000.0)
    state = before = begin(0.0, 62_000)
    for tick in range(1, 40):
        state = step(state, tick * STEP_S, seen(0.0, frames[tick % 4]))
    assert state.bps > before.bps


def test_where_the_link_was_nearly_full_what_comes_out_now_counts() -> None:
    state = begin(0.0, 64_000, 80_000)
    frames = (30_000.0, 30_000.0, 60_000.0, 30_000.0)
    for tick in range(1, 200):
        state = step(state, tick * STEP_S, seen(0.0, frames[tick % 4]))
    assert state.bps < 1.1 * 64_000
