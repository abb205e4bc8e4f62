"""A body to be read: from memory, from a file, or as it comes in.

Whoever reads it reads from its beginning, or only a span of it; either way in pieces, since a whole one may be larger
than memory.
"""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from gateway.web.faults import BodyBroken

T = TypeVar("T")

PIECE_BYTES = 65_536


class Source(Protocol):
    """A body to be read once, from its beginning."""

    live: bool  # it is still coming in, so what has come is to be passed on at once

    @property
    def size_bytes(self) -> int | None:
        """Return its length, if that is known."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body.

        Raises: BodyBroken when it turns out not to be whole.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class SpanSource(Source, Protocol):
    """A body of which a span can be read, too."""

    def span(self, at: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `at` up to, and not with, `end`.

        Raises: BodyBroken when they are not all to be had.
        """
        ...


class Spool:
    """A folder for bodies under way, and the threads that work in it."""

    def __init__(self, folder: Path, pool: Executor, *, free_bytes_min: int = 0) -> None:
        self.folder = folder
        self.pool = pool
        self._free_bytes_min = free_bytes_min

    def ensure_room(self) -> None:
        """Return if there is more free on the disk than others need.

        Raises: OSError.
        """
        disk = os.statvfs(self.folder)
        if disk.f_bavail * disk.f_frsize < self._free_bytes_min:
            raise OSError(errno.ENOSPC, "what is free is for others")

    async def run(self, work: Callable[[], T]) -> T:
        """Do blocking work on a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)


class HeldBody:
    """A body in memory, whole."""

    live = False

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size_bytes = len(data)

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body, piece by piece: what a slow phone has not read yet lies in memory once more."""
        return self.span(0, self.size_bytes)

    async def span(self, at: int, end: int) -> AsyncIterator[bytes]:
        """Yield a span of it."""
        for begin in range(at, end, PIECE_BYTES):
            yield self.data[begin : min(begin + PIECE_BYTES, end)]

    def close(self) -> None:
        """There is nothing to let go of."""


class FileBody:
    """A body in an open file, whole."""

    live = False

    def __init__(self, file: int, size_bytes: int, spool: Spool) -> None:
        self._file: int | None = file
        self._spool = spool
        self.size_bytes = size_bytes

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body."""
        return self.span(0, self.size_bytes)

    async def span(self, at: int, end: int) -> AsyncIterator[bytes]:
        """Yield a span of it."""
        while at < end and self._file is not None:
            piece = await self._spool.run(partial(os.pread, self._file, min(PIECE_BYTES, end - at), at))
            if not piece:
                raise BodyBroken
            at += len(piece)
            yield piece

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            file, self._file = self._file, None
            self._spool.pool.submit(let_go, file, None)


def let_go(file: int, path: Path | None) -> None:
    """Close a file, and have it no more where it has a name."""
    with suppress(OSError):
        os.close(file)
    if path is not None:
        with suppress(OSError):
            path.unlink()
