"""A worker: a process that accepts the village's connections and answers what it has a ready answer for.

It knows nothing but those answers: no store, no settings, no rule. Whatever else comes, it hands the connection to the
box with the bytes that it read, and the box goes on as if it had accepted it. It reads a request only as
`EarlyAnswers.answer` does, and an answer is given only while the box has not said that it changed (`generations`).

It lives as long as the stream from the box is open: at its end it accepts nothing more, writes what it has begun, and
leaves. One thread and one epoll: an event loop and its TLS would double what it needs of memory (2026-11).
"""

import errno
import select
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from gateway.clock import SystemClock
from gateway.open_files import may_open_all
from gateway.web.early.answers import Early
from gateway.web.early.copies import ALIVE, CONNECTION, READ_BYTES, READY, Frame, Frames, Garbled, learned_from
from gateway.web.early.shared_page import SharedPage
from gateway.web.early.worker_door import WorkerDoor

TICK_S = 1.0  # between two reports, and two looks at who idles
EVENTS_MAX = 256
STREAM_BYTES = 262_144  # read of the box's stream at once
AHEAD_MAX = 4  # connections that a worker may hold more than another before it lets that one accept first …
AHEAD_S = 0.002  # … for so long: the other may be busy, stopped or gone


class Connection:
    """A browser's connection: it idles, or the rest of an answer is on its way."""

    __slots__ = ("answer", "door", "last_s", "socket", "unsent")

    def __init__(self, accepted: socket.socket, answer: Early, door: WorkerDoor, now_s: float) -> None:
        self.socket = accepted
        self.answer = answer
        self.door = door
        self.last_s = now_s  # when something was last sent
        self.unsent: list[memoryview] = []  # of what all share: a slow browser costs no copy


