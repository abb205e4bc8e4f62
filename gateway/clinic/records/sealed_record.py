"""What lies on the disk of a sealed record goes into one file, which the recipient opens with the secret alone.

    record.json: form, record, began, stage, keys [{number, wrapped}], entries [{sequence, key, id, kept, body}],
    files [{name, key, size}]; files/NAME: a file's bytes as they lie on the disk

Entries that still open on the box are not in it.
"""

import base64
import binascii
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gateway.clinic.records.blobs import read_whole, sha256_of
from gateway.clinic.records.book import Moment, RecordBook
from gateway.clinic.records.locks import open_body, open_sealed
from gateway.clinic.records.rows import EntryRow
from gateway.clinic.records.views import Actor
from gateway.durable.recipient import SECRET_BYTES, as_bytes
from gateway.durable.seal import is_whole
from gateway.durable.vault import NotOpened
from gateway.errors import N_, BadRequest, CannotStart

FORM = "tambo-record/1"
DOCUMENT_BYTES_MAX = 50_000_000
FILE_BYTES_MAX = 110_000_000
FILES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """What goes into the file."""

    document: dict[str, Any]
    files: tuple[Path, ...]

    def write(self, to: BinaryIO) -> None:
        """Write the file."""
        with zipfile.ZipFile(to, "w") as made:  # stored: what is locked grows no smaller
            made.writestr("record.json", json.dumps(self.document))
            for path in self.files:
                made.write(path, f"files/{path.name}")


def take_out(book: RecordBook, record: str, by: Actor, at: Moment) -> SealedRecord:
    """Return what lies on the disk of a record that was sealed."""
    standing = book.demand(record)
    book.seen(record, by, "export", at)
    keys = book.keys.sealed(standing)
    rows = [row for row in book.database.entries(standing.number) if is_whole(row) and row.key_number in keys]
    files = [row for row in book.database.files(standing.number) if is_whole(row) and row.key_number in keys]
    whole = [row for row in files if row.is_here]
    document = {
        "form": FORM,
        "record": record,
        "stage": standing.stage.value,
        "began": standing.began_wall_s,
        "keys": [{"number": number, "wrapped": _text(wrapped)} for number, wrapped in keys.items()],
        "entries": [
            {
                "sequence": row.sequence,
                "key": row.key_number,
                "id": row.id,
                "kept": row.kept_wall_s,
                "body": _text(row.body),
            }
            for row in rows
        ],
        "files": [{"name": row.name, "key": row.key_number, "size": row.size_bytes} for row in whole],
    }
    return SealedRecord(document, tuple(book.blobs.folder / row.name for row in whole))


def read_secret(text: str) -> bytes:
    """Return the secret that a file of `tambo clinic keygen` holds.

    Raises: CannotStart.
    """
    try:
        secret = as_bytes(text.strip())
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise CannotStart(
            N_("The file holds no secret of a recipient."), N_("Name the file that tambo clinic keygen made.")
        )
    return secret


class SealedFile:
    """A file that `SealedRecord.write` made, opened with the recipient's secret."""

    def __init__(self, file: BinaryIO, secret: bytes) -> None:
        """Raises: BadRequest when it is none, or sealed to somebody else."""
        try:
            self._zip = zipfile.ZipFile(file)
            document = json.loads(_member(self._zip, "record.json", DOCUMENT_BYTES_MAX))
            self.record = str(document["record"])
            wrapped = {int(each["number"]): _bytes(each["wrapped"]) for each in document["keys"]}
            self._keys = {number: open_sealed(each, secret, self.record, number) for number, each in wrapped.items()}
            self._document = document
        except (ValueError, KeyError, TypeError, NotOpened, zipfile.BadZipFile, OSError) as exc:
            raise _unreadable() from exc

    def entries(self) -> Iterator[dict[str, object]]:
        """Yield the entries in their order.

        Raises: BadRequest when one is not what was sealed.
        """
        for each in self._document["entries"]:
            try:
                row = EntryRow(0, each["sequence"], each["key"], each["id"], each["kept"], _bytes(each["body"]), b"")
                body = open_body(self._keys[row.key_number], row, self.record)
            except (ValueError, KeyError, TypeError, NotOpened) as exc:
                raise _unreadable() from exc
            yield {
                "sequence": row.sequence,
                "id": row.id,
                "kind": body.kind,
                "by": body.by.value,
                "at_wall_s": body.at_wall_s,
                "kept_wall_s": row.kept_wall_s,
                "fields": dict(body.fields),
            }

    def files(self, folder: Path) -> Iterator[tuple[str, bytes]]:
        """Yield the files' hashes and bytes; `folder` is used for what is between.

        Raises: BadRequest when one is not what was sealed.
        """
        for each in self._document["files"][:FILES_MAX]:
            name = str(each["name"])
            if not name.isalnum():
                raise _unreadable()
            path = folder / name
            try:
                path.write_bytes(_member(self._zip, f"files/{name}", FILE_BYTES_MAX))
                key = self._keys[each["key"]]
                sha256 = sha256_of(path, key)
                content = read_whole(path, key, sha256)
            except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as exc:
                raise _unreadable() from exc
            finally:
                path.unlink(missing_ok=True)
            if content is None:
                raise _unreadable()
            yield sha256, content


def _member(made: zipfile.ZipFile, name: str, bytes_max: int) -> bytes:
    with made.open(name) as member:
        content = member.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise ValueError("too large")
    return content


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except binascii.Error as exc:
        raise ValueError("not base64") from exc


def _unreadable() -> BadRequest:
    return BadRequest(
        N_("The file is no sealed record, or is sealed to somebody else."), N_("Name the secret that belongs to it.")
    )
