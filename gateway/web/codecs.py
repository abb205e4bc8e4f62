"""Bytes are coded and decoded piece by piece, in bounded memory, and a bomb is cut before it goes off.

A decoder gives at most `PIECE_BYTES` at a time and stops for good where the ratio or the size says that somebody means
harm; large pieces of work run on a bounded pool, small ones where they are.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from typing import Protocol

import brotli

from gateway.web.coding import Coding, Recoding
from gateway.web.faults import BodyBroken

PIECE_BYTES = 65_536
INLINE_BYTES_MAX = 8_192  # br-5 codes 61 MB/s here and 12 on a small ARM board: 0.7 ms of the loop (2026-11)
BR_QUALITY = 5  # 17.5 % of text at 61 MB/s; 9 gains 0.5 points at 9 MB/s (2026-11)
BR_WINDOW = 18  # 256 KB; costs 0.3 % of size and saves 15 MB for each answer under way (2026-11)
GZIP_LEVEL = 6
RATIO_MAX = 400.0  # the densest page of our corpus is 60:1; gzip can do 1,032:1, brotli far more
RATIO_FREE_BYTES = 1_048_576  # below this nobody is harmed


class Codec(Protocol):
    """Turns pieces of one body into pieces of another."""

    def feed(self, data: bytes, *, flush: bool) -> Iterator[bytes]:
        """Yield what can be told from `data`; with `flush`, all of it."""
        ...

    def end(self) -> Iterator[bytes]:
        """Yield the rest.

        Raises: BodyBroken when the body was not whole.
        """
        ...


class Encoder:
    """Compresses."""

    def __init__(self, coding: Coding) -> None:
        self._br = brotli.Compressor(quality=BR_QUALITY, lgwin=BR_WINDOW) if coding == "br" else None
        self._gzip = None if coding == "br" else zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)

    def feed(self, data: bytes, *, flush: bool) -> Iterator[bytes]:
        """Yield compressed bytes."""
        if self._br is not None:
            yield self._br.process(data)
            if flush:
                yield self._br.flush()
        elif self._gzip is not None:
            yield self._gzip.compress(data)
            if flush:
                yield self._gzip.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> Iterator[bytes]:
        """Yield the end of the compressed body."""
        if self._br is not None:
            yield self._br.finish()
        elif self._gzip is not None:
            yield self._gzip.flush()


class Decoder:
    """Decompresses, within a limit of bytes and of their ratio to what came in."""

    def __init__(self, coding: Coding, size_bytes_max: int) -> None:
        self._coding = coding
        self._br = brotli.Decompressor() if coding == "br" else None
        self._gzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._size_bytes_max = size_bytes_max
        self._in_bytes = 0
        self._out_bytes = 0

    def feed(self, data: bytes, *, flush: bool) -> Iterator[bytes]:
        """Yield decompressed bytes, in pieces."""
        del flush  # a decoder holds nothing back
        self._in_bytes += len(data)
        try:
            for piece in self._from_br(data) if self._br is not None else self._from_gzip(data):
                self._out_bytes += len(piece)
                self._check()
                yield piece
        except (zlib.error, brotli.error) as exc:
            raise BodyBroken from exc

    def end(self) -> Iterator[bytes]:
        """Yield nothing: what could be told was told."""
        whole = self._br.is_finished() if self._br is not None else self._gzip.eof
        if not whole and self._in_bytes:
            raise BodyBroken
        yield from ()

    def _from_br(self, data: bytes) -> Iterator[bytes]:
        assert self._br is not None  # noqa: S101 - the constructor decides which of the two there is
        if self._br.is_finished():
            return  # what follows the end of the stream is nothing
        piece = self._br.process(data, output_buffer_limit=PIECE_BYTES)
        yield piece
        while len(piece) >= PIECE_BYTES or not self._br.can_accept_more_data():  # a full piece may not be all
            piece = self._br.process(b"", output_buffer_limit=PIECE_BYTES)
            yield piece

    def _from_gzip(self, data: bytes) -> Iterator[bytes]:
        more = True  # zlib may hold output back when a piece is full, with no input left
        while data or more:
            if self._gzip.eof:  # RFC 1952 §2.2: a body may be several members
                if not data.strip(b"\0"):
                    return
                self._gzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
            piece = self._gzip.decompress(data, PIECE_BYTES)
            more = len(piece) == PIECE_BYTES
            yield piece
            data = self._gzip.unconsumed_tail or self._gzip.unused_data

    def _check(self) -> None:
        dense = self._out_bytes > RATIO_FREE_BYTES and self._out_bytes > self._in_bytes * RATIO_MAX
        if dense or self._out_bytes > self._size_bytes_max:
            raise BodyBroken


def chain(done: Recoding, size_bytes_max: int) -> list[Codec]:
    """Return the codecs that a body goes through, in order."""
    codecs: list[Codec] = []
    if done.decode:
        codecs.append(Decoder(done.decode, size_bytes_max))
    if done.encode:
        codecs.append(Encoder(done.encode))
    return codecs


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
