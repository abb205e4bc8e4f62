"""Ends of calls without browsers, to load the box and to time each packet: voice and VP8-like pictures at 700 kb/s.

Each end joins as a page does, by its socket and an offer, and then sends 50 voice packets and 140 of pictures a second,
whatever it is told; each carries the moment it was sent. aiortc does ICE and DTLS alone. A process of its own, with
real-time priority where that is allowed: its lateness would be taken for the box's.

    python -m tests.bench.call.callers --links links.json --seconds 20 --out FILE
"""

import argparse
import asyncio
import gc
import heapq
import json
import os
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

VOICE_EVERY_S, VOICE_BYTES = 0.020, 60
FRAME_EVERY_S, PIECES, PIECE_BYTES = 0.050, 7, 625
KEY_EVERY = 200  # frames
VIDEO_CLOCK, VOICE_CLOCK = 90_000, 48_000
JOIN_S = 40.0
SETTLE_S = 4.0
_STAMP = struct.Struct("!Q")
_HEAD = struct.Struct("!BBHII")


@dataclass
class End:
    """One end of a call."""

    url: str
    peer: RTCPeerConnection
    types: dict[str, int] = field(default_factory=dict)
    ssrcs: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {"audio": 0, "video": 0})
    frames: int = 0
    sent: int = 0
    taken: list[tuple[int, int]] = field(default_factory=list)  # when, and after how many ns
    send: Callable[[bytes], None] | None = None

    def voice(self) -> None:
        """Send a packet of voice."""
        number = self.counts["audio"]
        self._packet("audio", number * int(VOICE_CLOCK * VOICE_EVERY_S), True, bytes(VOICE_BYTES - 8))

    def picture(self) -> None:
        """Send a frame, its packets back to back."""
        key = self.frames % KEY_EVERY == 0
        stamp = int(self.frames * VIDEO_CLOCK * FRAME_EVERY_S)
        for piece in range(PIECES):
            # RFC 7741 §4.2: X, S on the first, then I and a picture id of 15 bits
            descriptor = bytes((0x90 if piece == 0 else 0x80, 0x80)) + struct.pack("!H", 0x8000 | self.frames & 0x7FFF)
            tag = (b"\x10\x02\x00\x9d\x01\x2a\x80\x02\xe0\x01" if key else b"\x11\x02\x00") if piece == 0 else b""
            body = descriptor + tag
            self._packet("video", stamp, piece == PIECES - 1, body.ljust(PIECE_BYTES - 8, b"\x55"))
        self.frames += 1

    def _packet(self, kind: str, stamp: int, marker: bool, body: bytes) -> None:
        assert self.send is not None
        number = self.counts[kind]
        self.counts[kind] = number + 1
        self.sent += 1
        head = _HEAD.pack(0x80, marker << 7 | self.types[kind], number & 0xFFFF, stamp & 0xFFFFFFFF, self.ssrcs[kind])
        with suppress(OSError):
            self.send(head + body + _STAMP.pack(time.monotonic_ns()))


async def joined(session: aiohttp.ClientSession, url: str, tasks: asyncio.TaskGroup) -> End:
    """Return an end whose media flows; its socket is answered for as long as the group lasts."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    end = End(url, peer)
    for kind in ("audio", "video"):
        transceiver = peer.addTransceiver(kind, direction="sendrecv")
        for part, name in ((transceiver.sender, "send"), (transceiver.receiver, "receive")):
            setattr(part, name, _nothing)
        end.ssrcs[kind] = transceiver.sender._ssrc
    await peer.setLocalDescription(await peer.createOffer())
    host, _, token = url.rpartition("/consulta/")
    socket = await session.ws_connect(f"{host.replace('http', 'ws', 1)}/consulta/{token}/ws", headers={"Origin": host})
    await socket.send_json({"type": "offer", "sdp": peer.localDescription.sdp})
    answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    tasks.create_task(_converse(socket, answered))
    await peer.setRemoteDescription(RTCSessionDescription(await asyncio.wait_for(answered, JOIN_S), "answer"))
    async with asyncio.timeout(JOIN_S):
        while peer.connectionState != "connected":
            if peer.connectionState in {"failed", "closed"}:
                raise RuntimeError(f"an end did not connect: {peer.connectionState}")
            await asyncio.sleep(0.02)
    _take_over(end)
    return end


async def _nothing(*_: object) -> None:
    """The library's own media is not used."""


