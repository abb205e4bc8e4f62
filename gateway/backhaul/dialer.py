"""Every connection the box makes to the world is dialled here, so what may be reached is decided in one place.

A dialer turns a host name into the endpoints that may be connected to. The HTTP client connects to exactly these (no
second look-up in between, so a name cannot point elsewhere a moment later), and so does a tunnel.
"""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from ipaddress import ip_address
from typing import NamedTuple, Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from gateway.backhaul.names import Names
from gateway.backhaul.reach import IPNetwork, may_reach
from gateway.backhaul.sensing.flows import Carrier, Flows

_carried: ContextVar[Carrier | None] = ContextVar("carried", default=None)


class Endpoint(NamedTuple):
    """An address and a port that may be connected to."""

    host: str
    port: int


class UnreachableError(OSError):
    """The name is not known, or nothing it stands for can be had."""


class RefusedError(OSError):
    """The name stands only for addresses that may not be reached."""


class Dialer(Protocol):
    """Where connections to the world are allowed to go."""

    async def endpoints(self, host: str, port: int) -> Sequence[Endpoint]:
        """Return the endpoints for `host`, best first, never an empty sequence.

        Raises: UnreachableError, RefusedError.
        """
        ...


class OpenDialer:
    """Dials what the operator named in the settings: origins, the marketplace; inside addresses too."""

    def __init__(self) -> None:
        self._names = Names()

    async def endpoints(self, host: str, port: int) -> Sequence[Endpoint]:
        """Return every endpoint of `host`."""
        return await resolve(self._names, host, port)


class PublicDialer:
    """Dials what somebody else named: public addresses, the operator's exceptions, allowed ports; nothing else."""

    def __init__(self, allow: Sequence[IPNetwork] = (), ports: Sequence[int] = (80, 443)) -> None:
        self._names = Names()
        self._allow = tuple(allow)
        self._ports = frozenset(ports)

    async def endpoints(self, host: str, port: int) -> Sequence[Endpoint]:
        """Return the endpoints of `host` that may be reached."""
        if port not in self._ports:
            raise RefusedError("port")
        known = await resolve(self._names, host, port)
        found = [end for end in known if may_reach(ip_address(end.host.partition("%")[0]), self._allow)]
        if not found:
            raise RefusedError("address")
        return found


async def resolve(names: Names, host: str, port: int) -> Sequence[Endpoint]:
    """Return what the machine's resolver knows of `host`.

    Raises: UnreachableError.
    """
    try:
        found = await names.addresses(host)
    except (OSError, UnicodeError) as exc:
        raise UnreachableError("no such name") from exc
    if not found:
        raise UnreachableError("no address")
    return [Endpoint(address, port) for address in found]


@contextmanager
def carrying(carrier: Carrier) -> Iterator[None]:
    """Let every connection that a request of this context is given carry `carrier`, until it is given back."""
    before = _carried.set(carrier)
    try:
        yield
    finally:
        _carried.reset(before)


async def connect(flows: Flows, end: Endpoint) -> socket.socket:
    """Return a socket that is connected to an endpoint.

    Raises: OSError.
    """
    sock = flows.open_socket((_family(end.host), socket.SOCK_STREAM, socket.IPPROTO_TCP))
    try:
        await asyncio.get_running_loop().sock_connect(sock, (end.host, end.port))
    except BaseException:
        sock.close()
        raise
    return sock


class Connector(aiohttp.TCPConnector):
    """An HTTP client's connector that asks a dialer, for IP literals too, and knows what each connection carries.

    aiohttp passes literals by its resolver; `_resolve_host` is the one place both go through. It also takes an idle
    connection for clean although bytes have come on it, and would give them out as the answer to the next request:
    `_get` closes such a one, and one whose packets are too long for the voice beside them. Both are private:
    `tests/contract/test_aiohttp_contract.py` holds them.
    """

    def __init__(
        self, dialer: Dialer, *, flows: Flows | None = None, connections_max: int = 100, per_host_max: int = 16
    ) -> None:
        super().__init__(
            resolver=_NoResolver(),
            socket_factory=flows.open_socket if flows else None,
            limit=connections_max,
            limit_per_host=per_host_max,
            use_dns_cache=False,
            keepalive_timeout=60,
        )
        self._dialer = dialer
        self._flows = flows

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """Return a connection; before anything is sent it carries what the request's context says."""
        connection = await super().connect(req, traces, timeout)
        carrier, sock = _carried.get(), self._made(connection)
        if carrier is not None and sock is not None:
            carrier.through(sock)
            connection.add_callback(partial(carrier.leave, sock))
        return connection

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (kept := await super()._get(key, traces)) is not None:
            if kept.protocol is not None and not kept.protocol.should_close and self._fits(kept):
                return kept
            kept.close()
        return None

    def _made(self, connection: Connection) -> socket.socket | None:
        transport = connection.transport
        shown = transport.get_extra_info("socket") if transport is not None else None
        return self._flows.made(shown.fileno()) if self._flows and shown else None

    def _fits(self, kept: Connection) -> bool:
        sock = self._made(kept)
        return self._flows is None or sock is None or self._flows.fits(sock)

    async def _resolve_host(self, host: str, port: int, traces: object = None) -> list[ResolveResult]:
        del traces
        return [
            ResolveResult(
                hostname=host,
                host=end.host,
                port=end.port,
                proto=0,
                flags=socket.AI_NUMERICHOST,
                family=_family(end.host),
            )
            for end in await self._dialer.endpoints(host, port)
        ]


class _NoResolver(AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise UnreachableError("only the dialer resolves")

    async def close(self) -> None:
        """There is nothing to close."""


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
