"""Media crosses the box as RTP, never decoded: every name of aiortc and aioice that is not promised stands here.

aiortc negotiates one voice, gathers, and makes the DTLS handshake; what it would send and receive is kept from
starting, and datagrams are taken where the socket delivers them. Per packet: unprotect, look at the header, protect,
send; no queue, no task, no decoder. `tests/contract/test_aiortc_contract.py` holds each private name, and
`aiortc==1.16.*` is pinned.

Taking datagrams at the socket also keeps strangers out: an empty datagram ends aiortc's transport (it reads the first
byte), a malformed STUN attribute raises out of its parser, what is not STUN waits in a queue of aioice's that has no
end, and each new address a browser is heard from costs it a look at all of them. So a check must name us, an answer
must be to a question of ours, both come within a pace, and media is taken from the addresses that answered one alone.
Of a browser itself so much is taken as browsers send.

Source: RFC 7983 (telling STUN, DTLS and SRTP apart), RFC 5761 §4 (RTP and RTCP on one port), RFC 3711 (SRTP),
RFC 8489 §5 (a STUN message's first 20 bytes), RFC 8445 §7.2.2 (the name in a check).
"""

import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import aioice.ice
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceCandidate,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCRtpTransceiver,
)

from gateway.clinic.media.control import Relay
from gateway.clinic.media.dscp import PICTURE, VOICE
from gateway.clinic.media.ports import Address, Port
from gateway.clinic.media.rtcp import Feedback, read_rtcp
from gateway.clinic.media.sdp import Candidate
from gateway.clinic.media.srtp import Keys
from gateway.clinic.media.streams import Allowance

CONSENT_FAILURES = 60  # aioice's 6 end a call after an outage of 30 s; 60 were seen to outlive 45 s (2026-11)
RELAYED_UNSENT_MAX = 64  # datagrams that wait for a TURN channel to be bound
LOWER_HEADERS_BYTES = 28  # IPv4 and UDP, for the link's account
CHECKS_PER_S_MAX = 100  # STUN and DTLS; a browser that looks for a way sends 20 (RFC 8445 §14.2: one each 50 ms)
ADDRESSES_MAX = 64  # a browser is heard from; one has some eight, and another with each change of its network's
HANDSHAKES_MAX = 64  # datagrams of DTLS that wait to be read; a handshake has some ten
PACKETS_PER_S_MAX = 1_000  # of one browser: 8 Mbit/s of picture
FEEDBACK_BYTES_PER_S_MAX = 16_384  # RTCP; browsers send some hundreds
_STUN_COOKIE = b"\x21\x12\xa4\x42"
_STUN_SUCCESS = b"\x01\x01"  # of a binding request (RFC 8489 §5)
_FAILED = aioice.ice.CandidatePair.State.FAILED
ASKED_MAX = 16  # checks whose answers may still come
_VOICE = "audio/opus"
_DSCP = {"audio": VOICE, "video": PICTURE}


def outlive_outages() -> None:
    """From now on connections last through outages of minutes, not of half one."""
    aioice.ice.CONSENT_FAILURES = CONSENT_FAILURES


