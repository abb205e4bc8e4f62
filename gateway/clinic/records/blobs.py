"""A file's bytes lie sealed beside the database; how many of them are on disk for certain stands in its row.

What was written behind that, and cut off by a crash, is written again. A file is whole when its hash fits.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import structlog

from gateway.durable.aside import sync_folder
from gateway.durable.sealed_file import FileSeal, NotOpened, read_at
from gateway.errors import N_, NoCapacity

PIECE_BYTES = 262_144
_log = structlog.get_logger("clinic.records")


class Blobs:
    """The folder of files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, known: Iterable[str] | None) -> None:
        """Make the folder; with `known` names, delete what a crash left behind that has no row.

        Raises: OSError.
        """
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700, parents=True)
            sync_folder(self.folder.parent)
        if known is not None:
            names = set(known)
            for path in self.folder.iterdir():
                if path.name not in names:
                    path.unlink(missing_ok=True)

    def begin(self, name: str, key: bytes, record: str, sha256: str, size_bytes: int) -> None:
        """Let there be a file without bytes yet, durably.

        Raises: NoCapacity.
        """
        try:
            handle = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(handle, "wb") as file:
                file.write(FileSeal(key).new_head(name, record, sha256, size_bytes))
                file.flush()
                os.fsync(file.fileno())
            sync_folder(self.folder)
        except OSError as exc:
            raise _fails(exc) from exc

    def write(self, name: str, key: bytes, at: int, content: bytes) -> None:
        """Let content be on disk from place `at` on, and nothing behind it.

        Raises: NoCapacity when it is not; NotOpened.
        """
        path, seal = self.folder / name, FileSeal(key)
        try:
            head = seal.head(path)
            sealed, place = seal.turned(head, at, content), head.bytes_before + at
            with path.open("r+b") as file:
                try:
                    file.truncate(place)
                    while sealed:
                        count = os.pwrite(file.fileno(), sealed, place)
                        sealed, place = sealed[count:], place + count
                    os.fsync(file.fileno())
                except OSError:  # what is not on disk may look as if it were
                    with suppress(OSError):
                        file.truncate(head.bytes_before + at)
                    raise
        except OSError as exc:
            raise _fails(exc) from exc

    def remove(self, names: Iterable[str]) -> None:
        """Delete files that have no row any more; what fails is done at the next start."""
        for name in names:
            try:
                (self.folder / name).unlink(missing_ok=True)
            except OSError as exc:
                _log.error("records.disk", error=type(exc).__name__, number=exc.errno)

    def free_bytes(self) -> int:
        """Return the room on the disk."""
        return shutil.disk_usage(self.folder).free


def read_whole(path: Path, key: bytes, sha256: str) -> bytes | None:
    """Return a file's bytes, when they are what its name says; None otherwise."""
    seal = FileSeal(key)
    try:
        head = seal.head(path)
        content = seal.turned(head, 0, read_at(path, head, 0, head.size_bytes))
    except (OSError, NotOpened):
        return None
    is_it = head.sha256 == sha256 and hashlib.sha256(content).hexdigest() == sha256
    return content if is_it and len(content) == head.size_bytes else None


def sha256_of(path: Path, key: bytes) -> str:
    """Return the hash that a file's head says; "" where it says nothing."""
    try:
        return FileSeal(key).head(path).sha256
    except (OSError, NotOpened):
        return ""


def _fails(exc: OSError) -> NoCapacity:
    _log.error("records.disk", error=type(exc).__name__, number=exc.errno)
    return NoCapacity(
        N_("The box cannot keep the file now: its storage is full or fails."),
        N_("Keep it on the phone and tell the technician. What was kept is safe."),
    )
