"""The journal's tables: orders, their revisions and events are added, never changed; a commit is on disk on return.

SQLite in WAL mode with `synchronous=FULL` lost nothing in 600 simulated power losses (2026-11). Only trimming deletes
rows, and it leaves behind that the order was there.

Source: https://www.sqlite.org/pragma.html#pragma_synchronous, https://www.sqlite.org/rescode.html.
"""

import sqlite3
from collections.abc import Iterable, Iterator

from gateway.durable.database import Database
from gateway.durable.seal import is_whole, seal
from gateway.errors import N_, CannotStart, NoCapacity
from gateway.market.journal.rows import COLUMNS, EventRow, OrderRow, RevisionRow, TrimmedRow

SCHEMA_VERSION = 2
MERCHANTS_MAX = 9_999  # four digits of a receipt's number

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, merchant TEXT NOT NULL, merchant_number INTEGER NOT NULL,
    counter INTEGER NOT NULL, receipt TEXT NOT NULL, made_by TEXT NOT NULL, is_urgent INTEGER NOT NULL,
    recorded_wall_s REAL NOT NULL, clock_state TEXT NOT NULL, now_s REAL NOT NULL, boot TEXT NOT NULL,
    document BLOB NOT NULL, hash TEXT NOT NULL, seal BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS orders_of_merchant ON orders (merchant, number);
CREATE UNIQUE INDEX IF NOT EXISTS receipts ON orders (merchant_number, counter);
CREATE TABLE IF NOT EXISTS revisions (
    number INTEGER PRIMARY KEY, order_number INTEGER NOT NULL, revision INTEGER NOT NULL,
    is_cancelled INTEGER NOT NULL, made_by TEXT NOT NULL, wall_s REAL NOT NULL, document BLOB NOT NULL,
    hash TEXT NOT NULL, seal BLOB NOT NULL, UNIQUE (order_number, revision));
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, order_number INTEGER NOT NULL, sequence INTEGER NOT NULL, state TEXT NOT NULL,
    revision INTEGER NOT NULL, wall_s REAL NOT NULL, clock_state TEXT NOT NULL, now_s REAL NOT NULL,
    boot TEXT NOT NULL, detail BLOB NOT NULL, seal BLOB NOT NULL, UNIQUE (order_number, sequence));
