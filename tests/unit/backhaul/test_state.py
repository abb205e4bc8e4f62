"""The link's state follows the evidence: a stall is a doubt, a failed probe is an outage, a byte is life."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.sensing.state import (
    CarrierChanged,
    Evidence,
    LinkState,
    LinkView,
    ProbeFailed,
    Progressed,
    Stalled,
    step,
)

UP, DEGRADED, DOWN = LinkState.UP, LinkState.DEGRADED, LinkState.DOWN
LOST, FOUND = CarrierChanged(present=False), CarrierChanged(present=True)


@pytest.mark.parametrize(
    ("before", "carrier", "evidence", "after", "told_by"),
    [
        (UP, True, Progressed(), UP, "start"),
        (UP, True, Stalled(since_s=50.0), DEGRADED, "stall"),
        (UP, True, Stalled(since_s=39.0), UP, "start"),  # something came in since it began
        (UP, True, ProbeFailed(), UP, "start"),
        (UP, True, LOST, DOWN, "carrier"),
        (UP, True, FOUND, UP, "start"),
        (DEGRADED, True, Progressed(), UP, "progress"),
        (DEGRADED, True, Stalled(since_s=50.0), DEGRADED, "start"),
        (DEGRADED, True, ProbeFailed(), DOWN, "probe"),
        (DEGRADED, True, LOST, DOWN, "carrier"),
        (DEGRADED, True, FOUND, DEGRADED, "start"),
        (DOWN, True, Progressed(), UP, "progress"),
        (DOWN, True, Stalled(since_s=50.0), DOWN, "start"),
        (DOWN, True, ProbeFailed(), DOWN, "start"),
        (DOWN, True, FOUND, DOWN, "start"),  # the modem never lost it: only bytes tell
        (DOWN, True, LOST, DOWN, "start"),
        (DOWN, False, FOUND, UP, "carrier"),
        (DOWN, False, Progressed(), UP, "progress"),
        (DOWN, False, ProbeFailed(), DOWN, "start"),
    ],
)
def test_one_piece_of_evidence_leads_to_one_state(
    before: LinkState, carrier: bool, evidence: Evidence, after: LinkState, told_by: str
) -> None:
    view = LinkView(state=before, since_s=10.0, carrier=carrier, progress_s=40.0)
    found = step(view, evidence, 60.0)
    assert (found.state, found.told_by) == (after, told_by)
    assert found.since_s == (60.0 if after is not before else 10.0)


def test_progress_counts_even_where_the_state_stays() -> None:
    assert step(LinkView(), Progressed(), 7.0).progress_s == 7.0
    assert step(LinkView(), Stalled(since_s=5.0), 8.0).state is DEGRADED
    assert step(replace(LinkView(), progress_s=7.0), Stalled(since_s=5.0), 8.0).state is UP


EVIDENCE = st.one_of(
    st.just(Progressed()),
    st.builds(Stalled, st.floats(0, 100)),
    st.just(ProbeFailed()),
    st.builds(CarrierChanged, st.booleans()),
)


@given(st.lists(EVIDENCE, max_size=30))
def test_whatever_came_before_a_byte_means_up_and_no_carrier_means_down(history: list[Evidence]) -> None:
    view = LinkView()
    for now_s, evidence in enumerate(history):
        before = view
        view = step(view, evidence, float(now_s))
        if view.state is not before.state:
            assert view.since_s == now_s
        if view.state is not UP:
            assert view.told_by in {"stall", "probe", "carrier"}
        if not view.carrier:
            assert view.state is DOWN
    assert step(view, Progressed(), 100.0).state is UP
    assert step(view, LOST, 100.0).state is DOWN


@given(st.lists(EVIDENCE, max_size=30), st.floats(0, 100))
def test_a_stall_alone_never_means_down(history: list[Evidence], since_s: float) -> None:
    view = LinkView()
    for evidence in history:
        view = step(view, evidence, 50.0)
    after = step(view, Stalled(since_s), 60.0)
    assert after.state is view.state or (view.state, after.state) == (UP, DEGRADED)
