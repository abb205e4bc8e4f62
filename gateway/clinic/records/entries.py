"""What may stand in a record: kinds of entries, who may write them, and what each holds. Pure.

A record is a list of entries; nothing in it is changed, a later entry takes an earlier one's place where that is said.
An entry's id is made on the device that wrote it, so that what is sent twice is kept once. Measured values are decimal
strings with their unit as they were typed; LOINC and UCUM codes are added on the way out.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import N_, BadRequest

Word = Annotated[str, Field(max_length=120)]
Line = Annotated[str, Field(max_length=500)]
Text = Annotated[str, Field(max_length=8_000)]
Decimal = Annotated[str, Field(pattern=r"^[0-9]{1,4}([.][0-9]{1,2})?$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
EntryId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
Date = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
Share = Annotated[float, Field(ge=0, le=1)]  # of a photo's width or height


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Patient(_Fields):
    """Who it is about; the last one holds."""

    name: Word
    birth_date: Date | None = None
    sex: Literal["female", "male", "other", "unknown"] = "unknown"
    document: Word = ""
    phone: Word = ""
    language: Word = ""


class Reason(_Fields):
    """Why they came."""

    text: Line


class Consent(_Fields):
    """What the patient agreed to, or did not; the last one of a `what` holds."""

    what: Literal["consultation", "photos", "handover", "recording"]
    given: bool
    how: Literal["spoken", "ticked", "signed"]
    person: Word = ""
    """Who agreed, where it was not the patient."""


class Identity(_Fields):
    """How it was made sure who the patient is."""

    how: Literal["document", "known", "stated"]


class Vital(_Fields):
    """One measured value."""

    code: Literal[
        "temperature",
        "heart-rate",
        "respiratory-rate",
        "systolic",
        "diastolic",
        "oxygen-saturation",
        "weight",
        "height",
        "glucose",
    ]
    value: Decimal
    unit: Word


class Vitals(_Fields):
    """Values measured together."""

    values: Annotated[tuple[Vital, ...], Field(min_length=1, max_length=12)]


class Photo(_Fields):
    """A picture; its bytes are kept beside the record under their hash."""

    sha256: Sha256
    media_type: Literal["image/jpeg", "image/png", "image/webp"]
    size_bytes: Annotated[int, Field(gt=0, le=100_000_000)]
    subject: Literal["wound", "skin", "eye", "document", "other"] = "other"
    note: Line = ""


class Mark(_Fields):
    """A ring around something in a photo."""

    photo: EntryId
    x: Share
    y: Share
    radius: Share
    note: Line = ""


class Voice(_Fields):
    """A spoken note; its bytes are kept beside the record under their hash."""

    sha256: Sha256
    media_type: Literal["audio/webm", "audio/ogg", "audio/mp4"]
    size_bytes: Annotated[int, Field(gt=0, le=100_000_000)]
    seconds: Annotated[float, Field(gt=0, le=600)]


class Chat(_Fields):
    """Something written to the others in the call."""

    text: Annotated[str, Field(min_length=1, max_length=2_000)]


class Note(_Fields):
    """The shared notes as a whole; the last one holds. `after` is the entry it was written upon."""

    text: Text
    after: EntryId | None = None


class Request(_Fields):
    """A question to a doctor who is not there."""

    question: Annotated[str, Field(min_length=1, max_length=8_000)]
    urgency: Literal["routine", "urgent", "asap"] = "routine"
    doctor: Word = ""


class Answer(_Fields):
    """What the doctor answers."""

    text: Annotated[str, Field(min_length=1, max_length=8_000)]
    doctor: Word


class Medicine(_Fields):
    """One line of a prescription."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    dose: Line
    days: Annotated[int, Field(ge=1, le=365)] | None = None


class Prescription(_Fields):
    """What the patient shall take; printed in the village."""

    doctor: Annotated[str, Field(min_length=1, max_length=120)]
    licence: Word = ""
    medicines: Annotated[tuple[Medicine, ...], Field(min_length=1, max_length=20)]


class FollowUp(_Fields):
    """When to come again."""

    date: Date
    text: Line = ""


class Summary(_Fields):
    """What was found and decided; the last one holds."""

    text: Text


class Quality(_Fields):
    """How the call was; written by the box."""

    began_s: float
    ended_s: float
    voice_s: float
    picture_s: float
    breaks: Annotated[int, Field(ge=0)]
    cause: Word = ""


class Recording(_Fields):
    """What was recorded of the call; written by the box. Its bytes go to the receiving side under their hash."""

    sha256: Sha256
    media_type: Word
    size_bytes: Annotated[int, Field(ge=0)]
    began_s: float
    ended_s: float


KINDS: Mapping[str, type[_Fields]] = {
    "patient": Patient,
    "reason": Reason,
    "consent": Consent,
    "identity": Identity,
    "vitals": Vitals,
    "photo": Photo,
    "mark": Mark,
    "voice": Voice,
    "chat": Chat,
    "note": Note,
    "request": Request,
    "answer": Answer,
    "prescription": Prescription,
    "follow-up": FollowUp,
    "summary": Summary,
    "quality": Quality,
    "recording": Recording,
}


class Writer(StrEnum):
    """Who writes an entry."""

    NURSE = "nurse"
    DOCTOR = "doctor"
    INTERPRETER = "interpreter"
    GUEST = "guest"
    BOX = "box"
    FAR = "far"  # the receiving side's system


MAY_WRITE: Mapping[Writer, frozenset[str]] = {
    Writer.NURSE: frozenset(KINDS) - {"quality", "recording", "answer"},
    Writer.DOCTOR: frozenset(
        {"vitals", "photo", "mark", "chat", "note", "answer", "prescription", "follow-up", "summary"}
    ),
    Writer.INTERPRETER: frozenset({"chat"}),
    Writer.GUEST: frozenset({"chat"}),
    Writer.BOX: frozenset({"quality", "recording"}),
    Writer.FAR: frozenset({"answer", "prescription", "follow-up", "summary"}),
}


def check(kind: str, fields: Mapping[str, object]) -> dict[str, object]:
    """Return an entry's fields as they are kept: strict, whole, defaults filled in.

    Raises: BadRequest.

    >>> check("reason", {"text": " fever "})
    {'text': 'fever'}
    """
    model = KINDS.get(kind)
    if model is None:
        raise _faulty()
    try:
        checked = model.model_validate_json(json.dumps(dict(fields), allow_nan=False), strict=True)
    except (ValueError, TypeError, RecursionError) as exc:
        raise _faulty() from exc
    return checked.model_dump(mode="json")


def _faulty() -> BadRequest:
    return BadRequest(
        N_("Something in the form could not be understood."), N_("Check what is marked and send it again.")
    )
