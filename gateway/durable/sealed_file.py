"""A file that came in parts: a sealed head says what it is, then its bytes under a cipher, readable from any place.

    "TAMBOPH1" | length of the head, 2 bytes | head, sealed for its file's name | content in AES-256-CTR

The head holds owner, hash, size and the counter's beginning, 16 random bytes. The cipher hides and does not prove;
the hash in the head, which is sealed, proves the whole: it is checked once all has arrived, and before it is read.

Source: NIST SP 800-38A §6.5 (CTR) and §B.1 (counters must not repeat: a file that begins anew has a new beginning).
"""

import hmac
import os
import secrets
import struct
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.document import canonical, read_document
from gateway.errors import BadRequest, TooLarge

KEY_BYTES = 32
BLOCK_BYTES = 16
NONCE_BYTES = 12  # NIST SP 800-38D §8.2
HEAD_BYTES_MAX = 2_048
NAME_BYTES = 20  # of a file's name: no two share it, and nobody learns from it whose it is
_MAGIC = b"TAMBOPH1"
_LENGTH = struct.Struct(">H")


class NotOpened(Exception):
    """The file is not one that was made here, or not whole, or the key is another."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of itself, and how many bytes that takes."""

    owner: str
    sha256: str
    size_bytes: int
    made_from: str
    counter: int  # of the first block
    bytes_before: int  # the content begins there


class FileSeal:
    """The keys for files, derived from one that is the caller's."""

    def __init__(self, key: bytes) -> None:
        self._names = _derived(key, b"photos: names of files")
        self._content = _derived(key, b"photos: content")
        self._heads = AESGCM(_derived(key, b"photos: heads"))

    def name(self, owner: str, sha256: str) -> str:
        """Return the name of an owner's file: another for each owner."""
        return hmac.digest(self._names, f"{sha256}\0{owner}".encode(), "sha256")[:NAME_BYTES].hex()

    def new_head(self, name: str, owner: str, sha256: str, size_bytes: int, made_from: str = "") -> bytes:
        """Return how a new file begins."""
        fields = {
            "counter": secrets.token_hex(BLOCK_BYTES),
            "from": made_from,
            "merchant": owner,  # whose it is, under the name that files of orders have
            "sha256": sha256,
            "size": size_bytes,
        }
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._heads.encrypt(nonce, canonical(fields), name.encode())
        return _MAGIC + _LENGTH.pack(len(sealed)) + sealed

    def head(self, path: Path) -> Head:
        """Return what a file says of itself.

        Raises: NotOpened when it is not ours, damaged, or another file's; OSError.
        """
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC) + _LENGTH.size)
            if begins[: len(_MAGIC)] != _MAGIC or len(begins) < len(_MAGIC) + _LENGTH.size:
                raise NotOpened
            (length,) = _LENGTH.unpack_from(begins, len(_MAGIC))
            sealed = file.read(length)
        if len(sealed) != length:
            raise NotOpened
        name = path.name.partition(".")[0]
        try:
            plain = self._heads.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode())
            fields = read_document(plain, HEAD_BYTES_MAX)
            assert isinstance(fields, dict)  # noqa: S101 - what we sealed
            return Head(
                fields["merchant"],
                fields["sha256"],
                fields["size"],
                fields["from"],
                int(fields["counter"], 16),
                len(begins) + length,
            )
        except (InvalidTag, BadRequest, TooLarge, AssertionError, KeyError, TypeError, ValueError) as exc:
            raise NotOpened from exc

    def turned(self, head: Head, at: int, content: bytes) -> bytes:
        """Return content from place `at` on, sealed where it was plain and plain where it was sealed."""
        blocks, within = divmod(at, BLOCK_BYTES)
        counter = (head.counter + blocks) % (1 << (8 * BLOCK_BYTES))
        turning = Cipher(AES(self._content), CTR(counter.to_bytes(BLOCK_BYTES))).encryptor()
        turning.update(bytes(within))
        return turning.update(content)


def read_at(path: Path, head: Head, at: int, length: int) -> bytes:
    """Return sealed content from place `at` on, as much of `length` as there is.

    Raises: OSError.
    """
    with path.open("rb") as file:
        return os.pread(file.fileno(), length, head.bytes_before + at)


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose).derive(key)
