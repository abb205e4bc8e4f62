"""Orders to test with."""

import json
import uuid
from random import Random
from typing import Any

from gateway.exchange.backoff import Patience
from gateway.market.order import Order, order_from

KEY = bytes(range(32))
PATIENCE = Patience(refusals_max=3, pause_s_min=0.0)
_IDS = Random(7)


def new_id() -> str:
    return str(uuid.UUID(int=_IDS.getrandbits(128), version=4))


def fields(**changes: Any) -> dict[str, Any]:
    """An order as a merchant's program sends it."""
    return {
        "id": new_id(),
        "currency": "PEN",
        "buyer": {"name": "Lucía Quispe", "phone": "984 123 456"},
        "lines": [
            {"sku": "papa-amarilla", "name": "Papa amarilla", "quantity": "1.5", "unit": "kg", "unit_price_minor": 350},
            {"sku": "quinua", "name": "Quinua", "quantity": "2", "unit": "kg", "unit_price_minor": 899},
        ],
        "note": "Por la tarde",
    } | changes


def an_order(**changes: Any) -> Order:
    return order_from(fields(**changes))


def as_json(**changes: Any) -> bytes:
    return json.dumps(fields(**changes)).encode()
