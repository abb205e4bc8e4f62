"""The tables of moves, and what an entry may hold."""

import doctest
import importlib
from collections.abc import Mapping

import pytest

from gateway.clinic.records.entries import KINDS, check
from gateway.clinic.records.states import ENDED, HANDOVERS, MOVES, OPEN, Handover, Stage, may_hand_over, may_move
from gateway.errors import BadRequest


@pytest.mark.parametrize("name", ["entries", "states", "filing"])
def test_docstring_examples_of_the_records_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"gateway.clinic.records.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("stage", sorted(OPEN - {Stage.ASKED}))
def test_one_move_makes_a_case_of_any_open_record_that_has_a_question(stage: Stage) -> None:
    assert may_move(stage, Stage.ASKED, has_request=True)
    assert not may_move(stage, Stage.ASKED, has_request=False)


def test_every_stage_and_handover_is_in_its_table_and_ends_are_ends() -> None:
    assert set(MOVES) == {None, *Stage}
    assert set(HANDOVERS) == set(Handover)
    assert all(not MOVES[stage] for stage in ENDED)
    assert all(Stage.CLOSED in _reach(stage) for stage in OPEN)


def _reach(stage: Stage) -> set[Stage]:
    found: set[Stage] = {stage}
    while more := {after for each in found for after in MOVES[each]} - found:
        found |= more
    return found


def test_what_is_open_is_not_handed_over_before_it_is_finished_or_asked() -> None:
    may = {stage for stage in Stage if may_hand_over(stage, Handover.NONE, Handover.QUEUED)}
    assert may == {Stage.FINISHED, Stage.ASKED, Stage.ANSWERED, Stage.CLOSED}
    assert not may_hand_over(Stage.FINISHED, Handover.NONE, Handover.DELIVERED)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("unknown", {}),
        ("patient", {}),
        ("patient", {"name": "x" * 121}),
        ("patient", {"name": "x", "other": 1}),
        ("vitals", {"values": []}),
        ("vitals", {"values": [{"code": "weight", "value": "1e9", "unit": "kg"}]}),
        ("mark", {"photo": "0" * 36, "x": 2, "y": 0, "radius": 0}),
        ("mark", {"photo": "00000000-0000-4000-8000-000000000000", "x": float("nan"), "y": 0, "radius": 0}),
        ("consent", {"what": "photos", "given": "yes", "how": "spoken"}),
        ("photo", {"sha256": "../key", "media_type": "image/jpeg", "size_bytes": 1}),
        ("reason", {"text": {"deep": [1]}}),
        ("reason", {"text": object()}),
    ],
)
def test_what_is_no_entry_is_refused(kind: str, fields: Mapping[str, object]) -> None:
    with pytest.raises(BadRequest):
        check(kind, fields)


def test_every_kind_has_a_model_that_is_closed() -> None:
    assert all(model.model_config["extra"] == "forbid" for model in KINDS.values())
