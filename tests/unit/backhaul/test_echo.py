"""An echo's datagrams say what they should, are as short as the answer, and stand for nothing without their key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.sensing.echo import (
    ECHO_BYTES,
    HELD_STEP_US,
    Answer,
    EchoKey,
    answer,
    asking,
    read_answer,
    read_keys,
    request,
    samples,
    sequence_of,
)
from gateway.backhaul.sensing.samples import Sees

KEY = EchoKey(7, b"k" * 32)
OTHER = EchoKey(7, b"o" * 32)
STAMPS = st.integers(0, (1 << 48) - 1)


@given(st.integers(0, 2**32 - 1), STAMPS, STAMPS, st.integers(0, 2_000_000))
def test_an_answer_tells_when_the_request_came(sequence: int, sent_us: int, came_us: int, held_us: int) -> None:
    asked = request(KEY, sequence, sent_us)
    assert asking(asked, {7: KEY}) == KEY
    answered = answer(KEY, asked, came_us, held_us)
    said = read_answer(KEY, asked, answered)
    assert sequence_of(answered) == sequence
    assert said is not None
    assert said.came_us == came_us
    assert 0 <= min(held_us, 65_535 * HELD_STEP_US) - said.held_us < HELD_STEP_US


def test_an_answer_is_as_long_as_its_request() -> None:
    asked = request(KEY, 1, 2)
    assert len(asked) == len(answer(KEY, asked, 3, 4)) == ECHO_BYTES == 24


@given(st.integers(0, ECHO_BYTES * 8 - 1))
def test_one_flipped_bit_makes_a_datagram_untrue(bit: int) -> None:
    asked = request(KEY, 5, 1_000)
    answered = answer(KEY, asked, 2_000, 0)
    assert asking(_flipped(asked, bit), {7: KEY}) is None
    assert read_answer(KEY, asked, _flipped(answered, bit)) is None


def test_another_key_neither_asks_nor_answers() -> None:
    asked = request(OTHER, 5, 1_000)
    assert asking(asked, {7: KEY}) is None
    assert asking(asked, {}) is None
    own = request(KEY, 5, 1_000)
    assert read_answer(KEY, own, answer(OTHER, own, 2_000, 0)) is None


def test_an_answer_fits_only_the_request_it_was_made_for() -> None:
    early, late = request(KEY, 5, 1_000), request(KEY, 5, 9_000)  # the same number, after a restart
    assert read_answer(KEY, late, answer(KEY, early, 2_000, 0)) is None


def test_a_request_is_no_answer_and_an_answer_no_request() -> None:
    asked = request(KEY, 5, 1_000)
    assert read_answer(KEY, asked, asked) is None
    assert sequence_of(asked) is None
    assert asking(answer(KEY, asked, 2_000, 0), {7: KEY}) is None


def test_each_direction_is_told_apart() -> None:
    # 30 ms there, 100 ms back, 5 ms held; the far clock runs 7 s ahead
    said = Answer(came_us=7_030_000, held_us=5_000)
    up, down, both = samples(said, sent_us=0, arrived_us=135_000, at_s=9.0, zero=0)
    assert (up.sees, down.sees, both.sees) == (Sees.UP, Sees.DOWN, Sees.BOTH)
    assert up.delay_s == pytest.approx(7.030)
    assert down.delay_s == pytest.approx(-6.900)
    assert both.delay_s == pytest.approx(0.130)
    assert {up.path, down.path, both.path} == {"echo:up:0", "echo:down:0", "echo"}


@pytest.mark.parametrize(
    "text",
    ["", "# nothing", "7", "7 abcd", "x " + "ab" * 32, "7 " + "zz" * 32, "16777216 " + "ab" * 32, "-1 " + "ab" * 32],
)
def test_a_key_file_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_keys(text)


def test_a_number_has_one_key() -> None:
    line = "7 " + "ab" * 32 + "\n"
    assert read_keys(line + "8 " + "cd" * 16)[8].secret == b"\xcd" * 16
    with pytest.raises(ValueError):
        read_keys(line + line)


def _flipped(datagram: bytes, bit: int) -> bytes:
    changed = bytearray(datagram)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_a_key_is_shown_nowhere() -> None:
    assert "words" not in repr(EchoKey(7, b"secret words"))
