"""A file that grows piece by piece, each sealed as it is written: whoever cuts it off leaves a beginning that opens.

    "TAMBOPC1" | length of the head, 4 bytes | head | length of a piece, 4 bytes | piece, sealed | ...

Every file has a key of its own, so a piece's number is its nonce; the last piece is marked as such (STREAM), so none
can be left out, moved or put behind it. What the head says stands there as the writer gave it.

Source: NIST SP 800-38D (GCM), Hoang et al., CRYPTO 2015 (STREAM).
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.durable.recipient import TAG_BYTES, Seal, Unseal
from gateway.durable.vault import NotOpened

PIECE_BYTES_MAX = 262_144
HEAD_BYTES_MAX = 4_096
_MAGIC = b"TAMBOPC1"
_LENGTH = struct.Struct(">I")


def beginning(head: bytes) -> bytes:
    """Return how a file with this head begins."""
    return _MAGIC + _LENGTH.pack(len(head)) + head


class Sealing:
    """Seals a new file's pieces, in their order."""

    def __init__(self, key: bytes) -> None:
        self._seal = Seal(AESGCM(key))

    def sealed(self, piece: bytes, *, is_last: bool = False) -> bytes:
        """Return the next piece as it lies in the file."""
        made = self._seal.seal(piece, is_last=is_last)
        return _LENGTH.pack(len(made)) + made


def is_sealed(file: BinaryIO) -> bool:
    """Whether a file at its beginning is one of these; it stands there again."""
    begins = file.read(len(_MAGIC))
    file.seek(0)
    return begins == _MAGIC


def read_head(file: BinaryIO) -> bytes:
    """Return a file's head; the pieces come next.

    Raises: NotOpened, OSError.
    """
    if file.read(len(_MAGIC)) != _MAGIC:
        raise NotOpened
    (length,) = _LENGTH.unpack(file.read(_LENGTH.size).ljust(_LENGTH.size, b"\xff"))
    head = file.read(length) if length <= HEAD_BYTES_MAX else b""
    if not head or len(head) != length:
        raise NotOpened
    return head


def open_pieces(file: BinaryIO, key: bytes) -> Iterator[bytes]:
    """Yield a file's pieces in clear from behind its head on, as far as they are whole.

    Raises: NotOpened where the first one does not open with this key; OSError.
    """
    unseal, opened = Unseal(AESGCM(key)), 0
    while len(length := file.read(_LENGTH.size)) == _LENGTH.size:
        (size_bytes,) = _LENGTH.unpack(length)
        sealed = file.read(size_bytes) if TAG_BYTES <= size_bytes <= PIECE_BYTES_MAX + TAG_BYTES else b""
        piece, is_last = _opened(unseal, sealed)
        if piece is None:
            if not opened and len(sealed) == size_bytes:
                raise NotOpened
            return
        opened += 1
        yield piece
        if is_last:
            return


def _opened(unseal: Unseal, sealed: bytes) -> tuple[bytes | None, bool]:
    for is_last in (False, True):
        try:
            return unseal.open(sealed, is_last=is_last), is_last
        except InvalidTag:
            continue
    return None, False
