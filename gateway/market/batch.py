"""Only a receipt for an order that was in the batch says anything about it; nothing else that comes back counts. Pure.

A batch is `{"box", "batch", "orders": […]}`; its answer is `{"receipts": [{"id", "outcome", …}]}`. Receipts that are
malformed, for other orders, or that contradict each other count as no receipt: the order is sent again, and the
marketplace knows it by its id and revision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from gateway.document import canonical, read_document
from gateway.errors import BadRequest
from gateway.market.attention import Attention, Code, read_code, read_remarks
from gateway.market.order import as_fields, content_hash, for_people, is_order_id, is_time
from gateway.market.records import StoredOrder
from gateway.market.states import State

_REVISION_MAX = 1_000_000


class Outcome(StrEnum):
    """What the marketplace says of one order."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"  # it has this revision already: as good as accepted
    HELD = "held"  # kept on the way, and on disk there; the marketplace has not seen it
    ATTENTION = "attention"  # a person must decide; `code` says about what
    REJECTED = "rejected"
    RETRY = "retry"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The marketplace's word on one order."""

    id: str
    outcome: Outcome
    reason: str = ""
    revision: int = 1
    attention: Attention | None = None
    arrived_at: str = ""  # when the far side first had it, by its own clock: RFC 3339


@dataclass(frozen=True, slots=True)
class Batch:
    """Orders that cross the link together."""

    box: str
    id: str
    orders: tuple[StoredOrder, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a delivery means for one order: the state it comes to, and why."""

    id: str
    state: State
    reason: str = ""
    attention: Attention | None = None
    revision: int = 1  # of the order, as it was sent
    arrived_at: str = ""


STATES: Mapping[Outcome, State] = MappingProxyType(
    {
        Outcome.ACCEPTED: State.ACCEPTED,
        Outcome.DUPLICATE: State.ACCEPTED,
        Outcome.HELD: State.AT_HUB,
        Outcome.ATTENTION: State.NEEDS_ATTENTION,
        Outcome.REJECTED: State.REJECTED,
        Outcome.RETRY: State.QUEUED,
        Outcome.FULFILLED: State.FULFILLED,
        Outcome.CANCELLED: State.CANCELLED,
    }
)


def write_batch(batch: Batch) -> bytes:
    """Return a batch as it goes to the marketplace."""
    return canonical({"batch": batch.id, "box": batch.box, "orders": [as_sent(each) for each in batch.orders]})


def as_sent(stored: StoredOrder) -> dict[str, object]:
    """Return an order's entry in a batch; `hash` covers the order and its merchant as they stand there."""
    fields: dict[str, object] = {
        **as_fields(stored.order),
        "receipt": stored.receipt,
        "recorded_at": stored.recorded_at,
        "merchant": stored.merchant,
        "hash": content_hash(stored.order, stored.merchant),
    }
    if stored.revision > 1:
        fields["revision"] = stored.revision
    if stored.is_cancelled:
        fields["cancelled"] = True
    return fields


def read_receipts(document: bytes, bytes_max: int) -> list[Receipt]:
    """Return the well-formed receipts of an answer.

    Raises: TooLarge, BadRequest when it is no answer at all.
    """
    answer = read_document(document, bytes_max)
    entries = answer.get("receipts") if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        raise BadRequest
    return receipts_from(entries)


def receipts_from(entries: Sequence[object]) -> list[Receipt]:
    """Return the well-formed receipts among these."""
    return [receipt for entry in entries if (receipt := _receipt(entry)) is not None]


def judge(sent: Sequence[StoredOrder], receipts: Sequence[Receipt]) -> list[Verdict]:
    """Return a verdict for each order that was sent, in that order; no word about it leaves it queued."""
    told: dict[str, list[Receipt]] = {each.id: [] for each in sent}
    for receipt in receipts:
        if receipt.id in told:
            told[receipt.id].append(receipt)
    return [_verdict(each, told[each.id]) for each in sent]


def _receipt(entry: object) -> Receipt | None:
    if not isinstance(entry, dict):
        return None
    order_id, outcome, revision = entry.get("id"), entry.get("outcome"), entry.get("revision", 1)
    if not isinstance(order_id, str) or not is_order_id(order_id.lower()) or outcome not in list(Outcome):
        return None
    if not isinstance(revision, int) or isinstance(revision, bool) or not 1 <= revision <= _REVISION_MAX:
        return None
    attention = None
    if outcome == Outcome.ATTENTION:
        attention = Attention(read_code(entry.get("code")), read_remarks(entry.get("lines")))
    arrived_at = entry.get("arrived_at")
    return Receipt(
        order_id.lower(),
        Outcome(outcome),
        for_people(entry.get("reason")),
        revision,
        attention,
        arrived_at if isinstance(arrived_at, str) and is_time(arrived_at) else "",
    )


_TAKEN = frozenset({State.ACCEPTED, State.AT_HUB, State.FULFILLED})  # words that hold for one revision only


def _verdict(order: StoredOrder, receipts: Sequence[Receipt]) -> Verdict:
    words = {(receipt.outcome, receipt.revision) for receipt in receipts}
    states = {STATES[outcome] for outcome, _ in words}
    if len(states) != 1:
        return Verdict(order.id, State.QUEUED, revision=order.revision)
    state, receipt = states.pop(), receipts[0]
    attention = receipt.attention
    if state in _TAKEN:
        if {revision for _, revision in words} != {order.revision}:
            if order.revision == 1:
                return Verdict(order.id, State.QUEUED)
            # it knows the order and says nothing of the change: that it took it would be a guess
            state, attention = State.NEEDS_ATTENTION, Attention(Code.CHANGE_NOT_TAKEN)
        elif order.is_cancelled and state is State.ACCEPTED:
            state = State.CANCELLED
    return Verdict(order.id, state, receipt.reason, attention, order.revision, receipt.arrived_at)
