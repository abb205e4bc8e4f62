"""A record's keys as they lie in the file: two copies of each, the first whole one is believed."""

from collections.abc import Iterator
from itertools import groupby

from gateway.clinic.records.locks import Locks, new_key
from gateway.clinic.records.rows import COPIES, KeyRow
from gateway.clinic.records.standing import Standing
from gateway.clinic.records.tables import RecordTables
from gateway.durable.seal import is_whole
from gateway.durable.vault import NotOpened


class KeyRing:
    """The keys; owned by the thread of the file. `owes_erasure`: the log may still hold what was sealed."""

    def __init__(self, tables: RecordTables, locks: Locks, damaged: set[object]) -> None:
        self._tables = tables
        self._locks = locks
        self._damaged = damaged
        self.owes_erasure = False

    def new(self, standing: Standing, key_number: int) -> bytes:
        """Return a new key, which is written."""
        key = new_key()
        self._write(standing, key_number, self._locks.wrap(key, standing.id, key_number), is_sealed=False)
        return key

    def open(self, standing: Standing) -> dict[int, bytes | None]:
        """Return a record's keys by their number; None for one that is damaged. Sealed ones are left out."""
        found: dict[int, bytes | None] = {}
        for key_number, rows in self._rows(standing):
            whole = [row for row in rows if is_whole(row)]
            if len(whole) < len(rows):
                self._damaged.add(("key", standing.number, key_number))
            if any(row.is_sealed for row in whole):
                continue
            found[key_number] = None
            for row in whole:
                try:
                    found[key_number] = self._locks.unwrap(row.wrapped, standing.id, key_number)
                except NotOpened:
                    self._damaged.add(("key", standing.number, key_number))
                else:
                    break
        return found

    def sealed(self, standing: Standing) -> dict[int, bytes]:
        """Return what was sealed to the recipient, by the keys' numbers."""
        rows = (row for _, rows in self._rows(standing) for row in rows)
        return {row.key_number: bytes(row.wrapped) for row in rows if is_whole(row) and row.is_sealed}

    def current(self, standing: Standing) -> tuple[int, bytes]:
        """Return the key for what is written now; a new one where the last was given to the link, or is no use."""
        rows = self._tables.keys(standing.number)
        last = max((row.key_number for row in rows), default=0)
        key = self.open(standing).get(last)
        if key is not None and last > standing.sent_key:
            return last, key
        number = max(last, standing.sent_key) + 1
        return number, self.new(standing, number)

    def last(self, standing: Standing) -> int:
        """Return the highest number of a record's keys."""
        return max((row.key_number for row in self._tables.keys(standing.number)), default=0)

    def seal(self, standing: Standing, up_to: int) -> bool:
        """Let keys up to this number open for the recipient alone; say whether one did not before."""
        is_new = False
        for key_number, key in self.open(standing).items():
            if key_number > up_to:
                continue
            self._tables.remove_key(standing.number, key_number)
            wrapped = self._locks.seal(key, standing.id, key_number) if key is not None else b""
            self._write(standing, key_number, wrapped, is_sealed=True)
            self.owes_erasure = is_new = True
        return is_new

    def _write(self, standing: Standing, key_number: int, wrapped: bytes, *, is_sealed: bool) -> None:
        for copy in range(COPIES):
            self._tables.put_sealed("keys", (standing.number, key_number, copy, int(is_sealed), wrapped))

    def _rows(self, standing: Standing) -> Iterator[tuple[int, list[KeyRow]]]:
        for number, rows in groupby(self._tables.keys(standing.number), key=lambda row: row.key_number):
            yield number, [*rows]
