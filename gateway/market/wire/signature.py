"""A delivery is signed at each try: whoever holds the secret can tell who sent it, and that it is whole. Pure.

Signed is `id.timestamp.body` with HMAC-SHA256; the body is the document before its content coding, since what stands in
front of a marketplace often takes the coding off. The usual tolerance of five minutes supposes clocks that are right: a
box without a battery clock may be years off until it heard the time, and its orders would be refused meanwhile. Here a
repeated delivery has no effect, because orders are told apart by id and revision: so a marketplace may do without the
time (`tolerance_s` None), or be generous with it.

Source: Standard Webhooks 1.0.0, "Signature scheme" and "Verifying webhook authenticity"; RFC 2104.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from enum import StrEnum

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
PREFIX = "whsec_"
TOLERANCE_S = 300.0  # the specification's own
KEY_BYTES_MIN, KEY_BYTES_MAX = 24, 64  # "Webhook secrets": between 24 and 64 bytes
_VERSION = "v1"
_SIGNATURES_MAX = 8  # of one delivery, while a secret is changed
_TIMESTAMP_CHARS_MAX = 15


class Check(StrEnum):
    """What became of a check."""

    GENUINE = "genuine"
    UNSIGNED = "unsigned"  # a field is missing, or cannot be read
    WRONG = "wrong"  # signed by another secret, or changed since
    TOO_OLD = "too-old"  # or from the future, by more than the tolerance


def key_from(secret: str) -> bytes:
    """Return the key in a secret as it is handed over: `whsec_` and base64.

    Raises: ValueError, which repeats nothing of it.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not a webhook secret") from None
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        raise ValueError("not a webhook secret")
    return key


def sign(key: bytes, message_id: str, wall_s: float, body: bytes) -> dict[str, str]:
    """Return the fields that sign a body now.

    >>> sign(b"k" * 24, "msg_1", 1_800_000_000.7, b"{}")["webhook-timestamp"]
    '1800000000'
    """
    timestamp = str(int(wall_s))
    return {ID: message_id, TIMESTAMP: timestamp, SIGNATURE: f"{_VERSION},{_mac(key, message_id, timestamp, body)}"}


def verify(
    key: bytes, fields: Mapping[str, str], body: bytes, wall_s: float, *, tolerance_s: float | None = TOLERANCE_S
) -> Check:
    """Say whether these fields (lower-case names) sign this body; without a tolerance, at whatever time."""
    message_id, timestamp = fields.get(ID, ""), fields.get(TIMESTAMP, "")
    if not message_id or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > _TIMESTAMP_CHARS_MAX:
        return Check.UNSIGNED
    given = [each.partition(",") for each in fields.get(SIGNATURE, "").split()[:_SIGNATURES_MAX]]
    signatures = [signature for version, _, signature in given if version == _VERSION]
    if not signatures:
        return Check.UNSIGNED
    right = _mac(key, message_id, timestamp, body).encode()
    if not any(hmac.compare_digest(right, signature.encode()) for signature in signatures):
        return Check.WRONG
    if tolerance_s is not None and abs(wall_s - int(timestamp)) > tolerance_s:
        return Check.TOO_OLD
    return Check.GENUINE


def _mac(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    content = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode("ascii")
