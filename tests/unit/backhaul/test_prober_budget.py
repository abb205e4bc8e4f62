"""Probing never costs more than the month bears, begins at full rate, and falls smoothly when much was spent."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backhaul.sensing.probe_budget import MONTH_S, ProbeBudget, Purses
from gateway.backhaul.sensing.probe_ledger import AHEAD_RATIO, ProbeLedger
from tests.clocks import HandClock

MONTH_BYTES = 20_000_000
EACH_BYTES = 104


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 86_400), st.floats(0, 50), st.integers(1, 3_000)), max_size=200))
def test_a_month_costs_at_most_its_allowance(bursts: list[tuple[float, float, int]]) -> None:
    budget, now_s, spent_bytes = ProbeBudget(MONTH_BYTES, 0.0), 0.0, 0
    for pause_s, asked_hz, probes in bursts:
        now_s += pause_s
        for _ in range(probes):
            rate_hz = budget.rate_hz(asked_hz, EACH_BYTES, now_s)
            assert 0 <= rate_hz <= asked_hz
            if rate_hz == 0:
                break
            now_s += 1 / max(rate_hz, 0.01)
            if now_s > MONTH_S:
                return
            budget.spend(EACH_BYTES, now_s)
            spent_bytes += EACH_BYTES
        assert spent_bytes <= MONTH_BYTES


def test_the_first_two_minutes_have_the_rate_that_is_asked() -> None:
    rates = _busy(ProbeBudget(MONTH_BYTES, 0.0), 120, 20.0)
    assert min(rates) == 20.0


def test_a_busy_afternoon_leaves_most_of_the_month() -> None:
    budget = ProbeBudget(MONTH_BYTES, 0.0)
    rates = _busy(budget, 4 * 3600, 20.0)
    assert sum(rates) * EACH_BYTES < 0.11 * MONTH_BYTES
    assert rates[-1] > 0
    steps = [before / after for before, after in pairwise(rates)]
    assert max(steps) < 1.05  # it falls smoothly


def test_without_an_allowance_nothing_is_borne() -> None:
    assert ProbeBudget(0, 0.0).rate_hz(50.0, EACH_BYTES, 10.0) == 0


def test_what_was_spent_survives_a_restart(tmp_path: Path, clock: HandClock) -> None:
    before = _ledger(tmp_path, clock)
    before.spend(500_000)
    before.write(ahead=False)
    after = _ledger(tmp_path, clock)
    after.read()
    assert after.budget.left(clock.now_s()) == before.budget.left(clock.now_s())


def test_a_crash_never_makes_the_allowance_larger(tmp_path: Path, clock: HandClock) -> None:
    before = _ledger(tmp_path, clock)
    for _ in range(1_000):
        before.spend(EACH_BYTES)
        if before.due:
            before.write()
    after = _ledger(tmp_path, clock)
    after.read()
    left, kept = (each.budget.left(clock.now_s()).reserve_bytes for each in (before, after))
    assert left - 2 * AHEAD_RATIO * MONTH_BYTES <= kept <= left


def test_the_file_is_written_seldom(tmp_path: Path, clock: HandClock) -> None:
    ledger, writes = _ledger(tmp_path, clock), 0
    for _ in range(10_000):
        ledger.spend(EACH_BYTES)
        if ledger.due:
            ledger.write()
            writes += 1
    assert writes <= 10_000 * EACH_BYTES / (AHEAD_RATIO * MONTH_BYTES) + 1


def test_the_time_the_box_was_off_counts_where_the_date_is_known(tmp_path: Path, clock: HandClock) -> None:
    before = _ledger(tmp_path, clock)
    before.spend(2_000_000)
    before.write(ahead=False)
    clock.wall += 86_400
    after = _ledger(tmp_path, clock)
    after.read()
    gained = after.budget.left(clock.now_s()).reserve_bytes - before.budget.left(clock.now_s()).reserve_bytes
    assert gained == pytest.approx(0.9 * MONTH_BYTES / 31, rel=1e-6)
    clock.wall = 1_000.0  # no battery: 1970
    unknown = _ledger(tmp_path, clock)
    unknown.read()
    assert unknown.budget.left(clock.now_s()) == before.budget.left(clock.now_s())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"reserve_bytes": NaN, "hour_bytes": 1, "wall_s": 1}',
        '{"reserve_bytes": 1e400, "hour_bytes": 1, "wall_s": 1}',
        "[" * 100_000,
        json.dumps({"reserve_bytes": "x", "hour_bytes": 1, "wall_s": 1}),
        '{"reserve_bytes": ' + "9" * 5_000 + "}",
    ],
)
def test_a_torn_file_says_that_nothing_is_left(tmp_path: Path, clock: HandClock, text: str) -> None:
    (tmp_path / "probes").write_text(text)
    ledger = _ledger(tmp_path, clock)
    ledger.read()
    assert ledger.budget.left(clock.now_s()) == Purses(0.0, 0.0)


def test_a_file_cannot_say_more_than_the_settings(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "probes").write_text(json.dumps({"reserve_bytes": 1e12, "hour_bytes": 1e12, "wall_s": 1e9}))
    ledger = _ledger(tmp_path, clock)
    ledger.read()
    assert ledger.budget.left(clock.now_s()) == ProbeBudget(MONTH_BYTES, 0.0).left(0.0)


def _busy(budget: ProbeBudget, seconds: int, asked_hz: float) -> list[float]:
    """Probe without a pause; returns the rate of each second."""
    rates = []
    for now_s in range(seconds):
        rate_hz = budget.rate_hz(asked_hz, EACH_BYTES, now_s)
        budget.spend(round(rate_hz * EACH_BYTES), now_s)
        rates.append(rate_hz)
    return rates


def _ledger(folder: Path, clock: HandClock) -> ProbeLedger:
    return ProbeLedger(folder / "probes", MONTH_BYTES, clock)
