"""What each URL takes on disk, when it was last used, and which group it belongs to, beside the rows themselves.

It is what is asked about many answers at once: which go first, what a site has, what belongs to a group. Whatever it
says, an answer is served from its own sealed row; a ledger with flipped bits costs an answer, never a wrong one.
"""

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.web.rules.groups import groups_of
from gateway.web.rules.stored import Shelf
from gateway.web.store.eviction import BONUS_S_MAX, PINNED_S

TOUCH_S = 600.0  # a use is written down when the last one is this old: the order needs no finer
_TABLES = (
    """CREATE TABLE IF NOT EXISTS Ledger (key TEXT PRIMARY KEY, site TEXT NOT NULL, answers INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL, bonus_s REAL NOT NULL, rank_s REAL NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS Ledger_rank ON Ledger (rank_s)",
    "CREATE INDEX IF NOT EXISTS Ledger_site ON Ledger (site)",
    """CREATE TABLE IF NOT EXISTS Groups (site TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL,
    PRIMARY KEY (site, name, key)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS Groups_key ON Groups (key)",
)
Sql = Callable[..., sqlite3.Cursor]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a URL takes."""

    answers: int
    size_bytes: int
    bonus_s: float


NOTHING = Entry(0, 0, 0.0)


class Ledger:
    """The tables, over the connection of the one thread that owns the index."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        for statement in _TABLES:
            sql(statement)

    def newest_s(self) -> float:
        """Return a time after which nothing can have been used."""
        ((rank_s,),) = self._sql("SELECT MAX(rank_s) FROM Ledger WHERE rank_s < ?", (PINNED_S,)).fetchall()
        return max(0.0, float(rank_s or 0.0) - BONUS_S_MAX)

    def totals(self) -> Entry:
        """Return how many answers there are, and what they take."""
        ((answers, size_bytes),) = self._sql("SELECT SUM(answers), SUM(size_bytes) FROM Ledger").fetchall()
        return Entry(int(answers or 0), int(size_bytes or 0), 0.0)

    def entry(self, key: str) -> Entry:
        """Return what a URL takes."""
        rows = self._sql("SELECT answers, size_bytes, bonus_s FROM Ledger WHERE key = ?", (key,)).fetchall()
        return Entry(int(rows[0][0]), int(rows[0][1]), float(rows[0][2])) if rows else NOTHING

    def enter(self, key: str, shelf: Shelf, entry: Entry, rank_s: float) -> None:
        """Write down what a URL takes now, and its groups."""
        site = shelf[0].site
        row = (key, site, entry.answers, entry.size_bytes, entry.bonus_s, rank_s)
        self._sql("INSERT OR REPLACE INTO Ledger VALUES (?, ?, ?, ?, ?, ?)", row)
        self._sql("DELETE FROM Groups WHERE key = ?", (key,))
        for group in set().union(*(groups_of(each.fields) for each in shelf)):
            self._sql("INSERT OR IGNORE INTO Groups VALUES (?, ?, ?)", (site, group, key))

    def resize(self, key: str, size_bytes: int) -> None:
        """Write down that a URL takes more or less."""
        self._sql("UPDATE Ledger SET size_bytes = ? WHERE key = ?", (size_bytes, key))

    def strike(self, key: str) -> None:
        """Write down that nothing of a URL is stored."""
        self._sql("DELETE FROM Ledger WHERE key = ?", (key,))
        self._sql("DELETE FROM Groups WHERE key = ?", (key,))

    def use(self, keys: Iterable[str], used_s: float) -> None:
        """Write down that URLs were used, where that moves them; what is pinned stays where it is."""
        for key in keys:
            self._sql(
                "UPDATE Ledger SET rank_s = ? + bonus_s WHERE key = ? AND rank_s < ? + bonus_s",
                (used_s, key, used_s - TOUCH_S),
            )

    def rank(self, key: str, rank_s: float) -> None:
        """Give a URL a rank."""
        self._sql("UPDATE Ledger SET rank_s = ? WHERE key = ?", (rank_s, key))

    def by_rank(self, limit: int) -> list[tuple[str, int]]:
        """Return the URLs that go first, and what they take; none that is pinned."""
        found = self._sql(
            "SELECT key, size_bytes FROM Ledger WHERE rank_s < ? ORDER BY rank_s LIMIT ?", (PINNED_S, limit)
        )
        return [(str(key), int(size_bytes)) for key, size_bytes in found.fetchall()]

    def of_site(self, site: str, limit: int) -> list[str]:
        """Return URLs of a site."""
        found = self._sql("SELECT key FROM Ledger WHERE site = ? LIMIT ?", (site, limit))
        return [str(key) for (key,) in found.fetchall()]

    def of_group(self, site: str, group: str, after: str, limit: int) -> list[str]:
        """Return URLs of a site that belong to a group, in order."""
        found = self._sql(
            "SELECT key FROM Groups WHERE site = ? AND name = ? AND key > ? ORDER BY key LIMIT ?",
            (site, group, after, limit),
        )
        return [str(key) for (key,) in found.fetchall()]

    def by_site(self) -> dict[str, Entry]:
        """Return what each site takes."""
        found = self._sql("SELECT site, SUM(answers), SUM(size_bytes) FROM Ledger GROUP BY site")
        return {str(site): Entry(int(answers), int(size), 0.0) for site, answers, size in found.fetchall()}
