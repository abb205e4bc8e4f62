"""One running worker as the box has it: it is started with what it inherits, told copies, listened to, and ended.

It inherits descriptors alone: the listening sockets, the shared page, and its ends of two sockets. Nothing of the
box's environment or settings goes with it but where Python's modules are.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from gateway.web.early.copies import READ_BYTES, REPORT_BYTES_MAX, Frame, written

STOP_S = 0.5  # a slow browser has so long for the rest of an answer; the listeners' own time to stop follows
BACKLOG_BYTES_MAX = 1_048_576  # of copies on their way to one worker; what comes beyond is not sent
MESSAGES_AT_ONCE = 64  # read of one worker, then others have their turn
_MESSAGE_BYTES_MAX = max(REPORT_BYTES_MAX, READ_BYTES + 2)
_PACKAGES = Path(__file__).resolve().parents[2]

Heed = Callable[["WorkerProcess", bytes, Sequence[socket.socket]], None]


class WorkerProcess:
    """A worker; `place` is its own in the shared page."""

    def __init__(self, place: int, doors: int, heed: Heed) -> None:
        self.place = place
        self.handed = [0] * doors  # connections that it handed over, by door
        self.told: set[tuple[object, ...]] = set()  # which copies, since the last tick
        self.silent_ticks = 0  # since it last said anything
        self._heed = heed
        self._ends = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._stream: asyncio.WriteTransport | None = None
        self._box_end: socket.socket | None = None

    async def start(self, told: dict[str, Any], inherited: Sequence[int]) -> Self:
        """Start the process, and tell it what it is to know.

        Raises: OSError.
        """
        loop = asyncio.get_running_loop()
        stream_end, its_stream = socket.socketpair()
        self._box_end, its_box = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its_stream, its_box:
            self._stream, _ = await loop.create_unix_connection(asyncio.Protocol, sock=stream_end)
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-S", "-P", "-m", "gateway.web.early.worker", str(its_stream.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                env={"PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(_PACKAGES)])},
                pass_fds=(its_stream.fileno(), its_box.fileno(), *inherited),
            )
            first = {**told, "box": its_box.fileno(), "process": self.place, "stop_s": STOP_S}
        self._write(written(Frame(first)))
        self._box_end.setblocking(False)
        loop.add_reader(self._box_end.fileno(), self._listen, self._box_end)
        return self

    def tell(self, data: bytes) -> None:
        """Send a copy; a worker that does not keep up misses it."""
        if self._stream is not None and self._stream.get_write_buffer_size() + len(data) <= BACKLOG_BYTES_MAX:
            self._write(data)

    def _write(self, data: bytes) -> None:
        """Send, unless it was told to go meanwhile: uvloop raises where asyncio does not."""
        if self._stream is not None and not self._stream.is_closing():
            self._stream.write(data)

    @property
    def is_going(self) -> bool:
        """Whether it has gone, or is to go."""
        return self._ends.is_set()

    async def wait_end(self) -> None:
        """Return once it has gone, or is to go."""
        await self._ends.wait()

    def leave(self) -> None:
        """Let it accept nothing more, finish what it writes, and go."""
        self._ends.set()
        if self._stream is not None:
            self._stream.abort()

    def kill(self) -> None:
        """End it at once."""
        self._ends.set()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def end(self) -> None:
        """See it go, by force if need be, and hear the last that it said."""
        self.leave()
        if self._process is not None:
            try:
                async with asyncio.timeout(2 * STOP_S):
                    await self._process.wait()
            except TimeoutError:
                self.kill()
                await self._process.wait()
        if self._box_end is not None and self._box_end.fileno() >= 0:
            while self._listen(self._box_end):
                pass  # its last words are all there
            self._close(self._box_end)

    def _listen(self, box_end: socket.socket) -> bool:
        """Take what it hands over and reports; say whether there may be more. Behind the last of it, close."""
        for _ in range(MESSAGES_AT_ONCE):
            try:
                data, fds, _, _ = socket.recv_fds(box_end, _MESSAGE_BYTES_MAX, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return False
            except OSError:
                data, fds = b"", []
            if not data:
                self._close(box_end)
                return False
            self.silent_ticks = 0
            self._heed(self, data, list(_sockets(fds)))
        return True

    def _close(self, box_end: socket.socket) -> None:
        if box_end.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(box_end.fileno())
            box_end.close()
        self._ends.set()


def _sockets(fds: Sequence[int]) -> Iterator[socket.socket]:
    """Yield those that are sockets, and close the others."""
    for fd in fds:
        try:
            yield socket.socket(fileno=fd)
        except OSError:
            os.close(fd)
