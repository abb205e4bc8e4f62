"""An answer by places says of each order what its receipts would, and nothing when it is about another batch."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.market.batch import Outcome, Receipt
from gateway.market.wire.receipts import BY_PLACE, read_answer, write_answer
from tests.bench.orders_made import made

SENT = made(6)
DIGEST = "d" * 64
AT = "2026-11-22T08:30:00.000Z"


def read(answer: object) -> list[Receipt]:
    return read_answer(json.dumps(answer).encode(), 100_000, SENT, DIGEST)


@given(st.lists(st.sampled_from(BY_PLACE), min_size=6, max_size=6))
def test_what_was_written_is_read(outcomes: list[Outcome]) -> None:
    places: dict[Outcome, list[int]] = {}
    for place, outcome in enumerate(outcomes):
        places.setdefault(outcome, []).append(place)
    found = read_answer(write_answer(DIGEST, AT, places, []), 100_000, SENT, DIGEST)
    assert [(each.id, each.outcome) for each in found] == [
        (order.id, outcome) for order, outcome in zip(SENT, outcomes, strict=True)
    ]


def test_what_is_told_in_full_stands_beside_the_places() -> None:
    full: dict[str, Any] = {"id": SENT[5].id, "outcome": "rejected", "reason": "no"}
    found = read_answer(write_answer(DIGEST, AT, {Outcome.ACCEPTED: [0, 1, 4]}, [full]), 100_000, SENT, DIGEST)
    assert found[0] == Receipt(SENT[5].id, Outcome.REJECTED, "no")
    assert [each.id for each in found[1:]] == [SENT[0].id, SENT[1].id, SENT[4].id]
    assert {each.arrived_at for each in found[1:]} == {AT}


def test_places_of_another_batch_say_nothing() -> None:
    for digest in ("e" * 64, "", None, 7):
        assert read({"digest": digest, "accepted": [[0, 5]]}) == []
    assert read({"receipts": [], "accepted": [[0, 5]]}) == []


@pytest.mark.parametrize(
    "spans",
    [None, 7, [7], [[0]], [[0, 6]], [[-1, 2]], [[3, 2]], [["0", "1"]], [[0.0, 1.0]], [[0, 1, 2]], [[10**9, 10**9]]],
)
def test_places_outside_the_batch_say_nothing(spans: object) -> None:
    assert read({"digest": DIGEST, "accepted": spans}) == []


def test_a_place_said_twice_counts_once_and_a_contradiction_is_passed_on() -> None:
    found = read({"digest": DIGEST, "accepted": [[0, 1], [1, 1]], "retry": [[1, 1]]})
    assert [(each.id, each.outcome) for each in found] == [
        (SENT[0].id, Outcome.ACCEPTED),
        (SENT[1].id, Outcome.ACCEPTED),
        (SENT[1].id, Outcome.RETRY),
    ]


def test_what_is_no_answer_is_refused_whole() -> None:
    nothing: list[object] = [[], 7, {}, {"receipts": 7}]
    for answer in nothing:
        with pytest.raises(GatewayError):
            read(answer)
