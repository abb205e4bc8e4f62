"""Whatever packets a browser sends, the others of its room get packets with a number for each content, or nothing."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.clinic.media.headers import HEADER, element, payload_of, payload_start
from gateway.clinic.media.leg import Leg
from gateway.clinic.media.payloads import BEGINS, NUMBERS, shift_numbers
from gateway.clinic.media.red import primary_of, retyped
from gateway.clinic.media.rtcp import Feedback, read_rtcp
from gateway.clinic.media.rtx import unwrap
from gateway.clinic.media.sdp import read_offer, ssrc_of
from tests.clocks import HandClock

OFFER = read_offer(
    Path(__file__).parents[1].joinpath("unit", "clinic", "chromium_offer.sdp").read_bytes().decode()
    .replace("a=extmap:13 urn:3gpp:video-orientation",
             "a=extmap:12 https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension")
)  # fmt: skip
TYPES = {"vp8": (96, 97), "h264": (108, 109), "vp9": (98, 99), "av1": (45, 46)}
EXTENSIONS = st.one_of(
    st.just(b""),
    st.binary(max_size=40).map(lambda data: b"\xbe\xde" + struct.pack("!H", len(data) // 4) + data),
    st.binary(max_size=40).map(lambda data: b"\x10\x00" + struct.pack("!H", len(data) // 4) + data),
    st.binary(max_size=12),
)
PACKETS = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda first, kind, marker, sequence, timestamp, ssrc, extension, payload: (
            struct.pack("!BBHLL", 0x80 | first, marker << 7 | kind, sequence & 0xFFFF, timestamp, ssrc)
            + extension + payload
        ),
        st.sampled_from([0, 0, 0x10, 0x10, 0x20, 0x30, 0x01, 0x1F, 0x3F]),
        st.sampled_from([111, 63, -1, -1, -2, 0]).map(lambda kind: kind & 0x7F),
        st.integers(0, 1),
        st.one_of(st.integers(65_500, 65_600), st.integers(0, 65_535)),
        st.integers(0, 2**32 - 1),
        st.sampled_from([1, 1, 1, 2]),
        EXTENSIONS,
        st.one_of(st.binary(max_size=40), st.sampled_from([b"\x10\x00k", b"\x10\x01d", b"\x08\x00", b"\x67\x42"])),
    ),
)  # fmt: skip
STEPS = st.lists(st.tuples(PACKETS, st.floats(0, 0.6), st.sampled_from("rrrrrrfbp")), max_size=60)


class Wire:
    """A wire that holds each number to the content it first had."""

    def __init__(
        self, take_rtp: Callable[[bytes, float], None], take_feedback: Callable[[Feedback, float], None]
    ) -> None:
        self.take_rtp = take_rtp
        self.take_feedback = take_feedback
        self.is_open = True
        self.heard_s = 0.0
        self.received_bytes = self.sent_bytes = 0
        self.seen: set[tuple[int, int]] = set()

    def send_rtp(self, packet: bytes, kind: str) -> bytes | None:
        assert payload_start(packet)
        _, _, sequence, _, ssrc = HEADER.unpack_from(packet)
        assert ssrc in {ssrc_of(0, each) for each in ("audio", "video", "rtx")}
        assert (ssrc, sequence) not in self.seen
        self.seen.add((ssrc, sequence))
        return packet

    def send(self, datagram: bytes) -> bool:
        return bool(datagram)

    def send_rtcp(self, compound: bytes) -> None:
        assert read_rtcp(compound)


def leg_of(clock: HandClock, number: int, codec: str) -> Leg:
    return Leg(
        OFFER,
        codec=codec,
        with_red=number == 1,
        number=number,
        clock=clock,
        first_sequence=65_530,
        open_wire=cast("Any", Wire),
        ear=None,
    )


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from(sorted(TYPES)), st.binary(max_size=60))
def test_whatever_is_sent_nobody_s_stream_breaks(
    steps: list[tuple[bytes, float, str]], codec: str, noise: bytes
) -> None:
    clock = HandClock()
    sender, watcher = leg_of(clock, 1, codec), leg_of(clock, 2, codec)
    watcher.cap(300_000, 1_000_000)
    watcher.feed([(sender, sender)])
    picture, again = TYPES[codec]
    for packet, passed_s, what in steps:
        clock.pass_s(passed_s)
        if len(packet) > 1 and packet[1] & 0x7F in {0x7F, 0x7E}:
            kind = picture if packet[1] & 0x7F == 0x7F else again
            packet = packet[:1] + bytes((packet[1] & 0x80 | kind,)) + packet[2:]
        cast("Wire", sender.wire).take_rtp(packet, clock.now)
        if what == "f":
            rtcp = b"\x81\xcd" + struct.pack("!HLLHH", 3, 1, ssrc_of(0, "video"), packet[-1] if packet else 0, 0xFFFF)
            for feedback in (*read_rtcp(rtcp), *read_rtcp(noise), *read_rtcp(b"\x80\xc8\x00\x06" + noise)):
                cast("Wire", watcher.wire).take_feedback(feedback, clock.now)
                cast("Wire", sender.wire).take_feedback(feedback, clock.now)
        elif what == "b":
            sender.beat()
            watcher.beat()
        elif what == "p":
            watcher.feed([(None, None)])
            watcher.feed([(sender, sender)])
    assert watcher.figures().voice_level == 0.0
    assert 0.0 <= sender.figures().voice_level <= 1.0


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 15))
@example(b"\x90" + bytes(11) + b"\xbe\xde\x00\x01\x3f\x00\x00\x00", 3)
@example(b"\x90" + bytes(11) + b"\x10\x00\x00\x01\x03\xff\x00\x00", 3)
def test_any_bytes_are_a_packet_or_none(data: bytes, wanted: int) -> None:
    for packet in (data, b"\x90" + data, b"\xb0\x60" + bytes(10) + b"\xbe\xde\x00\x02" + data):
        at = payload_start(packet)
        if not at:
            continue
        assert at <= len(packet)
        found, length = element(packet, at, wanted)
        assert found + length <= at
        payload = payload_of(packet, at)
        assert payload is None or len(payload) <= len(packet) - at


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 0x7FFF), st.integers(0, 255))
@example(b"\x90\x80", 1, 1)
@example(b"\x90\x40\x00", 1, 1)
@example(b"\xa0\x80", 1, 1)
@example(b"\x78\x00\x00\x00\x00\x00", 0, 0)
def test_any_payload_is_read_and_keeps_its_length(data: bytes, picture: int, base: int) -> None:
    for codec in BEGINS:
        assert BEGINS[codec](data) in {True, False}
        assert len(shift_numbers(data, NUMBERS[codec](data), picture, base)) == len(data)
    voice = primary_of(data, data[0] & 0x7F if data else 0)
    assert voice is None or data.endswith(voice)
    if voice is not None:
        assert primary_of(retyped(data, 7), 7) == voice
    original = unwrap(data)
    assert original is None or data.endswith(original[1])
