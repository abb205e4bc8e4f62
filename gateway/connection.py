"""One connection of a listener: what cannot be parsed is answered too, and some answers need no parser.

A malformed request gets a 4xx that repeats none of it (aiohttp's own 400 quotes the input), a browser that half-closes
keeps its answer, one that does not take its answer is cut, and a stop does not cut a request whose body is arriving.

aiohttp's `RequestHandler` has no public way to do this; the names used below that are not documented
(`RequestHandler.handle_error`, `_waiter`, `_messages`, `_request_count`, `_close`, `_current_request`, `_ErrInfo`,
`_next_keepalive_close_time`, `_keepalive_timeout`, `_loop`) are held by `tests/contract/test_aiohttp_contract.py`.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo

from gateway.errors import N_, BadRequest, GatewayError

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
RenderError = Callable[[web.BaseRequest, GatewayError], web.Response]
Clients = Callable[[str], bool]  # from a peer's address to whether it is served
# From the bytes of a request, and the address of who sent it, to head and body of its answer.
Early = Callable[[bytes, str], tuple[bytes, bytes] | None]

# One request, whole and without a body, as strictly as any parser reads it: behind it the next one begins.
_ONE_BARE_REQUEST = re.compile(
    rb"GET [!-~]+ HTTP/1\.1\r\n((?!(?i:content-length|transfer-encoding|upgrade|expect|connection):)"
    rb"[!#-'*+.0-9A-Z^-z|~-]+:[\t -~\x80-\xff]*\r\n|Connection: keep-alive\r\n)+\r\n"
).fullmatch
_log = structlog.get_logger("listener")


class Connection(web.RequestHandler):
    """One connection, with our answer to what cannot be parsed, and with answers that need no parser."""

    __slots__ = (
        "_answered",
        "_clients",
        "_closes_after_answer",
        "_device",
        "_early",
        "_ended",
        "_render_error",
        "_unsent",
        "_wire",
        "already",
        "half_closed",
    )

    def __init__(
        self,
        render_error: RenderError,
        early: Early | None,
        clients: Clients | None,
        connection: dict[str, Any],
        manager: web.Server,
    ) -> None:
        super().__init__(manager, loop=manager._loop, **connection)
        self._render_error = render_error
        self._clients = clients
        self._early = early  # while all that came was whole requests without bodies
        self._closes_after_answer = False
        self._device = ""  # the address at the other end
        self._answered = 0  # requests, of those that the parser gave
        self._ended = False  # no more requests will come
        self._wire: asyncio.Transport | None = None  # also when aiohttp has let go of it
        self._unsent = (0, 0.0)  # bytes that the other end had not taken, and since when
        self.half_closed = False
        self.already = b""  # what another process has read of it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of who is there; early answers are for the village alone."""
        super().connection_made(transport)
        self._wire = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._device = str(peer[0]) if peer else ""
        if self._clients is not None and not self._clients(self._device):
            self._early = None
        if self.already:
            self._loop.call_soon(self._begin)  # not at once: reading has not begun, so it could not be paused

    def _begin(self) -> None:
        if self.already and self.transport is not None:
            self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        """Answer early what can be; all else goes to the parser, and what it cannot take gets its 400 too."""
        try:
            self._received(data)
        except Exception as exc:  # noqa: BLE001 - yarl, for one, raises IndexError for `http://[x]@/`
            _log.warning("request.unread", error=type(exc).__name__, at=place(exc))
            self._early = None
            self._request_count += 1
            self._messages.append((_ErrInfo(status=400, exc=exc, message=""), EMPTY_PAYLOAD))
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

    def _received(self, data: bytes) -> None:
        if self.already:
            data, self.already = self.already + data, b""
        early, transport = self._early, self.transport
        if early is not None and transport is not None:
            idle = self._answered == self._request_count and not (self._close or self._force_close)
            if idle and not transport.get_write_buffer_size():
                answer = early(data, self._device)
                if answer is not None:
                    self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
                    transport.writelines(answer)
                    return
            if _ONE_BARE_REQUEST(data) is None:
                self._early = None  # whether the next bytes begin a request is not known from here on
        super().data_received(data)

    def abort_if_stuck(self, longest_s: float) -> None:
        """Cut the connection where the other end has taken nothing of what waits for it, for so long."""
        if self._wire is None:
            return
        unsent, now_s = self._wire.get_write_buffer_size(), self._loop.time()
        if not unsent or unsent != self._unsent[0]:
            self._unsent = (unsent, now_s)
        elif now_s - self._unsent[1] >= longest_s:
            self._wire.abort()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer a request that never became one, repeating nothing of it."""
        del message
        if request.writer.output_size > 0:
            raise ConnectionResetError("the answer had begun")
        if isinstance(exc, ConnectionError):
            raise exc  # who asked is gone
        if isinstance(exc, HttpProcessingError) or status < 500:
            response = self._render_error(
                request, BadRequest(N_("The request is not valid HTTP."), N_("Reload the page."))
            )
        else:
            _log.error("request.failed", error=type(exc).__name__, at=place(exc))
            response = self._render_error(request, GatewayError())
        response.force_close()
        return response

    def close(self) -> None:
        """Close when idle; a request whose body is still arriving is read and answered first."""
        request = self._current_request
        if request is None or request.content.is_eof():
            super().close()
        else:
            self.keep_alive(False)
            self._closes_after_answer = True

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """End within `timeout`, in seconds; aiohttp's own would drop the rest of a body from here on."""
        if self._closes_after_answer and self._task_handler is not None:
            done, _ = await asyncio.wait([self._task_handler], timeout=timeout)
            timeout = timeout if done else 0.1
        await super().shutdown(timeout)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer, and close behind it where the listener stops."""
        if (self._closes_after_answer and not resp.prepared) or (self._ended and not self._messages):
            resp.force_close()
        sent = await super().finish_response(request, resp, start_time)
        self._answered += 1
        if not resp.keep_alive:
            self._early = None  # it is about to be closed
        return sent

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's protocol may answer True
        """Keep the way back open while a request is being answered: a half-close is not a departure (RFC 9112 §9.6)."""
        self._begin()
        if self.ssl_context is not None:
            return False  # asyncio's TLS cannot stay half open
        if self._current_request is not None and not self._current_request.content.is_eof():
            return False  # the rest of the body can no longer come
        self.half_closed = True
        waiting = self._waiter is not None and not self._waiter.done()
        self._ended = bool(self._messages)  # nothing more will come: close after the last answer, which is now or later
        self._close = not self._ended and self._request_count > 0 and not waiting
        return self._ended or self._close


class Server(web.Server):
    """Makes our connections, and no more of them than the limit."""

    def __init__(
        self, make: Callable[[web.Server], Connection], connections_max: int, handler: Handler, request_factory: Any
    ) -> None:
        super().__init__(handler, request_factory=request_factory)
        self._make = make
        self._connections_max = connections_max

    def __call__(self) -> web.RequestHandler:
        return self._make(self)

    def abort_stuck(self, longest_s: float) -> None:
        """Cut every connection whose other end has taken nothing for so long."""
        for each in list(self._connections):
            cast("Connection", each).abort_if_stuck(longest_s)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._connections) > self._connections_max:
            self._loop.call_soon(handler.force_close)  # not at once: aiohttp is still setting the connection up


def place(exc: BaseException | None) -> str:
    """Where it broke, as file:line, without the values a traceback would show."""
    trace = exc.__traceback__ if exc else None
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else ""
