"""What is kept of a record is never changed, and what is damaged is shown as damaged: the records' rules.

An entry's id is made on the device: what comes again is kept once. Whoever writes after a record was handed over has it
handed over again. Owned by one thread.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from gateway.clinic.records.blobs import Blobs
from gateway.clinic.records.entries import MAY_WRITE, Writer
from gateway.clinic.records.keys import KeyRing
from gateway.clinic.records.locks import Body, Label, Locks, lock_body, open_body
from gateway.clinic.records.rows import EntryRow, FileRow
from gateway.clinic.records.standing import Standing, Standings
from gateway.clinic.records.states import ENDED, OPEN, Handover, Stage, may_move
from gateway.clinic.records.tables import RecordTables
from gateway.clinic.records.trail import Line, Trail, Waiting
from gateway.clinic.records.views import DAMAGED, Actor, Entry, NewEntry, RecordLimits, RecordStatistics, RecordView
from gateway.durable.seal import is_whole
from gateway.durable.vault import NotOpened
from gateway.errors import N_, BadRequest, Conflict, NoCapacity, NotAllowed, NotFound, TooLarge

SALVAGED_STEP = 1_000  # sequences go on so much later after each broken file: the highest one given may be lost
FILE_KINDS: Final = frozenset({"photo", "voice"})
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ANY = frozenset(Stage)
_MAY_MOVE: Mapping[Writer, frozenset[Stage]] = {
    Writer.NURSE: _ANY,
    Writer.BOX: _ANY,
    Writer.DOCTOR: frozenset({Stage.TALKING, Stage.FINISHED, Stage.ASKED, Stage.ANSWERED}),
    Writer.FAR: frozenset({Stage.ANSWERED}),
}


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is asked."""

    wall_s: float
    now_s: float


