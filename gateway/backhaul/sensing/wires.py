"""What a probe looks like on its way: the far end's echo where there is one, else a ping.

Probes carry no DSCP mark: they must wait in the operator's queue together with what they measure. A mark that the
operator heeds would show the call's queue, and hide the one that downloads fill.
"""

import errno
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.backhaul.dialer import Dialer, Endpoint
from gateway.backhaul.sensing import echo, ping
from gateway.backhaul.sensing.far_clock import FarClock
from gateway.backhaul.sensing.samples import DelaySample
from gateway.errors import N_

IP_HEADER_BYTES = {socket.AF_INET: 20, socket.AF_INET6: 40}
UDP_HEADER_BYTES = 8
NO_PING = N_("This machine does not let the box ping: its group is not in net.ipv4.ping_group_range.")


@dataclass(frozen=True, slots=True)
class Sent:
    """A probe under way."""

    at_s: float
    sent_us: int
    datagram: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """A true answer: to which probe, and what it tells."""

    sequence: int
    round_trip_s: float
    samples: tuple[DelaySample, ...]


class Forbidden(Exception):
    """The machine does not let the box probe this way; the sentence says why."""


class Wire(Protocol):
    """How probes are sent and answers read."""

    async def open(self) -> socket.socket:
        """Return a socket, connected to whom to ask.

        Raises: Forbidden, OSError.
        """
        ...

    @property
    def exchange_bytes(self) -> int:
        """A probe and its answer with their headers of IP."""
        ...

    def probe(self, sequence: int, sent_us: int) -> bytes:
        """Return the probe with this number."""
        ...

    def read(self, datagram: bytes, sent: Mapping[int, Sent], arrived_us: int, at_s: float) -> Heard | None:
        """Return what a true answer to one of `sent` tells."""
        ...


class EchoWire:
    """Asks the far end's reflector."""

    def __init__(self, dialer: Dialer, host: str, port: int, key: echo.EchoKey) -> None:
        self._dialer = dialer
        self._peer = (host, port)
        self._key = key
        self._clock = FarClock()
        self._zero = 0
        self._family = socket.AF_INET

    @property
    def exchange_bytes(self) -> int:
        """A probe and its answer with their headers of IP."""
        return 2 * (echo.ECHO_BYTES + UDP_HEADER_BYTES + IP_HEADER_BYTES[self._family])

    async def open(self) -> socket.socket:
        """Return a socket, connected to the reflector."""
        end = (await self._dialer.endpoints(*self._peer))[0]
        self._family = _family(end)
        return _connected(socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC), end)

    def probe(self, sequence: int, sent_us: int) -> bytes:
        """Return the request with this number."""
        return echo.request(self._key, sequence, sent_us)

    def read(self, datagram: bytes, sent: Mapping[int, Sent], arrived_us: int, at_s: float) -> Heard | None:
        """Return what a true answer tells; where the far clock began anew, on paths of their own."""
        sequence = echo.sequence_of(datagram)
        asked = sent.get(sequence) if sequence is not None else None
        said = echo.read_answer(self._key, asked.datagram, datagram) if asked is not None else None
        if sequence is None or asked is None or said is None:
            return None
        trip_s = (arrived_us - asked.sent_us - said.held_us) / 1e6
        if trip_s < 0:  # held for longer than it was away: a clock was set somewhere
            return None
        if not self._clock.fits(at_s, (said.came_us - asked.sent_us) / 1e6, trip_s):
            self._zero += 1
        told = echo.samples(said, sent_us=asked.sent_us, arrived_us=arrived_us, at_s=at_s, zero=self._zero)
        return Heard(sequence, trip_s, told)


class PingWire:
    """Asks any machine beyond the link: who, is told each time a socket is opened."""

    def __init__(self, peer: Callable[[], Awaitable[str]], cookie: bytes) -> None:
        self._peer = peer
        self._cookie = cookie
        self._family = socket.AF_INET

    @property
    def exchange_bytes(self) -> int:
        """A probe and its answer with their headers of IP."""
        return 2 * (ping.PING_BYTES + IP_HEADER_BYTES[self._family])

    async def open(self) -> socket.socket:
        """Return a ping socket, connected to the peer."""
        end = Endpoint(await self._peer(), 0)
        self._family = _family(end)
        protocol = socket.IPPROTO_ICMP if self._family is socket.AF_INET else socket.IPPROTO_ICMPV6
        try:
            sock = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, protocol)
        except OSError as exc:
            if exc.errno in {errno.EACCES, errno.EPERM, errno.EPROTONOSUPPORT}:
                raise Forbidden(NO_PING) from exc
            raise
        return _connected(sock, end)

    def probe(self, sequence: int, sent_us: int) -> bytes:
        """Return the echo request with this number."""
        del sent_us
        return ping.request(4 if self._family is socket.AF_INET else 6, sequence, self._cookie)

    def read(self, datagram: bytes, sent: Mapping[int, Sent], arrived_us: int, at_s: float) -> Heard | None:
        """Return the round trip of a true answer."""
        number = ping.answered(datagram, self._cookie)
        sequence = next((each for each in sent if each & 0xFFFF == number), None) if number is not None else None
        if sequence is None:
            return None
        sent_us = sent[sequence].sent_us
        return Heard(sequence, (arrived_us - sent_us) / 1e6, ping.samples(sent_us, arrived_us, at_s))


def _family(end: Endpoint) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in end.host else socket.AF_INET


def _connected(sock: socket.socket, end: Endpoint) -> socket.socket:
    try:
        sock.setblocking(False)
        sock.connect(tuple(end))
    except OSError:
        sock.close()
        raise
    return sock
