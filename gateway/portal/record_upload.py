"""A form with files: its fields first, then each file as it arrives, and nothing is read that no page of ours sent.

The form's token stands before everything; a file is in memory until it is sealed on disk, never in the clear in a file.
At most three such forms are read at once, each with at most six files.

Source: RFC 7578 §4 (multipart/form-data).
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from aiohttp import BodyPartReader, hdrs, web

from gateway.clinic.records.views import Actor, NewEntry
from gateway.errors import N_, BadRequest, NoCapacity, NotAllowed, TooLarge
from gateway.portal.clinic_forms import entry_id
from gateway.portal.clinic_frame import ClinicDesk
from gateway.portal.clinic_words import SUBJECTS
from gateway.portal.identity import VISIT, Identity
from gateway.portal.record_kinds import media_type, seconds_about

FORMS_AT_ONCE = 3
FILES_MAX = 6
FORM_S_MAX = 600.0  # six photos of 3 MB at 300 kbit/s on a crowded Wi-Fi
_FIELDS_MAX = 80
_FIELD_BYTES_MAX = 34_000  # 8,000 characters of four bytes, and some
_FRAME_BYTES_MAX = 200_000
_PIECE_BYTES = 65_536

Ready = Callable[[dict[str, str]], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class File:
    """What came with a form."""

    content: bytes
    kind: str
    sha256: str


class Uploads:
    """Reads forms with files."""

    def __init__(self, desk: ClinicDesk, identity: Identity) -> None:
        self._desk = desk
        self._identity = identity
        self._open = 0

    async def take(self, request: web.Request, ready: Ready, actor: Actor, at_wall_s: float) -> int:
        """Keep the files of a form in the record that `ready` returns, once it has the fields; return how many.

        Raises: BadRequest, NotAllowed, TooLarge, NoCapacity, and what `ready` raises.
        """
        if request.content_type != "multipart/form-data" or hdrs.CONTENT_ENCODING in request.headers:
            raise _unread()
        if (request.content_length or 0) > FILES_MAX * self._desk.file_bytes_max + _FRAME_BYTES_MAX:
            raise _too_large()
        if self._open >= FORMS_AT_ONCE:
            raise NoCapacity
        self._open += 1
        try:
            async with asyncio.timeout(FORM_S_MAX):
                return await self._read(request, ready, actor, at_wall_s)
        except (
            ValueError,
            LookupError,
            RuntimeError,
            AssertionError,
        ) as exc:  # what aiohttp raises for malformed parts
            raise _unread() from exc
        except TimeoutError as exc:
            raise BadRequest(N_("The file did not arrive in time."), N_("Send it again.")) from exc
        finally:
            self._open -= 1

    async def _read(self, request: web.Request, ready: Ready, actor: Actor, at_wall_s: float) -> int:
        fields: dict[str, str] = {}
        record, kept = "", 0
        async for part in _parts(request):
            if part.filename is None:
                await self._field(request, part, fields, is_late=bool(record))
                continue
            record = record or await ready(fields)
            content = await _content(part, self._desk.file_bytes_max)
            if not content:
                continue  # a field for a file that was left empty
            kept += 1
            if kept > FILES_MAX:
                raise _too_large()
            await self._keep(record, fields, await asyncio.to_thread(_file, content), actor, at_wall_s)
        if not record:
            await ready(fields)
        return kept

    async def _field(
        self, request: web.Request, part: BodyPartReader, fields: dict[str, str], *, is_late: bool
    ) -> None:
        if is_late or part.name is None or len(fields) >= _FIELDS_MAX or (not fields and part.name != "token"):
            raise _unread()
        fields[part.name] = (await _content(part, _FIELD_BYTES_MAX)).decode("utf-8", "replace")
        if len(fields) == 1 and not self._identity.is_genuine(request[VISIT], fields):
            raise NotAllowed(
                N_("This page was open too long, or its cookies are blocked."),
                N_("Go back, load the page anew and send it once more."),
            )

    async def _keep(self, record: str, fields: dict[str, str], file: File, actor: Actor, at_wall_s: float) -> None:
        """Have a file and the entry that names it on disk, the file first."""
        records, size_bytes = self._desk.records, len(file.content)
        if await records.blob_offset(record, file.sha256) < size_bytes:
            await records.put_blob(record, file.sha256, 0, size_bytes, _whole(file.content), by=actor)
        entry: dict[str, object] = {"sha256": file.sha256, "media_type": file.kind, "size_bytes": size_bytes}
        if file.kind.startswith("image/"):
            kind, subject = "photo", fields.get("subject", "other")
            entry |= {
                "subject": subject if subject in SUBJECTS else "other",
                "note": fields.get("photo-note", "")[:500],
            }
        else:
            kind = "voice"
            entry["seconds"] = seconds_about(size_bytes, fields.get("seconds", ""))
        made = NewEntry(entry_id(fields["form"], file.sha256), kind, at_wall_s, entry)
        await records.keep(record, made, by=actor)


async def _parts(request: web.Request) -> AsyncIterator[BodyPartReader]:
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader) or hdrs.CONTENT_TRANSFER_ENCODING in part.headers:  # RFC 7578 §4.7
            raise _unread()
        yield part


async def _content(part: BodyPartReader, bytes_max: int) -> bytes:
    found = bytearray()
    while piece := await part.read_chunk(_PIECE_BYTES):
        found += piece
        if len(found) > bytes_max:
            raise _too_large()
    return bytes(found)


def _file(content: bytes) -> File:
    kind = media_type(content)
    if kind is None:
        raise BadRequest(
            N_("This is no photo or voice note that the clinic takes."),
            N_("Photos are JPEG, PNG or WebP; voice is WebM, Ogg or M4A. On an iPhone choose “Most compatible”."),
        )
    return File(content, kind, hashlib.sha256(content).hexdigest())


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), _PIECE_BYTES):
        yield content[at : at + _PIECE_BYTES]


def _unread() -> BadRequest:
    return BadRequest(N_("The form could not be read."))


def _too_large() -> TooLarge:
    return TooLarge(N_("The photos are larger than the box takes."), N_("Send fewer at once, or smaller ones."))
