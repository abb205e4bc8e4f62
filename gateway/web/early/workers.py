"""The box's side of its workers: it keeps them running, tells them what it learns, goes on with what they hand over.

Only the box decides. A worker that is slow misses copies and hands over what it cannot answer; one that dies takes its
idle connections with it and is started again after a pause that grows; while none lives, the box accepts by itself.
Listeners with TLS are not shared: the state of a TLS connection cannot be handed from one process to another.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import structlog

from gateway.clock import Clock
from gateway.listener import Listener
from gateway.web.early.answers import EarlyAnswers, Learned
from gateway.web.early.copies import CONNECTION, READY, REPORT, Garbled, answered_from, copy_of, written
from gateway.web.early.shared_page import BOX, SharedPage
from gateway.web.early.worker_process import WorkerProcess

PAUSE_S, PAUSE_S_MAX = 1.0, 60.0  # before a worker that ended is started again
STEADY_S = 60.0  # one that lived as long is started again after the shortest pause
TICK_S = 1.0
SILENT_TICKS_MAX = 5  # without a word from a worker, which says one each second
STARTING_TICKS_MAX = 60  # until its first; a small board takes a few seconds
_log = structlog.get_logger("workers")


@dataclass(frozen=True, slots=True)
class Door:
    """A listener whose connections workers accept, its early answers, and how much of them each worker may hold."""

    listener: Listener
    early: EarlyAnswers
    bytes_max: int
    clients: Sequence[IPv4Network | IPv6Network] | None = None  # whom alone the listener serves


class Workers:
    """All workers of a box."""

    def __init__(self, doors: Sequence[Door], *, count: int, clock: Clock, access_log: bool) -> None:
        self._doors = tuple(doors)
        self._count = count
        self._clock = clock
        self._access_log = access_log
        self._running: list[WorkerProcess] = []
        self._ready: list[WorkerProcess] = []
        self._settling = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def ready(self) -> int:
        """How many accept connections now."""
        return len(self._ready)

    async def run(self) -> None:
        """Keep workers running until `stop`; the listeners have started."""
        page = SharedPage.made(len(self._doors), 1 + self._count)
        for number, door in enumerate(self._doors):
            door.early.generations.share(page.generations(number))
            door.early.tell = partial(self._tell, number)
        try:
            async with asyncio.TaskGroup() as self._tasks:
                for place in range(1, self._count + 1):
                    self._tasks.create_task(self._keep(page, place), name=f"worker {place}")
                self._tasks.create_task(self._tick(page), name="workers")
        finally:
            self._tasks = None
            for door in self._doors:
                door.early.tell = None
            page.close()
            self._ended.set()

    async def stop(self) -> None:
        """Let the workers leave: they accept nothing more and close what idles; the listeners go on until stopped."""
        self._stopping.set()
        for worker in self._running:
            worker.leave()
        if self._tasks is not None:
            await self._ended.wait()

    async def _keep(self, page: SharedPage, place: int) -> None:
        """Start a worker, and another one whenever it has ended."""
        pause_s = PAUSE_S
        while not self._stopping.is_set():
            began_s = self._clock.now_s()
            await self._live(page, WorkerProcess(place, len(self._doors), partial(self._heed, page)))
            if self._clock.now_s() - began_s >= STEADY_S:
                pause_s = PAUSE_S
            if not self._stopping.is_set():
                _log.error("worker.ended", worker=place, pause_s=pause_s)
                await self._wait_stopping(pause_s)
                pause_s = min(2 * pause_s, PAUSE_S_MAX)

    async def _live(self, page: SharedPage, worker: WorkerProcess) -> None:
        """Start a worker, and return when it has ended."""
        self._running.append(worker)
        inherited = [page.fd, *(door.listener.descriptor for door in self._doors)]
        try:
            await worker.start(self._told(page), inherited)
            if self._stopping.is_set():
                worker.leave()
            await worker.wait_end()
        except OSError as exc:
            _log.error("worker.not-started", error=type(exc).__name__)
        finally:
            if worker in self._ready:
                self._ready.remove(worker)
            await self._settle()
            await worker.end()
            self._running.remove(worker)
            for number in range(len(self._doors)):
                page.set(number, worker.place, 0)  # nobody else counts there now
                self._count_own(page, number)
            page.hold(worker.place, 0)

    def _told(self, page: SharedPage) -> dict[str, Any]:
        """Return what every worker is told first."""
        return {
            "page": page.fd,
            "processes": 1 + self._count,
            "idle_s": min(door.listener.limits.idle_s for door in self._doors),
            "doors": [
                {
                    "fd": door.listener.descriptor,
                    "connections_max": door.listener.limits.connections_max,
                    "bytes_max": door.bytes_max,
                    "log": self._access_log,
                    "clients": None if door.clients is None else [str(each) for each in door.clients],
                }
                for door in self._doors
            ],
        }

    async def _settle(self) -> None:
        """Accept in the box where no worker does."""
        async with self._settling:
            for door in self._doors:
                if self._ready or self._stopping.is_set():
                    await door.listener.leave_accepting()
                else:
                    with suppress(OSError):  # without a descriptor left, the next tick tries again
                        await door.listener.accept()

    async def _tick(self, page: SharedPage) -> None:
        """Count the box's own connections, which end without a word, and end workers that hang.

        The box's ticks are counted, not seconds: what the box itself did not hear while it was busy is not a silence.
        """
        while not await self._wait_stopping(TICK_S):
            for worker in self._running:
                worker.told.clear()
                worker.silent_ticks += 1
                if worker.silent_ticks > (SILENT_TICKS_MAX if worker in self._ready else STARTING_TICKS_MAX):
                    _log.error("worker.silent", worker=worker.place)
                    worker.kill()
            await self._settle()
            for number in range(len(self._doors)):
                self._count_own(page, number)

    async def _wait_stopping(self, longest_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._stopping.wait()
        return self._stopping.is_set()

    def _tell(self, number: int, learned: Learned) -> None:
        """Give a ready answer to every worker that was not given it a moment ago."""
        form = learned.form
        which = (number, learned.key, learned.chosen, form.stamp, form.received_s)
        lacking = [worker for worker in self._running if which not in worker.told]
        frame = copy_of(number, learned) if lacking else None
        if frame is not None:
            data = written(frame)
            for worker in lacking:
                worker.told.add(which)
                worker.tell(data)

    def _heed(self, page: SharedPage, worker: WorkerProcess, data: bytes, connections: Sequence[socket.socket]) -> None:
        """Take one message of a worker."""
        kind, number = data[:1], data[1] if len(data) > 1 else 0
        if kind == CONNECTION and len(connections) == 1 and number < len(self._doors) and self._tasks is not None:
            going_on = self._go_on(page, worker, number, connections[0], data[2:])
            self._tasks.create_task(going_on, name="handed over")
            return
        for each in connections:
            each.close()
        if kind == CONNECTION and number < len(self._doors):  # it was lost on its way: no descriptor was left here
            worker.handed[number] += 1
            self._count_own(page, number)
        elif kind == READY and self._tasks is not None and not worker.is_going:
            self._ready.append(worker)
            self._tasks.create_task(self._settle(), name="leave accepting")
        elif kind == REPORT:
            with suppress(Garbled):
                about, answered = answered_from(data)
                self._doors[about % len(self._doors)].early.count(answered)

    async def _go_on(
        self, page: SharedPage, worker: WorkerProcess, number: int, connection: socket.socket, data: bytes
    ) -> None:
        """Serve a connection from here on."""
        door = self._doors[number]
        learned = door.early.found(data)
        if learned is not None:  # the worker had it not, or not in time
            self._tell(number, learned)
        try:
            await door.listener.take_over(connection, data)
        except (OSError, ValueError) as exc:  # it is no connection
            _log.error("worker.garbled", worker=worker.place, error=type(exc).__name__)
            connection.close()
        worker.handed[number] += 1
        self._count_own(page, number)

    def _count_own(self, page: SharedPage, number: int) -> None:
        handed = sum(worker.handed[number] for worker in self._running)
        page.set(number, BOX, self._doors[number].listener.connections() - handed)
