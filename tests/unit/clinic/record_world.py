"""Records in a folder of their own, with words planted in every clinical field that must be found in no file."""

import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.clinic.records.entries import Writer
from gateway.clinic.records.records import Records
from gateway.clinic.records.views import Actor, NewEntry, RecordLimits
from gateway.durable.database import Connect, connect
from tests.clocks import HandClock

KEY = bytes(range(32))
LIMITS = RecordLimits(free_bytes_min=0, ballast_bytes=8_192)
NURSE = Actor(Writer.NURSE, "rosa")
DOCTOR = Actor(Writer.DOCTOR, "doctor")
GUEST = Actor(Writer.GUEST, "guest")
FAR = Actor(Writer.FAR, "far")
BOX = Actor(Writer.BOX, "box")
MARK = "zorrilla"  # stands in every clinical text
PHOTO = b"\xff\xd8\xff" + MARK.encode() * 9_000
PHOTO_SHA256 = hashlib.sha256(PHOTO).hexdigest()


def an_id() -> str:
    return str(uuid.uuid4())


def entry(kind: str, entry_id: str = "", at_wall_s: float = 1_800_000_000.0, **fields: object) -> NewEntry:
    return NewEntry(entry_id or an_id(), kind, at_wall_s, fields)


def patient(name: str = f"{MARK} Mamani") -> NewEntry:
    return entry("patient", name=name, birth_date="1980-02-03", document=MARK, phone=MARK)


def request(urgency: str = "routine") -> NewEntry:
    return entry("request", question=f"Is it {MARK}?", urgency=urgency, doctor=f"Dr {MARK}")


def answer() -> NewEntry:
    return entry("answer", text=f"Yes, {MARK}", doctor=f"Dr {MARK}")


def photo(content: bytes = PHOTO) -> NewEntry:
    sha256 = hashlib.sha256(content).hexdigest()
    return entry("photo", sha256=sha256, media_type="image/jpeg", size_bytes=len(content), subject="wound", note=MARK)


EVERY_KIND: Mapping[str, Mapping[str, object]] = {
    "patient": {"name": MARK, "document": MARK, "phone": MARK, "language": MARK},
    "reason": {"text": MARK},
    "consent": {"what": "photos", "given": True, "how": "spoken", "person": MARK},
    "identity": {"how": "known"},
    "vitals": {"values": [{"code": "weight", "value": "71.25", "unit": MARK}]},
    "photo": {"sha256": PHOTO_SHA256, "media_type": "image/jpeg", "size_bytes": len(PHOTO), "note": MARK},
    "mark": {"photo": "0b0b0b0b-0b0b-4b0b-8b0b-0b0b0b0b0b0b", "x": 0.5, "y": 0.5, "radius": 0.1, "note": MARK},
    "chat": {"text": MARK},
    "note": {"text": MARK},
    "request": {"question": MARK, "urgency": "urgent", "doctor": MARK},
    "prescription": {"doctor": MARK, "licence": MARK, "medicines": [{"name": MARK, "dose": MARK, "days": 3}]},
    "follow-up": {"date": "2027-02-03", "text": MARK},
    "summary": {"text": MARK},
}


def of_kind(kind: str) -> NewEntry:
    return NewEntry(an_id(), kind, 1_800_000_000.0, EVERY_KIND.get(kind) or answer().fields)


async def pieces(content: bytes, size: int = 70_000) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


@asynccontextmanager
async def some_records(
    folder: Path,
    clock: HandClock,
    *,
    limits: RecordLimits = LIMITS,
    recipient: str = "",
    opens: Connect = connect,
    key: bytes = KEY,
) -> AsyncIterator[Records]:
    records = Records(folder=folder, key=key, clock=clock, boot="b00t", limits=limits, recipient=recipient, opens=opens)
    await records.start()
    try:
        yield records
    finally:
        await records.stop()


def found_in_clear(folder: Path, *words: bytes) -> list[str]:
    """Return the files below a folder whose name or content holds one of the words."""
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(word in path.read_bytes() or word in path.name.encode() for word in words)
    ]
