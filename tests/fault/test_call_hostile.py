"""A call of two goes on without a loss while a third does what it can: by its leg, its page and a stranger's socket."""

import asyncio
import json
import random
import resource
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pylibsrtp
from aioice import stun
from aiortc import RTCPeerConnection, rtp

from gateway.backhaul.sharing.shares import Capacity
from gateway.clinic.allocation import SPARSE
from gateway.clinic.media.forwarding import ADDRESSES_MAX
from gateway.clinic.peer import DirectPath
from gateway.clinic.room import OFFERS_AT_ONCE, ClinicLimits
from tests.callers import Listener as Ear
from tests.callers import empty_offer, exchanging
from tests.clinic_server import Clinic, Party, serving
from tests.waiting import wait_until

SEED = 20_261_123
MEDIA_GROWTH_BYTES_MAX = 12_000_000  # of some 70 MB: what Python keeps for the next flood
BOX_GROWTH_BYTES_MAX = 48_000_000  # the three callers are in this process, too
DATAGRAMS = 1_500  # of each flood
A_TURN = 25  # datagrams before the others' turn: the callers share this thread


def opened() -> AbstractAsyncContextManager[Clinic]:
    limits = ClinicLimits(link_s=600, video_bps_max=300_000, calls_max=8, sockets_max=32)
    return serving(limits, capacity=Capacity(4_000_000, 4_000_000), far=True, ear=Ear())


async def joined(clinic: Clinic, token: str) -> Party:
    party = await clinic.party(token)
    await wait_until(lambda: party.connection.connectionState == "connected", 20.0)
    return party


async def lost(party: Party) -> int:
    """Return how many packets never came to it."""
    found = await party.connection.getStats()
    return sum(each.packetsLost for each in found.values() if each.type == "inbound-rtp")


def memory_bytes(pid: int | str) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


async def in_turns(datagrams: Iterator[bytes], send: Callable[[bytes], object]) -> None:
    """Send them, and let the callers of this thread have their turn."""
    for at, datagram in enumerate(datagrams):
        with suppress(OSError, pylibsrtp.Error):
            send(datagram)
        if at % A_TURN == 0:
            await asyncio.sleep(0.005)


def rtp_flood(chance: random.Random, types: list[int], ssrcs: list[int]) -> Iterator[bytes]:
    """Packets that lie about their padding, extension, source, order and content."""
    for _ in range(DATAGRAMS):
        first = 0x80 | chance.choice([0, 0x20, 0x10, 0x30, 0x0F])
        payload_type = chance.choice([*types, chance.randrange(96, 128)]) | chance.choice([0, 0x80])
        ssrc = chance.choice([*ssrcs, chance.randrange(2**32)])
        head = struct.pack("!BBHLL", first, payload_type, chance.randrange(2**16), chance.randrange(2**32), ssrc)
        more = struct.pack("!HH", chance.choice([0xBEDE, 0x1000, 0]), chance.randrange(40)) if first & 0x10 else b""
        yield head + more + chance.randbytes(chance.choice([0, 1, 2, 20, 200, 1_000]))


def rtcp_flood(chance: random.Random, ours: int, theirs: list[int]) -> Iterator[bytes]:
    """Reports and requests with wild figures, many in one, some cut off."""

    def one() -> bytes:
        ssrc = chance.choice(theirs)
        remb = struct.pack("!4sBBH", b"REMB", 1, chance.choice([0, 0xFF]), chance.choice([0, 0xFFFF]))
        info = rtp.RtcpSenderInfo(chance.choice([0, 2**64 - 1, chance.getrandbits(64)]), 0, 2**32 - 1, 2**32 - 1)
        report = struct.pack("!LBBBBLLLL", ssrc, 255, 0x7F, 255, 255, 2**32 - 1, 2**32 - 1, chance.getrandbits(32), 0)
        return chance.choice(
            [
                bytes(rtp.RtcpPsfbPacket(fmt=15, ssrc=ours, media_ssrc=0, fci=remb + struct.pack("!L", ssrc))),
                bytes(rtp.RtcpPsfbPacket(fmt=1, ssrc=ours, media_ssrc=ssrc)),
                bytes(rtp.RtcpPsfbPacket(fmt=4, ssrc=ours, media_ssrc=0, fci=struct.pack("!LL", ssrc, 0))) * 20,
                rtp.pack_rtcp_packet(205, 1, struct.pack("!LL", ours, ssrc) + b"\x00\x00\xff\xff" * 300),
                bytes(rtp.RtcpSrPacket(ssrc=ours, sender_info=info)),
                rtp.pack_rtcp_packet(201, 31, struct.pack("!L", ours) + report * 31),
                rtp.pack_rtcp_packet(203, 31, struct.pack("!L", ours)),
                rtp.pack_rtcp_packet(202, 31, chance.randbytes(8)),
                struct.pack("!BBH", 0x9F, chance.randrange(192, 209), 0xFFFF) + chance.randbytes(40),
            ]
        )

    for _ in range(DATAGRAMS):
        compound = b"".join(one() for _ in range(chance.randrange(1, 4)))[:1_300]
        yield compound[: len(compound) - chance.choice([0, 0, 4, 7])]


