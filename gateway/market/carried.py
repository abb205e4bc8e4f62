"""Orders that came on a stick are delivered in batches that say the same each time, and only a receipt counts. Pure.

A row that is not what its box wrote is not sent. What the marketplace says counts for an order where all that it says
of it agrees, and speaks of the revision that was sent; anything else is no answer, and the order may go again.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.document import canonical
from gateway.market.batch import Outcome, Receipt
from gateway.market.order import is_order_id
from gateway.market.wire.rows import Row, digest, row_hash

BATCH_ORDERS_MAX = 500
BATCH_BYTES_MAX = 700_000  # below what marketplaces take of a body, even where nothing of it can be compressed
NO_ANSWER, FAULTY = "no-answer", "faulty"
_BATCHES = uuid.UUID("5d2b4a3e-6a07-5c0f-9d53-0f6c2e2b9a41")  # the name space of batches that came on a stick


@dataclass(frozen=True, slots=True)
class Delivery:
    """Rows that go together; `id` is the same for the same rows."""

    id: str
    rows: tuple[Row, ...]
    document: bytes


@dataclass(frozen=True, slots=True)
class Came:
    """What came of one order; `outcome` is the marketplace's word, or one of NO_ANSWER and FAULTY."""

    id: str
    receipt: str
    revision: int
    outcome: str
    reason: str = ""


def is_sound(row: Row) -> bool:
    """Say whether a row is what its box wrote: it has an id, and the hash that belongs to it."""
    order_id, revision = row.get("id"), row.get("revision", 1)
    if not isinstance(order_id, str) or not is_order_id(order_id):
        return False
    if not isinstance(revision, int) or isinstance(revision, bool):
        return False
    try:
        return row_hash(row) == row.get("hash")
    except ValueError:
        return False


def deliveries(box: str, rows: Iterable[Row]) -> Iterator[Delivery]:
    """Yield the batches that rows go in, in their order."""
    batch: list[Row] = []
    size_bytes = 0
    for row in rows:
        row_bytes = len(canonical(row))
        if batch and (len(batch) == BATCH_ORDERS_MAX or size_bytes + row_bytes > BATCH_BYTES_MAX):
            yield _delivery(box, batch)
            batch, size_bytes = [], 0
        batch.append(row)
        size_bytes += row_bytes
    if batch:
        yield _delivery(box, batch)


def came_of(rows: Sequence[Row], receipts: Sequence[Receipt]) -> list[Came]:
    """Return what the marketplace says of each row, in their order."""
    told: dict[str, list[Receipt]] = {}
    for receipt in receipts:
        told.setdefault(receipt.id, []).append(receipt)
    return [_came(row, told.get(str(row["id"]), [])) for row in rows]


def faulty(row: Row) -> Came:
    """Return what comes of a row that is not sent; what cannot be an id is not repeated."""
    order_id = row.get("id")
    is_one = isinstance(order_id, str) and is_order_id(order_id)
    return Came(str(order_id) if is_one else "", "", 1, FAULTY)


def sums(came: Iterable[Came]) -> Mapping[str, int]:
    """Return how many orders each outcome has, those that nobody needs to look at first."""
    counted = {each.value: 0 for each in Outcome} | {NO_ANSWER: 0, FAULTY: 0}
    for each in came:
        counted[each.outcome] += 1
    return {outcome: count for outcome, count in counted.items() if count}


def _delivery(box: str, rows: Sequence[Row]) -> Delivery:
    batch_id = str(uuid.uuid5(_BATCHES, digest(rows)))
    return Delivery(batch_id, tuple(rows), canonical({"batch": batch_id, "box": box, "orders": list(rows)}))


def _came(row: Row, receipts: Sequence[Receipt]) -> Came:
    order_id, revision = str(row["id"]), row.get("revision", 1)
    receipt_number = row.get("receipt")
    number = receipt_number if isinstance(receipt_number, str) else ""
    words = {(each.outcome, each.revision) for each in receipts}
    revision = revision if isinstance(revision, int) else 1
    if len(words) != 1 or receipts[0].revision != revision:
        return Came(order_id, number, revision, NO_ANSWER)
    return Came(order_id, number, revision, receipts[0].outcome.value, receipts[0].reason)
