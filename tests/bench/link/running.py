"""Processes of a run: each ends with its block, and with this process even when that is killed."""

import asyncio
import ctypes
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.village import ROOT

STOP_S = 15.0
_PR_SET_PDEATHSIG = 1  # prctl(2)
_libc = ctypes.CDLL(None)


@dataclass(frozen=True)
class Running:
    """A process that was started, and where its errors go."""

    process: asyncio.subprocess.Process
    log: Path

    async def first_line(self, within_s: float) -> str:
        """Return the first line it prints, which it prints once it is up.

        Raises: RuntimeError.
        """
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(within_s):
                line = await self.process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise RuntimeError(f"It does not start: {self.log.read_text(errors='replace')[-4000:]}")
        return line.decode()

    async def finished(self, within_s: float) -> None:
        """Return once it has ended by itself.

        Raises: RuntimeError where it fails.
        """
        try:
            async with asyncio.timeout(within_s):
                await self.process.wait()
        except TimeoutError:
            return  # the block's end stops it
        if self.process.returncode:
            raise RuntimeError(f"It failed: {self.log.read_text(errors='replace')[-4000:]}")


@asynccontextmanager
async def running(command: Sequence[str], log: Path) -> AsyncIterator[Running]:
    """Run a command while the block lasts, in a session of its own: Ctrl-C comes to us alone."""
    surroundings = {**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            cwd=log.parent,
            env=surroundings,
            start_new_session=True,
            preexec_fn=_ends_with_us,
        )
    try:
        yield Running(process, log)
    finally:
        await asyncio.shield(_stopped(process))


async def _stopped(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _ends_with_us() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
