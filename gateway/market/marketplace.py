"""A batch goes out, and a receipt per order comes back, or it is not known to have arrived: the port and its HTTP way.

Whatever the far end does (silence, a cut, nonsense, a bomb, a redirect) ends within its deadline as `NotDelivered`, and
is told to the backhaul as what it says of the link: bytes that came in are progress, silence is a stall.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from yarl import URL

from gateway.backhaul.dialer import Connector, Dialer, UnreachableError, carrying
from gateway.backhaul.link import Backhaul, Share
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import Clock
from gateway.errors import N_, GatewayError, LocalError
from gateway.market.backoff import retry_after_s
from gateway.market.batch import Batch, Receipt, read_receipts, write_batch
from gateway.market.coding import ACCEPTED, compress, decode

PIECE_BYTES = 1_400  # about a packet: a call's packets slip in between
HEAD_BYTES = 350  # a request's or an answer's head with TCP/IP headers, roughly (kept-alive, 2026-11)


class NotDelivered(LocalError):
    """Nothing is known of the orders in the batch; they are sent again.

    `is_silent`: nothing came back, so that it may be the link. Otherwise the far end answered, and refused the batch.
    """

    status = 504
    code = "not-delivered"
    what = N_("The marketplace did not take the orders.")
    advice = N_("They are kept here and sent again.")

    def __init__(self, *, is_silent: bool, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__()
        self.is_silent = is_silent
        self.reason = reason  # one of our own words, for the log
        self.retry_after_s = retry_after_s


class Marketplace(Protocol):
    """Where orders go."""

    async def start(self) -> None:
        """Be ready to deliver."""
        ...

    async def stop(self) -> None:
        """Let go of connections."""
        ...

    async def deliver(self, batch: Batch) -> Sequence[Receipt]:
        """Return what the marketplace says of each order; it may say nothing of some.

        Raises: NotDelivered.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """How long a delivery may take, and how much may come back."""

    connect_s: float = 8.0
    silence_s: float = 20.0
    total_s: float = 300.0  # 256 KB of orders in br beside a busy web: 40 KB at 8 kbit/s take 40 s
    answer_bytes_max: int = 1_000_000  # 1,000 receipts with a reason take 300 KB


class HttpMarketplace:
    """A marketplace that takes `POST {url}` with a batch in `br`."""

    def __init__(
        self,
        url: str,
        *,
        dialer: Dialer,
        backhaul: Backhaul,
        clock: Clock,
        token: str | None = None,
        limits: DeliveryLimits | None = None,
    ) -> None:
        self._url = URL(url)
        self._peer = (self._url.host or "", self._url.port or 0)
        self._dialer = dialer
        self._backhaul = backhaul
        self._clock = clock
        self._limits = limits or DeliveryLimits()
        self._headers = {
            "Content-Type": "application/json",
            "Content-Encoding": "br",
            "Accept-Encoding": ACCEPTED,
            **({"Authorization": f"Bearer {token}"} if token else {}),
        }
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Be ready to deliver; nothing is dialled yet."""
        self._session = aiohttp.ClientSession(
            connector=Connector(self._dialer, flows=self._backhaul.flows, connections_max=2),
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

    async def deliver(self, batch: Batch) -> Sequence[Receipt]:
        """Return what the marketplace says of each order.

        Raises: NotDelivered.
        """
        if self._session is None:
            raise NotDelivered(is_silent=False, reason="stopped")
        body = await asyncio.to_thread(lambda: compress(write_batch(batch)))
        heard = _Heard(self._backhaul, self._peer, self._clock)
        with self._backhaul.share(TrafficClass.INTERACTIVE) as share, carrying(share):
            try:
                async with asyncio.timeout(self._limits.total_s):
                    coded, coding = await self._exchange(self._session, body, share, heard)
            except TimeoutError as exc:
                heard.nothing()
                raise NotDelivered(is_silent=True, reason="silence") from exc
            except (aiohttp.ClientError, OSError) as exc:
                if isinstance(exc.__cause__, UnreachableError):
                    heard.nothing()
                raise NotDelivered(is_silent=True, reason="connection") from exc
        return await asyncio.to_thread(self._receipts, coded, coding)

    async def _exchange(
        self, session: aiohttp.ClientSession, body: bytes, share: Share, heard: "_Heard"
    ) -> tuple[bytes, str]:
        """Send the batch and return the answer's body and its coding."""
        sending = session.post(
            self._url,
            data=_paced(body, share),
            headers={**self._headers, "Content-Length": str(len(body))},
            allow_redirects=False,
        )
        async with sending as answer:
            heard.something()
            await share.take_down(HEAD_BYTES)
            if not 200 <= answer.status < 300:
                pause_s = retry_after_s(answer.headers.get("Retry-After"), self._clock.wall_s())
                raise NotDelivered(is_silent=False, reason=f"status {answer.status}", retry_after_s=pause_s)
            coded = bytearray()
            async for piece in answer.content.iter_chunked(PIECE_BYTES):
                heard.something()
                await share.take_down(len(piece))
                coded += piece
                if len(coded) > self._limits.answer_bytes_max:
                    raise NotDelivered(is_silent=False, reason="answer too large")
            return bytes(coded), answer.headers.get("Content-Encoding", "")

    def _receipts(self, coded: bytes, coding: str) -> list[Receipt]:
        bytes_max = self._limits.answer_bytes_max
        try:
            return read_receipts(decode(coded, coding, bytes_max), bytes_max)
        except GatewayError as exc:
            raise NotDelivered(is_silent=False, reason="answer unreadable") from exc


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


async def _paced(body: bytes, share: Share) -> AsyncIterator[bytes]:
    """Yield the body as the link has room for it."""
    await share.take_up(HEAD_BYTES)
    async for piece in share.going_up(body):
        yield piece
