"""A recording's key is locked with its record's: whoever cannot open the record cannot open what was recorded of it.

The head of a recording's file holds it for the box, and with a recipient for them as well. It begins only where the
record's latest word on recording is that it may, and is looked at again whenever something is to be done with it.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.clinic.records.book import Moment, RecordBook
from gateway.clinic.records.locks import KEY_BYTES, open_sealed
from gateway.clinic.records.states import ENDED, Handover
from gateway.clinic.records.views import Actor, Entry
from gateway.document import canonical, read_document
from gateway.durable.sealed_pieces import HEAD_BYTES_MAX
from gateway.durable.vault import NotOpened, Vault
from gateway.errors import N_, BadRequest, Conflict, TooLarge

NAME_CHARS = 32
_BOX, _RECIPIENT, _NAME = "box", "recipient", "name"


@dataclass(frozen=True, slots=True)
class RecordedStanding:
    """A recording whose record is here."""

    record: str
    began_wall_s: float
    key: bytes | None
    """None where only the recipient can open it."""
    is_withdrawn: bool
    is_written: bool
    """Whether the record tells of it."""
    handover: Handover
    is_ended: bool
    """Whether the record takes no entries any more."""


def begin(book: RecordBook, record: str, name: str, key: bytes, by: Actor, at: Moment) -> bytes:
    """Return the head of a new recording's file.

    Raises: NotFound; Conflict where the patient has not agreed.
    """
    standing = book.demand(record)
    if standing.stage in ENDED or _agreed(book.opened(standing)) is not True:
        raise Conflict(
            N_("The patient has not agreed to a recording."), N_("Ask the patient and write down the consent first.")
        )
    number, record_key = book.keys.current(standing)
    fields = {
        "began": at.wall_s,
        "key": Vault(record_key).lock(key, _place(name)).hex(),
        "number": number,
        "record": record,
    }
    book.audit(record, by, "record", at)
    head = {_BOX: book.locks.vault.lock(canonical(fields), _place(name)).hex(), _NAME: name}
    if book.locks.seals:
        head[_RECIPIENT] = book.locks.seal(key, _place(name), 0).hex()
    return canonical(head)


def look(book: RecordBook, head: bytes, name: str, by: Actor | None, at: Moment) -> RecordedStanding | None:
    """Return how a recording stands; None where its record has left, or it is none of ours. `by` is whom to name."""
    try:
        said = _fields(head)
        if said[_NAME] != name:
            return None
        plain = book.locks.vault.open(bytes.fromhex(said[_BOX]), _place(name))
        fields = read_document(plain, HEAD_BYTES_MAX)
        assert isinstance(fields, dict)  # noqa: S101 - what we locked
    except (NotOpened, AssertionError, KeyError, ValueError):
        return None
    standing = book.standings.get(fields["record"])
    if standing is None:
        return None
    record_key = book.keys.open(standing).get(fields["number"])
    try:
        key = Vault(record_key).open(bytes.fromhex(fields["key"]), _place(name)) if record_key is not None else None
    except NotOpened:
        key = None
    if by is not None:
        book.seen(standing.id, by, "recording-read", at)
    return RecordedStanding(
        record=standing.id,
        began_wall_s=fields["began"],
        key=key,
        is_withdrawn=_agreed(book.opened(standing)) is False,
        is_written=book.database.entry(standing.number, entry_id(name)) is not None,
        handover=standing.handover,
        is_ended=standing.stage in ENDED,
    )


def open_with_secret(head: bytes, secret: bytes) -> bytes:
    """Return a recording's key as its recipient opens it. Raises: NotOpened."""
    try:
        said = _fields(head)
        key = open_sealed(bytes.fromhex(said[_RECIPIENT]), secret, _place(said[_NAME]), 0)
    except (KeyError, ValueError) as exc:
        raise NotOpened from exc
    if len(key) != KEY_BYTES:
        raise NotOpened
    return key


def is_for_recipient(head: bytes) -> bool:
    """Whether a recipient opens it."""
    try:
        return _RECIPIENT in _fields(head)
    except NotOpened:
        return False


def entry_id(name: str) -> str:
    """Return the id of the entry that tells of a recording.

    >>> entry_id("00112233445566778899aabbccddeeff")
    '00112233-4455-6677-8899-aabbccddeeff'
    """
    return str(uuid.UUID(name))


def _agreed(entries: Sequence[Entry]) -> bool | None:
    """Return the latest word on recording; None where there is none that opens here."""
    said = [each.fields for each in entries if each.kind == "consent" and each.fields.get("what") == "recording"]
    return bool(said[-1]["given"]) if said else None


def _fields(head: bytes) -> dict[str, str]:
    try:
        said = read_document(head, HEAD_BYTES_MAX)
    except (BadRequest, TooLarge) as exc:
        raise NotOpened from exc
    if not isinstance(said, dict) or not all(isinstance(each, str) for each in said.values()):
        raise NotOpened
    return said


def _place(name: str) -> str:
    return f"recording {name}"
