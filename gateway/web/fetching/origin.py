"""One request to an origin and its answer, with every way it can fail told in this room's words.

Deadlines: `connect_s` for the name and for the connection, `silence_s` for each time nothing comes. A silence is told
to the backhaul, and so is every sign of life, which is how the box learns that the link is down. What an origin sends
is within limits of size and count, or it is a fault of the origin.

aiohttp 3.14 leaves a reader waiting for ever when an answer's chunks are broken in the middle, and takes a connection
that was reset for the end of a body without a length: `_watch` and `_cut_short` see to both
(`tests/contract/test_aiohttp_contract.py`).
"""

import asyncio
import errno
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from gateway.backhaul.dialer import Connector, Dialer, Endpoint, RefusedError, UnreachableError, carrying
from gateway.backhaul.link import Backhaul, Share
from gateway.clock import Clock
from gateway.errors import N_, LinkDown, NotAllowed, OriginFault
from gateway.web.faults import BodyBroken, OriginSilent
from gateway.web.fetching.interim import Response, Tell, telling
from gateway.web.fetching.upload import Upload
from gateway.web.rules.fields import Fields, from_wire
from gateway.web.rules.forwarding import content_length, end_to_end
from gateway.web.rules.target import peer_of

CONNECTIONS_MAX = 256  # of the room to all origins
PER_ORIGIN_MAX = 64  # more than one device may hold (`WebLimits.device_requests_max`, by default 48)
FIELD_BYTES_MAX = 32_768
FIELDS_MAX = 128
READ_BYTES = 2_896  # two segments: twice as much, and nothing more is taken from the kernel until it is used
PIECE_BYTES = 16_384  # a tenth of a second at 1.3 Mbit/s: what is passed on at once
TOLD_EVERY_S = 1.0  # how often the backhaul hears of progress

_SOMEBODY_ANSWERED = {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE}  # so the link works
_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long an origin may take."""

    connect_s: float
    silence_s: float


class Reply:
    """An origin's answer: its head, and its body as it comes."""

    live = True

    def __init__(self, response: aiohttp.ClientResponse, link: "Link", share: Share) -> None:
        self._response = response
        self._link = link
        self._share = share
        connection = response.connection
        protocol = connection.protocol if connection is not None else None
        self._closed = _watch(response, protocol) if isinstance(protocol, ResponseHandler) else None
        self.status = response.status
        self.fields: Fields = end_to_end(from_wire(response.raw_headers))
        self.size_bytes = content_length(self.fields)
        self._ends_by_close = self.size_bytes is None and "Transfer-Encoding" not in response.headers

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body at the pace the link allows.

        Raises: BodyBroken when it is not whole, or its origin fell silent.
        """
        content = self._response.content
        try:
            while came := await content.readany():
                self._link.heard()
                for piece in in_pieces(came):
                    await self._share.take_down(len(piece), self._source())
                    yield piece
            fault = BodyBroken() if self._cut_short() else None
        except aiohttp.SocketTimeoutError:
            self._link.silent()
            fault = BodyBroken()
        except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError, RuntimeError):
            fault = BodyBroken()  # RuntimeError: aiohttp's word for reading where the connection is gone
        if fault is None:
            return
        if left := content._read_nowait(-1):  # aiohttp holds back what came before the fault; it was paid for
            await self._share.take_down(len(left))
            yield left
        raise fault

    def _source(self) -> "_Source | None":
        connection = self._response.connection
        protocol = connection.protocol if connection is not None else None
        return _Source(protocol) if isinstance(protocol, ResponseHandler) else None

    def close(self) -> None:
        """Let go of the answer; its connection is used again if all of it was read."""
        self._response.release()

    def _cut_short(self) -> bool:
        """A body without a length ends with its connection, unless that was reset (RFC 9112 §8)."""
        closed = self._closed
        return self._ends_by_close and closed is not None and closed.done() and closed.exception() is not None


class _Source:
    """An answer's connection, through aiohttp, whose deadline for the next byte does not run while it is paused."""

    def __init__(self, protocol: ResponseHandler) -> None:
        self._protocol = protocol

    def is_reading(self) -> bool:
        """Say whether it is read from."""
        return self._protocol.transport is not None

    def pause_reading(self) -> None:
        """Let what comes stand."""
        self._protocol.pause_reading()

    def resume_reading(self) -> None:
        """Take what comes again."""
        self._protocol.resume_reading()


def in_pieces(came: bytes) -> Iterator[bytes]:
    """Yield what came, a piece after another."""
    if len(came) <= PIECE_BYTES:
        yield came
        return
    for at in range(0, len(came), PIECE_BYTES):
        yield came[at : at + PIECE_BYTES]


class Link:
    """What one exchange tells the backhaul about its peer."""

    def __init__(self, backhaul: Backhaul, clock: Clock, peer: tuple[str, int]) -> None:
        self._backhaul = backhaul
        self._clock = clock
        self.peer = peer
        self.since_s = clock.now_s()  # when something last came, or the request began
        self._told_s = float("-inf")

    def heard(self) -> None:
        """Take note that something came."""
        self.since_s = self._clock.now_s()
        if self.since_s - self._told_s >= TOLD_EVERY_S or self._backhaul.is_down:
            self._told_s = self.since_s
            self._backhaul.progressed(self.peer)

    def silent(self) -> None:
        """Take note that nothing came for too long."""
        self._backhaul.stalled(self.peer, self.since_s)


