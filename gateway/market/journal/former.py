"""Rows of a journal that a former version wrote become rows of the present one.

Version 1 named events by the order's id, kept documents in clear, and knew neither revisions nor boots. A row of it is
checked against its own seal before it is read, and gets a new one; what is damaged stays behind.
"""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.durable.seal import is_whole, seal
from gateway.durable.vault import Vault
from gateway.market.journal.contents import Detail, document_place, lock_detail
from gateway.market.journal.rows import EventRow, OrderRow

COLUMNS_1: Mapping[str, str] = MappingProxyType(
    {
        "orders": "number, id, merchant, merchant_number, counter, receipt, recorded_wall_s, clock_state, document, "
        "hash, seal",
        "events": "order_id, sequence, state, wall_s, clock_state, reason, seal",
    }
)


def order_1(row: tuple[object, ...], vault: Vault) -> OrderRow | None:
    """Return an order of version 1 as a row of today; None when it is damaged."""
    if not is_whole(row):
        return None
    *head, wall_s, clock_state, document, digest, _ = row
    if not isinstance(document, bytes):
        return None
    locked = vault.lock(document, document_place(str(row[1]), 1))
    values = (*head, "", 0, wall_s, clock_state, 0.0, "", locked, digest)
    return OrderRow._make((*values, seal(values)))


def event_1(row: tuple[object, ...], numbers: Mapping[str, int], vault: Vault) -> EventRow | None:
    """Return an event of version 1 as a row of today; None when it or its order is damaged."""
    order_number = numbers.get(str(row[0]))
    if order_number is None or not is_whole(row):
        return None
    _, sequence, state, wall_s, clock_state, reason, _ = row
    locked = lock_detail(vault, Detail(str(reason)), order_number, int(str(sequence)))
    values = (order_number, sequence, state, 1, wall_s, clock_state, 0.0, "", locked)
    return EventRow._make((*values, seal(values)))
