"""Only a receipt for an order that was in the batch says anything about it; nothing else that comes back counts. Pure.

A batch is `{"box", "batch", "orders": […]}`; its answer is `{"receipts": [{"id", "outcome", "reason"}]}`. Receipts that
are malformed, for other orders, or that contradict each other count as no receipt: the order is sent again, and the
marketplace knows it by its id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from gateway.errors import BadRequest
from gateway.market.document import canonical, read_document
from gateway.market.order import is_order_id, is_plain
from gateway.market.records import StoredOrder
from gateway.market.states import State

REASON_CHARS_MAX = 200


class Outcome(StrEnum):
    """What the marketplace says of one order."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"  # it has it already: as good as accepted
    REJECTED = "rejected"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The marketplace's word on one order."""

    id: str
    outcome: Outcome
    reason: str = ""


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


STATES: Mapping[Outcome, State] = MappingProxyType(
    {
        Outcome.ACCEPTED: State.ACCEPTED,
        Outcome.DUPLICATE: State.ACCEPTED,
        Outcome.REJECTED: State.REJECTED,
        Outcome.RETRY: State.QUEUED,
    }
)


def write_batch(batch: Batch) -> bytes:
    """Return a batch as it goes to the marketplace."""
    return canonical({"batch": batch.id, "box": batch.box, "orders": [_as_sent(each) for each in batch.orders]})


def read_receipts(document: bytes, bytes_max: int) -> list[Receipt]:
    """Return the well-formed receipts of an answer.

    Raises: TooLarge, BadRequest when it is no answer at all.
    """
    answer = read_document(document, bytes_max)
    entries = answer.get("receipts") if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        raise BadRequest
    return [receipt for entry in entries if (receipt := _receipt(entry)) is not None]


def judge(sent: Sequence[str], receipts: Sequence[Receipt]) -> list[Verdict]:
    """Return a verdict for each order that was sent, in that order.

    >>> [str(verdict.state) for verdict in judge(["a", "b"], [Receipt("a", Outcome.DUPLICATE)])]
    ['accepted', 'queued']
    """
    told: dict[str, list[Receipt]] = {each: [] for each in sent}
    for receipt in receipts:
        if receipt.id in told:
            told[receipt.id].append(receipt)
    return [_verdict(each, word) for each, word in told.items()]


def _as_sent(stored: StoredOrder) -> dict[str, object]:
    return {
        **stored.order.model_dump(mode="json"),
        "receipt": stored.receipt,
        "recorded_at": stored.recorded_at,
        "merchant": stored.merchant,
        "hash": stored.hash,
    }


def _receipt(entry: object) -> Receipt | None:
    if not isinstance(entry, dict):
        return None
    order_id, outcome, reason = entry.get("id"), entry.get("outcome"), entry.get("reason")
    if not isinstance(order_id, str) or not is_order_id(order_id.lower()) or outcome not in list(Outcome):
        return None
    return Receipt(order_id.lower(), Outcome(outcome), _for_people(reason))


def _for_people(reason: object) -> str:
    """Return a stranger's words as text that can be shown: plain, and not long."""
    if not isinstance(reason, str):
        return ""
    return "".join(each if is_plain(each) else " " for each in reason[:REASON_CHARS_MAX]).strip()


def _verdict(order_id: str, receipts: Sequence[Receipt]) -> Verdict:
    states = {STATES[receipt.outcome] for receipt in receipts}
    if len(states) != 1:
        return Verdict(order_id, State.QUEUED)
    return Verdict(order_id, states.pop(), receipts[0].reason)
