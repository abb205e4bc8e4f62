"""A UDP relay: a browser on the far side sends to an address of this machine, and its datagrams cross the link.

Like a NAT, each client address gets a socket of its own towards the box, and answers find their way back by it. Both
directions share the link with everything else; what finds its queue full is dropped.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from gateway.backhaul.dialer import Endpoint
from gateway.clock import Clock
from gateway.demo.way import Way

HEADER_BYTES = 28  # IPv4 and UDP
CLIENTS_MAX = 16  # a browser has one address a network interface
CLIENT_IDLE_S = 60.0  # a browser checks its consent every 5 s (RFC 7675 §5.1)
DATAGRAMS_MAX = 64  # read in one turn of the loop
DATAGRAM_BYTES_MAX = 65_535

Address = Any  # what recvfrom gives: its shape depends on the family


class MediaRelay:
    """A socket for the far side, and one towards `local` for each address that sends to it."""

    def __init__(self, clock: Clock, down: Way, up: Way, local: Endpoint) -> None:
        self._clock = clock
        self._down, self._up = down, up
        self._local = local
        self._clients: dict[Address, _Client] = {}
        self.used_s = clock.now_s()
        self._front = _socket(local.host)
        _on_datagram(self._front, self._from_far)
        self.endpoint = Endpoint(*self._front.getsockname()[:2])

    def expire(self) -> None:
        """Close the sockets of addresses that have been silent."""
        now_s = self._clock.now_s()
        for address, client in list(self._clients.items()):
            if now_s - client.used_s > CLIENT_IDLE_S:
                _close(self._clients.pop(address).back)

    def close(self) -> None:
        """Close everything."""
        for client in self._clients.values():
            _close(client.back)
        self._clients.clear()
        _close(self._front)

    def _from_far(self, data: bytes, address: Address) -> None:
        client = self._clients.get(address) or self._new_client(address)
        if client is not None:
            self.used_s = client.used_s = self._clock.now_s()
            self._down.send(partial(_send, client.back, data), len(data) + HEADER_BYTES)

    def _from_box(self, client: "_Client", data: bytes, _: Address) -> None:
        self.used_s = client.used_s = self._clock.now_s()
        self._up.send(partial(_send, self._front, data, client.address), len(data) + HEADER_BYTES)

    def _new_client(self, address: Address) -> "_Client | None":
        if len(self._clients) >= CLIENTS_MAX:
            self.expire()
        if len(self._clients) >= CLIENTS_MAX:
            return None
        client = self._clients[address] = _Client(address, _socket(self._local.host), self._clock.now_s())
        client.back.connect(self._local)
        _on_datagram(client.back, partial(self._from_box, client))
        return client


class _Client:
    """An address on the far side, and the socket that stands for it here."""

    __slots__ = ("address", "back", "used_s")

    def __init__(self, address: Address, back: socket.socket, used_s: float) -> None:
        self.address = address
        self.back = back
        self.used_s = used_s


def _socket(host: str) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    bound.setblocking(False)
    try:
        bound.bind((host, 0))
    except OSError:
        bound.close()
        raise
    return bound


def _on_datagram(bound: socket.socket, take: Callable[[bytes, Address], None]) -> None:
    def read() -> None:
        for _ in range(DATAGRAMS_MAX):
            try:
                data, address = bound.recvfrom(DATAGRAM_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error for something sent before: UDP promises nothing
                continue
            take(data, address)

    asyncio.get_running_loop().add_reader(bound, read)


def _send(bound: socket.socket, data: bytes, address: Address = None) -> None:
    with suppress(OSError):  # a full buffer, a closed socket, nobody there: a datagram may be lost
        if address is None:
            bound.send(data)
        else:
            bound.sendto(data, address)


def _close(bound: socket.socket) -> None:
    asyncio.get_running_loop().remove_reader(bound)
    bound.close()
