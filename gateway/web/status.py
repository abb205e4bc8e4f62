"""`Cache-Status` says on every answer what this cache did: RFC 9211. Pure."""

from enum import StrEnum

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
