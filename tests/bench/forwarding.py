"""`python -m tests.bench.forwarding`: what the media process spends on a call, and by how much it delays it.

Each call is one sender and one receiver: a picture of 700 kb/s (20 frames a second, 1,000 B a packet) and a voice each
20 ms, over UDP between two programs on this machine; every packet carries the time it left. CPU is what the scheduler
counted for the process, divided by the calls; the delay contains both ends' own sending and receiving in Python.
"""

import asyncio
import os
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from gateway.clinic.allocation import FULL
from gateway.clinic.media.control import Slot
from gateway.clinic.media.forwarding import Wire, gather_ipv4_only
from gateway.clinic.media.host import MediaHost, MediaLimits
from gateway.clinic.media.ports import PortRange, bind_within
from gateway.clinic.media.sdp import read_offer
from gateway.clinic.peer import DirectPath, Peer, Way
from gateway.clock import SystemClock
from gateway.event_loop import new_event_loop
from tests.waiting import wait_until

FRAMES_PER_S = 20
PICTURE_BYTES = 980
PICTURE_PACKETS = 4.375  # a frame: 700 kb/s
VOICE_BYTES = 60
VOICE_S = 0.02
_HEADER = struct.Struct("!BBHLL")
_LEFT = struct.Struct("!d")


@dataclass
class End:
    """One end of a call."""

    connection: RTCPeerConnection
    peer: Peer
    wire: Wire
    delays_s: list[float] = field(default_factory=list)

    def take(self, packet: bytes, now_s: float) -> None:
        """Note how long a packet was on its way."""
        self.delays_s.append(now_s - _LEFT.unpack(packet[-8:])[0])

    def send(self, kind: str, payload_type: int, sequence: int, timestamp: int, payload: bytes) -> None:
        """Send a packet with the time at its end."""
        ssrc = 7 if kind == "audio" else 8
        header = _HEADER.pack(0x80, payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
        self.wire.send_rtp(header + payload + _LEFT.pack(time.monotonic()), kind)


async def connected(host: MediaHost) -> End:
    """Return an end whose media can pass."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    transceivers = [connection.addTransceiver(kind, "sendrecv") for kind in ("audio", "video")]
    for each in transceivers:
        each.sender.send = each.receiver.receive = _nothing  # type: ignore[method-assign]
    gather_ipv4_only(transceivers[0])
    await connection.setLocalDescription(await connection.createOffer())
    sdp = connection.localDescription.sdp
    peer = Peer(
        read_offer(sdp),
        sdp=sdp,
        host=host,
        way=Way(DirectPath(), near=False),
        clock=SystemClock(),
        changed=lambda: None,
    )
    await connection.setRemoteDescription(RTCSessionDescription(await peer.answer(FULL, 300_000), "answer"))
    ends: list[End] = []
    wire = Wire(
        transceivers[0],
        now_s=time.monotonic,
        failed=partial(print, file=sys.stderr),
        take_rtp=lambda packet, now_s: ends[0].take(packet, now_s),  # noqa: PLW0108 - it is not there yet
        take_feedback=lambda feedback, now_s: None,
    )
    ends.append(End(connection, peer, wire))
    wire.take_over()
    await wait_until(lambda: peer.is_connected and wire.is_open)
    return ends[0]


async def _nothing(parameters: object) -> None:
    """Stand in for aiortc's own media."""


async def talk(end: End, seconds: float, after_s: float) -> int:
    """Send a voice and a picture; return how many packets."""
    opus = end.peer.offer.of("audio").coding("opus").payload_type
    vp8 = end.peer.offer.of("video").coding("vp8").payload_type
    await asyncio.sleep(after_s)
    voices = frames = pictures = 0
    began_s = time.monotonic()
    while (passed_s := time.monotonic() - began_s) < seconds:
        end.send("audio", opus, voices, voices * 960, bytes(VOICE_BYTES))
        voices += 1
        if passed_s * FRAMES_PER_S >= frames:
            frames += 1
            first = b"\x10\x00" if frames == 1 else b"\x10\x01"  # a keyframe, then what follows from it
            while pictures < frames * PICTURE_PACKETS:
                end.send("video", vp8, pictures, frames * 4_500, first + os.urandom(PICTURE_BYTES))
                first = b"\x00\x01"
                pictures += 1
        await asyncio.sleep(max(0.0, began_s + voices * VOICE_S - time.monotonic()))
    return voices + pictures


def spent_s(process: int) -> float:
    """Return the CPU time of a process."""
    return sum(int(each.read_text().split()[0]) for each in Path(f"/proc/{process}/task").glob("*/schedstat")) / 1e9


def resident_bytes(process: int) -> int:
    """Return what a process holds in memory."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def measure(calls: int, seconds: float) -> str:
    """Return a line with what `calls` calls at once cost."""
    host = MediaHost(MediaLimits(), now_s=time.monotonic)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(host.run())
        pairs = [(await connected(host), await connected(host)) for _ in range(calls)]
        for sender, receiver in pairs:
            sender.peer.cap(700_000, 1_000_000)
            receiver.peer.feed([Slot(sender.peer.number, sender.peer.number)])
        await asyncio.sleep(0.5)
        process = host.pid or 0
        before_s = spent_s(process)
        async with asyncio.TaskGroup() as talking:
            sent = [
                talking.create_task(talk(sender, seconds, index * 0.0037)) for index, (sender, _) in enumerate(pairs)
            ]
        await asyncio.sleep(0.1)
        cost_s = spent_s(process) - before_s
        line = _line(calls, seconds, cost_s, sum(each.result() for each in sent), pairs, resident_bytes(process))
        for end in (end for pair in pairs for end in pair):
            await end.peer.close()
            await end.connection.close()
        running.cancel()
    return line


def _line(calls: int, seconds: float, cost_s: float, sent: int, pairs: Sequence[tuple[End, End]], resident: int) -> str:
    delays = sorted(delay for _, receiver in pairs for delay in receiver.delays_s) or [0.0]
    p50, p95, p99 = (delays[int(len(delays) * part)] * 1_000 for part in (0.5, 0.95, 0.99))
    return (
        f"{calls:3d} calls: {cost_s / seconds / calls:6.2%} of a core each, {cost_s / sent * 1e6:4.0f} µs a packet,"
        f" {len(delays)} of {sent} came, delay {p50:.2f}/{p95:.2f}/{p99:.2f} ms p50/p95/p99, {resident / 1e6:.0f} MB"
    )


async def main(arguments: Sequence[str]) -> None:
    """Print a line for each number of calls named, or for 1 and 10."""
    bind_within(asyncio.get_running_loop(), PortRange(), marked=False)
    for calls in [int(each) for each in arguments] or [1, 10]:
        print(await measure(calls, 10.0))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main(sys.argv[1:]))
