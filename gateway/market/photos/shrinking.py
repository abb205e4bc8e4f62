"""One photo at a time is made smaller, by a process that may die of it; then there is just no smaller one."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path

import structlog

TIME_S = 60.0  # an interpreter's start on a small ARM board, and the processor time that the process may take
_PACKAGES = Path(__file__).resolve().parents[3]
_log = structlog.get_logger("market.photos")


class Shrinker:
    """Makes photos smaller."""

    def __init__(self, command: tuple[str, ...] = ("-P", "-m", "gateway.market.photos.smaller")) -> None:
        self._command = command
        self._turn = asyncio.Semaphore(1)

    async def smaller(self, content: bytes) -> bytes | None:
        """Return a photo made smaller, or None."""
        async with self._turn:
            path = os.pathsep.join([*filter(None, sys.path), str(_PACKAGES)])
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env={"PYTHONPATH": path, "MALLOC_ARENA_MAX": "1", "LC_ALL": "C.UTF-8"},  # and nothing of the box's own
                start_new_session=True,  # the terminal's Ctrl-C is for the box, which ends it itself
            )
            try:
                async with asyncio.timeout(TIME_S):
                    made, _ = await process.communicate(content)
            except (TimeoutError, OSError):
                made = b""
            finally:
                await _ended(process)
        if process.returncode != 0:
            _log.warning("photo.not_made_smaller", size_bytes=len(content), status=process.returncode)
        return made if made and process.returncode == 0 else None


async def _ended(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
