"""A word, a cause and the next step: the link is blamed only where it is known to be the reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clinic.course import Course, fields_of, follow
from gateway.clinic.quality import Cause, PageFigures, Signs, judge

WELL = PageFigures(fps=20, frozen_s=0, concealed_ratio=0, delay_s=0.1)
STUTTERS = PageFigures(fps=4, frozen_s=3, concealed_ratio=0, delay_s=0.1)
GAPS = PageFigures(fps=20, frozen_s=0, concealed_ratio=0.05, delay_s=0.1)


@pytest.mark.parametrize(
    ("signs", "word", "cause"),
    [
        (Signs(others=0), "good", "none"),
        (Signs(left_bps=700_000, page=WELL), "good", "none"),
        (Signs(link_is_down=True, page=WELL), "poor", "village-link"),
        (Signs(heard=False), "poor", "far-side"),
        (Signs(heard=False, is_away=True), "poor", "away"),
        (Signs(sees_picture=False, left_bps=10_000, page=WELL), "voice", "village-link"),
        (Signs(sees_picture=False, wants_picture=False, left_bps=10_000, page=WELL), "good", "none"),
        (Signs(left_bps=60_000, page=STUTTERS), "poor", "village-link"),
        (Signs(left_bps=600_000, lost_ratio=0.05, page=WELL), "fair", "far-side"),
        (Signs(left_bps=600_000, page=STUTTERS), "poor", "device"),
        (Signs(left_bps=None, page=STUTTERS), "poor", "device"),
        (Signs(left_bps=None, lost_ratio=0.2), "poor", "device"),
        (Signs(left_bps=600_000, page=GAPS), "fair", "far-side"),
    ],
)
def test_each_case_has_its_word_and_its_cause(signs: Signs, word: str, cause: str) -> None:
    found = judge(signs)
    assert (found.word, found.cause) == (word, cause)
    assert found.message == "" if found.cause == "none" else found.message.endswith(".")


@given(
    st.builds(
        Signs,
        link_is_down=st.booleans(),
        others=st.integers(0, 3),
        heard=st.booleans(),
        is_away=st.booleans(),
        wants_picture=st.booleans(),
        sees_picture=st.booleans(),
        left_bps=st.none() | st.integers(0, 10**6),
        picture_bps=st.integers(0, 10**6),
        receives_bps=st.none() | st.integers(0, 10**6),
        lost_ratio=st.floats(0, 1),
        page=st.none()
        | st.builds(PageFigures, st.floats(0, 60), st.floats(0, 5), st.floats(0, 1), st.none() | st.floats(0, 5)),
    )
)
def test_what_is_not_good_has_a_sentence(signs: Signs) -> None:
    found = judge(signs)
    assert found.word == "good" or found.message.endswith(".")
    assert found.word != "good" or found.cause == "none"


def test_a_call_s_course_adds_up_and_names_what_was_in_its_way_longest() -> None:
    course = Course(1_800_000_000.0, 0.0)
    for step in range(1, 81):
        heard = not 20 < step <= 30
        causes = frozenset[Cause]({"village-link"} if step < 50 else {"device"})
        course = follow(course, step * 0.25, heard=heard, seen=step > 40, causes=causes)
    assert fields_of(course, 1_800_000_020.0) == {
        "began_s": 1_800_000_000.0,
        "ended_s": 1_800_000_020.0,
        "voice_s": 17.5,
        "picture_s": 10.0,
        "breaks": 1,
        "cause": "village-link",
    }
    assert follow(course, 500.0, heard=True, seen=True, causes=frozenset()).voice_s == course.voice_s + 1.0
