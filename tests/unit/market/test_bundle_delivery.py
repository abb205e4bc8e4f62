"""Of orders that came on a stick only the marketplace's own clear word about what was sent counts."""

import uuid

import pytest

from gateway.document import read_document
from gateway.market.batch import Outcome, Receipt, as_sent, read_receipts
from gateway.market.carried import (
    BATCH_BYTES_MAX,
    BATCH_ORDERS_MAX,
    FAULTY,
    NO_ANSWER,
    Came,
    came_of,
    deliveries,
    faulty,
    is_sound,
    sums,
)
from tests.unit.market.carried import stored
from tests.unit.market.orders import new_id

ROW = as_sent(stored())


def test_rows_go_in_batches_in_their_order() -> None:
    rows = [ROW] * (2 * BATCH_ORDERS_MAX + 1)
    found = list(deliveries("san-mateo", rows))
    assert [len(each.rows) for each in found] == [BATCH_ORDERS_MAX, BATCH_ORDERS_MAX, 1]
    assert read_document(found[2].document, 10_000) == {"batch": found[2].id, "box": "san-mateo", "orders": [ROW]}
    assert list(deliveries("san-mateo", [])) == []


def test_a_batch_is_no_larger_than_a_marketplace_takes() -> None:
    rows = [as_sent(stored(note="ñ" * 500)) for _ in range(600)]
    found = list(deliveries("san-mateo", rows))
    assert [row for each in found for row in each.rows] == rows
    assert all(len(each.document) < BATCH_BYTES_MAX + 10_000 for each in found)
    assert len(found) > 1


def test_the_same_rows_have_the_same_batch_and_others_another() -> None:
    first, again, other = (next(deliveries("b", [row])).id for row in (ROW, ROW, as_sent(stored())))
    assert first == again != other
    assert str(uuid.UUID(first)) == first


@pytest.mark.parametrize(
    "change",
    [
        {"note": "another"},
        {"merchant": "eva"},
        {"hash": "0" * 64},
        {"hash": None},
        {"id": ROW["id"], "more": "x"},
        {"id": "no"},
        {"id": str(ROW["id"]).upper().replace("-", "_")},
        {"id": 5},
        {"revision": "1"},
        {"revision": True},
        {"note": "\ud800"},
    ],
)
def test_a_row_that_its_box_did_not_write_is_not_sent(change: dict[str, object]) -> None:
    assert is_sound(ROW)
    assert not is_sound({**ROW, **change})
    assert faulty({**ROW, **change}).outcome == FAULTY


def test_what_is_no_id_is_not_repeated() -> None:
    assert faulty({"id": "Lucía Quispe"}) == Came("", "", 1, FAULTY)


def test_a_receipt_counts_for_the_order_and_revision_it_names() -> None:
    rows = [as_sent(stored()), as_sent(stored(revision=2)), as_sent(stored(revision=2)), as_sent(stored())]
    ids = [str(row["id"]) for row in rows]
    receipts = [
        Receipt(ids[0], Outcome.REJECTED, "no such thing"),
        Receipt(ids[1], Outcome.ACCEPTED, revision=2),
        Receipt(ids[2], Outcome.DUPLICATE),  # it says nothing of the change
        Receipt(new_id(), Outcome.ACCEPTED),
    ]
    found = came_of(rows, receipts)
    assert [each.outcome for each in found] == ["rejected", "accepted", NO_ANSWER, NO_ANSWER]
    assert found[0] == Came(ids[0], "SMT-0001-0001", 1, "rejected", "no such thing")
    assert sums(found) == {"accepted": 1, "rejected": 1, NO_ANSWER: 2}


def test_receipts_that_contradict_each_other_are_no_answer() -> None:
    order_id = str(ROW["id"])
    both = [Receipt(order_id, Outcome.ACCEPTED), Receipt(order_id, Outcome.REJECTED)]
    assert came_of([ROW], both)[0].outcome == NO_ANSWER
    assert came_of([ROW], [both[0], both[0]])[0].outcome == "accepted"


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_word_of_a_marketplace_is_counted(outcome: Outcome) -> None:
    answer = f'{{"receipts":[{{"id":"{ROW["id"]}","outcome":"{outcome}"}}]}}'.encode()
    assert sums(came_of([ROW], read_receipts(answer, 1_000))) == {outcome.value: 1}
