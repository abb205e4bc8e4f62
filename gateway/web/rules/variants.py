"""Which stored answer a request may get: RFC 9111 §4.1. Pure.

`Accept-Encoding` is left out: every request to an origin asks for the same codings (`forwarding.CODINGS`), and a
coding that a browser cannot read is taken off here.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from gateway.web.rules.credentials import has_credentials
from gateway.web.rules.fields import Fields, combined, etag_of, members, values
from gateway.web.rules.policy import POLICIES_MAX
from gateway.web.rules.stored import Shelf, StoredResponse

_OURS = "accept-encoding"
# RFC 9110 §12.5: of these, letter case and the space around a weight mean nothing; the order may, so it stays
_CASELESS = frozenset({"accept-charset", "accept-language"})
_WEIGHT = re.compile(r"[ \t]*;[ \t]*(q=)")


@dataclass(frozen=True, slots=True)
class Selection:
    """The stored answer for a request, if any; `others` says that the URL has answers, only not for this request."""

    stored: StoredResponse | None
    others: bool


def variant_of(answer: Fields, asked: Fields) -> Fields:
    """Return the request's fields that the answer says it depends on, each as a hash of its normalised value.

    A value may be what lets somebody in, or where she came from; none is needed in clear, so none gets to the disk.

    >>> by_language, spaced, plain = (("Vary", "A"),), (("a", "es,  qu"),), (("A", "es, qu"),)
    >>> variant_of(by_language, spaced) == variant_of(by_language, plain), variant_of(by_language, ())
    (True, (('a', '\\x00'),))
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
    return tuple(each for each in shelf if _has_strong_tag(each) and not _is_ones_own(each.vary))


def _is_ones_own(vary: Fields) -> bool:
    return has_credentials(vary) or bool(values(vary, "cookie"))


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
    return hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
