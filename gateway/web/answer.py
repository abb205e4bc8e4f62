"""An answer on its way to a browser: its fields are the origin's own, and what looks whole is whole.

A body that breaks off cuts the connection, since that is the only way to tell a browser; where the length is neither
stated nor chunked (HTTP/1.0) the cut is a reset, because a plain close would be the body's proper end.

aiohttp adds fields of its own to an answer (`Server`, a `Content-Type` for bodies without one); `BareAnswer` takes them
off again. The private names for that are held by `tests/contract/test_aiohttp_contract.py`.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager, nullcontext

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from gateway.web.cut import reset
from gateway.web.faults import BodyBroken
from gateway.web.fetching.body import HeldBody, Source
from gateway.web.rules.fields import Fields, without
from gateway.web.rules.storing import endless
from gateway.web.saver.codecs import chain
from gateway.web.saver.coding import Recoding, recoded
from gateway.web.saver.flow import through

UNSENT_BYTES_MAX = 131_072  # in a socket; a phone takes it within 50 ms at 20 Mbit/s
LOOK_EVERY_S = 1.0  # whether the browser is still there that waits for what is coming
_ESTABLISHED = 1  # the state that `TCP_INFO` begins with (Linux, tcp_states.h)
_NO_BODY = frozenset({204, 304})
_ADDED = ("Server", "Content-Type")


class BareAnswer(web.StreamResponse):
    """An answer with exactly the fields it was given, and framing."""

    def __init__(self, status: int, fields: Fields, *, at_once: bool) -> None:
        super().__init__(status=status, headers=CIMultiDict(fields))
        self._send_headers_immediately = not at_once  # head and body in one segment where the body is there
        self.sent_bytes = 0  # of the body; `body_length` counts the head too

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send a piece of the body."""
        self.sent_bytes += len(data)
        await super().write(data)

    async def _prepare_headers(self) -> None:
        absent = [name for name in _ADDED if name not in self.headers]
        await super()._prepare_headers()
        for name in absent:
            self.headers.popall(name, None)

    async def begin(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the head."""
        return await self.prepare(request)


async def send(
    request: web.BaseRequest,
    status: int,
    fields: Fields,
    source: Source,
    done: Recoding,
    *,
    pool: Executor,
    decoded_bytes_max: int,
    reader_s: float,
    on_sent: Callable[[int], None] | None = None,
) -> web.StreamResponse:
    """Send an answer whose body goes through `done`; a browser has `reader_s` to take each piece.

    `on_sent` is told how many bytes of the body were sent, also where it broke off.

    Raises: ConnectionResetError when the body, or the browser, broke off.
    """
    bare = request.method == "HEAD" or status in _NO_BODY
    told = without(recoded(fields, done), {"content-length"})
    size_bytes = None if done.changes else source.size_bytes
    if size_bytes is not None and status not in _NO_BODY:
        told = (*told, ("Content-Length", str(size_bytes)))
    response = BareAnswer(status, told, at_once=bare or isinstance(source, HeldBody))
    pieces = source.pieces()
    if done.changes:
        pieces = through(chain(done, decoded_bytes_max), pieces, pool, live=source.live)
    if source.live:
        _leave_little_unsent(request)
    try:
        async with _while_there(request) if endless(told) else nullcontext():
            await response.begin(request)
            if not bare:
                await _pour(response, pieces, reader_s)
            await response.write_eof()
    except (BodyBroken, TimeoutError) as exc:
        if size_bytes is None and request.version < HttpVersion11:
            reset(request.transport)
        raise ConnectionResetError("the body broke off") from exc
    finally:
        if on_sent is not None:
            on_sent(response.sent_bytes)
    return response


@asynccontextmanager
async def _while_there(request: web.BaseRequest) -> AsyncIterator[None]:
    """Break off when the browser has left, which only a write would show, and a silent stream has none.

    A half-closed connection otherwise keeps its answer; of one without an end nobody asks for it so.

    Raises: TimeoutError.
    """
    loop = asyncio.get_running_loop()
    looking: asyncio.TimerHandle
    async with asyncio.timeout(None) as there:

        def look() -> None:
            nonlocal looking
            if _is_closed_there(request.transport):
                there.reschedule(loop.time())
            else:
                looking = loop.call_later(LOOK_EVERY_S, look)

        looking = loop.call_later(LOOK_EVERY_S, look)
        try:
            yield
        finally:
            looking.cancel()


def _is_closed_there(transport: asyncio.Transport | None) -> bool:
    found = transport.get_extra_info("socket") if transport is not None else None
    if found is None or found.fileno() < 0:
        return True
    try:
        return bool(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED)
    except OSError:
        return True


def _leave_little_unsent(request: web.BaseRequest) -> None:
    """Have a writer wait for its browser, not for the megabytes that a socket takes: what is read ahead is paid for."""
    found = request.transport.get_extra_info("socket") if request.transport is not None else None
    if found is not None:
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)


async def _pour(response: web.StreamResponse, pieces: AsyncIterator[bytes], reader_s: float) -> None:
    async for piece in pieces:
        async with asyncio.timeout(reader_s):
            await response.write(piece)


def sent_head(response: web.StreamResponse) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return the status line and the fields of an answer, as they were sent to a browser of HTTP/1.1."""
    line = f"HTTP/1.1 {response.status} {response.reason}".encode()
    return line, [(name.encode(), value.encode()) for name, value in response.headers.items()]


async def send_head_only(request: web.BaseRequest, status: int, fields: Fields) -> web.StreamResponse:
    """Send an answer without a body."""
    response = BareAnswer(status, without(fields, {"content-length"}), at_once=True)
    if status not in _NO_BODY:
        response.headers["Content-Length"] = "0"
    await response.begin(request)
    await response.write_eof()
    return response


async def whole(source: Source, done: Recoding, pool: Executor, decoded_bytes_max: int) -> bytes:
    """Return a body after `done`, in memory.

    Raises: BodyBroken.
    """
    pieces = through(chain(done, decoded_bytes_max), source.pieces(), pool, live=False)
    return b"".join([piece async for piece in pieces])


async def send_tunnel_head(request: web.BaseRequest) -> web.StreamResponse:
    """Say that a tunnel is open (RFC 9110 §9.3.6: a 2xx to CONNECT has no body and no framing)."""
    response = BareAnswer(200, (), at_once=False)
    response.set_status(200, "Connection Established")
    await response.begin(request)
    await response.write_eof()
    response.force_close()  # after the head, which is not to say so: the connection goes on, only not as HTTP
    return response
