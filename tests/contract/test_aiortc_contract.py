"""What the clinic takes from aiortc and aioice without their promise still holds, name by name and in a real call.

Two aiortc programs stand in for browsers: they join one consultation over real sockets, and each must see the other's
pictures and hear the other's sound through the room. When a new aiortc moves a private name, this is what fails.
"""

import asyncio
import inspect
import json
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import aioice.candidate
import aioice.ice
import aioice.stun
import aioice.turn
import pylibsrtp
import pytest
from aioice.ice import CandidatePair
from aioice.stun import Message
from aiortc import (
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
)
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceGatherer, RTCIceTransport

from gateway.backhaul.dialer import Endpoint
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.shares import Capacity
from gateway.clinic.invitation import invite
from gateway.clinic.media.forwarding import (
    CONSENT_FAILURES,
    HANDSHAKES_MAX,
    Wire,
    gather_ipv4_only,
    open_connection,
    outlive_outages,
    take_handshakes_alone,
)
from gateway.clinic.media.ports import Port, PortRange, bind_within
from gateway.clinic.media.srtp import Keys
from gateway.clinic.peer import DirectPath, MediaPath
from gateway.clinic.room import ClinicLimits
from gateway.clock import SystemClock
from tests.clinic_server import KEY, Clinic, Party, serving
from tests.waiting import wait_until


def running(media_path: MediaPath, *, calls_max: int = 2) -> AbstractAsyncContextManager[Clinic]:
    return serving(ClinicLimits(link_s=600, video_bps_max=700_000, calls_max=calls_max), media_path=media_path)


async def called(clinic: Clinic) -> tuple[Party, Party]:
    """Two parties that see and hear each other."""
    nurse, doctor = await clinic.party(clinic.links.nurse), await clinic.party(clinic.links.doctor)
    await nurse.both_grow()
    await doctor.both_grow()
    return nurse, doctor


def refusals(party: Party) -> list[str]:
    return [said["message"] for said in party.messages if said["type"] == "refused"]


@pytest.fixture
async def clinic() -> AsyncIterator[Clinic]:
    async with running(DirectPath()) as found:
        yield found


def addresses(party: Party) -> list[tuple[str, int]]:
    """Where the box takes a party's media."""
    lines = party.connection.remoteDescription.sdp.splitlines()
    found = [line.split() for line in lines if line.startswith("a=candidate:")]
    return sorted({(fields[4], int(fields[5])) for fields in found})


# Names


def test_the_constant_that_ends_silent_calls_is_read_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "CONSENT_FAILURES" in aioice.ice.Connection.query_consent.__code__.co_names
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 6)
    outlive_outages()
    assert aioice.ice.CONSENT_FAILURES == CONSENT_FAILURES


async def test_the_names_we_reach_for_are_there() -> None:
    connection, transceiver = open_connection()
    try:
        dtls: Any = transceiver.receiver.transport
        assert [type(dtls), type(dtls.transport), type(dtls.transport.iceGatherer)] == [
            RTCDtlsTransport,
            RTCIceTransport,
            RTCIceGatherer,
        ]
        assert [dtls._tx_srtp, dtls._rx_srtp] == [None, None]
        ice = dtls.transport._connection
        assert type(ice) is aioice.ice.Connection
        assert ice._protocols == []
        assert ice._nominated == {}
        assert [ice.local_username != "", ice.remote_username, ice.remote_password] == [True, None, None]
        before = ice._use_ipv6
        gather_ipv4_only(transceiver)
        assert (before, ice._use_ipv6) == (True, False)
    finally:
        await connection.close()


def test_the_agreed_pair_is_kept_in_one_mapping() -> None:
    source = inspect.getsource(aioice.ice.Connection)
    assert source.count("self._nominated: dict") == 1, "emptied, never replaced"
    assert "self._nominated =" not in source
    assert isinstance(aioice.ice.CandidatePair.remote_addr, property)


