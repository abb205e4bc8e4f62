"""Bytes are coded and decoded piece by piece, in bounded memory, and a bomb is cut before it goes off.

A decoder gives at most `PIECE_BYTES` at a time and stops for good where the ratio or the size says that somebody means
harm; of codings one over the other, all count against what came in.
"""

import sys
import zlib
from collections.abc import Iterator
from typing import Protocol, assert_never

import brotli

from gateway.web.faults import BodyBroken
from gateway.web.saver.coding import Coding, Recoding

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 65_536
BR_QUALITY = 5  # 17.5 % of text at 61 MB/s; 9 gains 0.5 points at 9 MB/s (2026-11)
WINDOW_LOG = 18  # 256 KB; costs 0.3 % of size and saves 15 MB for each answer under way (2026-11)
ZSTD_LEVEL = 6  # at this window 9 gains 0.1 points at two thirds of the speed (2026-11)
GZIP_LEVEL = 6
ZSTD_WINDOW_LOG_MAX = 23  # RFC 9659 §3: 8 MB, and no decoder on the web has to hold more
# What a body may unfold to, as (above these bytes, times what came in). The densest page of our corpus is 60:1; gzip
# can do 1,032:1, the others far more; below a megabyte nobody is harmed.
RATIOS_MAX = ((8_388_608, 100.0), (1_048_576, 400.0))


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


class _Br:
    def __init__(self) -> None:
        self._stream = brotli.Compressor(quality=BR_QUALITY, lgwin=WINDOW_LOG)

    def feed(self, data: bytes, *, flush: bool) -> Iterator[bytes]:
        yield self._stream.process(data)
        if flush:
            yield self._stream.flush()

    def end(self) -> Iterator[bytes]:
        yield self._stream.finish()


class _Zstd:
    def __init__(self) -> None:
        parameter = zstd.CompressionParameter
        self._stream = zstd.ZstdCompressor(
            options={parameter.compression_level: ZSTD_LEVEL, parameter.window_log: WINDOW_LOG}
        )

    def feed(self, data: bytes, *, flush: bool) -> Iterator[bytes]:
        yield self._stream.compress(data)
        if flush:
            yield self._stream.flush(self._stream.FLUSH_BLOCK)

    def end(self) -> Iterator[bytes]:
        yield self._stream.flush()


class _Gzip:
    def __init__(self) -> None:
        self._stream = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)

    def feed(self, data: bytes, *, flush: bool) -> Iterator[bytes]:
        yield self._stream.compress(data)
        if flush:
            yield self._stream.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> Iterator[bytes]:
        yield self._stream.flush()


def encoder(coding: Coding) -> Codec:
    """Return what compresses."""
    match coding:
        case "br":
            return _Br()
        case "zstd":
            return _Zstd()
        case "gzip":
            return _Gzip()
        case _:
            assert_never(coding)


class _Unfolding(Protocol):
    """A decoder of one coding."""

    @property
    def whole(self) -> bool:
        """Whether the body may end here."""
        ...

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what comes out, at most `PIECE_BYTES` at a time, or little more."""
        ...


class _FromBr:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    @property
    def whole(self) -> bool:
        return bool(self._stream.is_finished())

    def pieces(self, data: bytes) -> Iterator[bytes]:
        if self.whole:
            return  # what follows the end of the stream is nothing
        piece = self._stream.process(data, output_buffer_limit=PIECE_BYTES)
        yield piece
        while len(piece) >= PIECE_BYTES or not self._stream.can_accept_more_data():  # a full piece may not be all
            piece = self._stream.process(b"", output_buffer_limit=PIECE_BYTES)
            yield piece


class _FromZstd:
    def __init__(self) -> None:
        self._stream = self._frame()

    @property
    def whole(self) -> bool:
        return self._stream.eof

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data or not (self._stream.needs_input or self._stream.eof):
            if self._stream.eof:  # RFC 8878 §3: a body may be several frames, some of them to be skipped
                self._stream = self._frame()
            yield self._stream.decompress(data, PIECE_BYTES)
            data = self._stream.unused_data if self._stream.eof else b""

    def _frame(self) -> zstd.ZstdDecompressor:
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX})


class _FromGzip:
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def whole(self) -> bool:
        return self._stream.eof

    def pieces(self, data: bytes) -> Iterator[bytes]:
        more = True  # zlib may hold output back when a piece is full, with no input left
        while data or more:
            if self._stream.eof:  # RFC 1952 §2.2: a body may be several members
                if not data.strip(b"\0"):
                    return
                self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
            piece = self._stream.decompress(data, PIECE_BYTES)
            more = len(piece) == PIECE_BYTES
            yield piece
            data = self._stream.unconsumed_tail or self._stream.unused_data


_DECODERS: dict[Coding, type[_FromBr | _FromZstd | _FromGzip]] = {"br": _FromBr, "zstd": _FromZstd, "gzip": _FromGzip}


class Decoder:
    """Decompresses, within a limit of bytes and of their ratio to what came in at the outermost coding."""

    def __init__(self, coding: Coding, size_bytes_max: int, outermost: "Decoder | None" = None) -> None:
        self._unfolding: _Unfolding = _DECODERS[coding]()
        self._outermost = outermost or self
        self._size_bytes_max = size_bytes_max
        self._in_bytes = 0
        self._out_bytes = 0

    def feed(self, data: bytes, *, flush: bool) -> Iterator[bytes]:
        """Yield decompressed bytes, in pieces."""
        del flush  # a decoder holds nothing back
        self._in_bytes += len(data)
        try:
            for piece in self._unfolding.pieces(data):
                self._out_bytes += len(piece)
                self._check()
                yield piece
        except (zlib.error, brotli.error, zstd.ZstdError) as exc:
            raise BodyBroken from exc

    def end(self) -> Iterator[bytes]:
        """Yield nothing: what could be told was told."""
        if self._in_bytes and not self._unfolding.whole:
            raise BodyBroken
        yield from ()

    def _check(self) -> None:
        came, out = self._outermost._in_bytes, self._out_bytes
        dense = any(out > free and out > came * ratio for free, ratio in RATIOS_MAX)
        if dense or out > self._size_bytes_max:
            raise BodyBroken


def chain(done: Recoding, size_bytes_max: int) -> list[Codec]:
    """Return the codecs that a body goes through, in order."""
    decoders: list[Decoder] = []
    for coding in done.decode:
        decoders.append(Decoder(coding, size_bytes_max, decoders[0] if decoders else None))
    return [*decoders, encoder(done.encode)] if done.encode else [*decoders]
