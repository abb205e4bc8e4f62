"""A record as a page shows it: the person, the entries in words, and how far a case is. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.clinic.records.states import Handover, Stage
from gateway.clinic.records.views import Access, Entry, RecordView
from gateway.errors import N_
from gateway.portal.clinic_words import (
    ACCESSES,
    ALL_CONSENTS,
    HANDOVERS,
    HOWS,
    IDENTITIES,
    KINDS,
    MEASURES,
    SEXES,
    STAGES,
    SUBJECTS,
    URGENCIES,
    WRITERS,
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A name (a message id) and what stands there: a value, or a message id of its own."""

    name: str
    value: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Ring:
    """A mark in a photo, in hundredths of its width and height."""

    x: float
    y: float
    radius: float
    note: str


@dataclass(frozen=True, slots=True)
class ShownEntry:
    """One entry."""

    id: str
    kind: str
    title: str
    by: str
    at_wall_s: float
    text: str = ""
    facts: tuple[Fact, ...] = ()
    photo: str = ""
    voice: str = ""
    rings: tuple[Ring, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a case's way: a message id, when, and whether it was taken."""

    name: str
    at_wall_s: float | None
    is_done: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ShownAccess:
    """One line of the audit trail; `kind` and `what` are message ids."""

    at_wall_s: float
    who: str
    name: str
    what: str
    kind: str
    is_sound: bool


def last(entries: Sequence[Entry], kind: str) -> Mapping[str, Any]:
    """Return the fields of the last entry of a kind; nothing where there is none."""
    return next((each.fields for each in reversed(entries) if each.kind == kind), {})


def consents(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Return the consent that holds for each thing that was asked."""
    return {str(each.fields["what"]): each for each in entries if each.kind == "consent"}


def person_typed(entries: Sequence[Entry]) -> dict[str, str]:
    """Return the form of a person as it would have been typed."""
    patient, held = last(entries, "patient"), consents(entries)
    typed = {name: str(value) for name, value in patient.items() if value is not None}
    typed["reason"] = str(last(entries, "reason").get("text", ""))
    typed["identity"] = str(last(entries, "identity").get("how", "stated"))
    for what, entry in held.items():
        if entry.fields["given"]:
            typed[f"consent-{what}"] = typed[f"had-{what}"] = "yes"
            typed["consent-how"], typed["consent-person"] = str(entry.fields["how"]), str(entry.fields["person"])
    return typed


def shown(entries: Sequence[Entry]) -> list[ShownEntry]:
    """Return entries in words, in their order; marks stand in their photos."""
    return [_entry(each, entries) for each in entries if each.kind != "mark"]


def case_steps(view: RecordView, entries: Sequence[Entry]) -> list[Step]:
    """Return the way of a case: asked, sent, answered, read."""
    asked = next((each.kept_wall_s for each in entries if each.kind == "request"), None)
    answered = next((each.kept_wall_s for each in reversed(entries) if each.kind == "answer"), None)
    handover = HANDOVERS[view.handover]
    steps = [Step(N_("Asked"), asked, asked is not None)]
    if view.handover is not Handover.NONE:
        steps.append(Step(handover.name, None, view.handover is Handover.DELIVERED, view.reason))
    steps.append(Step(N_("Answered"), answered, answered is not None))
    steps.append(Step(N_("Read"), None, answered is not None and view.stage is Stage.CLOSED))
    return steps


def access(line: Access) -> ShownAccess:
    """Return a line of the audit trail in words."""
    what, _, detail = line.what.partition(":")
    words = KINDS.get(detail, "")
    if what == "move" and detail in set(Stage):
        words = STAGES[Stage(detail)].name
    elif what == "hand-over" and detail in set(Handover):
        words = HANDOVERS[Handover(detail)].name
    who = WRITERS[line.writer] if line.writer else ""
    return ShownAccess(line.at_wall_s, who, line.name, ACCESSES.get(what, N_("Something else")), words, line.is_sound)


def _entry(entry: Entry, entries: Sequence[Entry]) -> ShownEntry:
    fields: Mapping[str, Any] = entry.fields
    photo = str(fields.get("sha256", "")) if entry.kind == "photo" else ""
    return ShownEntry(
        id=entry.id,
        kind=entry.kind,
        title=KINDS.get(entry.kind, KINDS["damaged"]),
        by=WRITERS[entry.by],
        at_wall_s=entry.at_wall_s,
        text=str(fields.get("text") or fields.get("question") or fields.get("note") or ""),
        facts=tuple(_facts(entry.kind, fields)),
        photo=photo,
        voice=str(fields.get("sha256", "")) if entry.kind == "voice" else "",
        rings=tuple(_rings(entry.id, entries)) if photo else (),
    )


def _rings(photo: str, entries: Sequence[Entry]) -> list[Ring]:
    marks: list[Mapping[str, Any]] = [
        each.fields for each in entries if each.kind == "mark" and each.fields.get("photo") == photo
    ]
    return [
        Ring(100 * float(each["x"]), 100 * float(each["y"]), 100 * float(each["radius"]), str(each["note"]))
        for each in marks
    ]


def _facts(kind: str, fields: Mapping[str, Any]) -> list[Fact]:
    match kind:
        case "patient":
            return _patient(fields)
        case "consent":
            given = N_("yes") if fields["given"] else N_("no")
            told = [Fact(ALL_CONSENTS[fields["what"]], words=given), Fact(N_("How"), words=HOWS[fields["how"]])]
            return [*told, *([Fact(N_("Who agreed"), fields["person"])] if fields["person"] else [])]
        case "identity":
            return [Fact(N_("The patient"), words=IDENTITIES[fields["how"]])]
        case "vitals":
            return [Fact(MEASURES[each["code"]].name, f"{each['value']} {each['unit']}") for each in fields["values"]]
        case "photo":
            return [Fact(N_("Shows"), words=SUBJECTS[fields["subject"]])]
        case "request":
            return [Fact(N_("How soon"), words=URGENCIES[fields["urgency"]].name), *_named(fields)]
        case "answer" | "prescription":
            medicines = [Fact(N_("Medicine"), _dose(each)) for each in fields.get("medicines", ())]
            return [*medicines, *_named(fields)]
        case "follow-up":
            return [Fact(N_("Date"), fields["date"])]
        case "quality":
            return [
                Fact(N_("Seconds with voice"), str(round(fields["voice_s"]))),
                Fact(N_("Breaks"), str(fields["breaks"])),
            ]
        case "recording":
            return [Fact(N_("Seconds"), str(round(fields["ended_s"] - fields["began_s"])))]
        case _:
            return []


def _patient(fields: Mapping[str, Any]) -> list[Fact]:
    facts = [Fact(N_("Name"), fields["name"]), Fact(N_("Born"), fields["birth_date"] or "")]
    if fields["sex"] != "unknown":
        facts.append(Fact(N_("Sex"), words=SEXES[fields["sex"]]))
    for name, words in (("document", N_("Document")), ("phone", N_("Phone")), ("language", N_("Language"))):
        facts.append(Fact(words, fields[name]))
    return [each for each in facts if each.value or each.words]


def _named(fields: Mapping[str, Any]) -> list[Fact]:
    return [Fact(N_("Doctor"), fields["doctor"])] if fields.get("doctor") else []


def _dose(medicine: Mapping[str, Any]) -> str:
    days = medicine.get("days")
    return ", ".join(filter(None, (medicine["name"], medicine["dose"], f"{days} d" if days else "")))
