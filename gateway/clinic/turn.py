"""Credentials for relays that share a secret with this box: they name their own end, so none is kept anywhere. Pure.

Source: draft-uberti-behave-turn-rest-00 §2.2 (coturn's `static-auth-secret`).
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from gateway.clinic.media.control import Relay

GOOD_S = 7_200  # longer than a consultation


def relays(urls: Sequence[str], secret: str, wall_s: float) -> tuple[Relay, ...]:
    """Return each relay with credentials that are good for two hours; none without a secret.

    >>> relays(["turn:relay.example.org"], "s", 0.0)[0].user
    '7200'
    """
    if not secret:
        return ()
    user = str(int(wall_s) + GOOD_S)
    mac = hmac.new(secret.encode(), user.encode(), hashlib.sha1).digest()
    password = base64.b64encode(mac).decode("ascii")
    return tuple(Relay(url, user, password) for url in urls)
