"""An order is acknowledged after its commit is on disk, and not before: the journal of orders under a writer's rule."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.clock import Clock
from gateway.durable import writer
from gateway.durable.ballast import Ballast
from gateway.durable.database import Connect, Database
from gateway.durable.vault import Vault
from gateway.errors import N_, CannotStart, NoCapacity
from gateway.market.journal.entries import Entries
from gateway.market.journal.ledger import Ledger
from gateway.market.journal.salvage import first_merchant, renew, salvage
from gateway.market.journal.tables import Tables
from gateway.market.records import Counts

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


class Writer(writer.Writer[Ledger]):
    """The journal's file, and what is done to it."""

    def __init__(
        self, path: Path, box_code: str, vault: Vault, clock: Clock, ballast: Ballast, connect: Connect
    ) -> None:
        super().__init__(path, vault, clock, ballast, connect, _log)
        self._box_code = box_code

    def opened(self, connection: sqlite3.Connection) -> Tables:
        """Return the tables of an open file, not looked at."""
        return Tables(connection, first_merchant(self._path))

    def book(self, database: Database) -> Ledger:
        """Return the ledger over an open file."""
        assert isinstance(database, Tables)  # noqa: S101 - as opened
        return Ledger(Entries(database, self._vault, self._box_code))

    def salvage(self) -> None:
        """Put a new journal with every whole row in the place of the broken one."""
        salvaged = salvage(self._path, self._connect, self._vault)
        _log.error("journal.salvaged", orders=salvaged.orders, events=salvaged.events)

    def renew(self) -> None:
        """Put a journal of the present form in the place of a former one."""
        renewed = renew(self._path, self._connect, self._vault)
        _log.info("journal.renewed", orders=renewed.orders, events=renewed.events, damaged=renewed.lost)

    def statistics(self) -> JournalStatistics:
        """Return how the journal is."""
        ledger = self._book
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
        ledger = self._book  # read once: the thread of the journal may take it away
        return ledger.standings.counts(merchant) if ledger is not None else Counts()

    def refusal(self, cause: Exception | None = None) -> NoCapacity:
        """Return that no order can be recorded now."""
        refusal = NoCapacity(
            N_("The box cannot record orders now: its storage is full or fails."),
            N_("Keep the order and tell the technician. Orders that have a receipt are safe."),
        )
        refusal.__cause__ = cause
        return refusal

    def cannot_open(self, cause: Exception) -> CannotStart:
        """Return that the journal cannot be opened."""
        return CannotStart(
            N_("The journal of orders cannot be opened: %(path)s (%(reason)s)."),
            N_("Check the disk and the rights of the data directory."),
            path=self._path,
            reason=type(cause).__name__,
        )

    def other_key(self) -> CannotStart:
        """Return that the journal was locked with another key."""
        return CannotStart(
            N_("The journal of orders was locked with another key: %(path)s."),
            N_("Put back the file `key` of the data directory that belongs to it; no order is lost."),
            path=self._path,
        )
