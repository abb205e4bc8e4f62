"""The journal's tables: orders and their events are added, never changed; a commit is on disk when it returns.

SQLite in WAL mode with `synchronous=FULL` lost nothing in 600 simulated power losses (2026-11).

Source: https://www.sqlite.org/pragma.html#pragma_synchronous, https://www.sqlite.org/rescode.html.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.clock import clock_state
from gateway.errors import N_, CannotStart, LocalError, NoCapacity
from gateway.market.records import EventRow, OrderRow, is_whole, receipt_number, seal
from gateway.market.states import State

SCHEMA_VERSION = 1
MERCHANTS_MAX = 9_999  # four digits of a receipt's number
CHECKPOINT_PAGES = 256  # 1 MB: what waits in the log is short, and soon read over at a start
BUSY_S = 5.0  # a technician's command may be reading

ORDER = "number, id, merchant, merchant_number, counter, receipt, recorded_wall_s, clock_state, document, hash, seal"
EVENT = "order_id, sequence, state, wall_s, clock_state, reason, seal"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, merchant TEXT NOT NULL, merchant_number INTEGER NOT NULL,
    counter INTEGER NOT NULL, receipt TEXT NOT NULL UNIQUE, recorded_wall_s REAL NOT NULL, clock_state TEXT NOT NULL,
    document BLOB NOT NULL, hash TEXT NOT NULL, seal BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS orders_of_merchant ON orders (merchant, number);
CREATE UNIQUE INDEX IF NOT EXISTS receipts ON orders (merchant_number, counter);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, order_id TEXT NOT NULL, sequence INTEGER NOT NULL, state TEXT NOT NULL,
    wall_s REAL NOT NULL, clock_state TEXT NOT NULL, reason TEXT NOT NULL, seal BLOB NOT NULL,
    UNIQUE (order_id, sequence));
CREATE TABLE IF NOT EXISTS merchants (number INTEGER PRIMARY KEY, name TEXT NOT NULL, seal BLOB NOT NULL);
"""
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "trusted_schema=OFF",
    "cell_size_check=ON",
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


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection whose transactions are ours to begin and end."""
    return sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)


def is_damage(error: BaseException) -> bool:
    """Say whether an error means that the file is not what was written."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGE


class Tables:
    """An open journal file."""

    def __init__(self, connection: sqlite3.Connection, first_merchant: int) -> None:
        self._connection = connection
        self._first_merchant = first_merchant
        self._merchants: dict[str, int] = {}

    def prepare(self) -> None:
        """Check the file's structure and bring its tables to the present version.

        Raises: DamagedFile, CannotStart when a newer program wrote it, sqlite3.Error.
        """
        self._connection.text_factory = damaged_text
        for pragma in _PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}")
        if self._one("PRAGMA integrity_check(1)") != "ok":
            raise DamagedFile
        version = int(self._one("PRAGMA user_version") or 0)
        if version > SCHEMA_VERSION:
            raise CannotStart(
                N_("The journal of orders was written by a newer version of this program."),
                N_("Install that version again; no order is lost."),
            )
        if version < SCHEMA_VERSION:
            with self.transaction():
                for statement in _SCHEMA.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is written inside durable together, or not at all."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def settle_on_disk(self) -> None:
        """Write the whole log into the file and sync it: what can be read is durable from here on.

        Raises: sqlite3.Error, NoCapacity when it cannot be done now.
        """
        busy, *_ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise NoCapacity

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def order(self, order_id: str) -> OrderRow | None:
        """Return the row of an order, whole or not."""
        return next(self.orders("id=?", order_id), None)

    def orders(self, where: str, *values: object) -> Iterator[OrderRow]:
        """Yield rows of orders, whole or not."""
        found = self._connection.execute(f"SELECT {ORDER} FROM orders WHERE {where}", values)  # noqa: S608 - our words
        return map(OrderRow._make, found)

    def all_orders(self) -> Iterator[OrderRow]:
        """Yield every order, oldest first, some at a time: rows may be added meanwhile."""
        last: object = None
        while piece := list(self.orders("number > coalesce(?, -1) ORDER BY number LIMIT 500", last)):
            yield from piece
            last = piece[-1].number

    def events(self, order_id: str) -> list[EventRow]:
        """Return an order's events in their order, whole or not."""
        found = self._connection.execute(
            f"SELECT {EVENT} FROM events WHERE order_id=? ORDER BY sequence",  # noqa: S608 - names of our own
            (order_id,),
        )
        return [EventRow._make(row) for row in found]

    def add_order(
        self, order_id: str, merchant: str, document: bytes, digest: str, *, box_code: str, wall_s: float
    ) -> OrderRow:
        """Write an order with the next receipt of its merchant, and return its row.

        The counter follows the highest receipt on disk: none is given twice, and none is left out by a crash.
        """
        merchant_number = self._merchant_number(merchant)
        counter = 1 + int(self._one("SELECT max(counter) FROM orders WHERE merchant_number=?", merchant_number) or 0)
        receipt = receipt_number(box_code, merchant_number, counter)
        number = 1 + int(self._one("SELECT max(number) FROM orders") or 0)
        state = clock_state(wall_s)
        values = (number, order_id, merchant, merchant_number, counter, receipt, wall_s, state, document, digest)
        row = OrderRow(*values, seal(values))
        self.put_order(row)
        return row

    def add_event(self, order_id: str, state: State, wall_s: float, reason: str = "") -> None:
        """Add an event to an order; its number follows the highest there is."""
        last = int(self._one("SELECT max(sequence) FROM events WHERE order_id=?", order_id) or 0)
        values = (order_id, last + 1, str(state), wall_s, clock_state(wall_s), reason)
        self.put_event(EventRow(*values, seal(values)))

    def put_order(self, row: OrderRow) -> None:
        """Write a row of `orders`."""
        self._connection.execute(f"INSERT INTO orders ({ORDER}) VALUES (?,?,?,?,?,?,?,?,?,?,?)", row)  # noqa: S608

    def put_event(self, row: EventRow) -> None:
        """Write a row of `events`."""
        self._connection.execute(f"INSERT INTO events ({EVENT}) VALUES (?,?,?,?,?,?,?)", row)  # noqa: S608

    def _merchant_number(self, merchant: str) -> int:
        if not self._merchants:
            rows = self._connection.execute("SELECT number, name, seal FROM merchants ORDER BY number")
            self._merchants = {row[1]: row[0] for row in rows if is_whole(row)}
        if merchant not in self._merchants:
            self._merchants[merchant] = self._new_merchant(merchant)
        return self._merchants[merchant]

    def _new_merchant(self, merchant: str) -> int:
        highest = self._one(
            "SELECT max(number) FROM (SELECT max(number) AS number FROM merchants"
            " UNION ALL SELECT max(merchant_number) FROM orders WHERE merchant_number <= ?)",
            MERCHANTS_MAX,
        )
        number = max(int(highest or 0) + 1, self._first_merchant)
        if number > MERCHANTS_MAX:
            raise NoCapacity(
                N_("This box has given receipts to all the merchants it can."), N_("Tell the technician of the box.")
            )
        values = (number, merchant)
        self._connection.execute("INSERT INTO merchants (number, name, seal) VALUES (?, ?, ?)", (*values, seal(values)))
        return number

    def _one(self, statement: str, *values: object) -> int | str | None:
        row = self._connection.execute(statement, values).fetchone()
        found: int | str | None = row[0] if row else None
        return found


def damaged_text(raw: bytes) -> str:
    """Read text that damage may have made into something else; its seal tells."""
    return raw.decode("utf-8", "replace")