class RecordBook:
    """The records of an open file."""

    def __init__(
        self,
        database: RecordTables,
        locks: Locks,
        blobs: Blobs,
        limits: RecordLimits,
        waiting: Waiting,
        boot: str,
        put_aside: int,
    ) -> None:
        self.database = database
        self.locks = locks
        self.blobs = blobs
        self.limits = limits
        self.waiting = waiting
        self.standings = Standings(database)
        self.keys = KeyRing(database, locks, self.standings.damaged)
        self.trail = Trail(database, locks.trail_key, boot)
        self.fresh: list[tuple[str, Entry]] = []  # kept in this transaction
        self.leaving: list[str] = []  # files whose rows were deleted in this transaction
        self.is_changed = True
        self.in_flight = ""  # the record that was given to the link
        self._put_aside = put_aside
        self._marked = 0

    def recover(self) -> None:
        """Know again what is there, after a stop of any kind."""
        self.standings.recover()
        self.trail.recover()
        if not self.trail.is_whole():
            self.standings.damaged.add("trail")
        self.is_changed = True

    def mark(self) -> None:
        """Let `undo` come back to here."""
        self._marked = len(self.fresh)
        self.standings.mark()
        self.trail.mark()

    def undo(self) -> None:
        """Forget what was known since the mark: it is taken back in the file."""
        del self.fresh[self._marked :]
        self.standings.undo()
        self.trail.undo()

    def begin(
        self,
        record: str,
        stage: Stage,
        due_wall_s: float | None,
        doctor: str,
        entries: Sequence[NewEntry],
        by: Actor,
        at: Moment,
    ) -> RecordView:
        """Write a record, or find it written; entries whose id is known stay as they are."""
        standing = self.standings.get(record)
        if standing is None:
            standing = self._begun(record, stage, due_wall_s, doctor, entries, by, at)
        for entry in entries:
            self.keep(record, entry, by, at)
        return self.shown(self.standings.get(record) or standing)

    def move(self, record: str, stage: Stage, by: Actor, at: Moment) -> RecordView:
        """Let a record come to another stage; to its own it may come again."""
        standing = self.demand(record)
        if standing.stage is stage:
            return self.shown(standing)
        _demand_mover(by, stage)
        if not may_move(standing.stage, stage, has_request=bool(standing.urgency)):
            raise _no_request() if stage is Stage.ASKED and standing.stage not in ENDED else _not_now()
        self.audit(standing.id, by, f"move:{stage.value}", at)
        changed = replace(standing, stage=stage)
        if stage is Stage.WAITING:
            changed = self._ticketed(changed, at)
        return self.shown(self.put(changed, at))

    def keep(self, record: str, new: NewEntry, by: Actor, at: Moment) -> Entry:
        """Write an entry, or find it written; its fields have been checked."""
        standing = self.demand(record)
        if new.kind not in MAY_WRITE[by.writer]:
            raise NotAllowed
        known = self.database.entry(standing.number, new.id)
        found = self._known(standing, known, new, by) if known is not None and is_whole(known) else None
        if found is not None:
            return found
        if standing.stage in ENDED:
            raise _not_now()
        if known is not None:
            self.database.remove_entry(standing.number, new.id)  # it was damaged, and comes again whole
        return self._keep(standing, new, by, at)

    def read(self, record: str, after: int, by: Actor, at: Moment) -> list[Entry]:
        """Return a record's entries, as far as the box can open them."""
        standing = self.demand(record)
        self.seen(record, by, "read", at)
        return self.opened(standing, after)

    def view(self, record: str, by: Actor, at: Moment) -> RecordView | None:
        """Return how a record stands."""
        standing = self.standings.get(record)
        if standing is None:
            return None
        self.seen(record, by, "view", at)
        return self.shown(standing)

    def views(self, stages: frozenset[Stage] | None, limit: int, by: Actor, at: Moment) -> list[RecordView]:
        """Return how records stand: appointments by their time, the others newest first."""
        self.seen("", by, "list", at)
        found = [each for each in self.standings.all() if stages is None or each.stage in stages]
        found.sort(key=lambda each: (each.due_wall_s is None, each.due_wall_s or -each.began_wall_s, -each.number))
        return [self.shown(each) for each in found[:limit]]

    def statistics(self) -> RecordStatistics:
        """Return counts; the writer adds its own."""
        stages, handovers = dict.fromkeys(Stage, 0), dict.fromkeys(Handover, 0)
        for each in self.standings.all():
            stages[each.stage] += 1
            handovers[each.handover] += 1
        missing = self.database.one("SELECT count(*) FROM files WHERE is_named AND kept_bytes<size_bytes")
        return RecordStatistics(
            stages=stages,
            handovers=handovers,
            missing=int(missing or 0),
            damaged=len(self.standings.damaged),
            file_bytes=int(self.database.one("SELECT sum(kept_bytes) FROM files") or 0),
        )

    def demand(self, record: str) -> Standing:
        """Return how a record stands. Raises: NotFound."""
        standing = self.standings.get(record)
        if standing is None:
            raise NotFound
        return standing

    def put(self, standing: Standing, at: Moment) -> Standing:
        """Write how a record stands, and seal what nobody here needs any more."""
        self.is_changed = True
        new = self.standings.put(standing, at.wall_s)
        is_done = new.handover is Handover.DELIVERED and new.stage in {Stage.FINISHED, *ENDED}
        if is_done and self.locks.seals:
            if new.stage in ENDED:
                self.keys.seal(new, self.keys.last(new))
            label = self.label(new)
            if label.patient:
                self.write_label(new, replace(label, patient=""))
        return new

    def requeued(self, standing: Standing, at: Moment) -> Standing:
        """Let a record go once more because something is new."""
        changed = replace(standing, handover=Handover.QUEUED, tries=0, next_wall_s=0.0, queued_wall_s=at.wall_s)
        return self.put(changed, at)

    def opened(self, standing: Standing, after: int = 0, *, above_key: int = 0) -> list[Entry]:
        """Return the entries that open here, damaged ones as such; those locked with a key above a number."""
        keys, sealed = self.keys.open(standing), self.keys.sealed(standing)
        found = []
        for row in self.database.entries(standing.number, after):
            if is_whole(row) and (row.key_number in sealed or row.key_number <= above_key):
                continue
            found.append(self._entry(standing, row, keys.get(row.key_number) if is_whole(row) else None))
        return found

    def audit(self, record: str, by: Actor, what: str, at: Moment) -> None:
        """Write a line of the trail in this transaction."""
        self.trail.write(Line(record, at.wall_s, by, what))

    def seen(self, record: str, by: Actor, what: str, at: Moment) -> None:
        """Let a reading be written with the next commit."""
        self.waiting.add(Line(record, at.wall_s, by, what), at.now_s)

    def label(self, standing: Standing) -> Label:
        """Return what lists show of a record; nothing where that is damaged."""
        row = self.database.label(standing.number)
        try:
            if row is not None and is_whole(row):
                return self.locks.open_label(row.locked, standing.id)
        except NotOpened:
            pass
        self.standings.damaged.add(("label", standing.number))
        return Label()

    def write_label(self, standing: Standing, label: Label) -> None:
        """Write what lists show of a record; what was there is overwritten."""
        self.database.put_label(standing.number, self.locks.lock_label(label, standing.id))

    def _begun(
        self,
        record: str,
        stage: Stage,
        due_wall_s: float | None,
        doctor: str,
        entries: Sequence[NewEntry],
        by: Actor,
        at: Moment,
    ) -> Standing:
        _demand_mover(by, stage)
        if not _ID.fullmatch(record):
            raise BadRequest
        if len(self.standings) >= self.limits.records_max:
            raise NoCapacity(
                N_("The box holds as many records as it can."), N_("Hand over and close what is finished, then go on.")
            )
        if not may_move(None, stage, has_request=any(entry.kind == "request" for entry in entries)):
            raise _no_request() if stage is Stage.ASKED else _not_now()
        standing = Standing(
            number=self.standings.highest + 1,
            id=record,
            began_wall_s=at.wall_s,
            stage=stage,
            due_wall_s=None if due_wall_s is None else float(due_wall_s),
            wall_s=at.wall_s,
        )
        if stage is Stage.WAITING:
            standing = self._ticketed(standing, at)
        self.audit(record, by, f"begin:{stage.value}", at)
        begun = self.standings.begin(standing)
        self.keys.new(begun, 1)
        self.write_label(begun, Label(doctor=doctor[:120]))
        self.is_changed = True
        return begun

    def _ticketed(self, standing: Standing, at: Moment) -> Standing:
        day = _day(at.wall_s)
        return standing if standing.day == day else replace(standing, day=day, ticket=self.standings.next_ticket(day))

    def _known(self, standing: Standing, row: EntryRow, new: NewEntry, by: Actor) -> Entry | None:
        """Return an entry that came again; None when what is there is damaged. What is sealed is believed by its id."""
        if row.key_number in self.keys.sealed(standing):
            return Entry(row.sequence, row.id, new.kind, by.writer, new.at_wall_s, row.kept_wall_s, new.fields)
        entry = self._entry(standing, row, self.keys.open(standing).get(row.key_number))
        if entry.kind == DAMAGED:
            return None
        if (entry.kind, entry.by, dict(entry.fields)) != (new.kind, by.writer, dict(new.fields)):
            raise Conflict
        return entry

    def _keep(self, standing: Standing, new: NewEntry, by: Actor, at: Moment) -> Entry:
        count, highest, _ = self.database.entry_figures(standing.number)
        if count >= self.limits.entries_max:
            raise NoCapacity(N_("This record is full."), N_("Finish it and begin another one."))
        if not _ID.fullmatch(new.id):
            raise BadRequest
        if new.kind in FILE_KINDS:
            self._name_file(standing, new)
        sequence = max(highest, SALVAGED_STEP * self._put_aside) + 1
        number, key = self.keys.current(standing)
        body = Body(new.kind, by.writer, new.at_wall_s, new.fields)
        locked = lock_body(key, body, standing.id, new.id, sequence)
        self.database.put_sealed("entries", (standing.number, sequence, number, new.id, at.wall_s, locked))
        self.audit(standing.id, by, f"write:{new.kind}", at)
        self._follow(standing, new, by, at)
        entry = Entry(sequence, new.id, new.kind, by.writer, new.at_wall_s, at.wall_s, dict(new.fields))
        self.fresh.append((standing.id, entry))
        return entry

    def _follow(self, standing: Standing, new: NewEntry, by: Actor, at: Moment) -> None:
        """Let what an entry says about the record itself be so."""
        label, changed = self.label(standing), standing
        if new.kind == "patient":
            label = replace(label, patient=str(new.fields["name"]))
        if new.kind == "request":
            label = replace(label, doctor=str(new.fields["doctor"]) or label.doctor)
            changed = replace(changed, urgency=str(new.fields["urgency"]))
        if new.kind == "answer" and standing.stage is Stage.ASKED:
            changed = replace(changed, stage=Stage.ANSWERED)
            self.audit(standing.id, by, f"move:{Stage.ANSWERED.value}", at)
        if new.kind in {"patient", "request"}:
            self.write_label(standing, label)
        if changed != standing:
            changed = self.put(changed, at)
        if standing.handover is Handover.DELIVERED and by.writer is not Writer.FAR:
            self.requeued(changed, at)

    def _name_file(self, standing: Standing, new: NewEntry) -> None:
        size_bytes = int(str(new.fields["size_bytes"]))
        if size_bytes > self.limits.file_bytes_max:
            raise TooLarge
        name = self.locks.file_name(standing.id, str(new.fields["sha256"]))
        row = self.database.file(name)
        if row is None or not is_whole(row):
            self.demand_room(standing, size_bytes)
            row = FileRow(name, standing.number, 0, size_bytes, 0, 1, 0, b"")
        elif row.size_bytes != size_bytes:
            raise Conflict
        self.is_changed = True
        self.database.put_file(row._replace(is_named=1)[:-1])

    def demand_room(self, standing: Standing, size_bytes: int) -> None:
        """Go on only where one more file fits. Raises: NoCapacity."""
        of_record = self.database.file_bytes(standing.number) + size_bytes
        in_all = self.database.file_bytes() + size_bytes
        is_low = self.blobs.free_bytes() - size_bytes < self.limits.free_bytes_min
        if of_record > self.limits.record_bytes_max or in_all > self.limits.total_bytes_max or is_low:
            raise NoCapacity(
                N_("There is no room for another file on the box."),
                N_("Keep it on the phone; what is handed over makes room. Tell the technician."),
            )

    def _entry(self, standing: Standing, row: EntryRow, key: bytes | None) -> Entry:
        try:
            if key is None:
                raise NotOpened
            body = open_body(key, row, standing.id)
        except NotOpened:
            self.standings.damaged.add(("entry", standing.number, row.sequence))
            return Entry(row.sequence, "", DAMAGED, Writer.BOX, 0.0, 0.0, {})
        return Entry(row.sequence, row.id, body.kind, body.by, body.at_wall_s, row.kept_wall_s, body.fields)

    def shown(self, standing: Standing) -> RecordView:
        """Return how a record stands, for lists."""
        label = self.label(standing)
        rows = self.database.entries(standing.number)
        files = [row for row in self.database.files(standing.number) if row.is_named]
        return RecordView(
            id=standing.id,
            stage=standing.stage,
            handover=standing.handover,
            reason=label.reason,
            ticket=standing.ticket or None,
            due_wall_s=standing.due_wall_s,
            doctor=label.doctor,
            began_wall_s=standing.began_wall_s,
            changed_wall_s=max([standing.wall_s, *(row.kept_wall_s for row in rows if is_whole(row))]),
            patient=label.patient,
            entries=len(rows),
            photos=len(files),
            missing=sum(not (is_whole(row) and row.is_here) for row in files),
            answer_unread=standing.stage is Stage.ANSWERED,
            urgency=standing.urgency,
            damaged=sum(not is_whole(row) for row in rows),
            is_sealed=bool(self.keys.sealed(standing)),
        )


def _day(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).astimezone().date().isoformat()


def _demand_mover(by: Actor, stage: Stage) -> None:
    if stage not in _MAY_MOVE.get(by.writer, frozenset()):
        raise NotAllowed


def _not_now() -> Conflict:
    return Conflict(
        N_("This cannot be done with the record as it stands now."), N_("Open the record again and see how it stands.")
    )


def _no_request() -> Conflict:
    return Conflict(N_("A case needs a question to the doctor first."), N_("Write the question, then send it."))


assert OPEN | ENDED == _ANY  # noqa: S101 - the table is whole
