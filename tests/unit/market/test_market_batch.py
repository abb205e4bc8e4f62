"""What a marketplace says is believed only of the orders that were sent to it."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.market.batch import REASON_CHARS_MAX, Outcome, Receipt, judge, read_receipts
from gateway.market.states import State
from tests.unit.market.orders import new_id

A, B, C = new_id(), new_id(), new_id()
IDS = st.sampled_from([A, B, C, new_id(), new_id()])


def answer(*receipts: object) -> bytes:
    return json.dumps({"receipts": receipts}).encode()


def test_each_outcome_leads_to_its_state() -> None:
    receipts = [Receipt(A, Outcome.ACCEPTED), Receipt(B, Outcome.DUPLICATE), Receipt(C, Outcome.REJECTED, "sin stock")]
    assert [(verdict.id, verdict.state, verdict.reason) for verdict in judge([A, B, C], receipts)] == [
        (A, State.ACCEPTED, ""),
        (B, State.ACCEPTED, ""),
        (C, State.REJECTED, "sin stock"),
    ]


def test_an_order_without_a_receipt_stays_queued() -> None:
    assert judge([A], [])[0].state is State.QUEUED
    assert judge([A], [Receipt(A, Outcome.RETRY, "luego")])[0].state is State.QUEUED


def test_receipts_that_contradict_each_other_are_no_receipt() -> None:
    both = [Receipt(A, Outcome.ACCEPTED), Receipt(A, Outcome.REJECTED)]
    assert judge([A], both)[0].state is State.QUEUED


def test_a_receipt_said_twice_counts_once() -> None:
    assert [verdict.state for verdict in judge([A], [Receipt(A, Outcome.ACCEPTED), Receipt(A, Outcome.DUPLICATE)])] == [
        State.ACCEPTED
    ]


@given(
    st.lists(st.sampled_from([A, B, C]), unique=True),
    st.lists(st.builds(Receipt, IDS, st.sampled_from(list(Outcome))), max_size=12),
)
def test_only_what_was_sent_is_judged_and_only_its_own_receipt_ends_it(
    sent: list[str], receipts: list[Receipt]
) -> None:
    verdicts = judge(sent, receipts)
    assert [verdict.id for verdict in verdicts] == sent
    for verdict in verdicts:
        if verdict.state is State.ACCEPTED:
            assert {receipt.outcome for receipt in receipts if receipt.id == verdict.id} <= {"accepted", "duplicate"}


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
