"""Redis with an append-only file that is synced before each answer: an order is a field of a hash, set once.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2).
"""

from collections.abc import Mapping
from typing import Any

from tests.bench.orders.wire import Wire, order_bytes


class Redis:
    """`HSETNX orders ID DOCUMENT`, answered with 1 when it is new and in the file."""

    name = "redis"

    def begin(self, wire: Wire, asked: Mapping[str, Any]) -> None:
        """Nothing is said before the first order."""

    def request(self, wire: Wire, order_id: str) -> bytes:
        """Return the command."""
        del wire
        words = (b"HSETNX", b"orders", order_id.encode(), order_bytes(order_id))
        return b"*4\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)

    def is_answered(self, wire: Wire) -> bool:
        """Say whether it is written."""
        if not wire.buffer.endswith(b"\r\n"):
            return False
        if wire.buffer != b":1\r\n":
            raise RuntimeError(bytes(wire.buffer[:400]))
        wire.buffer.clear()
        return True
