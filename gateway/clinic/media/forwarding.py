"""Media crosses the box as RTP, never decoded: every name of aiortc and aioice that is not promised stands here.

aiortc negotiates, gathers, and makes the DTLS handshake; its own senders and receivers are kept from starting, and
datagrams are taken where the socket delivers them. Per packet: unprotect, look at the header, protect, send; no queue,
no task, no decoder. `tests/contract/test_aiortc_contract.py` holds each private name, and `aiortc==1.16.*` is pinned.

Taking datagrams at the socket also keeps strangers out: an empty datagram ends aiortc's transport (it reads the first
byte), a malformed STUN attribute raises out of its parser, and media is taken from the address ICE agreed on alone.

Source: RFC 7983 (telling STUN, DTLS and SRTP apart), RFC 5761 §4 (RTP and RTCP on one port), RFC 3711 (SRTP),
draft-alvestrand-rmcat-remb-03.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aioice.ice
import pylibsrtp
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCRtpTransceiver, rtp

from gateway.clinic.media.streams import Reception

CONSENT_FAILURES = 60  # aioice's 6 end a call after an outage of 30 s; 60 were seen to outlive 45 s (2026-11)
SEND_BUFFER_BYTES_MAX = 65_536  # a Wi-Fi that takes nothing: media that waits longer is too late
LOWER_HEADERS_BYTES = 28  # IPv4 and UDP, for the link's account
_CODECS = {"audio": "audio/opus", "video": "video/vp8"}
_RTCP_TYPES = range(192, 209)  # the second byte (RFC 5761 §4)


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


def outlive_outages() -> None:
    """From now on connections last through outages of minutes, not of half one."""
    aioice.ice.CONSENT_FAILURES = CONSENT_FAILURES


def open_connection() -> tuple[RTCPeerConnection, dict[str, RTCRtpTransceiver]]:
    """Return a connection with one voice and one picture whose media is left to us."""
    # without the empty list aiortc asks a public STUN server, and waits 5 s for it when offline
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
    transceivers = {}
    for kind, mime_type in _CODECS.items():
        transceiver = connection.addTransceiver(kind, "sendrecv")
        offered = RTCRtpSender.getCapabilities(kind).codecs
        transceiver.setCodecPreferences([codec for codec in offered if codec.mimeType.lower() == mime_type])
        transceiver.receiver.receive = _leave_to_us  # type: ignore[method-assign]
        transceiver.sender.send = _leave_to_us  # type: ignore[method-assign]
        transceivers[kind] = transceiver
    return connection, transceivers


def gather_ipv4_only(transceiver: RTCRtpTransceiver) -> None:
    """Offer IPv4 addresses alone: one socket an address, and the media path's relays speak IPv4."""
    transceiver.receiver.transport.transport._connection._use_ipv6 = False


def outgoing_ssrc(transceiver: RTCRtpTransceiver) -> int:
    """Return the SSRC that our answer promised the browser."""
    return transceiver.sender._ssrc


async def _leave_to_us(parameters: object) -> None:
    """Stand in for aiortc's `send` and `receive`, which would start its encoder, decoder and reports."""


class Wire:
    """The protected datagrams between the box and one browser."""

    def __init__(
        self,
        transceiver: RTCRtpTransceiver,
        *,
        now_s: Callable[[], float],
        take_rtp: Callable[[bytes, float], None],
        take_feedback: Callable[[Feedback, float], None],
    ) -> None:
        self._dtls: Any = transceiver.receiver.transport
        self._ice: Any = self._dtls.transport._connection
        self._now_s = now_s
        self._take_rtp = take_rtp
        self._take_feedback = take_feedback
        self.received_bytes = 0
        self.sent_bytes = 0
        self.heard_s = now_s()

    def take_over(self) -> None:
        """From now on datagrams come to us first; the addresses have been gathered."""
        for protocol in self._ice._protocols:
            protocol.datagram_received = _Door(self, protocol.datagram_received)

    def sockets(self) -> list[Any]:
        """Return what the event loop shows of the sockets; the addresses have been gathered."""
        return [protocol.transport.get_extra_info("socket") for protocol in self._ice._protocols]

    def abort(self) -> None:
        """Close the sockets without another word."""
        for protocol in self._ice._protocols:
            protocol.transport.abort()

    @property
    def is_open(self) -> bool:
        """Whether media can be sent now."""
        return self._dtls._tx_srtp is not None and bool(self._ice._nominated)

    def send_rtp(self, packet: bytes) -> bytes | None:
        """Protect and send a packet; return the datagram, or None when it could not go."""
        if not self.is_open:
            return None
        try:
            datagram: bytes = self._dtls._tx_srtp.protect(packet)
        except pylibsrtp.Error:
            return None
        return datagram if self.send(datagram) else None

    def send(self, datagram: bytes) -> bool:
        """Send a protected datagram; False when the socket takes no more."""
        pair = self._ice._nominated.get(1)
        if pair is None:
            return False
        udp = pair.protocol.transport
        if udp.is_closing() or udp.get_write_buffer_size() > SEND_BUFFER_BYTES_MAX:
            return False
        udp.sendto(datagram, pair.remote_addr)
        self.sent_bytes += len(datagram) + LOWER_HEADERS_BYTES
        return True

    def send_rtcp(self, compound: bytes) -> None:
        """Protect and send reports or requests."""
        if not self.is_open:
            return
        try:
            self.send(self._dtls._tx_srtp.protect_rtcp(compound))
        except pylibsrtp.Error:
            return

    def note_heard(self) -> None:
        """Take note that the browser is there."""
        self.heard_s = self._now_s()

    def is_from_peer(self, address: tuple[Any, ...]) -> bool:
        """Whether a datagram came from where ICE agreed."""
        pair = self._ice._nominated.get(1)
        return pair is not None and pair.remote_addr == address[:2]

    def take_media(self, datagram: bytes) -> None:
        """Unprotect a datagram of the browser and hand on what is in it."""
        srtp = self._dtls._rx_srtp
        if srtp is None:
            return
        now_s = self._now_s()
        try:
            if datagram[1] in _RTCP_TYPES:
                for feedback in read_rtcp(srtp.unprotect_rtcp(datagram)):
                    self._take_feedback(feedback, now_s)
            else:
                self._take_rtp(srtp.unprotect(datagram), now_s)
        except pylibsrtp.Error:  # a forged, repeated or very late datagram
            return
        self.received_bytes += len(datagram) + LOWER_HEADERS_BYTES
        self.heard_s = now_s


class _Door:
    """Where one socket's datagrams come in (RFC 7983 §7)."""

    __slots__ = ("_others", "_wire")

    def __init__(self, wire: Wire, others: Callable[[bytes, tuple[Any, ...]], None]) -> None:
        self._wire = wire
        self._others = others

    def __call__(self, datagram: bytes, address: tuple[Any, ...]) -> None:
        kind = datagram[0] if len(datagram) > 1 else 255
        is_peers = self._wire.is_from_peer(address)
        if 128 <= kind <= 191 and is_peers:
            self._wire.take_media(datagram)
        elif kind <= 3 or (20 <= kind <= 63 and is_peers):
            try:
                self._others(datagram, address)
            except (struct.error, LookupError, ValueError, AssertionError):
                return  # not STUN after all
            if is_peers:
                self._wire.note_heard()


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
