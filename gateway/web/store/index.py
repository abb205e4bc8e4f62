"""The index on disk: what is gathered is written in one transaction, and a URL's rows come and go together.

diskcache keeps the rows, the ledger stands beside them in the same database. Of SQLite's ways those are chosen that
spare a memory card and outlive one that fails: no map of the file in memory (a page that cannot be read would end the
process), free pages reused before the file shrinks, no sync a transaction (a cache may lose its last seconds).
"""

import errno
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from diskcache import Cache

from gateway.web.rules.stored import Shelf, read_shelf, write_shelf
from gateway.web.store.batch import Batch, Change
from gateway.web.store.eviction import PINNED_S
from gateway.web.store.ledger import Entry, Ledger
from gateway.web.store.rows import PlainDisk

CACHE_PAGES = 2_048  # of 4 KiB, in memory
LOG_BYTES_MAX = 8_388_608  # of the write-ahead log that stay on disk after it was written back
CHECK_BYTES_MAX = 33_554_432  # an index up to this size is read through after a power cut: a second on a slow card
FREE_RATIO_MAX = 0.25  # of pages that are free: more is given back
VACUUM_PAGES = 256  # at once
LOCK_S = 1.0  # another process may hold the index for so long; then a write waits for the next one
_KIND = 0x74616D62  # "tamb": the rows are as this module knows them


class Index:
    """Rows and ledger, on the one thread that owns them. Methods raise what sqlite3, diskcache and files raise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pinned: set[str] = set()  # keys of URLs that stay
        self.answers = 0
        self.used_s = 0.0  # the newest use of before
        self._opened: Any = None
        self._ledger: Ledger | None = None

    def open(self, *, check: bool) -> None:
        """Be ready; `check`: the last run did not end as it should."""
        cache = self._opened = Cache(
            str(self.folder),
            timeout=LOCK_S,
            disk=PlainDisk,
            eviction_policy="none",
            cull_limit=0,
            statistics=0,
            sqlite_auto_vacuum=2,
            sqlite_cache_size=CACHE_PAGES,
            sqlite_journal_size_limit=LOG_BYTES_MAX,
            sqlite_mmap_size=0,
        )
        cache._con.text_factory = _text
        if self._figure("application_id") != _KIND and len(cache):
            raise sqlite3.DatabaseError
        if check and (self.folder / "cache.db").stat().st_size <= CHECK_BYTES_MAX:
            ((verdict,),) = cache._sql("PRAGMA quick_check(1)").fetchall()
            if verdict != "ok":
                raise sqlite3.DatabaseError
        cache._sql(f"PRAGMA application_id = {_KIND}")
        cache._sql("CREATE INDEX IF NOT EXISTS Cache_file ON Cache (filename) WHERE filename IS NOT NULL")
        self._ledger = Ledger(cache._sql)
        self.answers = self.ledger.totals().answers
        self.used_s = max(float(self._figure("user_version")), self.ledger.newest_s())

    @property
    def is_open(self) -> bool:
        """Whether there is one."""
        return self._opened is not None

    def close(self) -> None:
        """Let go of it."""
        cache, self._opened = self._opened, None
        if cache is not None:
            cache.close()

    @property
    def _cache(self) -> Any:
        if self._opened is None:
            raise OSError(errno.EIO, "there is no index")
        return self._opened

    @property
    def ledger(self) -> Ledger:
        """What each URL takes."""
        if self._ledger is None or not self.is_open:
            raise OSError(errno.EIO, "there is no index")
        return self._ledger

    @property
    def disk(self) -> PlainDisk:
        """The files."""
        found: PlainDisk = self._cache.disk
        return found

    def shelf(self, key: str) -> Shelf:
        """Return what was written of a shelf; nothing where that is missing or broken."""
        return read_shelf(self._cache.get(f"shelf {key}"), key) or ()

    def row(self, name: str) -> bytes | BinaryIO | None:
        """Return a row, or the open file that it names."""
        found = self._cache.get(name, read=True)
        return found if isinstance(found, bytes) or hasattr(found, "fileno") else None

    def write(self, batch: Batch, used_s: float) -> None:
        """Write all of it, or nothing."""
        answers = 0
        try:
            with self._cache.transact():
                for key, change in batch.changes.items():
                    answers += self._change(key, change, used_s)
                self.ledger.use(batch.used, used_s)
                self._cache._sql(f"PRAGMA user_version = {int(used_s)}")
        except BaseException:
            self.disk.doomed.clear()
            raise
        self.answers += answers
        self.disk.bury()

    def _change(self, key: str, change: Change, used_s: float) -> int:
        """Write what becomes of a URL; returns how many answers there are more."""
        before = self.ledger.entry(key)
        if change.emptied:
            self._delete(f"body {key}")
        for name, row in change.rows.items():
            self._delete(name) if row is None else self._cache.set(name, row)
        shelf = change.shelf
        if shelf is None:
            self.ledger.resize(key, self._size_bytes(key))
            return 0
        if not shelf:
            self._cache.delete(f"shelf {key}")
            self._delete(f"body {key}")
            self.ledger.strike(key)
            return -before.answers
        written = write_shelf(shelf, key)
        self._cache.set(f"shelf {key}", written)
        bonus_s = before.bonus_s if change.bonus_s is None else change.bonus_s
        entry = Entry(len(shelf), self._size_bytes(key) + len(written), bonus_s)
        self.ledger.enter(key, shelf, entry, PINNED_S if key in self.pinned else used_s + bonus_s)
        return len(shelf) - before.answers

    def _delete(self, name: str) -> None:
        """Delete a row, and those whose names go on from it."""
        further = self._cache._sql("SELECT key FROM Cache WHERE key > ? AND key < ?", (f"{name} ", f"{name}!"))
        for each in [name, *(key for (key,) in further.fetchall())]:
            self._cache.delete(each)

    def _size_bytes(self, key: str) -> int:
        ((size_bytes,),) = self._cache._sql(
            "SELECT SUM(MAX(size, IFNULL(LENGTH(value), 0))) FROM Cache WHERE key > ? AND key < ?",
            (f"body {key} ", f"body {key}!"),
        ).fetchall()
        return int(size_bytes or 0)

    def volume_bytes(self) -> int:
        """Return what is stored, in rows and in files."""
        pages = self._figure("page_count") - self._figure("freelist_count")
        return pages * self._figure("page_size") + int(self._cache.reset("size"))

    def shrink(self, *, at_once: bool) -> bool:
        """Give free pages back to the disk where they are many, or at once; says whether there may be more."""
        free, pages = self._figure("freelist_count"), self._figure("page_count")
        if not free or not (at_once or free > pages * FREE_RATIO_MAX):
            return False
        self._cache._sql(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
        if at_once:
            self._cache._sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return True

    def files_of(self, keys: Iterable[str]) -> list[str]:
        """Return the files of URLs."""
        found: list[str] = []
        for key in keys:
            rows = self._cache._sql(
                "SELECT filename FROM Cache WHERE key > ? AND key < ? AND filename IS NOT NULL",
                (f"body {key} ", f"body {key}!"),
            )
            found += [str(name) for (name,) in rows.fetchall()]
        return found

    def names_file(self, name: str) -> bool:
        """Say whether a row names a file."""
        return bool(self._cache._sql("SELECT 1 FROM Cache WHERE filename = ?", (name,)).fetchall())

    def _figure(self, pragma: str) -> int:
        ((found,),) = self._cache._sql(f"PRAGMA {pragma}").fetchall()
        return int(found)


def _text(data: bytes) -> str:
    """A bit that flipped in a text spoils that text, not the query."""
    return data.decode("utf-8", "replace")
