"""Which answers may be kept: RFC 9111 §3, as a cache shared by a village. Pure.

Some rules are stricter than the RFC, because what is stored is shown to everybody, and with the link down even when it
is stale. An answer that sets a cookie may be one person's page, and so may one that was given to a request with a
cookie or with credentials: it is kept only where its origin says that it is for all (`public`), or for a while (a
lifetime above 0; for credentials `s-maxage`). `must-revalidate` does not open credentials' answers here (§3.5 lets
it): with the link down nobody could be asked. An answer with `Vary: *` could never be chosen again.
"""

from gateway.web.fields import Fields, combined, delta_seconds, directives, members, values
from gateway.web.freshness import HEURISTICALLY_CACHEABLE, explicit, keeps_a_while

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
    if values(asked, "authorization") and "public" not in said and not delta_seconds(said.get("s-maxage")):
        return False  # §3.5, and stricter
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
    return bool(values(asked, "cookie")) and (not keeps_a_while(fields) or "no-cache" in said)
