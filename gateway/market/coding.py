"""A coded body is decoded up to a limit and no further: what would unpack to more is refused, not unpacked. Pure.

Source: RFC 9110 §8.4 (content codings), RFC 7932 (brotli), RFC 1952 (gzip).
"""

import zlib

import brotli

from gateway.errors import N_, BadRequest, TooLarge

ACCEPTED = "br, gzip"
QUALITY = 5  # 2.8 ms a batch of 100 orders; 11 takes 249 ms for 15 % less (2026-11)
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_PIECE_BYTES = 65_536


def compress(body: bytes) -> bytes:
    """Return the body in `br`."""
    return bytes(brotli.compress(body, quality=QUALITY))


def decode(body: bytes, coding: str, bytes_max: int) -> bytes:
    """Return what a body in this content coding says; an empty name is none.

    Raises: TooLarge, BadRequest.
    """
    match coding.strip().lower():
        case "" | "identity":
            plain = body
        case "br":
            plain = _brotli(body, bytes_max)
        case "gzip" | "x-gzip":
            plain = _gzip(body, bytes_max)
        case _:
            raise BadRequest(N_("The body has a content coding that is not known here."), N_("Use br or gzip."))
    if len(plain) > bytes_max:
        raise TooLarge
    return plain


def _brotli(body: bytes, bytes_max: int) -> bytes:
    decoder = brotli.Decompressor()
    plain = bytearray()
    try:
        piece = decoder.process(body, output_buffer_limit=_PIECE_BYTES)
        while piece and len(plain) <= bytes_max:
            plain += piece
            piece = decoder.process(b"", output_buffer_limit=_PIECE_BYTES)
    except brotli.error as exc:
        raise BadRequest(N_("The body is not valid in its content coding.")) from exc
    if not piece and not decoder.is_finished():
        raise BadRequest(N_("The body is not valid in its content coding."))
    return bytes(plain)


def _gzip(body: bytes, bytes_max: int) -> bytes:
    decoder = zlib.decompressobj(_GZIP_WINDOW)
    try:
        plain = decoder.decompress(body, bytes_max + 1)
    except zlib.error as exc:
        raise BadRequest(N_("The body is not valid in its content coding.")) from exc
    if len(plain) <= bytes_max and not decoder.eof:
        raise BadRequest(N_("The body is not valid in its content coding."))
    return plain
