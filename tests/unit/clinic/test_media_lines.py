"""What the box and its media process say survives the wire; anything else is a ValueError."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.sensing.samples import DelaySample, Sees, Way
from gateway.clinic.media.control import (
    Cap,
    Changed,
    Close,
    Feed,
    Figures,
    LegFigures,
    Loss,
    Measured,
    Open,
    Opened,
    Refused,
    Relay,
    Slot,
)
from gateway.clinic.media.lines import COMMANDS, EVENTS, LINE_BYTES_MAX, Lines, read, write

SAID = [
    Open(1, "v=0\r\na=ö\u2028", "vp8", near=True, direct=False, with_red=True, relays=(Relay("turn:x", "u", "p"),)),
    Feed(1, (Slot(2, 3), Slot(None, 2), Slot())),
    Cap(1, 30_000, 0),
    Close(7),
    Opened(1, "v=0", (("10.0.0.1", 5_000),), (("192.0.2.1", 9),)),
    Refused(1, "offer"),
    Changed(1, "over"),
    Figures((LegFigures(1), LegFigures(2, estimate_bps=5, round_trip_s=0.25))),
    Measured((DelaySample(1.0, 2.0, "call:1:0", Sees.DOWN),), (Loss(Way.UP, 50, 1),)),
]


@pytest.mark.parametrize("message", SAID)
def test_what_is_said_is_what_is_heard(message: Any) -> None:
    line = write(message)
    assert line.count(b"\n") == 1
    assert read(line, {**COMMANDS, **EVENTS}) == message


def test_a_command_is_no_event() -> None:
    with pytest.raises(ValueError):
        read(write(Close(1)), EVENTS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.sampled_from(sorted({**COMMANDS, **EVENTS})), JSON)
def test_nonsense_under_a_known_name_is_a_value_error_or_that_kind(name: str, said: object) -> None:
    kinds = {**COMMANDS, **EVENTS}
    try:
        found = read(json.dumps([name, said]).encode(), kinds)
    except ValueError:
        return
    assert type(found) is kinds[name]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        read(data, COMMANDS)


@given(st.lists(st.binary(max_size=20).filter(lambda data: b"\n" not in data)), st.integers(1, 7))
def test_lines_are_whole_however_they_are_cut(lines: list[bytes], step: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    cutter = Lines()
    found = [line for at in range(0, len(data), step) for line in cutter.feed(data[at : at + step])]
    assert found == lines


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(ValueError):
        Lines().feed(bytes(LINE_BYTES_MAX + 1))
