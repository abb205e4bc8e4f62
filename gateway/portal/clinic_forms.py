"""The clinic's forms as people fill them in: read whole, each fault told at its field, nothing typed is lost. Pure.

Each form carries an id that was made with the page. The ids of what it writes come from it, so that a form that is
sent twice writes once (RFC 9562 §5.5: the same name in the same space is the same id).
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.clinic.records.entries import check
from gateway.clinic.records.views import NewEntry
from gateway.errors import N_, BadRequest
from gateway.portal.clinic_words import CONSENTS, HOWS, IDENTITIES, MEASURES, SEXES, URGENCIES

MEDICINES = 5  # lines of the form; a record takes twenty
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_NUMBER = re.compile(r"[0-9]{1,4}([.][0-9]{1,2})?")
_DAYS = re.compile(r"[1-9][0-9]{0,2}")
_NEEDED = N_("This is needed.")
_TOO_LONG = N_("This is too long.")
_NO_DATE = N_("This is not a date.")
_NO_TIME = N_("This is not a time of the day.")
_NO_NUMBER = N_("Write a number, like 36.8.")
_NOT_POSSIBLE = N_("Check this value: it is hardly possible.")
_CHOOSE = N_("Choose one.")
_NOTHING = N_("Write at least one value.")


def is_uuid(text: str) -> bool:
    """Say whether a text is an id as records and entries have them."""
    return _UUID.fullmatch(text) is not None


def entry_id(form: str, what: str) -> str:
    """Return the id of what a form writes; the same for the same form."""
    return str(uuid.uuid5(uuid.UUID(form), what))


@dataclass(slots=True)
class Form:
    """A form as it was typed, what is to be mended in it, and what it writes once nothing is."""

    typed: Mapping[str, str]
    id: str
    at_wall_s: float
    faults: dict[str, str] = field(default_factory=dict)  # message ids by field
    entries: list[NewEntry] = field(default_factory=list)
    due_wall_s: float | None = None

    def text(self, name: str, chars_max: int, *, needed: bool = False) -> str:
        """Return a text as it is kept, and note what is wrong with it."""
        found = self.typed.get(name, "").replace("\r\n", "\n").strip()
        if needed and not found:
            self.faults[name] = _NEEDED
        elif len(found) > chars_max:
            self.faults[name] = _TOO_LONG
        return found

    def one_of(self, name: str, known: Mapping[str, object], default: str) -> str:
        """Return what was chosen."""
        found = self.typed.get(name, "") or default
        if found not in known:
            self.faults[name] = _CHOOSE
        return found

    def date(self, name: str, *, needed: bool = False) -> str:
        """Return a date in ISO 8601, or nothing."""
        found = self.text(name, 10, needed=needed)
        if found and not _is_date(found):
            self.faults[name] = _NO_DATE
        return found

    def write(self, kind: str, fields: Mapping[str, object], what: str = "") -> None:
        """Have an entry written.

        Raises: BadRequest where a field was sent as no page of ours sends it.
        """
        if not self.faults:
            self.entries.append(NewEntry(entry_id(self.id, what or kind), kind, self.at_wall_s, check(kind, fields)))


def form_of(typed: Mapping[str, str], at_wall_s: float) -> Form:
    """Return a form to be read.

    Raises: BadRequest when it does not carry its id.
    """
    if not is_uuid(typed.get("form", "")):
        raise BadRequest(N_("The form could not be read."))
    return Form(typed, typed["form"], at_wall_s)


def read_person(form: Form) -> None:
    """Read who it is about, why they came, who they are, and what they agreed to."""
    name = form.text("name", 120, needed=True)
    born = form.date("birth_date")
    patient: dict[str, object] = {
        "name": name,
        "birth_date": born or None,
        "sex": form.one_of("sex", SEXES, "unknown"),
        "document": form.text("document", 120),
        "phone": form.text("phone", 120),
        "language": form.text("language", 120),
    }
    reason = form.text("reason", 500, needed=True)
    identity = form.one_of("identity", IDENTITIES, "stated")
    how, person = form.one_of("consent-how", HOWS, "spoken"), form.text("consent-person", 120)
    form.write("patient", patient)
    form.write("reason", {"text": reason})
    form.write("identity", {"how": identity})
    for what in CONSENTS:
        given = form.typed.get(f"consent-{what}") == "yes"
        if given or form.typed.get(f"had-{what}") == "yes":
            fields = {"what": what, "given": given, "how": how, "person": person}
            form.write("consent", fields, f"consent {what}")


def read_due(form: Form) -> None:
    """Read when an appointment is, in the village's own time."""
    day, hour = form.date("day", needed=True), form.text("hour", 5, needed=True)
    if "hour" not in form.faults and not _TIME.fullmatch(hour):
        form.faults["hour"] = _NO_TIME
    if not form.faults.keys() & {"day", "hour"}:
        form.due_wall_s = datetime.fromisoformat(f"{day}T{hour}").astimezone().timestamp()


