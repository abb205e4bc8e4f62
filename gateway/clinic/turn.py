"""Credentials for relays that share a secret with this box: they name their own end, so none is kept anywhere. Pure.

Source: draft-uberti-behave-turn-rest-00 §2.2 (coturn's `static-auth-secret`).
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from gateway.clinic.media.control import Relay

GOOD_S = 43_200  # a page that is opened in the morning finds its way until the evening


def relays(urls: Sequence[str], secret: str, wall_s: float) -> tuple[Relay, ...]:
    """Return each relay with credentials that are good for twelve hours; none without a secret.

    >>> relays(["turn:relay.example.org"], "s", 0.0)[0].user
    '43200'
    """
    if not secret:
        return ()
    user = str(int(wall_s) + GOOD_S)
    mac = hmac.new(secret.encode(), user.encode(), hashlib.sha1).digest()
    password = base64.b64encode(mac).decode("ascii")
    return tuple(Relay(url, user, password) for url in urls)


def ice_servers(found: Sequence[Relay]) -> list[Mapping[str, str]]:
    """Return relays as a page's script hands them to its browser (W3C WebRTC §4.2.4, `RTCIceServer`).

    >>> ice_servers([Relay("turn:relay.example.org", "7200", "p")])
    [{'urls': 'turn:relay.example.org', 'username': '7200', 'credential': 'p'}]
    """
    return [{"urls": each.url, "username": each.user, "credential": each.password} for each in found]
