"""Which directives govern an answer here: those that its origin aimed at this kind of cache, else Cache-Control. Pure.

RFC 9213 §2.2: the first field of this cache's target list that is there and can be read replaces `Cache-Control` *and*
`Expires`; one that is empty or broken counts as absent (§2.1). A site's cache stands in for the site as a CDN does,
its operator having agreed to it; a forward proxy does not, so `CDN-Cache-Control` is not for it.

Everything that reads the directives of an answer asks here. An answer's fields are read once: `policy` remembers.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

import http_sf

from gateway.web.rules.fields import Fields, combined, delta_seconds, directive, directives, first, is_too_long, members

SITE_TARGETS = ("tambo-cache-control", "cdn-cache-control")
PROXY_TARGETS = ("tambo-cache-control",)
TARGETED_CHARS_MAX = 4_096  # as long a list of directives as anybody sends; a longer one is not read
POLICIES_MAX = 1_024  # remembered, with the fields that they were read from: 32 KB each at the worst, 1 KB as a rule

_SECONDS = frozenset({"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"})
_QUALIFIABLE = frozenset({"no-cache", "private"})
# A qualified directive that names one of these cannot be kept by leaving the field away: it counts as unqualified.
_SPINE = frozenset(
    {*SITE_TARGETS, "age", "cache-control", "content-encoding", "content-length", "content-range", "content-type",
     "date", "etag", "expires", "last-modified", "vary",
     "content-disposition", "content-security-policy", "location", "refresh", "www-authenticate"}
)  # fmt: skip
_MEANT = re.compile(r"(?<![\w-])(private|no-store|no-cache|must-revalidate|proxy-revalidate)(?![\w-])", re.IGNORECASE)
# What a cache must understand is what a status asks of it (RFC 9111 §5.2.2.3): those of RFC 9110 §15 that are final,
# less 206 and 304, which are never stored as they come.
UNDERSTOOD = frozenset(
    {200, 201, 202, 203, 204, 205, *range(300, 304), 305, 307, 308, *range(400, 418), 421, 422, 426, *range(500, 506)}
)


@dataclass(frozen=True, slots=True)
class Policy:
    """What governs an answer: directives in small letters, with arguments; `expires` None where it is not read."""

    said: dict[str, str | None]
    expires: str | None
    withheld: frozenset[str] = frozenset()  # fields that are for one browser, or never for reuse (§5.2.2.4, §5.2.2.7)

    def seconds(self, name: str) -> int | None:
        """Return the argument of a directive, or None where there is none that can be read."""
        return delta_seconds(self.said.get(name))

    def has(self, *names: str) -> bool:
        """Say whether one of the directives is there."""
        return not self.said.keys().isdisjoint(names)


def policy(fields: Fields, site: str) -> Policy:
    """Return what governs an answer in the realm of a site, or of the forward proxy (`site` empty)."""
    return _policy(fields, bool(site))


@lru_cache(POLICIES_MAX)
def _policy(fields: Fields, of_site: bool) -> Policy:
    for name in SITE_TARGETS if of_site else PROXY_TARGETS:
        said = targeted(combined(fields, name))
        if said is not None:
            return _qualified(said, expires=None)
    return _qualified(_carefully(fields), first(fields, "expires"))


def _carefully(fields: Fields) -> dict[str, str | None]:
    """Return the directives of Cache-Control, of two readings the one that keeps less.

    What cannot be read counts as what it seems to forbid (`private; max-age=60`), and so does a list too long to read.
    """
    control, said = combined(fields, "cache-control"), directives(fields)
    qualified: defaultdict[str, list[str | None]] = defaultdict(list)
    for member in members(control):
        found = directive(member)
        for name, argument in [found] if found else [(each.lower(), None) for each in _MEANT.findall(member)]:
            if name in _QUALIFIABLE:
                qualified[name].append(argument)
            elif not found:
                said[name] = argument
    for name, arguments in qualified.items():
        # §5.2.2.4, §5.2.2.7: the unqualified form says more; of several qualified ones each holds
        said[name] = ", ".join(each for each in arguments if each) if all(arguments) else None
    return said | {"private": None} if is_too_long(control) else said


def targeted(value: str | None) -> dict[str, str | None] | None:
    """Return the directives of a targeted field, or None where it counts as absent (RFC 9213 §2.1).

    A directive whose value is of another type than it takes is left out; one that is false is not said.

    >>> targeted('max-age=60;x, private="X-A", no-store=?0'), targeted('max-age="60"'), targeted("max-age=60,")
    ({'max-age': '60', 'private': 'X-A'}, {}, None)
    """
    if not value or len(value) > TARGETED_CHARS_MAX:
        return None
    try:
        found = http_sf.parse(value.encode("ascii"), tltype="dictionary")
    except ValueError:  # the library's own error, and what is not ASCII
        return None
    if not isinstance(found, dict) or not found:
        return None
    said: dict[str, str | None] = {}
    for name, member in found.items():
        argument = member[0] if isinstance(member, tuple) else member
        if name in _SECONDS:
            if type(argument) is int:
                said[name] = str(argument)
        elif argument is not False:
            said[name] = argument if isinstance(argument, str) else None
    return said


def _qualified(said: dict[str, str | None], expires: str | None) -> Policy:
    """§5.2.2.4, §5.2.2.7: a qualified `no-cache` or `private` speaks of the fields that it names alone."""
    withheld: set[str] = set()
    for name in _QUALIFIABLE & said.keys():
        named = {member.lower() for member in members(said[name])}
        if named and not named & _SPINE and not is_too_long(said[name]):
            withheld |= named
            del said[name]
    return Policy(said, expires, frozenset(withheld))