class OriginClient:
    """Sends requests through one dialer."""

    def __init__(self, dialer: Dialer, deadlines: Deadlines, backhaul: Backhaul, clock: Clock) -> None:
        self._dialer = _Patient(dialer, deadlines.connect_s)
        self._deadlines = deadlines
        self._backhaul = backhaul
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Be ready to send."""
        self._session = aiohttp.ClientSession(
            connector=Connector(
                self._dialer,
                flows=self._backhaul.flows,
                connections_max=CONNECTIONS_MAX,
                per_host_max=PER_ORIGIN_MAX,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_AUTOMATIC,
            response_class=Response,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._deadlines.connect_s, sock_read=self._deadlines.silence_s
            ),
            read_bufsize=READ_BYTES,
            max_line_size=FIELD_BYTES_MAX,
            max_field_size=FIELD_BYTES_MAX,
            max_headers=FIELDS_MAX,
        )

    async def stop(self) -> None:
        """Close every connection."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def link(self, url: str) -> Link:
        """Return what an exchange with this URL's origin reports to."""
        return Link(self._backhaul, self._clock, peer_of(url))

    @asynccontextmanager
    async def exchange(
        self,
        method: str,
        url: str,
        fields: Fields,
        share: Share,
        link: Link,
        upload: Upload | None = None,
        tell: Tell | None = None,
    ) -> AsyncIterator[Reply]:
        """Send a request, and hold its answer while its body is read.

        Raises: OriginSilent, OriginFault, NotAllowed, LinkDown.
        """
        if self._session is None:
            raise LinkDown
        await share.begin()
        share.moved(up_bytes=_size_bytes(fields) + len(url))
        data = upload.pieces() if upload else None
        try:
            with telling(tell), carrying(share):
                response = await self._session.request(
                    method, _as_written(url), headers=fields, data=data, allow_redirects=False
                )
        except Exception as exc:
            if upload and upload.fault:
                raise OriginFault from exc  # a browser that broke off says nothing of the link
            raise self._told(exc, link) from exc
        try:
            link.heard()
            share.moved(down_bytes=sum(len(name) + len(value) + 4 for name, value in response.raw_headers))
            if not 200 <= response.status <= 599:
                raise OriginFault
            yield Reply(response, link, share)
        finally:
            if not response.content.is_eof():
                response.close()  # what is left of it is not for anybody
            response.release()

    def _told(self, exc: Exception, link: Link) -> Exception:
        """Return a library's failure in our words, and tell the backhaul where it may be the link's."""
        cause = exc.os_error if isinstance(exc, aiohttp.ClientConnectorError) else exc
        if isinstance(cause, RefusedError):
            return NotAllowed(
                N_("This address may not be reached through the box."),
                N_("If you need it, ask the technician of the box."),
            )
        if isinstance(cause, ssl.SSLError) or (isinstance(cause, OSError) and cause.errno in _SOMEBODY_ANSWERED):
            return OriginFault()
        if isinstance(cause, TimeoutError | OSError):
            link.silent()
            if self._backhaul.is_down:
                return LinkDown()
            return OriginSilent() if isinstance(cause, TimeoutError) else OriginFault()
        if isinstance(exc, aiohttp.ClientError | aiohttp.http.HttpProcessingError | ValueError):
            return OriginFault()
        return exc


class _Patient:
    """A dialer that gives a name only so long to be found."""

    def __init__(self, dialer: Dialer, connect_s: float) -> None:
        self._dialer = dialer
        self._connect_s = connect_s

    async def endpoints(self, host: str, port: int) -> Sequence[Endpoint]:
        try:
            async with asyncio.timeout(self._connect_s):
                return await self._dialer.endpoints(host, port)
        except TimeoutError as exc:
            raise UnreachableError("no answer to the name") from exc


def _watch(response: aiohttp.ClientResponse, protocol: ResponseHandler) -> "asyncio.Future[None] | None":
    """Have a reader of the body told when the connection goes while the body is not whole."""
    closed = protocol.closed

    def gone(lost: "asyncio.Future[None]") -> None:
        lost.exception()  # looked at, so that asyncio does not log it
        content = response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection is gone"))

    if closed is not None:
        closed.add_done_callback(gone)
    return closed


def _as_written(url: str) -> URL:
    """Return a URL that is sent as it is written: yarl forgets a `?` with nothing behind it, which some origins do not.

    What it would send is put in its place (`URL._cache`, held by `tests/contract/test_aiohttp_contract.py`).
    """
    written = URL(url, encoded=True)
    if url.endswith("?") and not written.raw_query_string:
        written._cache["raw_path_qs"] = f"{written.raw_path}?"
    return written


def _size_bytes(fields: Fields) -> int:
    return sum(len(name) + len(value) + 4 for name, value in fields)
