"""A CONNECT tunnel carries bytes both ways, each way to its own end, counted and paced like any page.

The connection is taken out of aiohttp's hands once 200 is sent: its transport gets a protocol of asyncio's own, which
keeps the way back open after a half-close (aiohttp would close it) and holds back whoever sends faster than the other
side takes. The old protocol is told when the connection is gone, so that its server forgets it. Private name:
`RequestHandler._message_tail`, the bytes that came behind the request's head
(`tests/contract/test_aiohttp_contract.py`).

Source: RFC 9110 §9.3.6, RFC 9112 §9.6 (half-close).
"""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

from aiohttp import web

from gateway.backhaul.dialer import Dialer, RefusedError, UnreachableError, connect
from gateway.backhaul.link import Backhaul, Share
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import Clock
from gateway.errors import N_, LinkDown, NoCapacity, NotAllowed, OriginFault
from gateway.web.answer import send_tunnel_head
from gateway.web.cut import reset
from gateway.web.faults import OriginSilent
from gateway.web.fetching.origin import Link
from gateway.web.statistics import Counters

BUFFER_BYTES = 65_536  # read ahead of the other side, each way
PIECE_BYTES = 16_384


class _Side:
    """One end of a tunnel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def close(self) -> None:
        """Send what is left, then close."""
        self.writer.close()

    def abort(self) -> None:
        """Close at once, so that the other end does not take it for the proper end."""
        reset(self.writer.transport)


class _Far(_Side):
    """The end in the world."""

    def __init__(self, sock: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self.sock = sock


class Tunnels:
    """All tunnels of the room."""

    def __init__(
        self,
        dialer: Dialer,
        backhaul: Backhaul,
        clock: Clock,
        counters: Counters,
        *,
        connect_s: float,
        tunnels_max: int,
        idle_s: float,
    ) -> None:
        self._dialer = dialer
        self._backhaul = backhaul
        self._clock = clock
        self._counters = counters
        self._connect_s = connect_s
        self._tunnels_max = tunnels_max
        self._idle_s = idle_s
        self._open: set[asyncio.Timeout] = set()

    async def serve(self, request: web.BaseRequest, host: str, port: int) -> web.StreamResponse:
        """Carry a tunnel until both ways have ended, or nothing moved for too long.

        Raises: LinkDown, NoCapacity, NotAllowed, OriginFault, OriginSilent.
        """
        if self._backhaul.is_down:
            self._backhaul.wanted((host, port))
            raise LinkDown(N_("The village's link is down, so this site cannot be reached."))
        if self._counters.tunnels_open >= self._tunnels_max:
            raise NoCapacity
        self._counters.tunnels_open += 1
        try:
            link = Link(self._backhaul, self._clock, (host, port))
            far = await self._dial(host, port, link)
            try:
                response = await send_tunnel_head(request)
                await self._carry(_taken_over(request), far, link, request.remote or "")
                return response
            finally:
                far.close()
        finally:
            self._counters.tunnels_open -= 1

    def close(self) -> None:
        """End every tunnel: they have no end of their own to wait for."""
        now = asyncio.get_running_loop().time()
        for idle in self._open:
            if not idle.expired():
                idle.reschedule(now)

    async def _dial(self, host: str, port: int, link: Link) -> _Far:
        try:
            async with asyncio.timeout(self._connect_s):
                return await self._first_of(host, port)
        except RefusedError as exc:
            raise NotAllowed(N_("This address may not be reached through the box.")) from exc
        except TimeoutError as exc:
            link.silent()
            raise OriginSilent from exc
        except OSError as exc:
            if exc.errno != errno.ECONNREFUSED:  # a refusal is an answer
                link.silent()
            raise OriginFault from exc

    async def _first_of(self, host: str, port: int) -> _Far:
        """Connect to the first endpoint that can be had; only to those that the dialer names."""
        failure: OSError = UnreachableError("no endpoint")
        for end in await self._dialer.endpoints(host, port):
            try:
                sock = await connect(self._backhaul.flows, end)
                return _Far(sock, *await asyncio.open_connection(sock=sock, limit=BUFFER_BYTES // 2))
            except OSError as exc:
                failure = exc
        raise failure

    async def _carry(self, near: _Side, far: _Far, link: Link, device: str) -> None:
        counters = self._counters

        def came(size_bytes: int) -> None:
            counters.tunnel_down_bytes += size_bytes
            link.heard()

        def went(size_bytes: int) -> None:
            counters.tunnel_up_bytes += size_bytes

        try:
            with self._backhaul.share(TrafficClass.WEB, device) as share, _carried_by(share, far.sock):
                await share.begin()
                async with asyncio.timeout(self._idle_s) as idle, asyncio.TaskGroup() as ways:
                    self._open.add(idle)
                    down = _Way(
                        idle,
                        self._idle_s,
                        partial(share.coming_down, source=cast("asyncio.Transport", far.writer.transport)),
                        came,
                    )
                    up = _Way(idle, self._idle_s, share.going_up, went)
                    ways.create_task(down.carry(far.reader, near.writer), name="tunnel down")
                    ways.create_task(up.carry(near.reader, far.writer), name="tunnel up")
            near.close()
        except* (OSError, TimeoutError):  # one side broke off: so does the other, visibly
            near.abort()
            far.abort()
        finally:
            self._open.discard(idle)


@contextmanager
def _carried_by(share: Share, sock: socket.socket) -> Iterator[None]:
    share.through(sock)
    try:
        yield
    finally:
        share.leave(sock)


class _Way:
    """One direction of a tunnel."""

    def __init__(
        self,
        idle: asyncio.Timeout,
        idle_s: float,
        paced: Callable[[bytes], AsyncIterator[bytes]],
        moved: Callable[[int], None],
    ) -> None:
        self._idle = idle
        self._idle_s = idle_s
        self._paced = paced
        self._moved = moved

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes until the reader's end, and pass that end on."""
        while data := await reader.read(PIECE_BYTES):
            if not self._idle.expired():
                self._idle.reschedule(asyncio.get_running_loop().time() + self._idle_s)
            self._moved(len(data))
            async for piece in self._paced(data):
                writer.write(piece)
                await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


class _Near(asyncio.StreamReaderProtocol):
    """The browser's end, after aiohttp."""

    def __init__(self, reader: asyncio.StreamReader, before: web.RequestHandler) -> None:
        super().__init__(reader)
        self._before = before

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note of the end, and tell the protocol that was here before."""
        super().connection_lost(exc)
        self._before.connection_lost(exc)


def _taken_over(request: web.BaseRequest) -> _Side:
    """Return the browser's end, with what it sent behind its request."""
    handler, transport = request.protocol, request.transport
    if transport is None:
        raise ConnectionResetError("the browser is gone")
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=BUFFER_BYTES // 2, loop=loop)
    protocol = _Near(reader, handler)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    transport.pause_reading()  # so that resuming asks the socket anew, and an end that came before is seen here too
    transport.resume_reading()
    tail, handler._message_tail = handler._message_tail, b""
    if tail:
        reader.feed_data(tail)
    return _Side(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
