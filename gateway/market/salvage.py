"""A broken journal is put aside, never away, and every whole row of it goes on in a new file.

A crash in the middle changes nothing: the new file takes its place only when it is complete. Receipt numbers go on in a
range of their own, since the highest one given may be among the rows that were lost.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.market.records import EventRow, OrderRow, is_whole
from gateway.market.tables import EVENT, ORDER, Connect, Tables, damaged_text

MERCHANTS_PER_FILE = 500  # merchants' numbers begin here again after each broken file; 9,999 are enough for 19
_ROW_BYTES_MIN = 32  # no row of ours is smaller: bounds how many a file can hold
_PARTS = ("-wal", "-shm", "")  # the file itself last: while it is there, the move is not complete


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What could be read of a broken journal."""

    orders: int
    events: int


def put_aside(path: Path) -> list[Path]:
    """Return the broken journals that lie beside this one."""
    return sorted(path.parent.glob(f"{path.stem}.damaged-*{path.suffix}"))


def first_merchant(path: Path) -> int:
    """Return the number that the first new merchant gets: beyond all that broken journals may have given."""
    return 1 + MERCHANTS_PER_FILE * len(put_aside(path))


def salvage(path: Path, connect: Connect) -> Salvaged:
    """Put a new journal with every whole row in the place of the broken one, which is kept beside it.

    Raises: sqlite3.Error, OSError when the new one cannot be written.
    """
    fresh = path.with_suffix(f".fresh{path.suffix}")
    for part in _PARTS:
        Path(f"{fresh}{part}").unlink(missing_ok=True)
    with closing(Tables(connect(fresh), 1)) as into:
        into.prepare()
        with into.transaction():
            salvaged = _copy(path, connect, into)
        into.settle_on_disk()
    fresh.rename(_complete(path))
    sync_folder(path.parent)
    finish(path)
    return salvaged


def finish(path: Path) -> None:
    """Finish a salvage that a crash cut short once its new file was complete; otherwise nothing changes."""
    complete = _complete(path)
    if not complete.exists():
        return
    aside = path.with_suffix(f".damaged-{1 + len(put_aside(path))}{path.suffix}")
    for part in _PARTS:
        with suppress(FileNotFoundError):
            Path(f"{path}{part}").rename(f"{aside}{part}")
    complete.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _complete(path: Path) -> Path:
    return path.with_suffix(f".recovered{path.suffix}")


def _copy(path: Path, connect: Connect, into: Tables) -> Salvaged:
    orders = events = 0
    with closing(connect(path)) as broken:
        broken.text_factory = damaged_text
        broken.execute("PRAGMA writable_schema=ON")  # SQLite then reads files that are cut, or whose schema has faults
        rows_max = path.stat().st_size // _ROW_BYTES_MIN
        for row in _whole(broken, "orders", ORDER, rows_max):
            with suppress(sqlite3.IntegrityError):
                into.put_order(OrderRow._make(row))
                orders += 1
        for row in _whole(broken, "events", EVENT, rows_max):
            with suppress(sqlite3.IntegrityError):
                into.put_event(EventRow._make(row))
                events += 1
    return Salvaged(orders, events)


def _whole(broken: sqlite3.Connection, table: str, columns: str, rows_max: int) -> Iterator[tuple[object, ...]]:
    """Yield every whole row of a table, each looked for by itself so that a broken page hides only its own."""
    for number in range(1, min(_highest(broken, table, rows_max), rows_max) + 1):
        try:
            row = broken.execute(f"SELECT {columns} FROM {table} WHERE number=?", (number,)).fetchone()  # noqa: S608
        except sqlite3.DatabaseError:
            continue
        if row is not None and is_whole(row):
            yield row


def _highest(broken: sqlite3.Connection, table: str, rows_max: int) -> int:
    try:
        broken.execute("SELECT name FROM sqlite_master").fetchall()
    except sqlite3.DatabaseError:
        return 0  # no table can be read
    try:
        return int(broken.execute(f"SELECT max(number) FROM {table}").fetchone()[0] or 0)  # noqa: S608
    except sqlite3.DatabaseError:
        return rows_max
