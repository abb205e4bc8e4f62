"""A record's frame as FHIR R4: its patient, the encounter, the appointment it was booked as. Pure.

What a delivery does not know again is never taken away: a patient or an encounter whose details are not in it is
created where it is not there, and else left as it is.

Source: FHIR R4 8.1 (Patient), 8.11 (Encounter), 12.6 (Appointment).
"""

from collections.abc import Sequence
from types import MappingProxyType

from gateway.clinic.fhir.naming import Body, Frame, dated, real_date
from gateway.clinic.records.entries import Writer
from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import Entry
from gateway.clock import clock_state, iso_utc

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
APPOINTMENT_S = 1_200.0  # R4's Appointment must end somewhere (app-3); bookings here have no length
_ENCOUNTER = MappingProxyType(
    {
        Stage.BOOKED: "planned",
        Stage.WAITING: "arrived",
        Stage.TALKING: "in-progress",
        Stage.FINISHED: "finished",
        Stage.ASKED: "in-progress",
        Stage.ANSWERED: "in-progress",
        Stage.CLOSED: "finished",
        Stage.CANCELLED: "cancelled",
    }
)
_APPOINTMENT = MappingProxyType({Stage.BOOKED: "booked", Stage.WAITING: "arrived", Stage.CANCELLED: "cancelled"})


def patient(frame: Frame, entry: Entry | None) -> Body:
    """Return who it is about; without an entry nothing but the identifier."""
    fields = entry.fields if entry is not None else {}
    body = frame.begun(
        "Patient",
        frame.heading.record,
        name=[{"text": fields.get("name")}],
        gender=fields.get("sex"),
        birthDate=real_date(fields.get("birth_date")),
        telecom=[{"system": "phone", "value": fields["phone"]}] if fields.get("phone") else [],
        communication=[{"language": {"text": fields.get("language")}}],
    )
    if fields.get("document"):
        body["identifier"].append({"type": {"text": "Identity document"}, "value": fields["document"]})
    return body


def encounter(frame: Frame, entries: Sequence[Entry]) -> Body:
    """Return the visit: virtual where there was a call, ambulatory where there was none."""
    heading = frame.heading
    is_over = heading.stage in (Stage.FINISHED, Stage.CLOSED, Stage.CANCELLED)
    began = {"start": iso_utc(heading.began_wall_s)} if clock_state(heading.began_wall_s) == "trusted" else {}
    ended = (
        {"end": iso_utc(heading.changed_wall_s)} if is_over and heading.changed_wall_s >= heading.began_wall_s else {}
    )
    was_called = _was_called(heading.stage, entries)
    return frame.begun(
        "Encounter",
        heading.record,
        status=_ENCOUNTER[heading.stage],
        **{
            "class": {
                "system": ACT_CODE,
                "code": "VR" if was_called else "AMB",
                "display": "virtual" if was_called else "ambulatory",
            }
        },
        subject=frame.patient,
        period={**began, **ended} if began else {},
        participant=[{"individual": {"type": "Practitioner", "display": heading.doctor}}] if heading.doctor else [],
    )


def is_known(stage: Stage, entries: Sequence[Entry]) -> bool:
    """Say whether these entries tell how the visit was: the first of a record, or that there was a call."""
    return _was_called(stage, entries) or any(each.sequence == 1 for each in entries)


def appointment(frame: Frame) -> Body | None:
    """Return what was booked; None for a patient who walked in, or where no clock could be trusted."""
    due_wall_s = frame.heading.due_wall_s
    if due_wall_s is None or clock_state(due_wall_s) != "trusted":
        return None
    people = [{"actor": frame.patient, "status": "accepted"}]
    if frame.heading.doctor:
        people.append({"actor": {"type": "Practitioner", "display": frame.heading.doctor}, "status": "accepted"})
    return frame.begun(
        "Appointment",
        frame.heading.record,
        status=_APPOINTMENT.get(frame.heading.stage, "fulfilled"),
        **dated("start", due_wall_s),
        **dated("end", due_wall_s + APPOINTMENT_S),
        participant=people,
    )


def _was_called(stage: Stage, entries: Sequence[Entry]) -> bool:
    return stage in (Stage.TALKING, Stage.FINISHED) or any(
        each.kind == "quality" and each.by is Writer.BOX for each in entries
    )
