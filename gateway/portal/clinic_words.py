"""What the clinic's pages call things: stages, kinds of entries, measured values with their units and ranges. Pure.

A range is what a living person can have, wider than what is healthy: it finds a slip of the finger, and judges nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.clinic.records.entries import Writer
from gateway.clinic.records.states import Handover, Stage
from gateway.clinic.records.views import RecordView
from gateway.errors import N_


@dataclass(frozen=True, slots=True)
class Named:
    """A name (a message id), and how it is coloured: good, care, bad, or nothing."""

    name: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """A value that is measured: its name (a message id), its unit, and what can be."""

    name: str
    unit: str
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class CaseState:
    """Where a case is: a message id with a place for its age, and the age where the clock is known."""

    words: str
    tone: str
    age_s: float | None


STAGES: Mapping[Stage, Named] = MappingProxyType(
    {
        Stage.BOOKED: Named(N_("Booked")),
        Stage.WAITING: Named(N_("Waits here"), "care"),
        Stage.TALKING: Named(N_("With the doctor"), "good"),
        Stage.FINISHED: Named(N_("Finished")),
        Stage.ASKED: Named(N_("Waits for an answer"), "care"),
        Stage.ANSWERED: Named(N_("New answer"), "good"),
        Stage.CLOSED: Named(N_("Closed")),
        Stage.CANCELLED: Named(N_("Cancelled")),
    }
)
HANDOVERS: Mapping[Handover, Named] = MappingProxyType(
    {
        Handover.NONE: Named(N_("Not handed over")),
        Handover.QUEUED: Named(N_("Waits for the link"), "care"),
        Handover.SENDING: Named(N_("Is being sent"), "care"),
        Handover.DELIVERED: Named(N_("Handed over"), "good"),
        Handover.ATTENTION: Named(N_("Was not taken"), "bad"),
    }
)
URGENCIES: Mapping[str, Named] = MappingProxyType(
    {
        "routine": Named(N_("Can wait")),
        "urgent": Named(N_("Today"), "care"),
        "asap": Named(N_("At once"), "bad"),
    }
)
HOW_SOON: Mapping[str, str] = MappingProxyType({key: each.name for key, each in URGENCIES.items()})
WRITERS: Mapping[Writer, str] = MappingProxyType(
    {
        Writer.NURSE: N_("Nurse"),
        Writer.DOCTOR: N_("Doctor"),
        Writer.INTERPRETER: N_("Interpreter"),
        Writer.GUEST: N_("Relative"),
        Writer.BOX: N_("This box"),
        Writer.FAR: N_("Hospital"),
    }
)
KINDS: Mapping[str, str] = MappingProxyType(
    {
        "patient": N_("Patient"),
        "reason": N_("Reason of the visit"),
        "consent": N_("Consent"),
        "identity": N_("Identity"),
        "vitals": N_("Vital signs"),
        "photo": N_("Photo"),
        "mark": N_("Mark in a photo"),
        "voice": N_("Voice note"),
        "chat": N_("Message"),
        "note": N_("Notes"),
        "request": N_("Question to the doctor"),
        "answer": N_("Answer of the doctor"),
        "prescription": N_("Prescription"),
        "follow-up": N_("Come again"),
        "summary": N_("Summary"),
        "quality": N_("The call"),
        "recording": N_("Recording of the call"),
        "damaged": N_("Cannot be read: it is not what was written"),
    }
)
MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "temperature": Measure(N_("Temperature"), "°C", 25, 45),
        "heart-rate": Measure(N_("Pulse"), "/min", 20, 300),
        "respiratory-rate": Measure(N_("Breaths"), "/min", 4, 120),
        "systolic": Measure(N_("Blood pressure, upper"), "mmHg", 40, 300),
        "diastolic": Measure(N_("Blood pressure, lower"), "mmHg", 20, 200),
        "oxygen-saturation": Measure(N_("Oxygen"), "%", 30, 100),
        "weight": Measure(N_("Weight"), "kg", 0.3, 350),
        "height": Measure(N_("Height"), "cm", 20, 250),
        "glucose": Measure(N_("Glucose"), "mg/dL", 10, 1_500),
    }
)
SEXES: Mapping[str, str] = MappingProxyType(
    {"unknown": N_("Not said"), "female": N_("Woman"), "male": N_("Man"), "other": N_("Other")}
)
IDENTITIES: Mapping[str, str] = MappingProxyType(
    {
        "document": N_("Showed a document"),
        "known": N_("Is known to me"),
        "stated": N_("Said so, without proof"),
    }
)
CONSENTS: Mapping[str, str] = MappingProxyType(
    {
        "consultation": N_("To talk with a doctor far away"),
        "photos": N_("To photos being taken and shown to the doctor"),
        "handover": N_("To the record going to the hospital"),
    }
)
ALL_CONSENTS: Mapping[str, str] = MappingProxyType({**CONSENTS, "recording": N_("To the call being recorded")})
HOWS: Mapping[str, str] = MappingProxyType(
    {"spoken": N_("Said it"), "ticked": N_("Ticked it here"), "signed": N_("Signed on paper")}
)
SUBJECTS: Mapping[str, str] = MappingProxyType(
    {
        "wound": N_("Wound"),
        "skin": N_("Skin"),
        "eye": N_("Eye"),
        "document": N_("Document"),
        "other": N_("Something else"),
    }
)
ACCESSES: Mapping[str, str] = MappingProxyType(
    {
        "begin": N_("Began it"),
        "move": N_("Changed its state"),
        "write": N_("Wrote"),
        "read": N_("Read it"),
        "list": N_("Saw it in a list"),
        "file-read": N_("Looked at a file"),
        "file-write": N_("Added a file"),
        "hand-over": N_("Handed it over"),
        "seal": N_("Sealed it"),
        "delete": N_("Deleted it"),
    }
)


def case_state(view: RecordView, wall_s: float | None) -> CaseState:
    """Return where a case is; without `wall_s` the box does not know the date, and no age is told."""
    words, tone = _case_words(view)
    age_s = None if wall_s is None else max(wall_s - view.changed_wall_s, 0.0)
    return CaseState(words, tone, age_s)


def _case_words(view: RecordView) -> tuple[str, str]:
    if view.stage is Stage.ANSWERED:
        return N_("Answered"), "good"
    if view.stage is not Stage.ASKED:
        return STAGES[view.stage].name, STAGES[view.stage].tone
    match view.handover:
        case Handover.DELIVERED:
            return N_("Sent, no answer yet"), "care"
        case Handover.ATTENTION:
            return N_("Was not taken: look at it"), "bad"
        case Handover.QUEUED | Handover.SENDING:
            return HANDOVERS[view.handover].name, "care"
        case Handover.NONE:
            return N_("Not sent yet"), "bad"
