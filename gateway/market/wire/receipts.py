"""An answer names what was taken as it was by its places in the batch, and says the rest in full. Pure.

`{"digest": …, "accepted": [[0, 97], [99, 99]], "receipts": [{"id": …, "outcome": "attention", …}]}`: places are counted
from 0 in the order of the batch, first and last included, and hold only where `digest` is that of the batch: an answer
to another one says nothing about this. `arrived_at` is when those came that are accepted or held. Whoever was sent rows
answers with `receipts` alone.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby

from gateway.document import canonical, read_document
from gateway.errors import BadRequest
from gateway.market.batch import Outcome, Receipt, receipts_from
from gateway.market.order import is_time
from gateway.market.records import StoredOrder

BY_PLACE = (Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.HELD, Outcome.RETRY)
_CAME_NOW = frozenset({Outcome.ACCEPTED, Outcome.HELD})
_SPANS_MAX = 1_000


def write_answer(
    digest: str, arrived_at: str, places: Mapping[Outcome, Sequence[int]], receipts: Sequence[Mapping[str, object]]
) -> bytes:
    """Return an answer: which places had an outcome at the revision that was sent, and the receipts of the others."""
    told: dict[str, object] = {str(outcome): _spans(found) for outcome, found in places.items() if found}
    if receipts:
        told["receipts"] = list(receipts)
    return canonical({"digest": digest, "arrived_at": arrived_at, **told})


def read_answer(document: bytes, bytes_max: int, sent: Sequence[StoredOrder], digest: str) -> list[Receipt]:
    """Return the well-formed receipts of an answer to a batch with this digest.

    Raises: TooLarge, BadRequest when it is no answer at all.
    """
    answer = read_document(document, bytes_max)
    if not isinstance(answer, dict):
        raise BadRequest
    entries = answer.get("receipts")
    if not isinstance(entries, list) and "digest" not in answer:
        raise BadRequest
    receipts = receipts_from(entries) if isinstance(entries, list) else []
    if answer.get("digest") != digest:
        return receipts
    arrived_at = answer.get("arrived_at")
    at = arrived_at if isinstance(arrived_at, str) and is_time(arrived_at) else ""
    told = sorted((place, outcome) for outcome in BY_PLACE for place in _places(answer.get(outcome), len(sent)))
    for place, outcome in told:
        came_now = at if outcome in _CAME_NOW else ""
        receipts.append(Receipt(sent[place].id, outcome, revision=sent[place].revision, arrived_at=came_now))
    return receipts


def _spans(places: Sequence[int]) -> list[list[int]]:
    """Return runs of places as first and last.

    >>> _spans([0, 1, 2, 5])
    [[0, 2], [5, 5]]
    """
    runs = groupby(enumerate(sorted(places)), key=lambda each: each[1] - each[0])
    return [[run[0][1], run[-1][1]] for run in (list(found) for _, found in runs)]


def _places(spans: object, count: int) -> list[int]:
    """Return the places of well-formed spans that lie within the batch."""
    found: set[int] = set()
    for span in spans[:_SPANS_MAX] if isinstance(spans, list) else ():
        match span:
            case [int(first), int(last)] if 0 <= first <= last < count:
                found.update(range(first, last + 1))
    return sorted(found)