async def test_a_check_given_up_for_an_agreed_pair_is_made_when_the_browser_checks_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1", "127.0.0.2"])
    browser = await gathered(controlling=True)
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    box = await gathered(controlling=False)
    left: list[bytes] = []  # handshakes, to aiortc
    wire = Wire(
        cast("Any", SimpleNamespace(receiver=SimpleNamespace(transport=handshaker(box)))),
        now_s=SystemClock().now_s,
        failed=raises,
        take_rtp=lambda packet, now_s: None,
        take_feedback=lambda feedback, now_s: None,
    )
    wire.take_over()
    box.data_received = lambda datagram, component: left.append(datagram)
    first, second = browser._protocols
    silent = {first, second}  # who answers no check yet
    for each in (first, second):
        each.send_stun = partial(unless_silent, silent, each, each.send_stun)
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(meet(box, browser))
            both.create_task(meet(browser, box))
            await wait_until(lambda: [each.state for each in box._check_list] == [CandidatePair.State.IN_PROGRESS] * 2)
            silent.discard(first)
        silent.clear()
        (pair,) = [each for each in box._check_list if each.remote_addr == name_of(second)]
        await wait_until(pair.task.cancelled)
        (back,) = [each for each in browser._check_list if each.protocol is second]
        second.transport.sendto(b"\x16\xfe\xff", back.remote_addr)  # its handshake's first record (RFC 6347 §4.1)
        await wait_until(lambda: bool(left))
        request = browser.build_request(back, nominate=True)
        await second.request(request, back.remote_addr, integrity_key=box.local_password.encode())
        await wait_until(lambda: box._nominated[1] is pair)
        assert pair.state is CandidatePair.State.SUCCEEDED
    finally:
        await box.close()
        await browser.close()


async def gathered(*, controlling: bool) -> Any:
    made = aioice.ice.Connection(ice_controlling=controlling, use_ipv6=False)
    await made.gather_candidates()
    return made


async def meet(one: Any, other: Any) -> None:
    one.remote_username, one.remote_password = other.local_username, other.local_password
    for each in other.local_candidates:
        await one.add_remote_candidate(each)
    await one.add_remote_candidate(None)
    await one.connect()


def handshaker(ice: Any) -> Any:
    return SimpleNamespace(transport=SimpleNamespace(_connection=ice), _rx_srtp=None, _tx_srtp=None)


def unless_silent(silent: set[Any], who: Any, sends: Callable[..., None], message: Message, address: Any) -> None:
    if who not in silent or message.message_class is aioice.stun.Class.REQUEST:
        sends(message, address)


def name_of(protocol: Any) -> tuple[str, int]:
    found: tuple[str, int] = protocol.transport.get_extra_info("sockname")
    return found


def raises(exc: Exception) -> None:
    raise exc


def test_a_check_of_ours_is_built_and_locked_as_aioice_does() -> None:
    ice = aioice.ice.Connection(ice_controlling=False)
    ice.remote_username, ice.remote_password = "theirs", "0123456789012345678901"
    mine = aioice.candidate.Candidate("1", 1, "udp", 1, "192.0.2.1", 5_004, "host")
    pair: Any = aioice.ice.CandidatePair(cast("Any", SimpleNamespace(local_candidate=mine)), mine)
    request = ice.build_request(pair, nominate=False)
    key = ice.remote_password.encode()
    request.add_message_integrity(key)
    request.add_fingerprint()
    said = bytes(request)
    assert len(request.transaction_id) == 12
    assert (said[:2], said[8:20]) == (b"\x00\x01", request.transaction_id)
    heard = aioice.stun.parse_message(said)
    assert heard.check_message_integrity(key)
    assert heard.attributes["USERNAME"] == f"theirs:{ice.local_username}"
    assert "USE-CANDIDATE" not in heard.attributes, "the browser chooses the way"
    assert list(heard.attributes)[-2:] == ["MESSAGE-INTEGRITY", "FINGERPRINT"]


