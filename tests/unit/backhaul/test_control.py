"""The rate stays within its limits, follows the queue, and means something."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backhaul.sensing.control import (
    DRAIN_EVERY_S,
    TARGET_S_MAX,
    TARGET_S_MIN,
    Controller,
    Heard,
    Limits,
)

FEW = settings(max_examples=40, deadline=None)
TICK_S = 0.02
BASE_S = 0.04
LIMITS = Limits(least_bps=30_000, most_bps=20_000_000, start_bps=1_000_000)

QUEUES_S = st.floats(0.0, 0.4)
LONG_S = st.floats(TARGET_S_MAX + 0.001, 2.0)
HEARD = st.lists(QUEUES_S, max_size=4)
HISTORY = st.lists(st.tuples(HEARD, st.integers(0, 60_000)), max_size=80)  # at each tick: queues, and what was used


class Driven:
    """A controller, ticked."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.controller = Controller(limits)
        self.now_s = 100.0
        self.used_bytes = 0

    def tick(self, queues_s: list[float], used_bytes: int, *, in_turns: bool = False) -> int:
        """Step once; returns the rate then."""
        self.now_s += TICK_S
        self.used_bytes += used_bytes
        heard = [Heard(each, BASE_S) for each in queues_s]
        self.controller.step(self.now_s, self.used_bytes, heard, base_s=BASE_S, in_turns=in_turns)
        return self.rate_bps

    def tick_using_all(self, queues_s: list[float]) -> int:
        return self.tick(queues_s, int(self.rate_bps / 8 * TICK_S) + 1)

    @property
    def rate_bps(self) -> int:
        return self.controller.pace(self.now_s).rate_bps

    def after(self, history: list[tuple[list[float], int]]) -> "Driven":
        for queues_s, used_bytes in history:
            self.tick(queues_s, used_bytes)
        return self


@FEW
@given(st.lists(st.tuples(st.lists(st.floats(0.0, 30.0), max_size=4), st.integers(0, 10**7)), max_size=120))
def test_the_rate_is_always_within_its_limits(history: list[tuple[list[float], int]]) -> None:
    driven = Driven()
    for queues_s, used_bytes in history:
        assert LIMITS.least_bps <= driven.tick(queues_s, used_bytes) <= LIMITS.most_bps


@FEW
@given(HISTORY, st.lists(st.lists(LONG_S, min_size=1, max_size=4), min_size=1, max_size=80), st.booleans())
def test_the_rate_never_rises_while_the_queue_is_above_its_target(
    history: list[tuple[list[float], int]], queues_s: list[list[float]], in_turns: bool
) -> None:
    driven = Driven().after(history)
    driven.now_s += 0.1  # what was heard before counts no more
    before_bps = driven.rate_bps
    for each in queues_s:
        rate_bps = driven.tick(each, 10**6, in_turns=in_turns)
        assert rate_bps <= before_bps
        before_bps = rate_bps


@FEW
@given(HISTORY, st.lists(st.integers(0, 60_000), min_size=1, max_size=80), st.booleans())
def test_the_rate_never_falls_while_the_queue_is_empty(
    history: list[tuple[list[float], int]], used_bytes: list[int], in_turns: bool
) -> None:
    driven = Driven().after(history)
    driven.now_s += 0.1
    before_bps = driven.rate_bps
    for each in used_bytes:
        rate_bps = driven.tick([0.0], each, in_turns=in_turns)
        assert rate_bps >= before_bps
        before_bps = rate_bps


@FEW
@given(st.lists(HEARD, max_size=120))
def test_a_rate_that_nobody_uses_never_rises(queues_s: list[list[float]]) -> None:
    driven = Driven()
    before_bps = driven.rate_bps
    for each in queues_s:
        rate_bps = driven.tick(each, 0)
        assert rate_bps <= before_bps
        before_bps = rate_bps


@FEW
@given(HISTORY, QUEUES_S, QUEUES_S, st.booleans())
def test_a_longer_queue_never_gives_a_higher_rate(
    history: list[tuple[list[float], int]], one_s: float, other_s: float, in_turns: bool
) -> None:
    shorter_s, longer_s = sorted((one_s, other_s))
    rates_bps = []
    for queue_s in (shorter_s, longer_s):
        driven = Driven().after(history)
        rates_bps.append(driven.tick([queue_s], 10**5, in_turns=in_turns))
    assert rates_bps[1] <= rates_bps[0] + 1


@FEW
@given(HISTORY)
def test_the_target_stays_within_its_bounds(history: list[tuple[list[float], int]]) -> None:
    driven = Driven()
    for queues_s, used_bytes in history:
        driven.tick(queues_s, used_bytes)
        assert TARGET_S_MIN <= driven.controller.target_s <= TARGET_S_MAX


