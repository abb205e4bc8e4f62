"""A file comes in pieces at any pace: what was acknowledged stays, and the whole is what its hash says, or nothing."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from gateway.clinic.records.blobs import read_whole
from gateway.clinic.records.book import Moment, RecordBook
from gateway.clinic.records.rows import FileRow
from gateway.clinic.records.standing import Standing
from gateway.clinic.records.states import ENDED, Handover
from gateway.clinic.records.views import Actor
from gateway.durable.seal import is_whole
from gateway.durable.vault import NotOpened
from gateway.errors import N_, BadRequest, Conflict, TooLarge


@dataclass(frozen=True, slots=True)
class Place:
    """Where a whole file lies, and what opens it."""

    path: Path
    key: bytes


def offset(book: RecordBook, record: str, sha256: str) -> int:
    """Return how many bytes of a file are on disk."""
    standing = book.demand(record)
    row = book.database.file(book.locks.file_name(standing.id, sha256))
    return row.kept_bytes if row is not None and is_whole(row) else 0


def begin(book: RecordBook, record: str, sha256: str, size_bytes: int, by: Actor, at: Moment) -> int:
    """Return how many bytes of a file are on disk, ready for more."""
    standing = book.demand(record)
    if not 0 < size_bytes <= book.limits.file_bytes_max:
        raise BadRequest if size_bytes <= 0 else TooLarge
    name = book.locks.file_name(standing.id, sha256)
    row = book.database.file(name)
    if row is not None and is_whole(row):
        if row.size_bytes != size_bytes:
            raise Conflict
        if row.is_here:
            return row.kept_bytes
        if standing.stage in ENDED and not row.is_named:
            raise _ended()
        if row.key_number and book.keys.open(standing).get(row.key_number) is not None:
            return row.kept_bytes
    elif standing.stage in ENDED:
        raise _ended()
    else:
        book.demand_room(standing, size_bytes)
        row = FileRow(name, standing.number, 0, size_bytes, 0, 0, 0, b"")
    key_number, key = book.keys.current(standing)
    book.blobs.begin(name, key, standing.id, sha256, size_bytes)
    book.database.put_file(row._replace(key_number=key_number, kept_bytes=0, is_sent=0)[:-1])
    book.audit(standing.id, by, "file-write", at)
    book.is_changed = True
    return 0


def append(book: RecordBook, record: str, sha256: str, place: int, content: bytes, at: Moment) -> int:
    """Return how many bytes of a file are on disk, once this piece is.

    Raises: BadRequest when all are here and the hash does not fit; the file comes from its beginning then.
    """
    standing = book.demand(record)
    row = book.database.file(book.locks.file_name(standing.id, sha256))
    if row is None or not is_whole(row) or place > row.kept_bytes:
        raise Conflict
    fresh = content[row.kept_bytes - place : row.size_bytes - place]
    key = book.keys.open(standing).get(row.key_number)
    if not fresh or key is None:
        return row.kept_bytes
    try:
        book.blobs.write(row.name, key, row.kept_bytes, fresh)
    except NotOpened:
        return _from_beginning(book, row)
    row = row._replace(kept_bytes=row.kept_bytes + len(fresh))
    if row.is_here and read_whole(book.blobs.folder / row.name, key, sha256) is None:
        return _from_beginning(book, row)
    book.database.put_file(row[:-1])
    book.is_changed = True
    if row.is_here:
        _arrived(book, standing, row, at)
    return row.kept_bytes


def find(book: RecordBook, record: str, sha256: str, by: Actor, at: Moment) -> Place | None:
    """Return where a whole file lies that opens here."""
    standing = book.demand(record)
    row = book.database.file(book.locks.file_name(standing.id, sha256))
    if row is None or not is_whole(row) or not row.is_here:
        return None
    key = book.keys.open(standing).get(row.key_number)
    if key is None:
        return None
    book.seen(record, by, "file-read", at)
    return Place(book.blobs.folder / row.name, key)


def damaged(book: RecordBook, record: str, sha256: str) -> None:
    """Let a file be known as damaged: it may come again from its beginning."""
    standing = book.demand(record)
    name = book.locks.file_name(standing.id, sha256)
    row = book.database.file(name)
    book.standings.damaged.add(("file", name))
    if row is not None and is_whole(row):
        _from_beginning(book, row)


def _from_beginning(book: RecordBook, row: FileRow) -> int:
    """Let a file come from its beginning; what is there of it stays until then."""
    book.database.put_file(row._replace(key_number=0, kept_bytes=0)[:-1])
    book.is_changed = True
    return -1


def _arrived(book: RecordBook, standing: Standing, row: FileRow, at: Moment) -> None:
    if row.is_named and standing.handover is Handover.DELIVERED:
        book.requeued(standing, at)


def _ended() -> Conflict:
    return Conflict(N_("The record is closed."), N_("Begin another one."))


def faulty() -> BadRequest:
    """Return that a file is not what it was announced as."""
    return BadRequest(N_("The file is not what was announced."), N_("Send it again from the beginning."))


def is_sha256(text: str) -> bool:
    """Say whether a text is a hash.

    >>> is_sha256(hashlib.sha256(b"").hexdigest()), is_sha256("../key")
    (True, False)
    """
    return len(text) == hashlib.sha256().digest_size * 2 and set(text) <= set("0123456789abcdef")
