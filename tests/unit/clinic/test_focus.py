"""Who has the floor changes when somebody else really speaks, and not at every cough."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.clinic.focus import HOLDS_S, LOUDER_BY, LOUDER_S, SPEAKS_LEVEL, Focus, follow
from gateway.clinic.invitation import Role

STEP_S = 0.1


def after(seconds: float, focus: Focus, nurse: float, doctor: float, *, from_s: float = 0.0) -> Focus:
    for step in range(round(seconds / STEP_S) + 1):
        focus = follow(focus, {"nurse": nurse, "doctor": doctor}, from_s + step * STEP_S)
    return focus


def test_whoever_speaks_first_has_the_floor_at_once() -> None:
    assert after(0, Focus(), 0.6, 0.1).role == "nurse"


def test_in_silence_the_floor_stays_where_it_is() -> None:
    assert after(60, Focus("nurse"), 0.0, SPEAKS_LEVEL - 0.01).role == "nurse"
    assert after(60, Focus(), 0.1, 0.1).role is None


def test_somebody_a_little_louder_has_it_after_a_second() -> None:
    assert after(HOLDS_S - STEP_S, Focus("nurse"), 0.5, 0.55).role == "nurse"
    assert after(HOLDS_S + STEP_S, Focus("nurse"), 0.5, 0.55).role == "doctor"


def test_somebody_much_louder_has_it_after_three_tenths() -> None:
    loud = 0.45 + LOUDER_BY + 0.01
    assert after(LOUDER_S - STEP_S, Focus("nurse"), 0.45, loud).role == "nurse"
    assert after(LOUDER_S + STEP_S, Focus("nurse"), 0.45, loud).role == "doctor"


def test_a_cough_changes_nothing() -> None:
    coughed = after(0.2, Focus("nurse"), 0.5, 0.95)
    spoke_on = after(2, coughed, 0.6, 0.1, from_s=0.3)
    assert spoke_on.role == "nurse"
    assert after(0.2, spoke_on, 0.5, 0.95, from_s=3.0).role == "nurse", "the cough before it does not count"


def test_who_has_left_has_no_floor() -> None:
    assert follow(Focus("guest"), {"nurse": 0.0}, 0.0).role is None


@given(st.lists(st.dictionaries(st.sampled_from(["nurse", "doctor", "guest"]), st.floats(0, 1)), max_size=60))
def test_the_floor_is_never_with_somebody_who_is_not_in_and_moves_seldom(levels: list[dict[Role, float]]) -> None:
    focus, moved_s = Focus(), -1.0
    for step, each in enumerate(levels):
        before, focus = focus, follow(focus, each, step * STEP_S)
        assert focus.role is None or focus.role in each
        if before.role in each and before.role != focus.role:
            assert step * STEP_S - moved_s >= LOUDER_S - 1e-9
            moved_s = step * STEP_S
