"""A webhook's body counts only with the shop's signature over its very bytes. Pure.

A box behind a carrier's NAT cannot be called: it asks the shop instead. Where something of ours can be called (a hub),
this tells whether it was the shop that did.

Source: WooCommerce REST API v3, "Webhooks": `X-WC-Webhook-Signature` is the base64 of HMAC-SHA256 over the payload.
"""

import base64
import hashlib
import hmac

from gateway.document import read_document
from gateway.errors import GatewayError
from gateway.market.batch import Receipt
from gateway.market.marketplaces.woo_orders import decided, read_order

BODY_BYTES_MAX = 1_000_000  # an order of 200 lines with all that the shop says of them takes about 200 kB


def is_signed(body: bytes, signature: str, secret: str) -> bool:
    """Say whether the shop that shares the secret signed these bytes; an empty secret signs nothing."""
    wanted = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest())
    return bool(secret) and hmac.compare_digest(wanted, signature.encode(errors="replace"))


def read_webhook(body: bytes, topic: str) -> Receipt | None:
    """Return what a signed `order.updated` decided about one of our orders; None when nothing."""
    if topic not in {"order.created", "order.updated"}:
        return None
    try:
        found = read_order(read_document(body, BODY_BYTES_MAX))
    except GatewayError:
        return None
    return None if found is None else decided(found)
