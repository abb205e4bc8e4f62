"""Bundles to test with."""

import hashlib
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from gateway.durable.recipient import as_text
from gateway.market.bundle import FORM, BundleWriter
from gateway.market.order import content_hash
from gateway.market.receipts import ReceiptKey, trusted_keys
from gateway.market.records import StoredOrder
from tests.unit.market.orders import an_order

BOX = ReceiptKey("SMT", bytes(range(32)))
STRANGER = ReceiptKey("SMT", bytes(range(2, 34)))
TRUSTED = trusted_keys([BOX.public])
SECRET = bytes(range(100, 132))
RECIPIENT = as_text(X25519PrivateKey.from_private_bytes(SECRET).public_key().public_bytes_raw())


def stored(note: str = "Por la tarde", revision: int = 1, is_cancelled: bool = False) -> StoredOrder:
    order = an_order(note=note)
    made = content_hash(order, "ana")
    return StoredOrder(order, "ana", "SMT-0001-0001", 1.8e9, "trusted", made, revision, is_cancelled)


def bundle_of(orders: Sequence[StoredOrder], key: ReceiptKey = BOX, recipient: str = "", at_once: int = 7) -> bytes:
    writer = BundleWriter(key, "san-mateo", "2027-01-15T08:00:00.250Z", recipient)
    pieces = [writer.begin()]
    pieces += [writer.add(orders[at : at + at_once]) for at in range(0, len(orders), at_once)]
    return b"".join([*pieces, writer.end()])


def signed(body: bytes, count: int, key: ReceiptKey = BOX) -> bytes:
    """A file of whatever content, with the end that makes it a bundle of the box."""
    counted = body + count.to_bytes(8, "big")
    return counted + key.sign(FORM.encode() + b"\0" + hashlib.sha512(counted).digest())
