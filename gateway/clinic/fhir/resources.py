"""Each entry of a record becomes the FHIR R4 resources it stands for; of what holds once, the last counts. Pure.

Codes are used where FHIR or LOINC has one that says the same; else the word stands as text, which R4 allows everywhere
here. A person without a resource of their own is a reference that only has a name.

Source: FHIR R4: Media 9.11, Consent 6.2, ServiceRequest 9.9, Communication 12.8, MedicationRequest 11.1,
DocumentReference 7.3, Appointment 12.6.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from gateway.clinic.fhir.naming import Body, Frame, coded, dated, derived, real_date, told_wall_s
from gateway.clinic.fhir.vitals import CATEGORY, LOINC, UCUM, observations
from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import Entry

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
SCOPES = "http://terminology.hl7.org/CodeSystem/consentscope"
MEDIA_TYPES = "http://terminology.hl7.org/CodeSystem/media-type"
FILES = frozenset({"photo", "voice"})  # kinds whose bytes are kept beside the record
_FORMS = {"photo": ("image", "Image"), "voice": ("audio", "Audio"), "recording": ("video", "Video")}
LAST_HOLDS = frozenset({"patient", "note", "summary"})

Keyed = Iterable[tuple[str, Body]]  # resources, each with the id in its identifier


def resources(frame: Frame, entry: Entry) -> Keyed:
    """Yield what an entry becomes; nothing for a kind that stands elsewhere, or that is not known here."""
    write = _WRITE.get(entry.kind)
    return write(frame, entry) if write is not None else ()


def media_url(sha256: str) -> str:
    """Return where a file is at the far side, from its base.

    >>> media_url("ab")
    'Binary/ab'
    """
    return f"Binary/{sha256}"


def _reason(frame: Frame, entry: Entry) -> Keyed:
    yield entry.id, _said(frame, entry, coded(LOINC, "8661-1", "Chief complaint - Reported"), entry.fields["text"])


def _identity(frame: Frame, entry: Entry) -> Keyed:
    yield entry.id, _said(frame, entry, {"text": "How the patient's identity was checked"}, entry.fields["how"])


def _said(frame: Frame, entry: Entry, code: Body, text: object) -> Body:
    when = dated("effectiveDateTime", told_wall_s(entry))
    return frame.of_visit("Observation", entry.id, status="final", code=code, valueString=text, **when)


def _consent(frame: Frame, entry: Entry) -> Keyed:
    fields = entry.fields
    is_care = fields["what"] == "consultation"
    key = derived(frame.heading.record, "consent", str(fields["what"]))  # the last one of a `what` holds
    yield (
        key,
        frame.begun(
            "Consent",
            key,
            status="active",
            scope=coded(SCOPES, "treatment", "Treatment") if is_care else coded(SCOPES, "patient-privacy", "Privacy"),
            category=[{**coded(LOINC, "59284-0", "Consent Document"), "text": fields["what"]}],
            patient=frame.patient,
            performer=[{"display": fields["person"]} if fields["person"] else frame.patient],
            policyRule={
                **coded(ACT_CODE, "OPTIN" if fields["given"] else "OPTOUT", "opt-in" if fields["given"] else "opt-out"),
                "text": fields["how"],
            },
            provision={"type": "permit" if fields["given"] else "deny"},
            **dated("dateTime", told_wall_s(entry)),
        ),
    )


def _file(frame: Frame, entry: Entry) -> Keyed:
    fields = entry.fields
    code, word = _FORMS[entry.kind]
    yield (
        entry.id,
        frame.of_visit(
            "Media",
            entry.id,
            status="completed",
            type=coded(MEDIA_TYPES, code, word),
            **dated("createdDateTime", told_wall_s(entry)),
            operator={"display": entry.by.value},
            reasonCode=[{"text": fields.get("subject", "")}],
            duration=fields.get("seconds"),
            content={
                "contentType": fields["media_type"],
                "url": media_url(str(fields["sha256"])),
                "size": fields["size_bytes"],
            },
            note=[{"text": fields.get("note", "")}],
        ),
    )


def _mark(frame: Frame, entry: Entry) -> Keyed:
    share = {"unit": "of the picture's width or height", "system": UCUM, "code": "1"}
    places = [
        {"code": {"text": name}, "valueQuantity": {"value": entry.fields[name], **share}}
        for name in ("x", "y", "radius")
    ]
    yield (
        entry.id,
        frame.of_visit(
            "Observation",
            entry.id,
            status="final",
            code={"text": "Mark in a picture"},
            focus=[frame.named("Media", str(entry.fields["photo"]))],
            valueString=entry.fields["note"],
            component=places,
            **dated("effectiveDateTime", told_wall_s(entry)),
        ),
    )


def _chat(frame: Frame, entry: Entry) -> Keyed:
    yield entry.id, _communication(frame, entry, entry.fields["text"], entry.by.value, "chat")


def _request(frame: Frame, entry: Entry) -> Keyed:
    """Yield the question, and the record's one service request, which always asks the last one."""
    fields, record = entry.fields, frame.heading.record
    is_answered = frame.heading.stage in (Stage.ANSWERED, Stage.CLOSED)
    yield (
        record,
        frame.of_visit(
            "ServiceRequest",
            record,
            status="completed" if is_answered else "active",
            intent="order",
            priority=fields["urgency"],
            code={"text": "Advice of a doctor who is not there"},
            reasonCode=[{"text": fields["question"]}],
            requester={"display": entry.by.value},
            performer=[{"type": "Practitioner", "display": fields["doctor"]}] if fields["doctor"] else [],
            **dated("authoredOn", told_wall_s(entry)),
        ),
    )
    yield entry.id, _communication(frame, entry, fields["question"], entry.by.value, "question")


