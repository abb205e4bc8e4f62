"""Media's sockets: bound within the ports an operator opened, read until they are empty, never waited for.

aioice asks the event loop for a datagram endpoint on port 0; here it gets one that is read by `recvfrom` as long as
there is something, without a transport's copies and callbacks between, and that sends at once or not at all: what a
socket does not take now would be too late (voice), or is asked for again (pictures, STUN, DTLS).
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.clinic.media.dscp import PICTURE, Marker

DATAGRAM_BYTES_MAX = 1_500  # an Ethernet frame's; nobody sends media that is larger
READS_MAX = 64  # of one socket before the others' turn
SEND_BUFFER_BYTES = 65_536  # a Wi-Fi that takes nothing: media that waits longer is too late
TRIES_MAX = 64  # ports of the range that may be others'

Address = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class PortRange:
    """The UDP ports media may use; from 0: any."""

    first: int = 0
    last: int = 0


class Port(asyncio.DatagramTransport):
    """One bound socket, as aioice knows a transport."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, protocol: asyncio.DatagramProtocol, *, marked: bool
    ) -> None:
        super().__init__()
        self._loop = loop
        self._sock = sock
        self._protocol = protocol
        self._is_closing = False
        self._marker = Marker(sock, wanted=marked)
        self.mark = self._marker.mark
        self.unsent = 0

    def open(self) -> None:
        """Hand datagrams to the protocol from now on."""
        self._marker.mark(PICTURE)
        self._protocol.connection_made(self)
        self._loop.add_reader(self._sock.fileno(), self._read)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the socket or its name."""
        if name == "socket":
            return self._sock
        return self._sock.getsockname() if name == "sockname" and not self._is_closing else default

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._is_closing

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send a datagram, or drop it where the socket takes none."""
        self.send(data, addr)

    def send(self, data: bytes, addr: Address) -> bool:
        """Send a datagram; False when it could not go."""
        try:
            self._sock.sendto(data, addr)
        except OSError:  # the buffer is full, the network is down, the socket is closed
            self.unsent += 1
            return False
        return True

    def close(self) -> None:
        """Close the socket; the protocol is told soon."""
        if self._is_closing:
            return
        self._is_closing = True
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """Close the socket: nothing waits in it that could be left behind."""
        self.close()

    def _read(self) -> None:
        receive = self._sock.recvfrom
        take = self._protocol.datagram_received
        for _ in range(READS_MAX):
            try:
                datagram, address = receive(DATAGRAM_BYTES_MAX + 1)
            except OSError:  # empty; or an error that a sending brought back
                return
            if len(datagram) <= DATAGRAM_BYTES_MAX:
                take(datagram, address)
            if self._is_closing:
                return


def bind_within(loop: asyncio.AbstractEventLoop, ports: PortRange, *, marked: bool) -> None:
    """From now on the loop's datagram endpoints that ask for any local port are `Port`s within the range."""
    usual = loop.create_datagram_endpoint
    after = ports.first

    async def create(
        protocol_factory: Callable[[], asyncio.DatagramProtocol],
        local_addr: tuple[str, int] | None = None,
        remote_addr: tuple[str, int] | None = None,
        **options: Any,
    ) -> Any:
        nonlocal after
        if local_addr is None or local_addr[1] != 0 or remote_addr is not None or options:
            return await usual(protocol_factory, local_addr=local_addr, remote_addr=remote_addr, **options)
        sock, after = bind(local_addr[0], ports, after)
        protocol = protocol_factory()
        made = Port(loop, sock, protocol, marked=marked)
        made.open()
        return made, protocol

    loop.create_datagram_endpoint = create  # type: ignore[assignment,method-assign]


def bind(host: str, ports: PortRange, after: int) -> tuple[socket.socket, int]:
    """Return a socket on a free port of the range, looked for from `after` on, and where to look next.

    Raises: OSError when there is none.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        return sock, _bind(sock, host, ports, after)
    except BaseException:
        sock.close()
        raise


def _bind(sock: socket.socket, host: str, ports: PortRange, after: int) -> int:
    count = ports.last - ports.first + 1
    if not ports.first:
        sock.bind((host, 0))
        return 0
    for step in range(min(count, TRIES_MAX)):
        port = ports.first + (after - ports.first + step) % count
        try:
            sock.bind((host, port))
        except OSError:
            if step == min(count, TRIES_MAX) - 1:
                raise
        else:
            return ports.first + (port + 1 - ports.first) % count
    raise OSError
