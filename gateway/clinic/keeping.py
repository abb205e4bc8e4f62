"""What is written during a call is in its record before anybody is told that it is kept.

Who writes is the role of a link; what it may write, the records decide. Who reads, and what, is decided here: nurse and
doctor all of it, whoever helps them talk no more than what is said to everybody.
"""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from gateway.clinic.invitation import Role
from gateway.clinic.messages import EntryWritten, Message, entry
from gateway.clinic.records.entries import KINDS, Writer
from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import Actor, Entry, NewEntry, RecordView
from gateway.errors import NotAllowed, NotFound

READS: Mapping[Role, frozenset[str]] = MappingProxyType(
    {
        "nurse": frozenset(KINDS),
        "doctor": frozenset(KINDS),
        "interpreter": frozenset({"chat"}),
        "guest": frozenset({"chat"}),
        "camera": frozenset(),
    }
)
_WRITERS: Mapping[Role, Writer] = MappingProxyType(
    {
        "nurse": Writer.NURSE,
        "doctor": Writer.DOCTOR,
        "interpreter": Writer.INTERPRETER,
        "guest": Writer.GUEST,
    }
)
_BOX = Actor(Writer.BOX, "box")
_BEFORE = frozenset({Stage.BOOKED, Stage.WAITING})


class RecordKeeper(Protocol):
    """Where the records are."""

    async def begin(self, record: str, stage: Stage, *, by: Actor) -> RecordView:
        """Return a record that is on disk."""
        ...

    async def move(self, record: str, stage: Stage, *, by: Actor) -> RecordView:
        """Return a record in another stage. Raises: Conflict, NotFound, NoCapacity."""
        ...

    async def keep(self, record: str, entry: NewEntry, *, by: Actor) -> Entry:
        """Return an entry that is on disk. Raises: Conflict, NotAllowed, NotFound, BadRequest, NoCapacity."""
        ...

    async def entries(self, record: str, after: int = 0, *, by: Actor) -> Sequence[Entry]:
        """Return what a record holds after this number."""
        ...

    async def view(self, record: str, *, by: Actor) -> RecordView | None:
        """Return how a record stands."""
        ...

    def watch(self) -> AsyncIterator[tuple[str, Entry]]:
        """Yield entries as they are kept."""
        ...


class Keeping:
    """The records as a call's people may read and write them."""

    def __init__(self, keeper: RecordKeeper) -> None:
        self._keeper = keeper

    async def keep(self, record: str, role: Role, written: EntryWritten) -> Entry:
        """Return what a page wrote, on disk; a consultation that has no record yet begins one.

        Raises: Conflict, NotAllowed, NotFound, BadRequest, NoCapacity.
        """
        new = NewEntry(written.id, written.kind, written.at_wall_s, written.fields)
        return await self._keep(record, new, _actor(role))

    async def keep_quality(self, record: str, wall_s: float, fields: Mapping[str, object]) -> None:
        """How a call went is on disk. Raises: as `keep`."""
        await self._keep(record, NewEntry(str(uuid.uuid4()), "quality", wall_s, fields), _BOX)

    async def read(self, record: str, role: Role, after: int) -> list[Message]:
        """Return what a role may read of a record, as it is told to pages.

        Raises: NotAllowed, NoCapacity.
        """
        if not READS[role]:
            return []
        try:
            found = await self._keeper.entries(record, after, by=_actor(role))
        except NotFound:
            return []
        return [said(each) for each in found if each.kind in READS[role]]

    async def note_call(self, record: str) -> None:
        """A record whose people hear each other says so. Raises: Conflict, NoCapacity."""
        view = await self._keeper.view(record, by=_BOX)
        if view is not None and view.stage in _BEFORE:
            await self._keeper.move(record, Stage.TALKING, by=_BOX)

    async def has_ended(self, record: str) -> bool:
        """Whether a record's call is over: its links open nothing until somebody calls again."""
        view = await self._keeper.view(record, by=_BOX)
        return view is not None and view.stage is not Stage.TALKING and view.stage not in _BEFORE

    def watch(self) -> AsyncIterator[tuple[str, Entry]]:
        """Yield entries as they are kept, whoever wrote them."""
        return self._keeper.watch()

    async def _keep(self, record: str, new: NewEntry, by: Actor) -> Entry:
        try:
            return await self._keeper.keep(record, new, by=by)
        except NotFound:
            await self._keeper.begin(record, Stage.TALKING, by=_BOX)
            return await self._keeper.keep(record, new, by=by)


def readers_of(kind: str) -> frozenset[Role]:
    """Return who may read entries of a kind.

    >>> sorted(readers_of("vitals"))
    ['doctor', 'nurse']
    """
    return frozenset(role for role, kinds in READS.items() if kind in kinds)


def said(kept: Entry) -> Message:
    """Return an entry as pages are told it."""
    return entry(kept.sequence, kept.id, kept.kind, kept.by.value, kept.at_wall_s, kept.fields)


def _actor(role: Role) -> Actor:
    writer = _WRITERS.get(role)
    if writer is None:
        raise NotAllowed
    return Actor(writer, role)
