"""A keyframe's first packet is known by each codec's own signs; RED, levels and header elements are read as written."""

import struct

import pytest

from gateway.clinic.media.headers import element, extension, payload_of, payload_start
from gateway.clinic.media.payloads import BEGINS, NUMBERS, read_numbers, shift_numbers
from gateway.clinic.media.red import primary_of, read_red, retyped
from gateway.clinic.media.speaking import VoiceLevel

STAP_A_WITH_SPS = b"\x78\x00\x02\x67\x42\x00\x01\x68"
STAP_A_OF_SLICES = b"\x78\x00\x02\x41\x42\x00\x01\x41"


@pytest.mark.parametrize(
    ("codec", "payload", "begins"),
    [
        ("vp8", b"\x10\x00", True),  # RFC 7741 §4.3: P is 0 in a keyframe
        ("vp8", b"\x10\x01", False),
        ("vp8", b"\x00\x00", False),  # not the start of a partition
        ("vp8", b"\x11\x00", False),  # of the second partition
        ("vp8", b"\x90\x80\x12\x00", True),  # a number of 7 bits
        ("vp8", b"\x90\x80\x92\x34\x00", True),  # of 15 bits
        ("vp8", b"\x90\xe0\x92\x34\x01\x20\x00", True),
        ("vp8", b"\x90\xe0\x92\x34\x01\x20\x01", False),
        ("vp8", b"\x90\xe0\x92\x34\x01\x20", False),
        ("vp9", b"\x88\x12\x00", True),  # RFC 9628 §4.2: P is 0, B is 1
        ("vp9", b"\xc8\x12\x00", False),
        ("vp9", b"\x80\x12\x00", False),
        ("vp9", b"\xa8\x12\x00\x00", True),  # the lowest spatial layer
        ("vp9", b"\xa8\x12\x02\x00", False),
        ("h264", b"\x67\x42\x00", True),  # a sequence parameter set
        ("h264", b"\x65\x88", True),  # an IDR slice
        ("h264", b"\x41\x9a", False),
        ("h264", b"\x68\xce", False),
        ("h264", STAP_A_WITH_SPS, True),
        ("h264", STAP_A_OF_SLICES, False),
        ("h264", b"\x7c\x85\x00", True),  # FU-A, start of an IDR slice
        ("h264", b"\x7c\x05\x00", False),  # its middle
        ("h264", b"\x7c\x81\x00", False),
        ("av1", b"\x08\x0a\x0b", True),  # N
        ("av1", b"\x88\x0a\x0b", False),  # Z: the rest of an element
        ("av1", b"\x10\x0a\x0b", False),
        *((codec, b"", False) for codec in BEGINS),
    ],
)
def test_where_a_keyframe_begins(codec: str, payload: bytes, *, begins: bool) -> None:
    assert BEGINS[codec](payload) is begins


@pytest.mark.parametrize(
    ("codec", "payload", "numbers", "shifted"),
    [
        ("vp8", b"\x90\x80\x7f\x00", (127, 0), b"\x90\x80\x01\x00"),
        ("vp8", b"\x90\xc0\xff\xff\xff\x00", (32_767, 255), b"\x90\xc0\x80\x01\x02\x00"),
        ("vp8", b"\x10\x00", (0, 0), b"\x10\x00"),
        ("vp8", b"\x90\x80", (0, 0), b"\x90\x80"),
        ("vp9", b"\xa8\x7f\x00\x05\x00", (127, 5), b"\xa8\x01\x00\x08\x00"),
        ("vp9", b"\x88\xff\xff\x00", (32_767, 0), b"\x88\x80\x01\x00"),
        ("vp9", b"\xb8\x7f\x00\x05", (127, 0), b"\xb8\x01\x00\x05"),  # the flexible mode has no such index
        ("h264", b"\x67\x42", (0, 0), b"\x67\x42"),
    ],
)
def test_numbers_move_in_the_bits_they_have(
    codec: str, payload: bytes, numbers: tuple[int, int], shifted: bytes
) -> None:
    found = NUMBERS[codec](payload)
    assert read_numbers(payload, found) == numbers
    assert shift_numbers(payload, found, 2, 3) == shifted


def red(*blocks: bytes, payload_type: int = 111) -> bytes:
    *older, newest = blocks
    heads = [struct.pack("!L", (0x80 | payload_type) << 24 | 960 << 10 | len(each)) for each in older]
    return b"".join((*heads, bytes((payload_type,)), *older, newest))


def test_the_newest_block_is_read_out_of_red() -> None:
    assert primary_of(red(b"before", b"now"), 111) == b"now"
    assert primary_of(red(b"now"), 111) == b"now"
    assert primary_of(red(b"a", b"b", b""), 111) == b""
    assert primary_of(red(b"before", b"now"), 112) is None, "of another type"
    assert primary_of(red(b"before", b"")[:7], 111) is None, "cut"
    assert read_red(b"\xef\x00\x00\x00" * 20) is None, "no end of blocks"


def test_red_is_said_in_the_receiver_s_numbers() -> None:
    assert retyped(red(b"before", b"now"), 109) == red(b"before", b"now", payload_type=109)
    assert retyped(red(b"now"), 111) == red(b"now")


def rtp(elements: bytes, payload: bytes = b"payload", *, first: int = 0x90, sources: int = 0) -> bytes:
    return bytes((first | sources, 96)) + bytes(10) + bytes(4 * sources) + elements + payload


def test_a_payload_is_found_past_sources_and_extensions_and_before_its_padding() -> None:
    packet = rtp(extension([(2, b"abc")]), b"payload\x00\x00\x03", first=0xB0, sources=2)
    assert payload_of(packet, payload_start(packet)) == b"payload"
    wrong = rtp(extension([(2, b"abc")]), b"payload\x63", first=0xB0)
    assert payload_of(wrong, payload_start(wrong)) is None
    assert payload_start(b"\x80" * 11) == payload_start(b"\x40" * 20) == payload_start(b"\x90" * 14) == 0


@pytest.mark.parametrize("longest", [3, 16, 17, 60])
def test_an_element_is_found_in_either_form(longest: int) -> None:
    packet = rtp(extension([(1, b"z"), (3, bytes(longest)), (9, b"abc")]))
    assert packet[12:14] == (b"\xbe\xde" if longest <= 16 else b"\x10\x00")
    at, length = element(packet, payload_start(packet), 9)
    assert packet[at : at + length] == b"abc"
    assert element(packet, payload_start(packet), 3)[1] == longest
    assert element(packet, payload_start(packet), 4) == element(packet, payload_start(packet), 0) == (0, 0)


def test_a_voice_s_level_follows_within_half_a_second_and_fades() -> None:
    level = VoiceLevel()
    for index in range(50):
        level.said(25, index * 0.02)
    assert level.level(1.0) > 0.7
    for index in range(50):
        level.said(127, 1 + index * 0.02)
    assert level.level(2.0) < 0.15
    assert level.level(100.0) < 0.001
    assert VoiceLevel().level(1.0) == 0.0


def test_without_a_level_a_voice_is_judged_by_its_packets_sizes_and_weighs_less() -> None:
    speech, hush = VoiceLevel(), VoiceLevel()
    for index in range(100):
        speech.sized(60, index * 960, index * 0.02)
        hush.sized(60 if index < 20 else 2, index * 960, index * 0.02)
    assert 0.3 < speech.level(2.0) <= 0.5
    assert hush.level(2.0) < 0.1
