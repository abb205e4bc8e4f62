"""A browser's offer is read, or refused with a sentence; nothing else comes of any text."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.clinic.allocation import SPARSE
from gateway.clinic.media.sdp import read_offer, usable_candidates, write_answer, write_offer
from gateway.errors import BadRequest

CHROMIUM = Path(__file__).parents[1].joinpath("unit", "clinic", "chromium_offer.sdp").read_bytes().decode()
LINES = CHROMIUM.split("\r\n")
PIECES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["²", "٣", "-1", "0", "65536", "99999999999999999999", "a=", ":", " ", "/", "\x00", "a=mid:", "m="]
    ),
)
EDITS = st.lists(
    st.tuples(
        st.integers(0, len(LINES) - 1),
        st.sampled_from(["drop", "repeat", "cut", "insert", "replace", "swap"]),
        st.integers(0, 120),
        PIECES,
    ),
    min_size=1,
    max_size=6,
)


def edited(edits: list[tuple[int, str, int, str]]) -> str:
    lines = list(LINES)
    for at, how, place, piece in edits:
        line = lines[at % len(lines)]
        match how:
            case "drop":
                lines[at % len(lines)] = ""
            case "repeat":
                lines.insert(place % len(lines), line)
            case "cut":
                lines[at % len(lines)] = line[:place]
            case "insert":
                lines[at % len(lines)] = line[:place] + piece + line[place:]
            case "replace":
                lines[at % len(lines)] = line.partition(":")[0] + ":" + piece
            case _:
                lines[at % len(lines)], lines[place % len(lines)] = lines[place % len(lines)], line
    return "\r\n".join(each for each in lines if each)


def use(text: str) -> None:
    offer = read_offer(text)
    said = write_offer(offer)
    assert said.isascii()
    assert len(said) < 4_000
    for near in (True, False):
        usable_candidates(offer, near=near)
    for codec in offer.codecs:
        for with_red in (True, False):
            answer = write_answer(
                said,
                offer,
                addresses=[("192.0.2.7", 5_004)],
                voice=SPARSE,
                connect_bps=1,
                codec=codec,
                with_red=with_red,
            )
            assert answer.count("m=") == 2 * offer.slots
            assert "transport-cc" not in answer


@settings(max_examples=150, deadline=None)
@given(EDITS)
@example([(4, "replace", 0, "BUNDLE 0 1 2")])
@example([(7, "insert", 8, "²")])
def test_a_mangled_offer_is_refused_or_used(edits: list[tuple[int, str, int, str]]) -> None:
    with suppress(BadRequest):
        use(edited(edits))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        read_offer(text)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(CHROMIUM) - 1))
def test_a_cut_offer_is_refused_or_used(length: int) -> None:
    with suppress(BadRequest):
        use(CHROMIUM[:length])
