"""A full disk must not keep the box from writing that an order arrived: some room is kept for that.

Below the watermark no new order is taken. A file of ballast stands ready to be deleted when the disk is full all the
same, because on a full disk even SQLite's DELETE and checkpoint fail (2026-11).
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path


class Ballast:
    """The room kept in a folder; its owner calls it from the thread that writes there."""

    def __init__(self, folder: Path, *, ballast_bytes: int, free_bytes_min: int) -> None:
        self._folder = folder
        self._path = folder / "ballast"
        self._ballast_bytes = ballast_bytes
        self._free_bytes_min = free_bytes_min

    def is_low(self) -> bool:
        """Say whether too little is free to take new orders."""
        return shutil.disk_usage(self._folder).free < self._free_bytes_min

    def keep(self) -> None:
        """Lay the ballast in, if it is not there and there is room; without it the box works all the same."""
        free_bytes = shutil.disk_usage(self._folder).free
        if self._path.exists() or free_bytes < self._free_bytes_min + self._ballast_bytes:
            return
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._ballast_bytes)
        except OSError:
            self.drop()

    def drop(self) -> None:
        """Give the ballast's room to what must be written."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
