"""A disk whose commits fail as told."""

import sqlite3
from pathlib import Path


class Disk:
    """Makes connections whose commits fail as told; `fails_after` the data is in the file, as after a failed fsync."""

    def __init__(self) -> None:
        self.fails_before = False
        self.fails_after = False
        self.fails_to_settle = False
        self.pages_max = 0
        self.opened = 0

    def connect(self, path: Path) -> sqlite3.Connection:
        disk = self
        self.opened += 1

        class Failing(sqlite3.Connection):
            def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
                if statement == "COMMIT" and disk.fails_before:
                    raise failure()
                if statement.startswith("PRAGMA wal_checkpoint") and disk.fails_to_settle:
                    raise failure()
                found = super().execute(statement, *values)  # type: ignore[arg-type]
                if statement == "COMMIT" and disk.fails_after:
                    raise failure()
                return found

        connection = sqlite3.connect(path, isolation_level=None, factory=Failing)
        if self.pages_max:
            connection.execute(f"PRAGMA max_page_count={self.pages_max}")
        return connection


def failure() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    return error
