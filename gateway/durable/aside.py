"""A broken file is put aside, never away; a new one takes its place only when it is complete, whatever cuts that short.

The new file is written beside the old one, renamed to its complete name, and only then the old one moves.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gateway.durable.database import is_damage

PARTS = ("-wal", "-shm", "")  # the file itself last: while it is there, the move is not complete
# a card that cannot read a sector any more says this; anything else is trouble around the file, like a full disk
_UNREADABLE = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS})


def put_aside(path: Path) -> list[Path]:
    """Return the broken files that lie beside this one."""
    return sorted(path.parent.glob(f"{path.stem}.damaged-*{path.suffix}"))


def new_beside(path: Path) -> Path:
    """Return where a new file is written that shall take the place of this one; nothing is there."""
    fresh = path.with_suffix(f".fresh{path.suffix}")
    for part in PARTS:
        Path(f"{fresh}{part}").unlink(missing_ok=True)
    return fresh


def take_place(path: Path, fresh: Path) -> None:
    """Let a new file that is whole and on disk take the place of this one, which is put aside."""
    fresh.rename(complete(path))
    sync_folder(path.parent)
    finish(path)


def finish(path: Path) -> None:
    """Finish what a crash cut short once the new file was complete; otherwise nothing changes."""
    fresh = complete(path)
    if not fresh.exists():
        return
    aside = path.with_suffix(f".damaged-{1 + len(put_aside(path))}{path.suffix}")
    for part in PARTS:
        with suppress(FileNotFoundError):
            Path(f"{path}{part}").rename(f"{aside}{part}")
    fresh.rename(path)
    sync_folder(path.parent)


def complete(path: Path) -> Path:
    """Return where a new file waits to take the place of this one."""
    return path.with_suffix(f".recovered{path.suffix}")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def demand_damage(error: sqlite3.DatabaseError) -> None:
    """Go on only where the file itself cannot be read: no row is given up for a disk that fails at the moment.

    Raises: the error.
    """
    if not (is_damage(error) or getattr(error, "sqlite_errorcode", None) in _UNREADABLE):
        raise error


class BrokenReading:
    """Reads what can be read of a broken file; `lost` counts what cannot."""

    def __init__(self, source: sqlite3.Connection, rows_max: int, misses_max: int | None = None) -> None:
        """Where the highest number cannot be read, `rows_max` bounds those looked for, `misses_max` those in a row."""
        self._source = source
        self._rows_max = rows_max
        self._misses_max = misses_max
        self.lost = 0

    def rows(self, table: str, columns: str) -> Iterator[tuple[object, ...]]:
        """Yield every row of a table, each looked for by itself so that a broken page hides only its own."""
        highest, misses = self._highest(table), 0
        is_known = highest < self._rows_max
        for number in range(1, min(highest, self._rows_max) + 1):
            misses += 1
            if not is_known and self._misses_max is not None and misses > self._misses_max:
                return
            try:
                row = self._source.execute(f"SELECT {columns} FROM {table} WHERE number=?", (number,)).fetchone()  # noqa: S608
            except sqlite3.DatabaseError as exc:
                demand_damage(exc)
                self.lost += 1
                continue
            if row is not None:
                misses = 0
                yield row

    def _highest(self, table: str) -> int:
        try:
            self._source.execute("SELECT name FROM sqlite_master").fetchall()
        except sqlite3.DatabaseError as exc:
            demand_damage(exc)
            self.lost += 1
            return 0  # no table can be read
        try:
            return int(self._source.execute(f"SELECT max(number) FROM {table}").fetchone()[0] or 0)  # noqa: S608
        except sqlite3.DatabaseError as exc:
            demand_damage(exc)
            return self._rows_max
