"""Which stored answer a request may get: RFC 9111 §4.1. Pure.

`Accept-Encoding` is left out: every request to an origin asks for the same codings (`forwarding.CODINGS`), and a
coding that a browser cannot read is taken off here.
"""

import hashlib
from dataclasses import dataclass

from gateway.web.fields import Fields, combined, members
from gateway.web.stored import Shelf, StoredResponse

_OURS = "accept-encoding"
_SECRET = frozenset({"cookie", "authorization"})


@dataclass(frozen=True, slots=True)
class Selection:
    """The stored answer for a request, if any; `others` says that the URL has answers, only not for this request."""

    stored: StoredResponse | None
    others: bool


def variant_of(answer: Fields, asked: Fields) -> Fields:
    """Return the request's fields that the answer says it depends on, each as one normalised value.

    >>> variant_of((("Vary", "Accept-Language"),), (("accept-language", "es,  qu"),))
    (('accept-language', 'es, qu'),)
    """
    named = dict.fromkeys(member.lower() for member in members(combined(answer, "vary")))
    return tuple((name, _normal(asked, name)) for name in named if name != _OURS)


def select(shelf: Shelf, asked: Fields) -> Selection:
    """Return the newest stored answer that matches a request."""
    for stored in shelf:
        if "*" not in {name for name, _ in stored.vary} and variant_of(stored.fields, asked) == stored.vary:
            return Selection(stored, others=False)
    return Selection(None, others=bool(shelf))


def _normal(fields: Fields, name: str) -> str:
    value = combined(fields, name)
    if value is None:
        return "\x00"  # matches only absence
    plain = ", ".join(members(value))  # §4.1: white space and the way a list is laid over lines do not matter
    # what lets somebody in is not written to the disk
    return hashlib.blake2b(plain.encode(), digest_size=16).hexdigest() if name in _SECRET else plain
