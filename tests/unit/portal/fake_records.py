"""Records in memory, with the rules of the real ones as far as pages meet them."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.clinic.records.entries import MAY_WRITE, check
from gateway.clinic.records.states import ENDED, Handover, Stage, may_hand_over, may_move
from gateway.clinic.records.views import Access, Actor, Entry, NewEntry, RecordStatistics, RecordView
from gateway.errors import BadRequest, Conflict, NotAllowed, NotFound
from tests.clocks import HandClock


@dataclass
class Kept:
    """One record."""

    view: RecordView
    entries: list[Entry] = field(default_factory=list)
    blobs: dict[str, bytearray] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


class FakeRecords:
    """What the pages ask for, without a disk."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.kept: dict[str, Kept] = {}
        self.accesses: list[Access] = []
        self.listed = 0

    async def begin(
        self,
        record: str,
        stage: Stage,
        *,
        by: Actor,
        due_wall_s: float | None = None,
        doctor: str = "",
        entries: Sequence[NewEntry] = (),
    ) -> RecordView:
        if record not in self.kept:
            assert may_move(None, stage, has_request=any(each.kind == "request" for each in entries))
            ticket = 1 + sum(each.view.ticket is not None for each in self.kept.values())
            now = self.clock.wall_s()
            view = RecordView(
                id=record, stage=stage, handover=Handover.NONE, reason="",
                ticket=ticket if stage is Stage.WAITING else None, due_wall_s=due_wall_s, doctor=doctor,
                began_wall_s=now, changed_wall_s=now, patient="", entries=0, photos=0, missing=0,
                answer_unread=False, urgency="",
            )  # fmt: skip
            self.kept[record] = Kept(view)
            self._note(record, by, "begin")
            for each in entries:
                await self.keep(record, each, by=by)
        return self.kept[record].view

    async def move(self, record: str, stage: Stage, *, by: Actor) -> RecordView:
        kept = self._of(record)
        has_request = any(each.kind == "request" for each in kept.entries)
        if not may_move(kept.view.stage, stage, has_request=has_request):
            raise Conflict
        self._change(kept, stage=stage, answer_unread=stage is Stage.ANSWERED)
        self._note(record, by, f"move:{stage}")
        return kept.view

    async def keep(self, record: str, entry: NewEntry, *, by: Actor) -> Entry:
        kept = self._of(record)
        known = next((each for each in kept.entries if each.id == entry.id), None)
        if known is not None:
            return known
        if kept.view.stage in ENDED:
            raise Conflict
        if entry.kind not in MAY_WRITE[by.writer]:
            raise NotAllowed
        fields = check(entry.kind, entry.fields)
        made = Entry(
            len(kept.entries) + 1, entry.id, entry.kind, by.writer, entry.at_wall_s, self.clock.wall_s(), fields
        )
        kept.entries.append(made)
        self._change(kept, entries=len(kept.entries), **_seen(entry.kind, fields))
        self._note(record, by, f"write:{entry.kind}")
        return made

    async def entries(self, record: str, after: int = 0, *, by: Actor) -> list[Entry]:
        self._note(record, by, "read")
        return [each for each in self._of(record).entries if each.sequence > after]

    async def view(self, record: str, *, by: Actor) -> RecordView | None:
        del by
        kept = self.kept.get(record)
        return kept.view if kept else None

    async def views(
        self, stages: frozenset[Stage] | None = None, *, limit: int = 50, by: Actor
    ) -> Sequence[RecordView]:
        del by
        self.listed += 1
        found = [each.view for each in self.kept.values() if stages is None or each.view.stage in stages]
        return found[:limit]

    async def blob_offset(self, record: str, sha256: str) -> int:
        return len(self._of(record).blobs.get(sha256, b""))

    async def put_blob(
        self, record: str, sha256: str, offset: int, size_bytes: int, pieces: AsyncIterator[bytes], *, by: Actor
    ) -> int:
        kept = self._of(record)
        blob = kept.blobs.setdefault(sha256, bytearray())
        if offset != len(blob):
            raise Conflict
        async for piece in pieces:
            blob += piece
        kept.sizes[sha256] = size_bytes
        if len(blob) == size_bytes and hashlib.sha256(blob).hexdigest() != sha256:
            del kept.blobs[sha256]
            raise BadRequest
        self._note(record, by, "file-write")
        return len(blob)

    async def blob(self, record: str, sha256: str, *, by: Actor) -> bytes | None:
        kept = self._of(record)
        self._note(record, by, "file-read")
        blob = kept.blobs.get(sha256)
        return bytes(blob) if blob is not None and len(blob) == kept.sizes[sha256] else None

    async def hand_over(self, record: str, *, by: Actor) -> RecordView:
        kept = self._of(record)
        if not may_hand_over(kept.view.stage, kept.view.handover, Handover.QUEUED):
            raise Conflict
        self._change(kept, handover=Handover.QUEUED)
        self._note(record, by, "hand-over:queued")
        return kept.view

    async def audit(self, record: str | None = None, limit: int = 200) -> list[Access]:
        found = [each for each in reversed(self.accesses) if record in {None, each.record}]
        return found[:limit]

    def statistics(self) -> RecordStatistics:
        stages: dict[Stage, int] = {}
        for each in self.kept.values():
            stages[each.view.stage] = stages.get(each.view.stage, 0) + 1
        return RecordStatistics(stages=stages, is_taking=True)

    def of(self, stage: Stage) -> list[Kept]:
        """The records of a stage."""
        return [each for each in self.kept.values() if each.view.stage is stage]

    def set(self, record: str, **values: object) -> None:
        """Change how a record stands, as the far side would."""
        self._change(self.kept[record], **values)

    def _of(self, record: str) -> Kept:
        if record not in self.kept:
            raise NotFound
        return self.kept[record]

    def _change(self, kept: Kept, **values: object) -> None:
        kept.view = replace(kept.view, changed_wall_s=self.clock.wall_s(), **values)  # type: ignore[arg-type]

    def _note(self, record: str, by: Actor, what: str) -> None:
        number = len(self.accesses) + 1
        self.accesses.append(Access(number, self.clock.wall_s(), record, by.writer, by.name, what))


def _seen(kind: str, fields: Mapping[str, object]) -> dict[str, object]:
    match kind:
        case "patient":
            return {"patient": fields["name"]}
        case "request":
            return {"urgency": fields["urgency"]}
        case _:
            return {}
