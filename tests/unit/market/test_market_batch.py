"""What a marketplace says is believed only of the orders that were sent to it."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.market.attention import Attention, Code, Remark
from gateway.market.batch import Outcome, Receipt, judge, read_receipts
from gateway.market.order import REASON_CHARS_MAX, content_hash
from gateway.market.records import StoredOrder
from gateway.market.states import State
from tests.unit.market.orders import an_order, new_id

A, B, C = new_id(), new_id(), new_id()
IDS = st.sampled_from([A, B, C, new_id(), new_id()])


def sent_as(order_id: str, revision: int = 1, *, is_cancelled: bool = False) -> StoredOrder:
    order = an_order(id=order_id)
    made = content_hash(order, "ana")
    return StoredOrder(order, "ana", "SMT-0001-0001", 1.8e9, "trusted", made, revision, is_cancelled)


def answer(*receipts: object) -> bytes:
    return json.dumps({"receipts": receipts}).encode()


def test_each_outcome_leads_to_its_state() -> None:
    receipts = [Receipt(A, Outcome.ACCEPTED), Receipt(B, Outcome.DUPLICATE), Receipt(C, Outcome.REJECTED, "sin stock")]
    assert [
        (verdict.id, verdict.state, verdict.reason) for verdict in judge([sent_as(A), sent_as(B), sent_as(C)], receipts)
    ] == [
        (A, State.ACCEPTED, ""),
        (B, State.ACCEPTED, ""),
        (C, State.REJECTED, "sin stock"),
    ]


def test_an_order_without_a_receipt_stays_queued() -> None:
    assert judge([sent_as(A)], [])[0].state is State.QUEUED
    assert judge([sent_as(A)], [Receipt(A, Outcome.RETRY, "luego")])[0].state is State.QUEUED


def test_receipts_that_contradict_each_other_are_no_receipt() -> None:
    both = [Receipt(A, Outcome.ACCEPTED), Receipt(A, Outcome.REJECTED)]
    assert judge([sent_as(A)], both)[0].state is State.QUEUED


def test_a_receipt_said_twice_counts_once() -> None:
    assert [
        verdict.state for verdict in judge([sent_as(A)], [Receipt(A, Outcome.ACCEPTED), Receipt(A, Outcome.DUPLICATE)])
    ] == [State.ACCEPTED]


@given(
    st.lists(st.sampled_from([A, B, C]), unique=True),
    st.lists(st.builds(Receipt, IDS, st.sampled_from(list(Outcome))), max_size=12),
)
def test_only_what_was_sent_is_judged_and_only_its_own_receipt_ends_it(
    sent: list[str], receipts: list[Receipt]
) -> None:
    verdicts = judge([sent_as(each) for each in sent], receipts)
    assert [verdict.id for verdict in verdicts] == sent
    for verdict in verdicts:
        if verdict.state is State.ACCEPTED:
            assert {receipt.outcome for receipt in receipts if receipt.id == verdict.id} <= {"accepted", "duplicate"}


def test_a_change_is_taken_only_where_its_revision_is_said() -> None:
    sent = [sent_as(A, 3)]
    assert judge(sent, [Receipt(A, Outcome.ACCEPTED, revision=3)])[0].state is State.ACCEPTED
    for outcome in (Outcome.ACCEPTED, Outcome.DUPLICATE):
        (verdict,) = judge(sent, [Receipt(A, outcome)])
        assert (verdict.state, verdict.attention) == (State.NEEDS_ATTENTION, Attention(Code.CHANGE_NOT_TAKEN))
    assert judge([sent_as(A)], [Receipt(A, Outcome.ACCEPTED, revision=2)])[0].state is State.QUEUED


def test_a_cancel_that_is_taken_cancels() -> None:
    sent = [sent_as(A, 2, is_cancelled=True)]
    assert judge(sent, [Receipt(A, Outcome.ACCEPTED, revision=2)])[0].state is State.CANCELLED


def test_what_must_be_decided_is_read_with_its_articles() -> None:
    lines: list[object] = [{"sku": "papa", "unit_price_minor": 400}, {"sku": "sal", "available": "1.5"}, 7, {"sku": ""}]
    entry = {"id": A, "outcome": "attention", "code": "price-changed", "lines": lines}
    (receipt,) = read_receipts(answer(entry), 10_000)
    remarks = (Remark("papa", 400), Remark("sal", available="1.5"))
    assert receipt.attention == Attention(Code.PRICE_CHANGED, remarks)
    assert judge([sent_as(A)], [receipt])[0].attention == receipt.attention
    assert judge([sent_as(A)], [receipt])[0].state is State.NEEDS_ATTENTION


def test_malformed_receipts_are_passed_over_and_the_others_read() -> None:
    good = {"id": A.upper(), "outcome": "accepted"}
    bad: list[object] = [
        None,
        7,
        "accepted",
        [],
        {},
        {"id": A},
        {"id": 7, "outcome": "accepted"},
        {"id": "x", "outcome": "accepted"},
        {"id": B, "outcome": "ACCEPTED"},
        {"id": B, "outcome": ["accepted"]},
        {"id": B, "outcome": None},
        {"id": B, "outcome": True},
    ]
    assert read_receipts(answer(*bad, good), 10_000) == [Receipt(A, Outcome.ACCEPTED)]


def test_a_reason_is_cut_and_made_plain() -> None:
    (receipt,) = read_receipts(
        answer({"id": A, "outcome": "rejected", "reason": "no\x1b[31m\u202e" + "x" * 999}), 10_000
    )
    assert receipt.reason.startswith("no [31m")
    assert len(receipt.reason) <= REASON_CHARS_MAX
    (receipt,) = read_receipts(answer({"id": A, "outcome": "rejected", "reason": "\ud800"}), 10_000)
    assert receipt.reason == ""
    (receipt,) = read_receipts(answer({"id": A, "outcome": "rejected", "reason": {"a": 1}}), 10_000)
    assert receipt.reason == ""


@pytest.mark.parametrize(
    "document",
    [b"", b"{}", b"[]", b"null", b'{"receipts":{}}', b'{"receipts":7}', b"[" * 9_000, b"\xff", b" " * 10_001],
)
def test_what_is_no_answer_is_refused_whole(document: bytes) -> None:
    with pytest.raises(GatewayError):
        read_receipts(document, 10_000)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_refused(document: bytes) -> None:
    with suppress(GatewayError):
        assert isinstance(read_receipts(document, 10_000), list)


@pytest.mark.parametrize("outcome", [Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.HELD, Outcome.FULFILLED])
def test_a_word_that_names_no_revision_does_not_take_a_change(outcome: Outcome) -> None:
    changed = sent_as(A, 2)
    (verdict,) = judge([changed], [Receipt(changed.id, outcome)])
    assert (verdict.state, verdict.attention) == (State.NEEDS_ATTENTION, Attention(Code.CHANGE_NOT_TAKEN))
