"""An index that can fail: what breaks is a miss, what is broken is replaced, and what is gathered is written together.

A row that is broken is missing. An index that SQLite finds broken is set aside, and a new one begun: it is a cache. A
disk that is full, or gone, costs the storing alone; what waited to be written is lost then, and so is what waits when
the power goes. But what was to be taken away, or doubted, waits until it is: what is written of it is never served.
"""

import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

import structlog
from diskcache import Timeout

from gateway.clock import Clock
from gateway.web.rules.stored import Shelf
from gateway.web.store.batch import Batch, Filed, Row
from gateway.web.store.faults import FAULTS, Fault, fault_of
from gateway.web.store.index import Index
from gateway.web.store.rows import FILE
from gateway.web.store.sweep import Sweep

T = TypeVar("T")
CHANGES_AT_ONCE = 500  # URLs in a transaction: a read waits no longer than for these, 150 ms (2026-11)
_log = structlog.get_logger("web")


class GatheredIndex:
    """The index with what is to be written to it, read as one. On the one thread that owns them."""

    def __init__(self, folder: Path, *, batch_bytes_max: int, clock: Clock) -> None:
        self.index = Index(folder / "index")
        self.batch = Batch()
        self._folder = folder
        self._aside = folder / "index.broken"
        self._marker = folder / "in-use"  # found at start: the last run did not end as it should
        self._batch_bytes_max = batch_bytes_max
        self._clock = clock
        self._opened_s = 0.0
        self._failures = {"reading": 0, "writing": 0}
        self._sweep: Sweep | None = None
        self._written_bytes = 0
        self._written_answers = 0
        self.is_full = False
        self.transactions = 0

    @property
    def failures_in_a_row(self) -> int:
        """How often reading and writing have failed since they last did not; a broken row counts as one."""
        return sum(self._failures.values())

    @property
    def answers(self) -> int:
        """How many answers are stored."""
        return self._written_answers + self.batch.more_answers

    @property
    def size_bytes(self) -> int:
        """What is stored."""
        return self._written_bytes + self.batch.size_bytes + self.batch.filed_bytes

    def used_s(self) -> float:
        """Return now, in seconds that the box has run since the index was begun."""
        return self.index.used_s + self._clock.now_s() - self._opened_s

    def open(self) -> None:
        """Have an index, the old one if it can be read; on a full disk there may be none for a while.

        Raises: OSError where the folder cannot be used.
        """
        torn = self._marker.exists()
        try:
            self._marker.touch(mode=0o600)
            try:
                self.index.open(check=torn)
            except FAULTS as exc:
                if fault_of(exc) is not Fault.INDEX:
                    raise
                torn = True
                self._set_aside()
                self.index.open(check=False)
        except FAULTS as exc:
            with suppress(*FAULTS):
                self.index.close()
            if fault_of(exc) is not Fault.FULL:
                raise OSError from exc
            self._failed(exc, "writing")
        self._opened_s = self._clock.now_s()
        if torn or self._aside.exists():
            self._begin_sweep()
        self.guarded(self.measure)

    def close(self) -> None:
        """Write what waits, and let go of the index."""
        if self.index.is_open:
            self.write()
            self.guarded(self.index.close)
            with suppress(OSError):
                self._marker.unlink()

    def shelf(self, key: str) -> Shelf:
        """Return a shelf as it is to be.

        Raises: FAULTS.
        """
        gathered = self.batch.shelf(key)
        return self.index.shelf(key) if gathered is None else gathered

    def row(self, name: str) -> bytes | BinaryIO | None:
        """Return a row as it is to be, or its file, open.

        Raises: FAULTS.
        """
        if not self.batch.knows(name):
            return self.index.row(name)
        row = self.batch.row(name)
        if not isinstance(row, Filed):
            return row
        with suppress(OSError):
            return (self.index.folder / row.name).open("rb")
        return None

    def put_shelf(self, key: str, before: Shelf, after: Shelf, bonus_s: float | None = None) -> None:
        """Have a shelf so, with no body that is on it no more."""
        self.batch.put_shelf(key, after, bonus_s, more=len(after) - len(before))
        if not before:
            self.batch.empty(key)  # a shelf that broke left its bodies
        for name in _bodies(before) - _bodies(after):
            self.batch.drop_row(name)

    def drop(self, key: str, before: Shelf) -> None:
        """Have nothing of a URL."""
        self.batch.drop(key, more=-len(before))

    def write_if_many(self) -> None:
        """Write some of what is gathered, if it is as much as may wait.

        Raises: FAULTS.
        """
        while self.batch.size_bytes >= self._batch_bytes_max and self.batch.changes:
            self._write_some()

    def write(self) -> None:
        """Write what is gathered."""
        if not self.index.is_open:
            self.open_again()
        if self.batch or self.batch.orphans:
            self.guarded(self.write_now, writes=True)

    def write_step(self) -> bool:
        """Write some of what is gathered; says whether there is more."""
        if not self.index.is_open:
            self.open_again()
        if not (self.batch or self.batch.orphans):
            return False
        return bool(self.guarded(self._write_some, writes=True)) and bool(self.batch)

    def write_taken(self) -> None:
        """Write what takes away something that is written; what else is gathered waits on."""
        overdue = [key for key, change in self.batch.changes.items() if change.overdue]
        if overdue:
            self.guarded(partial(self.write_now, overdue), writes=True)

    def write_now(self, keys: Iterable[str] | None = None) -> None:
        """Write what is gathered, or what becomes of some URLs; where that fails it is lost, but for what takes away.

        Raises: FAULTS.
        """
        if keys is not None:
            batch = self.batch.split(keys)
        else:
            batch, self.batch = self.batch, Batch()
        lost: list[Row | None] = []
        try:
            if batch:
                self.index.write(batch, self.used_s())
                self.transactions += 1
        except BaseException as exc:
            lost = self._put_back(batch, all_of_it=isinstance(exc, Timeout))
            raise
        finally:
            self._unlink([row for row in (*batch.orphans, *lost) if isinstance(row, Filed)])
        self.measure()

    def _write_some(self) -> bool:
        keys = list(islice(self.batch.changes, CHANGES_AT_ONCE))
        self.write_now(keys if len(keys) < len(self.batch.changes) else None)
        return True

    def _put_back(self, batch: Batch, *, all_of_it: bool) -> list[Row | None]:
        """Gather again what may not be lost, or all where another process holds the index; return the rows that are."""
        spare = self._batch_bytes_max - self.batch.size_bytes
        if all_of_it and batch.size_bytes < spare:
            left, lost = batch, []
            self.batch.used |= batch.used
        else:
            left = batch.taking(spare // 2)
            lost = [row for change in batch.changes.values() for row in change.rows.values()]
        for key, change in left.changes.items():
            self.batch.put(key, change)
        return lost

    def guarded(self, work: Callable[[], T], *, writes: bool = False) -> T | None:
        """Return what work returns; None where something fails."""
        kind = "writing" if writes else "reading"
        try:
            done = work()
        except FAULTS as exc:
            self._failed(exc, kind)
            return None
        self._failures[kind] = 0
        return done

    def refuse(self) -> None:
        """Take note that there is no room for what was to be stored."""
        self.is_full = True
        self._failures["writing"] += 1

    def sweep(self) -> bool:
        """Look for files that no row names, for a moment; says whether there are more to look through."""
        sweep = self._sweep
        if sweep is not None and not self.guarded(sweep.step):
            self._sweep = None
        return self.sweeps

    @property
    def sweeps(self) -> bool:
        """Whether there are files to look through."""
        return self._sweep is not None

    def open_again(self) -> None:
        """Try once more to have an index, where there was no room for one."""
        with suppress(OSError):
            self.open()

    def _failed(self, exc: BaseException, kind: str) -> None:
        fault = fault_of(exc)
        _log.warning("store.missed", fault=fault.value, error=type(exc).__name__)
        self._failures[kind] += 1
        self.is_full = self.is_full or fault is Fault.FULL
        if fault is Fault.INDEX:
            with suppress(*FAULTS):
                self._set_aside()
                self.index.open(check=False)
                self._begin_sweep()
                self.measure()

    def _set_aside(self) -> None:
        """Keep a broken index for whoever wants to know why, one of them; its bodies nobody can find any more."""
        _log.error("store.index-broken")
        with suppress(*FAULTS):
            self.index.close()
        self.batch = Batch()
        shutil.rmtree(self._aside, ignore_errors=True)
        self.index.folder.rename(self._aside)

    def _begin_sweep(self) -> None:
        def is_known(name: str) -> bool:
            return name in self._waiting_files() or self.index.names_file(name)

        self._sweep = Sweep(self.index.folder, self._aside, is_known=is_known)
        self.sweep()

    def _waiting_files(self) -> set[str]:
        rows = [row for change in self.batch.changes.values() for row in change.rows.values()]
        return {row.name for row in rows if isinstance(row, Filed)}

    def _unlink(self, files: list[Filed]) -> None:
        for each in files:
            if FILE.fullmatch(each.name):
                with suppress(OSError):
                    (self.index.folder / each.name).unlink()

    def measure(self) -> None:
        """Know what is written.

        Raises: FAULTS.
        """
        self._written_answers = self._written_bytes = 0
        if self.index.is_open:
            self._written_bytes = self.index.volume_bytes()
            self._written_answers = self.index.answers


def _bodies(shelf: Shelf) -> set[str]:
    return {part.body.key for each in shelf for part in each.parts}