def read_question(form: Form, doctor: str = "") -> None:
    """Read what a doctor shall answer."""
    question = form.text("question", 8_000, needed=True)
    urgency = form.one_of("urgency", URGENCIES, "routine")
    form.write("request", {"question": question, "urgency": urgency, "doctor": doctor})


def read_vitals(form: Form, *, needed: bool) -> None:
    """Read what was measured; nothing at all is well where it is not `needed`."""
    values: list[dict[str, str]] = []
    for code, measure in MEASURES.items():
        typed = form.typed.get(f"vital-{code}", "").strip().replace(",", ".")
        if not typed:
            continue
        if not _NUMBER.fullmatch(typed):
            form.faults[f"vital-{code}"] = _NO_NUMBER
        elif not measure.least <= float(typed) <= measure.most:
            form.faults[f"vital-{code}"] = _NOT_POSSIBLE
        values.append({"code": code, "value": typed, "unit": measure.unit})
    if needed and not values:
        form.faults["vital-temperature"] = _NOTHING
    if values:
        form.write("vitals", {"values": values})


def read_text(form: Form, kind: str) -> None:
    """Read a note or a summary."""
    form.write(kind, {"text": form.text(kind, 8_000, needed=True)})


def read_follow_up(form: Form, *, needed: bool) -> None:
    """Read when the patient shall come again."""
    day, text = form.date("again", needed=needed), form.text("again-text", 500)
    if text and not day:
        form.faults.setdefault("again", _NEEDED)
    if day:
        form.write("follow-up", {"date": day, "text": text})


def read_answer(form: Form) -> None:
    """Read what a doctor answers, with what the patient shall take and when to come again."""
    text, doctor = form.text("answer", 8_000, needed=True), form.text("doctor", 120, needed=True)
    licence = form.text("licence", 120)
    medicines = [found for number in range(1, MEDICINES + 1) if (found := _medicine(form, number))]
    form.write("answer", {"text": text, "doctor": doctor})
    if medicines:
        form.write("prescription", {"doctor": doctor, "licence": licence, "medicines": medicines})
    read_follow_up(form, needed=False)


def _medicine(form: Form, number: int) -> dict[str, object] | None:
    name, dose = form.text(f"medicine-{number}", 200), form.text(f"dose-{number}", 500)
    days = form.text(f"days-{number}", 3)
    if not name and (dose or days):
        form.faults[f"medicine-{number}"] = _NEEDED
    if days and (not _DAYS.fullmatch(days) or int(days) > 365):
        form.faults[f"days-{number}"] = _NO_NUMBER
        return None
    return {"name": name, "dose": dose, "days": int(days) if days else None} if name else None


def _is_date(text: str) -> bool:
    try:
        return _DATE.fullmatch(text) is not None and datetime.fromisoformat(text).year >= 1900
    except ValueError:
        return False
