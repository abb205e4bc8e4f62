"""What a FHIR server tells is read for the few things that are asked of it, and the rest is not looked at. Pure.

An answer is a Communication based on our ServiceRequest, or a MedicationRequest in our Encounter; both are told with
what they belong to (`_include`), whose identifier names the record. What we sent ourselves, what was entered in error,
and what has no words is no answer. Narratives (HTML) are never read.

Source: FHIR R4 3.1.1.5.4 (chained parameters), 3.1.1.5.13 (_include), 3.2.1.5.5.1 (token, `system|`), 12.8, 11.1.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from gateway.clinic.fhir.naming import cleaned, derived, record_of
from gateway.clinic.records.entries import check
from gateway.clinic.records.views import NewEntry
from gateway.document import canonical
from gateway.errors import BadRequest

TEXT_CHARS_MAX = 8_000  # of one entry: a longer answer becomes several
PARTS_MAX = 8
LINES_MAX = 40  # payloads, dosages
DEPTH_MAX = 32  # of a Bundle: contained resources and extensions
WALL_S_MAX = 4_102_444_800.0  # 2100: what is said to be later has no time
_ENDED = {"entered-in-error", "preparation", "not-done", "draft", "cancelled", "stopped"}
_ENCLOSES = {"Communication": ("basedOn", "ServiceRequest"), "MedicationRequest": ("encounter", "Encounter")}


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, for a record of ours, as an entry that is made the same each time it is read."""

    record: str
    entry: NewEntry


@dataclass(frozen=True, slots=True)
class Told:
    """What one page of a search said."""

    replies: tuple[Reply, ...] = ()
    unreadable: int = 0  # answers to us that say nothing we can show
    next_url: str = ""


def read_answers(document: object, box_name: str) -> Told:
    """Return the answers in a searchset.

    Raises: BadRequest when it is none.
    """
    if (
        not isinstance(document, dict)
        or document.get("resourceType") != "Bundle"
        or document.get("type") != "searchset"
    ):
        raise BadRequest
    resources = [each["resource"] for each in _objects(document.get("entry")) if isinstance(each.get("resource"), dict)]
    records = _records(resources, box_name)
    replies: list[Reply] = []
    unreadable = 0
    for resource in resources:
        record = _record(resource, records, box_name)
        if record is None or _text(resource.get("status")) in _ENDED or record_of(resource.get("identifier"), box_name):
            continue
        found = list(_replies(resource, record))
        replies += found
        unreadable += not found
    return Told(tuple(replies), unreadable, _next_url(document))


def _records(resources: Sequence[Mapping[str, Any]], box_name: str) -> dict[str, str]:
    """Return which record each told ServiceRequest and Encounter is of."""
    found = {}
    for each in resources:
        record = record_of(each.get("identifier"), box_name)
        if record is not None and each.get("resourceType") in ("ServiceRequest", "Encounter"):
            found[f"{each['resourceType']}/{_text(each.get('id'))}"] = record
    return found


def _record(resource: Mapping[str, Any], records: Mapping[str, str], box_name: str) -> str | None:
    """Return which record a resource answers."""
    field, resource_type = _ENCLOSES.get(_text(resource.get("resourceType")), ("", ""))
    named = resource.get(field)
    for each in _objects(named if isinstance(named, list) else [named]):
        identifier = each.get("identifier")
        if each.get("type") == resource_type and (own := record_of([identifier], box_name)):
            return own
        place = _text(each.get("reference")).partition("/_history/")[0]
        if (found := records.get("/".join(place.split("/")[-2:]))) is not None:
            return found
    return None


def _replies(resource: Mapping[str, Any], record: str) -> Iterator[Reply]:
    """Yield a resource as entries; nothing where it has no words, or more than are taken."""
    name = f"{record}/{resource['resourceType']}/{_text(resource.get('id'))}"
    kind, parts = _communication(resource) if resource["resourceType"] == "Communication" else _medication(resource)
    for place, fields in enumerate(parts):
        try:
            kept = check(kind, fields)
        except BadRequest:
            continue
        # the far id and what it says: once for each wording, however often and in whatever version it is told
        digest = hashlib.sha256(canonical(kept)).hexdigest()
        entry_id = derived(name, str(place), digest)
        yield Reply(record, NewEntry(entry_id, kind, _wall_s(resource), kept))


