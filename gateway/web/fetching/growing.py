"""A body that is still growing is read by many, each at its own pace, while it is kept for the store.

What has come lies in memory up to `MEMORY_BYTES` and then in a file, so a slow reader holds up nobody: neither the
other readers, nor the store, and memory does not grow with it. A body that is not kept (not storable, or grown past the
limit) has no file for what comes then: it is a window that waits for its fastest reader, and ends when nobody reads any
more. Who falls out of it is cut off.
"""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from gateway.web.faults import BodyBroken
from gateway.web.fetching.body import PIECE_BYTES, Spool, let_go
from gateway.web.store.disk import DIGEST_BYTES, Spooled

MEMORY_BYTES = 262_144  # of each body under way; at 100 of them 26 MB
WINDOW_BYTES = 262_144  # ahead of the slowest reader of a body that is not kept


class GrowingBody:
    """A body under way, from one writer to any number of readers."""

    def __init__(self, spool: Spool, *, keep_bytes_max: int) -> None:
        self._spool = spool
        self._keep_bytes_max = keep_bytes_max
        self._digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._tail = bytearray()
        self._tail_at = 0
        self._file: int | None = None
        self._filed_bytes = 0
        self._path: Path | None = None
        self._readers: set[BodyReader] = set()
        self._moved = asyncio.Event()
        self._read_on = asyncio.Event()
        self._owned = True
        self.size_bytes = 0
        self.expected_bytes: int | None = None
        self.keeping = True
        self.done = False
        self.broken = False
        self.forsaken: Callable[[], None] | None = None  # is called when the last reader leaves

    def reader(self) -> "BodyReader":
        """Return a reader that begins at the beginning."""
        reader = BodyReader(self)
        self._readers.add(reader)
        return reader

    @property
    def wanted(self) -> bool:
        """Whether anybody reads it now."""
        return bool(self._readers)

    def stop_keeping(self) -> None:
        """Turn into a window: this body is not for the store."""
        self.keeping = False

    @property
    def room_bytes(self) -> int:
        """Return how much more of it can be kept."""
        return self._keep_bytes_max - self.size_bytes if self.keeping else 0

    async def append(self, data: bytes) -> None:
        """Take what came next; returns when there is room for more.

        Raises: BodyBroken when it is not kept and nobody reads it.
        """
        self._tail += data
        self.size_bytes += len(data)
        self._tell()
        if self.keeping and self.size_bytes > self._keep_bytes_max:
            self.stop_keeping()
        if not self.keeping:
            await self._wait_readers()
        elif len(self._tail) > MEMORY_BYTES:
            await self._spill()

    async def finish(self) -> None:
        """State that all has come."""
        if self.keeping and self._file is None:
            self._digest.update(self._tail)
        await self.flush()
        self.done = True
        self._tell()

    async def flush(self) -> None:
        """Have all that has come in the file, if there is one."""
        if self.keeping and self._file is not None:
            await self._spill()

    def fail(self) -> None:
        """State that the rest will not come."""
        if not self.done:
            self.broken = True
            self._tell()

    def content(self) -> bytes | Spooled:
        """Return all that has come, once it is flushed, for the store; of a file the store becomes the owner."""
        if self._path is None:
            return bytes(self._tail)
        found, self._path = Spooled(self._path, self.size_bytes), None
        return found

    def digest(self) -> str:
        """Return the hash of the whole body, once it is done."""
        return self._digest.hexdigest()

    def leave(self) -> None:
        """State that the writer is through with it; what it holds goes when the last reader does."""
        self._owned = False
        self._tidy()

    def _tell(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def _spill(self) -> None:
        data = bytes(self._tail)
        try:
            await self._spool.run(partial(self._write, data))
        except OSError:  # the disk is full or gone: the browsers still get their answer
            self.stop_keeping()
            return
        del self._tail[: len(data)]
        self._tail_at += len(data)
        self._filed_bytes = self._tail_at

    def _write(self, data: bytes) -> None:
        self._spool.ensure_room()
        if self._file is None:
            self._file, name = tempfile.mkstemp(dir=self._spool.folder)
            self._path = Path(name)
        left = memoryview(data)
        at = self._tail_at
        while left:
            written = os.pwrite(self._file, left, at)
            left, at = left[written:], at + written
        self._digest.update(data)

    async def _wait_readers(self) -> None:
        while True:
            if not self._readers:
                raise BodyBroken
            read = [min(self.size_bytes, reader.offset) for reader in self._readers]
            kept_from = max(min(read), self.size_bytes - WINDOW_BYTES)
            if max(read) >= kept_from:  # whoever is farther behind has only what is in the file
                if kept_from > self._tail_at:
                    del self._tail[: kept_from - self._tail_at]
                    self._tail_at = kept_from
                return
            self._read_on.clear()
            await self._read_on.wait()

    async def read(self, offset: int) -> bytes:
        """Return a piece from `offset` on, which has come already."""
        if offset >= self._tail_at or self._file is None:
            at = offset - self._tail_at
            if at < 0:
                raise BodyBroken  # a window has no past
            return bytes(self._tail[at : at + PIECE_BYTES])
        size_bytes = min(PIECE_BYTES, self._filed_bytes - offset)
        if size_bytes <= 0:
            raise BodyBroken  # it was too far behind those who go on
        return await self._spool.run(partial(os.pread, self._file, size_bytes, offset))

    async def wait_more(self) -> None:
        """Return when something has come, or nothing will."""
        await self._moved.wait()

    def drop(self, reader: "BodyReader") -> None:
        """Count a reader no longer."""
        was_read = bool(self._readers)
        self._readers.discard(reader)
        self._read_on.set()
        self._tidy()
        if was_read and not self._readers and self.forsaken is not None:
            self.forsaken()

    def has_read(self) -> None:
        """Take note that a reader went on."""
        self._read_on.set()

    def _tidy(self) -> None:
        if self._owned or self._readers or self._file is None:
            return
        file, self._file = self._file, None
        path, self._path = self._path, None
        self._spool.pool.submit(let_go, file, path)


class BodyReader:
    """One reader of a growing body."""

    live = True

    def __init__(self, body: GrowingBody) -> None:
        self._body = body
        self.offset = 0

    @property
    def size_bytes(self) -> int | None:
        """Return how long the body is to be, if that is known."""
        return self._body.size_bytes if self._body.done else self._body.expected_bytes

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes."""
        return self._read(0, None)

    def span(self, at: int, end: int) -> AsyncIterator[bytes]:
        """Yield a span of it as it comes; of a body that is not kept, one that lies ahead."""
        return self._read(at, end)

    async def _read(self, at: int, end: int | None) -> AsyncIterator[bytes]:
        body = self._body
        self.offset = at
        body.has_read()
        while end is None or self.offset < end:
            if self.offset < body.size_bytes:
                piece = (await body.read(self.offset))[: None if end is None else end - self.offset]
                self.offset += len(piece)
                body.has_read()
                yield piece
            elif body.done and end is None:
                return
            elif body.done or body.broken:
                raise BodyBroken
            else:
                await body.wait_more()

    def close(self) -> None:
        """Read no more."""
        self._body.drop(self)
