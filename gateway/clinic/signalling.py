"""One WebSocket a participant: small messages both ways, within limits, in the reader's language.

A message that makes no sense is refused in words and forgotten; too many of them, or too fast, and the socket is
closed. Nothing wrong that comes in here ends anybody's media: that has its own life, and a page that lost its socket
comes back to it. Beyond the link a socket is paced, so that what is said there never holds up a voice.

Source: RFC 6455 §10.2 (Origin), §7.4 (close codes).
"""

import asyncio
import json
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import WSCloseCode, WSMsgType, web

from gateway.backhaul.sensing.flows import SO_MAX_PACING_RATE, UNPACED
from gateway.clinic.media.streams import Allowance
from gateway.clinic.messages import PING, Heard, Left, Message, read_message, refused
from gateway.clock import Clock
from gateway.errors import N_, BadRequest, GatewayError, NotAllowed, TooMany
from gateway.languages import negotiate, translate

PING_S = 5.0
SILENCE_S = 20.0  # four pings unanswered
SEND_S = 10.0
CLOSE_S = 2.0
WAITING_MAX = 32  # messages for a page that does not read
REFUSALS_MAX = 12  # a page of ours is never refused twice
LATER_MAX = 4_000  # messages of a record that is read anew; more than one holds
PACED_BPS_MIN = 12_000  # what the margin of a budget bears
PACED_BPS_MAX = 2_000_000  # above it nothing is held up
PACED_AGAIN_RATIO = 1.2  # a smaller change is not worth a system call

_NUDGE: Message = {}  # wakes the writer, and is not sent


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """What one socket takes."""

    message_bytes_max: int
    messages_per_s_max: int


class Socket:
    """A participant's socket, from the upgrade to the close."""

    def __init__(self, request: web.Request, limits: SocketLimits, clock: Clock) -> None:
        self._request = request
        self._clock = clock
        self._language = negotiate(request.headers.get("Accept-Language", ""))
        self._messages = Allowance(limits.messages_per_s_max, burst_s=2.0)
        self._refusals = 0
        self._heard_s = clock.now_s()
        self._waiting: asyncio.Queue[Message | None] = asyncio.Queue(WAITING_MAX)
        self._later: deque[Message] = deque()
        self._paced_bps = 0
        self.response = web.WebSocketResponse(
            max_msg_size=limits.message_bytes_max, compress=True, timeout=CLOSE_S, autoping=False
        )

    def say(self, message: Message) -> None:
        """Send a message when the socket takes it; a page that does not read loses its socket."""
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self.hang_up()

    def catch_up(self, messages: Iterable[Message]) -> None:
        """Send these, in place of what is left of those before, whenever there is nothing more urgent to say."""
        self._later = deque(messages, LATER_MAX)
        if self._waiting.empty():
            self._waiting.put_nowait(_NUDGE)

    def silent_s(self) -> float:
        """Return for how long the page has said nothing; it answers each ping."""
        return self._clock.now_s() - self._heard_s

    def pace(self, bps: int) -> None:
        """Send no faster than this from now on."""
        wanted_bps = max(bps, PACED_BPS_MIN)
        if self._paced_bps / PACED_AGAIN_RATIO < wanted_bps < self._paced_bps * PACED_AGAIN_RATIO:
            return
        transport = self._request.transport
        sock = transport.get_extra_info("socket") if transport is not None else None
        if sock is not None:
            self._paced_bps = wanted_bps
            with suppress(OSError):  # it is gone, or this kernel does not pace
                rate = UNPACED if wanted_bps > PACED_BPS_MAX else wanted_bps // 8
                sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, rate)

    def words(self, *messages: str) -> str:
        """Return sentences in the reader's language."""
        return " ".join(translate(self._language, each) for each in messages)

    def refuse(self, error: GatewayError, entry: str | None = None) -> None:
        """Say a refusal in the reader's language; that of an `entry` ends nothing."""
        said = self.words(error.what, error.advice)
        final = isinstance(error, NotAllowed) and entry is None
        self.say(refused(said % error.values if error.values else said, final=final, entry=entry))

    def hang_up(self) -> None:
        """Close the socket after what was said before."""
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)

    async def converse(self, hear: Callable[[Heard], Awaitable[None]]) -> None:
        """Return when the socket is closed; `hear` gets each message, and may refuse it."""
        await self.response.prepare(self._request)
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write(), name="clinic socket writer")
            pulse = tasks.create_task(self._ping(), name="clinic socket pulse")
            await self._read(hear)
            pulse.cancel()
            if self.response.closed:
                writer.cancel()
            else:
                self.hang_up()

    async def _read(self, hear: Callable[[Heard], Awaitable[None]]) -> None:
        """Return when nothing more is to be heard: it is closed, has left, or says too much."""
        async for message in self.response:
            self._heard_s = self._clock.now_s()
            try:
                if not self._messages.take(1, self._heard_s):
                    raise TooMany
                if message.type is WSMsgType.PING:
                    await self.response.pong(message.data)  # RFC 6455 §5.5.2; browsers send none
                elif message.type is WSMsgType.TEXT:
                    heard = read_message(message.data)
                    await hear(heard)
                    if isinstance(heard, Left):
                        return
                elif message.type is not WSMsgType.PONG:
                    raise BadRequest
            except ConnectionError:
                return
            except GatewayError as exc:
                self.refuse(exc)
                self._refusals += 1
                if self._refusals >= REFUSALS_MAX or isinstance(exc, TooMany):
                    return

    async def _write(self) -> None:
        code = WSCloseCode.OK
        try:
            while (message := await self._next()) is not None:
                if message:
                    async with asyncio.timeout(SEND_S):
                        await self.response.send_str(json.dumps(message, separators=(",", ":")))
        except (ConnectionError, TimeoutError):
            code = WSCloseCode.GOING_AWAY
        await self.response.close(code=code)

    async def _next(self) -> Message | None:
        if self._waiting.empty() and self._later:
            return self._later.popleft()
        return await self._waiting.get()

    async def _ping(self) -> None:
        while self._clock.now_s() - self._heard_s < SILENCE_S:
            self.say(PING)
            await asyncio.sleep(PING_S)
        self.hang_up()


def check_origin(request: web.Request) -> None:
    """Let only pages of this very host open a socket here: a browser says where a page is from.

    Raises: NotAllowed.
    """
    host = request.host.lower()
    if request.headers.get("Origin", "").lower() not in {f"http://{host}", f"https://{host}"}:
        raise NotAllowed(N_("This page may not open a call here."), N_("Open the link of the consultation itself."))
