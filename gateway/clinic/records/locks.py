"""A record is locked with keys of its own; once handed over only the recipient has them.

A record's key is 32 random bytes, locked with the box's key. Giving the record to the link ends a key's use: what is
written later is locked with the next one. When the receiving side has it, the box seals those keys to the recipient
and deletes its own copies.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag

from gateway.clinic.records.entries import Writer
from gateway.clinic.records.rows import EntryRow
from gateway.document import canonical, read_document
from gateway.durable.recipient import Opening, Recipient, as_bytes
from gateway.durable.sealed_file import FileSeal
from gateway.durable.vault import PLAIN_BYTES_MAX, NotOpened, Vault
from gateway.errors import N_, CannotStart, GatewayError

KEY_BYTES = 32
_PURPOSE = b"tambo-records/1 key\0"
_PUBLIC_CHARS = 43


@dataclass(frozen=True, slots=True)
class Label:
    """What lists show of a record."""

    patient: str = ""
    doctor: str = ""
    reason: str = ""  # why it was refused


@dataclass(frozen=True, slots=True)
class Body:
    """What an entry holds under lock."""

    kind: str
    by: Writer
    at_wall_s: float
    fields: Mapping[str, object]


class Locks:
    """What the box's key opens, and to whom it seals."""

    def __init__(self, key: bytes, recipient: str) -> None:
        """Raises: CannotStart for a recipient's key that is none."""
        self.vault = Vault(key)
        self._names = FileSeal(key)
        self.trail_key = hmac.digest(key, b"records: trail", "sha256")
        self._recipient = recipient
        if recipient:
            _recipient(recipient)

    @property
    def seals(self) -> bool:
        """Whether there is somebody to seal to."""
        return bool(self._recipient)

    def file_name(self, record: str, sha256: str) -> str:
        """Return the name of a record's file, which tells nothing."""
        return self._names.name(record, sha256)

    def wrap(self, key: bytes, record: str, key_number: int) -> bytes:
        """Return a record's key as it lies on the disk."""
        return self.vault.lock(key, _place(record, key_number))

    def unwrap(self, wrapped: bytes, record: str, key_number: int) -> bytes:
        """Return a record's key. Raises: NotOpened."""
        key = self.vault.open(wrapped, _place(record, key_number))
        if len(key) != KEY_BYTES:
            raise NotOpened
        return key

    def seal(self, key: bytes, record: str, key_number: int) -> bytes:
        """Return a record's key as only the recipient opens it."""
        to = _recipient(self._recipient)
        return to.public.encode() + to.seal(_place(record, key_number).encode()).seal(key, is_last=True)

    def lock_label(self, label: Label, record: str) -> bytes:
        """Return what lists show of a record as it lies on the disk."""
        words = {"doctor": label.doctor, "patient": label.patient, "reason": label.reason}
        return self.vault.lock(canonical(words), f"label {record}")

    def open_label(self, locked: bytes, record: str) -> Label:
        """Return what lists show of a record. Raises: NotOpened."""
        try:
            words = read_document(self.vault.open(locked, f"label {record}"), PLAIN_BYTES_MAX)
            assert isinstance(words, dict)  # noqa: S101 - what we locked
            return Label(words["patient"], words["doctor"], words["reason"])
        except (GatewayError, AssertionError, KeyError) as exc:
            raise NotOpened from exc


def new_key() -> bytes:
    """Return a key that nobody else has."""
    return secrets.token_bytes(KEY_BYTES)


def open_sealed(wrapped: bytes, secret: bytes, record: str, key_number: int) -> bytes:
    """Return a record's key that was sealed to whoever has this secret. Raises: NotOpened."""
    try:
        opening = Opening(
            wrapped[:_PUBLIC_CHARS].decode("ascii"), secret, _place(record, key_number).encode(), _PURPOSE
        )
        return opening.open(wrapped[_PUBLIC_CHARS:], is_last=True)
    except (ValueError, InvalidTag) as exc:
        raise NotOpened from exc


def lock_body(key: bytes, body: Body, record: str, entry_id: str, sequence: int) -> bytes:
    """Return an entry's body as it lies on the disk."""
    words = {"at": body.at_wall_s, "by": body.by.value, "fields": dict(body.fields), "kind": body.kind}
    return Vault(key).lock(canonical(words), f"entry {record} {entry_id} {sequence}")


def open_body(key: bytes, row: EntryRow, record: str) -> Body:
    """Return an entry's body. Raises: NotOpened."""
    try:
        words = read_document(Vault(key).open(row.body, f"entry {record} {row.id} {row.sequence}"), PLAIN_BYTES_MAX)
        assert isinstance(words, dict)  # noqa: S101 - what we locked
        return Body(words["kind"], Writer(words["by"]), words["at"], words["fields"])
    except (GatewayError, AssertionError, KeyError, ValueError) as exc:
        raise NotOpened from exc


def _place(record: str, key_number: int) -> str:
    return f"key {record} {key_number}"


def _recipient(key: str) -> Recipient:
    try:
        as_bytes(key)
        return Recipient(key, _PURPOSE)
    except ValueError as exc:
        raise CannotStart(
            N_("The key that records are sealed to is none."),
            N_("Set [clinic] recipient to what tambo clinic keygen printed."),
        ) from exc