def open_connection(relays: Iterable[Relay] = ()) -> tuple[RTCPeerConnection, RTCRtpTransceiver]:
    """Return a connection with one voice, whose transport carries whatever we send over it."""
    # without a list aiortc asks a public STUN server, and waits 5 s for it when offline
    servers = [RTCIceServer(each.url, username=each.user, credential=each.password) for each in relays]
    connection = RTCPeerConnection(RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
    transceiver = connection.addTransceiver("audio", "sendrecv")
    offered = RTCRtpSender.getCapabilities("audio").codecs
    transceiver.setCodecPreferences([codec for codec in offered if codec.mimeType.lower() == _VOICE])
    transceiver.receiver.receive = _leave_to_us  # type: ignore[method-assign]
    transceiver.sender.send = _leave_to_us  # type: ignore[method-assign]
    return connection, transceiver


def gather_ipv4_only(transceiver: RTCRtpTransceiver) -> None:
    """Offer IPv4 addresses alone: one socket an address, and the media path's relays speak IPv4."""
    transceiver.receiver.transport.transport._connection._use_ipv6 = False


def take_handshakes_alone(transceiver: RTCRtpTransceiver) -> None:
    """Let nothing wait to be read but so much of DTLS, whoever sent it."""
    connection: Any = transceiver.receiver.transport.transport._connection
    waiting = connection._queue

    def take(datagram: bytes, component: int) -> None:
        if 20 <= datagram[0] <= 63 and waiting.qsize() < HANDSHAKES_MAX:
            waiting.put_nowait((datagram, component))

    connection.data_received = take


async def add_candidates(connection: RTCPeerConnection, mid: str, candidates: Iterable[Candidate]) -> None:
    """Let the connection try these addresses of the browser's, too."""
    for index, each in enumerate(candidates):
        await connection.addIceCandidate(
            RTCIceCandidate(
                component=1,
                foundation=str(index),
                ip=each.host,
                port=each.port,
                priority=each.priority,
                protocol="udp",
                type=each.kind,
                sdpMid=mid,
            )
        )


def gathered(transceiver: RTCRtpTransceiver, kind: str) -> tuple[tuple[str, int], ...]:
    """Return the addresses of a kind (host or relay) at which media is taken."""
    gatherer = transceiver.receiver.transport.transport.iceGatherer
    return tuple((each.ip, each.port) for each in gatherer.getLocalCandidates() if each.type == kind)


async def _leave_to_us(parameters: object) -> None:
    """Stand in for aiortc's `send` and `receive`, which would start its encoder, decoder and reports."""


class Wire:
    """The protected datagrams between the box and one browser."""

    def __init__(
        self,
        transceiver: RTCRtpTransceiver,
        *,
        now_s: Callable[[], float],
        failed: Callable[[Exception], None],
        take_rtp: Callable[[bytes, float], None],
        take_feedback: Callable[[Feedback, float], None],
    ) -> None:
        """Hand what comes to `take_rtp` and `take_feedback`, and what these raise to `failed`."""
        self._dtls: Any = transceiver.receiver.transport
        self._ice: Any = self._dtls.transport._connection
        self._nominated: Any = self._ice._nominated
        self._now_s = now_s
        self._failed = failed
        self._take_rtp = take_rtp
        self._take_feedback = take_feedback
        self._take_round_trip: Callable[[float, float], None] = lambda round_trip_s, now_s: None
        self._asked_s: dict[bytes, float] = {}  # checks of ours that no answer has come to, by transaction
        self._keys: Any = None  # `Keys`, once there are any
        self._pair: Any = None
        self._peer: Address = ()
        self._checked: set[Address] = set()  # the browser looked for a way from each, and may send from each
        self._way: Any = None  # a `Port` or a `_Relayed`, once there is one
        self._name = f"{self._ice.local_username}:".encode()
        self._checks = Allowance(CHECKS_PER_S_MAX, burst_s=1.0)
        self._strangers = Allowance(CHECKS_PER_S_MAX, burst_s=1.0)
        self._packets = Allowance(PACKETS_PER_S_MAX, burst_s=1.0)
        self._feedback_bytes = Allowance(FEEDBACK_BYTES_PER_S_MAX, burst_s=1.0)
        self.received_bytes = 0
        self.sent_bytes = 0
        self.heard_s = now_s()

    def take_over(self) -> None:
        """From now on datagrams come to us first; the addresses have been gathered."""
        for protocol in self._ice._protocols:
            protocol.datagram_received = partial(self._arrived, protocol, protocol.datagram_received)
        self._ice.check_incoming = partial(self._take_check, self._ice.check_incoming)

    def hand_to(self, take_rtp: Callable[[bytes, float], None]) -> None:
        """From now on packets that come are handed to `take_rtp`."""
        self._take_rtp = take_rtp

    def abort(self) -> None:
        """Close the sockets without another word."""
        for protocol in self._ice._protocols:
            _way(protocol.transport).abort()

    def broke(self, exc: Exception) -> None:
        """Something of this browser's raised while another's packet was handed on."""
        self._failed(exc)

    @property
    def is_open(self) -> bool:
        """Whether media can be sent now."""
        return self._is_ready()

    def send_rtp(self, packet: bytes, kind: str) -> bytes | None:
        """Protect and send a packet of a kind; return the datagram, or None when it could not go."""
        if not self._is_ready():
            return None
        datagram: bytes | None = self._keys.protect(packet)
        if datagram is None:
            return None
        way = self._way
        way.mark(_DSCP[kind])
        if not way.send(datagram, self._peer):
            return None
        self.sent_bytes += len(datagram) + LOWER_HEADERS_BYTES
        return datagram

    def send(self, datagram: bytes) -> bool:
        """Send a protected datagram of a picture again; False when the socket takes no more."""
        if not self._is_ready():
            return False
        self._way.mark(PICTURE)
        return self._send(datagram)

    def send_rtcp(self, compound: bytes) -> None:
        """Protect and send reports or requests."""
        if self._is_ready() and (datagram := self._keys.protect_rtcp(compound)) is not None:
            self._send(datagram)

    def tell_round_trips(self, take: Callable[[float, float], None]) -> None:
        """From now on round trips of checks are told to `take`, and when they ended."""
        self._take_round_trip = take

    def ask(self, now_s: float) -> None:
        """Send a check whose answer tells the round trip, behind what a picture waits for (RFC 8445 §7.2.5)."""
        self._is_ready()
        if self._pair is None:
            return
        request = self._ice.build_request(self._pair, nominate=False)
        request.add_message_integrity(self._ice.remote_password.encode())
        request.add_fingerprint()
        if len(self._asked_s) >= ASKED_MAX:
            del self._asked_s[next(iter(self._asked_s))]
        self._asked_s[request.transaction_id] = now_s
        self._way.mark(PICTURE)
        self._send(bytes(request))

    def _is_answer(self, datagram: bytes, now_s: float) -> bool:
        """Whether this is the answer to a check of ours; its round trip is then told."""
        if datagram[:2] != _STUN_SUCCESS or (asked_s := self._asked_s.pop(datagram[8:20], None)) is None:
            return False
        self._take_round_trip(now_s - asked_s, now_s)
        return True

    def _send(self, datagram: bytes) -> bool:
        if not self._way.send(datagram, self._peer):
            return False
        self.sent_bytes += len(datagram) + LOWER_HEADERS_BYTES
        return True

    def _is_ready(self) -> bool:
        """Follow what ICE agreed on and take the keys that DTLS left; False before both did."""
        pair = self._nominated.get(1)
        if pair is not self._pair:
            self._pair = pair
            self._peer = pair.remote_addr if pair is not None else ()
            self._way = _way(pair.protocol.transport) if pair is not None else None
        if self._keys is None and self._dtls._rx_srtp is not None and self._dtls._tx_srtp is not None:
            self._keys = Keys(self._dtls._rx_srtp, self._dtls._tx_srtp)
        return pair is not None and self._keys is not None

    def _arrived(
        self, protocol: Any, others: Callable[[bytes, Address], None], datagram: bytes, address: Address
    ) -> None:
        """Take one socket's datagram, or leave it to aioice (RFC 7983 §7)."""
        kind = datagram[0] if len(datagram) > 1 else 255
        is_ready = self._is_ready()
        is_peers = address == self._peer or address in self._checked
        try:
            if 128 <= kind <= 191:
                if is_peers and is_ready:
                    self._take_media(datagram)
            elif is_peers and (kind <= 3 or 20 <= kind <= 63):
                now_s = self._now_s()
                if self._is_answer(datagram, now_s):
                    self.heard_s = now_s
                elif self._checks.take(1, now_s):
                    _hand_on(others, datagram, address)
                    self.heard_s = now_s
            elif kind <= 3 and self._may_check(protocol, datagram):
                _hand_on(others, datagram, address)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is this browser's alone
            self._failed(exc)

    def _take_check(self, others: Callable[[Any, Address, Any], None], check: Any, address: Address, by: Any) -> None:
        """Take an address from which a check with our password came; aioice looks at the way back.

        Of several nominated pairs each side may choose another one, and whichever the browser chose, it checked.
        aioice gives up the checks under way once one pair is agreed on, and would never try these again.
        Source: RFC 8445 §7.3 (a check is authenticated), §7.3.1.4 (what failed is tried again when a check comes).
        """
        self._checked.add(address)
        for pair in self._ice._check_list:
            if pair.task is not None and pair.task.cancelled():
                pair.task, pair.state, pair.remote_nominated = None, _FAILED, False
        others(check, address, by)

    def _may_check(self, protocol: Any, datagram: bytes) -> bool:
        """Whether a stranger's datagram can be the browser looking for a way."""
        if datagram[4:8] != _STUN_COOKIE or len(self._ice._remote_candidates) >= ADDRESSES_MAX:
            return False
        is_answer = datagram[0] & 0x01  # RFC 8489 §5: the class's upper bit
        is_ours = datagram[8:20] in protocol.transactions if is_answer else self._name in datagram
        return is_ours and self._strangers.take(1, self._now_s())

    def _take_media(self, datagram: bytes) -> None:
        """Unprotect a datagram of the browser and hand on what is in it; forged, repeated or very late: nothing."""
        if 192 <= datagram[1] <= 208:  # RFC 5761 §4: RTCP
            self._take_rtcp(datagram)
            return
        packet = self._keys.unprotect(datagram)
        if packet is None:
            return
        self.heard_s = now_s = self._now_s()
        self.received_bytes += len(datagram) + LOWER_HEADERS_BYTES
        if self._packets.take(1, now_s):
            self._take_rtp(packet, now_s)

    def _take_rtcp(self, datagram: bytes) -> None:
        compound = self._keys.unprotect_rtcp(datagram)
        if compound is None:
            return
        self.heard_s = now_s = self._now_s()
        self.received_bytes += len(datagram) + LOWER_HEADERS_BYTES
        if not self._feedback_bytes.take(len(compound), now_s):
            return
        for feedback in read_rtcp(compound):
            self._take_feedback(feedback, now_s)


class _Relayed:
    """The way through a TURN server, whose client makes a task of each datagram."""

    __slots__ = ("_transport",)

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def mark(self, dscp: int) -> None:
        """Leave the marks to the socket below, which voice and picture share in one queue of aioice's."""

    def send(self, datagram: bytes, address: Address) -> bool:
        """Hand a datagram on; False while too many wait for the server."""
        if len(self._transport._TurnTransport__send_tasks) >= RELAYED_UNSENT_MAX:
            return False
        self._transport.sendto(datagram, address)
        return True

    def abort(self) -> None:
        """Close what leads to the server."""
        self._transport._TurnTransport__inner_protocol.transport.abort()


def _way(transport: Any) -> Any:
    return transport if isinstance(transport, Port) else _Relayed(transport)


def _hand_on(others: Callable[[bytes, Address], None], datagram: bytes, address: Address) -> None:
    try:
        others(datagram, address)
    except (struct.error, LookupError, ValueError, AssertionError):
        return  # not STUN after all
