"""One HTTP listener: accepts within limits, answers every failure with a sentence, and stops without cutting a request.

Everything the box serves comes through here, so what must hold everywhere is held here: a malformed request gets a 4xx
that repeats none of it (aiohttp's own 400 quotes the input), no answer names the server's software, no connection idles
for an hour, and a browser that half-closes keeps its answer.

aiohttp's `RequestHandler` has no public way to do this; the names used below that are not documented
(`AppRunner._make_server`, `RequestHandler.handle_error`, `_waiter`, `_messages`, `_request_count`, `_close`,
`_current_request`, `BaseRequest._version`, `web_response.SERVER_SOFTWARE`) are held by
`tests/contract/test_aiohttp_contract.py`.
"""

import asyncio
import errno
import logging
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import structlog
from aiohttp import HttpVersion10, web, web_response
from aiohttp.http_exceptions import HttpProcessingError

from gateway.errors import N_, BadRequest, CannotStart, GatewayError, NotAllowed, NotFound, TooLarge, WrongMethod
from gateway.units import Address

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
RenderError = Callable[[web.BaseRequest, GatewayError], web.Response]
Clients = Callable[[str], bool]  # from a peer's address to whether it is served
Early = Callable[[bytes], tuple[bytes, bytes] | None]  # from the bytes of a request to head and body of its answer

