"""The records on disk: asked for from the event loop, done by one thread of their own.

What returns is on disk. A record's patient's name stays readable here under the box's key until it was delivered and
nothing more is awaited; its entries and files, with a recipient, until they were delivered.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from gateway.clinic.records import filing, handing, recorded
from gateway.clinic.records.blobs import PIECE_BYTES, read_whole
from gateway.clinic.records.book import Moment, RecordBook
from gateway.clinic.records.entries import check
from gateway.clinic.records.following import Followers
from gateway.clinic.records.letting_go import let_go
from gateway.clinic.records.locks import Locks
from gateway.clinic.records.recorded import RecordedStanding
from gateway.clinic.records.sealed_record import SealedRecord, take_out
from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import (
    Access,
    Actor,
    Entry,
    HandoverItem,
    NewEntry,
    Outcome,
    RecordLimits,
    RecordStatistics,
    RecordView,
)
from gateway.clinic.records.writer import RecordWriter
from gateway.clock import Clock
from gateway.durable.database import Connect, connect
from gateway.durable.thread import WriterThread
from gateway.errors import N_, BadRequest, NoCapacity

TIDY_S = 3_600.0
LISTED_MAX = 1_000
_log = structlog.get_logger("clinic.records")


class Records:
    """The records on disk."""

    def __init__(
        self,
        *,
        folder: Path,
        key: bytes,
        clock: Clock,
        boot: str,
        limits: RecordLimits,
        recipient: str = "",
        opens: Connect = connect,
    ) -> None:
        """Raises: CannotStart for a recipient's key that is none."""
        self._clock = clock
        self._writer = RecordWriter(folder, Locks(key, recipient), clock, limits, boot, opens)
        self._thread: WriterThread[RecordBook] = WriterThread(
            self._writer, "clinic records", limits.waiting_max, busy=_busy, noted=self._note, log=_log
        )
        self._followers = Followers(limits.watchers_max)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._statistics = RecordStatistics()

    async def start(self) -> None:
        """Open the file, and know again what is there.

        Raises: CannotStart.
        """
        self._loop = asyncio.get_running_loop()
        await self._thread.start()

    async def run(self) -> None:
        """Let go of what was kept long enough, one record at a time."""
        while True:
            try:
                while await self._thread.ask(partial(let_go, at=self._now())):
                    pass
            except NoCapacity:
                _log.warning("records.not_tidied")
            await asyncio.sleep(TIDY_S)

    async def stop(self) -> None:
        """Finish what was asked, and close the file."""
        self._followers.end()
        await self._thread.stop()
        self._loop = None

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
        """Return a record that is on disk with its first entries; one that is known stays as it stands.

        A waiting one gets the day's next ticket.

        Raises: BadRequest, NotAllowed, Conflict, NoCapacity.
        """
        checked = [_checked(entry) for entry in entries]
        work = partial(
            RecordBook.begin,
            record=record,
            stage=stage,
            due_wall_s=due_wall_s,
            doctor=doctor,
            entries=checked,
            by=by,
            at=self._now(),
        )
        return await self._thread.ask(work, is_new=True)

    async def move(self, record: str, stage: Stage, *, by: Actor) -> RecordView:
        """Return a record in another stage; one that is there already, as it is.

        Raises: Conflict, NotAllowed, NotFound, NoCapacity.
        """
        return await self._thread.ask(partial(RecordBook.move, record=record, stage=stage, by=by, at=self._now()))

    async def keep(self, record: str, entry: NewEntry, *, by: Actor) -> Entry:
        """Return an entry that is on disk; the same one for an id that is known. An answer moves a case to `answered`.

        Raises: Conflict, NotAllowed, NotFound, BadRequest, TooLarge, NoCapacity.
        """
        work = partial(RecordBook.keep, record=record, new=_checked(entry), by=by, at=self._now())
        return await self._thread.ask(work, is_new=True)

    async def entries(self, record: str, after: int = 0, *, by: Actor) -> list[Entry]:
        """Return what a record holds behind a sequence, as far as it opens here; damaged ones have that kind.

        Raises: NotFound, NoCapacity.
        """
        work = partial(RecordBook.read, record=record, after=after, by=by, at=self._now())
        return await self._thread.ask(work, writes=False)

    async def view(self, record: str, *, by: Actor) -> RecordView | None:
        """Return how a record stands."""
        return await self._thread.ask(partial(RecordBook.view, record=record, by=by, at=self._now()), writes=False)

    async def views(self, stages: frozenset[Stage] | None = None, *, limit: int = 50, by: Actor) -> list[RecordView]:
        """Return how records stand: appointments by their time, then the others, newest first."""
        most = min(limit, LISTED_MAX)
        work = partial(RecordBook.views, stages=stages, limit=most, by=by, at=self._now())
        return await self._thread.ask(work, writes=False)

    async def blob_offset(self, record: str, sha256: str) -> int:
        """Return how many bytes of a file are here for certain.

        Raises: NotFound, NoCapacity.
        """
        return await self._thread.ask(partial(filing.offset, record=record, sha256=_hash(sha256)), writes=False)

    async def put_blob(
        self, record: str, sha256: str, offset: int, size_bytes: int, pieces: AsyncIterator[bytes], *, by: Actor
    ) -> int:
        """Return how many bytes of a file are on disk; all of `size_bytes` when it is whole and its hash fits.

        Pieces that begin behind what is here are not read. What came before a connection broke stays.

        Raises: NotFound, BadRequest when the hash does not fit, Conflict for another size, TooLarge, NoCapacity.
        """
        sha256, at = _hash(sha256), self._now()
        begin = partial(filing.begin, record=record, sha256=sha256, size_bytes=size_bytes, by=by, at=at)
        kept = await self._thread.ask(begin, is_new=True)
        if offset < 0 or offset > kept or kept == size_bytes:
            return kept
        pending, place = bytearray(), offset
        try:
            async for piece in pieces:
                if place + len(pending) + len(piece) > size_bytes:
                    raise BadRequest
                pending += piece
                while len(pending) >= PIECE_BYTES:
                    kept = await self._append(record, sha256, place, bytes(pending[:PIECE_BYTES]))
                    place += PIECE_BYTES
                    del pending[:PIECE_BYTES]
        finally:
            if pending:
                kept = await self._append(record, sha256, place, bytes(pending))
        return kept

    async def blob(self, record: str, sha256: str, *, by: Actor) -> bytes | None:
        """Return a file that is here whole and opens here, checked; None otherwise.

        Raises: NotFound, NoCapacity.
        """
        sha256 = _hash(sha256)
        work = partial(filing.find, record=record, sha256=sha256, by=by, at=self._now())
        place = await self._thread.ask(work, writes=False)
        if place is None:
            return None
        content = await asyncio.to_thread(read_whole, place.path, place.key, sha256)
        if content is None:
            await self._thread.ask(partial(filing.damaged, record=record, sha256=sha256))
        return content

    async def hand_over(self, record: str, *, by: Actor) -> RecordView:
        """Return a finished record, or a case, that waits for the link; one that has gone, as it is.

        Raises: Conflict, NotFound, NoCapacity.
        """
        return await self._thread.ask(partial(handing.hand_over, record=record, by=by, at=self._now()))

    async def due(self) -> HandoverItem | None:
        """Return what goes now, the most urgent and oldest first; the same again until it is settled.

        Raises: NoCapacity.
        """
        return await self._thread.ask(partial(handing.next_due, at=self._now()))

    async def settle(self, record: str, outcome: Outcome) -> None:
        """Write what came of it; what was delivered is sealed to the recipient.

        Raises: NoCapacity.
        """
        await self._thread.ask(partial(handing.settle, record=record, outcome=outcome, at=self._now()))

    async def audit(self, record: str | None = None, limit: int = 200) -> list[Access]:
        """Return who read and wrote, the newest first; of one record, or of all."""
        most = min(limit, LISTED_MAX)
        return await self._thread.ask(lambda book: book.trail.read(record, most), writes=False)

    async def take_out(self, record: str, *, by: Actor) -> SealedRecord:
        """Return what lies on the disk of a record that was sealed, for its recipient.

        Raises: NotFound.
        """
        return await self._thread.ask(partial(take_out, record=record, by=by, at=self._now()), writes=False)

    async def begin_recording(self, record: str, name: str, key: bytes, *, by: Actor) -> bytes:
        """Return the head of a recording's file, with its key under the record's.

        Raises: NotFound, NoCapacity; Conflict where the patient has not agreed.
        """
        work = partial(recorded.begin, record=record, name=name, key=key, by=by, at=self._now())
        return await self._thread.ask(work, is_new=True)

    async def recording(self, head: bytes, name: str, *, by: Actor | None) -> RecordedStanding | None:
        """Return how a recording stands; None where its record has left. Nobody is named when the box itself looks."""
        work = partial(recorded.look, head=head, name=name, by=by, at=self._now())
        return await self._thread.ask(work, writes=False)

    def watch(self) -> AsyncIterator[tuple[str, Entry]]:
        """Return what yields entries of all records as they are kept, from now on.

        It ends when the records stop, or when who listens is 1,000 entries behind: ask for `entries` then.

        Raises: NoCapacity.
        """
        return self._followers.follow()

    def statistics(self) -> RecordStatistics:
        """Return counts only."""
        return self._statistics

    async def _append(self, record: str, sha256: str, place: int, content: bytes) -> int:
        work = partial(filing.append, record=record, sha256=sha256, place=place, content=content, at=self._now())
        kept = await self._thread.ask(work)
        if kept < 0:
            raise filing.faulty()
        return kept

    def _note(self) -> None:
        """Tell who follows, before who asked is answered; runs in the file's thread."""
        self._statistics = self._writer.statistics()
        fresh, loop = self._writer.take_fresh(), self._loop
        if fresh and loop is not None:
            try:
                loop.call_soon_threadsafe(self._followers.tell, fresh)
            except RuntimeError:  # the loop is closed: nobody listens any more
                _log.info("records.nobody_listens")

    def _now(self) -> Moment:
        return Moment(self._clock.wall_s(), self._clock.now_s())


def _checked(entry: NewEntry) -> NewEntry:
    if not 0 <= entry.at_wall_s < 1e11:
        raise BadRequest
    return replace(entry, fields=check(entry.kind, entry.fields), at_wall_s=float(entry.at_wall_s))


def _hash(sha256: str) -> str:
    if not filing.is_sha256(sha256):
        raise BadRequest
    return sha256


def _busy() -> NoCapacity:
    return NoCapacity(N_("The box is busy with other records."), N_("Wait a minute, then send it again."))
