"""A file is touched by one thread of its own, asked from the event loop, which never waits for the disk.

Requests queue for that thread, up to a limit; those that come while it syncs share the next sync. SQLite is never
touched from anywhere else, so nothing waits for a lock.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from structlog.typing import FilteringBoundLogger

from gateway.durable.writer import Book, Request, Writer
from gateway.errors import CannotStart, NoCapacity

GROUP_MAX = 100  # requests that share one sync: 6.2 times the rate of one alone, and more gain little (2026-11)

_B = TypeVar("_B", bound=Book)
_T = TypeVar("_T")


class WriterThread(Generic[_B]):
    """The thread; `noted` is called in it whenever something was done."""

    def __init__(
        self,
        writer: Writer[_B],
        name: str,
        waiting_max: int,
        *,
        busy: Callable[[], NoCapacity],
        noted: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._writer = writer
        self._name = name
        self._waiting_max = waiting_max
        self._busy = busy
        self._noted = noted
        self._log = log
        self._queue: SimpleQueue[tuple[Request[_B], asyncio.Future[Any]] | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._known: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None

    async def start(self, *, waits: bool = True) -> None:
        """Open the file; without `waits` that goes on, and what is asked waits for it.

        Raises: CannotStart.
        """
        loop = asyncio.get_running_loop()
        looked: asyncio.Future[None] = loop.create_future()
        self._known, self._ended = loop.create_future(), loop.create_future()
        ways = (loop, looked, self._known, self._ended)
        threading.Thread(target=self._run, args=(*ways, waits), name=self._name, daemon=True).start()
        await looked
        self._loop = loop

    async def known(self) -> None:
        """Return when the file is open, or it is clear that it cannot be opened now."""
        if self._known is not None:
            await asyncio.shield(self._known)

    async def stop(self) -> None:
        """Finish what was asked, and close the file."""
        self._loop = None
        if self._ended is not None:
            ended, self._ended = self._ended, None
            self._queue.put(None)
            await ended

    async def ask(self, work: Callable[[_B], _T], *, writes: bool = True, is_new: bool = False) -> _T:
        """Return what came of some work, which is on disk.

        Raises: what the work refuses; NoCapacity.
        """
        if self._loop is None or self._queue.qsize() >= self._waiting_max:
            raise self._busy()
        done: asyncio.Future[_T] = self._loop.create_future()
        self._queue.put((Request(work, writes, is_new), done))
        return await done

    def _run(
        self,
        loop: asyncio.AbstractEventLoop,
        looked: asyncio.Future[None],
        known: asyncio.Future[None],
        ended: asyncio.Future[None],
        waits: bool,
    ) -> None:
        """Be the thread."""
        try:
            self._writer.look()
            if not waits:
                _on(loop, _finish, looked)
            self._open(is_awaited=waits)
        except Exception as exc:  # noqa: BLE001 - carried over to who waits for the start
            _on(loop, _fail, looked, exc)
        else:
            _on(loop, _finish, looked)
            _on(loop, _finish, known)
            while self._serve(loop):
                pass
        finally:
            self._writer.stop()
            _on(loop, _finish, ended)

    def _open(self, *, is_awaited: bool) -> None:
        """Open the file; where nobody waits to hear that it cannot be opened, it is tried again later."""
        try:
            self._writer.start()
        except CannotStart as exc:
            if is_awaited:
                raise
            self._log.error("journal.not_open", reason=type(exc.__cause__).__name__)
            self._writer.mend_later()
        self._noted()

    def _serve(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Answer what waits now; say whether more may come."""
        group = [self._queue.get()]
        while len(group) < GROUP_MAX and not self._queue.empty():
            group.append(self._queue.get())
        asked = [each for each in group if each is not None]
        self._writer.serve([request for request, _ in asked])
        self._noted()
        _on(loop, _answer, asked)
        return len(asked) == len(group)


def _on(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *values: object) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(callback, *values)


def _answer(asked: Sequence[tuple[Request[Any], asyncio.Future[Any]]]) -> None:
    for request, done in asked:
        if done.done():  # who asked has gone; what was asked is done all the same
            continue
        if request.error is not None:
            done.set_exception(request.error)
        else:
            done.set_result(request.outcome)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None], exc: Exception) -> None:
    if not future.done():
        future.set_exception(exc)
