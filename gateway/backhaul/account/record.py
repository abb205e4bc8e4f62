"""A usage record never changes: its hash covers all of it, and the hash of the one before. Pure.

One record is one tenant in one interval. It is a flat table of names and values, the same in the ledger, in JSON and in
CSV; the hash is SHA-256 over its canonical JSON (names sorted, no spaces, UTF-8) without `hash` itself. Whoever holds a
stretch of records can tell whether one of them was changed, left out or put in; whether the last ones are missing tells
only a later export, or the sequence and hash that the box shows. The chain proves order and wholeness, not the author.

`local_bytes` were served here without the link. `seconds` is how long was measured (monotonic), `clock_epoch` grows
each time the clock was set back: within an epoch no two intervals of a tenant overlap.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from gateway.backhaul.account.usage import Carried, Figures
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.errors import N_

FIRST_PREVIOUS = "0" * 64  # what the first record of a chain names as the one before
NUMBER_MAX = 2**63 - 1  # what SQLite holds
TEXT_CHARS_MAX = 200

_BYTES = tuple(f"{each.value}_{name}" for each in TrafficClass for name in Carried._fields)
_NUMBERS = ("seconds", "clock_epoch", "busy_minutes", "congested_minutes", "devices", *_BYTES)
SUMMED = ("busy_minutes", "congested_minutes", *_BYTES)  # what adds up over intervals
_TEXTS = ("chain", "box", "tenant", "start", "end", "clock_state")
COLUMNS = (
    "sequence",
    "chain",
    "box",
    "tenant",
    "start",
    "end",
    "seconds",
    "clock_state",
    "clock_epoch",
    "busy_minutes",
    "congested_minutes",
    "devices",
    *_BYTES,
    "previous",
    "hash",
)

Value = int | str


@dataclass(frozen=True, slots=True)
class Link:
    """The end of a chain: which chain, the last record's sequence and hash."""

    chain: str
    sequence: int
    hash: str = FIRST_PREVIOUS


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """What one tenant moved in one interval, sealed."""

    values: Mapping[str, Value]

    @classmethod
    def sealed(cls, after: Link, values: Mapping[str, Value]) -> Self:
        """Return the record that follows `after`, with its hash."""
        whole = {**values, "chain": after.chain, "sequence": after.sequence + 1, "previous": after.hash}
        return cls({**whole, "hash": digest(whole)})

    @classmethod
    def read(cls, values: Mapping[str, object]) -> Self | None:
        """Return a record from named values, numbers as text too; None when it is none."""
        try:
            read = {name: _number(values[name]) for name in ("sequence", *_NUMBERS)}
            texts = {name: _text(values[name]) for name in (*_TEXTS, "previous", "hash")}
        except (KeyError, ValueError):
            return None
        return cls({**read, **texts})

    @property
    def link(self) -> Link:
        """What the next record follows."""
        return Link(str(self.values["chain"]), int(self.values["sequence"]), str(self.values["hash"]))

    @property
    def is_whole(self) -> bool:
        """Whether the hash fits the content."""
        return digest(self.values) == self.values["hash"]

    @property
    def figures(self) -> Figures:
        """What it says of its tenant."""
        busy, congested, devices = (int(self.values[name]) for name in _NUMBERS[2:5])
        return Figures(str(self.values["tenant"]), tuple(self.carried.values()), busy, congested, devices)

    @property
    def carried(self) -> dict[TrafficClass, Carried]:
        """The bytes of each class."""
        return {
            each: Carried(*(int(self.values[f"{each.value}_{name}"]) for name in Carried._fields))
            for each in TrafficClass
        }


def content(
    figures: Figures, *, box: str, start_s: int, end_s: int, seconds: int, clock_state: str, clock_epoch: int
) -> dict[str, Value]:
    """Return what a record says, without its place in the chain."""
    said: dict[str, Value] = {
        "box": box,
        "tenant": figures.tenant,
        "start": moment(start_s),
        "end": moment(end_s),
        "seconds": seconds,
        "clock_state": clock_state,
        "clock_epoch": clock_epoch,
        "busy_minutes": figures.busy_minutes,
        "congested_minutes": figures.congested_minutes,
        "devices": figures.devices,
    }
    return said | dict(zip(_BYTES, (each for carried in figures.classes for each in carried), strict=True))


def moment(wall_s: int) -> str:
    """Write a wall time as RFC 3339 in UTC.

    >>> moment(1_800_000_000)
    '2027-01-15T08:00:00Z'
    """
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def canonical(values: Mapping[str, Value]) -> bytes:
    """Return the bytes that a record's hash covers."""
    covered = {name: value for name, value in values.items() if name != "hash"}
    return json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(values: Mapping[str, Value]) -> str:
    """Return the hash of a record, in hexadecimal."""
    return hashlib.sha256(canonical(values)).hexdigest()


@dataclass(frozen=True, slots=True)
class Fault:
    """The first record that is wrong: its place in the file (the first is 1), and a sentence."""

    place: int
    sequence: int | None
    what: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of records found."""

    records: int  # that are in order, from the first on
    chains: int
    first: Link | None
    last: Link | None
    fault: Fault | None = None


UNREADABLE = N_("It is no usage record.")
CHANGED = N_("Its hash does not fit its content: something in it was changed.")
MISSING = N_("Records before it are missing.")
REPEATED = N_("It was there before, or is not in its place.")
BROKEN = N_("It does not follow the record before it: one of the two was replaced.")


def check(records: Iterable[UsageRecord | None]) -> Checked:
    """Return whether records are whole and follow each other, up to the first that does not.

    Where a chain ends and another begins, a damaged ledger was set aside on the box; both are checked.
    """
    first: Link | None = None
    last: Link | None = None
    chains: set[str] = set()
    count = 0
    for place, record in enumerate(records, 1):
        what = _fault(last, chains, record)
        if what is not None:
            sequence = int(record.values["sequence"]) if record else None
            return Checked(count, len(chains), first, last, Fault(place, sequence, what))
        if record is not None:
            last = record.link
            first = first or last
            chains.add(last.chain)
            count += 1
    return Checked(count, len(chains), first, last)


def _fault(last: Link | None, chains: set[str], record: UsageRecord | None) -> str | None:
    if record is None:
        return UNREADABLE
    if not record.is_whole:
        return CHANGED
    if last is None:
        return None
    link = record.link
    if link.chain != last.chain:
        is_new = link.chain not in chains and record.values["previous"] == FIRST_PREVIOUS
        return None if is_new else MISSING if link.chain not in chains else REPEATED
    if link.sequence <= last.sequence:
        return REPEATED
    if link.sequence > last.sequence + 1:
        return MISSING
    return None if record.values["previous"] == last.hash else BROKEN


def _number(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(NUMBER_MAX)):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= NUMBER_MAX:
        raise ValueError("not a count")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > TEXT_CHARS_MAX:
        raise ValueError("not a short text")
    value.encode()  # JSON can name half a character, of which no hash can be made
    return value
