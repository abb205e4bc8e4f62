"""An order is acknowledged after its commit is on disk, and not before; who waits together shares one sync.

After a write that failed nothing is believed: the file is opened again, checked, and written whole to disk before the
next order is taken (a failed fsync leaves pages that look written and are not). Until then writing is refused, reading
goes on where it can, and nothing that has a receipt is lost. All of this runs in the journal's one thread.

Source: Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from gateway.clock import Clock
from gateway.errors import N_, CannotStart, GatewayError, NoCapacity
from gateway.market.journal.ballast import Ballast
from gateway.market.journal.entries import Entries
from gateway.market.journal.ledger import Ledger
from gateway.market.journal.salvage import finish, first_merchant, put_aside, renew, salvage, sync_folder
from gateway.market.journal.tables import KEY_NOTE, Connect, DamagedFile, FormerFile, Tables, is_damage
from gateway.market.journal.vault import Vault
from gateway.market.records import Counts

MEND_PAUSE_S = 2.0  # between two tries to open a failing file again

_log = structlog.get_logger("market.journal")


@dataclass(frozen=True, slots=True)
class JournalStatistics:
    """How the journal is."""

    waiting: int = 0  # orders that are not settled and wait for no person
    attention: int = 0  # orders that wait for a person
    sendable: int = 0  # orders that wait for the link
    due_s: float | None = None  # monotonic time from which one of them may go; None when none waits
    damaged: int = 0  # rows found that are not what was written
    put_aside: int = 0  # broken files that lie beside the journal: a technician must look
    failures: int = 0  # times that writing failed since the start
    is_taking: bool = False  # whether new orders are taken


@dataclass(slots=True)
class Request:
    """Something to do with the ledger, and what came of it."""

    work: Callable[[Ledger], Any]
    writes: bool
    is_new_order: bool
    outcome: Any = None
    error: GatewayError | None = None


class Writer:
    """The journal's file, and what is done to it."""

    def __init__(
        self, path: Path, box_code: str, vault: Vault, clock: Clock, ballast: Ballast, connect: Connect
    ) -> None:
        self._path = path
        self._box_code = box_code
        self._vault = vault
        self._clock = clock
        self._ballast = ballast
        self._connect = connect
        self._ledger: Ledger | None = None
        self._is_sound = True
        self._is_low = False
        self._mend_at_s = 0.0
        self._put_aside = 0
        self._failures = 0

    def look(self) -> None:
        """Refuse in a moment what no mending makes right: a folder that cannot be had, another key, a newer file.

        Raises: CannotStart.
        """
        try:
            self._make_folder()
            if self._path.exists():
                with closing(Tables(self._connect(self._path), 1)) as tables:
                    tables.demand_readable()
                    self._demand_key(tables)
        except OSError as exc:
            raise self._cannot_open(exc) from exc
        except (sqlite3.Error, FormerFile):
            pass  # what starts next says more

    def start(self) -> None:
        """Open the journal, and know again what waits.

        Raises: CannotStart.
        """
        try:
            self._make_folder()
            self._open()
            self._ballast.keep()
            self._is_low = self._ballast.is_low()
        except (OSError, sqlite3.Error, NoCapacity, DamagedFile, FormerFile) as exc:
            raise self._cannot_open(exc) from exc

    def mend_later(self) -> None:
        """Refuse what is asked until the journal could be opened."""
        self._is_sound = False
        self._failures += 1
        self._mend_at_s = self._clock.now_s() + MEND_PAUSE_S

    def stop(self) -> None:
        """Close the file."""
        if self._ledger is not None:
            with suppress(sqlite3.Error):
                self._ledger.tables.close()
            self._ledger = None

    def serve(self, requests: Sequence[Request]) -> None:
        """Do what is asked: first what writes, together, then what reads; each request has its outcome or error."""
        writing = self._admit([request for request in requests if request.writes])
        if writing:
            self._write(writing)
        for request in requests:
            if not request.writes:
                self._read(request)

    def statistics(self) -> JournalStatistics:
        """Return how the journal is."""
        ledger = self._ledger
        if ledger is None:
            return JournalStatistics(put_aside=self._put_aside, failures=self._failures)
        counts, now_s = ledger.standings.counts(None), self._clock.now_s()
        wait_s = ledger.standings.wait_s(now_s)
        return JournalStatistics(
            waiting=counts.waiting,
            attention=counts.attention,
            sendable=ledger.standings.sendable,
            due_s=None if wait_s is None else now_s + wait_s,
            damaged=len(ledger.entries.damaged),
            put_aside=self._put_aside,
            failures=self._failures,
            is_taking=self._is_sound and not self._is_low,
        )

    def counts(self, merchant: str | None) -> Counts:
        """Return how many orders of a merchant are open; with None, of all."""
        ledger = self._ledger  # read once: the thread of the journal may take it away
        return ledger.standings.counts(merchant) if ledger is not None else Counts()

    def _admit(self, requests: list[Request]) -> list[Request]:
        """Refuse new orders where the disk is nearly full; what became of others may still be written."""
        if not requests:
            return requests
        self._is_low = self._ballast.is_low()
        if not self._is_low:
            self._ballast.keep()
            return requests
        for request in requests:
            if request.is_new_order:
                request.error = _refusal()
        return [request for request in requests if request.error is None]

    def _write(self, requests: Sequence[Request]) -> None:
        """Do all of it in one transaction, which is on disk when this returns, or none of it."""
        try:
            ledger = self._sound_ledger()
            with ledger.tables.transaction():
                for request in requests:
                    _work(request, ledger)
        except Exception as exc:  # noqa: BLE001 - whatever broke, the thread must go on and nobody be told a receipt
            self._doubt(exc)
            for request in requests:
                request.outcome, request.error = None, _refusal(exc)

    def _read(self, request: Request) -> None:
        try:
            if self._ledger is None:
                raise _refusal()
            _work(request, self._ledger)
        except Exception as exc:  # noqa: BLE001 - as above
            self._doubt(exc)
            request.error = _refusal(exc)

    def _sound_ledger(self) -> Ledger:
        """Return the ledger, opened again first where it is in doubt."""
        if not self._is_sound or self._ledger is None:
            if self._clock.now_s() < self._mend_at_s:
                raise _refusal()
            self._mend_at_s = self._clock.now_s() + MEND_PAUSE_S
            self.stop()
            self._open()
            self._is_sound = True
            _log.info("journal.mended")
        if self._ledger is None:
            raise _refusal()
        return self._ledger

    def _doubt(self, exc: Exception) -> None:
        """Believe nothing of the open file after a failure."""
        code = getattr(exc, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_FULL:
            self._ballast.drop()
        if self._is_sound:
            self._is_sound = False
            self._failures += 1
            self._mend_at_s = self._clock.now_s() + MEND_PAUSE_S
            _log.error("journal.failed", error=type(exc).__name__, code=code)

    def _open(self) -> None:
        """Open the file, checked and on disk; a broken one is salvaged first."""
        finish(self._path)
        try:
            self._open_checked()
        except (sqlite3.Error, DamagedFile) as exc:
            if not (isinstance(exc, DamagedFile) or is_damage(exc)):
                raise
            self.stop()
            salvaged = salvage(self._path, self._connect, self._vault)
            _log.error("journal.salvaged", orders=salvaged.orders, events=salvaged.events)
            self._open_checked()
        except FormerFile:
            self.stop()
            renewed = renew(self._path, self._connect, self._vault)
            _log.info("journal.renewed", orders=renewed.orders, events=renewed.events, damaged=renewed.lost)
            self._open_checked()
        self._put_aside = len(put_aside(self._path))

    def _open_checked(self) -> None:
        tables = Tables(self._connect(self._path), first_merchant(self._path))
        self._ledger = Ledger(Entries(tables, self._vault, self._box_code))
        tables.prepare()
        self._demand_key(tables)
        if not tables.note(KEY_NOTE):
            with tables.transaction():
                tables.write_note(KEY_NOTE, self._vault.fingerprint())
        self._ledger.recover()
        tables.settle_on_disk()

    def _make_folder(self) -> None:
        if not self._path.parent.is_dir():
            self._path.parent.mkdir(mode=0o700, parents=True)
            sync_folder(self._path.parent.parent)

    def _cannot_open(self, cause: Exception) -> CannotStart:
        return CannotStart(
            N_("The journal of orders cannot be opened: %(path)s (%(reason)s)."),
            N_("Check the disk and the rights of the data directory."),
            path=self._path,
            reason=type(cause).__name__,
        )

    def _demand_key(self, tables: Tables) -> None:
        """Go on only with the key that the journal was locked with.

        Raises: CannotStart.
        """
        known = tables.note(KEY_NOTE)
        if known and known != self._vault.fingerprint():
            raise CannotStart(
                N_("The journal of orders was locked with another key: %(path)s."),
                N_("Put back the file `key` of the data directory that belongs to it; no order is lost."),
                path=self._path,
            )


def _work(request: Request, ledger: Ledger) -> None:
    """Do one request; what the ledger refuses is that request's own."""
    try:
        request.outcome = request.work(ledger)
    except GatewayError as exc:
        request.error = exc


def _refusal(cause: Exception | None = None) -> NoCapacity:
    refusal = NoCapacity(
        N_("The box cannot record orders now: its storage is full or fails."),
        N_("Keep the order and tell the technician. Orders that have a receipt are safe."),
    )
    refusal.__cause__ = cause
    return refusal
