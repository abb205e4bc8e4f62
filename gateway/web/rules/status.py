"""`Cache-Status` says on every answer what this cache did: RFC 9211. Pure."""

from enum import StrEnum

import http_sf

CACHE = "tambo"
FIELD = "Cache-Status"


class Forwarded(StrEnum):
    """Why a request went on to the origin (RFC 9211 §2.2)."""

    BYPASS = "bypass"
    METHOD = "method"
    URI_MISS = "uri-miss"
    VARY_MISS = "vary-miss"
    REQUEST = "request"
    STALE = "stale"
    PARTIAL = "partial"


def joined(before: str | None, ours: str) -> str:
    """Return the field with our member last (RFC 9211 §2); what stood before goes if it is no list, which ours is.

    >>> joined("far; hit", "tambo; hit"), joined("far; hit,", "tambo; hit"), joined(None, "tambo; hit")
    ('far; hit, tambo; hit', 'tambo; hit', 'tambo; hit')
    """
    if not before:
        return ours
    try:
        http_sf.parse(before.encode("ascii"), tltype="list")
    except ValueError:  # the library's own error, and what is not ASCII
        return ours
    return f"{before}, {ours}"


def hit(ttl_s: float, detail: str | None = None) -> str:
    """Return the value for an answer from the store.

    >>> hit(120.9), hit(-30, "link-down")
    ('tambo; hit; ttl=120', 'tambo; hit; ttl=-30; detail=link-down')
    """
    return f"{CACHE}; hit; ttl={int(ttl_s)}" + (f"; detail={detail}" if detail else "")


def refused(detail: str) -> str:
    """Return the value for an answer of the box's own, where there was none to pass on.

    >>> refused("link-down")
    'tambo; detail=link-down'
    """
    return f"{CACHE}; detail={detail}"


def forwarded(
    why: Forwarded,
    status: int | None = None,
    *,
    stored: bool = False,
    collapsed: bool = False,
    detail: str | None = None,
) -> str:
    """Return the value for an answer that took a request to the origin.

    >>> forwarded(Forwarded.STALE, 304), forwarded(Forwarded.URI_MISS, 200, stored=True, collapsed=True)
    ('tambo; fwd=stale; fwd-status=304', 'tambo; fwd=uri-miss; fwd-status=200; stored; collapsed')
    """
    parts = [CACHE, f"fwd={why.value}"]
    if status is not None:
        parts.append(f"fwd-status={status}")
    if stored:
        parts.append("stored")
    if collapsed:
        parts.append("collapsed")
    if detail:
        parts.append(f"detail={detail}")
    return "; ".join(parts)
