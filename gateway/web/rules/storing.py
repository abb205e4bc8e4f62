"""Which answers may be kept, and what of them: RFC 9111 §3, as a cache shared by a village. Pure.

Some rules are stricter than the RFC, because what is stored is shown to everybody, and with the link down even when it
is stale. An answer that sets a cookie may be one person's page, and so may one that was given to a request that says
who asks (`credentials`): it is kept only where its origin says that it is for all (`public`), or for a while (a
lifetime above 0; for credentials `s-maxage`). The cookie itself is for who asked, whatever the origin says.
`must-revalidate` does not open credentials' answers here (§3.5 lets it): with the link down nobody could be asked. An
answer with `Vary: *` could never be chosen again, and one that goes on for ever is of no use to who comes later.
"""

from gateway.web.rules.credentials import has_credentials, says_who
from gateway.web.rules.fields import Fields, combined, directives, first, is_too_long, members, values, without
from gateway.web.rules.freshness import HEURISTICALLY_CACHEABLE, explicit, keeps_a_while
from gateway.web.rules.policy import UNDERSTOOD, Policy, policy

_PARTIAL, _NOT_MODIFIED = 206, 304
_ENDLESS = frozenset({"text/event-stream", "multipart/x-mixed-replace"})  # HTML §9.2; pictures of a camera


def may_store(method: str, asked: Fields, status: int, fields: Fields, site: str) -> bool:
    """Say whether the answer to a request may be stored for others in its realm."""
    governing = policy(fields, site)
    if endless(fields):
        return False
    if method != "GET" or not 200 <= status <= 599 or status in {_PARTIAL, _NOT_MODIFIED}:
        return False  # §3: a method whose answers we reuse, a final status; parts are combined elsewhere
    if "no-store" in directives(asked) or not _left_to_store(status, governing):
        return False  # §5.2.1.5
    if governing.has("private"):
        return False  # §5.2.2.7
    if has_credentials(asked) and not governing.has("public") and not governing.seconds("s-maxage"):
        return False  # §3.5, and stricter
    if not (governing.has("public") or explicit(governing) or status in HEURISTICALLY_CACHEABLE):
        return False  # §3, last item
    varies = combined(fields, "vary")
    return not (is_too_long(varies) or "*" in members(varies) or _personal(asked, fields, governing))


def endless(fields: Fields) -> bool:
    """Say whether an answer is of a kind that goes on until its reader leaves."""
    return (first(fields, "content-type") or "").partition(";")[0].strip().lower() in _ENDLESS


def to_store(fields: Fields, site: str) -> Fields:
    """Return the fields of an answer that others may get too: without those that are for one browser."""
    return without(fields, {*policy(fields, site).withheld, "set-cookie"})


def _left_to_store(status: int, governing: Policy) -> bool:
    """§5.2.2.3: must-understand sets no-store aside for a status that is understood, and else forbids storing."""
    if governing.has("must-understand"):
        return status in UNDERSTOOD
    return not governing.has("no-store")  # §5.2.2.5


def _personal(asked: Fields, fields: Fields, governing: Policy) -> bool:
    if governing.has("public"):
        return False
    if values(fields, "set-cookie") and "set-cookie" not in governing.withheld:
        return True
    keyed = frozenset(member.lower() for member in members(combined(fields, "vary")))
    return says_who(asked, keyed) and (not keeps_a_while(governing, fields) or governing.has("no-cache"))
