"""A file comes with a form that our own page made for this browser; nothing of it is read before that is known.

The form's token stands before its file. Both are bounded, in bytes and in time, and the file stays in memory.

Source: RFC 7578 §4 (multipart/form-data).
"""

import asyncio

from aiohttp import BodyPartReader, hdrs, web

from gateway.errors import N_, BadRequest, NotAllowed, TooLarge
from gateway.market.bulk.table import FILE_BYTES_MAX
from gateway.portal.identity import VISIT, Identity

UPLOAD_S_MAX = 150.0  # 2 MB at 140 kbit/s on a crowded Wi-Fi take 115 s
_FIELD_BYTES_MAX = 512
_FRAME_BYTES_MAX = 8_192  # boundaries, heads of the parts, and the token
_PIECE_BYTES = 65_536


async def take_file(request: web.Request, identity: Identity) -> bytes:
    """Return the file of a form that this browser got from us.

    Raises: BadRequest, NotAllowed, TooLarge.
    """
    if request.content_type != "multipart/form-data" or hdrs.CONTENT_ENCODING in request.headers:
        raise _unread()
    if (request.content_length or 0) > FILE_BYTES_MAX + _FRAME_BYTES_MAX:
        raise _too_large()
    try:
        async with asyncio.timeout(UPLOAD_S_MAX):
            return await _file(request, identity)
    except TimeoutError as exc:
        raise BadRequest(N_("The file did not arrive in time."), N_("Nothing was recorded. Send it again.")) from exc
    except (ValueError, LookupError, RuntimeError, AssertionError) as exc:  # what aiohttp raises for malformed parts
        raise _unread() from exc


async def _file(request: web.Request, identity: Identity) -> bytes:
    # the parts are bounded here: aiohttp's own bound is that of small forms
    parts = await request.multipart()
    token = await _part(await parts.next(), "token", _FIELD_BYTES_MAX)
    if not identity.is_genuine(request[VISIT], {"token": token.decode("ascii", "replace")}):
        raise NotAllowed(
            N_("This page was open too long, or its cookies are blocked."),
            N_("Go back, load the page anew and send it once more."),
        )
    return await _part(await parts.next(), "file", FILE_BYTES_MAX)


async def _part(part: object, name: str, bytes_max: int) -> bytes:
    if not isinstance(part, BodyPartReader) or part.name != name:
        raise _unread()
    if hdrs.CONTENT_TRANSFER_ENCODING in part.headers:  # deprecated for forms: RFC 7578 §4.7
        raise _unread()
    found = bytearray()
    while piece := await part.read_chunk(_PIECE_BYTES):
        found += piece
        if len(found) > bytes_max:
            raise _too_large()
    return bytes(found)


def _unread() -> BadRequest:
    return BadRequest(N_("The form could not be read."))


def _too_large() -> TooLarge:
    return TooLarge(
        N_("The file is larger than %(limit)d bytes."),
        N_("Nothing was recorded. Upload it as several files."),
        limit=FILE_BYTES_MAX,
    )
