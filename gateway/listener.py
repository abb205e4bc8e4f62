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
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import HttpVersion10, web, web_response
from aiohttp.http_exceptions import HttpProcessingError

from gateway.errors import N_, BadRequest, CannotStart, GatewayError, NotFound, TooLarge, WrongMethod
from gateway.units import Address

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
RenderError = Callable[[web.BaseRequest, GatewayError], web.Response]

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
    ) -> None:
        self.name = name
        self.address = address
        self._serve = serve
        self._render_error = render_error
        self._limits = limits or Limits()
        self._tls = tls
        self._runner: web.BaseRunner | None = None

    async def start(self) -> None:
        """Accept connections from now on; `address` then tells the port that was given.

        Raises: CannotStart when the address cannot be had.
        """
        # what aiohttp puts where no `Server` is set
        web_response.SERVER_SOFTWARE = SERVER  # type: ignore[attr-defined]
        runner = self._make_runner()
        await runner.setup()
        listening = _bind(self.name, self.address)
        self.address = Address(*listening.getsockname()[:2])
        await web.SockSite(runner, listening, ssl_context=self._tls, backlog=256).start()
        self._runner = runner

    async def stop(self) -> None:
        """Accept nothing more, let running requests finish within `stop_s`, then close."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    def connections(self) -> int:
        """Return how many connections are open now."""
        server = self._runner.server if self._runner else None
        return len(server.connections) if server else 0

    def _make_runner(self) -> web.BaseRunner:
        connection: dict[str, Any] = {
            "keepalive_timeout": self._limits.idle_s,
            "max_line_size": self._limits.header_bytes_max,
            "max_field_size": self._limits.header_bytes_max,
            "max_headers": self._limits.header_count_max,
            "auto_decompress": False,  # a coded body is a bomb until a room says otherwise
            "access_log": None,  # no browsing history
            "logger": _QUIET,
        }
        if isinstance(self._serve, web.Application):
            return _ApplicationRunner(self._serve, self._guarded, self._render_error, self._limits, connection)
        server = _Server(self._guarded(self._serve), self._render_error, self._limits.connections_max, None, connection)
        return web.ServerRunner(server, shutdown_timeout=self._limits.stop_s / 2)

    def _guarded(self, serve: Handler) -> Handler:
        """Turn whatever `serve` raises into an answer."""

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            try:
                if request._version < HttpVersion10:
                    request._version = HttpVersion10  # aiohttp would answer in a version that has no status line
                    raise BadRequest(N_("The request is not valid HTTP."), N_("Reload the page."))
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
    """One connection, with our answer to what cannot be parsed."""

    __slots__ = ("_closes_after_answer", "_render_error")

    def __init__(self, manager: web.Server, render_error: RenderError, **connection: Any) -> None:
        super().__init__(manager, **connection)
        self._render_error = render_error
        self._closes_after_answer = False

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
        if self._closes_after_answer and not resp.prepared:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's protocol may answer True
        """Keep the way back open while a request is being answered: a half-close is not a departure (RFC 9112 §9.6)."""
        if self.ssl_context is not None:
            return False  # asyncio's TLS cannot stay half open
        if self._current_request is not None and not self._current_request.content.is_eof():
            return False  # the rest of the body can no longer come
        waiting = self._waiter is not None and not self._waiter.done()
        busy = bool(self._messages) or (self._request_count > 0 and not waiting)
        self._close = busy and len(self._messages) <= 1  # nothing more will come: close after the answer
        return busy


class _Server(web.Server):
    """Makes our connections, and no more of them than the limit."""

    def __init__(
        self,
        handler: Handler,
        render_error: RenderError,
        connections_max: int,
        request_factory: Any,
        connection: dict[str, Any],
    ) -> None:
        super().__init__(handler, request_factory=request_factory)
        self._render_error = render_error
        self._connections_max = connections_max
        self._connection = connection

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._render_error, loop=self._loop, **self._connection)

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
        render_error: RenderError,
        limits: Limits,
        connection: dict[str, Any],
    ) -> None:
        super().__init__(app, shutdown_timeout=limits.stop_s / 2, handle_signals=False)
        self._guard = guard
        self._render_error = render_error
        self._limits = limits
        self._connection = connection

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            self._guard(made.request_handler),
            self._render_error,
            self._limits.connections_max,
            made.request_factory,
            self._connection,
        )


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
