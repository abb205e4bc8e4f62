"""aiortc programs that call through the media process, as browsers do: one voice and one picture each."""

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack
from av import VideoFrame

from gateway.backhaul.sensing.samples import DelaySample, Way
from gateway.clinic.allocation import SPARSE
from gateway.clinic.media.control import Event, Open, Opened, Refused, Slot
from gateway.clinic.media.host import MediaHost, MediaLimits
from gateway.clinic.media.lines import EVENTS, Lines, read, write
from gateway.clinic.media.process import MediaProcess
from gateway.clinic.media.sdp import read_offer
from gateway.clinic.peer import DirectPath, MediaPath, Peer
from gateway.clinic.peer import Way as PeerWay
from gateway.clock import SystemClock
from tests.waiting import wait_until


class SmallPicture(MediaStreamTrack):
    """Twenty small grey pictures a second."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    async def recv(self) -> VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(0.05)
        frame = VideoFrame(160, 120, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([self._count % 256]) * plane.buffer_size)
        frame.pts, frame.time_base = self._count * 4_500, Fraction(1, 90_000)
        self._count += 1
        return frame


@dataclass
class Listener:
    """What far callers tell of the link (`Ear`)."""

    delays: list[DelaySample] = field(default_factory=list)
    losses: list[tuple[Way, int, int]] = field(default_factory=list)

    def hear(self, samples: Any) -> None:
        self.delays += samples

    def hear_loss(self, way: Way, expected: int, lost: int) -> None:
        self.losses.append((way, expected, lost))


@dataclass(kw_only=True)
class Viewer:
    """Who counts what is decoded of a connection's tracks."""

    pictures: int = 0
    sounds: int = 0

    async def watch(self, track: MediaStreamTrack) -> None:
        """Count what is decoded of a track until it ends."""
        with suppress(MediaStreamError):
            while True:
                await track.recv()
                if track.kind == "video":
                    self.pictures += 1
                else:
                    self.sounds += 1

    async def both_grow(self) -> None:
        """Return once more pictures and more sound have come."""
        pictures, sounds = self.pictures, self.sounds
        await wait_until(lambda: self.pictures > pictures + 5 and self.sounds > sounds + 10, 20.0)


@dataclass
class Caller(Viewer):
    """A program at one end of a call, and the box's side of it."""

    connection: RTCPeerConnection
    peer: Peer
    changes: list[str] = field(default_factory=list)


async def offering() -> RTCPeerConnection:
    """A connection that offers one voice and one picture."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for track in (AudioStreamTrack(), SmallPicture()):
        connection.addTrack(track)
    await connection.setLocalDescription(await connection.createOffer())
    return connection


@dataclass
class Exchange:
    """A media process and who calls through it."""

    host: MediaHost
    tasks: asyncio.TaskGroup
    ear: Listener
    callers: list[Caller] = field(default_factory=list)
    begun: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self, journey: Coroutine[Any, Any, None]) -> None:
        """Run something until the exchange closes."""
        self.begun.append(self.tasks.create_task(journey))

    async def dial(self, *, path: MediaPath | None = None, near: bool = True) -> Caller:
        """Connect a caller, which sends at once."""
        connection = await offering()
        caller = self._caller(connection, connection.localDescription.sdp, path or DirectPath(), near=near)
        connection.on("track", lambda track: self.begin(caller.watch(track)))
        answer = await caller.peer.answer(SPARSE, 300_000)
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await wait_until(lambda: caller.peer.is_connected, 10.0)
        return caller

    async def call(self) -> tuple[Caller, Caller]:
        """Two callers that see and hear each other."""
        nurse, doctor = await self.dial(), await self.dial(near=False)
        nurse.peer.feed([Slot(doctor.peer.number, doctor.peer.number)])
        doctor.peer.feed([Slot(nurse.peer.number, nurse.peer.number)])
        await nurse.both_grow()
        await doctor.both_grow()
        return nurse, doctor

    def _caller(self, connection: RTCPeerConnection, sdp: str, path: MediaPath, *, near: bool) -> Caller:
        found: list[Caller] = []

        def changed() -> None:
            found[0].changes.append("over" if found[0].peer.is_over else "changed")

        way = PeerWay(path, near=near)
        peer = Peer(read_offer(sdp), sdp=sdp, host=self.host, way=way, clock=SystemClock(), changed=changed)
        found.append(Caller(connection, peer))
        self.callers.append(found[0])
        return found[0]


@asynccontextmanager
async def exchanging(limits: MediaLimits | None = None) -> AsyncIterator[Exchange]:
    """A media process of its own."""
    ear = Listener()
    host = MediaHost(limits or MediaLimits(), now_s=SystemClock().now_s, ear=ear)
    async with asyncio.TaskGroup() as tasks:
        found = Exchange(host, tasks, ear)
        found.begin(host.run())
        try:
            yield found
        finally:
            for caller in found.callers:
                await caller.peer.close()
                await caller.connection.close()
            for task in found.begun:
                task.cancel()


@dataclass
class Box:
    """The other end of a process's control socket."""

    writer: asyncio.StreamWriter
    events: list[Event] = field(default_factory=list)

    async def listen(self, reader: asyncio.StreamReader) -> None:
        lines = Lines()
        while data := await reader.read(65_536):
            for line in lines.feed(data):
                self.events.append(read(line, EVENTS))

    async def answered(self, command: Open) -> Opened | Refused:
        """Return what becomes of a command."""
        self.writer.write(write(command))

        def found() -> list[Opened | Refused]:
            return [each for each in self.events if isinstance(each, Opened | Refused) and each.leg == command.leg]

        await wait_until(lambda: bool(found()), 20.0)
        return found()[-1]


@asynccontextmanager
async def processing() -> AsyncIterator[Box]:
    """The media process itself, in this one."""
    loop = asyncio.get_running_loop()
    ours, its = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    its_reader, its_writer = await asyncio.open_unix_connection(sock=its)
    box = Box(writer)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(box.listen(reader))
            running = tasks.create_task(MediaProcess(clock=SystemClock(), reader=its_reader, writer=its_writer).run())
            yield box
            writer.write_eof()
            await running
            its_writer.close()
    finally:
        writer.close()
        loop.set_task_factory(None)
        loop.set_exception_handler(None)


async def empty_offer() -> str:
    """An offer of a program that sends nothing yet."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind in ("audio", "video"):
        connection.addTransceiver(kind, "sendrecv")
    await connection.setLocalDescription(await connection.createOffer())
    sdp = connection.localDescription.sdp
    await connection.close()
    return sdp
