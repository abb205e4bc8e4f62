"""A page's message is one of four, or it is refused; what the page is shown goes at once when it matters."""

from dataclasses import replace

import pytest

from gateway.clinic.messages import Answered, Left, LinkShown, Offered, Plan, Resumed, State, read_message, state
from gateway.errors import BadRequest

SHOWN = State(True, True, Plan(True, True, 300_000), LinkShown("up", 1_000_000, None))


def test_the_four_messages_of_a_page_are_understood() -> None:
    assert read_message('{"type":"offer","sdp":"v=0"}') == Offered("v=0")
    assert read_message('{"type":"resume"}') == Resumed()
    assert read_message('{"type":"pong","more":1}') == Answered()
    assert read_message('{"type":"bye"}') == Left()


@pytest.mark.parametrize(
    "text",
    ["", "x", "{", "[]", "null", "5", '"offer"', "{}", '{"type":null}', '{"type":"offer"}', '{"type":"offer","sdp":5}',
     '{"type":["offer"],"sdp":"v=0"}', '{"type":"answer","sdp":"v=0"}', '{"sdp":"v=0"}', "[" * 60_000,
     '{"type":' + "9" * 5_000 + "}", '{"type":"OFFER","sdp":""}'],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_message(text)
    assert caught.value.what.endswith(".")


def test_figures_may_wait_and_changes_may_not() -> None:
    assert SHOWN.matters_more_than(None)
    assert not SHOWN.matters_more_than(SHOWN)
    assert not replace(SHOWN, plan=Plan(True, True, 100_000)).matters_more_than(SHOWN)
    assert replace(SHOWN, plan=Plan(True, False, 0)).matters_more_than(SHOWN)
    assert replace(SHOWN, others=False).matters_more_than(SHOWN)
    assert replace(SHOWN, heard=False).matters_more_than(SHOWN)


def test_a_state_is_one_flat_reading_of_the_call() -> None:
    assert state(SHOWN) == {
        "type": "state",
        "others": True,
        "heard": True,
        "plan": {"send": True, "picture": True, "video_bps": 300_000},
        "link": {"state": "up", "down_bps": 1_000_000, "up_bps": None},
    }
