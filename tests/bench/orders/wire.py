"""What the engines under test have in common: a socket, the same order of 1 KB, and when its answer is whole."""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

_PLACE = "00000000-0000-4000-8000-000000000000"


@dataclass
class Wire:
    """A merchant's connection."""

    socket: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    sent: int = 0  # orders, where the protocol counts them

    def ask(self, request: bytes, ends: bytes) -> bytes:
        """Return what comes back to a request, once it ends with these bytes."""
        self.socket.sendall(request)
        came = b""
        while not came.endswith(ends):
            piece = self.socket.recv(65_536)
            if not piece:
                raise RuntimeError(f"hung up after {came[-200:]!r}")
            came += piece
        return came


class Engine(Protocol):
    """A way to hand in an order, and to know that it is durable."""

    name: str

    def begin(self, wire: Wire, asked: Mapping[str, Any]) -> None:
        """Do what comes before the first order of a connection."""

    def request(self, wire: Wire, order_id: str) -> bytes:
        """Return the bytes that hand in an order."""

    def is_answered(self, wire: Wire) -> bool:
        """Say whether the order is acknowledged, and forget the answer; raises RuntimeError when it is refused."""


def _document() -> bytes:
    """Return an order of 1,024 bytes as a merchant's program sends it."""
    names = ("Papa amarilla", "Quinua blanca", "Arroz superior", "Aceite vegetal 1 L", "Leche evaporada", "Sal yodada")
    lines = [
        {
            "sku": name.lower().replace(" ", "-"),
            "name": name,
            "quantity": "2.5",
            "unit": "kg",
            "unit_price_minor": 350 + at,
        }
        for at, name in enumerate(names)
    ]
    order: dict[str, Any] = {
        "id": _PLACE,
        "currency": "PEN",
        "buyer": {"name": "Lucía Quispe Mamani", "phone": "984123456", "address": "Jr. Comercio 214"},
        "lines": lines,
        "note": "",
        "made_at": "2026-11-22T10:15:30.123Z",
    }
    missing = 1_024 - len(json.dumps(order, ensure_ascii=False).encode())
    order["note"] = ("Entregar por la tarde en la escuela. " * 10)[: max(missing, 0)]
    return json.dumps(order, ensure_ascii=False).encode()


_BEFORE, _, _AFTER = _document().partition(_PLACE.encode())


def order_bytes(order_id: str) -> bytes:
    """Return the order under an id."""
    return _BEFORE + order_id.encode() + _AFTER
