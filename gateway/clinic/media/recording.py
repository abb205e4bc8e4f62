"""What some connections send is written into a sealed file, and no packet ever waits for it.

The media loop only gathers bytes; a thread seals and writes them each second, so that a process that is killed loses
that second and no more. What the thread has not written is bounded: a disk that is too slow, full or broken ends the
recording with a reason, and the call goes on. The file is the box's: it stands there with its head, and ends at one.
"""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from gateway.clinic.media.control import Event, Record, RecordingOver, RecordLeg, StopRecording
from gateway.clinic.media.rtp_dump import CONNECTIONS_MAX, Streams, description, packet
from gateway.durable.sealed_pieces import Sealing

PIECE_BYTES = 65_536
PIECE_S = 1.0
UNWRITTEN_BYTES_MAX = 4_194_304  # some seconds of four people: a card that stalls for longer is too slow
RECORDINGS_MAX = 16
JOIN_S = 1.0

Take = Callable[[bytes, float], None]


class Tapped(Protocol):
    """A connection whose packets can be noted."""

    def record(self, note: Take | None) -> None:
        """From now on each packet that comes is noted first; with None, none is."""
        ...


class Recording:
    """One recording, from its command to its thread's end."""

    def __init__(self, command: Record, began_s: float) -> None:
        self.number = command.recording
        self._command = command
        self._began_s = began_s
        self._handed_s = began_s
        self._gathered = bytearray()
        self._given_bytes = self._written_bytes = 0  # the loop's, and the thread's
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._legs: list[Tapped] = []
        self._is_on = True
        self._reason = ""
        self._thread = threading.Thread(target=self._write, name="recording", daemon=True)

    def start(self) -> None:
        """Let the thread write what comes."""
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether all is written that will be."""
        return not self._thread.is_alive()

    @property
    def reason(self) -> str:
        """Why it ended by itself; nothing when it was told to."""
        return self._reason

    def follow(self, leg: Tapped, streams: Streams, now_s: float) -> None:
        """From now on what comes by this connection is in it."""
        connection = len(self._legs)
        if not self._is_on or connection >= CONNECTIONS_MAX:
            return
        self._legs.append(leg)
        began_s, gathered = self._began_s, self._gathered
        gathered += description(connection, now_s - began_s, streams)

        def note(content: bytes, at_s: float) -> None:
            gathered.extend(packet(connection, at_s - began_s, content))
            if len(gathered) >= PIECE_BYTES:
                self._hand_over(at_s)

        leg.record(note)

    def beat(self, now_s: float) -> None:
        """Hand over what is due; notice that the thread gave up."""
        if self._is_on and self.is_over:
            self.end()
        elif now_s - self._handed_s >= PIECE_S:
            self._hand_over(now_s)

    def end(self, reason: str = "") -> None:
        """Note nothing any more; what was gathered is written, and then the thread ends."""
        if not self._is_on:
            return
        self._is_on = False
        self._reason = self._reason or reason
        for leg in self._legs:
            leg.record(None)
        if self._gathered:
            self._give()
        self._queue.put(None)

    def join(self) -> None:
        """Wait for the thread, but not for long."""
        self._thread.join(JOIN_S)

    def _hand_over(self, now_s: float) -> None:
        self._handed_s = now_s
        if not self._gathered:
            return
        if self._given_bytes - self._written_bytes > UNWRITTEN_BYTES_MAX:
            self._gathered.clear()
            self.end("slow")
            return
        self._give()

    def _give(self) -> None:
        self._given_bytes += len(self._gathered)
        self._queue.put(bytes(self._gathered))
        self._gathered.clear()

    def _write(self) -> None:
        """Seal and write pieces until there are no more; runs in the thread."""
        path = Path(self._command.path)
        sealing = Sealing(bytes.fromhex(self._command.key))
        try:
            with path.open("r+b", buffering=0) as file:
                file.seek(0, os.SEEK_END)
                while (piece := self._queue.get()) is not None:
                    if not self._has_room(path.parent, len(piece)):
                        self._reason = "full"
                        break
                    _put(file.fileno(), sealing.sealed(piece))
                    self._written_bytes += len(piece)
                _put(file.fileno(), sealing.sealed(b"", is_last=True))
        except OSError:
            self._reason = "disk"

    def _has_room(self, folder: Path, size_bytes: int) -> bool:
        disk = os.statvfs(folder)
        used_bytes = sum(map(_size_bytes, os.scandir(folder)))
        is_free = disk.f_bavail * disk.f_frsize - size_bytes >= self._command.free_bytes_min
        return is_free and used_bytes + size_bytes <= self._command.bytes_max


class Recorders:
    """All recordings of the process."""

    def __init__(self, now_s: Callable[[], float], say: Callable[[Event], None]) -> None:
        self._now_s = now_s
        self._say = say
        self._recordings: dict[int, Recording] = {}

    def begin(self, command: Record) -> None:
        """Write a recording from now on."""
        if command.recording in self._recordings or len(self._recordings) >= RECORDINGS_MAX:
            self._say(RecordingOver(command.recording, "fault"))
            return
        made = self._recordings[command.recording] = Recording(command, self._now_s())
        made.start()

    def follow(self, command: RecordLeg, leg: Tapped) -> None:
        """Have a connection in a recording, where there is one."""
        if made := self._recordings.get(command.recording):
            made.follow(leg, command.streams, self._now_s())

    def end(self, command: StopRecording) -> None:
        """End a recording; the box hears of it when all is written."""
        if made := self._recordings.get(command.recording):
            made.end()

    def beat(self) -> None:
        """Hand over what is due, and say which are over."""
        now_s = self._now_s()
        for made in tuple(self._recordings.values()):
            made.beat(now_s)
            if made.is_over:
                del self._recordings[made.number]
                self._say(RecordingOver(made.number, made.reason))

    def stop(self) -> None:
        """End all of them, and see what was gathered written."""
        found: Sequence[Recording] = tuple(self._recordings.values())
        for made in found:
            made.end()
        for made in found:
            made.join()


def _size_bytes(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:  # it was erased meanwhile
        return 0


def _put(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]
    os.fdatasync(handle)
