"""A photo is given to a process that ends with it; whatever that process does, its answer is bounded and in time."""

import asyncio
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from gateway.market.catalogue.pair import PAIR_BYTES_MAX, parted

TIME_S = 20.0  # for an interpreter, its imports and 16 million pixels on a small ARM board
_PROGRAM = "gateway.market.catalogue.thumbnail"


class Rendering:
    """Makes thumbnails outside this process."""

    def __init__(self, folder: Path, program: str = _PROGRAM, time_s: float = TIME_S) -> None:
        self._folder = folder  # where what goes in and comes out lies meanwhile, without a name
        self._command = [sys.executable, "-P", "-m", program]
        self._time_s = time_s
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False

    async def made(self, photo: bytes) -> bytes | None:
        """Return the pair of thumbnails of a photo; None where nothing could be made of it.

        Raises: OSError when the box could not even try.
        """
        try:
            return await asyncio.to_thread(self._made, photo)
        except asyncio.CancelledError:
            self.stop()
            raise

    def stop(self) -> None:
        """End what is at work, and begin nothing more."""
        self._is_stopped = True
        process = self._process
        if process is not None:
            with suppress(OSError):
                process.kill()

    def _made(self, photo: bytes) -> bytes | None:
        with tempfile.TemporaryFile(dir=self._folder) as given, tempfile.TemporaryFile(dir=self._folder) as answer:
            given.write(photo)
            given.seek(0)
            with subprocess.Popen(  # noqa: S603 - our own interpreter and module
                self._command,
                stdin=given,
                stdout=answer,
                stderr=subprocess.DEVNULL,
                env={
                    "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "MALLOC_ARENA_MAX": "1",
                    "LC_ALL": "C.UTF-8",
                },
                start_new_session=True,  # the terminal's Ctrl-C is for the box, which ends it itself
            ) as process:
                self._process = process
                try:
                    is_made = not self._is_stopped and process.wait(self._time_s) == 0
                except subprocess.TimeoutExpired:
                    is_made = False
                finally:
                    self._process = None
                    process.kill()
            answer.seek(0)
            content = answer.read(PAIR_BYTES_MAX + 1)
        return content if is_made and parted(content) else None
