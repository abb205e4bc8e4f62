"""A photo is in the folder whole and with the right hash, or as a part that goes on from where it was cut.

What these functions do blocks: they belong in a thread.
"""

import hashlib
import os
import re
from pathlib import Path

from gateway.market.marketplaces.files_log import sync_folder, write_whole
from gateway.market.marketplaces.port import NotDelivered

PHOTO_BYTES_MAX = 100_000_000  # the most that [market] photo_bytes_max lets in
_SHA256 = re.compile(r"[0-9a-f]{64}")


def photo_offset(folder: Path, sha256: str, size_bytes: int) -> int:
    """Return how many bytes of a photo are there; `size_bytes` when it is whole.

    Raises: NotDelivered, OSError.
    """
    whole, part = _paths(folder, sha256, size_bytes)
    if whole.exists():
        return size_bytes
    held = part.stat().st_size if part.exists() else 0
    if held < size_bytes:
        return held
    try:
        finish(folder, sha256, size_bytes)  # it was cut between its last byte and its name
    except NotDelivered:
        return 0
    return size_bytes


def put_piece(folder: Path, sha256: str, piece: bytes, offset: int, size_bytes: int) -> int:
    """Append a piece that begins at `offset`; return how many bytes are there now.

    A piece that begins beyond what is there is left out; one that begins before it is written over it.

    Raises: NotDelivered, OSError.
    """
    _, part = _paths(folder, sha256, size_bytes)
    if offset + len(piece) > size_bytes:
        raise NotDelivered(is_silent=False, reason="photo longer than it said", is_refusal=True)
    part.parent.mkdir(exist_ok=True)
    with part.open("ab", buffering=0) as file:
        held = os.fstat(file.fileno()).st_size
        if offset > held:
            return held
        file.truncate(offset)
        write_whole(file, piece)
    return offset + len(piece)


def finish(folder: Path, sha256: str, size_bytes: int) -> None:
    """Make a part whose bytes are all there the photo, once its hash is right; one with another hash goes.

    Raises: NotDelivered, OSError.
    """
    whole, part = _paths(folder, sha256, size_bytes)
    with part.open("r+b") as file:
        os.fsync(file.fileno())
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        part.unlink()
        raise NotDelivered(is_silent=False, reason="photo damaged", is_refusal=True)
    part.replace(whole)
    sync_folder(whole.parent)


def _paths(folder: Path, sha256: str, size_bytes: int) -> tuple[Path, Path]:
    if not _SHA256.fullmatch(sha256) or not 0 < size_bytes <= PHOTO_BYTES_MAX:
        raise NotDelivered(is_silent=False, reason="no photo", is_refusal=True)
    photos = folder / "photos"
    return photos / sha256, photos / f"{sha256}.part"
