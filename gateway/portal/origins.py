"""Whether a request that changes something was made by a page of ours, and whether a page may keep a secret. Pure.

A browser says where a request comes from: `Sec-Fetch-Site` where the page is trustworthy, `Origin` with every POST,
else `Referer`. A request that says nothing of it is refused: no browser of the last years is silent.

Source: Fetch §3.2 (Origin), Fetch Metadata §2.4, W3C Secure Contexts §3.1, OWASP Cross-Site Request Forgery Prevention.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def host_name(host: str) -> str:
    """Return a Host header without its port, in small letters.

    >>> host_name("Salud.localhost:8080"), host_name("[::1]:80"), host_name("")
    ('salud.localhost', '::1', '')
    """
    bare = host.strip().lower()
    if bare.startswith("["):
        return bare[1:].partition("]")[0]
    return bare.partition(":")[0]


def port_of(host: str) -> str:
    """Return the port in a Host header, with its colon, or nothing.

    >>> port_of("localhost:8080"), port_of("[::1]:80"), port_of("localhost"), port_of("x:y")
    (':8080', ':80', '', '')
    """
    _, colon, port = host.rpartition("]")[2].rpartition(":")
    return f":{port}" if colon and port.isascii() and port.isdigit() and len(port) <= 5 else ""


def is_loopback(host: str) -> bool:
    """Say whether a Host header names this machine itself: a browser trusts it without HTTPS.

    >>> [is_loopback(host) for host in ("localhost:8080", "a.localhost", "127.0.0.1", "[::1]:9", "10.0.0.1")]
    [True, True, True, True, False]
    """
    name = host_name(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_trustworthy(scheme: str, host: str) -> bool:
    """Say whether a browser gives a page of this origin a camera and takes its `Secure` cookies."""
    return scheme == "https" or is_loopback(host)


def came_from_here(headers: Mapping[str, str], scheme: str, host: str) -> bool:
    """Say whether the browser tells that a page of this very origin made the request."""
    site = headers.get("Sec-Fetch-Site")
    if site is not None and site != "same-origin":
        return False
    told = headers.get("Origin") or headers.get("Referer")
    if told is None:
        return site == "same-origin"
    return _origin(told) == _origin(f"{scheme}://{host}") is not None


def _origin(url: str) -> tuple[str, str, str] | None:
    try:
        parts = urlsplit(url)
        port = str(parts.port or _DEFAULT_PORTS.get(parts.scheme, ""))
    except ValueError:
        return None
    if not parts.hostname or parts.scheme not in _DEFAULT_PORTS:
        return None
    return parts.scheme, parts.hostname, port
