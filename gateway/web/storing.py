"""Which answers may be kept: RFC 9111 §3, as a cache shared by a village. Pure.

Three rules are stricter than the RFC, because what is stored is shown to everybody, and with the link down even when
it is stale: an answer that sets a cookie, or that was given to a request with a cookie and says nothing of its
lifetime, may be one person's page; an answer with `Vary: *` could never be chosen again.
"""

from gateway.web.fields import Fields, combined, directives, members, values
from gateway.web.freshness import HEURISTICALLY_CACHEABLE, explicit

_PARTIAL, _NOT_MODIFIED = 206, 304


def may_store(method: str, asked: Fields, status: int, fields: Fields) -> bool:
    """Say whether the answer to a request may be stored."""
    wants, said = directives(asked), directives(fields)
    if method != "GET" or not 200 <= status <= 599 or status in {_PARTIAL, _NOT_MODIFIED}:
        return False  # §3: a method whose answers we reuse, a final status; parts are not combined
    if "no-store" in wants or ("no-store" in said and not _understood(status, said)):
        return False  # §5.2.1.5, §5.2.2.5
    if "private" in said:
        return False  # §5.2.2.7; the form with field names is taken as the whole, which it allows
    if values(asked, "authorization") and not said.keys() & {"public", "s-maxage", "must-revalidate"}:
        return False  # §3.5
    if not ("public" in said or explicit(fields) or status in HEURISTICALLY_CACHEABLE):
        return False  # §3, last item
    return not _personal(asked, fields, said) and "*" not in members(combined(fields, "vary"))


def _understood(status: int, said: dict[str, str | None]) -> bool:
    """§5.2.2.3: must-understand sets no-store aside for statuses whose rules are kept here."""
    return "must-understand" in said and status in HEURISTICALLY_CACHEABLE


def _personal(asked: Fields, fields: Fields, said: dict[str, str | None]) -> bool:
    if "public" in said:
        return False
    if values(fields, "set-cookie"):
        return True
    shared = explicit(fields) and "no-cache" not in said
    return bool(values(asked, "cookie")) and not shared
