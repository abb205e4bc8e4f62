"""The demo's orders on disk: each revision of each takes effect once, and an older one than the newest takes none.

All of it runs in one thread, and a batch is one transaction. `effects` counts rows that nothing keeps unique, so that a
second effect would show.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from gateway.document import canonical, read_document
from gateway.errors import BadRequest, GatewayError
from gateway.market.attention import Attention, Code, write_remarks
from gateway.market.batch import Outcome
from gateway.market.order import Order, is_order_id, order_from
from gateway.market.wire.rows import ADDED, row_hash

DOCUMENT_BYTES_MAX = 8_000_000  # decoded
LISTED_MAX = 10_000
UPDATES_MAX = 100  # of one answer
REVISION_MAX = 1_000_000
Told = dict[str, object]
Done = TypeVar("Done")
Objection = Callable[[Order], Attention | None]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, box TEXT NOT NULL, document BLOB NOT NULL, deliveries INTEGER NOT NULL,
    revision INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, arrived_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS effects (number INTEGER PRIMARY KEY, order_id TEXT NOT NULL, revision INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS updates (number INTEGER PRIMARY KEY AUTOINCREMENT, receipt BLOB NOT NULL);
"""
# an order that came again is told what it is by now, or that it is there
_AS_IT_IS = frozenset({Outcome.HELD, Outcome.REJECTED})


class OrderTables:
    """The tables of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Make the tables, or find them."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._database = sqlite3.connect(self._folder / "marketplace.sqlite3", isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of them."""
        if self._database is not None:
            self._database.close()

    def take(
        self, box: str, rows: Sequence[object], arrived_at: str, objection: Objection, *, holds: bool
    ) -> list[Told | None]:
        """Let each revision take effect that has not; return each row's receipt, None for what is no order."""
        return self._at_once(
            lambda database: [_taken(database, box, row, arrived_at, objection, holds) for row in rows]
        )

    def decide(self, order_id: str | None, outcome: Outcome, reason: str) -> int:
        """Say what becomes of an order, or of all that are held; return of how many."""
        return self._at_once(lambda database: _decided(database, order_id, outcome, reason))

    def updates(self, after: int) -> tuple[list[object], int, bool]:
        """Return what was decided after a number, the number to go on with, and whether more waits."""
        with closing(self._connection().cursor()) as cursor:
            found = cursor.execute(
                "SELECT number, receipt FROM updates WHERE number > ? ORDER BY number LIMIT ?", (after, UPDATES_MAX + 1)
            ).fetchall()
        told = found[:UPDATES_MAX]
        receipts = [read_document(receipt, DOCUMENT_BYTES_MAX) for _, receipt in told]
        return receipts, told[-1][0] if told else after, len(found) > len(told)

    def listed(self) -> list[Told]:
        """Return every order, newest first, and how often any one of its revisions took effect."""
        with closing(self._connection().cursor()) as cursor:
            cursor.execute(
                "SELECT id, box, deliveries, document, revision, outcome, coalesce((SELECT max(times) FROM"
                " (SELECT count(*) AS times FROM effects WHERE order_id = id GROUP BY revision)), 0)"
                " FROM orders ORDER BY rowid DESC LIMIT ?",
                (LISTED_MAX,),
            )
            return [
                {
                    "id": order_id,
                    "box": box,
                    "deliveries": deliveries,
                    "times_applied": times_applied,
                    "revision": revision,
                    "outcome": outcome,
                    "order": read_document(document, DOCUMENT_BYTES_MAX),
                }
                for order_id, box, deliveries, document, revision, outcome, times_applied in cursor
            ]

    def _connection(self) -> sqlite3.Connection:
        if self._database is None:
            raise GatewayError
        return self._database

    def _at_once(self, work: Callable[[sqlite3.Connection], Done]) -> Done:
        database = self._connection()
        database.execute("BEGIN IMMEDIATE")
        try:
            done = work(database)
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise
        return done


def _taken(
    database: sqlite3.Connection, box: str, row: object, arrived_at: str, objection: Objection, holds: bool
) -> Told | None:
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not is_order_id(row["id"].lower()):
        return None
    order_id, revision = row["id"].lower(), row.get("revision", 1)
    if not isinstance(revision, int) or isinstance(revision, bool) or not 1 <= revision <= REVISION_MAX:
        return _told(order_id, 1, Outcome.REJECTED, "not a valid order")
    if not _is_as_recorded(row):
        return _told(order_id, revision, Outcome.RETRY, "damaged on the way")
    try:
        order = order_from({name: value for name, value in row.items() if name not in ADDED})
    except BadRequest:
        return _told(order_id, revision, Outcome.REJECTED, "not a valid order")
    before = database.execute(
        "UPDATE orders SET deliveries = deliveries + 1 WHERE id = ? RETURNING revision, outcome, reason, arrived_at",
        (order_id,),
    ).fetchone()
    if before is not None and revision <= before[0]:
        outcome = Outcome(before[1]) if before[1] in _AS_IT_IS else Outcome.DUPLICATE
        return _told(order_id, revision, outcome, before[2], before[3])
    if before is not None and before[1] == Outcome.FULFILLED:
        return _attention(order_id, revision, Attention(Code.CHANGE_NOT_TAKEN))
    is_cancelled = row.get("cancelled") is True
    found = None if is_cancelled else objection(order)
    if found is not None:
        return _attention(order_id, revision, found)
    outcome = Outcome.CANCELLED if is_cancelled else Outcome.HELD if holds else Outcome.ACCEPTED
    first = before[3] if before is not None else arrived_at
    database.execute(
        "INSERT INTO orders VALUES (?, ?, ?, 1, ?, ?, '', ?) ON CONFLICT (id) DO UPDATE SET"
        " document = excluded.document, revision = excluded.revision, outcome = excluded.outcome, reason = ''",
        (order_id, box, canonical(row), revision, outcome, first),
    )
    database.execute("INSERT INTO effects (order_id, revision) VALUES (?, ?)", (order_id, revision))
    return _told(order_id, revision, Outcome.HELD if outcome is Outcome.HELD else Outcome.ACCEPTED, "", first)


def _decided(database: sqlite3.Connection, order_id: str | None, outcome: Outcome, reason: str) -> int:
    found = database.execute(
        "UPDATE orders SET outcome = ?, reason = ? WHERE coalesce(id = ?, outcome = ?)"
        " RETURNING id, revision, arrived_at",
        (outcome, reason, order_id, Outcome.HELD),
    ).fetchall()
    database.executemany(
        "INSERT INTO updates (receipt) VALUES (?)",
        [(canonical(_told(each, revision, outcome, reason, at)),) for each, revision, at in found],
    )
    return len(found)


def _told(order_id: str, revision: int, outcome: Outcome, reason: str, arrived_at: str = "") -> Told:
    told: Told = {"id": order_id, "outcome": outcome, "reason": reason}
    if arrived_at:
        told["arrived_at"] = arrived_at
    if revision > 1:
        told["revision"] = revision
    return told


def _attention(order_id: str, revision: int, attention: Attention) -> Told:
    told = _told(order_id, revision, Outcome.ATTENTION, "")
    return {**told, "code": attention.code, "lines": write_remarks(attention.remarks)}


def _is_as_recorded(row: dict[str, object]) -> bool:
    """Check the hash that the merchant was given: the order is the one that was recorded, all the way."""
    try:
        return row_hash(row) == row.get("hash")
    except ValueError:
        return False
