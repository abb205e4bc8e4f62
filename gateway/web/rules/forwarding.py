"""Which fields go on, in either direction: RFC 9110 §7.6. Pure.

Fields of one connection end here; all others keep their order. The box writes its name into `Via`, and a request whose
`Via` already has it has come round in a circle.
"""

import re

from gateway.web.rules.fields import Fields, combined, delta_seconds, first, members, values, without
from gateway.web.rules.validating import CONDITIONAL

LENGTH_DIGITS_MAX = 18  # an exabyte
CODINGS = "br, zstd, gzip"  # asked of every origin, so that one stored answer serves every browser

# RFC 9110 §7.6.1, RFC 9112 §9.3 and Appendix C.2.2, RFC 9111 §3.1
_OF_ONE_CONNECTION = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NEVER_LISTED = frozenset({"cache-control", "set-cookie"})  # §7.6.1: meant for all; without them private is public
# They change what some origins answer and are no part of the key: one browser could write every other's page. `A-IM`
# (RFC 3229) asks for a difference in the place of the whole.
_UNKEYED = frozenset(
    {"a-im", "forwarded", "front-end-https", "x-host", "x-http-host-override", "x-http-method",
     "x-http-method-override", "x-method-override", "x-original-host", "x-original-url", "x-real-ip", "x-rewrite-url",
     "x-scheme", "x-url-scheme"}
)  # fmt: skip
_FORWARDED = "x-forwarded-"  # and whatever stands behind it
_SKIPPED = re.compile(r"[\t\r\n]")  # URL Standard §4.4: a browser reads a URL as if these were not in it
_OURS_TO_ASK = (*CONDITIONAL, "host", "accept-encoding", "range", "content-length", "expect", "max-forwards", "via")


def end_to_end(fields: Fields) -> Fields:
    """Return the fields that are meant for the far end: without those of a connection and those it lists."""
    listed = {member.lower() for member in members(combined(fields, "connection"))} - _NEVER_LISTED
    return without(fields, _OF_ONE_CONNECTION | listed)


def pseudonym(name: str) -> str:
    """Return what a box calls itself in `Via`."""
    return f"tambo-{name}"


def has_passed(fields: Fields, name: str) -> bool:
    """Say whether a message has been here before (RFC 9110 §7.6.3)."""
    return any(pseudonym(name) in member.lower().split() for member in members(combined(fields, "via")))


def with_via(fields: Fields, name: str, version: str = "1.1") -> Fields:
    """Return the fields with this box as the last that passed the message on; `version` is what it came in."""
    before = values(fields, "via")
    return (*without(fields, {"via"}), ("Via", ", ".join([*before, f"{version} {pseudonym(name)}"])))


def for_origin(
    fields: Fields, name: str, *, conditions: Fields = (), as_asked: bool = False, version: str = "1.1"
) -> Fields:
    """Return the fields of the request that goes to the origin.

    The browser's own conditions are answered here, from what the origin sends; `as_asked` keeps them, for requests
    whose answer is not stored.
    """
    kept = without(_keyed(fields), set(_OURS_TO_ASK) - (set(CONDITIONAL) if as_asked else set()))
    hops = delta_seconds(first(fields, "max-forwards"))
    more: Fields = (("Max-Forwards", str(max(hops - 1, 0))),) if hops is not None else ()
    passed = tuple(("Via", value) for value in values(fields, "via"))
    return with_via((*kept, *more, *conditions, ("Accept-Encoding", CODINGS), *passed), name, version)


def _keyed(fields: Fields) -> Fields:
    """Return a request's fields that may decide what the answer is."""
    spelled = ((each, each[0].lower().replace("_", "-")) for each in fields)  # CGI (RFC 3875 §4.1.18) makes them one
    return tuple(each for each, name in spelled if name not in _UNKEYED and not name.startswith(_FORWARDED))


def content_length(fields: Fields) -> int | None:
    """Return the length that a message states (RFC 9110 §8.6), or None for none that can be read."""
    found = first(fields, "content-length") or ""
    return int(found) if found.isascii() and found.isdigit() and len(found) <= LENGTH_DIGITS_MAX else None


def as_at_site(fields: Fields, *, host: str, scheme: str, origin: str) -> Fields:
    """Return a request's fields with the site's own origin in place of the name it has in the village.

    An origin compares `Origin` and `Referer` with the host it knows itself by; a form would be refused otherwise.
    """
    here = f"{scheme}://{host}"
    return tuple(
        (name, _moved(value, here, origin) if name.lower() in {"origin", "referer"} else value)
        for name, value in fields
    )


def as_in_village(fields: Fields, *, origin: str) -> Fields:
    """Return an answer's fields with paths for links to its origin, a redirect stays in the village."""
    return tuple(
        (name, _path_in(value, origin) if name.lower() in {"location", "content-location"} else value)
        for name, value in fields
    )


def _path_in(link: str, origin: str) -> str:
    """Return the path of a link to the origin; the link as it came where its path would lead to another host.

    >>> _path_in("http://a.test/b", "http://a.test"), _path_in("http://a.test?b", "http://a.test")
    ('/b', '/?b')
    >>> _path_in("http://a.test//evil.test", "http://a.test"), _path_in("http://b.test/", "http://a.test")
    ('http://a.test//evil.test', 'http://b.test/')
    """
    rest = link[len(origin) :]
    if not link.lower().startswith(origin.lower()) or rest[:1] not in {"", "/", "?", "#"}:
        return link
    path = _SKIPPED.sub("", rest)
    if path[:2] in {"//", "/\\"}:  # RFC 3986 §4.2, and the URL Standard, to which \ is /
        return link
    return path if path.startswith("/") else f"/{path}"


def _moved(value: str, before: str, after: str) -> str:
    rest = value[len(before) :]
    return after + rest if value.lower().startswith(before.lower()) and rest[:1] in {"", "/", "?"} else value