def _answer(frame: Frame, entry: Entry) -> Keyed:
    body = _communication(frame, entry, entry.fields["text"], str(entry.fields["doctor"]) or entry.by.value, "answer")
    yield entry.id, {**body, "basedOn": [frame.named("ServiceRequest", frame.heading.record)]}


def _communication(frame: Frame, entry: Entry, text: object, sender: str, word: str) -> Body:
    return frame.of_visit(
        "Communication",
        entry.id,
        status="completed",
        category=[{"text": word}],
        payload=[{"contentString": text}],
        sender={"display": sender},
        **dated("sent", told_wall_s(entry)),
    )


def _prescription(frame: Frame, entry: Entry) -> Keyed:
    fields = entry.fields
    licence = {"identifier": {"value": fields["licence"]}} if fields["licence"] else {}
    medicines: Iterable[Mapping[str, object]] = fields["medicines"]  # type: ignore[assignment]  # checked as it was kept
    for place, each in enumerate(medicines):
        key = derived(entry.id, str(place))
        days = {"value": each["days"], "unit": "d", "system": UCUM, "code": "d"} if each["days"] else {}
        yield (
            key,
            frame.of_visit(
                "MedicationRequest",
                key,
                status="active",
                intent="order",
                medicationCodeableConcept={"text": each["name"]},
                requester={"type": "Practitioner", "display": fields["doctor"], **licence},
                groupIdentifier=frame.identifier(entry.id),
                dosageInstruction=[{"text": each["dose"]}],
                dispenseRequest={"expectedSupplyDuration": days},
                **dated("authoredOn", told_wall_s(entry)),
            ),
        )


def _follow_up(frame: Frame, entry: Entry) -> Keyed:
    day = real_date(entry.fields["date"])
    yield (
        entry.id,
        frame.begun(
            "Appointment",
            entry.id,
            status="proposed",
            description=entry.fields["text"],
            requestedPeriod=[{"start": day, "end": day}] if day else [],
            participant=[{"actor": frame.patient, "status": "needs-action"}],
        ),
    )


def _note(frame: Frame, entry: Entry) -> Keyed:
    yield from _document(frame, entry, coded(LOINC, "34109-9", "Note"))


def _summary(frame: Frame, entry: Entry) -> Keyed:
    yield from _document(frame, entry, coded(LOINC, "11488-4", "Consult note"))


def _document(frame: Frame, entry: Entry, code: Body) -> Keyed:
    key = derived(frame.heading.record, entry.kind)
    text = base64.b64encode(str(entry.fields["text"]).encode()).decode()
    yield (
        key,
        frame.begun(
            "DocumentReference",
            key,
            status="current",
            type=code,
            subject=frame.patient,
            author=[{"display": entry.by.value}],
            **dated("date", told_wall_s(entry)),
            content=[{"attachment": {"contentType": "text/plain; charset=utf-8", "data": text, "title": code["text"]}}],
            context={"encounter": [frame.encounter]},
        ),
    )


def _quality(frame: Frame, entry: Entry) -> Keyed:
    fields = entry.fields
    seconds = [
        {"code": {"text": name}, "valueQuantity": {"value": fields[name], "unit": "s", "system": UCUM, "code": "s"}}
        for name in ("voice_s", "picture_s")
    ]
    yield (
        entry.id,
        frame.of_visit(
            "Observation",
            entry.id,
            status="final",
            category=[coded(CATEGORY, "procedure")],
            code={"text": "Quality of the call"},
            valueString=fields["cause"],
            component=[*seconds, {"code": {"text": "breaks"}, "valueInteger": fields["breaks"]}],
            **dated("effectiveDateTime", told_wall_s(entry)),
        ),
    )


_WRITE: Mapping[str, Callable[[Frame, Entry], Keyed]] = MappingProxyType(
    {
        "reason": _reason,
        "identity": _identity,
        "consent": _consent,
        "vitals": observations,
        "photo": _file,
        "voice": _file,
        "recording": _file,
        "mark": _mark,
        "chat": _chat,
        "request": _request,
        "answer": _answer,
        "prescription": _prescription,
        "follow-up": _follow_up,
        "note": _note,
        "summary": _summary,
        "quality": _quality,
    }
)
