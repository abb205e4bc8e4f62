"""Asking whether a stored answer still holds, and answering that question for browsers: RFC 9111 §4.3. Pure."""

from dataclasses import replace

from gateway.web.fields import Fields, combined, etag_of, etags, first, http_date, values, without
from gateway.web.freshness import Times
from gateway.web.stored import StoredResponse

# §3.2: what a 304 does not update: framing, what says how the stored body is coded, and what is for one browser
_KEPT = frozenset(
    {"content-length", "content-encoding", "content-range", "content-md5", "transfer-encoding", "set-cookie"}
)
# §4.3.2: what a 304 must carry of the fields that the 200 would have had; the others would only cost bytes
_TOLD = frozenset(
    {
        "age",
        "cache-control",
        "cache-status",
        "content-location",
        "date",
        "etag",
        "expires",
        "last-modified",
        "vary",
        "via",
    }
)
CONDITIONAL = ("if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range")


def has_validator(stored: StoredResponse) -> bool:
    """Say whether an origin can be asked if this answer still holds."""
    return bool(conditions(stored))


def conditions(stored: StoredResponse) -> Fields:
    """Return the fields that ask an origin whether a stored answer still holds (§4.3.1)."""
    etag, modified = first(stored.fields, "etag"), first(stored.fields, "last-modified")
    asked = (("If-None-Match", etag), ("If-Modified-Since", modified))
    return tuple((name, value) for name, value in asked if value)


def speaks_of(stored: StoredResponse, told: Fields) -> bool:
    """Say whether a 304 is about the stored answer: a strong entity tag of another says that it is not (§4.3.4)."""
    theirs = etag_of(told)
    return theirs is None or theirs.weak or theirs == etag_of(stored.fields)


def freshened(stored: StoredResponse, told: Fields, times: Times) -> StoredResponse:
    """Return the stored answer after a 304 confirmed it: every field that the 304 carries replaces its like (§3.2)."""
    new = tuple(each for each in told if each[0].lower() not in _KEPT)
    old = without(stored.fields, {name for name, _ in new} | {"age"})  # an Age of before counted from another moment
    return replace(stored, fields=old + new, times=times, invalid=False)


def holds_already(asked: Fields, status: int, fields: Fields, received_s: float) -> bool:
    """Say whether a browser's own condition is answered by 304: it has what we would send (§4.3.2)."""
    if status != 200:
        return False
    if (wanted := combined(asked, "if-none-match")) is not None:
        ours = etag_of(fields)
        # RFC 9110 §13.1.2: weak comparison; * holds for any representation
        return wanted.strip() == "*" or (ours is not None and ours.opaque in {each.opaque for each in etags(wanted)})
    since_s = http_date(first(asked, "if-modified-since"))
    if since_s is None or len(values(asked, "if-modified-since")) > 1:
        return False  # RFC 9110 §13.1.3: what is not one valid date is ignored
    modified_s = http_date(first(fields, "last-modified"))
    if modified_s is None:
        date_s = http_date(first(fields, "date"))
        modified_s = received_s if date_s is None else date_s  # §4.3.2, in this order
    return modified_s <= since_s


def told_by_304(fields: Fields) -> Fields:
    """Return the fields of an answer that its 304 carries (RFC 9110 §15.4.5)."""
    return tuple(each for each in fields if each[0].lower() in _TOLD)
