"""RTCP as browsers write it is understood, ours is understood by the same reader, and nonsense is nothing."""

import struct

import pytest
from aiortc import rtp
from hypothesis import given
from hypothesis import strategies as st

from gateway.clinic.media.rtcp import (
    BitrateEstimated,
    KeyframeWanted,
    PacketsMissed,
    ReceiverReported,
    SenderReported,
    read_rtcp,
    write_keyframe_request,
    write_nack,
    write_receiver_report,
    write_remb,
    write_sender_report,
)
from gateway.clinic.media.streams import Reception


def test_what_we_write_is_what_we_read() -> None:
    assert read_rtcp(write_keyframe_request(1, 2)) == [KeyframeWanted(2)]
    assert read_rtcp(write_sender_report(1, 2**40, 3, 4, 5)) == [SenderReported(1, 2**40, 3)]
    report = Reception(7, 128, 5, 1_000, 9, 10, 11)
    assert read_rtcp(write_receiver_report(1, [report])) == [ReceiverReported(7, 128, 5, 1_000, 10, 11)]


@pytest.mark.parametrize("bps", [0, 30_000, 262_143, 262_144, 700_000, 5_000_000])
def test_a_remb_keeps_its_figure_to_a_thousandth(bps: int) -> None:
    (found,) = read_rtcp(write_remb(1, bps, 2))
    assert isinstance(found, BitrateEstimated)
    assert bps * 0.999 <= found.bps <= bps


@given(st.sets(st.integers(65_400, 65_700), min_size=1, max_size=60))
def test_a_nack_names_every_missing_packet_over_the_wrap(missing: set[int]) -> None:
    (found,) = read_rtcp(write_nack(1, 2, sorted(missing)))
    assert isinstance(found, PacketsMissed)
    assert found.ssrc == 2
    assert sorted(found.sequences) == sorted(each & 0xFFFF for each in missing)


def test_a_full_intra_request_names_its_stream_inside() -> None:
    fir = rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_FIR, ssrc=1, media_ssrc=0, fci=struct.pack("!LL", 77, 0))
    assert read_rtcp(bytes(fir)) == [KeyframeWanted(77)]


def test_a_compound_is_read_whole() -> None:
    compound = write_sender_report(1, 2, 3, 4, 5) + write_remb(1, 100_000, 2) + write_keyframe_request(1, 9)
    assert [type(each) for each in read_rtcp(compound)] == [SenderReported, BitrateEstimated, KeyframeWanted]


def test_unknown_kinds_are_passed_over() -> None:
    extended_report = struct.pack("!BBHL", 0x80, 207, 1, 5)
    feedback_we_never_negotiated = bytes(rtp.RtcpRtpfbPacket(fmt=15, ssrc=1, media_ssrc=2, lost=[3]))
    another_application = bytes(rtp.RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=b"XYZW\x01\x02\x03\x04"))
    cut_remb = bytes(rtp.RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=b"REMB\x05\x02\x03\x04"))
    assert list(read_rtcp(extended_report + feedback_we_never_negotiated + another_application + cut_remb)) == []


@given(st.binary(max_size=120))
def test_any_bytes_are_read_without_breaking(data: bytes) -> None:
    for packet in (data, b"\x81\xce" + data, b"\x81\xcd\x00\x03" + data):
        assert len(list(read_rtcp(packet))) <= len(packet), "nothing is made of nothing"
