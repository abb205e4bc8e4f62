"""A body flows through its codecs and holds up nobody: large steps run on a bounded pool, small ones on the loop."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor

from gateway.web.saver.codecs import PIECE_BYTES, Codec

INLINE_BYTES_MAX = 8_192  # br-5 codes 61 MB/s here and 12 on a small ARM board: 0.7 ms of the loop (2026-11)


class TooLong(Exception):
    """A body grew past what may be held of it; nothing is wrong with it."""


async def through(
    codecs: list[Codec], pieces: AsyncIterator[bytes], pool: Executor, *, live: bool
) -> AsyncIterator[bytes]:
    """Yield the pieces as they come out of the codecs; `live`: each as soon as it came."""
    async for data in pieces:
        for whole in _slices(data):
            async for out in _pulled(_all(codecs, whole, flush=live), len(whole), pool):
                yield out
    async for out in _pulled(_ends(codecs), PIECE_BYTES, pool):
        yield out


async def whole(codecs: list[Codec], data: bytes, pool: Executor, size_bytes_max: int) -> bytes:
    """Return a body after its codecs, in memory.

    Raises: BodyBroken; TooLong when that would be more than allowed.
    """
    out: list[bytes] = []
    size_bytes = 0
    async for piece in through(codecs, _once(data), pool, live=False):
        size_bytes += len(piece)
        if size_bytes > size_bytes_max:
            raise TooLong
        out.append(piece)
    return b"".join(out)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def unfolded(codecs: list[Codec], data: bytes) -> bytes:
    """Return a body after its codecs, at once.

    Raises: BodyBroken.
    """
    out = [piece for part in _slices(data) for piece in _all(codecs, part, flush=False)]
    return b"".join([*out, *_ends(codecs)])


def _slices(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), PIECE_BYTES):
        yield data[at : at + PIECE_BYTES]


def _all(codecs: list[Codec], data: bytes, *, flush: bool) -> Iterator[bytes]:
    if not codecs:
        yield data
        return
    head, *rest = codecs
    for piece in head.feed(data, flush=flush):
        if piece:
            yield from _all(rest, piece, flush=flush)


def _ends(codecs: list[Codec]) -> Iterator[bytes]:
    if not codecs:
        return
    head, *rest = codecs
    for piece in head.end():
        if piece:
            yield from _all(rest, piece, flush=False)
    yield from _ends(rest)


async def _pulled(work: Iterator[bytes], size_bytes: int, pool: Executor) -> AsyncIterator[bytes]:
    """Run an iterator step by step: here while it is small, on the pool where it is not."""
    inline = size_bytes <= INLINE_BYTES_MAX
    loop = asyncio.get_running_loop()
    while True:
        piece = _next(work) if inline else await loop.run_in_executor(pool, _next, work)
        if piece is None:
            return
        inline = inline and len(piece) <= INLINE_BYTES_MAX  # a small piece may unfold into a large one
        if piece:
            yield piece


def _next(work: Iterator[bytes]) -> bytes | None:
    return next(work, None)