def test_where_nothing_is_heard_nothing_changes() -> None:
    driven = Driven()
    assert [driven.tick([], 100_000) for _ in range(200)] == [LIMITS.start_bps] * 200


def test_it_rises_by_a_quarter_of_the_targets_part_in_a_round_trip_without_a_queue() -> None:
    driven = Driven(Limits(start_bps=5_000_000, most_bps=20_000_000))
    driven.tick_using_all([0.0])
    before_bps = driven.rate_bps
    for _ in range(round(BASE_S / TICK_S)):
        driven.tick_using_all([0.0])
    assert 1.06 < driven.rate_bps / before_bps < 1.07  # a target of 10 ms on 40 ms

    for _ in range(round(5.0 / TICK_S)):
        driven.tick_using_all([0.0])
    assert driven.rate_bps == LIMITS.most_bps


def test_a_rate_ten_times_too_high_is_halved_within_a_quarter_of_a_second() -> None:
    driven = Driven(Limits(start_bps=10_000_000))
    for _ in range(round(0.25 / TICK_S)):
        driven.tick_using_all([0.5])
    assert driven.rate_bps < 5_000_000


def test_one_late_packet_is_no_queue() -> None:
    driven = Driven()
    for _ in range(5):
        driven.tick_using_all([0.0, 0.0])
    before_bps = driven.rate_bps
    assert driven.tick_using_all([0.0, 0.3]) >= before_bps


def test_two_packets_are_no_queue_where_they_take_long() -> None:
    assert Driven(Limits(start_bps=1_000_000)).controller.target_s >= 2 * 1500 * 8 / 1_000_000 - 1e-9
    assert Driven(Limits(start_bps=30_000)).controller.target_s <= TARGET_S_MAX
    assert Driven(Limits(start_bps=10_000_000)).controller.target_s == TARGET_S_MIN


def test_a_link_that_varies_has_a_longer_target_than_a_steady_one() -> None:
    steady, radio = Driven(Limits(start_bps=10_000_000)), Driven(Limits(start_bps=10_000_000))
    for tick in range(400):
        steady.tick_using_all([0.01])
        radio.tick_using_all([0.1 if tick // 10 % 2 else 0.0])
    assert steady.controller.target_s == TARGET_S_MIN
    assert radio.controller.target_s > 1.5 * TARGET_S_MIN


def test_the_window_is_drawn_in_for_a_moment_where_the_base_delay_was_not_seen_for_long() -> None:
    driven = Driven()
    ratios = []
    for _ in range(round(2.5 * DRAIN_EVERY_S / TICK_S)):
        before_bps = driven.rate_bps
        ratios.append(driven.tick_using_all([0.01]) / before_bps)
    drawn_in = [tick for tick, ratio in enumerate(ratios) if ratio < 0.7]
    let_out = [tick for tick, ratio in enumerate(ratios) if ratio > 1.5]
    assert len(drawn_in) == len(let_out) == 2
    assert all(0 < (end - begin) * TICK_S < 0.1 for begin, end in zip(drawn_in, let_out, strict=True))


def beside_calls(calls_bps: float, out_bps: float, queues_s: list[float]) -> int:
    """Return the rate of others after seconds beside calls on a link that carries so much."""
    driven = Driven()
    for queueing_s in queues_s:
        driven.now_s += TICK_S
        driven.used_bytes += int(driven.rate_bps / 8 * TICK_S) + 1
        driven.controller.step(
            driven.now_s,
            driven.used_bytes,
            [Heard(queueing_s, BASE_S)],
            base_s=BASE_S,
            carries_bps=out_bps,
            out_bps=out_bps,
            calls_bps=calls_bps,
        )
    return driven.rate_bps


def test_beside_calls_others_fall_below_what_is_left_until_the_queue_is_gone() -> None:
    long = [0.4] * 500
    assert beside_calls(62_000, 80_000, long) <= (80_000 - 62_000) / 3, "of a weak link little"
    assert beside_calls(200_000, 1_000_000, long) >= LIMITS.least_bps, "as beside no call"
    assert beside_calls(0, 80_000, long) == LIMITS.least_bps


def test_what_is_kept_while_a_queue_is_nearly_gone_is_no_more_than_calls_leave() -> None:
    nearly_gone = [0.1] * 100
    assert beside_calls(62_000, 80_000, nearly_gone) <= 80_000 - 62_000
    assert beside_calls(0, 800_000, nearly_gone) >= 0.35 * 800_000
