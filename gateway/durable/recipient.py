"""What is sealed to a recipient opens with the recipient's secret alone, whole, in its order, below its own head.

Each sealing has a key of its own: X25519 between a pair made for it and the recipient's, through HKDF with the head and
what it is for. Pieces are numbered in their nonces and the last one is marked (STREAM), so none can be left out or
moved.

Source: RFC 7748 §6.1 (X25519), RFC 5869 (HKDF), NIST SP 800-38D (GCM); Hoang et al., "Online Authenticated-Encryption
and its Nonce-Reuse Misuse-Resistance", CRYPTO 2015 (STREAM); RFC 4648 §5 (base64url).
"""

import base64
import binascii

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TAG_BYTES = 16
SECRET_BYTES = 32


def new_pair() -> tuple[str, str]:
    """Return a recipient's new secret and its public key, in base64url."""
    secret = X25519PrivateKey.generate()
    return as_text(secret.private_bytes_raw()), as_text(secret.public_key().public_bytes_raw())


class Seal:
    """Seals pieces, one after the other."""

    def __init__(self, cipher: AESGCM) -> None:
        self._cipher = cipher
        self._count = 0

    def seal(self, piece: bytes, *, is_last: bool) -> bytes:
        """Return the next piece as only the recipient can read it."""
        self._count += 1
        return self._cipher.encrypt(_nonce(self._count, is_last), piece, None)


class Recipient:
    """Whom something is sealed to; `public` stands in its head."""

    def __init__(self, key: str, purpose: bytes) -> None:
        """Raises: ValueError for a key of another length, or a point that would make no secret (RFC 7748 §6.1)."""
        own = X25519PrivateKey.generate()
        self._purpose = purpose
        self.public = as_text(own.public_key().public_bytes_raw())
        self._theirs = as_bytes(key)
        self._shared = own.exchange(X25519PublicKey.from_public_bytes(self._theirs))

    def seal(self, head: bytes) -> Seal:
        """Return what seals the pieces below a head."""
        return Seal(_cipher(self._shared, self._purpose, self._theirs, head))


class Unseal:
    """Opens pieces again, in their order."""

    def __init__(self, cipher: AESGCM) -> None:
        self._cipher = cipher
        self._count = 0

    def open(self, piece: bytes, *, is_last: bool) -> bytes:
        """Return the next piece in clear.

        Raises: InvalidTag.
        """
        piece = self._cipher.decrypt(_nonce(self._count + 1, is_last), piece, None)
        self._count += 1
        return piece


class Opening(Unseal):
    """Opens what was sealed to whoever has the secret."""

    def __init__(self, public: str, secret: bytes, head: bytes, purpose: bytes) -> None:
        """Raises: ValueError."""
        own = X25519PrivateKey.from_private_bytes(secret)
        shared = own.exchange(X25519PublicKey.from_public_bytes(as_bytes(public)))
        super().__init__(_cipher(shared, purpose, own.public_key().public_bytes_raw(), head))


def _cipher(shared: bytes, purpose: bytes, recipient: bytes, head: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=purpose + recipient + head).derive(shared))


def _nonce(count: int, is_last: bool) -> bytes:
    return count.to_bytes(11, "big") + bytes([is_last])


def as_text(raw: bytes) -> str:
    """Write bytes in base64url, without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def as_bytes(text: str) -> bytes:
    """Read base64url, without padding, in the one way to write it.

    Raises: ValueError.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as exc:
        raise ValueError("not base64url") from exc
    if as_text(raw) != text:  # other letters, or bits, that say the same
        raise ValueError("not base64url as it is written")
    return raw
