"""Rows hold plain bytes or name a file of ours; what is found on disk is never run, and opens nothing else.

diskcache unpickles rows that say they are pickled (CVE-2025-69872), so `PlainDisk` refuses pickle both ways, and opens
no file but those it could have named itself. Small values lie in the row; a large one is filed before its row is
written, and a body that was received into a file is adopted by renaming it.
"""

import os
import re
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diskcache import Disk
from diskcache.core import MODE_BINARY, MODE_PICKLE, MODE_RAW, MODE_TEXT, UNKNOWN

from gateway.web.store.batch import Filed

FILE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")


class NotPlain(ValueError):
    """A value or a row that is neither bytes, text nor a number."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A body in a file of ours, on the same file system."""

    path: Path
    size_bytes: int


class PlainDisk(Disk):  # type: ignore[misc]  # diskcache has no types
    """Stores bytes, text and numbers as they are, and nothing else."""

    def __init__(self, directory: str, **settings: Any) -> None:
        super().__init__(directory, **settings)
        self.doomed: list[str] = []  # files of rows that are gone, once that is committed

    def put(self, key: object) -> tuple[Any, bool]:
        """Return the key as it is stored."""
        _only_plain(key)
        stored, raw = super().put(key)
        if not raw:
            raise NotPlain
        return stored, True

    def get(self, key: object, raw: object) -> Any:
        """Return a key as it was."""
        if not raw:
            raise NotPlain
        return super().get(key, raw)

    def store(self, value: object, read: bool, key: object = UNKNOWN) -> tuple[int, int, str | None, Any]:
        """Store a plain value in the row itself, or a file's name."""
        if isinstance(value, Filed):
            return value.size_bytes, MODE_BINARY, value.name, None
        _only_plain(value)
        return 0, MODE_RAW, None, sqlite3.Binary(value) if isinstance(value, bytes) else value

    def fetch(self, mode: int, filename: str | None, value: object, read: bool) -> Any:
        """Return a plain value, or a file of ours, open."""
        if mode == MODE_PICKLE or (mode in {MODE_BINARY, MODE_TEXT} and not FILE.fullmatch(filename or "")):
            raise NotPlain
        return super().fetch(mode, filename, value, read)

    def remove(self, file_path: str) -> None:
        """Doom a file of ours: it goes once its row is gone for good."""
        if FILE.fullmatch(file_path):
            self.doomed.append(file_path)

    def bury(self) -> None:
        """Remove what is doomed."""
        doomed, self.doomed = self.doomed, []
        self.unlink(doomed)

    def unlink(self, names: Iterable[str]) -> None:
        """Remove files of ours."""
        for name in names:
            if FILE.fullmatch(name):
                super().remove(name)

    def adopt(self, spooled: Spooled) -> Filed:
        """Make a body in a file ours.

        Raises: OSError; then there is no file.
        """
        name, path = self._place()
        try:
            os.rename(spooled.path, path)
        except OSError:
            spooled.path.unlink(missing_ok=True)
            raise
        return Filed(name, spooled.size_bytes)

    def file(self, data: bytes) -> Filed:
        """Write a body into a file.

        Raises: OSError; then there is no file.
        """
        name, path = self._place()
        try:
            with open(path, "xb") as file:
                file.write(data)
        except OSError:
            with suppress(OSError):
                os.unlink(path)
            raise
        return Filed(name, len(data))

    def _place(self) -> tuple[str, str]:
        name, path = self.filename()
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return name, path


def _only_plain(value: object) -> None:
    small = type(value) is int and -(2**63) <= value < 2**63
    if not small and type(value) not in {bytes, str, float}:
        raise NotPlain
