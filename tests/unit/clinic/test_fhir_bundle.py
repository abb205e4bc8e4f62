"""A record becomes a Bundle that holds against the standard, and is the same one each time."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clinic.fhir.bundle import bundle, collection, files
from gateway.clinic.fhir.checking import NotFhir, validate
from gateway.clinic.records.entries import Writer
from gateway.clinic.records.states import Handover, Stage
from gateway.clinic.records.views import DAMAGED, Entry, RecordView
from tests.unit.clinic.handover_world import BOX, WALL_S, an_entry

RECORD = "0f7b4a52-6f1b-4a0e-9d63-7b1d8a6f2c11"
VIEW = RecordView(
    RECORD, Stage.ASKED, Handover.QUEUED, "", None, WALL_S + 60, "Dr. Paz", WALL_S, WALL_S + 90, "", 0, 0, 0, False, ""
)
PHOTO: dict[str, Any] = {
    "sha256": "a" * 64,
    "media_type": "image/jpeg",
    "size_bytes": 3,
    "subject": "wound",
    "note": "izquierda",
}
MEDICINES = [{"name": "Paracetamol 500 mg", "dose": "1 cada 8 h", "days": 3}, {"name": "SRO", "dose": "a gusto"}]


def everything() -> list[Entry]:
    """One entry of each kind, and what may follow it."""
    photo = an_entry("photo", **PHOTO)
    entries = [
        an_entry("patient", name="Rosa Quispe", birth_date="1980-05-01", sex="female", document="1234", phone="999"),
        an_entry("reason", text="fiebre"),
        an_entry("identity", how="document"),
        *(an_entry("consent", what=what, given=what != "recording", how="spoken") for what in CONSENTS),
        an_entry("vitals", values=[{"code": code, "value": "60", "unit": unit} for code, unit in UNITS]),
        photo,
        an_entry("voice", sha256="b" * 64, media_type="audio/webm", size_bytes=4, seconds=2.5),
        an_entry("mark", photo=photo.id, x=0.5, y=0.25, radius=0.1),
        an_entry("chat", Writer.DOCTOR, text="¿desde cuándo?"),
        an_entry("note", text="uno"),
        an_entry("note", text="dos"),
        an_entry("request", question="¿Qué es?", urgency="asap", doctor="Dr. Paz"),
        an_entry("answer", Writer.DOCTOR, text="Reposo", doctor="Dr. Paz"),
        an_entry("prescription", Writer.DOCTOR, doctor="Dr. Paz", licence="CMP 1", medicines=MEDICINES),
        an_entry("follow-up", date="2027-02-30", text="control"),
        an_entry("summary", text="gripe"),
        an_entry("quality", Writer.BOX, began_s=1.0, ended_s=2.0, voice_s=1.0, picture_s=0.5, breaks=1, cause="link"),
    ]
    return [replace(entry, sequence=number) for number, entry in enumerate(entries, 1)]


CONSENTS = ("consultation", "photos", "handover", "recording")
UNITS = (
    ("temperature", "°C"),
    ("heart-rate", "/min"),
    ("respiratory-rate", "/min"),
    ("systolic", "mmHg"),
    ("diastolic", "mmHg"),
    ("oxygen-saturation", "%"),
    ("weight", "kg"),
    ("height", "cm"),
    ("glucose", "mg/dL"),
)


def resources(document: bytes, resource_type: str) -> list[dict[str, Any]]:
    rows = json.loads(document)["entry"]
    return [each["resource"] for each in rows if each["resource"]["resourceType"] == resource_type]


def test_every_kind_of_entry_is_written_and_holds_against_the_standard() -> None:
    document = bundle(VIEW, everything(), BOX)
    assert validate(document) == len(json.loads(document)["entry"])
    kinds = {each["resource"]["resourceType"] for each in json.loads(document)["entry"]}
    assert kinds == {
        "Patient",
        "Appointment",
        "Encounter",
        "Observation",
        "Media",
        "Consent",
        "ServiceRequest",
        "Communication",
        "MedicationRequest",
        "DocumentReference",
    }


def test_the_same_record_is_the_same_document() -> None:
    entries = everything()
    assert bundle(VIEW, entries, BOX) == bundle(VIEW, list(entries), BOX)


def test_every_entry_is_conditional_by_its_own_identifier_and_stands_once() -> None:
    rows = json.loads(bundle(VIEW, everything(), BOX))["entry"]
    for row in rows:
        identifier = row["resource"]["identifier"][0]
        condition = f"identifier={identifier['system']}|{identifier['value']}"
        assert row["request"] == {"method": "PUT", "url": f"{row['resource']['resourceType']}?{condition}"}
    assert len({row["fullUrl"] for row in rows}) == len({row["request"]["url"] for row in rows}) == len(rows)


def test_every_reference_leads_to_an_entry_of_the_bundle() -> None:
    document = bundle(VIEW, everything(), BOX).decode()
    own = {each["fullUrl"] for each in json.loads(document)["entry"]}
    references = {part.split('"')[0] for part in document.split('"reference":"')[1:]}
    assert references <= own


def test_what_is_new_overwrites_neither_patient_nor_encounter() -> None:
    new = [each for each in everything() if each.kind == "answer"]
    rows = json.loads(bundle(VIEW, new, BOX))["entry"]
    left = {each["resource"]["resourceType"] for each in rows if each["request"]["method"] == "POST"}
    assert left == {"Patient", "Encounter"}
    assert all("ifNoneExist" in each["request"] for each in rows if each["request"]["method"] == "POST")
    validate(bundle(VIEW, new, BOX))


def test_the_last_note_holds() -> None:
    notes = [
        base64.b64decode(each["content"][0]["attachment"]["data"])
        for each in resources(bundle(VIEW, everything(), BOX), "DocumentReference")
    ]
    assert notes == [b"dos", b"gripe"]


def test_what_came_from_the_far_side_does_not_go_back() -> None:
    answer = an_entry("answer", Writer.FAR, text="Reposo", doctor="")
    assert not resources(bundle(VIEW, [answer], BOX), "Communication")
    assert len(resources(collection(VIEW, [answer], BOX, {}), "Communication")) == 1


@pytest.mark.parametrize(("stage", "kinds", "code"), [(Stage.FINISHED, (), "VR"), (Stage.ASKED, (), "AMB")])
def test_a_visit_with_a_call_is_virtual(stage: Stage, kinds: tuple[str, ...], code: str) -> None:
    encounter = resources(bundle(replace(VIEW, stage=stage), [], BOX), "Encounter")[0]
    assert encounter["class"]["code"] == code


def test_times_of_clocks_that_cannot_be_trusted_are_unknown() -> None:
    entries = [replace(each, at_wall_s=0.0, kept_wall_s=1.0) for each in everything()]
    document = bundle(replace(VIEW, began_wall_s=0.0, changed_wall_s=5.0, due_wall_s=None), entries, BOX)
    validate(document)
    assert b"1970" not in document
    assert b"data-absent-reason" in document


def test_a_device_ahead_of_the_box_has_the_boxs_time() -> None:
    entry = replace(an_entry("chat", text="hola"), at_wall_s=WALL_S + 86_400)
    assert resources(bundle(VIEW, [entry], BOX), "Communication")[0]["sent"] == "2027-01-15T08:00:01.000Z"


def test_a_damaged_entry_is_left_out() -> None:
    entries = [*everything(), Entry(99, RECORD, DAMAGED, Writer.NURSE, WALL_S, WALL_S, {})]
    validate(bundle(VIEW, entries, BOX))


def test_an_export_holds_the_files_it_was_given() -> None:
    document = collection(VIEW, everything(), BOX, {"a" * 64: b"jpg"})
    validate(document)
    binary = next(each for each in json.loads(document)["entry"] if each["resource"]["resourceType"] == "Binary")
    urls = {each["content"]["url"] for each in resources(document, "Media")}
    assert base64.b64decode(binary["resource"]["data"]) == b"jpg"
    assert urls == {binary["fullUrl"], f"Binary/{'b' * 64}"}
    assert files(everything()) == {"a" * 64: "image/jpeg", "b" * 64: "audio/webm"}


@pytest.mark.parametrize("change", [{"status": 5}, {"surprise": "x"}, {"valueString": "x", "valueInteger": 1}])
def test_what_does_not_hold_against_the_standard_is_found(change: dict[str, object]) -> None:
    document = json.loads(bundle(VIEW, [an_entry("reason", text="fiebre")], BOX))
    document["entry"][-1]["resource"] |= change
    with pytest.raises(NotFhir):
        validate(json.dumps(document).encode())


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=200), name=st.text(max_size=40))
def test_whatever_is_typed_can_be_written(text: str, name: str) -> None:
    entries = [
        Entry(
            1,
            RECORD,
            "patient",
            Writer.NURSE,
            WALL_S,
            WALL_S,
            {"name": name, "birth_date": "0000-00-00", "sex": "other"},
        ),
        Entry(2, RECORD, "chat", Writer.NURSE, WALL_S, WALL_S, {"text": text}),
        Entry(3, RECORD, "note", Writer.NURSE, WALL_S, WALL_S, {"text": text}),
    ]
    validate(bundle(VIEW, entries, BOX))
