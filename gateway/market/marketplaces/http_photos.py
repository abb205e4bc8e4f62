"""A photo's address is its hash, so sending it twice is sending it once; what came over is not sent again.

`HEAD` tells in `Upload-Offset` how many bytes are there; `PUT` brings the rest, with `Content-Range` unless it is the
whole; 409 tells where to go on. The same form in which phones hand photos in.

Source: RFC 9110 §14.5 (partial PUT), §14.4 (Content-Range).
"""

from collections.abc import AsyncIterator, Mapping

from yarl import URL

from gateway.backhaul.sharing.classes import TrafficClass
from gateway.exchange.exchange import Answer, Exchange
from gateway.market.marketplaces.port import NotDelivered

_OFFSET = "upload-offset"
_DIGITS_MAX = 12
_NOT_FOUND, _CONFLICT = 404, 409


class PhotoRequests:
    """The requests that carry photos."""

    def __init__(self, exchange: Exchange, fields: Mapping[str, str]) -> None:
        self._exchange = exchange
        self._fields = fields

    async def head(self, url: URL) -> Answer:
        """Ask what is there."""
        return await self._exchange.ask("HEAD", url, fields=self._fields, traffic_class=TrafficClass.BULK)

    async def put(self, url: URL, content: AsyncIterator[bytes], offset: int, size_bytes: int) -> Answer:
        """Send the bytes from `offset` on."""
        part = {"Content-Range": f"bytes {offset}-{size_bytes - 1}/{size_bytes}"} if offset else {}
        length = {"Content-Type": "application/octet-stream", "Content-Length": str(size_bytes - offset)}
        return await self._exchange.ask(
            "PUT", url, content, fields={**self._fields, **length, **part}, traffic_class=TrafficClass.BULK
        )

    def offset(self, answer: Answer, size_bytes: int) -> int:
        """Return how many bytes an answer says are there.

        Raises: NotDelivered.
        """
        if answer.status == _NOT_FOUND:
            return 0
        if not answer.is_success:
            raise self._exchange.failure(answer)
        return _told(answer, size_bytes)

    def offset_after(self, answer: Answer, size_bytes: int) -> int:
        """Return how many bytes are there after a PUT.

        Raises: NotDelivered.
        """
        if answer.status == _CONFLICT and _OFFSET in answer.fields:
            return _told(answer, size_bytes)
        if not answer.is_success:
            raise self._exchange.failure(answer)
        return _told(answer, size_bytes) if _OFFSET in answer.fields else size_bytes


def _told(answer: Answer, size_bytes: int) -> int:
    text = answer.fields.get(_OFFSET, "")
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS_MAX or int(text) > size_bytes:
        raise NotDelivered(is_silent=False, reason="answer unreadable")
    return int(text)
