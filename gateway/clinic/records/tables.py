"""The records' tables: entries and audit lines are added, never changed; a commit is on disk on return.

Deleted are records past their time, the older states of one, a damaged row that came again whole, and the box's copy of
a key that was sealed to the recipient.
"""

from collections.abc import Iterator

from gateway.clinic.records.rows import (
    COLUMNS,
    STATES_KEPT,
    AuditRow,
    EntryRow,
    FileRow,
    KeyRow,
    LabelRow,
    RecordRow,
    StateRow,
)
from gateway.durable.database import Database
from gateway.durable.seal import seal
from gateway.errors import N_, CannotStart

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, began_wall_s REAL NOT NULL, seal BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS states (
    number INTEGER PRIMARY KEY, record_number INTEGER NOT NULL, sequence INTEGER NOT NULL, stage TEXT NOT NULL,
    handover TEXT NOT NULL, ticket INTEGER NOT NULL, day TEXT NOT NULL, due_wall_s REAL, urgency TEXT NOT NULL,
    tries INTEGER NOT NULL, next_wall_s REAL NOT NULL, queued_wall_s REAL NOT NULL, sent_key INTEGER NOT NULL,
    wall_s REAL NOT NULL, seal BLOB NOT NULL, UNIQUE (record_number, sequence));
CREATE TABLE IF NOT EXISTS labels (number INTEGER PRIMARY KEY, locked BLOB NOT NULL, seal BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS keys (
    number INTEGER PRIMARY KEY, record_number INTEGER NOT NULL, key_number INTEGER NOT NULL, copy INTEGER NOT NULL,
    is_sealed INTEGER NOT NULL, wrapped BLOB NOT NULL, seal BLOB NOT NULL, UNIQUE (record_number, key_number, copy));
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY, record_number INTEGER NOT NULL, sequence INTEGER NOT NULL, key_number INTEGER NOT NULL,
    id TEXT NOT NULL, kept_wall_s REAL NOT NULL, body BLOB NOT NULL, seal BLOB NOT NULL,
    UNIQUE (record_number, sequence), UNIQUE (record_number, id));
CREATE TABLE IF NOT EXISTS files (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, record_number INTEGER NOT NULL, key_number INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL, kept_bytes INTEGER NOT NULL, is_named INTEGER NOT NULL, is_sent INTEGER NOT NULL,
    seal BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS files_of_record ON files (record_number);
CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY, record TEXT NOT NULL, wall_s REAL NOT NULL, boot TEXT NOT NULL, writer TEXT NOT NULL,
    name TEXT NOT NULL, what TEXT NOT NULL, previous BLOB NOT NULL, hash BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS audit_of_record ON audit (record, number);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL, seal BLOB NOT NULL);
