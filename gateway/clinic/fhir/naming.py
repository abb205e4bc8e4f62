"""What is sent twice is known again: every resource has an identifier that follows from the record and the entry. Pure.

An identifier is `urn:tambo:<box>` and `urn:uuid:<id>`: of a record for what there is once in it, of an entry, or of a
UUID made of both (RFC 9562 §5.5) where an entry becomes several. Inside a bundle resources refer to each other by
`fullUrl`; what another bundle brought is named by its identifier alone.

Source: FHIR R4 3.1.0.5.2 (conditional update), 2.36.4 (resolving references in bundles), 2.3.0.1 (logical references).
"""

import re
import uuid
from dataclasses import dataclass
from datetime import date
from typing import Any

from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import Entry, HandoverItem, RecordView
from gateway.clock import clock_state, iso_utc

Body = dict[str, Any]  # a resource, or a part of one, as JSON has it
UNKNOWN: Body = {
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
}
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
AHEAD_S = 300.0  # a device whose clock is further ahead of the box's has no time of its own to tell
_SPACE = uuid.UUID("5f0c7a52-6f1b-5a0e-9d63-7b1d8a6f2c11")  # of our derived ids
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")  # FHIR R4 2.24.0.1, string


@dataclass(frozen=True, slots=True)
class Heading:
    """What holds for a record as a whole."""

    record: str
    stage: Stage
    began_wall_s: float
    changed_wall_s: float
    due_wall_s: float | None
    doctor: str


def heading(of: RecordView | HandoverItem) -> Heading:
    """Return what holds for a record as a whole."""
    record = of.id if isinstance(of, RecordView) else of.record
    return Heading(record, of.stage, of.began_wall_s, of.changed_wall_s, of.due_wall_s, of.doctor)


@dataclass(frozen=True, slots=True)
class Frame:
    """What the resources of one bundle have in common."""

    box: str
    heading: Heading
    birth_date: str | None = None

    def begun(self, resource_type: str, key: str, **fields: object) -> Body:
        """Return a resource with its identifier, and what is known of it."""
        return {"resourceType": resource_type, "identifier": [self.identifier(key)], **fields}

    def of_visit(self, resource_type: str, key: str, **fields: object) -> Body:
        """Return a resource about the record's patient in the record's encounter."""
        return self.begun(resource_type, key, subject=self.patient, encounter=self.encounter, **fields)

    def identifier(self, key: str) -> Body:
        """Return the identifier of what has this id."""
        return {"system": system(self.box), "value": f"urn:uuid:{key}"}

    def named(self, resource_type: str, key: str) -> Body:
        """Return a reference to what may have come with another bundle."""
        return {"type": resource_type, "identifier": self.identifier(key)}

    @property
    def patient(self) -> Body:
        """The reference to the record's patient."""
        return {"reference": full_url("Patient", self.heading.record)}

    @property
    def encounter(self) -> Body:
        """The reference to the record's encounter."""
        return {"reference": full_url("Encounter", self.heading.record)}


def system(box_name: str) -> str:
    """Return the system of a box's identifiers.

    >>> system("san-mateo")
    'urn:tambo:san-mateo'
    """
    return f"urn:tambo:{box_name}"


def derived(*parts: str) -> str:
    """Return the one id of what is made of these."""
    return str(uuid.uuid5(_SPACE, "/".join(parts)))


def full_url(resource_type: str, key: str) -> str:
    """Return how a bundle names a resource of its own."""
    return f"urn:uuid:{derived(resource_type, key)}"


def record_of(identifiers: object, box_name: str) -> str | None:
    """Return which id of this box's a far resource's identifiers name; None for none."""
    for each in identifiers if isinstance(identifiers, list) else ():
        if isinstance(each, dict) and each.get("system") == system(box_name):
            value = each.get("value")
            key = value.removeprefix("urn:uuid:") if isinstance(value, str) else ""
            if UUID.fullmatch(key):
                return key
    return None


def told_wall_s(entry: Entry) -> float | None:
    """Return when something was, by the clock that can be believed: the device's, else the box's, else none."""
    is_box_trusted = clock_state(entry.kept_wall_s) == "trusted"
    if clock_state(entry.at_wall_s) == "trusted" and not (
        is_box_trusted and entry.at_wall_s > entry.kept_wall_s + AHEAD_S
    ):
        return entry.at_wall_s
    return entry.kept_wall_s if is_box_trusted else None


def real_date(text: object) -> str | None:
    """Return a date that the calendar has; None for any other.

    >>> real_date("2024-02-29"), real_date("2023-02-29")
    ('2024-02-29', None)
    """
    try:
        return date.fromisoformat(str(text)).isoformat()
    except ValueError:
        return None


def dated(field: str, wall_s: float | None) -> Body:
    """Return a time as a field, or the field with the reason why it has none.

    >>> dated("sent", 1_800_000_000.0)
    {'sent': '2027-01-15T08:00:00.000Z'}
    """
    if wall_s is None or clock_state(wall_s) != "trusted":
        return {f"_{field}": UNKNOWN}
    return {field: iso_utc(wall_s)}


def coded(code_system: str, code: str, display: str = "") -> Body:
    """Return one code of a system as a concept."""
    return {"coding": [{"system": code_system, "code": code, "display": display}], "text": display}


def cleaned(text: str) -> str:
    """Return a text without what is none: controls, halves of characters, space at its ends."""
    return _NOT_TEXT.sub("", text).strip()


def pruned(value: Any) -> Any:
    """Return a value without what FHIR does not allow: empty strings, lists and objects, and what is no text."""
    match value:
        case str():
            return cleaned(value)
        case dict():
            return {name: kept for name, each in value.items() if (kept := pruned(each)) not in (None, "", [], {})}
        case list() | tuple():
            return [kept for each in value if (kept := pruned(each)) not in (None, "", [], {})]
        case _:
            return value
