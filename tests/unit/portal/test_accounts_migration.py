"""A file of any earlier version opens with everybody in it, and with what they hold."""

import sqlite3
from pathlib import Path

import pytest

from gateway.errors import CannotStart
from gateway.portal.accounts import Accounts
from gateway.portal.credentials import Role, fingerprint
from gateway.portal.database import FILE_NAME
from gateway.portal.passwords import hashed
from gateway.portal.people import Scope
from gateway.portal.sessions import Sessions
from tests.clocks import HandClock

PASSWORD = "seis llamas al alba"
TOKEN = "tambo_" + "t" * 43
VERSION_1 = """
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
    hash BLOB PRIMARY KEY, name TEXT NOT NULL REFERENCES account ON DELETE CASCADE, expires_s REAL NOT NULL%s
) STRICT;
CREATE TABLE setup (only INTEGER PRIMARY KEY CHECK (only = 1), hash BLOB NOT NULL) STRICT;
CREATE INDEX token_name ON token (name);
CREATE INDEX session_name ON session (name);
PRAGMA user_version=1;
"""


def old_file(folder: Path, clock: HandClock, link: str) -> None:
    """Write a file as the first version did, with a merchant, a technician, two tokens and a session."""
    now_s = clock.wall_s()
    connection = sqlite3.connect(folder / FILE_NAME, isolation_level=None)
    connection.executescript("PRAGMA journal_mode=WAL;" + VERSION_1 % link)
    connection.execute("INSERT INTO account VALUES ('ana', 'merchant', ?, ?)", (hashed(PASSWORD), now_s))
    connection.execute("INSERT INTO account VALUES ('teo', 'technician', NULL, ?)", (now_s,))
    for token in (TOKEN, "tambo_" + "u" * 43):
        connection.execute("INSERT INTO token VALUES (?, 'ana', ?)", (fingerprint(token), now_s))
    connection.execute("INSERT INTO session VALUES (?, 'ana', ?, ?)", (fingerprint("s"), now_s, now_s))
    connection.close()


@pytest.mark.parametrize("link", ["", ",\n    once INTEGER NOT NULL"])
def test_a_file_of_the_first_version_keeps_people_passwords_tokens_and_sessions(
    tmp_path: Path, clock: HandClock, link: str
) -> None:
    old_file(tmp_path, clock, link)
    accounts = Accounts(tmp_path, clock)
    ana = accounts.check_password("ana", PASSWORD)
    assert ana is not None
    assert (ana.shop, ana.role, ana.is_blocked) == ("ana", Role.MERCHANT, False)
    assert not accounts.needs_setup()
    bearer = accounts.tokens.of(TOKEN)
    assert bearer is not None
    assert (bearer.account, bearer.token.scope, bearer.token.label) == (ana, Scope.ORDERS, "")
    assert Sessions(accounts.database, clock, 3_600).find("s") == ana
    first, second = (each.prefix for each in accounts.tokens.list("ana"))
    assert first != second, "each can be named, and revoked"
    accounts.tokens.revoke("ana", bearer.token.prefix)
    assert accounts.tokens.of(TOKEN) is None
    assert accounts.use_link(accounts.new_link("ana", 600)) == ana
    accounts.close()


def test_a_migrated_file_takes_cashiers_and_lets_them_go_with_the_merchant(tmp_path: Path, clock: HandClock) -> None:
    old_file(tmp_path, clock, "")
    for _ in range(2):  # the second opening finds nothing to do
        accounts = Accounts(tmp_path, clock)
        assert len(accounts.list()) >= 2
        accounts.close()
    accounts.add("pedro", Role.CASHIER, None, shop="ana")
    token = accounts.new_token("pedro")
    accounts.remove("ana")
    assert accounts.tokens.of(token) is None
    assert [each.name for each in accounts.list()] == ["teo"]
    accounts.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path, clock: HandClock) -> None:
    old_file(tmp_path, clock, "")
    connection = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    connection.execute("CREATE VIEW person AS SELECT 1")  # in the way of the last steps
    with pytest.raises(CannotStart):
        Accounts(tmp_path, clock).list()
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.execute("DROP VIEW person")
    connection.close()
    accounts = Accounts(tmp_path, clock)
    assert accounts.check_password("ana", PASSWORD) is not None
    accounts.close()


def test_a_file_of_a_newer_version_is_not_touched(tmp_path: Path, clock: HandClock) -> None:
    connection = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    connection.execute("PRAGMA user_version=99")
    with pytest.raises(CannotStart, match="newer version"):
        Accounts(tmp_path, clock).list()
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    connection.close()
