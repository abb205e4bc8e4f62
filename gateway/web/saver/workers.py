"""A bounded pool of worker processes: whatever one of them does, its job's answer is *nothing made*, and in time.

A worker is begun when there is work, and ended after a while without; one that died, fell silent or spoke nonsense is
killed, and the next job gets a new one. Workers are started with `exec`, so nothing of this process is in them, and
talk over a socket, so that their end is seen at once.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from gateway.web.saver.jobs import HEAD_BYTES_MAX, LENGTHS, Done, Job, asked, read_done

START_S = 10.0  # for an interpreter and its imports on a small ARM board, cold
JOBS_MAX = 200  # of one worker: what a decoder leaks ends with it
IDLE_S = 60.0  # an idle worker holds 40 MB
WAITING_MAX = 64  # jobs that have no worker yet; a page has 30 pictures
_log = structlog.get_logger("web")


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What the workers of a pool may take, each; `idle`: they only run while nobody else wants the core."""

    processes: int
    memory_bytes_max: int
    idle: bool = False


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    jobs: int = 0
    rest: asyncio.TimerHandle | None = None

    async def ask(self, job: Job, data: bytes) -> Done:
        """Return what the worker made of a job.

        Raises: asyncio.IncompleteReadError, OSError, ValueError when it is not to be used any more.
        """
        self.jobs += 1
        self.writer.write(asked(job, data))
        await self.writer.drain()
        head_bytes, data_bytes = LENGTHS.unpack(await self.reader.readexactly(LENGTHS.size))
        if head_bytes > HEAD_BYTES_MAX or data_bytes > len(data):  # what is made is smaller
            raise ValueError("not an answer")
        head = await self.reader.readexactly(head_bytes)
        return read_done(head, await self.reader.readexactly(data_bytes))


class Workers:
    """Worker processes, and the jobs that wait for one."""

    def __init__(self, limits: WorkerLimits, command: Sequence[str] = ("-m", "gateway.web.saver.worker")) -> None:
        self._limits = limits
        told = (str(limits.memory_bytes_max), "idle" if limits.idle else "busy")
        self._command: list[str] = [sys.executable, "-P", *command, *told]
        self._turn = asyncio.Semaphore(limits.processes)
        self._resting: list[_Worker] = []
        self._all: set[subprocess.Popen[bytes]] = set()
        self.waiting = 0
        self.lost = 0

    @property
    def busy(self) -> bool:
        """Whether a job that comes now would wait for more than one before it."""
        return self.waiting > self._limits.processes

    async def done(self, job: Job, content: Callable[[], Awaitable[bytes | None]]) -> Done | None:
        """Return what was made of a job, `lost` where a worker was lost over it; None where too many wait already.

        `content` is asked for when the job's turn has come, so jobs that wait hold no bodies; None: it is gone.
        """
        if self.waiting >= WAITING_MAX:
            return None
        self.waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self.waiting -= 1
        try:
            data = await content()
            return None if data is None else await self._done(job, data)
        finally:
            self._turn.release()

    async def stop(self) -> None:
        """End all workers."""
        for worker in self._resting:
            self._let_go(worker)
        self._resting.clear()
        ending, self._all = self._all, set()
        await asyncio.to_thread(_killed, ending)

    async def _done(self, job: Job, data: bytes) -> Done:
        worker = None
        try:
            async with asyncio.timeout(START_S + job.time_s) as deadline:
                worker = self._resting.pop() if self._resting else await self._begun()
                deadline.reschedule(
                    asyncio.get_running_loop().time() + (START_S if not worker.jobs else 0) + job.time_s
                )
                if worker.rest is not None:
                    worker.rest.cancel()
                done = await worker.ask(job, data)
        except (TimeoutError, asyncio.IncompleteReadError, OSError, ValueError) as exc:
            _log.warning("saver.worker-lost", error=type(exc).__name__)
            self.lost += 1
            return Done("lost")
        else:
            if worker.jobs < JOBS_MAX:
                worker.rest = asyncio.get_running_loop().call_later(IDLE_S, self._dismiss, worker)
                self._resting.append(worker)
                worker = None
            return done
        finally:
            if worker is not None:
                await self._end(worker)

    async def _begun(self) -> _Worker:
        self._all -= {each for each in self._all if each.poll() is not None}
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.to_thread(self._started, theirs)
            self._all.add(process)
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            raise
        return _Worker(process, reader, writer)

    def _started(self, channel: socket.socket) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(map(os.path.abspath, sys.path))
        with channel:  # closed here, so that nobody else's socket can come by its number meanwhile
            return subprocess.Popen(  # noqa: S603 - our own interpreter and module
                self._command,
                stdin=channel.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": path, "MALLOC_ARENA_MAX": "1", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"},
                start_new_session=True,  # the terminal's Ctrl-C is for the box, which ends its workers itself
            )

    def _dismiss(self, worker: _Worker) -> None:
        """Let a worker that has rested for long end by itself: its socket is closed."""
        with suppress(ValueError):
            self._resting.remove(worker)
            self._let_go(worker)

    def _let_go(self, worker: _Worker) -> None:
        if worker.rest is not None:
            worker.rest.cancel()
        worker.writer.close()

    async def _end(self, worker: _Worker) -> None:
        self._let_go(worker)
        self._all.discard(worker.process)
        await asyncio.to_thread(_killed, {worker.process})


def _killed(processes: set[subprocess.Popen[bytes]]) -> None:
    for each in processes:
        with suppress(ProcessLookupError):
            each.send_signal(signal.SIGKILL)
    for each in processes:
        each.wait()
