"""PostgreSQL with `synchronous_commit=on`: an order is a row under its id, inserted by a prepared statement.

Source: https://www.postgresql.org/docs/15/protocol-message-formats.html.
"""

import socket
import struct
from collections.abc import Mapping
from typing import Any

from tests.bench.orders.wire import Wire, order_bytes

_READY = b"Z\x00\x00\x00\x05I"  # ReadyForQuery, in no transaction
_TABLE = "CREATE TABLE orders (id uuid PRIMARY KEY, document text NOT NULL)"
_INSERT = "INSERT INTO orders VALUES ($1, $2) ON CONFLICT DO NOTHING"
_DONE = b"INSERT 0 1\x00"


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _text(words: str) -> bytes:
    return words.encode() + b"\0"


_EXECUTE_SYNC = _message(b"E", b"\0" + struct.pack("!i", 0)) + _message(b"S", b"")


def make_table(port: int, user: str) -> None:
    """Make the table of orders."""
    with socket.create_connection(("127.0.0.1", port), 10.0) as sock:
        wire = Wire(sock)
        _sign_in(wire, user)
        wire.ask(_message(b"Q", _text(_TABLE)), _READY)


def _sign_in(wire: Wire, user: str) -> None:
    words = _text("user") + _text(user) + _text("database") + _text("postgres") + b"\0"
    wire.ask(_message(b"", struct.pack("!i", 196_608) + words), _READY)  # protocol 3.0


class PostgreSQL:
    """`INSERT`, which answers when the write-ahead log is synced."""

    name = "postgres"

    def begin(self, wire: Wire, asked: Mapping[str, Any]) -> None:
        """Sign in, and prepare the statement."""
        _sign_in(wire, asked["user"])
        prepared = _message(b"P", _text("o") + _text(_INSERT) + struct.pack("!h", 0))
        said = wire.ask(prepared + _message(b"S", b""), _READY)
        if not said.startswith(b"1"):  # ParseComplete
            raise RuntimeError(said)

    def request(self, wire: Wire, order_id: str) -> bytes:
        """Return Bind, Execute and Sync."""
        del wire
        values = (order_id.encode(), order_bytes(order_id))
        bound = b"".join(struct.pack("!i", len(value)) + value for value in values)
        body = b"\0" + _text("o") + struct.pack("!hh", 0, 2) + bound + struct.pack("!h", 0)
        return _message(b"B", body) + _EXECUTE_SYNC

    def is_answered(self, wire: Wire) -> bool:
        """Say whether it is committed."""
        if not wire.buffer.endswith(_READY):
            return False
        if _DONE not in wire.buffer:
            raise RuntimeError(bytes(wire.buffer[:400]))
        wire.buffer.clear()
        return True
