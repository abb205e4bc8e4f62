"""Which stored answer a request may get: RFC 9111 §4.1. Pure.

`Accept-Encoding` is left out: every request to an origin asks for the same codings (`forwarding.CODINGS`), and a
coding that a browser cannot read is taken off here.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from gateway.web.fields import Fields, combined, etag_of, members
from gateway.web.policy import POLICIES_MAX
from gateway.web.stored import Shelf, StoredResponse

_OURS = "accept-encoding"
_SECRET = frozenset({"cookie", "authorization"})
# RFC 9110 §12.5: of these, letter case and the space around a weight mean nothing; the order may, so it stays
_CASELESS = frozenset({"accept-charset", "accept-language"})
_WEIGHT = re.compile(r"[ \t]*;[ \t]*(q=)")


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
    return tuple((name, _normal(asked, name)) for name in _named(answer))


@lru_cache(POLICIES_MAX)
def _named(answer: Fields) -> tuple[str, ...]:
    named = dict.fromkeys(member.lower() for member in members(combined(answer, "vary")))
    return tuple(name for name in named if name != _OURS)


def select(shelf: Shelf, asked: Fields, now_s: float | None = None) -> Selection:
    """Return the stored answer that fits a request best: the newest, but first a fresh one that has a `Vary`.

    §4.1: origins forget `Vary` on the answer that they give without preferences; it would hide the better ones.
    Without a time the newest is taken.
    """
    fitting = [each for each in shelf if "*" not in _named(each.fields) and variant_of(each.fields, asked) == each.vary]
    if not fitting:
        return Selection(None, others=bool(shelf))
    better = (each for each in fitting if now_s is not None and each.vary and each.ttl_s(now_s) > 0)
    return Selection(fitting[0] if fitting[0].vary else next(better, fitting[0]), others=False)


def siblings(shelf: Shelf) -> Shelf:
    """Return the stored answers to other requests of which an origin could say that they answer this one too (§4.1).

    Only by a strong tag: some origins give one weak tag to all languages of a page. What was chosen by who asked is
    left out.
    """
    return tuple(each for each in shelf if _has_strong_tag(each) and not _SECRET & {name for name, _ in each.vary})


def _has_strong_tag(stored: StoredResponse) -> bool:
    tag = etag_of(stored.fields)
    return tag is not None and not tag.weak


def _normal(fields: Fields, name: str) -> str:
    value = combined(fields, name)
    if value is None:
        return "\x00"  # matches only absence
    plain = ", ".join(members(value))  # §4.1: white space and the way a list is laid over lines do not matter
    if name in _CASELESS:
        plain = _WEIGHT.sub(r";\1", plain.lower()) if ";" in plain else plain.lower()
    # what lets somebody in is not written to the disk
    return hashlib.blake2b(plain.encode(), digest_size=16).hexdigest() if name in _SECRET else plain
