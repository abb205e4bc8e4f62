"""The table of an order's states."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.market.states import ENDS, SUCCESSORS, WAITING, State, may_follow, way

STATES = st.sampled_from(list(State))


def test_every_state_is_in_the_table() -> None:
    assert set(SUCCESSORS) == {None, *State}


def test_the_ends_are_accepted_and_rejected() -> None:
    assert {State.ACCEPTED, State.REJECTED} == ENDS
    assert not ENDS & WAITING


@given(st.sampled_from(sorted(ENDS)), STATES)
def test_nothing_follows_an_end(end: State, state: State) -> None:
    assert not may_follow(end, state)
    assert way(end, state) == (() if end is state else None)


def test_only_sending_leads_to_accepted() -> None:
    assert [before for before in SUCCESSORS if may_follow(before, State.ACCEPTED)] == [State.SENDING]


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
