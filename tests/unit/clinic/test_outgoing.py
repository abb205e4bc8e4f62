"""Numbers go on when the source changes, at a keyframe alone, and nothing is said twice with other words."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clinic.media.headers import HEADER, element, extension, payload_start
from gateway.clinic.media.outgoing import Outgoing
from gateway.clinic.media.payloads import frame_number
from gateway.clinic.media.rtx import Rtx, unwrap
from gateway.clinic.media.streams import Incoming

KEY = b"\x10\x00key"  # VP8: a frame begins, and its P bit is 0
DELTA = b"\x10\x01delta"


def outgoing(codec: str = "vp8", stamp_id: int = 3, sequence: int = 1_000, descriptor_id: int = 0) -> Outgoing:
    return Outgoing(
        codec=codec,
        ssrc=99,
        payload_type=100,
        clock_rate=90_000,
        sequence=sequence,
        abs_send_time_id=stamp_id,
        descriptor_id=descriptor_id,
    )


class Sender:
    """A browser's stream, as it is counted."""

    def __init__(self, ssrc: int = 7) -> None:
        self.stream = Incoming(90_000)
        self._ssrc = ssrc

    def send(
        self, to: Outgoing, sequence: int, payload: bytes = KEY, *, timestamp: int = 0, now_s: float = 10.0
    ) -> tuple[int, int, bytes] | None:
        """Sequence number, timestamp and payload of what goes out."""
        number = self.stream.received(self._ssrc, sequence & 0xFFFF, timestamp, now_s)
        packet = to.rewrite(self.stream, number, 0x80, timestamp, payload, now_s) if number >= 0 else None
        if packet is None:
            return None
        _, second, out, stamp, ssrc = HEADER.unpack_from(packet)
        assert (ssrc, second, out) == (99, 0x80 | 100, to.number & 0xFFFF)
        return out, stamp, packet[payload_start(packet) :]


def test_a_copy_holds_the_payload_and_our_own_send_time() -> None:
    sender = Sender()
    number = sender.stream.received(7, 5, 6, 1.5)
    packet = outgoing().rewrite(sender.stream, number, 0x80, 6, KEY, 1.5)
    assert packet == struct.pack("!BBHLLHHL", 0x90, 0x80 | 100, 1_000, 6, 99, 0xBEDE, 1, 0x32 << 24 | 393_216) + KEY


def test_without_the_extension_a_copy_has_none() -> None:
    sender = Sender()
    packet = outgoing(stamp_id=0).rewrite(sender.stream, sender.stream.received(7, 5, 6, 1.0), 0, 6, KEY, 1.0)
    assert packet is not None
    assert len(packet) == 12 + len(KEY)


def test_numbers_keep_their_distances_over_the_wrap_and_out_of_order() -> None:
    stream, sender = outgoing(sequence=65_530), Sender()
    found = [sender.send(stream, each) for each in (65_534, 65_536, 65_535, 65_540, 65_537)]
    assert [each[0] for each in found if each] == [65_530, 65_532, 65_531, 0, 65_533]


def test_a_new_source_goes_on_where_the_old_one_ended() -> None:
    stream, one, other = outgoing(), Sender(7), Sender(8)
    for sequence in (50, 51, 52):
        one.send(stream, sequence, timestamp=9_000)
    assert other.send(stream, 40_000, timestamp=777, now_s=10.5) == (1_003, 9_000 + 45_000, KEY)
    assert other.send(stream, 40_001, timestamp=777 + 4_500, now_s=10.55) == (1_004, 9_000 + 45_000 + 4_500, KEY)
    assert stream.timestamp_of(other.stream, 777) == 9_000 + 45_000
    assert stream.timestamp_of(one.stream, 9_000) is None


def test_a_picture_changes_at_a_keyframe_alone_and_a_voice_at_once() -> None:
    picture, voice, one, other = outgoing(), outgoing("opus"), Sender(7), Sender(8)
    assert one.send(picture, 1, DELTA) is None, "nobody can show it"
    assert one.send(picture, 2, KEY) is not None
    assert other.send(picture, 1, DELTA) is None
    assert one.send(picture, 3, DELTA) is not None, "the old one goes on"
    assert other.send(picture, 2, KEY) is not None
    assert one.send(picture, 4, DELTA) is None
    assert one.send(voice, 5, b"\x01") is not None
    assert other.send(voice, 3, b"\x01") is not None


def test_what_was_left_out_leaves_no_gap() -> None:
    stream, sender = outgoing(), Sender()
    assert [each[0] for sequence in (1, 2, 3) if (each := sender.send(stream, sequence))] == [1_000, 1_001, 1_002]
    stream.let_go()
    assert sender.send(stream, 200, DELTA) is None
    late = sender.stream.received(7, 199, 0, 10.0)
    found = sender.send(stream, 201, KEY)
    assert found is not None
    assert found[0] == 1_003
    assert stream.rewrite(sender.stream, late, 0, 0, DELTA, 10.0) is None, "it is from before"


