"""A page's message is one of a few, within bounds, or it is refused; what matters is shown at once."""

import base64
import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clinic.messages import (
    FIGURES_PAUSE_S,
    SPEAKS_PAUSE_S,
    STILL_BYTES_MAX,
    Answered,
    EntriesAsked,
    EntryWritten,
    Left,
    LinkShown,
    Measured,
    Offered,
    PersonShown,
    Pinned,
    Plan,
    QualityShown,
    Resumed,
    SlotShown,
    State,
    StillSent,
    Switched,
    read_message,
    refused,
    state,
)
from gateway.clinic.quality import PageFigures
from gateway.errors import BadRequest

SHOWN = State(True, True, Plan(True, True, 300_000), LinkShown("up", 1_000_000, None))
ID = "0b9a6a1e-9c1d-4a3e-8b39-0c6a3c1f2d11"
JPEG = b"\xff\xd8\xff\xe0" + b"x" * 500 + b"\xff\xd9"
WEBP = b"RIFF\x10\x00\x00\x00WEBPVP8 "


def written(**changed: object) -> str:
    return json.dumps({"type": "entry", "id": ID, "kind": "chat", "at": 1.8e9, "fields": {"text": "hi"}} | changed)


def still(content: bytes) -> str:
    return json.dumps({"type": "still", "image": base64.b64encode(content).decode()})


def test_what_a_page_says_is_understood() -> None:
    assert read_message('{"type":"offer","sdp":"v=0"}') == Offered("v=0")
    assert read_message('{"type":"resume"}') == Resumed()
    assert read_message('{"type":"pong","more":1}') == Answered()
    assert read_message('{"type":"bye"}') == Left()
    assert read_message('{"type":"switches","voice":true,"picture":false,"share":true}') == Switched(True, False, True)
    assert read_message('{"type":"pin","who":"doctor"}') == Pinned("doctor")
    assert read_message('{"type":"pin","who":null}') == Pinned(None)
    assert read_message('{"type":"entries","after":7}') == EntriesAsked(7)
    assert read_message(written()) == EntryWritten(ID, "chat", 1.8e9, {"text": "hi"})
    for content in (JPEG, WEBP):
        assert read_message(still(content)) == StillSent(base64.b64encode(content).decode())
    figures = '{"type":"figures","fps":19.5,"frozen_s":0,"concealed_ratio":7,"delay_s":null}'
    assert read_message(figures) == Measured(PageFigures(19.5, 0.0, 1.0, None))


@pytest.mark.parametrize(
    "text",
    ["", "x", "{", "[]", "null", "5", '"offer"', "{}", '{"type":null}', '{"type":"offer"}', '{"type":"offer","sdp":5}',
     '{"type":["offer"],"sdp":"v=0"}', '{"type":"answer","sdp":"v=0"}', '{"sdp":"v=0"}', "[" * 60_000,
     '{"type":' + "9" * 5_000 + "}", '{"type":"OFFER","sdp":""}',
     '{"type":"switches","voice":1,"picture":true,"share":true}', '{"type":"switches","voice":true}',
     '{"type":"pin"}', '{"type":"pin","who":"patient"}', '{"type":"pin","who":7}',
     '{"type":"entries"}', '{"type":"entries","after":-1}', '{"type":"entries","after":true}',
     '{"type":"entries","after":1.5}', '{"type":"entries","after":' + "9" * 30 + "}",
     '{"type":"still"}', '{"type":"still","image":"%%%"}', '{"type":"still","image":""}',
     still(b"GIF89a"), still(JPEG[:-1]), still(JPEG[:3] + b"x" * STILL_BYTES_MAX + JPEG[-2:]), still(JPEG) + "x",
     written(id="1"), written(id=ID.upper()), written(id=ID + "\n"), written(kind="k" * 50), written(kind=5),
     written(at="now"), written(at=True), written(at=-1), written(at=float("nan")), written(fields=[]),
     '{"type":"figures"}', '{"type":"figures","fps":"20","frozen_s":0,"concealed_ratio":0}',
     '{"type":"figures","fps":NaN,"frozen_s":0,"concealed_ratio":0}'],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_message(text)
    assert caught.value.what.endswith(".")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)
_keys = st.sampled_from(
    ["sdp", "voice", "picture", "share", "who", "image", "id", "kind", "at", "fields", "after", "fps", "frozen_s",
     "concealed_ratio", "delay_s"]
)  # fmt: skip
_types = st.sampled_from(["offer", "switches", "pin", "still", "entry", "entries", "figures", "state", "bye"])


@given(_types, st.dictionaries(_keys, _json, max_size=6))
def test_whatever_comes_is_understood_or_refused(kind: str, rest: dict[str, object]) -> None:
    with suppress(BadRequest):
        read_message(json.dumps({**rest, "type": kind}))


def test_figures_may_wait_and_changes_may_not() -> None:
    assert SHOWN.may_wait_s(None) == 0
    assert replace(SHOWN, plan=Plan(True, True, 100_000)).may_wait_s(SHOWN) == FIGURES_PAUSE_S
    for changed in (
        replace(SHOWN, plan=Plan(True, False, 0)),
        replace(SHOWN, plan=Plan(True, True, 300_000, still_s=5)),
        replace(SHOWN, others=False),
        replace(SHOWN, heard=False),
        replace(SHOWN, slots=(SlotShown("doctor", True),)),
        replace(SHOWN, focus="doctor"),
        replace(SHOWN, quality=QualityShown("poor", "device", "Words.")),
    ):
        assert changed.may_wait_s(SHOWN) == 0


def test_who_speaks_is_news_only_where_it_may_be_somebody_else() -> None:
    silent, loud = (PersonShown("doctor", True, speaks, True, True, False, True) for speaks in (False, True))
    nurse, guest = replace(silent, who="nurse"), replace(silent, who="guest")
    two = replace(SHOWN, people=(nurse, silent))
    assert replace(two, people=(nurse, loud)).may_wait_s(two) == FIGURES_PAUSE_S
    three = replace(SHOWN, people=(nurse, silent, guest))
    assert replace(three, people=(nurse, loud, guest)).may_wait_s(three) == SPEAKS_PAUSE_S


def test_a_state_is_one_reading_of_the_call() -> None:
    assert state(replace(SHOWN, slots=(SlotShown("doctor", True), SlotShown()))) == {
        "type": "state",
        "others": True,
        "heard": True,
        "plan": {"send": True, "picture": True, "video_bps": 300_000, "still_s": None},
        "slots": ({"who": "doctor", "picture": True}, {"who": None, "picture": False}),
        "people": (),
        "focus": None,
        "pinned": None,
        "quality": {"word": "good", "cause": "none", "message": ""},
        "link": {"state": "up", "down_bps": 1_000_000, "up_bps": None},
        "recording": False,
    }


def test_a_refused_entry_is_named() -> None:
    assert refused("No.", final=False) == {"type": "refused", "message": "No.", "final": False}
    assert refused("No.", final=False, entry=ID)["id"] == ID
