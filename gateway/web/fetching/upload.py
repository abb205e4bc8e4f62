"""A request's body goes on to the origin as it comes, within a limit, and a silent browser does not hold the link."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from gateway.backhaul.link import Share
from gateway.errors import N_, TooLarge
from gateway.web.rules.fields import first, from_wire
from gateway.web.rules.forwarding import content_length

PIECE_BYTES = 16_384


class Upload:
    """One request's body."""

    def __init__(self, request: web.BaseRequest, share: Share, *, size_bytes_max: int, silence_s: float) -> None:
        fields = from_wire(request.raw_headers)
        self._request = request
        self._share = share
        self._size_bytes_max = size_bytes_max
        self._silence_s = silence_s
        # under an `Application` aiohttp has said it already
        asked = (first(fields, "expect") or "").lower() == "100-continue"
        self._awaited = asked and not isinstance(request, web.Request)
        self.deadline: asyncio.Timeout | None = None  # of the exchange, while its head is awaited
        self.size_bytes = content_length(fields)
        self.fault: Exception | None = None
        if (self.size_bytes or 0) > size_bytes_max:
            raise self._too_large()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body; what goes wrong on the browser's side is `fault`."""
        if self._awaited and self._request.transport is not None:
            self._request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # RFC 9110 §10.1.1
        come_bytes = 0
        while piece := await self._piece():
            come_bytes += len(piece)
            if come_bytes > self._size_bytes_max:
                self.fault = self._too_large()
                raise self.fault
            self._within(None)  # the link's turn is nobody's silence
            async for part in self._share.going_up(piece):
                self._within(self._silence_s)  # for the origin to take it
                yield part
                self._within(None)
        self._within(None)

    async def _piece(self) -> bytes:
        self._within(self._silence_s * 2)  # for the browser, whose own deadline comes first
        try:
            async with asyncio.timeout(self._silence_s):
                return await self._request.content.read(PIECE_BYTES)
        except Exception as exc:
            self.fault = ConnectionResetError("the browser broke off")
            raise self.fault from exc

    def _within(self, seconds: float | None) -> None:
        if self.deadline is not None and not self.deadline.expired():
            now = asyncio.get_running_loop().time()
            self.deadline.reschedule(None if seconds is None else now + seconds)

    def _too_large(self) -> TooLarge:
        return TooLarge(
            N_("What you send is larger than the box passes on: at most %(size)s bytes."), size=self._size_bytes_max
        )
