"""Which groups a stored answer is in, and which ones an answer says have changed: RFC 9875. Pure.

Groups are of one origin. They are named by strings; what is not a string in the list is left out, parameters mean
nothing, and a field that is no list at all names no group.
"""

import http_sf

from gateway.web.rules.fields import Fields, combined

GROUPS_MAX = 64  # of one answer; RFC 9875 §2 asks for 32 at least
GROUP_CHARS_MAX = 128  # RFC 9875 §2 asks for 32 at least
_FIELD_CHARS_MAX = GROUPS_MAX * GROUP_CHARS_MAX


def groups_of(fields: Fields) -> frozenset[str]:
    """Return the groups that an answer is in (§2).

    >>> sorted(groups_of((("Cache-Groups", '"scripts", "a,b";x=1, token, 3'),)))
    ['a,b', 'scripts']
    """
    return _strings(combined(fields, "cache-groups"))


def changed_groups(fields: Fields) -> frozenset[str]:
    """Return the groups that the answer to an unsafe request says have changed (§3)."""
    return _strings(combined(fields, "cache-group-invalidation"))


def _strings(value: str | None) -> frozenset[str]:
    if not value or len(value) > _FIELD_CHARS_MAX:
        return frozenset()
    try:
        found = http_sf.parse(value.encode("ascii"), tltype="list")
    except ValueError:  # the library's own error, and what is not ASCII
        return frozenset()
    named = [member[0] for member in found if isinstance(member, tuple)] if isinstance(found, list) else []
    fit = [each for each in named if type(each) is str and len(each) <= GROUP_CHARS_MAX]
    return frozenset(fit[:GROUPS_MAX])
