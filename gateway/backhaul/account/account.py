"""The account of the link: what each tenant moved, counted as it moves and kept on disk, a quarter of an hour a record.

Counting is a sum in memory and never waits. Once a minute the figures go to a thread that owns the file; `kill -9` or a
power cut loses at most what was counted since. Where the disk fails, closed intervals wait in memory, up to a week of
them, and the file is opened again with each beat.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import structlog

from gateway.backhaul.account.formats import FAR_S, Format, head, written
from gateway.backhaul.account.intervals import begin, ended, next_beat_s, resume, so_far
from gateway.backhaul.account.ledger import Interval, Ledger, Total, closed, totals
from gateway.backhaul.account.record import UsageRecord
from gateway.backhaul.account.tables import FILE, PAGE_ROWS, Connect, DamagedLedger, connect
from gateway.backhaul.account.usage import Figures, Lifetime, Usage
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import Clock, clock_state
from gateway.errors import N_, CannotStart, NoCapacity

DAY_S = 86_400
KEEP_S = 400 * DAY_S  # 13 months: a year, and the month in which it is settled
WRITE_EVERY_S = 60.0
WAITING_MAX = 672  # closed intervals that the disk did not take: a week
BEAT_SLACK_S = 1.0  # by which one beat may come earlier after the one before
NEVER_S = float("-inf")

_T = TypeVar("_T")
_log = structlog.get_logger("backhaul.account")


@dataclass(frozen=True, slots=True)
class AccountStatistics:
    """How the account is."""

    records: int = 0  # written since the start
    sequence: int = 0
    waiting: int = 0  # closed intervals that are not on disk yet
    lost: int = 0  # closed intervals that were given up
    failures: int = 0
    put_aside: int = 0  # damaged ledgers beside this one: a technician must look


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """What may be set of the account."""

    keep_s: float = KEEP_S
    write_every_s: float = WRITE_EVERY_S


class Account:
    """What crossed the link, for whom."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        box: str,
        token: Callable[[], str],
        limits: AccountLimits | None = None,
        opens: Connect = connect,
    ) -> None:
        """Make an account of `box` in a folder of its own; `token` returns a text that nobody else has."""
        self._path = folder / FILE
        self._clock = clock
        self._box = box
        self._token = token
        self._limits = limits or AccountLimits()
        self._opens = opens
        self._usage = Usage()
        self._stretch = begin(clock.wall_s(), clock.now_s())
        self._opened_s = clock.now_s()
        self._seconds_before = 0  # of the open interval, before a restart
        self._open_token = ""
        self._waiting: deque[Interval] = deque()
        self._written_s = NEVER_S
        self._written: tuple[Figures, ...] = ()
        self._thread: ThreadPoolExecutor | None = None
        self._ledger: Ledger | None = None
        self._statistics = AccountStatistics()
        self._failure: tuple[str, int | None] | None = None  # that was said

    def count(
        self,
        tenant: str,
        traffic_class: TrafficClass,
        *,
        down_bytes: int = 0,
        up_bytes: int = 0,
        local_bytes: int = 0,
        device: str = "",
    ) -> None:
        """Count bytes over the link, or served here without it; `device` is only counted, never kept."""
        self._usage.add(tenant, traffic_class, down_bytes, up_bytes, local_bytes, device)

    def congested(self, tenant: str) -> None:
        """Note that a tenant asks for more than its share now."""
        self._usage.congest(tenant)

    def statistics(self) -> AccountStatistics:
        """Return how the account is."""
        return replace(self._statistics, waiting=len(self._waiting))

    async def start(self) -> None:
        """Open the ledger, and go on with the interval that a stop or a crash has cut.

        Raises: CannotStart.
        """
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="account")
        try:
            await self._in_thread(self._sound_ledger)
        except BaseException as exc:
            self._thread.shutdown(wait=False)
            self._thread = None
            if not isinstance(exc, OSError | sqlite3.Error | DamagedLedger):
                raise
            raise CannotStart(
                N_("The account of the link cannot be opened: %(path)s (%(reason)s)."),
                N_("Check the disk and the rights of the data directory."),
                path=self._path,
                reason=type(exc).__name__,
            ) from exc
        self._learn()
        self._go_on(self._ledger.open_interval if self._ledger else None)

    async def stop(self) -> None:
        """Write what was counted, and close the file."""
        if self._thread is None:
            return
        self._written_s = NEVER_S
        await self._write_due()
        if self._ledger is not None:
            await self._in_thread(self._ledger.tables.close)
        self._thread.shutdown(wait=False)
        self._thread = self._ledger = None

    async def run(self) -> None:
        """Write what was counted each minute of the clock, until cancelled."""
        while True:
            await asyncio.sleep(next_beat_s(self._clock.wall_s()))
            await self.beat()

    async def beat(self) -> None:
        """Count the minute that is over, close the interval if it is, and write what is due."""
        self._usage.pass_minute()
        await self._write_due()

    async def _write_due(self) -> None:
        wall_s, now_s = self._clock.wall_s(), self._clock.now_s()
        span = ended(self._stretch, wall_s, now_s)
        if span is not None:
            self._close(replace(self._interval(now_s), span=span))
        is_due = now_s - self._written_s > self._limits.write_every_s - BEAT_SLACK_S
        interval = self._interval(now_s) if is_due else None
        if interval is not None and interval.figures in ((), self._written):
            interval = None
        if self._waiting or interval is not None:
            await self._write(interval)

    async def totals(self, from_s: float = 0.0, to_s: float = FAR_S) -> list[Total]:
        """Return what each tenant moved in each class in intervals that began in a time, to the last write."""
        return await self.ask(lambda ledger: totals(ledger.tables, int(from_s), int(to_s)))

    async def closed(self, from_s: float = 0.0, to_s: float = FAR_S, *, after: int = -1) -> tuple[Figures, ...]:
        """Return what each tenant moved in the intervals on disk that began in a time, in records after a number."""
        return await self.ask(lambda ledger: closed(ledger.tables, int(from_s), int(to_s), after))

    def in_memory(self) -> tuple[Interval, ...]:
        """Return the intervals that are no records yet: closed ones that wait for the disk, and the open one."""
        return (*self._waiting, self._interval(self._clock.now_s()))

    async def lifetimes(self) -> dict[str, Lifetime]:
        """Return what each tenant moved since the ledger began, as far as it is on disk."""
        return await self.ask(lambda ledger: dict(ledger.lifetimes()))

    async def export(self, form: Format, from_s: float = 0.0, to_s: float = FAR_S) -> AsyncIterator[str]:
        """Yield the closed records that touch a time, and all between them, as a file, piece by piece."""
        yield head(form)
        bounds = await self.ask(lambda ledger: ledger.tables.sequences(int(from_s), int(to_s)))
        if bounds is None:
            return
        first, last = bounds
        while first <= last:
            page = await self.ask(partial(_page, first=first, last=last))
            if not page:
                return
            yield "".join(written(form, record) for record in page)
            first = page[-1].link.sequence + 1

    async def ask(self, work: Callable[[Ledger], _T]) -> _T:
        """Return what `work` finds in the ledger, or writes there, in the ledger's thread.

        Raises: NoCapacity when the disk fails now.
        """
        try:
            return await self._in_thread(lambda: work(self._sound_ledger()))
        except (OSError, sqlite3.Error, DamagedLedger) as exc:
            self._doubt(exc)
            raise NoCapacity(
                N_("The account of the link cannot be read or written now."),
                N_("Nothing that was written is lost. Check the disk, and see the log."),
            ) from exc

    def _interval(self, now_s: float) -> Interval:
        self._open_token = self._open_token or self._token()
        seconds = self._seconds_before + round(now_s - self._opened_s)
        return Interval(self._open_token, so_far(self._stretch, now_s), seconds, self._usage.figures())

    def _close(self, interval: Interval) -> None:
        """Let an interval wait for the disk, and begin the next one."""
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self._statistics = replace(self._statistics, lost=self._statistics.lost + 1)
        self._waiting.append(interval)
        self._begin()

    def _begin(self) -> None:
        self._usage, self._open_token, self._seconds_before, self._written = Usage(), "", 0, ()
        self._opened_s = self._clock.now_s()
        self._stretch = begin(self._clock.wall_s(), self._opened_s)

    def _go_on(self, cut: Interval | None) -> None:
        """Begin with what was open on disk: go on with it, or close it as it was."""
        if cut is None:
            return
        stretch = resume(cut.span, self._clock.wall_s(), self._clock.now_s())
        if stretch is None:
            self._waiting.append(cut)
            return
        counted, self._usage = self._usage, Usage(cut.figures)
        self._stretch, self._open_token, self._seconds_before = stretch, cut.token, cut.seconds
        for each in counted.figures():  # before the start
            for traffic_class, carried in zip(TrafficClass, each.classes, strict=True):
                self._usage.add(each.tenant, traffic_class, *carried, "")

    async def _write(self, interval: Interval | None) -> None:
        waiting = tuple(self._waiting)
        try:
            records = await self._in_thread(lambda: self._put_down(waiting, interval))
        except (OSError, sqlite3.Error, DamagedLedger) as exc:
            self._doubt(exc)
            return
        for each in waiting:
            if self._waiting and self._waiting[0] is each:
                self._waiting.popleft()
        if interval is not None:
            self._written_s, self._written = self._clock.now_s(), interval.figures
        self._learn(records)

    def _learn(self, records: int = 0) -> None:
        """Take note of where the ledger stands."""
        if self._ledger is not None:
            self._failure = None
            told = self._statistics
            sequence, put_aside = self._ledger.end.sequence, self._ledger.put_aside
            self._statistics = replace(told, records=told.records + records, sequence=sequence, put_aside=put_aside)

    def _put_down(self, waiting: tuple[Interval, ...], interval: Interval | None) -> int:
        """Write closed intervals, then the open one; return how many records it made. In the thread."""
        ledger = self._sound_ledger()
        before = ledger.end.sequence
        wall_s = self._clock.wall_s()
        keep_from_s = int(wall_s - self._limits.keep_s) if clock_state(wall_s) == "trusted" else None
        for each in ledger.not_closed(waiting):
            ledger.close_interval(each, keep_from_s)
        if interval is not None:
            ledger.write_open(interval)
        return ledger.end.sequence - before

    def _sound_ledger(self) -> Ledger:
        """Return the ledger, opened again where it was in doubt. In the thread."""
        if self._ledger is None:
            self._ledger = Ledger.at(self._path, self._box, self._token(), self._opens)
        return self._ledger

    def _doubt(self, exc: Exception) -> None:
        """Believe nothing of the open file after a failure."""
        ledger, self._ledger = self._ledger, None
        if ledger is not None and self._thread is not None:
            self._thread.submit(ledger.tables.close)
        self._statistics = replace(self._statistics, failures=self._statistics.failures + 1)
        failure = type(exc).__name__, getattr(exc, "sqlite_errorcode", None)
        if failure != self._failure:  # a disk that fails is asked again each second, and said once
            self._failure = failure
            _log.error("account.failed", error=failure[0], code=failure[1])

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        if self._thread is None:
            raise NoCapacity
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _page(ledger: Ledger, first: int, last: int) -> list[UsageRecord]:
    found = ledger.tables.records(first, last)  # the first of them may have grown too old meanwhile
    return [record for record in islice(found, PAGE_ROWS) if record is not None]
