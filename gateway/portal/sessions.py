"""A sign-in lasts while it is used, at most thirty days, and is held by the box: the browser knows only a random id.

Ages are of the wall clock, for a sign-in outlives a restart. That the last use was written down is at most a tenth of
the idle time old, so that a page costs no disk write.
"""

import secrets
from collections.abc import Callable

from gateway.clock import Clock
from gateway.portal.credentials import TOKEN_BYTES, fingerprint
from gateway.portal.database import Database, account_of
from gateway.portal.people import Account

LIFETIME_S = 30 * 86_400.0
SESSIONS_MAX = 20  # of one account; past it the oldest ends
_NOTE_RATIO = 0.1
_FIND = """
SELECT session.made_s, session.seen_s, person.* FROM session JOIN person USING (name) WHERE session.hash = ?
"""

_END_OLDEST = """
DELETE FROM session WHERE hash IN (SELECT hash FROM session WHERE name = ? ORDER BY made_s DESC LIMIT -1 OFFSET ?)
"""


class Sessions:
    """Who is signed in."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        idle_s: float,
        random_token: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        self._database = database
        self._clock = clock
        self._idle_s = idle_s
        self._random_token = random_token

    def begin(self, name: str, former: str | None = None, token: str | None = None) -> str:
        """Return the id of a new session of an account; the former one, if any, has ended.

        A session that a token began ends when the token is revoked.
        """
        fresh = self._random_token(TOKEN_BYTES)
        now_s = self._clock.wall_s()
        with self._database.writing() as connection:
            if former:
                connection.execute("DELETE FROM session WHERE hash = ?", (fingerprint(former),))
            over = (now_s - self._idle_s, now_s - LIFETIME_S)
            connection.execute("DELETE FROM session WHERE seen_s < ? OR made_s < ?", over)
            connection.execute(_END_OLDEST, (name, SESSIONS_MAX - 1))
            row = (fingerprint(fresh), name, now_s, now_s, fingerprint(token) if token else None)
            connection.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?)", row)
        return fresh

    def find(self, session: str) -> Account | None:
        """Return who is signed in by this id, and take note of the use."""
        key = fingerprint(session)
        now_s = self._clock.wall_s()
        with self._database.reading() as connection:
            row = connection.execute(_FIND, (key,)).fetchone()
        if row is None:
            return None
        made_s, seen_s, *described = row
        account = account_of(tuple(described))
        if account.is_blocked or now_s - seen_s > self._idle_s or now_s - made_s > LIFETIME_S:
            return None
        if abs(now_s - seen_s) > self._idle_s * _NOTE_RATIO:
            with self._database.writing() as connection:
                connection.execute("UPDATE session SET seen_s = ? WHERE hash = ?", (now_s, key))
        return account

    def end(self, session: str) -> None:
        """End one session."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM session WHERE hash = ?", (fingerprint(session),))
