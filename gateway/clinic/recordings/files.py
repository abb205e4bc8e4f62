"""A recording's file: its head is on disk before the first packet, its name says nothing, and erased is erased.

Erasing overwrites the head first, which holds the only copy of the key: what a card keeps of the rest opens no more.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.clinic.records.recorded import NAME_CHARS
from gateway.durable.aside import sync_folder
from gateway.durable.sealed_pieces import HEAD_BYTES_MAX, beginning, open_pieces, read_head

READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Content:
    """What of a recording goes to the receiving side."""

    sha256: str
    size_bytes: int


def names(folder: Path) -> list[str]:
    """Return the names of all recordings that are here, the oldest first."""
    with suppress(FileNotFoundError):
        found = [each for each in folder.iterdir() if len(each.name) == NAME_CHARS]
        return [each.name for each in sorted(found, key=_changed_s)]
    return []


def make(path: Path, head: bytes) -> None:
    """Let there be a recording without a packet yet, durably. Raises: OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(handle, "wb") as file:
        file.write(beginning(head))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def head_of(path: Path) -> bytes:
    """Return a recording's head. Raises: NotOpened, OSError."""
    with path.open("rb") as file:
        return read_head(file)


def ended_wall_s(path: Path) -> float:
    """Return when a recording was last written. Raises: OSError."""
    return path.stat().st_mtime


def erase(path: Path) -> None:
    """Let a recording be gone, and its key first. Raises: OSError."""
    with suppress(FileNotFoundError):
        with path.open("r+b", buffering=0) as file:
            file.write(bytes(min(path.stat().st_size, HEAD_BYTES_MAX)))
            os.fsync(file.fileno())
        path.unlink()
        sync_folder(path.parent)


def pieces(path: Path, key: bytes | None) -> Iterator[bytes]:
    """Yield a recording in clear, or without a key as it lies. Raises: NotOpened, OSError."""
    with path.open("rb") as file:
        if key is not None:
            read_head(file)
            yield from open_pieces(file, key)
            return
        while piece := file.read(READ_BYTES):
            yield piece


def content(path: Path, key: bytes | None) -> Content:
    """Return what a recording's bytes are, in clear, or without a key as it lies. Raises: NotOpened, OSError."""
    hashing, size_bytes = hashlib.sha256(), 0
    for piece in pieces(path, key):
        hashing.update(piece)
        size_bytes += len(piece)
    return Content(hashing.hexdigest(), size_bytes)


def _changed_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
