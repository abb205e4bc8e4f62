"""A look at the link before a call: the far party's page and the box send each other a few trains of packets.

It is how a page can say before the call what the call will be, and how the call begins with what the link carries
instead of with a guess. Only where nobody knows, and nobody else is on the link; bounded in bytes, time and number.

Over a WebSocket of its own, the box leads: `send` (with `bytes`) is answered by pieces of `PIECE_BYTES`, the last one
the rest; what comes in pieces is thrown away; `outlook` (with a sentence) is the end. The times are the box's own and
its kernel's: a page that starts its camera meanwhile answers when it can, what it was sent is acknowledged at once.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import WSMsgType, web

from gateway.backhaul.flow import NEAR_S
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.flows import least_rtt_s, unacknowledged_bytes
from gateway.backhaul.sensing.samples import Way
from gateway.backhaul.sensing.trains import Passed, Trains, came, passed
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clinic.media.streams import Allowance
from gateway.clinic.signalling import check_origin
from gateway.clock import Clock
from gateway.errors import BadRequest
from gateway.languages import negotiate, translate

PIECE_BYTES = 1_400  # with its frame and TLS's record, one segment
LOOK_S = 0.005
CHECK_S = 5.0
CLOSE_S = 1.0
CHECKS_AT_ONCE, CHECKS_PER_S = 6, 0.02  # pages that are reloaded over and over

Train = Callable[[int], Awaitable[Passed]]


class LinkCheck:
    """Finds out what the link carries, for whoever is about to call over it."""

    def __init__(self, clock: Clock, backhaul: Backhaul, bytes_max: int) -> None:
        """Make it; `bytes_max` bounds what is sent at once, each way."""
        self._clock = clock
        self._backhaul = backhaul
        self._bytes_max = bytes_max
        self._allowed = Allowance(CHECKS_PER_S, burst_s=CHECKS_AT_ONCE / CHECKS_PER_S)
        self._is_looking = False

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Look, where that would tell anything new, and say what the link would carry.

        Raises: NotAllowed; before the upgrade.
        """
        check_origin(request)
        page = web.WebSocketResponse(max_msg_size=2 * PIECE_BYTES, compress=False, timeout=CLOSE_S)
        await page.prepare(request)
        if self._may_look():
            self._is_looking = True
            try:
                async with asyncio.timeout(CHECK_S):
                    await self._look(page, request.transport)
            except (TimeoutError, ConnectionError, BadRequest):
                pass  # what is not known now is found out in the call
            finally:
                self._is_looking = False
        language, admission = negotiate(request.headers.get("Accept-Language", "")), self._backhaul.admission()
        said = " ".join(translate(language, each) for each in (admission.reason, admission.next_step))
        with suppress(ConnectionError):
            await page.send_json({"type": "outlook", "message": said})
        await page.close()
        return page

    def _may_look(self) -> bool:
        wanted = self._bytes_max and not self._is_looking and self._backhaul.wants_check()
        return bool(wanted) and self._allowed.take(1, self._clock.now_s())

    async def _look(self, page: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        if transport is None:
            raise ConnectionError
        if least_rtt_s(transport.get_extra_info("socket")) < NEAR_S:
            return  # somebody tries the door in the village
        exchange = _Exchange(page, transport, self._clock)
        try:
            for way, train in ((Way.DOWN, exchange.come), (Way.UP, exchange.go)):
                self._backhaul.checked(way, await self._carries_bps(train))
        finally:
            with self._backhaul.share(TrafficClass.INTERACTIVE) as share:  # only now: it is no company for the call
                share.moved(down_bytes=exchange.came_bytes, up_bytes=exchange.went_bytes)

    async def _carries_bps(self, train: Train) -> int:
        trains = Trains()
        while trains.next_bytes is not None:
            through = await train(trains.next_bytes)
            trains = came(trains, through.size_bytes, through.lasted_s, self._bytes_max)
        return trains.carries_bps or 0


class _Exchange:
    """Trains to and from one page, timed here."""

    def __init__(self, page: web.WebSocketResponse, transport: asyncio.WriteTransport, clock: Clock) -> None:
        self._page = page
        self._transport = transport
        self._clock = clock
        self.came_bytes = self.went_bytes = 0

    async def come(self, size_bytes: int) -> Passed:
        """Return what came of a train after its first piece, and how fast.

        Raises: BadRequest where something else comes.
        """
        await self._page.send_json({"type": "send", "bytes": size_bytes})
        first_s, after_bytes, through = None, 0, Passed()
        for left_bytes in range(size_bytes, 0, -PIECE_BYTES):
            message = await self._page.receive()
            if message.type is not WSMsgType.BINARY or len(message.data) != min(PIECE_BYTES, left_bytes):
                raise BadRequest
            self.came_bytes += len(message.data)
            if first_s is None:
                first_s = self._clock.now_s()
            else:
                after_bytes += len(message.data)
                through = passed(through, after_bytes, self._clock.now_s() - first_s)
        return through

    async def go(self, size_bytes: int) -> Passed:
        """Send a train; returns what was acknowledged of it, and how fast after a round trip.

        Raises: ConnectionError.
        """
        begun_s, train = self._clock.now_s(), os.urandom(size_bytes)
        for at in range(0, size_bytes, PIECE_BYTES):
            await self._page.send_bytes(train[at : at + PIECE_BYTES])
        self.went_bytes += size_bytes
        sock, through = self._transport.get_extra_info("socket"), Passed()
        while left_bytes := self._left_bytes(sock):
            through = passed(through, max(size_bytes - left_bytes, 0), self._since(begun_s, sock))
            await asyncio.sleep(LOOK_S)  # no event tells
        return passed(through, size_bytes, self._since(begun_s, sock))

    def _since(self, begun_s: float, sock: socket.socket) -> float:
        return max(self._clock.now_s() - begun_s - least_rtt_s(sock), 0.0)

    def _left_bytes(self, sock: socket.socket) -> int:
        if self._transport.is_closing():
            raise ConnectionResetError
        return self._transport.get_write_buffer_size() + unacknowledged_bytes(sock)