# One request, whole and without a body, as strictly as any parser reads it: behind it the next one begins.
_ONE_BARE_REQUEST = re.compile(
    rb"GET [!-~]+ HTTP/1\.1\r\n((?!(?i:content-length|transfer-encoding|upgrade|expect|connection):)"
    rb"[!#-'*+.0-9A-Z^-z|~-]+:[\t -~\x80-\xff]*\r\n|Connection: keep-alive\r\n)+\r\n"
).fullmatch
CONNECTIONS_WAITING = 256  # to be accepted
SERVER = "tambo"  # no versions: they only help who looks for a hole
_QUIET = logging.getLogger("aiohttp.quiet")  # aiohttp logs the peer's bytes and tracebacks; ours says what matters
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False
_log = structlog.get_logger("listener")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one listener takes; every one a setting."""

    connections_max: int = 2_000
    header_bytes_max: int = 16_384
    header_count_max: int = 128
    idle_s: float = 75.0  # browsers close at 60–300 s; nginx's default
    stop_s: float = 10.0  # aiohttp waits twice: for an answer to end, and for its cancelled handler


class Listener:
    """A listening socket, the application behind it, and the connections in between."""

    def __init__(
        self,
        name: str,
        address: Address,
        serve: web.Application | Handler,
        render_error: RenderError,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        early: Early | None = None,
        clients: Clients | None = None,
    ) -> None:
        self.name = name
        self.address = address
        self._serve = serve
        self._render_error = render_error
        self.limits = limits or Limits()
        self._tls = tls
        self._early = early
        self._clients = clients
        self._runner: web.BaseRunner | None = None
        self._listening: socket.socket | None = None
        self._site: web.SockSite | None = None  # while connections are accepted here

    async def start(self) -> None:
        """Accept connections from now on; `address` then tells the port that was given.

        Raises: CannotStart when the address cannot be had.
        """
        # what aiohttp puts where no `Server` is set
        web_response.SERVER_SOFTWARE = SERVER  # type: ignore[attr-defined]
        runner = self._make_runner()
        await runner.setup()
        self._listening = _bind(self.name, self.address)
        self.address = Address(*self._listening.getsockname()[:2])
        self._runner = runner
        await self.accept()

    async def accept(self) -> None:
        """Accept connections here, if it has started."""
        if self._site is None and self._runner is not None and self._listening is not None:
            self._site = web.SockSite(
                self._runner, self._listening.dup(), ssl_context=self._tls, backlog=CONNECTIONS_WAITING
            )
            await self._site.start()

    async def leave_accepting(self) -> None:
        """Leave it to other processes that listen on `descriptor`; connections that are open go on."""
        if self._site is not None:
            site, self._site = self._site, None
            await site.stop()

    @property
    def accepts(self) -> bool:
        """Whether connections are accepted here."""
        return self._site is not None

    @property
    def descriptor(self) -> int:
        """The file descriptor of the listening socket, once started."""
        return self._listening.fileno() if self._listening is not None else -1

    async def take_over(self, connection: socket.socket, data: bytes) -> None:
        """Go on with a connection that another process accepted, and from which it has read `data`."""
        server = self._runner.server if self._runner is not None else None
        if server is None:
            connection.close()
            return

        def going_on() -> web.RequestHandler:
            handler = cast("_Connection", server())
            handler.already = data
            return handler

        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(going_on, connection)
        except OSError:
            connection.close()

    async def stop(self) -> None:
        """Accept nothing more, let running requests finish within `stop_s`, then close."""
        if self._runner is not None:
            runner, self._runner, self._site = self._runner, None, None
            if self._listening is not None:
                self._listening.close()
            await runner.cleanup()

    def connections(self) -> int:
        """Return how many connections are open now."""
        server = self._runner.server if self._runner else None
        return len(server.connections) if server else 0

    def _make_runner(self) -> web.BaseRunner:
        connection: dict[str, Any] = {
            "keepalive_timeout": self.limits.idle_s,
            "max_line_size": self.limits.header_bytes_max,
            "max_field_size": self.limits.header_bytes_max,
            "max_headers": self.limits.header_count_max,
            "auto_decompress": False,  # a coded body is a bomb until a room says otherwise
            "access_log": None,  # no browsing history
            "logger": _QUIET,
        }
        make = partial(
            _Server, partial(_Connection, self._render_error, self._early, self._clients, connection), self.limits
        )
        if isinstance(self._serve, web.Application):
            return _ApplicationRunner(self._serve, self._guarded, self.limits, make)
        server = make(self._guarded(self._serve), None)
        return web.ServerRunner(server, shutdown_timeout=self.limits.stop_s / 2)

    def _guarded(self, serve: Handler) -> Handler:
        """Turn whatever `serve` raises into an answer."""

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            try:
                if request._version < HttpVersion10:
                    request._version = HttpVersion10  # aiohttp would answer in a version that has no status line
                    raise BadRequest(N_("The request is not valid HTTP."), N_("Reload the page."))
                if getattr(request.protocol, "half_closed", False) and not request.content.is_eof():
                    raise ConnectionResetError("the rest of the body can no longer come")
                if self._clients is not None and not self._clients(request.remote or ""):
                    raise NotAllowed(N_("This listener serves only the village's own network."))
                return await serve(request)
            except GatewayError as exc:
                return self._refuse(request, exc)
            except web.HTTPException as exc:
                if exc.status < 400:
                    raise
                return self._refuse(request, _as_ours(exc))
            except (ConnectionError, asyncio.CancelledError):
                raise
            except Exception as exc:  # noqa: BLE001 - the last line of defence: an answer instead of a dropped connection
                _log.error("request.failed", listener=self.name, error=type(exc).__name__, at=_place(exc))
                return self._refuse(request, GatewayError())

        return answer

    def _refuse(self, request: web.BaseRequest, error: GatewayError) -> web.Response:
        if request.writer.output_size > 0:
            raise ConnectionResetError("the answer had begun")  # only a cut tells the browser that it is not whole
        response = self._render_error(request, error)
        response.headers.update(error.headers)
        if not request.content.is_eof():
            response.force_close()
        return response


class _Connection(web.RequestHandler):
    """One connection, with our answer to what cannot be parsed, and with answers that need no parser."""

    __slots__ = ("_clients", "_closes_after_answer", "_early", "_ended", "_render_error", "already", "half_closed")

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
        self._ended = False  # no more requests will come
        self.half_closed = False
        self.already = b""  # what another process has read of it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of who is there; early answers are for the village alone."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        if self._clients is not None and not self._clients(str(peer[0]) if peer else ""):
            self._early = None
        if self.already:
            self._loop.call_soon(self._begin)  # not at once: reading has not begun, so it could not be paused

    def _begin(self) -> None:
        if self.already and self.transport is not None:
            self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        """Answer early what can be; all else goes to the parser."""
        if self.already:
            data, self.already = self.already + data, b""
        early, waiter, transport = self._early, self._waiter, self.transport
        if early is not None and transport is not None:
            if waiter is not None and not waiter.done() and not transport.get_write_buffer_size():
                answer = early(data)
                if answer is not None:
                    self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
                    transport.writelines(answer)
                    return
            if _ONE_BARE_REQUEST(data) is None:
                self._early = None  # whether the next bytes begin a request is not known from here on
        super().data_received(data)

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
            _log.error("request.failed", error=type(exc).__name__, at=_place(exc))
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
        return await super().finish_response(request, resp, start_time)

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


class _Server(web.Server):
    """Makes our connections, and no more of them than the limit."""

    def __init__(
        self, make: Callable[[web.Server], _Connection], limits: Limits, handler: Handler, request_factory: Any
    ) -> None:
        super().__init__(handler, request_factory=request_factory)
        self._make = make
        self._connections_max = limits.connections_max

    def __call__(self) -> web.RequestHandler:
        return self._make(self)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._connections) > self._connections_max:
            self._loop.call_soon(handler.force_close)  # not at once: aiohttp is still setting the connection up


class _ApplicationRunner(web.AppRunner):
    """An `AppRunner` whose connections are ours."""

    def __init__(
        self,
        app: web.Application,
        guard: Callable[[Handler], Handler],
        limits: Limits,
        make: Callable[[Handler, Any], _Server],
    ) -> None:
        super().__init__(app, shutdown_timeout=limits.stop_s / 2, handle_signals=False)
        self._guard = guard
        self._make = make

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return self._make(self._guard(made.request_handler), made.request_factory)


def _bind(name: str, address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address.host, address.port))
    except OSError as exc:
        listening.close()
        if exc.errno == errno.EADDRINUSE:
            raise CannotStart(
                N_("The %(name)s listener cannot have %(address)s: another program listens there."),
                N_("Stop that program, or choose another port in the settings file."),
                name=name,
                address=address,
            ) from exc
        raise CannotStart(
            N_("The %(name)s listener cannot have %(address)s: %(reason)s."),
            N_("Choose an address of this machine in the settings file."),
            name=name,
            address=address,
            reason=exc.strerror,
        ) from exc
    listening.setblocking(False)
    return listening


def _as_ours(exc: web.HTTPException) -> GatewayError:
    known: dict[int, type[GatewayError]] = {404: NotFound, 405: WrongMethod, 413: TooLarge}
    if exc.status >= 500:
        return GatewayError()
    return known.get(exc.status, BadRequest)()


def _place(exc: BaseException | None) -> str:
    """Where it broke, as file:line, without the values a traceback would show."""
    trace = exc.__traceback__ if exc else None
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else ""
