"""A broken journal is put aside, never away, and every whole row of it goes on in a new file; a former one likewise.

A crash in the middle changes nothing: the new file takes its place only when it is complete. After a break, receipt
numbers go on in a range of their own, since the highest one given may be among the rows that were lost. A file of a
former version that is whole is replaced; what it held in clear is in the new one under lock.
"""

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.durable.aside import BrokenReading, demand_damage, new_beside, put_aside, sync_folder, take_place
from gateway.durable.database import KEY_NOTE, Connect, damaged_text
from gateway.durable.seal import is_whole
from gateway.durable.vault import Vault
from gateway.market.journal.entries import Entries
from gateway.market.journal.former import COLUMNS_1, event_1, order_1
from gateway.market.journal.rows import COLUMNS
from gateway.market.journal.tables import Tables

MERCHANTS_PER_FILE = 500  # merchants' numbers begin here again after each broken file; 9,999 are enough for 19
_ROW_BYTES_MIN = 8  # bounds how many a file can hold; small, for numbers have gaps where orders were trimmed
_Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What could be read of a journal; `lost` rows are there and damaged."""

    orders: int
    events: int
    lost: int


def first_merchant(path: Path) -> int:
    """Return the number that the first new merchant gets: beyond all that broken journals may have given."""
    return 1 + MERCHANTS_PER_FILE * len(put_aside(path))


def salvage(path: Path, connect: Connect, vault: Vault) -> Salvaged:
    """Put a new journal with every whole row in the place of the broken one, which is kept beside it.

    Raises: sqlite3.Error, OSError when the new one cannot be written.
    """
    fresh = new_beside(path)
    salvaged = _write_fresh(path, fresh, connect, vault, with_merchants=False)
    take_place(path, fresh)
    return salvaged


def renew(path: Path, connect: Connect, vault: Vault) -> Salvaged:
    """Put a journal of the present form in the place of one that a former version wrote.

    Where a row of that is damaged it is kept beside the new one, as a broken one is.

    Raises: sqlite3.Error, OSError when the new one cannot be written.
    """
    with closing(connect(path)) as former:
        former.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    fresh = new_beside(path)
    renewed = _write_fresh(path, fresh, connect, vault, with_merchants=True)
    if renewed.lost:
        return salvage(path, connect, vault)
    for part in ("-wal", "-shm"):  # both empty: all of it is in the file
        Path(f"{path}{part}").unlink(missing_ok=True)
    fresh.rename(path)
    sync_folder(path.parent)
    return renewed


def _write_fresh(path: Path, fresh: Path, connect: Connect, vault: Vault, *, with_merchants: bool) -> Salvaged:
    with closing(Tables(connect(fresh), 1)) as into:
        into.prepare()
        with closing(connect(path)) as source, into.transaction():
            source.text_factory = damaged_text
            source.execute("PRAGMA writable_schema=ON")  # SQLite then reads files that are cut, or have a faulty schema
            copied = _Copy(source, into, vault, path.stat().st_size // _ROW_BYTES_MIN).run(with_merchants)
            Entries(into, vault, "").name_photos()
        into.settle_on_disk()
    return copied


class _Copy:
    """Every whole row of a journal of any version, in the tables of a new one."""

    def __init__(self, source: sqlite3.Connection, into: Tables, vault: Vault, rows_max: int) -> None:
        self._source = source
        self._into = into
        self._vault = vault
        self._reading = BrokenReading(source, rows_max)
        self._numbers: dict[str, int] = {}  # of the orders that were copied, by id
        self._copied: set[int] = set()

    def run(self, with_merchants: bool) -> Salvaged:
        is_former = self._is_former()
        orders, events = self._table("orders", is_former), self._table("events", is_former)
        if not is_former:
            self._table("revisions", is_former)
            self._table("trimmed", is_former)
            self._key_note()
        if with_merchants:
            self._merchants()
        return Salvaged(orders, events, self._reading.lost)

    def _is_former(self) -> bool:
        """Say whether version 1 wrote the file: only there an event names its order by the id."""
        try:
            self._source.execute("SELECT order_id FROM events LIMIT 1").fetchone()
        except sqlite3.DatabaseError as exc:
            demand_damage(exc)
            return not isinstance(exc, sqlite3.OperationalError)  # which it is where there is no such column
        return True

    def _table(self, table: str, is_former: bool) -> int:
        copied = 0
        for raw in self._reading.rows(table, (COLUMNS_1 if is_former else COLUMNS)[table]):
            row = self._present(table, raw) if is_former else (raw if is_whole(raw) else None)
            if row is None:
                self._reading.lost += 1
                continue
            if table in {"events", "revisions"} and row[0] not in self._copied:
                continue  # its order is lost, and its number may be given to another
            with suppress(sqlite3.IntegrityError):
                self._into.put(table, row)
                copied += 1
                if table == "orders":
                    self._numbers[str(row[1])] = int(str(row[0]))
                    self._copied.add(int(str(row[0])))
        return copied

    def _present(self, table: str, raw: _Row) -> _Row | None:
        return order_1(raw, self._vault) if table == "orders" else event_1(raw, self._numbers, self._vault)

    def _merchants(self) -> None:
        for row in self._source.execute("SELECT number, name, seal FROM merchants ORDER BY number"):
            if is_whole(row):
                self._into.connection.execute("INSERT INTO merchants (number, name, seal) VALUES (?,?,?)", row)

    def _key_note(self) -> None:
        """Keep which key the rows are locked with; what became of orders is asked for from the beginning."""
        try:
            row = self._source.execute("SELECT name, value, seal FROM notes WHERE name=?", (KEY_NOTE,)).fetchone()
        except sqlite3.DatabaseError as exc:
            demand_damage(exc)
            return
        if row is not None and is_whole(row):
            self._into.write_note(KEY_NOTE, row[1])
