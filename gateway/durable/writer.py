"""What is kept is acknowledged after its commit is on disk, and not before; who waits together shares one sync.

After a write that failed nothing is believed: the file is opened again, checked, and written whole to disk before
anything new is taken (a failed fsync leaves pages that look written and are not). Until then writing is refused,
reading goes on where it can, and nothing that was acknowledged is lost. All of this runs in one thread.

Source: Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from structlog.typing import FilteringBoundLogger

from gateway.clock import Clock
from gateway.durable.aside import finish, put_aside, sync_folder
from gateway.durable.ballast import Ballast
from gateway.durable.database import KEY_NOTE, Connect, DamagedFile, Database, FormerFile, is_damage
from gateway.durable.vault import Vault
from gateway.errors import CannotStart, GatewayError, NoCapacity

MEND_PAUSE_S = 2.0  # between two tries to open a failing file again


class Book(Protocol):
    """What is done to an open file; knows again what is there once it was recovered."""

    @property
    def database(self) -> Database:
        """The open file."""
        ...

    def recover(self) -> None:
        """Know again what is there."""
        ...


_B = TypeVar("_B", bound=Book)


@dataclass(slots=True)
class Request(Generic[_B]):
    """Something to do with the book, and what came of it."""

    work: Callable[[_B], Any]
    writes: bool
    is_new: bool  # refused where the disk is nearly full
    outcome: Any = None
    error: GatewayError | None = None


class Writer(Generic[_B]):
    """A file, and what is done to it; each kind says how it is opened and mended, and its sentences."""

    def __init__(
        self, path: Path, vault: Vault, clock: Clock, ballast: Ballast, connect: Connect, log: FilteringBoundLogger
    ) -> None:
        self._path = path
        self._vault = vault
        self._clock = clock
        self._ballast = ballast
        self._connect = connect
        self._log = log
        self._book: _B | None = None
        self._is_sound = True
        self._is_low = False
        self._mend_at_s = 0.0
        self._put_aside = 0
        self._failures = 0

    def opened(self, connection: sqlite3.Connection) -> Database:
        """Return the tables of an open file, not looked at."""
        raise NotImplementedError

    def book(self, database: Database) -> _B:
        """Return the book over an open file."""
        raise NotImplementedError

    def salvage(self) -> None:
        """Put a new file with every whole row in the place of the broken one."""
        raise NotImplementedError

    def renew(self) -> None:
        """Put a file of the present form in the place of a former one."""
        raise NotImplementedError

    def refusal(self, cause: Exception | None = None) -> NoCapacity:
        """Return that nothing can be kept now."""
        raise NotImplementedError

    def cannot_open(self, cause: Exception) -> CannotStart:
        """Return that the file cannot be opened."""
        raise NotImplementedError

    def other_key(self) -> CannotStart:
        """Return that the file was locked with another key."""
        raise NotImplementedError

    def look(self) -> None:
        """Refuse in a moment what no mending makes right: a folder that cannot be had, another key, a newer file.

        Raises: CannotStart.
        """
        try:
            self._make_folder()
            if self._path.exists():
                with closing(self.opened(self._connect(self._path))) as database:
                    database.demand_readable()
                    self._demand_key(database)
        except OSError as exc:
            raise self.cannot_open(exc) from exc
        except (sqlite3.Error, FormerFile):
            pass  # what starts next says more

    def start(self) -> None:
        """Open the file, and know again what is there.

        Raises: CannotStart.
        """
        try:
            self._make_folder()
            self._open()
            self._ballast.keep()
            self._is_low = self._ballast.is_low()
        except (OSError, sqlite3.Error, NoCapacity, DamagedFile, FormerFile) as exc:
            raise self.cannot_open(exc) from exc

    def mend_later(self) -> None:
        """Refuse what is asked until the file could be opened."""
        self._is_sound = False
        self._failures += 1
        self._mend_at_s = self._clock.now_s() + MEND_PAUSE_S

    def stop(self) -> None:
        """Close the file."""
        if self._book is not None:
            with suppress(sqlite3.Error):
                self._book.database.close()
            self._book = None

    def serve(self, requests: Sequence[Request[_B]]) -> None:
        """Do what is asked: first what writes, together, then what reads; each request has its outcome or error."""
        writing = self._admit([request for request in requests if request.writes])
        if writing:
            self._write(writing)
        for request in requests:
            if not request.writes:
                self._read(request)

    def _admit(self, requests: list[Request[_B]]) -> list[Request[_B]]:
        """Refuse what is new where the disk is nearly full; what became of the rest may still be written."""
        if not requests:
            return requests
        self._is_low = self._ballast.is_low()
        if not self._is_low:
            self._ballast.keep()
            return requests
        for request in requests:
            if request.is_new:
                request.error = self.refusal()
        return [request for request in requests if request.error is None]

    def _write(self, requests: Sequence[Request[_B]]) -> None:
        """Do all of it in one transaction, which is on disk when this returns, or none of it."""
        try:
            book = self._sound_book()
            with book.database.transaction():
                for request in requests:
                    self.work(request, book)
        except Exception as exc:  # noqa: BLE001 - whatever broke, the thread must go on and nobody be told it is kept
            self._doubt(exc)
            for request in requests:
                request.outcome, request.error = None, self.refusal(exc)

    def _read(self, request: Request[_B]) -> None:
        try:
            if self._book is None:
                raise self.refusal()
            self.work(request, self._book)
        except Exception as exc:  # noqa: BLE001 - as above
            self._doubt(exc)
            request.error = self.refusal(exc)

    def work(self, request: Request[_B], book: _B) -> None:
        """Do one request; what the book refuses is that request's own."""
        try:
            request.outcome = request.work(book)
        except GatewayError as exc:
            request.error = exc

    def _sound_book(self) -> _B:
        """Return the book, opened again first where it is in doubt."""
        if not self._is_sound or self._book is None:
            if self._clock.now_s() < self._mend_at_s:
                raise self.refusal()
            self._mend_at_s = self._clock.now_s() + MEND_PAUSE_S
            self.stop()
            self._open()
            self._is_sound = True
            self._log.info("journal.mended")
        if self._book is None:
            raise self.refusal()
        return self._book

    def _doubt(self, exc: Exception) -> None:
        """Believe nothing of the open file after a failure."""
        code = getattr(exc, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_FULL:
            self._ballast.drop()
        if self._is_sound:
            self._is_sound = False
            self._failures += 1
            self._mend_at_s = self._clock.now_s() + MEND_PAUSE_S
            self._log.error("journal.failed", error=type(exc).__name__, code=code)

    def _open(self) -> None:
        """Open the file, checked and on disk; a broken one is salvaged first."""
        finish(self._path)
        try:
            self._open_checked()
        except (sqlite3.Error, DamagedFile) as exc:
            if not (isinstance(exc, DamagedFile) or is_damage(exc)):
                raise
            self.stop()
            self.salvage()
            self._open_checked()
        except FormerFile:
            self.stop()
            self.renew()
            self._open_checked()
        self._put_aside = len(put_aside(self._path))

    def _open_checked(self) -> None:
        database = self.opened(self._connect(self._path))
        self._book = self.book(database)
        database.prepare()
        self._demand_key(database)
        if not database.note(KEY_NOTE):
            with database.transaction():
                database.write_note(KEY_NOTE, self._vault.fingerprint())
        self._book.recover()
        database.settle_on_disk()

    def _make_folder(self) -> None:
        if not self._path.parent.is_dir():
            self._path.parent.mkdir(mode=0o700, parents=True)
            sync_folder(self._path.parent.parent)

    def _demand_key(self, database: Database) -> None:
        """Go on only with the key that the file was locked with.

        Raises: CannotStart.
        """
        known = database.note(KEY_NOTE)
        if known and known != self._vault.fingerprint():
            raise self.other_key()