def stranger_flood(chance: random.Random, name: str) -> Iterator[bytes]:
    """What may come to an open port: nothing, near-STUN of every kind, DTLS, and packets without keys."""
    for at in range(DATAGRAMS):
        head = struct.pack("!HHL", chance.choice([0x0001, 0x0101, 0x0111, 0x0011, 0x3FFF]), 0, 0x2112A442)
        junk = chance.randbytes(chance.choice([12, 30, 1_400]))
        user = name.encode() + b":abcd"
        attribute = struct.pack(
            "!HH", chance.choice([6, 8, 0x20, 0x25, 0x8028, 0x802A]), chance.choice([0, 4, 5, 2**15])
        )
        message = (
            head[:2] + struct.pack("!H", 4 + len(user) + 12) + head[4:] + junk[:12] + attribute + user + b"\0" * 12
        )
        yield (b"", b"\x00", head + junk, message, b"\x16\xfe\xfd" + junk, b"\x80\x6f" + junk, junk)[at % 7]


async def flood_signalling(clinic: Clinic, chance: random.Random) -> None:
    """Everything a page must not do, with a genuine link."""
    token, offer = clinic.links.link("guest"), await empty_offer()
    floods: list[Callable[[], Any]] = [
        lambda: json.dumps({"type": "still", "image": "A" * 4_000_000}),
        lambda: "[" * 60_000,
        lambda: json.dumps({"type": "entry", "id": "x" * 60_000, "kind": [], "at": 1e400, "fields": {}}),
        lambda: chance.randbytes(50_000).hex(),
        lambda: '{"type":"pin","who":"guest"}',
    ]
    for what in floods:
        ws = await clinic.dial(token)
        with suppress(ConnectionError, aiohttp.ClientError):
            for _ in range(60):
                await ws.send_str(what())
        await ws.close()
    deaf = await clinic.dial(token)
    with suppress(ConnectionError, aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(2.0):
            for _ in range(3_000):
                await deaf.ping(b"x" * 100)
    for _ in range(40):  # joins and leaves as fast as it can
        ws = await clinic.dial(token)
        with suppress(ConnectionError, aiohttp.ClientError):
            await ws.send_json({"type": "offer", "sdp": offer})
            await ws.send_json({"type": "bye"})
        await ws.close()
    await deaf.close()


async def test_a_call_loses_nothing_while_a_third_floods_it_from_its_leg_its_page_and_a_stranger_s_socket() -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    async with opened() as clinic:
        nurse, doctor = await joined(clinic, clinic.links.nurse), await joined(clinic, clinic.links.doctor)
        await nurse.both_grow()
        await nurse.ws.send_json({"type": "pin", "who": "doctor"})  # a page of one slot
        await doctor.ws.send_json({"type": "pin", "who": "nurse"})
        third = await joined(clinic, clinic.links.link("interpreter"))
        await doctor.both_grow()
        pid = clinic.host.pid
        assert pid is not None
        before = memory_bytes(pid), memory_bytes("self"), await lost(nurse), await lost(doctor)
        legs = clinic.room._consultations["bed-1"]._seated()
        where = [each for _, peer in legs for each in (peer._opened.addresses if peer._opened else ())]
        wire: Any = third.connection.getSenders()[0].transport
        ice = wire.transport._connection
        ssrcs = [0x5441_4D01, 0x5441_4D02, 0x5441_4D03]
        await in_turns(
            rtp_flood(chance, [96, 97, 98, 111], [1, 2]), lambda each: ice_send(ice, wire._tx_srtp.protect(each))
        )
        await in_turns(rtcp_flood(chance, 7, ssrcs), lambda each: ice_send(ice, wire._tx_srtp.protect_rtcp(each)))
        await in_turns(stranger_flood(chance, ice.remote_username), lambda each: ice_send(ice, each))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setblocking(False)
            await in_turns(
                stranger_flood(chance, ice.remote_username), lambda each: stranger.sendto(each, chance.choice(where))
            )
        await flood_signalling(clinic, chance)
        await nurse.both_grow()
        await doctor.both_grow()
        assert (await lost(nurse), await lost(doctor)) == before[2:]
        assert clinic.host.pid == pid
        assert clinic.host.statistics().deaths == 0
        assert not nurse.ws.closed
        assert not doctor.ws.closed
        assert "again" not in {said["type"] for party in (nurse, doctor) for said in party.messages}
        await wait_until(lambda: clinic.room.statistics().sockets <= 3, 10.0)
        await wait_until(lambda: clinic.host.statistics().legs <= 3, 10.0)
        print(f"grown {memory_bytes(pid) - before[0]:,} and {memory_bytes('self') - before[1]:,} bytes")
        assert memory_bytes(pid) - before[0] < MEDIA_GROWTH_BYTES_MAX
        assert memory_bytes("self") - before[1] < BOX_GROWTH_BYTES_MAX


def ice_send(ice: Any, datagram: bytes) -> None:
    """Send from a caller's own socket, whatever it is."""
    pair = ice._nominated[1]
    pair.protocol.transport.sendto(datagram, pair.remote_addr)


async def test_who_joins_and_leaves_over_and_over_leaves_nothing_and_waits_in_the_end() -> None:
    async with opened() as clinic:
        offer = await empty_offer()
        answers = refusals = 0
        for _ in range(OFFERS_AT_ONCE + 5):
            ws = await clinic.dial(clinic.links.link("guest"))
            await ws.send_json({"type": "offer", "sdp": offer})
            async with asyncio.timeout(15):
                while (said := await ws.receive_json())["type"] not in {"answer", "refused"}:
                    pass
            answers += said["type"] == "answer"
            refusals += said["type"] == "refused" and not said["final"]
            await ws.close()
        assert answers >= OFFERS_AT_ONCE
        assert refusals >= 1
        await wait_until(lambda: not clinic.host.statistics().legs and not clinic.room.statistics().consultations, 10.0)


async def test_what_a_stranger_sends_to_a_port_that_nobody_has_come_to_yet_is_not_kept() -> None:
    async with exchanging() as exchange:
        caller = exchange._caller(RTCPeerConnection(), await empty_offer(), DirectPath(), near=True)
        assert await caller.peer.answer(SPARSE, 300_000)
        opened_at = caller.peer._opened
        assert opened_at is not None
        assert exchange.host.pid is not None
        before = memory_bytes(exchange.host.pid)
        datagram = struct.pack("!HHL", 1, 0, 0x2112A442) + b"\xff" * 1_392  # nearly STUN
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for at in range(20_000):
                stranger.sendto(datagram, opened_at.addresses[0])
                if at % 20 == 0:
                    await asyncio.sleep(0.001)
        heard = exchange.host.statistics()
        assert heard.deaths == 0
        grown = memory_bytes(exchange.host.pid) - before
        print(f"grown {grown:,} bytes")
        assert grown < 6_000_000


async def test_a_browser_that_is_heard_from_everywhere_is_looked_for_in_some_places_alone() -> None:
    async with exchanging() as exchange:
        nurse, _ = await exchange.call()
        third = await exchange.dial()
        transport: Any = third.connection.getSenders()[0].transport
        ice = transport.transport._connection
        where = ice._nominated[1].remote_addr
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3 * ADDRESSES_MAX)]
        for each in sockets:
            each.setblocking(False)
            check = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
            check.attributes["USERNAME"] = f"{ice.remote_username}:{ice.local_username}"
            check.attributes["PRIORITY"] = 1
            check.attributes["ICE-CONTROLLING"] = 1
            check.add_message_integrity(ice.remote_password.encode())
            each.sendto(bytes(check), where)
            await asyncio.sleep(0.015)
        await nurse.both_grow()
        answered = sum(bool(received(each)) for each in sockets)
        for each in sockets:
            each.close()
        assert 0 < answered <= ADDRESSES_MAX


def received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1_500)
    except OSError:
        return b""
