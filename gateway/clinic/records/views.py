"""What the records tell, and what they are told. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.clinic.records.entries import Writer
from gateway.clinic.records.states import Handover, Stage

DAMAGED: Final = "damaged"  # the kind of an entry that is there and not what was written; its fields are empty


@dataclass(frozen=True, slots=True)
class Actor:
    """Who reads or writes: an account's name, or the role of a link."""

    writer: Writer
    name: str


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry as a device made it, not checked."""

    id: str
    kind: str
    at_wall_s: float
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it is kept; `at_wall_s` by the device's clock, `kept_wall_s` by the box's."""

    sequence: int
    id: str
    kind: str
    by: Writer
    at_wall_s: float
    kept_wall_s: float
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RecordView:
    """A record as lists show it."""

    id: str
    stage: Stage
    handover: Handover
    reason: str  # why the receiving side refused it
    ticket: int | None  # of the day's walk-in patients
    due_wall_s: float | None  # of an appointment
    doctor: str
    began_wall_s: float
    changed_wall_s: float
    patient: str  # the name; "" where none is known, or not any more
    entries: int
    photos: int  # and voice notes: files that entries name
    missing: int  # of them, not here whole
    answer_unread: bool
    urgency: str  # of the last request; "" without one
    damaged: int = 0  # entries that are not what was written
    is_sealed: bool = False  # what was handed over opens on the receiving side alone


@dataclass(frozen=True, slots=True)
class RecordLimits:
    """How much is kept, and how long; at a limit what is new is refused."""

    keep_days: int = 30  # after it was handed over, or ended
    total_bytes_max: int = 2_000_000_000  # of files
    file_bytes_max: int = 12_000_000  # one photo or voice note
    record_bytes_max: int = 120_000_000  # of files of one record
    entries_max: int = 2_000  # of one record
    records_max: int = 20_000
    waiting_max: int = 1_000  # requests before the writing thread
    watchers_max: int = 64  # sockets that follow
    ballast_bytes: int = 4_000_000
    free_bytes_min: int = 64_000_000  # of the disk; below it nothing new is taken
    files_wait_s: float = 900.0  # a record goes without a file that did not come for so long, which follows it


@dataclass(frozen=True, slots=True)
class HandoverItem:
    """A record that goes now, with the entries the receiving side may not have yet; files are read with `blob`."""

    record: str
    stage: Stage
    began_wall_s: float
    changed_wall_s: float
    due_wall_s: float | None
    doctor: str
    entries: tuple[Entry, ...]
    tries: int  # before this one
    late_files: tuple[str, ...] = ()  # hashes of files that came after their entries had gone


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a handover; a retry waits for at least so long, a refusal says why in a sentence of ours."""

    what: Literal["delivered", "retry", "refused"]
    retry_after_s: float = 0.0
    reason: str = ""


def delivered() -> Outcome:
    """The receiving side has it."""
    return Outcome("delivered")


def retry(retry_after_s: float = 60.0) -> Outcome:
    """It goes once more."""
    return Outcome("retry", retry_after_s=retry_after_s)


def refused(reason: str) -> Outcome:
    """A person must look."""
    return Outcome("refused", reason=reason)


@dataclass(frozen=True, slots=True)
class Access:
    """One line of the audit trail; nothing clinical."""

    number: int
    at_wall_s: float
    record: str
    writer: Writer | None  # None where the line is damaged
    name: str
    what: (
        str  # begin, move:<stage>, write:<kind>, read, list, file-read, file-write, hand-over:<handover>, seal, delete
    )
    is_sound: bool = True  # it is what was written, and so is its place in the chain


@dataclass(frozen=True, slots=True)
class RecordStatistics:
    """Counts only."""

    stages: Mapping[Stage, int] = field(default_factory=dict)
    handovers: Mapping[Handover, int] = field(default_factory=dict)
    missing: int = 0  # files that entries name and that are not here whole
    damaged: int = 0
    file_bytes: int = 0
    put_aside: int = 0  # broken files that lie beside the records: a technician must look
    failures: int = 0  # times that writing failed since the start
    is_taking: bool = False
