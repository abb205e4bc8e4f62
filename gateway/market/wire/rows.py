"""A batch's rows are checked end to end: each order by its hash, all of them together by one digest. Pure.

Source: RFC 8785 (canonical JSON), FIPS 180-4 (SHA-256).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.document import canonical

Row = Mapping[str, object]
ADDED = frozenset({"receipt", "recorded_at", "merchant", "hash", "revision", "cancelled"})  # to the merchant's order
_NOT_HASHED = ADDED - {"merchant"}


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch as a marketplace reads it; `digest` is over all of its rows."""

    box: str
    batch: str
    orders: tuple[object, ...]
    digest: str


def row_hash(row: Row) -> str:
    """Return the hash that belongs in an order's row: over the order and its merchant as they stand there.

    Raises: ValueError when the row cannot be written.
    """
    content = canonical({name: value for name, value in row.items() if name not in _NOT_HASHED})
    return hashlib.sha256(content).hexdigest()


def digest(rows: Sequence[object]) -> str:
    """Return the SHA-256, in hex, of the canonical JSON of rows with their hashes.

    Raises: ValueError when a row cannot be written.
    """
    return hashlib.sha256(canonical(list(rows))).hexdigest()