CREATE TABLE IF NOT EXISTS trimmed (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, merchant_number INTEGER NOT NULL, counter INTEGER NOT NULL,
    receipt TEXT NOT NULL, state TEXT NOT NULL, recorded_wall_s REAL NOT NULL, hash TEXT NOT NULL, seal BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS trimmed_receipts ON trimmed (merchant_number, counter);
CREATE TABLE IF NOT EXISTS photos (
    sha256 TEXT NOT NULL, order_number INTEGER NOT NULL, PRIMARY KEY (sha256, order_number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS photos_of_order ON photos (order_number);
CREATE TABLE IF NOT EXISTS merchants (number INTEGER PRIMARY KEY, name TEXT NOT NULL, seal BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL, seal BLOB NOT NULL);
"""
_LAST_EVENTS = (
    f"SELECT {COLUMNS['events']} FROM events JOIN (SELECT order_number AS n, max(sequence) AS s FROM events"  # noqa: S608
    " GROUP BY order_number) ON order_number = n AND sequence = s ORDER BY order_number"
)


class Tables(Database):
    """An open journal file."""

    schema = _SCHEMA
    version = SCHEMA_VERSION

    def __init__(self, connection: sqlite3.Connection, first_merchant: int) -> None:
        super().__init__(connection)
        self._first_merchant = first_merchant
        self._merchants: dict[str, int] = {}
        # the highest on disk, once asked for: whoever takes a transaction back opens the file anew
        self._number = 0
        self._counters: dict[int, int] = {}

    def refuse_newer(self) -> None:
        """Say that a newer program wrote the file. Raises: CannotStart."""
        raise CannotStart(
            N_("The journal of orders was written by a newer version of this program."),
            N_("Install that version again; no order is lost."),
        )

    def order(self, order_id: str) -> OrderRow | None:
        """Return the row of an order, whole or not."""
        return next(self.orders("id=?", order_id), None)

    def numbered(self, number: int) -> OrderRow | None:
        """Return the row of the order with this number, whole or not."""
        return next(self.orders("number=?", number), None)

    def orders(self, where: str, *values: object) -> Iterator[OrderRow]:
        """Yield rows of orders, whole or not."""
        found = self.connection.execute(f"SELECT {COLUMNS['orders']} FROM orders WHERE {where}", values)  # noqa: S608
        return map(OrderRow._make, found)

    def heads(self) -> Iterator[tuple[int, str, int]]:
        """Yield each order's number, merchant and urgency, by number; a look only, not checked."""
        yield from self.connection.execute("SELECT number, merchant, is_urgent FROM orders ORDER BY number")

    def last_events(self) -> Iterator[EventRow]:
        """Yield each order's last event, by the order's number, whole or not."""
        return map(EventRow._make, self.connection.execute(_LAST_EVENTS))

    def last_event(self, order_number: int) -> EventRow | None:
        """Return an order's last event, whole or not."""
        row = self._of("events", order_number, "sequence DESC LIMIT 1").fetchone()
        return EventRow._make(row) if row is not None else None

    def events(self, order_number: int) -> list[EventRow]:
        """Return an order's events in their order, whole or not."""
        return [EventRow._make(row) for row in self._of("events", order_number, "sequence")]

    def newest_revisions(self) -> dict[int, int]:
        """Return the newest revision of each order that was changed; a look only, not checked."""
        return dict(self.connection.execute("SELECT order_number, max(revision) FROM revisions GROUP BY order_number"))

    def told_revision(self, order_number: int) -> int:
        """Return the highest revision that an order's events tell of, whole or not."""
        return int(self.one("SELECT max(revision) FROM events WHERE order_number=?", order_number) or 0)

    def count_revisions(self, order_number: int) -> int:
        """Return how many later revisions an order has."""
        return int(self.one("SELECT count(*) FROM revisions WHERE order_number=?", order_number) or 0)

    def last_sequence(self, order_number: int) -> int:
        """Return the sequence of an order's last event, 0 when it has none."""
        return int(self.one("SELECT max(sequence) FROM events WHERE order_number=?", order_number) or 0)

    def numbers(self, merchant: str | None, before: int | None) -> Iterator[int]:
        """Yield the numbers of a merchant's orders, or of all, newest first; `before` leaves out what is not older."""
        where, values = ("merchant=? AND", (merchant,)) if merchant is not None else ("", ())
        statement = f"SELECT number FROM orders WHERE {where} number<coalesce(?, 1<<62) ORDER BY number DESC"  # noqa: S608
        for (number,) in self.connection.execute(statement, (*values, before)):
            yield number

    def revisions(self, order_number: int) -> list[RevisionRow]:
        """Return an order's later revisions in their order, whole or not."""
        return [RevisionRow._make(row) for row in self._of("revisions", order_number, "revision")]

    def trimmed(self, order_id: str) -> TrimmedRow | None:
        """Return what is kept of an order that was trimmed, where that is whole."""
        found = self.connection.execute(f"SELECT {COLUMNS['trimmed']} FROM trimmed WHERE id=?", (order_id,))  # noqa: S608
        row = found.fetchone()
        return TrimmedRow._make(row) if row is not None and is_whole(row) else None

    def put(self, table: str, row: tuple[object, ...]) -> None:
        """Write a row of one of the tables with a seal."""
        places = ",".join("?" * len(row))
        self.connection.execute(f"INSERT INTO {table} ({COLUMNS[table]}) VALUES ({places})", row)  # noqa: S608

    def put_trimmed(self, row: TrimmedRow) -> None:
        """Write that an order was there, in the place of a damaged word of it from another time."""
        self.connection.execute("DELETE FROM trimmed WHERE id=?", (row.id,))
        self.put("trimmed", row)

    def name_photos(self, order_number: int, hashes: Iterable[str]) -> None:
        """Write which photos an order names, in the place of those before."""
        self.connection.execute("DELETE FROM photos WHERE order_number=?", (order_number,))
        named = [(sha256, order_number) for sha256 in sorted(set(hashes))]
        self.connection.executemany("INSERT INTO photos VALUES (?,?)", named)

    def moments(self, merchant: str, after: int, most: int) -> list[tuple[int, float]]:
        """Return the numbers of a merchant's orders and when they were recorded, oldest first; a look only."""
        statement = "SELECT number, recorded_wall_s FROM orders WHERE merchant=? AND number>? ORDER BY number LIMIT ?"
        return self.connection.execute(statement, (merchant, after, most)).fetchall()

    def naming(self, sha256: str, most: int) -> list[int]:
        """Return the numbers of the newest orders that name a photo."""
        statement = "SELECT order_number FROM photos WHERE sha256=? ORDER BY order_number DESC LIMIT ?"
        found = self.connection.execute(statement, (sha256, most))
        return [number for (number,) in found]

    def remove(self, order_number: int) -> None:
        """Delete an order with its revisions and events."""
        self.connection.execute("DELETE FROM events WHERE order_number=?", (order_number,))
        self.connection.execute("DELETE FROM revisions WHERE order_number=?", (order_number,))
        self.connection.execute("DELETE FROM photos WHERE order_number=?", (order_number,))
        self.connection.execute("DELETE FROM orders WHERE number=?", (order_number,))

    def next_number(self) -> int:
        """Return the number of the next order; none is given twice."""
        if not self._number:
            self._number = self._highest("SELECT max(number) FROM {}")
        self._number += 1
        return self._number

    def next_counter(self, merchant_number: int) -> int:
        """Return the counter of a merchant's next receipt.

        It follows the highest receipt on disk: none is given twice, and none is left out by a crash.
        """
        if merchant_number not in self._counters:
            highest = self._highest("SELECT max(counter) FROM {} WHERE merchant_number=?", merchant_number)
            self._counters[merchant_number] = highest
        self._counters[merchant_number] += 1
        return self._counters[merchant_number]

    def merchant_number(self, merchant: str) -> int:
        """Return a merchant's number, which is new where there is none yet.

        Raises: NoCapacity.
        """
        if not self._merchants:
            rows = self.connection.execute("SELECT number, name, seal FROM merchants ORDER BY number")
            self._merchants = {row[1]: row[0] for row in rows if is_whole(row)}
        if merchant not in self._merchants:
            self._merchants[merchant] = self._new_merchant(merchant)
        return self._merchants[merchant]

    def _of(self, table: str, order_number: int, by: str) -> sqlite3.Cursor:
        return self.connection.execute(
            f"SELECT {COLUMNS[table]} FROM {table} WHERE order_number=? ORDER BY {by}",  # noqa: S608 - names of our own
            (order_number,),
        )

    def _highest(self, statement: str, *values: object) -> int:
        return max(int(self.one(statement.format(table), *values) or 0) for table in ("orders", "trimmed"))

    def _new_merchant(self, merchant: str) -> int:
        highest = self.one(
            "SELECT max(number) FROM (SELECT max(number) AS number FROM merchants"
            " UNION ALL SELECT max(merchant_number) FROM orders WHERE merchant_number <= ?"
            " UNION ALL SELECT max(merchant_number) FROM trimmed WHERE merchant_number <= ?)",
            MERCHANTS_MAX,
            MERCHANTS_MAX,
        )
        number = max(int(highest or 0) + 1, self._first_merchant)
        if number > MERCHANTS_MAX:
            raise NoCapacity(
                N_("This box has given receipts to all the merchants it can."), N_("Tell the technician of the box.")
            )
        values = (number, merchant)
        self.connection.execute("INSERT INTO merchants (number, name, seal) VALUES (?, ?, ?)", (*values, seal(values)))
        return number
