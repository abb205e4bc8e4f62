"""The ledger's file: usage records are added, never changed, each in the transaction that ends its interval.

SQLite in WAL mode with `synchronous=FULL`: what is committed outlasts a power cut, so no sequence is given twice. A
file that is not what was written is set aside, whole, and a new chain begins beside it with an id of its own and higher
numbers: sequences go on growing, for each chain counts within a billion of its own.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gateway.backhaul.account.record import SUMMED, Link, UsageRecord
from gateway.errors import N_, CannotStart

FILE = "usage.sqlite3"
SCHEMA_VERSION = 1
CHAIN_RECORDS_MAX = 1_000_000_000  # 64 tenants for 400 years
CHECKED_AT_START = 200  # last records whose hashes are checked: what a torn write would have hit
PAGE_ROWS = 500
BUSY_S = 5.0  # a technician's command may be reading
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    sequence INTEGER PRIMARY KEY, start_s INTEGER NOT NULL, end_s INTEGER NOT NULL, tenant TEXT NOT NULL,
    record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS records_by_start ON records (start_s);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS reports (number INTEGER PRIMARY KEY AUTOINCREMENT, document TEXT NOT NULL);
"""
# Small pages, for a minute's writing changes one: 8 MB a day of two tenants on the card instead of 19 (2026-11).
_PRAGMAS = ("page_size=1024", "journal_mode=WAL", "synchronous=FULL", "trusted_schema=OFF", "cell_size_check=ON")
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA})
_PARTS = ("-wal", "-shm", "")  # the file itself last: while it is there, the move is not complete

Connect = Callable[[Path], sqlite3.Connection]


