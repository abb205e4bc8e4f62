"""The shelf of photos, asked from the event loop and touched by one thread alone; the loop never waits for the disk."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from gateway.clock import Clock
from gateway.errors import N_, CannotStart
from gateway.market.photos.keeping import Photo, PhotoLimits
from gateway.market.photos.refusals import disk_fails
from gateway.market.photos.shelf import Shelf

_T = TypeVar("_T")
_log = structlog.get_logger("market.photos")


class Store:
    """The way to the shelf."""

    def __init__(self, folder: Path, key: bytes, clock: Clock, limits: PhotoLimits) -> None:
        self._folder = folder
        self._shelf = Shelf(folder, key, clock, limits)
        self._thread: ThreadPoolExecutor | None = None
        self.photos: list[Photo] = []  # as they were after the last question, for figures

    async def start(self) -> None:
        """Know again what is there.

        Raises: CannotStart.
        """
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="market photos")
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._shelf.open)
        except OSError as exc:
            raise CannotStart(
                N_("The folder of photos cannot be used: %(path)s (%(reason)s)."),
                N_("Check the disk and the rights of the data directory."),
                path=self._folder,
                reason=exc.strerror,
            ) from exc
        self.photos = self._shelf.all()

    async def stop(self) -> None:
        """Finish what was asked."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await asyncio.to_thread(thread.shutdown)

    async def ask(self, work: Callable[[Shelf], _T]) -> _T:
        """Return what came of some work at the shelf.

        Raises: what the work raises; NoCapacity for a failing disk, and once stopped.
        """
        if self._thread is None:
            raise disk_fails()
        try:
            done, self.photos = await asyncio.get_running_loop().run_in_executor(self._thread, self._worked, work)
        except OSError as exc:
            _log.error("photos.disk", error=type(exc).__name__, number=exc.errno)
            raise disk_fails() from exc
        return done

    async def pieces(self, name: str, at: int = 0) -> AsyncIterator[bytes]:
        """Yield a photo's bytes from `at` on."""
        while piece := await self.ask(partial(Shelf.read, name=name, at=at)):
            yield piece
            at += len(piece)

    def _worked(self, work: Callable[[Shelf], _T]) -> tuple[_T, list[Photo]]:
        return work(self._shelf), self._shelf.all()
