"""A copy of the journal is whole and checked, or it is none; putting one back deletes nothing, gives no number twice.

The copy is made in one read of SQLite's, so a box that runs goes on writing beside it. After a copy was put back,
merchants' receipts begin in a range of their own: which numbers were given since the copy was made nobody can know.

Source: https://www.sqlite.org/backup.html, https://www.sqlite.org/wal.html.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.durable.aside import complete, finish, put_aside, sync_folder
from gateway.durable.database import BUSY_S, damaged_text, is_damage
from gateway.durable.seal import is_whole, seal
from gateway.durable.vault import Vault
from gateway.errors import N_, CannotStart, Conflict
from gateway.market.journal.rows import COLUMNS
from gateway.market.journal.salvage import MERCHANTS_PER_FILE
from gateway.market.journal.tables import MERCHANTS_MAX, SCHEMA_VERSION

_ALL: tuple[tuple[str, str], ...] = (
    *COLUMNS.items(),
    ("merchants", "number, name, seal"),
    ("notes", "name, value, seal"),
)
_RANGE_TAKEN = ""  # in the place of a merchant's name: numbers up to here may have been given


@dataclass(frozen=True, slots=True)
class Copy:
    """What is in a copy; `damaged` rows are there and not what was written."""

    orders: int
    damaged: int
    size_bytes: int


def back_up(path: Path, to: Path, vault: Vault) -> Copy:
    """Return what is in a new copy of a journal, which is on disk; the journal may be in use.

    Raises: Conflict when there is a file of that name, CannotStart.
    """
    with _told(to):
        _make_new(to)
        try:
            with closing(_read_only(path)) as source, closing(sqlite3.connect(to, isolation_level=None)) as copy:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
            _sync(to)
            return check_copy(to, vault)
        except BaseException:
            to.unlink(missing_ok=True)
            raise


def check_copy(path: Path, vault: Vault) -> Copy:
    """Return what is in a copy, when its structure is whole and the box's key opens it.

    Raises: CannotStart.
    """
    with _told(path), closing(_read_only(path)) as copy:
        copy.text_factory = damaged_text
        version = copy.execute("PRAGMA user_version").fetchone()[0]
        if copy.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok" or version != SCHEMA_VERSION:
            raise _no_copy(path)
        damaged = sum(not is_whole(row) for each in _ALL for row in _rows(copy, *each))
        key = copy.execute("SELECT name, value, seal FROM notes WHERE name='key'").fetchone()
        if key is None or not is_whole(key) or key[1] != vault.fingerprint():
            raise CannotStart(
                N_("The copy of the journal was locked with another key: %(path)s."),
                N_("Put the file `key` that was kept with it into the data directory first."),
                path=path,
            )
        orders = copy.execute("SELECT count(*) FROM orders").fetchone()[0]
    return Copy(orders, damaged, path.stat().st_size)


def restore(path: Path, copy: Path, vault: Vault) -> Path | None:
    """Put a copy in the place of a journal that nobody uses; return where that lies now, None where there was none.

    A crash in the middle changes nothing, or is finished at the next start.

    Raises: CannotStart.
    """
    check_copy(copy, vault)
    fresh = path.with_suffix(f".restored{path.suffix}")
    with _told(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        finish(path)
        before = set(put_aside(path))
        for part in ("", "-wal", "-shm", "-journal"):
            Path(f"{fresh}{part}").unlink(missing_ok=True)
        _make_new(fresh)
        with closing(_read_only(copy)) as source, closing(sqlite3.connect(fresh, isolation_level=None)) as into:
            source.backup(into)
            into.execute("PRAGMA journal_mode=DELETE")
            _begin_a_range(into)
        _sync(fresh)
        check_copy(fresh, vault)
        fresh.rename(complete(path))
        sync_folder(path.parent)
        finish(path)
        return next(iter(set(put_aside(path)) - before), None)


def _begin_a_range(connection: sqlite3.Connection) -> None:
    """Let every merchant have a new number, beyond all that may have been given since the copy was made."""
    highest = connection.execute(
        "SELECT max(n) FROM (SELECT max(number) AS n FROM merchants UNION ALL SELECT max(merchant_number) FROM orders"
        " UNION ALL SELECT max(merchant_number) FROM trimmed)"
    ).fetchone()[0]
    taken = min((int(highest or 0) // MERCHANTS_PER_FILE + 1) * MERCHANTS_PER_FILE, MERCHANTS_MAX)
    values = (taken, _RANGE_TAKEN)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM merchants")
    connection.execute("INSERT INTO merchants (number, name, seal) VALUES (?, ?, ?)", (*values, seal(values)))
    connection.execute("COMMIT")


def _rows(connection: sqlite3.Connection, table: str, columns: str) -> Iterator[tuple[object, ...]]:
    yield from connection.execute(f"SELECT {columns} FROM {table}")  # noqa: S608 - names of our own


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=BUSY_S)


def _make_new(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
        with suppress(OSError):  # what is checked next is read from the disk
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)
    sync_folder(path.absolute().parent)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in a sentence what the disk or SQLite says."""
    try:
        yield
    except FileExistsError as exc:
        raise Conflict(
            N_("There is a file of this name already."), N_("It was left as it is. Name another one.")
        ) from exc
    except (sqlite3.Error, OSError) as exc:
        if is_damage(exc):
            raise _no_copy(path) from exc
        raise CannotStart(
            N_("The file cannot be used: %(path)s (%(reason)s)."),
            N_("Check its path, its rights and the room on the disk."),
            path=path,
            reason=exc.strerror if isinstance(exc, OSError) else type(exc).__name__,
        ) from exc


def _no_copy(path: Path) -> CannotStart:
    return CannotStart(
        N_("This is no whole copy of a journal of orders: %(path)s."),
        N_("Nothing was changed. Use another copy."),
        path=path,
    )