async def test_aioice_binds_where_we_say_and_looks_its_protocol_up_anew() -> None:
    loop = asyncio.get_running_loop()
    first = free_port()
    bind_within(loop, PortRange(first, first + 20), marked=False)
    connection, transceiver = open_connection()
    gather_ipv4_only(transceiver)
    try:
        await connection.setLocalDescription(await connection.createOffer())
        protocols = transceiver.receiver.transport.transport._connection._protocols
        assert protocols
        for each in protocols:
            assert isinstance(each.transport, Port)
            assert first <= each.transport.get_extra_info("sockname")[1] <= first + 20
        heard: list[Any] = []
        first_protocol: Any = protocols[0]
        first_protocol.datagram_received = lambda data, address: heard.append(data)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"hello", protocols[0].transport.get_extra_info("sockname"))
        await wait_until(lambda: heard == [b"hello"])
    finally:
        await connection.close()


def free_port() -> int:
    """The first of some ports that are probably free."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        return min(int(probe.getsockname()[1]), 65_000)


async def test_the_turn_client_keeps_its_tasks_and_socket_where_we_look() -> None:
    class Inner:
        transport = object()

    make: Any = aioice.turn.TurnTransport
    made = make(Inner())
    assert made._TurnTransport__send_tasks == set()
    assert isinstance(made._TurnTransport__inner_protocol, Inner)


def test_libsrtp_is_called_as_pylibsrtp_does() -> None:
    session = pylibsrtp.Session(pylibsrtp.Policy(key=bytes(30), ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND))
    theirs = pylibsrtp.Session(pylibsrtp.Policy(key=bytes(30), ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND))
    packet = struct.pack("!BBHLL", 0x80, 96, 1, 2, 3) + bytes(100)
    assert Keys(session, session).protect(packet) == theirs.protect(packet)
    inbound = pylibsrtp.Policy(key=bytes(30), ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND)
    receiving = Keys(pylibsrtp.Session(inbound), session)
    sent = Keys(theirs, theirs).protect(packet[:2] + b"\x00\x02" + packet[4:])
    assert sent is not None
    assert receiving.unprotect(sent[:-1] + bytes([sent[-1] ^ 1])) is None
    assert receiving.unprotect(sent) == packet[:2] + b"\x00\x02" + packet[4:]
    assert receiving.unprotect(sent) is None, "the same again"
    assert receiving.protect(packet[:12] + bytes(1_461)) is None, "more than a frame holds"
    report = struct.pack("!BBHL", 0x80, 201, 1, 3)
    sealed = Keys(theirs, theirs).protect_rtcp(report)
    assert sealed is not None
    assert receiving.unprotect_rtcp(sealed) == report


def test_aiortc_asks_senders_and_receivers_to_start_through_the_names_we_replace() -> None:
    connect = inspect.getsource(RTCPeerConnection._RTCPeerConnection__connect)  # type: ignore[attr-defined]
    assert "transceiver.sender.send(" in connect
    assert "transceiver.receiver.receive(" in connect
    # what was never started has nothing to stop
    assert "if self.__started:" in inspect.getsource(RTCRtpSender.stop)
    assert "if self.__started:" in inspect.getsource(RTCRtpReceiver.stop)


async def test_of_what_comes_before_the_keys_a_little_of_dtls_alone_is_kept() -> None:
    connection, transceiver = open_connection()
    try:
        ice: Any = transceiver.receiver.transport.transport._connection
        take_handshakes_alone(transceiver)
        for datagram in (b"\x00junk", b"\x80\x60media", b"\xff", *[b"\x16handshake"] * 1_000):
            ice.data_received(datagram, 1)
        assert [ice._queue.get_nowait() for _ in range(ice._queue.qsize())] == [(b"\x16handshake", 1)] * HANDSHAKES_MAX
        assert ice._remote_candidates == []
        assert len(ice.local_username) >= 4
    finally:
        await connection.close()
    received = inspect.getsource(aioice.ice.StunProtocol.datagram_received)
    assert "self.receiver.data_received(" in received, "what is not STUN goes where we look"
    assert "message.transaction_id in self.transactions" in received
    assert "self._remote_candidates.append(" in inspect.getsource(aioice.ice.Connection.check_incoming)


async def test_only_opus_is_negotiated_with_the_library() -> None:
    connection, _ = open_connection()
    try:
        said = (await connection.createOffer()).sdp
    finally:
        await connection.close()
    assert [line for line in said.splitlines() if line.startswith("a=rtpmap:")] == ["a=rtpmap:96 opus/48000/2"]


# A call


async def test_sound_and_picture_cross_without_a_decoder(clinic: Clinic) -> None:
    before = {thread.name for thread in threading.enumerate()}
    nurse, doctor = await called(clinic)
    decoders = [each.name for each in threading.enumerate() if each.name.endswith("-decoder")]
    assert len(decoders) - sum(name.endswith("-decoder") for name in before) == 4, "two a party, none for the room"
    figures = clinic.room.statistics()
    assert (figures.calls, figures.people, figures.consultations) == (1, 2, 1)
    assert figures.forwarded_packets > 20
    assert clinic.backhaul.open_shares()[TrafficClass.REALTIME] == 1
    for each in (nurse, doctor):
        states = [said for said in each.messages if said["type"] == "state"]
        assert states[-1]["others"] is True
        assert states[-1]["plan"]["send"] is True


async def test_the_doctor_s_bytes_are_counted_on_the_link(clinic: Clinic) -> None:
    await called(clinic)
    await wait_until(lambda: clinic.backhaul.moved()[TrafficClass.REALTIME].down_bytes > 5_000)
    assert clinic.backhaul.moved()[TrafficClass.REALTIME].up_bytes > 5_000


async def test_both_senders_are_capped_within_a_second_of_a_change(clinic: Clinic) -> None:
    parties = await called(clinic)
    caps: list[list[int]] = []
    for each in parties:
        heard: list[int] = []
        caps.append(heard)
        listen_for_caps(each, heard)
    await wait_until(lambda: all(caps))
    for heard in caps:
        heard.clear()
    clinic.backhaul.tell_capacity(Capacity(down_bps=150_000, up_bps=300_000))
    await wait_until(lambda: all(caps), 1.0)
    nurse, doctor = (heard[-1] for heard in caps)
    assert 30_000 <= doctor < 130_000, "the doctor sends down"
    assert doctor < nurse < 270_000, "the nurse sends up"


def listen_for_caps(party: Party, heard: list[int]) -> None:
    """Note every REMB that a party gets."""
    sender = next(each for each in party.connection.getSenders() if each.kind == "video")
    take = sender._handle_rtcp_packet

    async def noted(packet: Any) -> None:
        if getattr(packet, "fci", b"")[:4] == b"REMB":
            exponent, mantissa = packet.fci[5] >> 2, int.from_bytes(packet.fci[5:8]) & 0x3FFFF
            heard.append(mantissa << exponent)
        await take(packet)

    sender._handle_rtcp_packet = noted  # type: ignore[method-assign]


async def test_who_joins_again_takes_the_place_over_and_the_other_goes_on(clinic: Clinic) -> None:
    nurse, doctor = await called(clinic)
    again = await clinic.party(clinic.links.nurse)
    await again.both_grow()
    await doctor.both_grow()
    await wait_until(lambda: any(said.get("reason") == "replaced" for said in nurse.messages))
    assert clinic.room.statistics().people == 2


async def test_who_leaves_frees_the_link_and_the_other_one_waits(clinic: Clinic) -> None:
    nurse, doctor = await called(clinic)
    await nurse.ws.send_json({"type": "bye"})
    await wait_until(lambda: [said["others"] for said in doctor.messages if said["type"] == "state"][-1] is False)
    assert clinic.backhaul.open_shares()[TrafficClass.REALTIME] == 0
    assert clinic.room.statistics().people == 1


async def test_strangers_datagrams_do_not_end_a_call(clinic: Clinic, caplog: pytest.LogCaptureFixture) -> None:
    nurse, doctor = await called(clinic)
    media = [b"", b"\x80", b"\x80\x60" + bytes(10), bytes([128, 200]) + bytes(26), b"\x90" * 1_400]
    stun = [bytes(20), b"\x00\x01\x00\x08\x21\x12\xa4\x42" + bytes(12) + b"\x00\x24\x00\x02\x00\x00\x00\x00"]
    dtls = [b"\x16\xfe\xfd" + bytes(40), b"\x15\xfe\xfd" + bytes(12), bytes([63])]
    for address in [*addresses(nurse), *addresses(doctor)]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setblocking(False)
            for datagram in [*media, *stun, *dtls, b"\xff", b"\x50" * 30]:
                stranger.sendto(datagram, address)
    await nurse.both_grow()
    await doctor.both_grow()
    assert not [record for record in caplog.records if record.exc_info]


BAD = [
    "", "x", "{", "[]", "null", "5", "{}", '{"type":null}', '{"type":"offer"}', '{"type":"offer","sdp":null}',
    '{"type":"offer","sdp":5}', '{"type":"offer","sdp":[]}', '{"type":"answer","sdp":"v=0"}', '{"type":"OFFER"}',
    "[" * 50_000, '{"type":"offer","sdp":"\\ud800"}', '{"type":"state","others":true}', '{"type":"offer","sdp":{}}',
]  # fmt: skip
BAD_SDP = [
    "", "v=0", "v=0\r\n" * 1_000, "\x00", "m=audio", "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n",
    "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", "a=" + "x" * 5_000, "v=0\r\na=candidate:\r\n",
    "v=0\r\na=group:BUNDLE 0 1\r\n" + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" * 400,
]  # fmt: skip


def spoilt(sdp: str) -> list[str]:
    """A good offer with one thing wrong, twelve times."""
    return [
        sdp.replace("a=rtcp-mux", "a=rtcp-mix"), sdp.replace("a=ice-pwd:", "a=ice-pwd:!"),
        sdp.replace("a=ice-ufrag:", "a=ice-ufrag:!"), sdp.replace("a=fingerprint:", "a=fingerprint:md4 "),
        sdp.replace("VP8", "VP7"), sdp.replace("opus/48000/2", "opus/8000"), sdp.replace("SAVPF", "AVP"),
        sdp.replace("a=setup:actpass", "a=setup:x"), sdp.replace("BUNDLE", "LS"), sdp.replace("m=video", "m=text"),
        sdp.replace("a=mid:1", "a=mid:0"), sdp[: sdp.index("m=video")],
    ]  # fmt: skip


async def test_forty_pieces_of_nonsense_are_refused_in_words_and_end_nobody_s_call(clinic: Clinic) -> None:
    nurse, doctor = await called(clinic)
    offers = [*BAD_SDP, *spoilt(doctor.connection.localDescription.sdp)]
    cases = [*BAD, *(json.dumps({"type": "offer", "sdp": sdp}) for sdp in offers)]
    assert len(cases) >= 40
    for text in cases:
        async with await clinic.dial(clinic.links.doctor) as ws:
            await ws.send_str(text)
            refused = await ws.receive_json(timeout=5)
            while refused["type"] in {"ping", "outlook"}:
                refused = await ws.receive_json(timeout=5)
            assert refused["type"] == "refused", text[:80]
            assert refused["message"].endswith(".")
            assert refused["final"] is False
    async with await clinic.dial(clinic.links.nurse) as ws:
        await ws.send_bytes(bytes(100_000))  # more than a message may have
        async with asyncio.timeout(5):
            while (await ws.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
    await nurse.both_grow()
    await doctor.both_grow()
    assert not any(said.get("reason") == "replaced" for said in [*nurse.messages, *doctor.messages])


async def test_a_page_that_lost_its_socket_goes_on_where_it_was(clinic: Clinic) -> None:
    nurse, doctor = await called(clinic)
    await nurse.ws.close()
    await doctor.both_grow()
    async with await clinic.dial(clinic.links.nurse) as ws:
        await ws.send_json({"type": "resume"})
        said = [(await ws.receive_json(timeout=5))["type"] for _ in range(3)]
        assert "state" in said
        assert "again" not in said


async def test_a_page_whose_media_is_gone_is_asked_to_begin_again(clinic: Clinic) -> None:
    async with await clinic.dial(clinic.links.nurse) as ws:
        await ws.send_json({"type": "resume"})
        said = [(await ws.receive_json(timeout=5))["type"] for _ in range(3)]
        assert "again" in said


# A path that is not direct


class Relay(asyncio.DatagramProtocol):
    """A UDP relay with a socket on each side; drops every `drop`th datagram that it carries to the browser."""

    def __init__(self, local: Endpoint, drop: int) -> None:
        self.local = local
        self.carried = 0
        self._drop = drop
        self._browser: Any = None
        self._front: asyncio.DatagramTransport | None = None
        self.back: asyncio.DatagramTransport | None = None

    def connection_made(self, made: asyncio.BaseTransport) -> None:
        self._front = made  # type: ignore[assignment]

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._browser = address
        if self.back is not None:
            self.back.sendto(data)

    def from_box(self, data: bytes) -> None:
        self.carried += 1
        if self._front is not None and self._browser and self.carried % self._drop:
            self._front.sendto(data, self._browser)


class _Back(asyncio.DatagramProtocol):
    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._relay.from_box(data)


@dataclass
class RelayedPath:
    """A media path through relays, as an emulated link has it."""

    direct: bool = False
    relays: list[Relay] = field(default_factory=list)
    transports: list[asyncio.BaseTransport] = field(default_factory=list)
    released: list[Endpoint] = field(default_factory=list)

    def release(self, local: Endpoint) -> None:
        self.released.append(local)

    async def advertise(self, local: Endpoint) -> Endpoint:
        relay = Relay(local, drop=20)
        loop = asyncio.get_running_loop()
        back, _ = await loop.create_datagram_endpoint(lambda: _Back(relay), remote_addr=local)
        front, _ = await loop.create_datagram_endpoint(lambda: relay, local_addr=(local.host, 0))
        relay.back = back
        self.relays.append(relay)
        self.transports += [back, front]
        return Endpoint(*front.get_extra_info("sockname")[:2])


async def test_media_takes_the_path_that_was_advertised_and_lost_packets_are_sent_again() -> None:
    path = RelayedPath()
    async with running(path) as clinic:
        nurse, doctor = await called(clinic)
        await doctor.both_grow()
        await wait_until(lambda: sum(relay.carried for relay in path.relays) > 100)
        fronts = {each.get_extra_info("sockname")[1] for each in path.transports[1::2]}
        assert {port for _, port in addresses(doctor)} <= fronts
        await wait_until(lambda: clinic.room.statistics().resent_packets > 0, 20.0)
        await nurse.both_grow()
    assert {each.port for each in path.released} == {relay.local.port for relay in path.relays}
    for each in path.transports:
        each.close()


# Limits


async def test_a_room_too_many_is_refused_in_words() -> None:
    async with running(DirectPath(), calls_max=1) as clinic:
        await clinic.party(clinic.links.nurse)
        await wait_until(lambda: clinic.room.statistics().people == 1)
        other = invite(KEY, wall_s=SystemClock().wall_s(), link_s=60, consultation="bed-2")
        refused = await clinic.party(other.nurse)
        await wait_until(lambda: bool(refusals(refused)))
        assert refusals(refused)[0].startswith("All consultation rooms are in use.")
        assert clinic.room.statistics().consultations == 1


async def test_stopping_says_goodbye_and_leaves_no_socket() -> None:
    async with running(DirectPath()) as clinic:
        nurse, doctor = await called(clinic)
        await clinic.room.stop()
        await wait_until(lambda: nurse.ws.closed and doctor.ws.closed)
        assert [said["reason"] for said in nurse.messages if said["type"] == "bye"] == ["stopping"]
        assert clinic.room.statistics().consultations == 0
        await wait_until(lambda: clinic.room.statistics().sockets == 0)
