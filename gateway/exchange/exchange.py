"""One request to the far end and its whole answer, paced by what the link can carry; every way of failing is one error.

What the far end does is told to the backhaul as what it says of the link: bytes that came in are progress, silence is a
stall. An answer is bounded as it comes and once more as it is decoded, and its words are nobody's but the reader's.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from gateway.backhaul.dialer import Connector, Dialer, UnreachableError, carrying
from gateway.backhaul.link import Backhaul, Share
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import Clock
from gateway.document import read_document
from gateway.errors import N_, BadRequest, GatewayError, LocalError, TooLarge
from gateway.exchange.backoff import retry_after_s
from gateway.exchange.coding import ACCEPTED, decode

PIECE_BYTES = 1_400  # about a packet: a call's packets slip in between
HEAD_BYTES = 350  # a request's or an answer's head with TCP/IP headers, roughly (kept-alive, 2026-11)
_REFUSALS = frozenset({400, 409, 413, 415, 422})  # of what was sent; everything else is about the far end


class NotDelivered(LocalError):
    """Nothing is known of what was sent.

    `is_silent`: nothing came back, so that it may be the link. Otherwise the far end answered. `is_refusal`: it refused
    what was sent, and not only to work now.
    """

    status = 504
    code = "not-delivered"
    what = N_("The far end did not take what was sent.")
    advice = N_("It is kept here and sent again.")

    def __init__(
        self, *, is_silent: bool, reason: str, retry_after_s: float | None = None, is_refusal: bool = False
    ) -> None:
        super().__init__()
        self.is_silent = is_silent
        self.is_refusal = is_refusal
        self.reason = reason  # one of our own words, for the log
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """How long an exchange may take, and how much may come back."""

    connect_s: float = 8.0
    silence_s: float = 20.0
    total_s: float = 300.0  # 256 KB of orders in br beside a busy web: 40 KB at 8 kbit/s take 40 s
    answer_bytes_max: int = 1_000_000  # 1,000 receipts with a reason take 300 KB


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, the head's fields by lower-case name, and the decoded body."""

    status: int
    fields: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the far end did what was asked (2xx)."""
        return 200 <= self.status < 300

    def document(self) -> object:
        """Return what its JSON says.

        Raises: NotDelivered.
        """
        try:
            return read_document(self.body, max(len(self.body), 1))
        except GatewayError as exc:
            raise NotDelivered(is_silent=False, reason="answer unreadable") from exc


class Exchange:
    """The way to one far end, its connections kept alive."""

    def __init__(
        self, base: URL, *, dialer: Dialer, backhaul: Backhaul, clock: Clock, limits: DeliveryLimits | None = None
    ) -> None:
        self._peer = (base.host or "", base.port or 0)
        self._origin = base.origin()
        self._dialer = dialer
        self._backhaul = backhaul
        self._clock = clock
        self._limits = limits or DeliveryLimits()
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Be ready to ask; nothing is dialled yet."""
        self._session = aiohttp.ClientSession(
            connector=Connector(self._dialer, flows=self._backhaul.flows, connections_max=4),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._limits.connect_s, sock_read=self._limits.silence_s
            ),
            skip_auto_headers=("User-Agent",),
        )

    async def stop(self) -> None:
        """Close the connections that were kept."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def ask(
        self,
        method: str,
        url: URL,
        body: bytes | AsyncIterator[bytes] | None = None,
        *,
        fields: Mapping[str, str] | None = None,
        traffic_class: TrafficClass = TrafficClass.INTERACTIVE,
        answer_bytes_max: int | None = None,
        total_s: float | None = None,
    ) -> Answer:
        """Return the whole answer to a request, whatever its status; redirects are answers and not followed.

        An iterator's size must stand in `fields` as Content-Length. Only the far end's own origin is asked.

        Raises: NotDelivered when there was none, or one that cannot be read.
        """
        if self._session is None:
            raise NotDelivered(is_silent=False, reason="stopped")
        if _origin(url) != self._origin:
            raise NotDelivered(is_silent=False, reason="another origin")
        bytes_max = answer_bytes_max or self._limits.answer_bytes_max
        heard = _Heard(self._backhaul, self._peer, self._clock)
        with self._backhaul.share(traffic_class) as share, carrying(share):
            try:
                async with asyncio.timeout(total_s or self._limits.total_s):
                    return await self._ask(self._session, method, url, body, fields or {}, share, heard, bytes_max)
            except TimeoutError as exc:
                heard.nothing()
                raise NotDelivered(is_silent=True, reason="silence") from exc
            except (aiohttp.ClientError, OSError) as exc:
                if isinstance(exc.__cause__, UnreachableError):
                    heard.nothing()
                raise NotDelivered(is_silent=True, reason="connection") from exc

    def failure(self, answer: Answer) -> NotDelivered:
        """Return what an answer without success means for what was sent."""
        pause_s = retry_after_s(answer.fields.get("retry-after"), self._clock.wall_s())
        return NotDelivered(
            is_silent=False,
            reason=f"status {answer.status}",
            retry_after_s=pause_s,
            is_refusal=answer.status in _REFUSALS,
        )

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: URL,
        body: bytes | AsyncIterator[bytes] | None,
        fields: Mapping[str, str],
        share: Share,
        heard: "_Heard",
        bytes_max: int,
    ) -> Answer:
        sending = session.request(
            method,
            url,
            data=_paced(body, share),
            headers={"Accept-Encoding": ACCEPTED, **_length(body), **fields},
            allow_redirects=False,
        )
        async with sending as answer:
            heard.something()
            await share.take_down(HEAD_BYTES)
            coded = bytearray()
            async for piece in answer.content.iter_chunked(PIECE_BYTES):
                heard.something()
                await share.take_down(len(piece))
                coded += piece
                if len(coded) > bytes_max:
                    raise NotDelivered(is_silent=False, reason="answer too large")
            head = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status, head, await _decoded(bytes(coded), head.get("content-encoding", ""), bytes_max))


class _Heard:
    """When the far end was last heard, told to the backhaul."""

    def __init__(self, backhaul: Backhaul, peer: tuple[str, int], clock: Clock) -> None:
        self._backhaul = backhaul
        self._peer = peer
        self._clock = clock
        self._last_s = clock.now_s()

    def something(self) -> None:
        self._last_s = self._clock.now_s()
        self._backhaul.progressed(self._peer)

    def nothing(self) -> None:
        self._backhaul.stalled(self._peer, self._last_s)


def _origin(url: URL) -> URL | None:
    """Return where an address leads; None for one without a scheme, and for one that brings credentials of its own."""
    try:
        return url.origin() if url.raw_user is None and url.raw_password is None else None
    except ValueError:
        return None


def _length(body: bytes | AsyncIterator[bytes] | None) -> dict[str, str]:
    return {"Content-Length": str(len(body))} if isinstance(body, bytes) else {}


async def _paced(body: bytes | AsyncIterator[bytes] | None, share: Share) -> AsyncIterator[bytes]:
    """Yield the body as the link has room for it."""
    await share.take_up(HEAD_BYTES)
    if body is None:
        return
    pieces = share.going_up(body) if isinstance(body, bytes) else _each_going_up(body, share)
    async for piece in pieces:
        yield piece


async def _each_going_up(body: AsyncIterator[bytes], share: Share) -> AsyncIterator[bytes]:
    async for piece in body:
        async for part in share.going_up(piece):
            yield part


async def _decoded(coded: bytes, coding: str, bytes_max: int) -> bytes:
    try:
        if not coding:
            return decode(coded, coding, bytes_max)
        return await asyncio.to_thread(decode, coded, coding, bytes_max)
    except (BadRequest, TooLarge) as exc:
        raise NotDelivered(is_silent=False, reason="answer unreadable") from exc
