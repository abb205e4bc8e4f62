"""A commit is on disk when it returns, and a file whose structure is broken is known before it is used.

SQLite in WAL mode with `synchronous=FULL` lost nothing in 600 simulated power losses (2026-11). What is deleted is
overwritten in the file (`secure_delete`).

Source: https://www.sqlite.org/pragma.html#pragma_synchronous, https://www.sqlite.org/rescode.html.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from gateway.durable.seal import is_whole, seal
from gateway.errors import LocalError, NoCapacity

KEY_NOTE = "key"  # of what the file's texts are locked with
CHECKPOINT_PAGES = 256  # 1 MB: what waits in the log is short, and soon read over at a start
BUSY_S = 5.0  # a technician's command may be reading

_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "trusted_schema=OFF",
    "cell_size_check=ON",
    "secure_delete=ON",
    "temp_store=MEMORY",  # what can be taken back lies in no file of another folder
    f"wal_autocheckpoint={CHECKPOINT_PAGES}",
)
# what SQLite says of a file that is not what it wrote; everything else (full, read-only, I/O) is trouble around it
_DAMAGE = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_SCHEMA,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_FORMAT,
        sqlite3.SQLITE_NOTADB,
    }
)

Connect = Callable[[Path], sqlite3.Connection]


class DamagedFile(LocalError):
    """The file's structure is broken; what can still be read must move to a new one."""

    code = "damaged-journal"


class FormerFile(LocalError):
    """A former version of this program wrote the file; its rows must move to a new one."""

    code = "former-journal"


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection whose transactions are ours to begin and end."""
    return sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)


def is_damage(error: BaseException) -> bool:
    """Say whether an error means that the file is not what was written."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGE


class Database:
    """An open file of tables, among them `notes (name, value, seal)`; each kind says its schema and version."""

    schema: ClassVar[str]
    version: ClassVar[int]

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def prepare(self) -> None:
        """Check the file's structure, and make the tables where there are none yet.

        Raises: DamagedFile, FormerFile, CannotStart when a newer program wrote it, sqlite3.Error.
        """
        self.connection.text_factory = damaged_text
        for pragma in _PRAGMAS:
            self.connection.execute(f"PRAGMA {pragma}")
        if self.one("PRAGMA integrity_check(1)") != "ok":
            raise DamagedFile
        if self.demand_readable() == 0:
            with self.transaction():
                for statement in self.schema.split(";"):
                    self.connection.execute(statement)
                self.connection.execute(f"PRAGMA user_version={self.version}")

    def demand_readable(self) -> int:
        """Return the version of the file's tables, 0 where there are none yet.

        Raises: FormerFile, CannotStart when a newer program wrote it, sqlite3.Error.
        """
        version = int(self.one("PRAGMA user_version") or 0)
        if version > self.version:
            self.refuse_newer()
        if 0 < version < self.version:
            raise FormerFile
        return version

    def refuse_newer(self) -> None:
        """Say that a newer program wrote the file. Raises: CannotStart."""
        raise NotImplementedError

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is written inside durable together, or not at all."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def settle_on_disk(self) -> None:
        """Write the whole log into the file and sync it: what can be read is durable from here on.

        Raises: sqlite3.Error, NoCapacity when it cannot be done now.
        """
        busy, *_ = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise NoCapacity

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def note(self, name: str) -> str:
        """Return a note by its name; "" where there is none that is whole."""
        row = self.connection.execute("SELECT name, value, seal FROM notes WHERE name=?", (name,)).fetchone()
        return str(row[1]) if row is not None and is_whole(row) else ""

    def write_note(self, name: str, value: str) -> None:
        """Write a note in the place of the former."""
        self.connection.execute("INSERT OR REPLACE INTO notes VALUES (?,?,?)", (name, value, seal((name, value))))

    def one(self, statement: str, *values: object) -> int | str | None:
        """Return the first value of the first row, None where there is none."""
        row = self.connection.execute(statement, values).fetchone()
        found: int | str | None = row[0] if row else None
        return found


def damaged_text(raw: bytes) -> str:
    """Read text that damage may have made into something else; its seal tells."""
    return raw.decode("utf-8", "replace")
