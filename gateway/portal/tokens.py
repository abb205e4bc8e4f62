"""Bearer tokens: each has a label and a scope, is shown once, known by how it begins, and is revoked by itself.

Of its use a token keeps the last day and nothing else; that is one write a day.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from gateway.clock import Clock
from gateway.errors import N_, Conflict, LocalError, NotFound
from gateway.portal.credentials import TOKEN_BYTES, TOKEN_PREFIX, check_label, fingerprint
from gateway.portal.database import Database, account_of
from gateway.portal.people import Bearer, Scope, Token

TOKENS_MAX = 50  # of one account
PREFIX_CHARS = len(TOKEN_PREFIX) + 8  # 48 bits, of 256
_FIND = """
SELECT prefix, label, scope, token.made_s, used_on, person.* FROM token JOIN person USING (name) WHERE token.hash = ?
"""
_LIST = "SELECT prefix, label, scope, made_s, used_on FROM token WHERE name = ? ORDER BY made_s, prefix"


class Tokens:
    """The tokens of all accounts."""

    def __init__(self, database: Database, clock: Clock, random_token: Callable[[int], str]) -> None:
        self._database = database
        self._clock = clock
        self._random_token = random_token

    def make(self, name: str, label: str = "", scope: Scope = Scope.ORDERS) -> str:
        """Return a new token of an account, for the only time.

        Raises: NotFound, BadRequest, Conflict when it has too many, or one of this label.
        """
        label = check_label(label)
        token = TOKEN_PREFIX + self._random_token(TOKEN_BYTES)
        row = (fingerprint(token), name, self._clock.wall_s(), token[:PREFIX_CHARS], label, scope.value, "")
        with self._database.writing() as connection:
            _demand_room(connection, name, label)
            connection.execute("INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return token

    def of(self, token: str) -> Bearer | None:
        """Return whose token this is, and take note of the day; a blocked account's is told as such."""
        key = fingerprint(token)
        with self._database.reading() as connection:
            row = connection.execute(_FIND, (key,)).fetchone()
        if row is None:
            return None
        found, today = _token(row[:5]), self._today()
        if found.used_on != today:
            # a disk that is full shuts no program out; the next use notes it
            with suppress(LocalError), self._database.writing() as connection:
                connection.execute("UPDATE token SET used_on = ? WHERE hash = ?", (today, key))
        return Bearer(account_of(row[5:]), found)

    def list(self, name: str) -> list[Token]:
        """Return the tokens of an account, oldest first."""
        with self._database.reading() as connection:
            return [_token(row) for row in connection.execute(_LIST, (name,))]

    def revoke(self, name: str, prefix: str) -> None:
        """Make one token of an account void, and end the sessions that it began.

        Raises: NotFound.
        """
        with self._database.writing() as connection:
            if not connection.execute("DELETE FROM token WHERE name = ? AND prefix = ?", (name, prefix)).rowcount:
                raise NotFound(N_("This account has no token that begins so."), N_("Look at the list of its tokens."))

    def revoke_all(self, name: str) -> int:
        """Make every token of an account void; return how many there were."""
        with self._database.writing() as connection:
            return connection.execute("DELETE FROM token WHERE name = ?", (name,)).rowcount

    def _today(self) -> str:
        return datetime.fromtimestamp(self._clock.wall_s(), UTC).astimezone().date().isoformat()


def _token(row: tuple[str, str, str, float, str]) -> Token:
    prefix, label, scope, made_s, used_on = row
    return Token(prefix, label, Scope(scope), made_s, used_on)


def _demand_room(connection: sqlite3.Connection, name: str, label: str) -> None:
    if connection.execute("SELECT 1 FROM account WHERE name = ?", (name,)).fetchone() is None:
        raise NotFound(N_("There is no account of this name."), N_("`tambo user list` shows all names."))
    labels = [each for (each,) in connection.execute("SELECT label FROM token WHERE name = ?", (name,))]
    if len(labels) >= TOKENS_MAX:
        raise Conflict(N_("This account has too many tokens."), N_("Revoke its tokens, then make a new one."))
    if label and label in labels:
        raise Conflict(N_("There is a token of this label already."), N_("Choose another label, or revoke that token."))
