"""The disk keeps answers over restarts, never runs what it finds, and loses an answer rather than serve a wrong one.

diskcache unpickles rows that say they are pickled (CVE-2025-69872), so `PlainDisk` refuses pickle both ways, and opens
no file but those it could have named itself. A row carries its own seal, a body its length and hash. A body that was
received into a file is adopted by renaming it. An index that SQLite finds broken is set aside, and a new one begun: it
is a cache.

All of it runs on one thread (`Store` sees to that), so a change of a shelf reads and writes without anybody in between.
"""

import contextlib
import hashlib
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import structlog
from diskcache import Cache, Disk, Timeout
from diskcache.core import MODE_BINARY, MODE_PICKLE, MODE_TEXT, UNKNOWN

from gateway.web.stored import BodyRef, Shelf, StoredResponse, invalidated, put_on, read_shelf, write_shelf

FILE_BYTES_MIN = 32_768  # smaller bodies lie in the index itself
DIGEST_BYTES = 16
_CHUNK_BYTES = 1_048_576
_FILE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")
T = TypeVar("T")
_log = structlog.get_logger("web")


class NotPlain(ValueError):
    """A value or a row that is neither bytes, text nor a number."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A body in a file of ours, on the same file system."""

    path: Path
    size_bytes: int


class PlainDisk(Disk):  # type: ignore[misc]  # diskcache has no types
    """Stores bytes, text and numbers as they are, and nothing else."""

    def put(self, key: object) -> tuple[Any, bool]:
        """Return the key as it is stored."""
        _only_plain(key)
        stored, raw = super().put(key)
        if not raw:
            raise NotPlain
        return stored, True

    def get(self, key: object, raw: object) -> Any:
        """Return a key as it was."""
        if not raw:
            raise NotPlain
        return super().get(key, raw)

    def store(self, value: object, read: bool, key: object = UNKNOWN) -> tuple[int, int, str | None, Any]:
        """Store a plain value, or adopt a file."""
        if isinstance(value, Spooled):
            name, path = self.filename(key, value)
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            os.rename(value.path, path)
            return value.size_bytes, MODE_BINARY, name, None
        _only_plain(value)
        stored: tuple[int, int, str | None, Any] = super().store(value, False, key=key)
        if stored[1] == MODE_PICKLE:
            raise NotPlain
        return stored

    def fetch(self, mode: int, filename: str | None, value: object, read: bool) -> Any:
        """Return a plain value, or a file of ours, open."""
        if mode == MODE_PICKLE or (mode in {MODE_BINARY, MODE_TEXT} and not _FILE.fullmatch(filename or "")):
            raise NotPlain
        return super().fetch(mode, filename, value, read)

    def remove(self, file_path: str) -> None:
        """Remove a file of ours."""
        if _FILE.fullmatch(file_path):
            super().remove(file_path)


def _only_plain(value: object) -> None:
    small = type(value) is int and -(2**63) <= value < 2**63
    if not small and type(value) not in {bytes, str, float}:
        raise NotPlain


