"""A rendition is made by one worker, once, however many wait for it; the original is there whatever goes wrong."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from gateway.web.fetching.body import Source
from gateway.web.rules.stored import StoredResponse
from gateway.web.saver.jobs import DenseJob, Done, Job
from gateway.web.saver.pictures import LARGE_BYTES
from gateway.web.saver.rendition import IN_VAIN, Rendition, written
from gateway.web.saver.workers import WorkerLimits, Workers

_log = structlog.get_logger("web")


@dataclass(frozen=True, slots=True)
class SaverStatistics:
    """What was made since the start."""

    pictures: int  # made smaller
    texts: int  # coded again in idle time
    in_vain: int  # that could not be made smaller, or not within the limits
    before_bytes: int  # of those made, as they came
    after_bytes: int
    workers_lost: int


class Keeper(Protocol):
    """Where answers are kept, and their renditions with them."""

    async def open(self, stored: StoredResponse) -> Source | None:
        """Return the body of a stored answer, or None where it is gone."""
        ...

    def recoded(self, stored: StoredResponse, coding: str) -> bytes | None:
        """Return what is held in memory of another form."""
        ...

    def hold_recoded(self, stored: StoredResponse, coding: str, data: bytes) -> None:
        """Hold another form in memory."""
        ...

    async def rendition(self, stored: StoredResponse, name: str) -> bytes | None:
        """Return another form, from memory or from the disk."""
        ...

    async def keep_rendition(self, stored: StoredResponse, name: str, data: bytes) -> None:
        """Keep another form for as long as its answer."""
        ...


class Making:
    """Renditions under way, and the workers that make them."""

    def __init__(
        self, keeper: Keeper, on_better: Callable[[str, str], None], *, processes: int, memory_bytes_max: int
    ) -> None:
        self._keeper = keeper
        self._on_better = on_better
        self._pictures = Workers(WorkerLimits(processes, memory_bytes_max))
        self._idle = Workers(WorkerLimits(1, memory_bytes_max, idle=True))
        self._tasks: asyncio.TaskGroup | None = None
        self._open: dict[tuple[str, str], asyncio.Task[Rendition | None]] = {}
        self._made = {"pictures": 0, "texts": 0, "in_vain": 0, "before_bytes": 0, "after_bytes": 0}

    @property
    def busy(self) -> bool:
        """Whether a picture that is begun now would wait for long."""
        return self._pictures.busy

    def live_in(self, tasks: asyncio.TaskGroup) -> None:
        """Make renditions in this group from now on."""
        self._tasks = tasks

    async def stop(self) -> None:
        """Make no more renditions, and end all workers."""
        self._tasks = None
        for task in self._open.values():
            task.cancel()
        await self._pictures.stop()
        await self._idle.stop()

    def statistics(self) -> SaverStatistics:
        """Return what was made so far."""
        return SaverStatistics(**self._made, workers_lost=self._pictures.lost + self._idle.lost)

    def begin(self, stored: StoredResponse, name: str, job: Job) -> asyncio.Task[Rendition | None] | None:
        """Return the one task that makes a rendition; text is for idle time."""
        at = (stored.body.key, name)
        if at not in self._open and self._tasks is not None:
            self._open[at] = self._tasks.create_task(self._make(stored, name, job), name="web saver")
            self._open[at].add_done_callback(lambda _: self._open.pop(at, None))
        return self._open.get(at)

    async def _make(self, stored: StoredResponse, name: str, job: Job) -> Rendition | None:
        """Make a rendition and keep it; whatever goes wrong, the original is there."""
        try:
            workers = self._idle if isinstance(job, DenseJob) else self._pictures
            done = await workers.done(job, partial(self._content, stored))
            if done is None:
                return None
            made = Rendition(done.media_type, done.data) if done.data else IN_VAIN
            if done.why != "lost":  # which may have been for want of time just now: it is tried again when forgotten
                await self._keeper.keep_rendition(stored, name, written(made))
            if self._keeper.recoded(stored, name) is None:
                self._keeper.hold_recoded(stored, name, written(made))
            self._count(stored, job, done)
        except Exception as exc:  # noqa: BLE001 - a fault of ours over one picture must not end the others
            _log.error("saver.failed", error=type(exc).__name__)
            return None
        if made and isinstance(job, DenseJob):
            self._on_better(stored.site, stored.url)
        return made

    async def _content(self, stored: StoredResponse) -> bytes | None:
        source = await self._keeper.open(stored)
        if source is None:
            return None
        try:
            if stored.size_bytes > LARGE_BYTES:
                return None
            return b"".join([piece async for piece in source.pieces()])
        finally:
            source.close()

    def _count(self, stored: StoredResponse, job: Job, done: Done) -> None:
        if not done.data:
            self._made["in_vain"] += 1
            return
        self._made["texts" if isinstance(job, DenseJob) else "pictures"] += 1
        self._made["before_bytes"] += stored.size_bytes
        self._made["after_bytes"] += len(done.data)
