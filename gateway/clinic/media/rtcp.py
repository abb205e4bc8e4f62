"""Reports and requests about media (RTCP), as browsers write them and as the box does.

Source: RFC 3550 §6.4 (reports), RFC 4585 §6.2.1 (NACK), §6.3.1 (PLI), RFC 5104 §4.3.1 (FIR),
draft-alvestrand-rmcat-remb-03 §2.2.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from aiortc import rtp

from gateway.clinic.media.streams import Reception


@dataclass(frozen=True, slots=True)
class SenderReported:
    """A browser tied its media clock to its wall clock."""

    ssrc: int
    ntp: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class ReceiverReported:
    """A browser told how one of our streams arrives."""

    ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_sequence: int
    last_report: int  # the middle of our sender report's time (RFC 3550 §6.4.1), 0 before the first came
    since_report: int  # in 1/65536 s


@dataclass(frozen=True, slots=True)
class PacketsMissed:
    """A browser asks for packets again."""

    ssrc: int
    sequences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyframeWanted:
    """A browser cannot go on without a keyframe."""

    ssrc: int


@dataclass(frozen=True, slots=True)
class BitrateEstimated:
    """A browser says what the way to it can carry (REMB)."""

    bps: int


Feedback = SenderReported | ReceiverReported | PacketsMissed | KeyframeWanted | BitrateEstimated


def read_rtcp(compound: bytes) -> Sequence[Feedback]:
    """Return what a compound RTCP packet says that concerns us; nothing when it is malformed."""
    try:
        packets = rtp.RtcpPacket.parse(compound)
    except (ValueError, struct.error, IndexError):
        return ()
    found: list[Feedback] = []
    for packet in packets:
        match packet:
            case rtp.RtcpSrPacket(ssrc=ssrc, sender_info=info, reports=reports):
                found.append(SenderReported(ssrc, info.ntp_timestamp, info.rtp_timestamp))
                found += [_reported(report) for report in reports]
            case rtp.RtcpRrPacket(reports=reports):
                found += [_reported(report) for report in reports]
            case rtp.RtcpRtpfbPacket(fmt=rtp.RTCP_RTPFB_NACK, media_ssrc=ssrc, lost=lost):
                found.append(PacketsMissed(ssrc, tuple(sequence & 0xFFFF for sequence in lost)))
            case rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_PLI, media_ssrc=ssrc):
                found.append(KeyframeWanted(ssrc))
            case rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_FIR, fci=fci) if len(fci) >= 8:
                found.append(KeyframeWanted(int.from_bytes(fci[:4])))  # RFC 5104 §4.3.1.1: media_ssrc is 0
            case rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_APP, fci=fci):
                found += _estimated(fci)
    return found


def write_remb(ssrc: int, bps: int, media_ssrc: int) -> bytes:
    """Return a REMB: `media_ssrc`'s sender may send `bps`."""
    fci = rtp.pack_remb_fci(bps, [media_ssrc])
    return bytes(rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_APP, ssrc=ssrc, media_ssrc=0, fci=fci))


def write_keyframe_request(ssrc: int, media_ssrc: int) -> bytes:
    """Return a picture loss indication (RFC 4585 §6.3.1)."""
    return bytes(rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_PLI, ssrc=ssrc, media_ssrc=media_ssrc))


def write_nack(ssrc: int, media_ssrc: int, missing: Sequence[int]) -> bytes:
    """Return a NACK for extended sequence numbers in ascending order (RFC 4585 §6.2.1)."""
    payload = struct.pack("!LL", ssrc, media_ssrc)
    left = list(missing)
    while left:
        first, *left = left
        mask = 0
        while left and left[0] - first <= 16:
            mask |= 1 << (left.pop(0) - first - 1)
        payload += struct.pack("!HH", first & 0xFFFF, mask)
    return rtp.pack_rtcp_packet(rtp.RTCP_RTPFB, rtp.RTCP_RTPFB_NACK, payload)


def write_receiver_report(ssrc: int, receptions: Sequence[Reception]) -> bytes:
    """Return a receiver report (RFC 3550 §6.4.2)."""
    reports = [
        rtp.RtcpReceiverInfo(
            ssrc=each.ssrc,
            fraction_lost=each.fraction_lost,
            packets_lost=each.packets_lost,
            highest_sequence=each.highest_sequence,
            jitter=each.jitter,
            lsr=each.last_report,
            dlsr=each.since_report,
        )
        for each in receptions
    ]
    return bytes(rtp.RtcpRrPacket(ssrc=ssrc, reports=reports))


def write_sender_report(ssrc: int, ntp: int, timestamp: int, packets: int, payload_bytes: int) -> bytes:
    """Return a sender report (RFC 3550 §6.4.1)."""
    info = rtp.RtcpSenderInfo(ntp, timestamp, packets & 0xFFFFFFFF, payload_bytes & 0xFFFFFFFF)
    return bytes(rtp.RtcpSrPacket(ssrc=ssrc, sender_info=info))


def _reported(report: rtp.RtcpReceiverInfo) -> ReceiverReported:
    return ReceiverReported(
        report.ssrc,
        fraction_lost=report.fraction_lost,
        packets_lost=report.packets_lost,
        highest_sequence=report.highest_sequence,
        last_report=report.lsr,
        since_report=report.dlsr,
    )


def _estimated(fci: bytes) -> list[Feedback]:
    try:
        return [BitrateEstimated(rtp.unpack_remb_fci(fci)[0])]
    except (ValueError, struct.error):  # another application's message
        return []
