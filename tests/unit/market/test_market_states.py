"""The table of an order's states."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.market.states import SETTLED, SUCCESSORS, WAITING, State, may_follow, way

ENDS = frozenset(state for state in State if not SUCCESSORS[state])
STATES = st.sampled_from(list(State))


def test_every_state_is_in_the_table() -> None:
    assert set(SUCCESSORS) == {None, *State}


def test_only_a_fulfilled_or_cancelled_order_is_at_its_end() -> None:
    assert {State.FULFILLED, State.CANCELLED} == ENDS
    assert ENDS < SETTLED
    assert not SETTLED & WAITING


@given(st.sampled_from(sorted(ENDS)), STATES)
def test_nothing_follows_an_end(end: State, state: State) -> None:
    assert not may_follow(end, state)
    assert way(end, state) == (() if end is state else None)


def test_only_what_was_given_to_the_link_can_be_accepted() -> None:
    before = {before for before in SUCCESSORS if may_follow(before, State.ACCEPTED)}
    assert before == {State.SENDING, State.AT_HUB, State.NEEDS_ATTENTION}


@given(st.one_of(st.none(), STATES), STATES)
def test_a_way_takes_only_lawful_steps_and_ends_where_it_should(before: State | None, after: State) -> None:
    steps = way(before, after)
    if steps is None:
        assert before in ENDS or after is State.RECORDED
        return
    assert (steps[-1] if steps else before) is after
    for first, second in zip((before, *steps), steps, strict=False):
        assert may_follow(first, second)


def test_the_straight_way_is_preferred() -> None:
    assert way(State.QUEUED, State.REJECTED) == (State.SENDING, State.REJECTED)
    assert way(State.SENDING, State.QUEUED) == (State.QUEUED,)


@given(st.lists(STATES, max_size=12))
def test_no_lawful_history_leaves_an_end(tries: list[State]) -> None:
    history: list[State] = []
    for state in tries:
        if may_follow(history[-1] if history else None, state):
            history.append(state)
    assert not ENDS & set(history[:-1])
