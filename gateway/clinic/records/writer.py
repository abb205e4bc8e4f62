"""The file of records under a writer's rule: on disk before it is acknowledged; a refusal takes nothing else back."""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from gateway.clinic.records.blobs import Blobs
from gateway.clinic.records.book import RecordBook
from gateway.clinic.records.locks import Locks
from gateway.clinic.records.salvage import salvage
from gateway.clinic.records.tables import RecordTables
from gateway.clinic.records.trail import Waiting
from gateway.clinic.records.views import Entry, RecordLimits, RecordStatistics
from gateway.clock import Clock
from gateway.durable import writer
from gateway.durable.aside import put_aside
from gateway.durable.ballast import Ballast
from gateway.durable.database import Connect, Database
from gateway.durable.writer import Request
from gateway.errors import N_, CannotStart, GatewayError, NoCapacity

FILE = "records.sqlite3"
BLOBS = "blobs"

_log = structlog.get_logger("clinic.records")


class RecordWriter(writer.Writer[RecordBook]):
    """The file, and what is done to it."""

    def __init__(
        self, folder: Path, locks: Locks, clock: Clock, limits: RecordLimits, boot: str, connect: Connect
    ) -> None:
        ballast = Ballast(folder, ballast_bytes=limits.ballast_bytes, free_bytes_min=limits.free_bytes_min)
        super().__init__(folder / FILE, locks.vault, clock, ballast, connect, _log)
        self._locks = locks
        self._limits = limits
        self._boot = boot
        self._blobs = Blobs(folder / BLOBS)
        self._waiting = Waiting()
        self._counted = RecordStatistics()
        self._fresh: list[tuple[str, Entry]] = []

    def opened(self, connection: sqlite3.Connection) -> RecordTables:
        """Return the tables of an open file, not looked at."""
        return RecordTables(connection)

    def book(self, database: Database) -> RecordBook:
        """Return the book over an open file."""
        assert isinstance(database, RecordTables)  # noqa: S101 - as opened
        aside = len(put_aside(self._path))
        return RecordBook(database, self._locks, self._blobs, self._limits, self._waiting, self._boot, aside)

    def start(self) -> None:
        """Open the file and the folder of files.

        Raises: CannotStart.
        """
        try:
            self._make_folder()
            self._blobs.open(None)
        except OSError as exc:
            raise self.cannot_open(exc) from exc
        super().start()
        if self._book is not None and not self._put_aside and not self._book.standings.damaged:
            with suppress(OSError, sqlite3.Error):  # the next start does it
                names = self._book.database.connection.execute("SELECT name FROM files")
                self._blobs.open([str(name) for (name,) in names])

    def serve(self, requests: Sequence[Request[RecordBook]]) -> None:
        """Do what is asked; then write who read, and let nothing of a sealed key stay in the log."""
        super().serve(requests)
        if self._waiting.lines:
            self._write_waiting()
        if self._book is not None and self._book.keys.owes_erasure and self._is_sound:
            try:
                self._book.database.settle_on_disk()
                self._book.keys.owes_erasure = False
            except (sqlite3.Error, NoCapacity) as exc:
                self._doubt(exc)  # which is opened again, and settled on disk then

    def work(self, request: Request[RecordBook], book: RecordBook) -> None:
        """Do one request; what is refused leaves nothing of it."""
        if not request.writes:
            super().work(request, book)
            return
        connection = book.database.connection
        book.mark()
        connection.execute("SAVEPOINT asked")
        try:
            request.outcome = request.work(book)
        except GatewayError as exc:
            connection.execute("ROLLBACK TO asked")
            request.error = exc
            book.undo()
        connection.execute("RELEASE asked")

    def take_fresh(self) -> list[tuple[str, Entry]]:
        """Return the entries that were kept since this was last asked."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def statistics(self) -> RecordStatistics:
        """Return counts."""
        book = self._book
        if book is not None and book.is_changed and self._is_sound:
            with suppress(sqlite3.Error):
                self._counted, book.is_changed = book.statistics(), False
        return replace(
            self._counted,
            damaged=len(book.standings.damaged) if book is not None else self._counted.damaged,
            put_aside=self._put_aside,
            failures=self._failures,
            is_taking=book is not None and self._is_sound and not self._is_low,
        )

    def _write(self, requests: Sequence[Request[RecordBook]]) -> None:
        super()._write(requests)
        if self._book is not None:
            if self._is_sound:
                self._fresh += self._book.fresh
                self._blobs.remove(self._book.leaving)
            self._book.fresh, self._book.leaving = [], []

    def _write_waiting(self) -> None:
        lines = self._waiting.lines[:]
        request: Request[RecordBook] = Request(lambda book: book.trail.write_all(lines), True, False)
        self._write([request])
        if request.error is None:
            del self._waiting.lines[: len(lines)]

    def _doubt(self, exc: Exception) -> None:
        super()._doubt(exc)
        if self._book is not None:
            with suppress(sqlite3.Error, ValueError):
                self._book.recover()  # what was taken back is not shown

    def salvage(self) -> None:
        """Put a new file with every whole row in the place of the broken one."""
        salvaged = salvage(self._path, self._connect, self._locks.trail_key)
        _log.error("journal.salvaged", records=salvaged.records, entries=salvaged.entries, lost=salvaged.lost)

    def renew(self) -> None:
        """Put a file of the present form in the place of a former one; there is none before version 1."""
        self.salvage()

    def refusal(self, cause: Exception | None = None) -> NoCapacity:
        """Return that nothing can be kept now."""
        refusal = NoCapacity(
            N_("The box cannot keep records now: its storage is full or fails."),
            N_("Keep what you wrote and tell the technician. What was kept is safe."),
        )
        refusal.__cause__ = cause
        return refusal

    def cannot_open(self, cause: Exception) -> CannotStart:
        """Return that the file cannot be opened."""
        return CannotStart(
            N_("The clinic's records cannot be opened: %(path)s (%(reason)s)."),
            N_("Check the disk and the rights of the data directory."),
            path=self._path,
            reason=type(cause).__name__,
        )

    def other_key(self) -> CannotStart:
        """Return that the file was locked with another key."""
        return CannotStart(
            N_("The clinic's records were locked with another key: %(path)s."),
            N_("Put back the file `key` of the data directory that belongs to it; no record is lost."),
            path=self._path,
        )
