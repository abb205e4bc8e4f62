"""The disk keeps answers over restarts, and loses an answer rather than serve a wrong one.

A row carries its own seal, a body its length and hash. What is on a shelf has its body, and no body stays that is on
none: a change of a shelf takes its bodies, parts and renditions along.

All of it runs on one thread (`Store` sees to that), so a change reads and writes without anybody in between.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from gateway.clock import Clock, SystemClock
from gateway.web.rules.stored import BodyRef, Part, Shelf, StoredResponse, invalidated, put_on, sealed, unsealed
from gateway.web.store.bodies import DIGEST_BYTES, cut, digest, digest_of, size_of, verified
from gateway.web.store.eviction import bonus_s
from gateway.web.store.gathered import GatheredIndex
from gateway.web.store.parts import later, like, place_for, with_part, without_part
from gateway.web.store.rows import NotPlain, PlainDisk, Spooled
from gateway.web.store.space import Space

__all__ = ["DIGEST_BYTES", "DiskTier", "NotPlain", "PlainDisk", "Spooled", "digest", "digest_of", "verified"]

FILE_BYTES_MIN = 32_768  # smaller bodies lie in the index itself


class DiskTier:
    """Shelves and bodies on disk. Every method blocks, and runs on the one thread that owns it."""

    def __init__(
        self,
        folder: Path,
        size_bytes_max: int,
        *,
        free_bytes_min: int = 0,
        batch_bytes_max: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self._folder = folder
        self.rows = GatheredIndex(folder, batch_bytes_max=batch_bytes_max, clock=clock or SystemClock())
        self.space = Space(folder, self.rows, size_bytes_max=size_bytes_max, free_bytes_min=free_bytes_min)

    @property
    def failures_in_a_row(self) -> int:
        """How often reading and writing have failed since they last did not; a broken row counts as one."""
        return self.rows.failures_in_a_row

    def open(self) -> None:
        """Have an index, the old one if it can be read.

        Raises: OSError where the folder cannot be used.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        self.space.load_pins()
        self.rows.open()

    def close(self) -> None:
        """Write what waits, and let go of the index."""
        self.rows.close()

    def sync(self) -> None:
        """Have what is written outlast a power cut; on any thread, so that the index need not wait for the disk.

        Raises: OSError.
        """
        log = os.open(self._folder / "index" / "cache.db-wal", os.O_RDONLY)
        try:
            os.fdatasync(log)
        finally:
            os.close(log)

    def count(self) -> tuple[int, int]:
        """Return how many answers there are, and their bytes."""
        self.rows.guarded(self.rows.measure)
        return self.rows.answers, self.rows.size_bytes

    def shelf(self, key: str) -> Shelf:
        """Return what is stored for a URL; nothing where the row is missing or broken."""
        return self.rows.guarded(lambda: self.rows.shelf(key)) or ()

    def keep(self, key: str, stored: StoredResponse, content: bytes | Spooled, *, cost_s: float = 0.0) -> Shelf | None:
        """Store an answer and its body; return the shelf, or None where the disk would not."""

        def work() -> Shelf:
            before = self.rows.shelf(key)
            self._put_body(stored.body.key, content)
            return self._put(key, before, put_on(before, stored), cost_s)

        return self.rows.guarded(work, writes=True) if self._has_room(content) else None

    def place(self, key: str, stored: StoredResponse, at: int, size_bytes: int) -> tuple[int, int] | None:
        """Return where a stretch of an answer is still missing; None where that is nowhere, or not known."""

        def work() -> tuple[int, int] | None:
            now = like(self.rows.shelf(key), stored) or replace(stored, parts=())
            return place_for(now, at, size_bytes)

        return self.rows.guarded(work)

    def add_part(
        self, key: str, stored: StoredResponse, at: int, content: bytes | Spooled, found: str, *, cost_s: float = 0.0
    ) -> Shelf | None:
        """Store a stretch of an answer, less what is there of it; return the shelf, or None where that failed.

        `found` is the hash of the content. It was cut to its `place`; what came to be there since is cut off here.
        """

        def work() -> Shelf | None:
            before = self.rows.shelf(key)
            now = like(before, stored) or replace(stored, parts=())
            place = place_for(now, at, size_of(content))
            if place is None:
                return before if now.parts else None
            start, end = place
            news, its_digest = content, found
            if (start, end) != (at, at + size_of(content)):
                news = cut(content, start - at, end - at)
                its_digest = digest_of(news)
            ref = BodyRef(f"body {key} {its_digest}", end - start, its_digest)
            self._put_body(ref.key, news)
            return self._put(key, before, put_on(before, with_part(later(now, stored), start, ref)), cost_s)

        return self.rows.guarded(work, writes=True) if self._has_room(content) else None

    def drop_part(self, key: str, part: Part) -> Shelf:
        """Forget a stretch of an answer, and the answer where that was all of it."""

        def work() -> Shelf:
            before = self.rows.shelf(key)
            now = next((each for each in before if part in each.parts), None)
            if now is None:
                return before
            left = without_part(now, part)
            return self._put(
                key, before, tuple(left if each is now else each for each in before if each is not now or left.parts)
            )

        return self.rows.guarded(work, writes=True) or ()

    def freshen(self, key: str, stored: StoredResponse) -> Shelf | None:
        """Store what a 304 changed of an answer that is there still; return the shelf, or None where that failed."""

        def work() -> Shelf:
            before = self.rows.shelf(key)
            like = sorted(before, key=lambda each: each.vary != stored.vary)  # a 304 may change what it depends on
            now = next((each for each in like if set(each.parts) & set(stored.parts)), None)
            if now is None or now.size_bytes != stored.size_bytes:
                return before  # it went, or another came, while its origin was asked
            return self._put(key, before, put_on(before, replace(stored, parts=now.parts)))

        return self.rows.guarded(work, writes=True)

    def invalidate(self, key: str) -> Shelf:
        """Have every answer of a URL validated before its next use."""

        def work() -> Shelf:
            before = self.rows.shelf(key)
            after = invalidated(before)
            if before:
                self.rows.put_shelf(key, before, after)
            return after

        shelf = self.rows.guarded(work)
        if shelf is None:
            self.rows.drop(key, ())  # it cannot be read now; nor may it be read as it was when it can
        return shelf or ()

    def body(self, ref: BodyRef) -> bytes | BinaryIO | None:
        """Return a body, whole, or as an open file of the right length for `verified` to judge; or None."""

        def work() -> bytes | BinaryIO | None:
            found = self.rows.row(ref.key)
            if found is None or isinstance(found, bytes):
                return found if found is not None and digest(found) == ref.digest else None
            if os.fstat(found.fileno()).st_size == ref.size_bytes:
                return found
            found.close()
            return None

        return self.rows.guarded(work)

    def rendition(self, name: str) -> bytes | None:
        """Return a rendition of a body, whole, or None."""

        def work() -> bytes | None:
            found = self.rows.row(name)
            if found is None or isinstance(found, bytes):
                return unsealed(found, name)
            with found:
                return unsealed(found.read(), name)

        return self.rows.guarded(work)

    def keep_rendition(self, key: str, body: str, name: str, data: bytes) -> bool:
        """Store a rendition of a body that is stored; says whether that is so now."""

        def work() -> bool:
            if not any(part.body.key == body for each in self.rows.shelf(key) for part in each.parts):
                return False
            self._put_body(f"{body} {name}", sealed(data, f"{body} {name}"))
            self.rows.write_if_many()
            return True

        return self._has_room(data) and bool(self.rows.guarded(work, writes=True))

    def use(self, keys: set[str]) -> None:
        """Have URLs count as used now."""
        self.rows.batch.used |= keys

    def drop(self, key: str) -> None:
        """Forget a URL."""
        self.space.remove([key])

    def _has_room(self, content: bytes | Spooled) -> bool:
        """Whoever has not made room beforehand gets what one step makes."""
        before = len(self.space.evicted)
        if self.space.make(size_of(content), is_there=isinstance(content, Spooled)):
            return True
        if len(self.space.evicted) == before:
            self.rows.refuse()
        return False

    def _put_body(self, name: str, content: bytes | Spooled) -> None:
        disk = self.rows.index.disk
        if isinstance(content, Spooled):
            self.rows.batch.put_row(name, disk.adopt(content))
        else:
            self.rows.batch.put_row(name, disk.file(content) if len(content) >= FILE_BYTES_MIN else content)

    def _put(self, key: str, before: Shelf, after: Shelf, cost_s: float = 0.0) -> Shelf:
        size_bytes = sum(part.body.size_bytes for each in after for part in each.parts)
        self.rows.put_shelf(key, before, after, bonus_s(cost_s, size_bytes) if cost_s else None)
        self.rows.write_if_many()
        return after
