"""What a request is for, read from its target: RFC 9112 §3.2. Pure.

A target is kept byte for byte, since origins differ in what they take for the same; only the scheme, the host and the
port are normalised (RFC 9110 §4.2.3), the fragment goes, and bytes outside ASCII are percent-encoded.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address

from yarl import URL

from gateway.errors import N_, BadRequest

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?")
_ADDRESS6 = re.compile(r"[0-9a-f:.]{2,45}")
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]+\]|[^:\[\]@]+)(:(?P<port>\d{0,5}))?")
_PORTS = {"http": 80, "https": 443}
HOST_CHARS_MAX = 253  # RFC 1035 §2.3.4


@dataclass(frozen=True, slots=True)
class Authority:
    """A host in small letters, without brackets, and a port if one was given."""

    host: str
    port: int | None


def authority(text: str) -> Authority:
    """Read `host` or `host:port`.

    Raises: BadRequest for user information, a port out of range, and what is no host.

    >>> authority("Salud.localhost:8080")
    Authority(host='salud.localhost', port=8080)
    """
    found = _AUTHORITY.fullmatch(text.lower())
    if found is None:
        raise BadRequest(N_("The address in the request is not valid."))
    host, port = found["host"], int(found["port"]) if found["port"] else None
    if host.startswith("["):
        host = host[1:-1]
        is_host = _is_address6(host)
    else:
        is_host = len(host) <= HOST_CHARS_MAX and _NAME.fullmatch(host) is not None
    if not is_host or (port is not None and not 0 < port <= 65_535):
        raise BadRequest(N_("The address in the request is not valid."))
    return Authority(host.removesuffix("."), port)


def url_in(text: str) -> URL | None:
    """Return the URL that a text is, whoever wrote it; None for what is none.

    >>> url_in("http://a.test/b"), url_in("http://[x]@"), url_in("http://a.test:0x1/")
    (URL('http://a.test/b'), None, None)
    """
    with suppress(ValueError, IndexError):  # yarl 1.25 raises the latter for `//[x]@`
        found = URL(text, encoded=True)
        _ = found.raw_host, found.port  # which are looked at only when they are asked for
        _ascii(text)
        return found
    return None


def bare_query(raw: str) -> bool:
    """Say whether a target ends in a `?` with nothing behind it, which `URL` does not tell.

    >>> bare_query("/a?"), bare_query("/a?#b"), bare_query("/a"), bare_query("/a??")
    (True, True, False, False)
    """
    return raw.partition("#")[0].partition("?")[1:] == ("?", "")


def of_proxy(target: URL, *, bare: bool = False) -> str:
    """Return the URL that a browser asks its proxy for (absolute-form, §3.2.2); `bare`: see `bare_query`.

    Raises: BadRequest for any other form or scheme, and for user information (RFC 9110 §4.2.4).
    """
    if not target.absolute or target.scheme != "http":
        raise BadRequest(
            N_("This proxy takes only complete addresses that begin with http."),
            N_("Open the address without the proxy, or with https."),
        )
    return url("http", authority(target.raw_authority), target, bare=bare)


def of_site(origin: str, target: URL, *, bare: bool = False) -> str:
    """Return the URL at a site's origin for what a browser asked the site for; `bare`: see `bare_query`."""
    scheme, _, rest = origin.partition("://")
    return url(scheme, authority(rest), target, bare=bare)


def of_tunnel(target: URL) -> tuple[str, int]:
    """Return the host and port of a CONNECT request (authority-form, §3.2.3); the port must be there."""
    found = authority(target.raw_authority)
    if found.port is None or target.raw_path not in {"", "/"} or target.scheme:
        raise BadRequest(N_("A tunnel needs a host and a port."))
    return found.host, found.port


def host_asked_for(target: URL, host_field: str | None) -> str:
    """Return the host a request names: that of an absolute target before that of the Host field (§3.2.2)."""
    return authority(target.raw_authority).host if target.absolute else authority(host_field or "").host


def url(scheme: str, at: Authority, target: URL, *, bare: bool = False) -> str:
    """Return a URL in its one spelling; it is the key under which an answer is stored."""
    path = target.raw_path or "/"
    if not path.startswith("/"):
        raise BadRequest(N_("The address in the request is not valid."))  # else it would go on with the host
    host = f"[{at.host}]" if ":" in at.host else at.host
    port = "" if at.port in {None, _PORTS.get(scheme)} else f":{at.port}"
    query = f"?{target.raw_query_string}" if target.raw_query_string or bare else ""
    return f"{scheme}://{host}{port}{_ascii(path)}{_ascii(query)}"


def same_origin(base: str, reference: str | None) -> str | None:
    """Return the URL that a reference in an answer points to, if it is of the same origin as the answer's."""
    if not reference:
        return None
    at, referred = url_in(base), url_in(reference)
    if at is None or referred is None:
        return None
    found = at.join(referred)
    if (found.scheme, found.raw_host, found.port) != (at.scheme, at.raw_host, at.port):
        return None
    try:
        return url(at.scheme, authority(found.raw_authority), found, bare=bare_query(reference))
    except BadRequest:
        return None


def origin_of(text: str) -> str:
    """Return the origin of a URL: its scheme, host and port, as they stand in every key (RFC 9110 §4.3.1).

    >>> origin_of("http://a.test:8080/b?c")
    'http://a.test:8080'
    """
    scheme, _, rest = text.partition("://")
    return f"{scheme}://{re.split('[/?]', rest, maxsplit=1)[0]}"


def peer_of(text: str) -> tuple[str, int]:
    """Return the host and port that a URL's connection goes to."""
    parsed = URL(text, encoded=True)
    return parsed.raw_host or "", parsed.port or _PORTS["http"]


def _is_address6(text: str) -> bool:
    with suppress(ValueError):
        return _ADDRESS6.fullmatch(text) is not None and bool(IPv6Address(text).packed)
    return False


def _ascii(text: str) -> str:
    if text.isascii():
        return text
    raw = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in raw)
