"""Answers the echo of the boxes: each true request with one datagram of the same length, stamped as early as possible.

What has no true code is dropped in silence and counted: there is nothing here for who scans. Limits count only true
requests, so that made-up ones take nobody's place; a request that is caught and sent again gets an answer again, as
long as itself and within the limits, which tells its sender nothing. Nothing is kept of a box between two datagrams.
"""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self

import structlog

from gateway.backhaul.sensing.echo import ECHO_BYTES, EchoKey, answer, asking
from gateway.backhaul.sensing.stamps import ANCILLARY_BYTES, age_ns, note_arrivals, raw_us, wall_ns
from gateway.clock import Clock
from gateway.errors import N_, CannotStart
from gateway.hub.rates import Rates, source_of
from gateway.units import Address

REPORT_S = 600.0
BATCH_MAX = 256  # then others have their turn in the loop
RECEIVE_BUFFER_BYTES = 1 << 20
WAITED_NS_MAX = 100_000_000  # a longer wait is a clock that was set: no box must take that for a queue

_log = structlog.get_logger("reflector")


@dataclass(frozen=True, slots=True)
class ReflectorStatistics:
    """What came and what became of it, since the start."""

    answered: int = 0
    untrue: int = 0  # no code of a known key
    over_limit: int = 0
    unsent: int = 0  # the machine took no more
    sources: int = 0


class Reflector:
    """Listens on one UDP port; an async context manager."""

    def __init__(
        self,
        keys: Mapping[int, EchoKey],
        listen: Address,
        clock: Clock,
        *,
        per_source_hz: float,
        total_hz: float,
        sources_max: int,
    ) -> None:
        self._keys = dict(keys)
        self._listen = listen
        self._clock = clock
        self._rates = Rates(
            per_source_hz=per_source_hz, total_hz=total_hz, sources_max=sources_max, now_s=clock.now_s()
        )
        self._socket: socket.socket | None = None
        self._answered = self._untrue = self._over_limit = self._unsent = 0

    async def __aenter__(self) -> Self:
        """Open the port.

        Raises: CannotStart.
        """
        family = socket.AF_INET6 if ":" in self._listen.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            if family is socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(self._listen.host != "::"))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            note_arrivals(sock)
            sock.bind(self._listen)
        except OSError as exc:
            sock.close()
            raise CannotStart(
                N_("The echo cannot listen on %(address)s (%(reason)s)."),
                N_("Choose another address, or stop what listens there."),
                address=self._listen,
                reason=exc.strerror,
            ) from exc
        self._socket = sock
        asyncio.get_running_loop().add_reader(sock, self._serve, sock)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self._listen if self._socket is None else Address(*self._socket.getsockname()[:2])

    def statistics(self) -> ReflectorStatistics:
        """Return what came and what became of it."""
        return ReflectorStatistics(self._answered, self._untrue, self._over_limit, self._unsent, len(self._rates))

    async def run(self, stop: asyncio.Event) -> None:
        """Say in the log what came, each ten minutes in which something did, until `stop`."""
        said = ReflectorStatistics()
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(REPORT_S):
                    await stop.wait()
            now = self.statistics()
            if replace(now, sources=said.sources) != said:
                _log.info(
                    "reflector.counts",
                    answered=now.answered,
                    untrue=now.untrue,
                    over_limit=now.over_limit,
                    unsent=now.unsent,
                )
            said = now

    def _serve(self, sock: socket.socket) -> None:
        for _ in range(BATCH_MAX):
            try:
                datagram, ancillary, _, peer = sock.recvmsg(ECHO_BYTES + 1, ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error of an answer that found nobody
                continue
            came_us = raw_us() - age_ns(ancillary, wall_ns(), WAITED_NS_MAX) // 1000
            key = asking(datagram, self._keys)
            if key is None:
                self._untrue += 1
            elif not self._rates.allows(source_of(peer[0]), key.id, self._clock.now_s()):
                self._over_limit += 1
            else:
                self._answer(sock, answer(key, datagram, came_us, raw_us() - came_us), peer)

    def _answer(self, sock: socket.socket, datagram: bytes, peer: tuple[object, ...]) -> None:
        try:
            sock.sendto(datagram, peer)
        except OSError:
            self._unsent += 1
        else:
            self._answered += 1
