"""RabbitMQ with a durable classic queue, persistent messages and publisher confirms: an order is a message.

Source: AMQP 0-9-1 §2.3.5 (frames), https://www.rabbitmq.com/docs/confirms.
"""

import struct
from collections.abc import Mapping
from typing import Any

from tests.bench.orders.wire import Wire, order_bytes

_END = b"\xce"
_METHOD, _HEADER, _BODY = 1, 2, 3
_ACK = struct.pack("!HH", 60, 80)
_ACK_BYTES = 7 + 4 + 8 + 1 + 1  # frame head, method, delivery tag, bits, frame end
_PERSISTENT = struct.pack("!HB", 1 << 12, 2)  # of the properties only delivery-mode: 2


def _short(words: str) -> bytes:
    return bytes([len(words)]) + words.encode()


def _long(words: bytes) -> bytes:
    return struct.pack("!I", len(words)) + words


def _frame(kind: int, channel: int, body: bytes) -> bytes:
    return struct.pack("!BHI", kind, channel, len(body)) + body + _END


def _method(channel: int, class_id: int, method_id: int, body: bytes = b"") -> bytes:
    return _frame(_METHOD, channel, struct.pack("!HH", class_id, method_id) + body)


_START_OK = _method(0, 10, 11, _long(b"") + _short("PLAIN") + _long(b"\0guest\0guest") + _short("en_US"))
_TUNE_OK = _method(0, 10, 31, struct.pack("!HIH", 1, 131_072, 0))
_OPEN = _method(0, 10, 40, _short("/") + _short("") + b"\0")
_CHANNEL_OPEN = _method(1, 20, 10, _short(""))
_CONFIRM_SELECT = _method(1, 85, 10, b"\0")
_DURABLE = 0b10
_DECLARE = _method(1, 50, 10, struct.pack("!H", 0) + _short("orders") + bytes([_DURABLE]) + _long(b""))
_PUBLISH = _method(1, 60, 40, struct.pack("!H", 0) + _short("") + _short("orders") + b"\0")


class RabbitMQ:
    """`basic.publish`, which `basic.ack` answers when the queue has synced it."""

    name = "rabbitmq"

    def begin(self, wire: Wire, asked: Mapping[str, Any]) -> None:
        """Sign in, declare the queue, and ask for confirms."""
        del asked
        wire.ask(b"AMQP\0\0\x09\x01", _END)
        wire.ask(_START_OK, _END)
        for request in (_TUNE_OK + _OPEN, _CHANNEL_OPEN, _DECLARE, _CONFIRM_SELECT):
            wire.ask(request, _END)

    def request(self, wire: Wire, order_id: str) -> bytes:
        """Return method, header and body."""
        body = order_bytes(order_id)
        wire.sent += 1
        header = struct.pack("!HHQ", 60, 0, len(body)) + _PERSISTENT
        return _PUBLISH + _frame(_HEADER, 1, header) + _frame(_BODY, 1, body)

    def is_answered(self, wire: Wire) -> bool:
        """Say whether it is confirmed; one order is out at a time, so the tag is its."""
        if len(wire.buffer) < _ACK_BYTES:
            return False
        (tag,) = struct.unpack_from("!Q", wire.buffer, 11)
        if wire.buffer[7:11] != _ACK or tag != wire.sent:
            raise RuntimeError(bytes(wire.buffer[:400]))
        wire.buffer.clear()
        return True