async def _converse(socket: aiohttp.ClientWebSocketResponse, answered: asyncio.Future[str]) -> None:
    """Answer the box's pings; hand on its first answer."""
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            break
        told = json.loads(message.data)
        if told["type"] == "ping":
            await socket.send_json({"type": "pong"})
        elif told["type"] == "answer" and not answered.done():
            answered.set_result(told["sdp"])
        elif told["type"] == "refused" and not answered.done():
            answered.set_exception(RuntimeError(told["message"]))


def _take_over(end: End) -> None:
    """Send and take RTP beside the library, with its keys and its socket."""
    for transceiver in end.peer.getTransceivers():
        wanted = {"audio": "audio/opus", "video": "video/VP8"}[transceiver.kind]
        codec = next(each for each in transceiver._codecs if each.mimeType == wanted)
        end.types[transceiver.kind] = codec.payloadType or 0
    dtls: Any = end.peer.getTransceivers()[0].sender.transport
    pair = dtls.transport._connection._nominated[1]
    protocol, address = pair.protocol, pair.remote_addr
    protect, unprotect = dtls._tx_srtp.protect, dtls._rx_srtp.unprotect
    before = protocol.datagram_received
    end.send = lambda packet: protocol.transport.sendto(protect(packet), address)

    def take(data: bytes, sender: tuple[str, int]) -> None:
        if not (127 < data[0] < 192) or 192 <= data[1] <= 223:  # RFC 7983 §7; RFC 5761 §4: RTCP
            before(data, sender)
            return
        now = time.monotonic_ns()
        with suppress(Exception):
            (sent,) = _STAMP.unpack(unprotect(data)[-8:])
            if 0 <= now - sent < 10_000_000_000:
                end.taken.append((now, now - sent))

    protocol.datagram_received = take


async def talk(ends: list[End], until_s: float) -> None:
    """Let every end send what is due until a moment, each in a phase of its own."""
    start_s = time.monotonic()
    due: list[tuple[float, int, Callable[[], None], float]] = []
    for number, end in enumerate(ends):
        phase_s = FRAME_EVERY_S * number / len(ends)
        heapq.heappush(due, (start_s + phase_s, 2 * number, end.voice, VOICE_EVERY_S))
        heapq.heappush(due, (start_s + phase_s, 2 * number + 1, end.picture, FRAME_EVERY_S))
    while due[0][0] < until_s:
        at_s, number, act, every_s = due[0]
        wait_s = at_s - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
            continue
        act()
        heapq.heapreplace(due, (at_s + every_s, number, act, every_s))
        if number % 8 == 0:
            await asyncio.sleep(0)


async def main() -> None:
    """Join, settle, and measure; print when the window begins and ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--links", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        urls = json.loads(options.links.read_text(encoding="utf-8"))
        ends = [await joined(session, url, tasks) for url in urls]
        gc.collect()
        gc.freeze()
        from_s = time.monotonic() + SETTLE_S
        print("ready", flush=True)
        await talk(ends, from_s)
        before = [end.sent for end in ends]
        print("begun", flush=True)
        used_s = time.process_time()
        await talk(ends, from_s + options.seconds)
        print("over", flush=True)
        used_s = time.process_time() - used_s
        sent = sum(end.sent - had for end, had in zip(ends, before, strict=True))
        await asyncio.sleep(0.5)
        delays = [took for end in ends for at, took in end.taken if at / 1e9 >= from_s]
        told = {"sent": sent, "taken_ns": delays, "cpu_ratio": used_s / options.seconds}
        options.out.write_text(json.dumps(told), encoding="utf-8")
        os._exit(0)  # nobody waits for a goodbye


if __name__ == "__main__":
    uvloop.run(main())
