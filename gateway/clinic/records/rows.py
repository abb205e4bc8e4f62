"""A row of the records is what was written or it is damaged; what people told us is in it under lock. Pure.

A record's state is its last whole row of `states`; the first is written twice and the last three stay, so that no
damaged row takes a record away. Its keys are written twice for the same reason.
"""

import hmac
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from gateway.document import canonical

STATES_KEPT = 3
COPIES = 2  # of a key


class RecordRow(NamedTuple):
    """That a record began."""

    number: int
    id: str
    began_wall_s: float
    seal: bytes


class StateRow(NamedTuple):
    """How a record stands, all of it."""

    record_number: int
    sequence: int
    stage: str
    handover: str
    ticket: int  # 0: none
    day: str  # of the ticket
    due_wall_s: float | None
    urgency: str  # of the last request; "" without one
    tries: int  # of handing it over
    next_wall_s: float  # no try before
    queued_wall_s: float
    sent_key: int  # what is locked with keys up to this one was given to the link
    wall_s: float
    seal: bytes


class LabelRow(NamedTuple):
    """What lists show of a record, locked with the box's key."""

    number: int  # the record's
    locked: bytes
    seal: bytes


class KeyRow(NamedTuple):
    """A key of a record, locked with the box's key, or sealed to the recipient."""

    record_number: int
    key_number: int
    copy: int
    is_sealed: int
    wrapped: bytes
    seal: bytes


class EntryRow(NamedTuple):
    """An entry; its body is locked with one of the record's keys."""

    record_number: int
    sequence: int
    key_number: int
    id: str
    kept_wall_s: float
    body: bytes
    seal: bytes


class FileRow(NamedTuple):
    """How much of a file is on disk for certain; its name tells nothing."""

    name: str
    record_number: int
    key_number: int  # 0: not begun
    size_bytes: int
    kept_bytes: int
    is_named: int  # an entry names it
    is_sent: int
    seal: bytes

    @property
    def is_here(self) -> bool:
        """Whether all of it is here, and was checked."""
        return self.kept_bytes == self.size_bytes


class AuditRow(NamedTuple):
    """Who did what; `hash` covers it and `previous`, the hash before it."""

    number: int
    record: str
    wall_s: float
    boot: str
    writer: str
    name: str
    what: str
    previous: bytes
    hash: bytes


COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "records": ", ".join(RecordRow._fields),
        "states": ", ".join(StateRow._fields),
        "labels": ", ".join(LabelRow._fields),
        "keys": ", ".join(KeyRow._fields),
        "entries": ", ".join(EntryRow._fields),
        "files": ", ".join(FileRow._fields),
        "audit": ", ".join(AuditRow._fields),
    }
)


def audit_hash(key: bytes, row: AuditRow) -> bytes:
    """Return the hash that an audit row must have; only the box's key makes it."""
    said = [row.number, row.record, repr(row.wall_s), row.boot, row.writer, row.name, row.what]
    return hmac.digest(key, row.previous + canonical(said), "sha256")