class DamagedLedger(Exception):
    """The file is not what was written."""


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection whose transactions are ours to begin and end."""
    return sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a connection that cannot change the file, beside the box that writes it."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=BUSY_S)


def aside(path: Path) -> list[Path]:
    """Return the damaged ledgers that lie beside this one."""
    return sorted(path.parent.glob(f"{path.stem}.damaged-*{path.suffix}"))


def set_aside(path: Path) -> None:
    """Move a damaged ledger out of the way; nothing of it is changed."""
    numbers = [int(each.stem.rpartition("-")[2]) for each in aside(path) if each.stem.rpartition("-")[2].isdigit()]
    away = path.with_name(f"{path.stem}.damaged-{1 + max(numbers, default=0)}{path.suffix}")
    for part in _PARTS:
        with suppress(FileNotFoundError):
            Path(f"{path}{part}").rename(f"{away}{part}")


def is_damage(error: BaseException) -> bool:
    """Say whether an error means that the file is not what was written."""
    if isinstance(error, DamagedLedger):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGE


class Tables:
    """An open ledger file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def prepare(self) -> None:
        """Check the file and bring its tables to the present version.

        Raises: DamagedLedger, CannotStart when a newer program wrote it, sqlite3.Error.
        """
        for pragma in _PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}")
        if self._one("PRAGMA quick_check(1)") != "ok":
            raise DamagedLedger
        version = int(self._one("PRAGMA user_version") or 0)
        if version > SCHEMA_VERSION:
            raise CannotStart(
                N_("The account of the link was written by a newer version of this program."),
                N_("Install that version again; nothing of the account is lost."),
            )
        if version < SCHEMA_VERSION:
            with self.transaction():
                for statement in _SCHEMA.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is written inside durable together, or not at all."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def state(self, name: str) -> Any:
        """Return what is kept under a name, None where nothing is.

        Raises: DamagedLedger where it cannot be read.
        """
        found = self._one("SELECT document FROM state WHERE name=?", name)
        try:
            return None if found is None else json.loads(found)
        except (TypeError, ValueError) as exc:
            raise DamagedLedger from exc

    def keep_state(self, name: str, document: object) -> None:
        """Keep a document under a name, in place of the one before."""
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
        self._connection.execute(  # in its place: a replaced row would write a second page, of the index
            "INSERT INTO state VALUES (?,?) ON CONFLICT (name) DO UPDATE SET document=excluded.document", (name, text)
        )

    def add(self, record: UsageRecord, start_s: int, end_s: int) -> None:
        """Write a record."""
        text = json.dumps(dict(record.values), separators=(",", ":"), ensure_ascii=False)
        row = (record.link.sequence, start_s, end_s, record.values["tenant"], text)
        self._connection.execute("INSERT INTO records VALUES (?,?,?,?,?)", row)

    def last(self, count: int = 1) -> list[UsageRecord]:
        """Return the last records, oldest first.

        Raises: DamagedLedger where one cannot be read.
        """
        rows = self._connection.execute("SELECT record FROM records ORDER BY sequence DESC LIMIT ?", (count,))
        found = [_record(text) for (text,) in reversed(rows.fetchall())]
        if None in found:
            raise DamagedLedger
        return [each for each in found if each is not None]

    def sequences(self, from_s: int, to_s: int) -> tuple[int, int] | None:
        """Return the first and the last record that touch a time, so that all between them are one chain's piece."""
        first, last = self._connection.execute(
            "SELECT min(sequence), max(sequence) FROM records WHERE end_s > ? AND start_s < ?", (from_s, to_s)
        ).fetchone()
        return None if first is None else (int(first), int(last))

    def records(self, first: int, last: int) -> Iterator[UsageRecord | None]:
        """Yield records by their sequence, None for one that cannot be read, some at a time: the file may grow."""
        while rows := self._connection.execute(
            "SELECT sequence, record FROM records WHERE sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?",
            (first, last, PAGE_ROWS),
        ).fetchall():
            yield from (_record(text) for _, text in rows)
            first = int(rows[-1][0]) + 1

    def sums(self, from_s: int, to_s: int, after: int) -> list[tuple[str, int, tuple[int, ...]]]:
        """Return of each tenant the most devices and the sums of `SUMMED`, over the records after a number whose
        interval began in a time, as far as they can be read; by SQLite itself: a month may have 200,000 of them."""
        rows = self._connection.execute(
            f"SELECT tenant, max({_number('devices')}), {', '.join(f'sum({_number(each)})' for each in SUMMED)}"  # noqa: S608 - names of our own
            " FROM records WHERE sequence > ? AND start_s >= ? AND start_s < ? AND json_valid(record)"
            " GROUP BY tenant ORDER BY tenant",
            (after, from_s, to_s),
        )
        return [(str(tenant), int(devices), tuple(map(int, sums))) for tenant, devices, *sums in rows]

    def drop_before(self, end_s: int, now_s: int, records_max: int) -> Link | None:
        """Remove the oldest records, from the first on, while their interval ended before; return the last of them.

        One that is dated after now is as old as the one that follows it: a clock was wrong then.
        """
        oldest = self._connection.execute("SELECT sequence, start_s, end_s FROM records ORDER BY sequence")
        old: list[int] = []
        for sequence, start_s, ended_s in oldest:
            if len(old) >= records_max or (end_s <= ended_s and start_s <= now_s):
                break
            if ended_s < end_s:
                old.append(int(sequence))
        oldest.close()
        dropped = _record(self._one("SELECT record FROM records WHERE sequence=?", old[-1])) if old else None
        if dropped is None:
            return None
        self._connection.execute("DELETE FROM records WHERE sequence <= ?", (dropped.link.sequence,))
        return dropped.link

    def since_s(self) -> int | None:
        """Return when the oldest interval began, None where there is none."""
        found = self._one("SELECT start_s FROM records ORDER BY sequence LIMIT 1")
        return None if found is None else int(found)

    def add_report(self, document: object) -> None:
        """Put a report at the end of those that wait for their acknowledgement."""
        self._connection.execute("INSERT INTO reports (document) VALUES (?)", (json.dumps(document),))

    def first_report(self) -> tuple[int, Any] | None:
        """Return the oldest report that waits, and its number.

        Raises: ValueError where it cannot be read.
        """
        found = self._connection.execute("SELECT number, document FROM reports ORDER BY number LIMIT 1").fetchone()
        return None if found is None else (int(found[0]), json.loads(found[1]))

    def drop_reports(self) -> None:
        """Remove all reports that wait."""
        self._connection.execute("DELETE FROM reports")

    def drop_report(self, number: int) -> None:
        """Remove a report that was acknowledged."""
        self._connection.execute("DELETE FROM reports WHERE number=?", (number,))

    def reports(self) -> int:
        """Return how many reports wait."""
        return int(self._one("SELECT count(*) FROM reports") or 0)

    def _one(self, query: str, *values: object) -> Any:
        found = self._connection.execute(query, values).fetchone()
        return None if found is None else found[0]


def _number(name: str) -> str:
    return f"coalesce(json_extract(record, '$.{name}'), 0)"


def _record(text: object) -> UsageRecord | None:
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return UsageRecord.read(found) if isinstance(found, dict) else None
