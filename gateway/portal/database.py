"""The accounts' database: one file, readable by the box alone, whole after a power cut, shared with commands.

WAL with `synchronous=FULL` loses no commit (see ARCHITECTURE, measured); a writer waits for another, a command beside a
running box, up to `BUSY_S`.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import N_, CannotStart, LocalError
from gateway.portal.credentials import Role
from gateway.portal.people import Account

BUSY_S = 5.0
FILE_NAME = "accounts.sqlite3"
_FIRST = """
CREATE TABLE account (
    name TEXT PRIMARY KEY, role TEXT NOT NULL, password_hash TEXT, made_s REAL NOT NULL
) STRICT;
CREATE TABLE token (
    hash BLOB PRIMARY KEY, name TEXT NOT NULL REFERENCES account ON DELETE CASCADE, made_s REAL NOT NULL
) STRICT;
CREATE TABLE session (
    hash BLOB PRIMARY KEY, name TEXT NOT NULL REFERENCES account ON DELETE CASCADE,
    made_s REAL NOT NULL, seen_s REAL NOT NULL
) STRICT;
CREATE TABLE link (
    hash BLOB PRIMARY KEY, name TEXT NOT NULL REFERENCES account ON DELETE CASCADE, expires_s REAL NOT NULL,
    once INTEGER NOT NULL
) STRICT;
CREATE TABLE setup (only INTEGER PRIMARY KEY CHECK (only = 1), hash BLOB NOT NULL) STRICT;
CREATE INDEX token_name ON token (name);
CREATE INDEX session_name ON session (name);
"""
# Shops with cashiers, tokens one by one. Files of the first version have two shapes of `link`: the links are void.
_SHOPS = """
ALTER TABLE account ADD COLUMN shop TEXT REFERENCES account ON DELETE CASCADE;
ALTER TABLE account ADD COLUMN sees_totals INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN is_blocked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX account_shop ON account (shop);
CREATE VIEW person AS
SELECT account.name, account.role, account.made_s,
    CASE account.role WHEN 'merchant' THEN account.name ELSE coalesce(account.shop, '') END AS shop,
    account.sees_totals, account.is_blocked OR coalesce(owner.is_blocked, 0) AS is_blocked
FROM account LEFT JOIN account AS owner ON owner.name = account.shop;
ALTER TABLE token ADD COLUMN prefix TEXT NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN scope TEXT NOT NULL DEFAULT 'orders';
ALTER TABLE token ADD COLUMN used_on TEXT NOT NULL DEFAULT '';
UPDATE token SET prefix = lower(substr(hex(hash), 1, 12));
DROP INDEX token_name;
CREATE UNIQUE INDEX token_prefix ON token (name, prefix);
ALTER TABLE session ADD COLUMN token BLOB REFERENCES token ON DELETE CASCADE;
CREATE INDEX session_token ON session (token);
DROP TABLE link;
CREATE TABLE link (
    hash BLOB PRIMARY KEY, name TEXT NOT NULL REFERENCES account ON DELETE CASCADE, expires_s REAL NOT NULL,
    once INTEGER NOT NULL
) STRICT;
"""
# What a nurse types where a device was left alone.
_PINS = """
CREATE TABLE pin (
    name TEXT PRIMARY KEY REFERENCES account ON DELETE CASCADE, hash TEXT NOT NULL, tries INTEGER NOT NULL
) STRICT;
"""
_STEPS = (_FIRST, _SHOPS, _PINS)  # from version n to n + 1

PersonRow = tuple[str, str, float, str, int, int]


def account_of(row: PersonRow) -> Account:
    """Return the account that a row of `person` describes."""
    name, role, made_s, shop, sees_totals, is_blocked = row
    return Account(name, Role(role), made_s, shop, bool(sees_totals), bool(is_blocked))


class Database:
    """One connection, opened at first use; used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._turn = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection for reading.

        Raises: LocalError when the file cannot be used.
        """
        with self._turn:
            try:
                yield self._opened()
            except sqlite3.Error as exc:
                raise LocalError(N_("The accounts cannot be read or written now.")) from exc

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Hold a transaction that is on disk when the block ends, and never was when it raises.

        Raises: LocalError when the file cannot be used.
        """
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _open(self._path)
        return self._connection


def _open(path: Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite gives its WAL the same mode
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
                connection.execute(f"PRAGMA {pragma}")
            _migrate(connection)
        except BaseException:
            connection.close()  # a half-done migration is undone, and holds no lock
            raise
    except (OSError, sqlite3.Error) as exc:
        raise CannotStart(
            N_("The accounts' file cannot be used: %(path)s."),
            N_("Check its rights and the disk; if the file is damaged, put back a copy or move it away."),
            path=path,
        ) from exc
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")  # a command and the box may open a new file together
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for step in _STEPS[version:]:
        for statement in step.split(";"):
            connection.execute(statement)
    if version < len(_STEPS):
        connection.execute(f"PRAGMA user_version={len(_STEPS)}")
    connection.execute("COMMIT")
    if version > len(_STEPS):
        raise CannotStart(
            N_("The accounts' file was written by a newer version of Tambo: %(path)s."),
            N_("Install that version again, or put back a copy from before."),
            path=FILE_NAME,
        )
