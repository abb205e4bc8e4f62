"""A TCP relay: connections end on both sides of the link, and their bytes cross it as segments.

A connection is set up over the link (one round trip before the first byte), refused and reset over it, and closed in
each direction by itself. A side is not read from while its bytes wait outside the link, or while the other side's
receiver does not take what has arrived.

During an outage a new connection gets no answer at all, as on a real link: the listening socket's backlog is shut
(Linux drops a SYN when the accept queue is full: net/ipv4/tcp_input.c, `tcp_conn_request`), and the caller's kernel
tries again by itself.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import cast

from gateway.backhaul.dialer import Endpoint
from gateway.clock import Clock
from gateway.demo.bottleneck import Flow
from gateway.demo.way import Arrive, Way

SEGMENT_BYTES = 1_448  # Ethernet's MTU less IPv4, TCP and timestamps (RFC 9293 §3.7.1, RFC 7323 §3.2)
HEADER_BYTES = 52
SYN_BYTES = 60  # a SYN carries 8 bytes more of options
BUFFER_BYTES = 65_536  # kernel's and ours: what a side holds outside the link
BACKLOG = 128
CONNECTIONS_MAX = 256  # of one relay
CONNECT_S = 30.0
SET_UP = "set-up"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST (socket(7))


class TcpRelay:
    """A listening socket on this side, an endpoint on the other, and the connections between."""

    def __init__(
        self,
        clock: Clock,
        forward: Way,
        back: Way,
        listening: socket.socket,
        target: Endpoint,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.target = target
        self.endpoint = Endpoint(*listening.getsockname()[:2])
        self.used_s = clock.now_s()
        self.connections: set[_Connection] = set()
        self.ways = (forward, back)
        self._clock = clock
        self._listening = listening
        self._tasks = tasks
        self._fillers: dict[Endpoint, socket.socket] = {}

    def open(self) -> None:
        """Accept connections."""
        self._listening.listen(BACKLOG)
        self._accept()  # our own filler too, which is recognised by its address
        self._drop_fillers()
        asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def shut(self) -> None:
        """Answer nobody: one connection of our own fills the backlog of length 0."""
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.listen(0)
        filler = socket.socket(self._listening.family, socket.SOCK_STREAM)
        filler.setblocking(False)
        filler.connect_ex(self._listening.getsockname())
        self._fillers[Endpoint(*filler.getsockname()[:2])] = filler

    def close(self) -> None:
        """Accept nothing more and cut what is open."""
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.close()
        self._drop_fillers()
        for connection in list(self.connections):
            connection.abort()

    def touch(self) -> None:
        """Take note that the relay is in use."""
        self.used_s = self._clock.now_s()

    def _drop_fillers(self) -> None:
        for filler in self._fillers.values():
            filler.close()
        self._fillers.clear()

    def _accept(self) -> None:
        while True:
            try:
                accepted, address = self._listening.accept()
            except OSError:  # nothing waits, or it left before it was accepted
                return
            if Endpoint(*address[:2]) in self._fillers:
                accepted.close()
            elif len(self.connections) >= CONNECTIONS_MAX:
                _reset(accepted)
                accepted.close()
            else:
                accepted.setblocking(False)
                connection = _Connection(self)
                self.connections.add(connection)
                self._tasks.create_task(connection.accept(accepted), name="demo link accept")

    def connect(self, connection: "_Connection") -> None:
        """Connect to the target on behalf of a connection whose SYN has arrived."""
        self._tasks.create_task(connection.connect(), name="demo link connect")


class _Connection:
    """One relayed connection: the side that was accepted, and the side that was connected."""

    def __init__(self, relay: TcpRelay) -> None:
        self._relay = relay
        forward, back = relay.ways
        self._near = _Side(forward, self._left)
        self._far = _Side(back, self._left)
        self._near.other, self._far.other = self._far, self._near
        self._near.hold(SET_UP)

    async def accept(self, accepted: socket.socket) -> None:
        """Take over the accepted socket; its SYN begins to cross."""
        await asyncio.get_running_loop().connect_accepted_socket(lambda: self._near, accepted)
        self._near.send([(partial(self._relay.connect, self), SYN_BYTES)])

    async def connect(self) -> None:
        """Connect the far side, and send the answer back."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await _connect(self._relay.target, self._far)
        except (OSError, TimeoutError):
            self._far.send([(self._near.arrive_reset, HEADER_BYTES)])
            self._far.finish()
            return
        self._far.send([(partial(self._near.release, SET_UP), SYN_BYTES)])

    def abort(self) -> None:
        """Cut both sides at once, without the link."""
        self._near.arrive_reset()
        self._far.arrive_reset()

    def _left(self) -> None:
        if self._near.is_gone and self._far.is_gone:
            self._relay.connections.discard(self)
            self._relay.touch()


