"""The first way that carries anything is taken, left at once when it is dead, and gone back to with proof."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.sensing.state import LinkState
from gateway.backhaul.ways.order import GOOD_FOR_S, GOOD_FOR_S_MAX, LASTED_S, Order, Standing, choose

UP, DEGRADED, DOWN = LinkState.UP, LinkState.DEGRADED, LinkState.DOWN


def ways(first: LinkState, second: LinkState, since_s: float = 0.0, *, spent: bool = False) -> list[Standing]:
    return [Standing("4g", first, since_s, spent), Standing("satellite", second)]


def test_a_way_that_is_down_is_left_at_once() -> None:
    assert choose(Order("4g", 0.0), ways(DOWN, UP), 1.0).active == "satellite"


def test_a_doubt_is_no_reason_to_leave() -> None:
    assert choose(Order("4g", 0.0), ways(DEGRADED, UP), 1.0).active == "4g"


def test_with_every_way_down_the_one_there_was_is_kept() -> None:
    assert choose(Order("satellite", 5.0), ways(DOWN, DOWN), 100.0) == Order("satellite", 5.0)


def test_the_first_to_answer_is_taken_even_if_it_comes_later_in_the_order() -> None:
    assert choose(Order("4g", 5.0), ways(DOWN, UP), 100.0).active == "satellite"


def test_a_better_way_is_gone_back_to_once_it_has_been_good_for_a_while() -> None:
    order = Order("satellite", 10.0)
    assert choose(order, ways(UP, UP, 50.0), 50.0 + GOOD_FOR_S - 1).active == "satellite"
    back = choose(order, ways(UP, UP, 50.0), 50.0 + GOOD_FOR_S)
    assert (back.active, back.returned) == ("4g", True)
    assert choose(order, ways(DEGRADED, UP, 50.0), 500.0).active == "satellite", "not to one in doubt"


def test_a_return_that_did_not_last_makes_the_next_wait_longer_up_to_a_limit() -> None:
    order, now_s, waits = Order("4g", 0.0), 0.0, []
    for _ in range(9):
        now_s += 5
        order = choose(order, ways(DOWN, UP), now_s)
        waits.append(order.good_for_s)
        now_s += order.good_for_s
        order = choose(order, ways(UP, UP, now_s - order.good_for_s), now_s)
        assert order.active == "4g"
    assert waits[:4] == [GOOD_FOR_S, 2 * GOOD_FOR_S, 4 * GOOD_FOR_S, 8 * GOOD_FOR_S]
    assert max(waits) == GOOD_FOR_S_MAX
    lasted = choose(order, ways(DOWN, UP), now_s + LASTED_S)
    assert lasted.good_for_s == GOOD_FOR_S


def test_a_way_whose_allowance_is_spent_comes_last_and_is_still_taken_when_alone() -> None:
    assert choose(Order("4g", 0.0), ways(UP, UP, spent=True), 100.0).active == "satellite"
    assert choose(Order("4g", 0.0), ways(UP, DOWN, spent=True), 100.0).active == "4g"
    assert choose(Order("satellite", 0.0), ways(UP, DOWN, spent=True), 100.0).active == "4g"
    assert choose(Order("satellite", 0.0), ways(UP, UP, spent=True), 1_000.0).active == "satellite"


STATES = st.sampled_from(LinkState)
STEPS = st.lists(st.tuples(st.floats(0.1, 100), STATES, STATES, STATES, st.booleans()), max_size=40)


@given(STEPS)
def test_the_way_taken_is_never_down_while_another_is_not(
    steps: list[tuple[float, LinkState, LinkState, LinkState, bool]],
) -> None:
    order, now_s = Order("a", 0.0), 0.0
    since: dict[str, tuple[LinkState, float]] = {}
    for pause_s, a, b, c, spent in steps:
        now_s += pause_s
        standings = []
        for name, state in zip("abc", (a, b, c), strict=True):
            if since.get(name, (None,))[0] is not state:
                since[name] = (state, now_s)
            standings.append(Standing(name, state, since[name][1], spent and name == "a"))
        before, order = order, choose(order, standings, now_s)
        now = {way.name: way for way in standings}
        assert now[order.active].state is not DOWN or {a, b, c} == {DOWN}
        if order.active != before.active and now[before.active].state is not DOWN:
            assert now[order.active].state is UP, "only a way that is up is worth a change nobody is forced to"
            assert now_s - now[order.active].since_s >= before.good_for_s
