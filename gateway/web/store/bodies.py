"""A body is known by its hash; a large one is hashed once a run, and whenever it is read into memory."""

import hashlib
import os
from collections import OrderedDict
from functools import partial
from typing import BinaryIO

from gateway.web.fetching.body import FileBody, HeldBody, SpanSource, Spool
from gateway.web.rules.stored import BodyRef
from gateway.web.store.rows import Spooled

DIGEST_BYTES = 16
VERIFIED_MAX = 20_000  # large bodies known to be whole
_CHUNK_BYTES = 1_048_576


class Bodies:
    """Bodies found on disk, on the threads that read them."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._verified: OrderedDict[str, None] = OrderedDict()

    async def open(self, file: BinaryIO, ref: BodyRef, *, hold: bool) -> SpanSource | None:
        """Return the body in an open file, in memory if it is to be held there; None where it is damaged."""
        if hold:
            data = await self._spool.run(file.read)
            return HeldBody(data) if await self._spool.run(partial(digest, data)) == ref.digest else None
        if ref.key not in self._verified:
            if not await self._spool.run(partial(verified, file, ref)):
                return None
            self.sure(ref.key)
        return FileBody(os.dup(file.fileno()), ref.size_bytes, self._spool)

    def sure(self, key: str) -> None:
        """Take note that a body is as it should be."""
        self._verified[key] = None
        if len(self._verified) > VERIFIED_MAX:
            self._verified.popitem(last=False)


def digest(data: bytes) -> str:
    """Return the hash of a body."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def digest_of(content: bytes | Spooled) -> str:
    """Return the hash of a body, in memory or in a file.

    Raises: OSError.
    """
    if isinstance(content, bytes):
        return digest(content)
    with content.path.open("rb") as file:
        return _digest(file)


def verified(file: BinaryIO, ref: BodyRef) -> bool:
    """Say whether a file holds the body that was stored."""
    found = _digest(file)
    file.seek(0)
    return found == ref.digest


def size_of(content: bytes | Spooled) -> int:
    """Return the length of a body."""
    return len(content) if isinstance(content, bytes) else content.size_bytes


def cut(content: bytes | Spooled, start: int, end: int) -> bytes | Spooled:
    """Return a stretch of a body; of a file it is a copy, since others may be reading it, and the file is gone.

    Raises: OSError.
    """
    if isinstance(content, bytes):
        return content[start:end]
    copy = content.path.with_name(f"{content.path.name}.cut")
    with content.path.open("rb") as file, copy.open("wb") as written:
        file.seek(start)
        while (left := end - start - written.tell()) and (data := file.read(min(_CHUNK_BYTES, left))):
            written.write(data)
    content.path.unlink()
    return Spooled(copy, end - start)


def trimmed(content: bytes | Spooled, at: int, place: tuple[int, int] | None) -> tuple[int, bytes | Spooled, str]:
    """Return what of a body that begins at an offset lies in its place: the offset, the stretch and its hash.

    Raises: OSError.
    """
    if place is not None and place != (at, at + size_of(content)):
        content, at = cut(content, place[0] - at, place[1] - at), place[0]
    return at, content, digest_of(content)


def _digest(file: BinaryIO) -> str:
    found = hashlib.blake2b(digest_size=DIGEST_BYTES)
    while data := file.read(_CHUNK_BYTES):
        found.update(data)
    return found.hexdigest()
