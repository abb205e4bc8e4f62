"""Of what a server tells, only answers to us are read, and only what can be shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clinic.fhir.answers import PARTS_MAX, TEXT_CHARS_MAX, Told, read_answers
from gateway.clinic.fhir.naming import system
from gateway.errors import BadRequest
from tests.unit.clinic.handover_world import BOX, WALL_S

RECORD = "0f7b4a52-6f1b-4a0e-9d63-7b1d8a6f2c11"
OURS = {"system": system(BOX), "value": f"urn:uuid:{RECORD}"}
REQUEST = {"resourceType": "ServiceRequest", "id": "7", "identifier": [OURS]}
ENCOUNTER = {"resourceType": "Encounter", "id": "8", "identifier": [OURS]}


def answer(*texts: str, **fields: object) -> dict[str, Any]:
    return {
        "resourceType": "Communication",
        "id": "9",
        "status": "completed",
        "basedOn": [{"reference": "ServiceRequest/7"}],
        "sent": "2027-01-15T08:00:00Z",
        "payload": [{"contentString": text} for text in texts],
        **fields,
    }


def medicine(**fields: object) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": "10",
        "status": "active",
        "encounter": {"reference": "Encounter/8"},
        "medicationCodeableConcept": {"coding": [{"display": "Paracetamol"}]},
        "dosageInstruction": [{"text": "1 cada 8 h"}],
        **fields,
    }


def told(*resources: object) -> Told:
    rows = [{"resource": each} for each in resources]
    return read_answers({"resourceType": "Bundle", "type": "searchset", "entry": rows}, BOX)


def test_an_answer_says_what_it_says_when_and_for_which_record() -> None:
    (reply,) = told(answer("Reposo", "y agua", sender={"display": "Dra. Huamán"}), REQUEST).replies
    assert (reply.record, reply.entry.kind, reply.entry.at_wall_s) == (RECORD, "answer", WALL_S)
    assert reply.entry.fields == {"text": "Reposo\ny agua", "doctor": "Dra. Huamán"}


def test_the_same_answer_has_the_same_id_and_another_wording_another() -> None:
    again, other = answer("Reposo", meta={"versionId": "2"}), answer("Agua")
    first = told(answer("Reposo"), REQUEST).replies[0].entry.id
    assert told(again, REQUEST).replies[0].entry.id == first != told(other, REQUEST).replies[0].entry.id


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "https://fhir.example/r4/ServiceRequest/7/_history/3"},
        {"type": "ServiceRequest", "identifier": OURS},
    ],
)
def test_a_reference_may_be_absolute_or_by_identifier(reference: dict[str, object]) -> None:
    assert len(told(answer("Reposo", basedOn=[reference]), REQUEST).replies) == 1


@pytest.mark.parametrize(
    "resource",
    [
        answer("Reposo", status="entered-in-error"),
        answer("Reposo", basedOn=[{"reference": "ServiceRequest/70"}]),
        answer("Reposo", identifier=[OURS]),
        answer("Reposo", basedOn="x"),
        medicine(status="cancelled"),
        medicine(encounter={"reference": "Encounter/80"}),
        {"resourceType": "Patient", "identifier": [OURS]},
        {},
        [],
    ],
)
def test_what_is_no_answer_to_us_is_passed_over(resource: object) -> None:
    assert told(resource, REQUEST, ENCOUNTER) == Told()


@pytest.mark.parametrize(
    "resource",
    [
        answer(),
        answer("x" * (TEXT_CHARS_MAX * PARTS_MAX + 1)),
        answer(payload=[{"contentReference": {"reference": "Media/1"}}]),
        medicine(dosageInstruction=[]),
        medicine(medicationCodeableConcept={}),
        medicine(medicationCodeableConcept={"text": "x" * 300}),
    ],
)
def test_an_answer_that_cannot_be_shown_is_counted(resource: object) -> None:
    assert told(resource, REQUEST, ENCOUNTER) == Told(unreadable=1)


def test_a_long_answer_becomes_several_and_loses_nothing() -> None:
    replies = told(answer("a" * (2 * TEXT_CHARS_MAX + 1)), REQUEST).replies
    assert [len(str(each.entry.fields["text"])) for each in replies] == [TEXT_CHARS_MAX, TEXT_CHARS_MAX, 1]
    assert len({each.entry.id for each in replies}) == 3


def test_a_prescription_has_its_dose_in_words_or_in_numbers() -> None:
    timing = {"repeat": {"frequency": 1, "period": 8, "periodUnit": "h", "boundsDuration": {"value": 3, "code": "d"}}}
    structured = {"timing": timing, "doseAndRate": [{"doseQuantity": {"value": 500, "unit": "mg"}}]}
    replies = told(medicine(), medicine(dosageInstruction=[structured]), ENCOUNTER).replies
    assert [each.entry.fields["medicines"] for each in replies] == [
        [{"name": "Paracetamol", "dose": "1 cada 8 h", "days": None}],
        [{"name": "Paracetamol", "dose": "500 mg, 1x/8 h", "days": 3}],
    ]


@pytest.mark.parametrize("document", [None, [], {}, {"resourceType": "Bundle", "type": "transaction"}])
def test_what_is_no_searchset_is_refused(document: object) -> None:
    with pytest.raises(BadRequest):
        read_answers(document, BOX)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(field=st.sampled_from(sorted(answer() | medicine())), value=JSON)
def test_nothing_in_any_field_breaks_the_reading(field: str, value: object) -> None:
    told({**answer("Reposo"), field: value}, {**medicine(), field: value}, {**REQUEST, field: value}, ENCOUNTER)
