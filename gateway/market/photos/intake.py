"""A merchant's phone hands in a photo, in as many pieces as the Wi-Fi allows; whatever is cut goes on where it ended.

`/api/v1/photos/{sha256}`: the photo's own SHA-256, 64 hexadecimal digits in lower case, is its address. Its sender
chooses it, so creating it twice creates it once, and the hash proves the whole.

    HEAD → 200  Upload-Offset: bytes that are here, on disk; Upload-Length: of how many; Upload-Complete: ?1 or ?0
           404  nothing is here: begin with the first byte
    PUT    the whole, with Content-Length; or a part, with Content-Range: bytes first-last/size
         → 201  whole and right now          {"sha256", "size_bytes", "type", "smaller"}
           200  it was whole before          the same
           204  kept; not whole yet          Upload-Offset says where to go on
           409  a gap: Upload-Offset says where to go on. Or the photo is arriving over a newer connection
           408  it stopped arriving; 411, 413, 415 (neither JPEG, PNG, WebP, HEIC nor PDF by its first bytes)
           422  the whole is not what its address says: thrown away, to be sent again from its beginning
           503  no room, or too many at once; Retry-After. What had arrived before is kept
    GET  → 200  the whole, to its own merchant; 404 while it is not whole

Bytes that are here already are passed over, so a PUT of the whole is always right, and a phone that missed an answer
need not ask. A part that says another size than the one before begins anew. Nobody goes on with a part for three days:
it is removed.

`PUT …?shrink=1` asks that the photo be made smaller once it is whole (asked again, it is answered again): `smaller` is
then {"sha256", "size_bytes", "type"} of the one that was made, or null where that cannot be done (HEIC, PDF).
Both are here, and an order may name either: what reaches the marketplace has the hash that the order names. A phone
that can wait for the answer names the smaller; one that recorded its order first named the original, and that is what
goes. What no order names is removed after a month.

A photo is stored, shown and sent byte for byte as it came, with whatever it tells of its place and time: its hash is a
promise about its bytes. The smaller one has pixels and nothing else: no EXIF, no position.

Source: RFC 9110 §14.5 (partial PUT), draft-ietf-httpbis-resumable-upload (Upload-Offset and its like).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import hdrs, web

from gateway.errors import N_, BadRequest
from gateway.market.photos.keeping import Photo
from gateway.market.photos.photos import Photos
from gateway.market.photos.refusals import NoPhoto, Stalled
from gateway.market.photos.shelf import PIECE_BYTES
from gateway.market.photos.stretch import stretch_of

PATH = "/api/v1/photos"
_SHA256 = re.compile(r"[0-9a-f]{64}")

MerchantOf = Callable[[web.Request], Awaitable[str]]


def routes(photos: Photos, merchant_of: MerchantOf) -> list[web.RouteDef]:
    """Return the photos' interface; `merchant_of` says who asks, or raises NotSignedIn or NotAllowed."""

    async def tell(request: web.Request) -> web.Response:
        merchant = await merchant_of(request)
        photo = await photos.find(merchant, _name(request))
        if photo is None:
            raise NoPhoto
        return web.Response(headers=_progress(photo))

    async def show(request: web.Request) -> web.StreamResponse:
        merchant = await merchant_of(request)
        photo, kind, pieces = await photos.show(merchant, _name(request))
        answer = web.StreamResponse(
            headers={
                "Content-Type": kind,
                "Content-Length": str(photo.size_bytes),
                "Content-Disposition": "attachment" if kind == "application/pdf" else "inline",
                "Content-Security-Policy": "default-src 'none'; sandbox",
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "private, no-store",
            }
        )
        await answer.prepare(request)
        left_bytes = photo.size_bytes
        async for piece in pieces:
            await answer.write(piece)
            left_bytes -= len(piece)
        if left_bytes:
            raise ConnectionResetError("the photo went meanwhile")  # only a cut says that it is not whole
        await answer.write_eof()
        return answer

    async def take(request: web.Request) -> web.Response:
        merchant = await merchant_of(request)
        sha256, shrink = _name(request), _shrink(request)
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise BadRequest(N_("A photo must be sent without a content coding."))
        stretch = stretch_of(
            request.headers.get(hdrs.CONTENT_RANGE), request.content_length, photos.limits.photo_bytes_max
        )
        pieces = _pieces(request, photos.limits.silence_s, photos.limits.upload_s)
        photo, is_new = await photos.receive(merchant, sha256, stretch, pieces)
        if not photo.is_whole:
            return web.Response(status=204, headers=_progress(photo))
        smaller = await photos.shrink(merchant, sha256) if shrink else None
        told = {**await _told(photos, photo), "smaller": await _told(photos, smaller) if smaller else None}
        return web.json_response(told, status=201 if is_new else 200, headers=_progress(photo))

    path = f"{PATH}/{{sha256}}"
    return [web.head(path, tell), web.get(path, show, allow_head=False), web.put(path, take)]


def _name(request: web.Request) -> str:
    sha256 = request.match_info["sha256"]
    if _SHA256.fullmatch(sha256) is None:
        raise NoPhoto(
            N_("A photo's address ends with its SHA-256."), N_("That is 64 hexadecimal digits in lower case.")
        )
    return sha256


def _shrink(request: web.Request) -> bool:
    match request.query.get("shrink", "0"):
        case "0":
            return False
        case "1":
            return True
    raise BadRequest(
        N_("It is not clear whether the photo shall be made smaller."), N_("Send shrink=1, or leave it out.")
    )


def _progress(photo: Photo) -> dict[str, str]:
    return {
        "Upload-Offset": str(photo.size_bytes if photo.is_whole else photo.offset_bytes),
        "Upload-Length": str(photo.size_bytes),
        "Upload-Complete": "?1" if photo.is_whole else "?0",
        "Cache-Control": "no-store",
    }


async def _told(photos: Photos, photo: Photo) -> dict[str, object]:
    return {"sha256": photo.sha256, "size_bytes": photo.size_bytes, "type": await photos.kind(photo)}


async def _pieces(request: web.Request, silence_s: float, whole_s: float) -> AsyncIterator[bytes]:
    """Yield the body in pieces that are worth a write each; what came before a cut or a silence is yielded too.

    Raises: Stalled, also when it comes drop by drop; ConnectionError when the phone is gone.
    """
    gathered = bytearray()
    loop = asyncio.get_running_loop()
    until_s = loop.time() + whole_s
    while True:
        try:
            async with asyncio.timeout_at(min(loop.time() + silence_s, until_s)):
                piece = await request.content.readany()
        except TimeoutError as exc:
            if gathered:
                yield bytes(gathered)
            raise Stalled from exc
        except Exception:
            if gathered:
                yield bytes(gathered)
            raise
        gathered += piece
        if gathered and (len(gathered) >= PIECE_BYTES or not piece):
            yield bytes(gathered)
            gathered.clear()
        if not piece:
            return
