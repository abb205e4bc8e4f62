"""A journal as version 1 of its file wrote it: no revisions, no key, documents in clear."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from gateway.durable.seal import seal
from gateway.market.journal.rows import receipt_number
from gateway.market.order import Order, content_hash
from gateway.market.states import State

_SCHEMA = """
CREATE TABLE orders (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, merchant TEXT NOT NULL, merchant_number INTEGER NOT NULL,
    counter INTEGER NOT NULL, receipt TEXT NOT NULL UNIQUE, recorded_wall_s REAL NOT NULL, clock_state TEXT NOT NULL,
    document BLOB NOT NULL, hash TEXT NOT NULL, seal BLOB NOT NULL);
CREATE INDEX orders_of_merchant ON orders (merchant, number);
CREATE UNIQUE INDEX receipts ON orders (merchant_number, counter);
CREATE TABLE events (
    number INTEGER PRIMARY KEY, order_id TEXT NOT NULL, sequence INTEGER NOT NULL, state TEXT NOT NULL,
    wall_s REAL NOT NULL, clock_state TEXT NOT NULL, reason TEXT NOT NULL, seal BLOB NOT NULL,
    UNIQUE (order_id, sequence));
CREATE TABLE merchants (number INTEGER PRIMARY KEY, name TEXT NOT NULL, seal BLOB NOT NULL);
"""
_FIELDS = ("id", "currency", "buyer", "lines", "note")  # all that an order of version 1 had
WALL_S = 1_795_000_000.0


def write_former(path: Path, orders: Sequence[tuple[Order, str]], states: Sequence[Sequence[State]]) -> list[str]:
    """Write a journal of version 1 with these orders of merchants and what became of them; return the receipts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(_SCHEMA)
    connection.execute("PRAGMA user_version=1")
    connection.execute("BEGIN")
    merchants: dict[str, int] = {}
    counters: dict[str, int] = {}
    receipts = []
    for number, ((order, merchant), became) in enumerate(zip(orders, states, strict=True), 1):
        if merchant not in merchants:
            merchants[merchant] = len(merchants) + 1
            named = (merchants[merchant], merchant)
            connection.execute("INSERT INTO merchants VALUES (?,?,?)", (*named, seal(named)))
        counters[merchant] = counters.get(merchant, 0) + 1
        receipts.append(receipt_number("SMT", merchants[merchant], counters[merchant]))
        head = (number, order.id, merchant, merchants[merchant], counters[merchant], receipts[-1])
        values = (*head, WALL_S + number, "trusted", former_document(order), content_hash(order, merchant))
        connection.execute("INSERT INTO orders VALUES (?,?,?,?,?,?,?,?,?,?,?)", (*values, seal(values)))
        for sequence, state in enumerate(became, 1):
            event = (order.id, sequence, str(state), WALL_S + number + sequence, "trusted", f"said {sequence}")
            connection.execute(
                "INSERT INTO events (order_id, sequence, state, wall_s, clock_state, reason, seal)"
                " VALUES (?,?,?,?,?,?,?)",
                (*event, seal(event)),
            )
    connection.execute("COMMIT")
    connection.close()
    return receipts


def former_document(order: Order) -> bytes:
    """Return an order as version 1 wrote it."""
    fields = order.model_dump(mode="json")
    fields["buyer"].pop("address", None)
    kept = {name: fields[name] for name in _FIELDS}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
