"""One WebSocket a participant: small messages both ways, within limits, in the reader's language.

A message that makes no sense is refused in words and forgotten; too many of them, or too fast, and the socket is
closed. Nothing wrong that comes in here ends anybody's media: that has its own life, and a page that lost its socket
comes back to it.

Source: RFC 6455 §10.2 (Origin), §7.4 (close codes).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import WSCloseCode, WSMsgType, web

from gateway.clinic.messages import PING, Heard, Left, Message, read_message, refused
from gateway.clinic.media.streams import Allowance
from gateway.clock import Clock
from gateway.errors import N_, BadRequest, GatewayError, NotAllowed, TooMany
from gateway.languages import negotiate, translate

PING_S = 5.0
SILENCE_S = 20.0  # four pings unanswered
SEND_S = 10.0
CLOSE_S = 2.0
WAITING_MAX = 32  # messages for a page that does not read
REFUSALS_MAX = 12  # a page of ours is never refused twice


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
        self.response = web.WebSocketResponse(
            max_msg_size=limits.message_bytes_max, compress=False, timeout=CLOSE_S, autoping=True
        )

    def say(self, message: Message) -> None:
        """Send a message when the socket takes it; a page that does not read loses its socket."""
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self.hang_up()

    def words(self, *messages: str) -> str:
        """Return sentences in the reader's language."""
        return " ".join(translate(self._language, each) for each in messages)

    def refuse(self, error: GatewayError) -> None:
        """Say a refusal in the reader's language."""
        said = self.words(error.what, error.advice)
        final = isinstance(error, NotAllowed)
        self.say(refused(said % error.values if error.values else said, final=final))

    def hang_up(self) -> None:
        """Close the socket after what was said before."""
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)

    async def converse(self, hear: Callable[[Heard], Awaitable[None]]) -> None:
        """Return when the socket is closed; `hear` gets each message, and may refuse it."""
        await self.response.prepare(self._request)
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(self._write(), name="clinic socket writer"),
                tasks.create_task(self._ping(), name="clinic socket pulse"),
            ]
            await self._read(hear)
            for task in beside:
                task.cancel()

    async def _read(self, hear: Callable[[Heard], Awaitable[None]]) -> None:
        async for message in self.response:
            self._heard_s = self._clock.now_s()
            try:
                if not self._messages.take(1, self._heard_s):
                    raise TooMany
                if message.type is not WSMsgType.TEXT:
                    raise BadRequest
                heard = read_message(message.data)
                await hear(heard)
            except GatewayError as exc:
                self.refuse(exc)
                self._refusals += 1
                if self._refusals >= REFUSALS_MAX or isinstance(exc, TooMany):
                    self.hang_up()
                continue
            if isinstance(heard, Left):
                self.hang_up()

    async def _write(self) -> None:
        code = WSCloseCode.OK
        try:
            while (message := await self._waiting.get()) is not None:
                async with asyncio.timeout(SEND_S):
                    await self.response.send_str(json.dumps(message, separators=(",", ":")))
        except (ConnectionError, TimeoutError):
            code = WSCloseCode.GOING_AWAY
        await self.response.close(code=code)

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