def _communication(resource: Mapping[str, Any]) -> tuple[str, list[dict[str, object]]]:
    said = [
        _text(each.get("contentString")) or _text(_object(each.get("contentAttachment")).get("title"))
        for each in islice(_objects(resource.get("payload")), LINES_MAX)
    ]
    text = "\n".join(each for each in said if each)
    parts = [text[at : at + TEXT_CHARS_MAX] for at in range(0, len(text), TEXT_CHARS_MAX)]
    doctor = _text(_object(resource.get("sender")).get("display"))[:120]
    return "answer", [{"text": part, "doctor": doctor} for part in parts] if len(parts) <= PARTS_MAX else []


def _medication(resource: Mapping[str, Any]) -> tuple[str, list[dict[str, object]]]:
    dosages = list(islice(_objects(resource.get("dosageInstruction")), LINES_MAX))
    doses = [_text(each.get("text")) or _text(each.get("patientInstruction")) or _dose(each) for each in dosages]
    medicine = {
        "name": _medicine(resource),
        "dose": "; ".join(each for each in doses if each),
        "days": _days(resource, dosages),
    }
    doctor = _text(_object(resource.get("requester")).get("display"))[:120]
    if not all((medicine["name"], medicine["dose"])):  # a medicine without a dose is none to be printed
        return "prescription", []
    return "prescription", [{"doctor": doctor or "?", "medicines": [medicine]}]


def _medicine(resource: Mapping[str, Any]) -> str:
    concept = _object(resource.get("medicationCodeableConcept"))
    coding = next(_objects(concept.get("coding")), {})
    reference = _object(resource.get("medicationReference"))
    return _text(concept.get("text")) or _text(coding.get("display")) or _text(reference.get("display"))


def _dose(dosage: Mapping[str, Any]) -> str:
    """Return a dosage that has no words of its own as numbers and units."""
    quantity = _object(next(_objects(dosage.get("doseAndRate")), {}).get("doseQuantity"))
    repeat = _object(_object(dosage.get("timing")).get("repeat"))
    amount = f"{_number(quantity.get('value'))} {_text(quantity.get('unit'))}".strip()
    times = [_number(repeat.get("frequency")), _number(repeat.get("period")), _text(repeat.get("periodUnit"))]
    return f"{amount}, {times[0]}x/{times[1]} {times[2]}" if amount and all(times) else ""


def _days(resource: Mapping[str, Any], dosages: Sequence[Mapping[str, Any]]) -> int | None:
    supply = _object(_object(resource.get("dispenseRequest")).get("expectedSupplyDuration"))
    repeat = _object(_object(dosages[0].get("timing")).get("repeat")) if dosages else {}
    for each in (supply, _object(repeat.get("boundsDuration"))):
        value = each.get("value")
        if each.get("code") == "d" and isinstance(value, int | float) and 1 <= value <= 365 and value == int(value):
            return int(value)
    return None


def _wall_s(resource: Mapping[str, Any]) -> float:
    """Return when an answer says it was given; 0 when it does not say."""
    meta = _object(resource.get("meta"))
    for told in (resource.get("sent"), resource.get("authoredOn"), meta.get("lastUpdated")):
        try:
            wall_s = datetime.fromisoformat(_text(told)).timestamp()
        except (ValueError, OverflowError, OSError):
            continue
        if 0.0 <= wall_s <= WALL_S_MAX:
            return wall_s
    return 0.0


def _next_url(document: Mapping[str, Any]) -> str:
    for each in _objects(document.get("link")):
        if each.get("relation") == "next":
            return _text(each.get("url"))
    return ""


def _objects(value: object) -> Iterator[dict[str, Any]]:
    return (each for each in value if isinstance(each, dict)) if isinstance(value, list) else iter(())


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return cleaned(value) if isinstance(value, str) else ""


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else ""
