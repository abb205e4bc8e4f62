"""What is sealed to a recipient opens with the recipient's secret alone, whole, in its order, below its own head.

Each file has a key of its own: X25519 between a pair made for the file and the recipient's, through HKDF with the head
in it. Pieces are numbered in their nonces and the last one is marked (STREAM), so none can be left out or moved.

Source: RFC 7748 §6.1 (X25519), RFC 5869 (HKDF), NIST SP 800-38D (GCM); Hoang et al., "Online Authenticated-Encryption
and its Nonce-Reuse Misuse-Resistance", CRYPTO 2015 (STREAM).
"""

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import N_, CannotStart
from gateway.market.receipts import as_bytes, as_text

TAG_BYTES = 16
SECRET_BYTES = 32
_INFO = b"tambo-orders/1 seal\0"


def new_pair() -> tuple[str, str]:
    """Return a recipient's new secret and its public key, in base64url."""
    secret = X25519PrivateKey.generate()
    return as_text(secret.private_bytes_raw()), as_text(secret.public_key().public_bytes_raw())


def read_secret(text: str) -> bytes:
    """Return the secret that a file of `new_pair` holds.

    Raises: CannotStart.
    """
    try:
        secret = as_bytes(text.strip())
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise CannotStart(
            N_("The file holds no secret of a recipient."), N_("Name the file that tambo orders keygen made.")
        )
    return secret


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
    """Whom a file is sealed to; `public` stands in its head."""

    def __init__(self, key: str) -> None:
        own = X25519PrivateKey.generate()
        self.public = as_text(own.public_key().public_bytes_raw())
        try:
            self._theirs = as_bytes(key)
            self._shared = own.exchange(X25519PublicKey.from_public_bytes(self._theirs))
        except ValueError as exc:  # of another length, or a point that would make no secret (RFC 7748 §6.1)
            raise CannotStart(
                N_("The key that bundles are sealed to is none."),
                N_("Set bundle_recipient to what tambo orders keygen printed."),
            ) from exc

    def seal(self, head: bytes) -> Seal:
        """Return what seals the pieces below a head."""
        return Seal(_cipher(self._shared, self._theirs, head))


class Opening:
    """Opens pieces again, in their order."""

    def __init__(self, public: str, secret: bytes, head: bytes) -> None:
        """Raises: ValueError."""
        own = X25519PrivateKey.from_private_bytes(secret)
        shared = own.exchange(X25519PublicKey.from_public_bytes(as_bytes(public)))
        self._cipher = _cipher(shared, own.public_key().public_bytes_raw(), head)
        self._count = 0

    def open(self, piece: bytes, *, is_last: bool) -> bytes:
        """Return the next piece in clear.

        Raises: InvalidTag.
        """
        self._count += 1
        return self._cipher.decrypt(_nonce(self._count, is_last), piece, None)


def _cipher(shared: bytes, recipient: bytes, head: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=_INFO + recipient + head).derive(shared))


def _nonce(count: int, is_last: bool) -> bytes:
    return count.to_bytes(11, "big") + bytes([is_last])
