"""A broken file of records is put aside, never away, and every whole row of it goes on in a new one."""

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.clinic.records.rows import COLUMNS, AuditRow, audit_hash
from gateway.clinic.records.tables import RecordTables
from gateway.durable.aside import BrokenReading, demand_damage, new_beside, take_place
from gateway.durable.database import KEY_NOTE, Connect, damaged_text
from gateway.durable.seal import is_whole

ROWS_MAX = 1 << 40
MISSES_MAX = 50_000  # numbers without a row after which a table whose highest cannot be read is at its end


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What could be read; `lost` rows are there and damaged."""

    records: int
    entries: int
    lost: int


def salvage(path: Path, connect: Connect, trail_key: bytes) -> Salvaged:
    """Put a new file with every whole row in the place of the broken one, which is kept beside it.

    Raises: sqlite3.Error, OSError when the new one cannot be written.
    """
    fresh = new_beside(path)
    with closing(RecordTables(connect(fresh))) as into:
        into.prepare()
        with closing(connect(path)) as source, into.transaction():
            source.text_factory = damaged_text
            source.execute("PRAGMA writable_schema=ON")  # SQLite then reads files that are cut, or have a faulty schema
            copied = _copy(source, into, trail_key)
        into.settle_on_disk()
    take_place(path, fresh)
    return copied


def _copy(source: sqlite3.Connection, into: RecordTables, trail_key: bytes) -> Salvaged:
    reading, counts = BrokenReading(source, ROWS_MAX, MISSES_MAX), dict.fromkeys(COLUMNS, 0)
    for table, columns in COLUMNS.items():
        for row in reading.rows(table, columns):
            if not _is_good(table, row, trail_key):
                reading.lost += 1
                continue
            with suppress(sqlite3.IntegrityError):
                into.put(table, row)
                counts[table] += 1
    try:
        note = source.execute("SELECT name, value, seal FROM notes WHERE name=?", (KEY_NOTE,)).fetchone()
    except sqlite3.DatabaseError as exc:
        demand_damage(exc)
        note = None
    if note is not None and is_whole(note):
        into.write_note(KEY_NOTE, note[1])
    return Salvaged(counts["records"], counts["entries"], reading.lost)


def _is_good(table: str, row: tuple[object, ...], trail_key: bytes) -> bool:
    if table != "audit":
        return is_whole(row)
    try:
        return row[-1] == audit_hash(trail_key, AuditRow._make(row))
    except (TypeError, ValueError):
        return False