class _Side(asyncio.Protocol):
    """One end of a relayed connection: what it reads crosses `way` to `other`."""

    other: "_Side"

    def __init__(self, way: Way, left: Callable[[], None]) -> None:
        self.is_gone = False
        self._way = way
        self._left = left
        self._flow: Flow[Arrive] = Flow(partial(self.release, "link"))
        self._transport: asyncio.Transport | None = None
        self._holds: set[str] = set()  # why it is not read from
        self._early: list[Callable[[], object]] = []  # what came before the other side was there
        self._finished = False  # nothing more crosses from here, and nothing is written here
        self._ended = False  # the other's last byte has arrived

    def send(self, segments: Sequence[tuple[Arrive, int]]) -> None:
        """Send segments to the other side."""
        self._way.send_in_order(self._flow, segments)

    def hold(self, reason: str) -> None:
        """Do not read while this reason holds."""
        self._holds.add(reason)
        if self._transport is not None:
            self._transport.pause_reading()

    def release(self, reason: str) -> None:
        """Read again, unless another reason holds."""
        self._holds.discard(reason)
        if reason == SET_UP:
            early, self._early = self._early, []
            for took in early:
                took()
        if self._transport is not None and not self._holds:
            self._transport.resume_reading()

    def finish(self) -> None:
        """Close, once what was written is out."""
        self._finished = True
        if self._transport is not None:
            self._transport.close()
        else:
            self.is_gone = True
            self._left()

    def arrive(self, data: bytes) -> None:
        """Take bytes that have crossed."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def arrive_end(self) -> None:
        """Take the other's end of stream; when both have ended, the connection is over."""
        self._ended = True
        if self._transport is not None and not self._transport.is_closing():
            with suppress(OSError):  # it has been reset; `connection_lost` will say so
                self._transport.write_eof()
        if self.other._ended:
            self.finish()
            self.other.finish()

    def arrive_reset(self) -> None:
        """Take the other's reset: drop everything, and pass it on to who is connected here."""
        self._way.abandon(self._flow)
        self._finished = True
        if self._transport is not None:
            if not self._transport.is_closing():
                _reset(self._transport.get_extra_info("socket"))
            self._transport.abort()
        else:
            self.is_gone = True
            self._left()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read, unless there is a reason not to."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=BUFFER_BYTES)
        self.is_gone = False
        if self._finished:
            self._transport.abort()
        elif self._holds:
            self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Cut what was read into segments and send them; uvloop reads before a new connection can be held."""
        if SET_UP in self._holds:
            self._early.append(partial(self.data_received, data))
            return
        starts = range(0, len(data), SEGMENT_BYTES)
        pieces = [data[start : start + SEGMENT_BYTES] for start in starts]
        self.send([(partial(self.other.arrive, piece), len(piece) + HEADER_BYTES) for piece in pieces])
        if self._flow.waiting:
            self.hold("link")

    def eof_received(self) -> bool:
        """Send the end of the stream; the other direction stays open."""
        ends = partial(self.send, [(self.other.arrive_end, HEADER_BYTES)])
        if SET_UP in self._holds:
            self._early.append(ends)
        else:
            ends()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Send a reset, unless this side was closed from here."""
        self.is_gone = True
        if not self._finished:
            self._finished = True
            self._way.abandon(self._flow)
            self.send([(self.other.arrive_reset, HEADER_BYTES)])
        self._left()

    def pause_writing(self) -> None:
        """Stop the other: whoever is connected here does not take what arrives."""
        self.other.hold("receiver")

    def resume_writing(self) -> None:
        """Let the other go on."""
        self.other.release("receiver")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address of this machine.

    Raises: OSError.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listening.setblocking(False)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)  # accepted sockets inherit it
    try:
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


async def _connect(target: Endpoint, side: _Side) -> None:
    loop = asyncio.get_running_loop()
    connecting = socket.socket(socket.AF_INET6 if ":" in target.host else socket.AF_INET, socket.SOCK_STREAM)
    connecting.setblocking(False)
    connecting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    try:
        await loop.sock_connect(connecting, target)
        await loop.create_connection(lambda: side, sock=connecting)
    except BaseException:
        connecting.close()
        raise


def _reset(closing: socket.socket) -> None:
    closing.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
