"""What one ring of the link's history has counted the others have, whatever the clocks do."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backhaul.account.history_cells import (
    CLASSES,
    CONGESTED_S,
    FRESH_S,
    VALUE_MAX,
    Cell,
    Crossed,
    Gathering,
    Sample,
    joined,
)
from gateway.backhaul.account.history_rings import CELLS, Ring, Rings, Span
from gateway.backhaul.account.history_time import OFF_S_MAX, SETTLING_S, OwnTime
from gateway.backhaul.sensing.figures import Estimate, LinkFigures, WayFigures
from gateway.backhaul.sensing.state import LinkState
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import WALL_FLOOR_S

WALL_S = WALL_FLOOR_S + 1e6
NOTHING = WayFigures()


def way(capacity_bps: float | None = None, queueing_s: float | None = None, loss: float | None = None) -> WayFigures:
    def told(value: float | None) -> Estimate | None:
        return None if value is None else Estimate(value, 1.0, 0.0)

    return WayFigures(told(capacity_bps), None, told(queueing_s), told(loss))


def sample(
    at_s: float,
    down: WayFigures = NOTHING,
    up: WayFigures = NOTHING,
    *,
    state: LinkState = LinkState.UP,
    web: tuple[int, int] = (0, 0),
    bulk: tuple[int, int] = (0, 0),
) -> Sample:
    moved = {TrafficClass.WEB: Crossed(*web), TrafficClass.BULK: Crossed(*bulk)}
    return Sample(at_s, state, LinkFigures(down, up), moved)


looks = st.lists(
    st.tuples(
        st.integers(0, 10**9),
        st.integers(0, 10**9),
        st.sampled_from(LinkState),
        st.floats(0, 2, allow_nan=False),
        st.floats(0.5, 5.0),
    ),
    min_size=1,
    max_size=300,
)


WEB = CLASSES.index(TrafficClass.WEB)


def seconds(cells: list[Cell]) -> list[float]:
    return [math.fsum(getattr(each, name) for each in cells) for name in ("seen_s", "down_s", "degraded_s")]


@settings(max_examples=60, deadline=None)
@given(looks)
def test_bytes_and_seconds_are_the_same_in_every_ring(seen: list[tuple[int, int, LinkState, float, float]]) -> None:
    rings, own_s = Rings.made(), 0.0
    for down_bytes, up_bytes, state, delay_s, lasted_s in seen:
        own_s += lasted_s
        look = sample(own_s, way(4e6, delay_s), state=state, web=(down_bytes, up_bytes))
        rings.add(look, own_s, lasted_s)
    found = [ring.series().cells() for ring in rings.rings.values()]
    for cells in found:
        assert sum(each.down.moved_bytes[WEB] for each in cells) == sum(each[0] for each in seen)
        assert sum(each.up.moved_bytes[WEB] for each in cells) == sum(each[1] for each in seen)
        assert abs(seconds(cells)[0] - math.fsum(each[4] for each in seen)) < 0.1
        assert all(abs(a - b) < 0.1 for a, b in zip(seconds(cells), seconds(found[0]), strict=True))


@settings(max_examples=60, deadline=None)
@given(looks)
def test_percentiles_are_in_order_and_right_within_a_step(
    seen: list[tuple[int, int, LinkState, float, float]],
) -> None:
    gathering = Gathering(0)
    for *_, delay_s, _lasted in seen:
        gathering.add(sample(0.0, way(None, delay_s)), 1.0)
    cell = gathering.cell().down
    delays_s = sorted(each[3] for each in seen)
    assert cell.queueing_p50_s <= cell.queueing_p95_s <= cell.queueing_max_s == delays_s[-1]
    for found, ratio in ((cell.queueing_p50_s, 0.5), (cell.queueing_p95_s, 0.95)):
        exact = delays_s[math.ceil(len(delays_s) * ratio) - 1]
        assert exact / 1.13 <= found <= exact * 1.13 or max(found, exact) <= 0.001


def test_idle_seconds_are_idle_and_unseen_seconds_are_nowhere() -> None:
    ring = Ring(Span.DAY)
    for second in range(1, 60):
        ring.add(sample(second), float(second), 1.0)
    ring.add(sample(600.0), 600.0, 5.0)
    idle, late = ring.series().cells()
    assert (idle.slot, idle.seen_s, sum(idle.down.moved_bytes)) == (0, 59.0, 0)
    assert (late.slot, late.seen_s) == (10, 5.0)
    assert idle.down.capacity_known_s == idle.down.queueing_known_s == 0.0


def test_an_outage_is_seconds_and_congestion_is_seconds() -> None:
    ring = Ring(Span.MONTH)
    for second in range(100):
        state = LinkState.DOWN if second < 20 else LinkState.DEGRADED if second < 25 else LinkState.UP
        waits_s = CONGESTED_S if second % 2 else CONGESTED_S / 2
        ring.add(sample(second, way(4e6, waits_s, 0.1 if second < 10 else 0.0), state=state), float(second), 1.0)
    (cell,) = ring.series().cells()
    assert (cell.seen_s, cell.down_s, cell.degraded_s, cell.down.congested_s) == (100.0, 20.0, 5.0, 50.0)
    assert (round(cell.down.loss_ratio, 6), round(cell.down.loss_max_ratio, 6)) == (0.01, 0.1)
    assert cell.down.capacity_bps == 4e6


def test_figures_that_are_old_or_nonsense_are_not_taken() -> None:
    old = Estimate(0.4, 1.0, FRESH_S + 1)
    ring = Ring(Span.HOUR)
    ring.add(sample(0.0, WayFigures(Estimate(5e6, 0.2, 9e9), None, old, old)), 0.0, 1.0)
    ring.add(sample(1.0, way(math.nan, math.inf, -1.0), way(1e300)), 1.0, 1.0)
    (cell,) = ring.series().cells()
    assert (cell.down.capacity_bps, cell.down.capacity_known_s) == (5e6, 1.0)
    assert (cell.down.queueing_known_s, cell.down.loss_ratio, cell.down.loss_known_s) == (0.0, 0.0, 1.0)
    assert math.isclose(cell.up.capacity_bps, VALUE_MAX, rel_tol=1e-6)


def test_a_ring_forgets_what_is_older_than_its_span() -> None:
    ring = Ring(Span.HOUR)
    for second in range(0, 3 * 3_600, 2):
        ring.add(sample(second, web=(1, 0)), float(second), 2.0)
    cells = ring.series().cells()
    assert len(cells) == CELLS[Span.HOUR]
    assert cells[0].slot == 3_600
    assert (ring.finished(3_598), ring.finished(5_398)) == (None, cells[-2])


def test_a_jump_of_years_costs_one_step_and_leaves_an_empty_span() -> None:
    ring = Ring(Span.HOUR)
    ring.add(sample(0.0, web=(7, 0)), 0.0, 1.0)
    ring.add(sample(3e9, web=(1, 0)), 3e9, 1.0)
    ring.add(sample(9e99, web=(1, 0)), 9e99, 1.0)
    assert [sum(each.down.moved_bytes) for each in ring.series().cells()] == [1]


def test_a_stretch_that_a_restart_cut_in_two_is_one_again() -> None:
    before = Ring(Span.MONTH)
    before.add(sample(10.0, way(2e6, 0.01), web=(100, 10)), 10.0, 1.0)
    after = Ring(Span.MONTH, before.snapshot())
    after.add(sample(20.0, way(4e6, 0.02), web=(200, 20)), 20.0, 3.0)
    (cell,) = after.series().cells()
    assert (sum(cell.down.moved_bytes), sum(cell.up.moved_bytes), cell.seen_s) == (300, 30, 4.0)
    assert cell.down.capacity_bps == 3.5e6
    assert before.snapshot() == before.snapshot(), "looking changes nothing"


def test_joining_is_the_same_either_way_round() -> None:
    one, other = Gathering(3), Gathering(3)
    one.add(sample(0.0, way(2e6, 0.01, 0.0), web=(5, 1)), 1.0)
    other.add(sample(0.0, way(6e6, 0.4, 0.2), bulk=(9, 2), state=LinkState.DOWN), 2.0)
    assert joined(one.cell(), other.cell()) == joined(other.cell(), one.cell())


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(-1e12, 1e12)), max_size=60), st.booleans())
def test_own_time_never_goes_back_and_never_by_years(steps: list[tuple[float, float]], goes_on: bool) -> None:
    time, now_s = OwnTime(500.0, WALL_S - 500.0, goes_on=goes_on), 0.0
    for elapsed_s, wall_s in steps:
        before_s, now_s = time.own_s, now_s + elapsed_s
        time.step(now_s, wall_s)
        assert 0 <= time.own_s - before_s <= elapsed_s + OFF_S_MAX + 1e-6
        if not goes_on:
            assert time.own_s <= 500.0 + now_s + 1e-6


def test_the_time_a_box_was_off_is_a_gap_even_when_the_date_comes_late() -> None:
    time = OwnTime(1_000.0, WALL_S - 1_000.0, goes_on=True)
    time.step(5.0, 0.0)
    time.step(65.0, WALL_FLOOR_S - 1)
    assert time.own_s == 1_060.0
    time.step(66.0, WALL_S + 7_200.0)
    assert time.own_s == 1_000.0 + 7_200.0
    assert time.wall_s(time.own_s) == WALL_S + 7_200.0


def test_a_clock_that_is_set_while_the_box_runs_moves_the_dates_and_no_curve() -> None:
    time = OwnTime(0.0, WALL_S, goes_on=True)
    time.step(0.0, WALL_S)
    time.step(SETTLING_S + 1, WALL_S + SETTLING_S + 1)
    for wall_s in (WALL_S + 1e9, WALL_S + 10, WALL_S + 5e6):
        time.step(SETTLING_S + 2, wall_s)
        assert time.own_s == SETTLING_S + 2
        assert time.wall_s(time.own_s) == wall_s


def test_a_first_start_knows_no_gap() -> None:
    time = OwnTime()
    time.step(0.0, WALL_S)
    time.step(60.0, WALL_S + 86_400)
    assert time.own_s == 60.0
