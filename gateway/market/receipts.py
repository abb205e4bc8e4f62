"""A receipt can be checked by any box of the operator, without a link: the box that gave it has signed it.

What is signed is short enough for a QR code: the receipt's number, the order's id, hash, total and time. The text is
`TAMBO1.<what is signed>.<signature>`, both in base64url. Ed25519 signs the same text the same way each time, so that
nothing of it need be kept.

Source: RFC 8032 (Ed25519), RFC 4648 §5 (base64url).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.document import canonical, read_document
from gateway.durable.recipient import as_bytes, as_text
from gateway.errors import N_, CannotStart, GatewayError
from gateway.market.order import is_order_id, is_time
from gateway.market.records import OrderView

TEXT_CHARS_MAX = 600
HASH_CHARS = 32  # half of a SHA-256: 128 bits bind the receipt to what was ordered
_FORM = "TAMBO1"
_KEY_BYTES = 32
_CODE = re.compile(r"[A-Z0-9]{1,8}")
_SHAPES: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "box": _CODE,
        "hash": re.compile(r"[0-9a-f]{32}"),
        "id": re.compile(r"[0-9a-f-]{36}"),
        "receipt": re.compile(r"[A-Z0-9]{1,8}-[0-9]{4}-[0-9]{4,12}"),
        "time": re.compile(r"[0-9TZ:.+-]{20,35}"),
        "total": re.compile(r"(0|[1-9][0-9]{0,17}) [A-Z]{3}"),
    }
)

Keys = Mapping[str, tuple[Ed25519PublicKey, ...]]  # by box; one that was replaced has several


@dataclass(frozen=True, slots=True)
class Statement:
    """What a signed receipt says: `hash` is the beginning of the order's, `total` minor units and their currency."""

    box: str
    receipt: str
    id: str
    hash: str
    total: str
    time: str


class ReceiptKey:
    """The key with which a box signs; made from 32 bytes that nobody else has."""

    def __init__(self, box_code: str, seed: bytes) -> None:
        self._box_code = box_code
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public(self) -> str:
        """What another box needs to check this one's receipts: `CODE:key`."""
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return f"{self._box_code}:{as_text(raw)}"

    def sign(self, message: bytes) -> bytes:
        """Return the signature over a message, 64 bytes."""
        return self._key.sign(message)

    def signed(self, view: OrderView) -> str:
        """Return the signed receipt of an order, as text for a QR code; "" of a damaged one."""
        if view.is_damaged:
            return ""
        said = canonical(
            {
                "box": self._box_code,
                "hash": view.hash[:HASH_CHARS],
                "id": view.id,
                "receipt": view.receipt,
                "time": view.recorded_at,
                "total": f"{view.total_minor} {view.currency}",
            }
        )
        return f"{_FORM}.{as_text(said)}.{as_text(self._key.sign(said))}"


def trusted_keys(lines: Iterable[str]) -> Keys:
    """Return the boxes that are believed, each line as `ReceiptKey.public` writes it.

    Raises: CannotStart.
    """
    keys: dict[str, tuple[Ed25519PublicKey, ...]] = {}
    for line in lines:
        code, _, key = line.partition(":")
        try:
            raw = as_bytes(key)
        except ValueError:
            raw = b""
        if len(raw) != _KEY_BYTES or not _CODE.fullmatch(code):
            raise CannotStart(
                N_("This is no key of a box: a code, a colon and 43 characters."),
                N_("Copy it as tambo orders key prints it on that box."),
            )
        keys[code] = (*keys.get(code, ()), Ed25519PublicKey.from_public_bytes(raw))
    return keys


def check(text: str, keys: Keys) -> Statement | None:
    """Return what a signed receipt says; None when it is none, or not of a box that is trusted."""
    if len(text) > TEXT_CHARS_MAX:
        return None
    parts = "".join(text.split()).split(".")
    if len(parts) != 3 or parts[0] != _FORM:
        return None
    try:
        said, signature = as_bytes(parts[1]), as_bytes(parts[2])
        told = _statement(said)
    except (ValueError, GatewayError):
        return None
    return told if told is not None and is_signed(said, signature, keys.get(told.box, ())) else None


def is_signed(message: bytes, signature: bytes, keys: Iterable[Ed25519PublicKey]) -> bool:
    """Say whether one of these keys signed a message."""
    for key in keys:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            continue
        return True
    return False


def _statement(said: bytes) -> Statement | None:
    """Return what is said, when all of it is there and nothing else."""
    found = read_document(said, TEXT_CHARS_MAX)
    if not isinstance(found, dict) or found.keys() != _SHAPES.keys():
        return None
    if not all(isinstance(found[name], str) and shape.fullmatch(found[name]) for name, shape in _SHAPES.items()):
        return None
    told = Statement(**found)
    return told if is_order_id(told.id) and is_time(told.time) else None
