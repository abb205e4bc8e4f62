"""The files of a record over HTTP: handed in piece by piece, gone on with where they broke off, shown to who may look.

    HEAD → 200  Upload-Offset: bytes that are here
    PUT    Upload-Offset: where this piece begins; Upload-Length: bytes of the whole
         → 204  kept, not whole yet; 201 whole and right. Upload-Offset says where to go on
           409  it goes on elsewhere: Upload-Offset
    GET  → 200  the whole; ?lado=640: a JPEG with no side longer than that
           404  while it is not whole

The address is the file's own SHA-256, so handing it in twice keeps it once. The same three ways stand behind a nurse's
pages, a consultation's link and a case's link; for a far browser each piece waits for its turn on the link.

Source: draft-ietf-httpbis-resumable-upload (Upload-Offset and its like).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from aiohttp import hdrs, web

from gateway.clinic.records.views import Actor
from gateway.errors import N_, BadRequest, Conflict, NotFound, TooLarge
from gateway.portal.clinic_frame import ClinicDesk, FarShare
from gateway.portal.record_kinds import media_type
from gateway.portal.record_picture import Previews

SILENCE_S = 30.0
PIECE_BYTES = 65_536
FAR_PIECE_BYTES = 4_096  # a third of a second at 100 kbit/s
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}")
_SIDE = re.compile(r"[1-9][0-9]{1,3}")
_SHOWN = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "inline",
}


@dataclass(frozen=True, slots=True)
class Opened:
    """The record whose files an address opens, and for whom."""

    record: str
    actor: Actor


Opens = Callable[[web.Request], Awaitable[Opened]]


class RecordFiles:
    """Photos and voice notes."""

    def __init__(self, desk: ClinicDesk) -> None:
        self._desk = desk
        self._previews = Previews()

    def routes(self, prefix: str, opens: Opens, *, is_far: bool) -> list[web.RouteDef]:
        """Return the three ways to a file, under `prefix`; `opens` says whose record it is, or raises."""

        async def tell(request: web.Request) -> web.StreamResponse:
            opened, sha256 = await opens(request), _name(request)
            return _told(200, await self._desk.records.blob_offset(opened.record, sha256))

        async def take(request: web.Request) -> web.StreamResponse:
            return await self._take(request, await opens(request), is_far=is_far)

        async def show(request: web.Request) -> web.StreamResponse:
            return await self._show(request, await opens(request), is_far=is_far)

        path = f"{prefix}/archivos/{{sha256}}"
        return [web.head(path, tell), web.get(path, show, allow_head=False), web.put(path, take)]

    async def _take(self, request: web.Request, opened: Opened, *, is_far: bool) -> web.StreamResponse:
        sha256 = _name(request)
        offset, size_bytes = _number(request, "Upload-Offset"), _number(request, "Upload-Length")
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise BadRequest(N_("A photo must be sent without a content coding."))
        if not 0 < size_bytes <= self._desk.file_bytes_max:
            raise TooLarge
        if not offset <= size_bytes:
            raise BadRequest
        with self._desk.far() if is_far else _NEAR as share:
            pieces = _pieces(request, size_bytes - offset, share)
            try:
                now_bytes = await self._desk.records.put_blob(
                    opened.record, sha256, offset, size_bytes, pieces, by=opened.actor
                )
            except Conflict:
                return _told(409, await self._desk.records.blob_offset(opened.record, sha256))
        return _told(201 if now_bytes >= size_bytes else 204, now_bytes)

    async def _show(self, request: web.Request, opened: Opened, *, is_far: bool) -> web.StreamResponse:
        content = await self._desk.records.blob(opened.record, _name(request), by=opened.actor)
        kind = media_type(content) if content else None
        if content is None or kind is None:
            raise NotFound
        side = request.query.get("lado", "")
        if _SIDE.fullmatch(side) and kind.startswith("image/"):
            content, kind = await self._previews.smaller(content, int(side)), "image/jpeg"
        headers = {**_SHOWN, hdrs.CONTENT_TYPE: kind, hdrs.CONTENT_LENGTH: str(len(content))}
        if not is_far:
            return web.Response(body=content, headers=headers)
        answer = web.StreamResponse(headers=headers)
        await answer.prepare(request)
        with self._desk.far() as share:
            for at in range(0, len(content), FAR_PIECE_BYTES):
                piece = content[at : at + FAR_PIECE_BYTES]
                await share.take_up(len(piece))
                await answer.write(piece)
        await answer.write_eof()
        return answer


class _Near:
    """What is in the village crosses no link."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


_NEAR = _Near()


async def _pieces(request: web.Request, most_bytes: int, share: FarShare | None) -> AsyncIterator[bytes]:
    """Yield a body in pieces; what came before a silence is yielded too.

    Raises: TooLarge when it is longer than it said, BadRequest when it fell silent.
    """
    came_bytes = 0
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                piece = await request.content.read(PIECE_BYTES)
        except TimeoutError as exc:
            raise BadRequest(N_("The file did not arrive in time."), N_("Send it again.")) from exc
        if not piece:
            return
        came_bytes += len(piece)
        if came_bytes > most_bytes:
            raise TooLarge
        if share is not None:
            await share.take_down(len(piece))
        yield piece


def _told(status: int, offset: int) -> web.Response:
    return web.Response(status=status, headers={"Upload-Offset": str(offset), "Cache-Control": "no-store"})


def _name(request: web.Request) -> str:
    sha256 = request.match_info["sha256"]
    if _SHA256.fullmatch(sha256) is None:
        raise NotFound
    return sha256


def _number(request: web.Request, field: str) -> int:
    found = request.headers.get(field, "")
    if _NUMBER.fullmatch(found) is None:
        raise BadRequest
    return int(found)
