"""One HTTP listener: accepts within limits, answers every failure with a sentence, and stops without cutting a request.

Everything the box serves comes through here, so what must hold everywhere is held here: a malformed request gets a 4xx
that repeats none of it (aiohttp's own 400 quotes the input), no answer names the server's software, no connection idles
for an hour, and a browser that half-closes keeps its answer.

What holds for one connection is in `connection.py`. aiohttp has no public way to do all this; the names used below that
are not documented (`AppRunner._make_server`, `BaseRequest._version`, `web_response.SERVER_SOFTWARE`) are held by
`tests/contract/test_aiohttp_contract.py`.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import structlog
from aiohttp import HttpVersion10, web, web_response

from gateway.connection import Clients, Connection, Early, Handler, RenderError, Server, place
from gateway.errors import N_, BadRequest, CannotStart, GatewayError, NotAllowed, NotFound, TooLarge, WrongMethod
from gateway.units import Address

CONNECTIONS_WAITING = 256  # to be accepted
HANDSHAKE_S = 10.0  # for TLS; a phone on weak Wi-Fi needs two or three round trips
WATCH_S = 5.0
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
    reader_s: float = 120.0  # for the other end to take anything of what waits for it
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
        self._accepting: asyncio.Server | None = None  # while connections are accepted here
        self._watching: asyncio.TimerHandle | None = None

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
        self._watch()
        await self.accept()

    def _watch(self) -> None:
        """Cut who takes nothing of its answer, now and every few seconds."""
        if self._runner is not None:
            cast("Server", self._runner.server).abort_stuck(self.limits.reader_s)
            self._watching = asyncio.get_running_loop().call_later(WATCH_S, self._watch)

    async def accept(self) -> None:
        """Accept connections here, if it has started."""
        if self._accepting is None and self._runner is not None and self._listening is not None:
            assert self._runner.server is not None  # noqa: S101 - there is one since the runner's set-up
            self._accepting = await asyncio.get_running_loop().create_server(
                self._runner.server,
                sock=self._listening.dup(),
                ssl=self._tls,
                backlog=CONNECTIONS_WAITING,
                ssl_handshake_timeout=HANDSHAKE_S if self._tls else None,
            )

    async def leave_accepting(self) -> None:
        """Leave it to other processes that listen on `descriptor`; connections that are open go on."""
        if self._accepting is not None:
            accepting, self._accepting = self._accepting, None
            accepting.close()

    @property
    def accepts(self) -> bool:
        """Whether connections are accepted here."""
        return self._accepting is not None

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
            handler = cast("Connection", server())
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
            await self.leave_accepting()
            runner, self._runner = self._runner, None
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
            Server,
            partial(Connection, self._render_error, self._early, self._clients, connection),
            self.limits.connections_max,
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
                _log.error("request.failed", listener=self.name, error=type(exc).__name__, at=place(exc))
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


class _ApplicationRunner(web.AppRunner):
    """An `AppRunner` whose connections are ours."""

    def __init__(
        self,
        app: web.Application,
        guard: Callable[[Handler], Handler],
        limits: Limits,
        make: Callable[[Handler, Any], Server],
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
