"""A bundle is sealed to the recipient of its orders, and to nothing else that is sealed to that recipient."""

from gateway.durable.recipient import SECRET_BYTES, Opening, Recipient, as_bytes
from gateway.errors import N_, CannotStart

_PURPOSE = b"tambo-orders/1 seal\0"


def read_secret(text: str) -> bytes:
    """Return the secret that a file of `tambo orders keygen` holds.

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


def recipient(key: str) -> Recipient:
    """Return whom a bundle is sealed to.

    Raises: CannotStart.
    """
    try:
        return Recipient(key, _PURPOSE)
    except ValueError as exc:
        raise CannotStart(
            N_("The key that bundles are sealed to is none."),
            N_("Set bundle_recipient to what tambo orders keygen printed."),
        ) from exc


def opening(public: str, secret: bytes, head: bytes) -> Opening:
    """Return what opens a bundle again.

    Raises: ValueError.
    """
    return Opening(public, secret, head, _PURPOSE)