class DiskTier:
    """Shelves and bodies on disk. Every method blocks, and runs on the one thread that owns it."""

    def __init__(self, folder: Path, size_bytes_max: int) -> None:
        self._folder = folder
        self._size_bytes_max = size_bytes_max
        self._cache: Any = None
        self.failures_in_a_row = 0  # of the disk; a broken row counts as one

    def open(self) -> None:
        """Have an index, the old one if it can be read."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        try:
            self._cache = self._opened()
        except (sqlite3.DatabaseError, ValueError, TypeError):
            self._set_aside()
            self._cache = self._opened()

    def close(self) -> None:
        """Let go of the index."""
        if self._cache is not None:
            self._cache.close()
            self._cache = None

    def shelf(self, key: str) -> Shelf:
        """Return what is stored for a URL; nothing where the row is missing or broken."""
        return self._guarded(lambda: read_shelf(self._cache.get(_shelf(key)))) or ()

    def keep(self, key: str, stored: StoredResponse, content: bytes | Spooled | None) -> Shelf | None:
        """Store an answer, with its body unless that is there; return the shelf, or None where the disk would not."""

        def work() -> Shelf:
            before = self.shelf(key)
            if content is not None:
                self._cache.set(stored.body.key, content)
            else:
                for part in stored.parts:
                    self._touch(part.body.key)
            after = put_on(before, stored)
            self._cache.set(_shelf(key), write_shelf(after))
            for gone in _bodies(before) - _bodies(after):
                self._cache.delete(gone)
            return after

        return self._guarded(work)

    def invalidate(self, key: str) -> Shelf:
        """Have every answer of a URL validated before its next use."""

        def work() -> Shelf:
            shelf = invalidated(self.shelf(key))
            if shelf:
                self._cache.set(_shelf(key), write_shelf(shelf))
            return shelf

        return self._guarded(work) or ()

    def body(self, ref: BodyRef) -> bytes | BinaryIO | None:
        """Return a body, whole, or as an open file of the right length for `verified` to judge; or None."""

        def work() -> bytes | BinaryIO | None:
            found = self._cache.get(ref.key, read=True)
            if isinstance(found, bytes):
                return found if digest(found) == ref.digest else None
            if found is None or not hasattr(found, "fileno"):
                return None
            if os.fstat(found.fileno()).st_size == ref.size_bytes:
                return found  # type: ignore[no-any-return]
            found.close()
            return None

        return self._guarded(work)

    def drop(self, key: str) -> None:
        """Forget a URL."""
        shelf = self.shelf(key)
        self._guarded(lambda: [self._cache.delete(each) for each in (_shelf(key), *_bodies(shelf))])

    def count(self) -> tuple[int, int]:
        """Return how many rows there are, and their bytes."""
        return self._guarded(lambda: (len(self._cache), int(self._cache.volume()))) or (0, 0)

    def _touch(self, key: str) -> None:
        """A body that was confirmed by its origin counts as used; else what is served from memory would go first."""
        found = self._cache.get(key, read=True)
        if hasattr(found, "close"):
            found.close()

    def _guarded(self, work: Callable[[], T]) -> T | None:
        """Run `work`; a broken row or file is None, a broken index is replaced, a full disk is None."""
        try:
            done = work()
        except (NotPlain, Timeout, OSError, sqlite3.OperationalError) as exc:
            _log.warning("store.missed", error=type(exc).__name__)
            self.failures_in_a_row += 1
        except sqlite3.DatabaseError:
            self._set_aside()
            self._cache = self._opened()
            self.failures_in_a_row += 1
        else:
            self.failures_in_a_row = 0
            return done
        return None

    def _opened(self) -> Any:
        return Cache(
            str(self._folder / "index"),
            disk=PlainDisk,
            size_limit=self._size_bytes_max,
            eviction_policy="least-recently-used",
            disk_min_file_size=FILE_BYTES_MIN,
            statistics=0,
            cull_limit=10,
        )

    def _set_aside(self) -> None:
        """Keep a broken index for whoever wants to know why, one of them; its bodies nobody can find any more."""
        _log.error("store.index-broken")
        with contextlib.suppress(sqlite3.Error):
            self.close()
        self._cache = None
        index, aside = self._folder / "index", self._folder / "index.broken"
        shutil.rmtree(aside, ignore_errors=True)
        index.rename(aside)
        for each in aside.iterdir():
            if each.is_dir():
                shutil.rmtree(each, ignore_errors=True)


def digest(data: bytes) -> str:
    """Return the hash of a body."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def verified(file: BinaryIO, ref: BodyRef) -> bool:
    """Say whether a file holds the body that was stored."""
    found = hashlib.blake2b(digest_size=DIGEST_BYTES)
    while data := file.read(_CHUNK_BYTES):
        found.update(data)
    file.seek(0)
    return found.hexdigest() == ref.digest


def _bodies(shelf: Shelf) -> set[str]:
    return {part.body.key for each in shelf for part in each.parts}


def _shelf(key: str) -> str:
    return f"shelf {key}"
