"""Whatever comes from the network, the echo, the ping and the listener to passing segments read it or leave it."""

import struct

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.backhaul.sensing.echo import EchoKey, asking, read_answer, request, sequence_of
from gateway.backhaul.sensing.overheard import Overheard
from gateway.backhaul.sensing.ping import answered
from gateway.backhaul.sensing.segments import Segment, parse

KEY = EchoKey(7, b"k" * 32)
ASKED = request(KEY, 3, 1_000)
DATAGRAMS = st.one_of(
    st.binary(max_size=64),
    st.binary(min_size=24, max_size=24),
    st.builds(lambda tail: ASKED[:16] + tail, st.binary(min_size=8, max_size=8)),
    st.builds(lambda tail: b"\x11" + ASKED[1:8] + tail, st.binary(min_size=16, max_size=16)),
)
HEADERS = st.one_of(
    st.binary(max_size=128),
    st.builds(lambda first, rest: bytes([first]) + rest, st.sampled_from(b"\x45\x4f\x40\x60"), st.binary(max_size=127)),
    st.builds(
        lambda length, offset, stamps: (
            bytes([0x40 | length]) + bytes(5) + b"\0\0\x40\x06" + bytes(10) + bytes(4 * max(length, 5) - 20)
            + bytes(12) + bytes([offset << 4]) + bytes(7) + b"\x01\x01\x08\x0a" + stamps
        ),
        st.integers(0, 15),
        st.integers(0, 15),
        st.binary(max_size=8),
    ),
)  # fmt: skip
SEGMENTS = st.lists(
    st.tuples(
        st.floats(0, 5),
        st.sampled_from([b"a", b"b", b"c"]),
        st.booleans(),
        st.integers(0, 2**32 - 1),
        st.integers(0, 40),
    ),
    max_size=200,
)


@settings(max_examples=500, deadline=None)
@given(DATAGRAMS)
@example(b"")
def test_a_datagram_that_nobody_signed_is_nothing(datagram: bytes) -> None:
    assert asking(datagram, {7: KEY}) is None or datagram == ASKED
    assert read_answer(KEY, ASKED, datagram) is None
    number = sequence_of(datagram)
    assert number is None or 0 <= number < 2**32
    assert answered(datagram, b"c" * 8) is None or datagram[8:] == b"c" * 8


@settings(max_examples=500, deadline=None)
@given(HEADERS, st.booleans())
def test_a_packet_is_read_within_its_bounds_or_not_at_all(packet: bytes, outgoing: bool) -> None:
    segment = parse(packet, outgoing=outgoing, at_s=1.0)
    if segment is not None:
        assert len(segment.flow) in (12, 36)
        assert packet.find(struct.pack("!II", segment.stamp, segment.echoed)) > 0


@settings(max_examples=150, deadline=None)
@given(SEGMENTS, st.booleans())
def test_senders_that_lie_about_their_clocks_tell_finite_delays(
    told: list[tuple[float, bytes, bool, int, int]], steady: bool
) -> None:
    overheard, at_s = Overheard(flows_max=2), 0.0
    for pause_s, flow, outgoing, stamp, echoed in told:
        at_s += pause_s
        ticks = int(at_s * 1000) & 0xFFFFFFFF if steady else stamp
        for sample in overheard.feed(Segment(at_s, flow, outgoing, ticks if not outgoing else echoed, echoed)):
            assert abs(sample.delay_s) < 1e6
        assert len(overheard) <= 2