class Worker:
    """All of a worker; `told` is what the box said first."""

    def __init__(self, told: dict[str, Any], stream: socket.socket, frames: Frames) -> None:
        self._clock = SystemClock()
        self._now_s = self._clock.now_s()
        self._idle_s: float = told["idle_s"]
        self._stop_s: float = told["stop_s"]
        self._process: int = told["process"]
        page = self._page = SharedPage(told["page"], len(told["doors"]), told["processes"], writes=False)
        self._doors = [
            WorkerDoor(number, each, page, self._process, self._clock) for number, each in enumerate(told["doors"])
        ]
        self._stream, self._frames = stream, frames
        self._box = socket.socket(fileno=told["box"])
        # For the box. It holds at most each connection once, and reports are made only when it is empty.
        self._queue: deque[tuple[bytes, socket.socket | None]] = deque([(READY, None)])
        self._connections: dict[int, Connection] = {}
        self._epoll = select.epoll()
        self._others: dict[int, Callable[[int], None]] = {}
        self._accepting: set[WorkerDoor] = set()
        self._waits_until_s: float | None = None  # with accepting, for another worker
        self._has_waited = False
        self._leaves_s: float | None = None  # at the latest, once it has been told to

    def run(self) -> None:
        """Work until the box ends it."""
        for each, events, react in ((self._stream, select.EPOLLIN, self._copies), (self._box, 0, self._box_ready)):
            each.setblocking(False)
            self._others[each.fileno()] = react
            self._epoll.register(each.fileno(), events)
        self._accept_again()
        self._flush()
        tick_s = self._now_s + TICK_S
        while self._leaves_s is None or ((self._connections or self._queue) and self._now_s < self._leaves_s):
            until_s = tick_s if self._leaves_s is None else min(tick_s, self._leaves_s)
            wait_s = max(0.0, until_s - self._now_s) if self._waits_until_s is None else AHEAD_S
            found = self._epoll.poll(wait_s, EVENTS_MAX)
            self._now_s = self._clock.now_s()
            for fd, events in found:
                self._turn(fd, events)
            if self._waits_until_s is not None and self._now_s >= self._waits_until_s:
                self._waits_until_s, self._has_waited = None, True
                self._accept_again()
            if self._now_s >= tick_s:
                self._tick()
                tick_s = self._now_s + TICK_S

    def _turn(self, fd: int, events: int) -> None:
        connection = self._connections.get(fd)
        if connection is None:
            react = self._others.get(fd)
            if react is not None:
                react(events)
        elif not connection.unsent:
            self._read(connection)
        else:
            self._send(connection, connection.unsent)

    def _accept(self, door: WorkerDoor, events: int) -> None:
        """Accept one: the next may be for another worker, and so may this, unless that was waited for."""
        del events
        if not self._has_waited and len(self._connections) > self._page.least_held() + AHEAD_MAX:
            self._waits_until_s = self._now_s + AHEAD_S
            self._accept_no_more(*self._accepting)
            return
        self._has_waited = False
        try:
            found = door.accept()
        except BlockingIOError:
            return
        except OSError as exc:
            if exc.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                self._accept_no_more(door)  # until the next tick, or this would be asked again at once
            return
        if found is not None:
            accepted, answer = found
            self._connections[accepted.fileno()] = Connection(accepted, answer, door, self._now_s)
            self._epoll.register(accepted.fileno(), select.EPOLLIN)
            self._page.hold(self._process, len(self._connections))

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        try:
            answer = connection.answer(data)
        except Exception:  # noqa: BLE001 - a worker that ended here would end for every browser that asks this again
            answer = None
        if answer is None:
            self._hand_over(connection, data)
        else:
            self._send(connection, answer)

    def _send(self, connection: Connection, pieces: Sequence[bytes | memoryview]) -> None:
        sent = 0
        try:
            sent = connection.socket.sendmsg(pieces)
        except BlockingIOError:
            pass
        except OSError:
            self._close(connection)
            return
        if sent:
            connection.last_s = self._now_s
        if sent < sum(map(len, pieces)):
            self._keep(connection, _behind(pieces, sent))
        elif connection.unsent:
            connection.unsent = []
            self._epoll.modify(connection.socket.fileno(), select.EPOLLIN)
            if self._leaves_s is not None:
                self._close(connection)

    def _keep(self, connection: Connection, unsent: list[memoryview]) -> None:
        """Go on when the browser has read; until then nothing more is read of it."""
        if not connection.unsent:
            self._epoll.modify(connection.socket.fileno(), select.EPOLLOUT)
        connection.unsent = unsent

    def _hand_over(self, connection: Connection, data: bytes) -> None:
        """Give a connection to the box, which goes on from these bytes; it stays counted until the box ends it."""
        self._forget(connection)
        self._queue.append((CONNECTION + bytes([connection.door.number]) + data, connection.socket))
        self._flush()

    def _close(self, connection: Connection) -> None:
        self._forget(connection)
        connection.socket.close()
        connection.door.count(-1)

    def _forget(self, connection: Connection) -> None:
        fd = connection.socket.fileno()
        del self._connections[fd]
        self._page.hold(self._process, len(self._connections))
        self._epoll.unregister(fd)

    def _flush(self) -> None:
        """Tell the box what it can take now."""
        while self._queue:
            message, connection = self._queue[0]
            try:
                if connection is None:
                    self._box.send(message)
                else:
                    socket.send_fds(self._box, [message], [connection.fileno()])
            except BlockingIOError:
                self._epoll.modify(self._box.fileno(), select.EPOLLOUT)
                return
            except OSError as exc:
                if exc.errno != errno.ETOOMANYREFS:  # with too many connections on their way, the next tick goes on
                    self._queue.clear()  # the box is gone
                return
            self._queue.popleft()
            if connection is not None:
                connection.close()

    def _box_ready(self, events: int) -> None:
        if events & (select.EPOLLHUP | select.EPOLLERR):
            self._queue.clear()
            del self._others[self._box.fileno()]
            self._epoll.unregister(self._box.fileno())
        else:
            self._epoll.modify(self._box.fileno(), 0)
            self._flush()

    def _copies(self, events: int) -> None:
        """Take what the box has for this worker; at the end of that, leave."""
        del events
        try:
            data = self._stream.recv(STREAM_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._leave()
            return
        try:
            for frame in self._frames.feed(data):
                self._hold(frame)
        except Garbled:
            self._leave()  # where the next frame begins cannot be told

    def _hold(self, frame: Frame) -> None:
        with suppress(Garbled, IndexError):
            door, learned = learned_from(frame)
            self._doors[door].early.hold(learned)

    def _leave(self) -> None:
        self._leaves_s = self._now_s + self._stop_s
        del self._others[self._stream.fileno()]
        self._epoll.unregister(self._stream.fileno())
        self._accept_no_more(*self._accepting)
        for door in self._doors:
            door.listening.close()
        for connection in [each for each in self._connections.values() if not each.unsent]:
            self._close(connection)
        self._report()

    def _accept_again(self) -> None:
        for door in self._doors:
            if door not in self._accepting and self._leaves_s is None:
                self._accepting.add(door)
                fd = door.listening.fileno()
                self._others[fd] = partial(self._accept, door)
                # Not EPOLLEXCLUSIVE, which wakes the same worker again and again while it keeps up.
                self._epoll.register(fd, select.EPOLLIN)

    def _accept_no_more(self, *doors: WorkerDoor) -> None:
        for door in doors:
            self._accepting.remove(door)
            del self._others[door.listening.fileno()]
            self._epoll.unregister(door.listening.fileno())

    def _tick(self) -> None:
        idle = [each for each in self._connections.values() if self._now_s - each.last_s > self._idle_s]
        for connection in idle:
            self._close(connection)
        self._accept_again()
        self._report()

    def _report(self) -> None:
        if not self._queue:
            for door in self._doors:
                self._queue.extend((each, None) for each in door.reports())
            self._queue.append((ALIVE, None))
        self._flush()


def _behind(pieces: Sequence[bytes | memoryview], sent: int) -> list[memoryview]:
    """Return the pieces without their first `sent` bytes."""
    rest = []
    for piece in pieces:
        if sent < len(piece):
            rest.append(memoryview(piece)[sent:])
        sent = max(0, sent - len(piece))
    return rest


def main() -> None:
    """Work for the box at the other end of the stream, whose descriptor is the one argument."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # both go to the whole group; the box says when to leave
    may_open_all()
    stream = socket.socket(fileno=int(sys.argv[1]))
    frames = Frames()
    while data := stream.recv(STREAM_BYTES):
        for first in frames.feed(data):
            Worker(first.told, stream, frames).run()
            return


if __name__ == "__main__":
    main()
