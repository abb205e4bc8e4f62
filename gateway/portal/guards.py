"""What every answer of the portal tells the browser not to do. Pure.

A page runs only its own style and script, sends forms only home, is framed by nobody, and opens camera and microphone
only where a consultation is. `Referrer-Policy` is `same-origin`, not `no-referrer`: with the latter browsers send
`Origin: null` with our own forms, and on plain HTTP nothing else says where a form comes from (Fetch §3.2.6).

Source: CSP Level 3, OWASP ASVS 5.0 §3.4.
"""

from collections.abc import MutableMapping

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_NO_DEVICES = "camera=(), microphone=(), geolocation=(), display-capture=(), usb=(), payment=()"
_CALL_DEVICES = "camera=(self), microphone=(self), geolocation=(), display-capture=(self), usb=(), payment=()"


def guard(headers: MutableMapping[str, str], *, is_call: bool = False, personal: bool = True) -> None:
    """Add the fields that hold for every page; `is_call` lets it use camera and microphone."""
    headers["Content-Security-Policy"] = POLICY
    headers["Permissions-Policy"] = _CALL_DEVICES if is_call else _NO_DEVICES
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Referrer-Policy"] = "same-origin"
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Cache-Control", "no-store" if personal else "private, no-cache")