"""
_OF_RECORD = ("states", "keys", "entries", "files")


class RecordTables(Database):
    """An open file of records."""

    schema = _SCHEMA
    version = SCHEMA_VERSION

    def refuse_newer(self) -> None:
        """Say that a newer program wrote the file. Raises: CannotStart."""
        raise CannotStart(
            N_("The clinic's records were written by a newer version of this program."),
            N_("Install that version again; no record is lost."),
        )

    def records(self) -> Iterator[RecordRow]:
        """Yield what began, whole or not."""
        return map(RecordRow._make, self._select("records", "1 ORDER BY number"))

    def states(self) -> Iterator[StateRow]:
        """Yield all states, by record and in their order, whole or not."""
        return map(StateRow._make, self._select("states", "1 ORDER BY record_number, sequence"))

    def states_of(self, record_number: int) -> list[StateRow]:
        """Return a record's last states in their order, whole or not."""
        return [*map(StateRow._make, self._select("states", "record_number=? ORDER BY sequence", record_number))]

    def label(self, record_number: int) -> LabelRow | None:
        """Return what lists show of a record, whole or not."""
        return next(map(LabelRow._make, self._select("labels", "number=?", record_number)), None)

    def keys(self, record_number: int) -> list[KeyRow]:
        """Return all copies of a record's keys, whole or not."""
        order = "record_number=? ORDER BY key_number, copy"
        return [*map(KeyRow._make, self._select("keys", order, record_number))]

    def entries(self, record_number: int, after: int = 0) -> list[EntryRow]:
        """Return a record's entries in their order, whole or not."""
        order = "record_number=? AND sequence>? ORDER BY sequence"
        return [*map(EntryRow._make, self._select("entries", order, record_number, after))]

    def entry(self, record_number: int, entry_id: str) -> EntryRow | None:
        """Return an entry, whole or not."""
        found = self._select("entries", "record_number=? AND id=?", record_number, entry_id)
        return next(map(EntryRow._make, found), None)

    def files(self, record_number: int) -> list[FileRow]:
        """Return a record's files, whole or not."""
        return [*map(FileRow._make, self._select("files", "record_number=? ORDER BY number", record_number))]

    def file(self, name: str) -> FileRow | None:
        """Return how much there is of a file, whole or not."""
        return next(map(FileRow._make, self._select("files", "name=?", name)), None)

    def audit(self, record: str | None, limit: int) -> list[AuditRow]:
        """Return the newest lines of the trail, newest first; of one record, or all."""
        where, values = ("record=?", (record,)) if record is not None else ("1", ())
        return [*map(AuditRow._make, self._select("audit", f"{where} ORDER BY number DESC LIMIT ?", *values, limit))]

    def put(self, table: str, row: tuple[object, ...]) -> None:
        """Write a row as it is."""
        places = ",".join("?" * len(row))
        self.connection.execute(f"INSERT INTO {table} ({COLUMNS[table]}) VALUES ({places})", row)  # noqa: S608

    def put_sealed(self, table: str, values: tuple[object, ...]) -> None:
        """Write a row with its seal."""
        self.put(table, (*values, seal(values)))

    def put_label(self, record_number: int, locked: bytes) -> None:
        """Write what lists show of a record, in the place of what was there."""
        self.connection.execute("DELETE FROM labels WHERE number=?", (record_number,))
        self.put_sealed("labels", (record_number, locked))

    def put_file(self, values: tuple[object, ...]) -> None:
        """Write how much there is of a file, in the place of what was there; its name comes first."""
        self.connection.execute("DELETE FROM files WHERE name=?", values[:1])
        self.put_sealed("files", values)

    def trim_states(self, record_number: int, sequence: int) -> None:
        """Delete the states of a record that are not among its last."""
        oldest = sequence - STATES_KEPT
        self.connection.execute("DELETE FROM states WHERE record_number=? AND sequence<=?", (record_number, oldest))

    def remove_key(self, record_number: int, key_number: int) -> None:
        """Delete all copies of a key; what they were is overwritten."""
        self.connection.execute("DELETE FROM keys WHERE record_number=? AND key_number=?", (record_number, key_number))

    def remove_entry(self, record_number: int, entry_id: str) -> None:
        """Delete an entry."""
        self.connection.execute("DELETE FROM entries WHERE record_number=? AND id=?", (record_number, entry_id))

    def remove_file(self, name: str) -> None:
        """Delete what is known of a file."""
        self.connection.execute("DELETE FROM files WHERE name=?", (name,))

    def remove_record(self, record_number: int) -> None:
        """Delete all of a record but its lines of the trail."""
        for table in _OF_RECORD:
            self.connection.execute(f"DELETE FROM {table} WHERE record_number=?", (record_number,))  # noqa: S608
        for table in ("labels", "records"):
            self.connection.execute(f"DELETE FROM {table} WHERE number=?", (record_number,))  # noqa: S608

    def trim_audit(self, before: int, at_once: int) -> int:
        """Delete the oldest lines of the trail before a number, some at a time; return how many."""
        statement = (
            "DELETE FROM audit WHERE number IN (SELECT number FROM audit WHERE number<? ORDER BY number LIMIT ?)"
        )
        return self.connection.execute(statement, (before, at_once)).rowcount

    def entry_figures(self, record_number: int) -> tuple[int, int, float]:
        """Return how many entries a record has, the highest sequence, and when the last was kept; a look only."""
        statement = "SELECT count(*), coalesce(max(sequence), 0), coalesce(max(kept_wall_s), 0.0) FROM entries"
        found = self.connection.execute(f"{statement} WHERE record_number=?", (record_number,)).fetchone()
        return int(found[0]), int(found[1]), float(found[2])

    def file_bytes(self, record_number: int | None = None) -> int:
        """Return how many bytes a record's files take once they are whole; of all with None. A look only."""
        where, values = ("WHERE record_number=?", (record_number,)) if record_number is not None else ("", ())
        return int(self.one(f"SELECT sum(size_bytes) FROM files {where}", *values) or 0)  # noqa: S608

    def highest(self, table: str) -> int:
        """Return the highest number of a table, 0 for none."""
        return int(self.one(f"SELECT max(number) FROM {table}") or 0)  # noqa: S608

    def _select(self, table: str, where: str, *values: object) -> Iterator[tuple[object, ...]]:
        yield from self.connection.execute(f"SELECT {COLUMNS[table]} FROM {table} WHERE {where}", values)  # noqa: S608