def test_what_a_new_source_sent_before_we_followed_it_is_not_passed_on() -> None:
    stream, one, other = outgoing(), Sender(7), Sender(8)
    one.send(stream, 50)
    assert other.send(stream, 39_998, DELTA) is None
    assert other.send(stream, 40_000, KEY) is not None
    assert other.send(stream, 39_999, DELTA) is None


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.booleans(), st.booleans()), max_size=80),
    st.integers(0, 65_535),
)
def test_one_number_never_stands_for_two_contents(steps: list[tuple[int, int, bool, bool]], sequence: int) -> None:
    stream = outgoing(sequence=sequence)
    senders = [Sender(ssrc) for ssrc in range(3)]
    seen: dict[int, bytes] = {}
    for source, offset, is_key, pauses in steps:
        if pauses:
            stream.let_go()
        found = senders[source].send(stream, 65_520 + offset, (KEY if is_key else DELTA) + bytes((source, offset)))
        if found is not None:
            assert found[0] not in seen
            seen[found[0]] = found[2]
    assert sorted((each - sequence) & 0xFFFF for each in seen)[:1] in ([], [0])


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(0, 65_535))
def test_switches_leave_no_gap_and_time_never_goes_back(lengths: list[int], sequence: int) -> None:
    stream, now_s, expected, before = outgoing(sequence=sequence), 10.0, sequence, None
    for turn, length in enumerate(lengths):
        sender = Sender(turn)
        for index in range(length):
            now_s += 0.05
            found = sender.send(stream, 500 * turn + index, timestamp=turn * 0x3FFF_FFF0 + index * 4_500, now_s=now_s)
            assert found is not None
            assert found[0] == expected & 0xFFFF
            assert before is None or 0 < (found[1] - before) & 0xFFFFFFFF < 90_000
            expected, before = expected + 1, found[1]


def vp8(picture: int, base: int, *, key: bool = False) -> bytes:
    """A first packet with a 15-bit picture number and a base layer's index."""
    return struct.pack("!BBHBB", 0x90, 0xE0, 0x8000 | picture, base, 0x20) + (b"\x00" if key else b"\x01")


@pytest.mark.parametrize(("last", "then"), [(500, 501), (0x7FFF, 0)])
def test_a_switch_makes_no_leap_in_vp8_s_own_numbers(last: int, then: int) -> None:
    stream, one, other = outgoing(), Sender(7), Sender(8)
    assert one.send(stream, 1, vp8(last, 255, key=True)) == (1_000, 0, vp8(last, 255, key=True)), "as it came"
    found = [other.send(stream, each, vp8(9_000 + each, 70 + each, key=each == 1)) for each in (1, 2, 3)]
    assert [each[2] for each in found if each] == [vp8(then + each, each, key=not each) for each in (0, 1, 2)]


def test_an_av1_picture_keeps_its_descriptor_and_a_switch_makes_no_leap_in_it() -> None:
    stream, one, other = outgoing("av1", descriptor_id=5), Sender(7), Sender(8)
    numbers = []
    for sender, frame, length in ((one, 65_535, 3), (one, 0, 20), (other, 300, 40), (other, 301, 3)):
        number = sender.stream.received(7, frame, 0, 10.0)
        descriptor = b"\xc1" + frame.to_bytes(2) + bytes(length - 3)
        packet = stream.rewrite(sender.stream, number, 0, 0, b"\x08\x0a\x0b", 10.0, 0, descriptor)
        assert packet is not None
        at, size = element(packet, payload_start(packet), 5)
        assert size == length
        assert element(packet, payload_start(packet), 3)[1] == 3, "the stamp stands beside it"
        numbers.append(frame_number(packet[at : at + size]))
    assert numbers == [65_535, 0, 1, 2]


def test_a_packet_goes_again_in_a_stream_of_its_own() -> None:
    sender, rtx = Sender(), Rtx(ssrc=55, payload_type=97, sequence=65_535, abs_send_time_id=3)
    packet = outgoing().rewrite(sender.stream, sender.stream.received(7, 1, 6, 1.0), 0x80, 6, KEY, 1.0)
    assert packet is not None
    for sequence in (65_535, 0):
        again = rtx.wrap(packet, 2.0)
        assert HEADER.unpack_from(again) == (0x90, 0x80 | 97, sequence, 6, 55)
        at = payload_start(again)
        assert unwrap(again[at:]) == (1_000, KEY)
        assert again[12:at] == extension([(3, (2 * 262_144).to_bytes(3))]), "stamped anew"
    assert unwrap(b"\x00\x01") is None
