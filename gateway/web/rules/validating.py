"""Asking whether a stored answer still holds, and answering that question for browsers: RFC 9111 §4.3. Pure.

Where an answer is stored, the origin is asked with its validators alone, and a browser's own condition is answered
here: a validator that only the browser has would at best save one body once, and leave the stored answer old for the
next. Where nothing is stored, the browser's condition goes to the origin, since a 304 costs the link least.
"""

from dataclasses import replace

from gateway.web.rules.fields import Fields, combined, etag_of, etags, first, http_date, members, values, without
from gateway.web.rules.freshness import Times
from gateway.web.rules.stored import Shelf, StoredResponse
from gateway.web.rules.storing import to_store
from gateway.web.rules.variants import variant_of

# §3.2: what a 304 does not update: framing, what says how the stored body is coded, and what is for one browser
_KEPT = frozenset({"content-length", "content-encoding", "content-range", "transfer-encoding", "set-cookie"})
# §4.3.2: what a 304 must carry of the fields that the 200 would have had; the others would only cost bytes
_TOLD = frozenset(
    {
        "age",
        "cache-control",
        "cache-status",
        "cdn-cache-control",
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


def own_conditions(asked: Fields) -> Fields:
    """Return a browser's own conditions for GET, as they go to the origin where nothing is stored (§4.3.2, last)."""
    return tuple(each for each in asked if each[0].lower() in {"if-none-match", "if-modified-since"})


def asking(held: Fields, others: Shelf) -> Fields:
    """Return the conditions for what is not stored: a browser's own, and the tags of answers to others (§4.3.1).

    Most pages that differ by browser (`Vary: User-Agent`) do not differ at all, and a 304 says so.
    """
    tags = list(dict.fromkeys(tag for each in others if (tag := first(each.fields, "etag"))))
    theirs = members(combined(held, "if-none-match"))
    return (("If-None-Match", ", ".join([*tags, *theirs])),) if tags and theirs != ["*"] else held


def is_for_browser(held: Fields, asked: Fields, told: Fields) -> bool:
    """Say whether a 304 answers a browser's own conditions, `held`, where the origin was asked with `asked` (§4.3.4).

    A tag says which of those asked about it is; without one it can only be the browser's if nothing else was asked.
    """
    wanted, theirs = combined(held, "if-none-match"), etag_of(told)
    if wanted is None or theirs is None or wanted.strip() == "*":
        return bool(held) and asked == held
    return theirs.opaque in {each.opaque for each in etags(wanted)}


def spoken_of(others: Shelf, told: Fields) -> StoredResponse | None:
    """Return which of several stored answers a 304 is about: the one with its strong tag (§4.3.4)."""
    theirs = etag_of(told)
    return next((each for each in others if theirs is not None and etag_of(each.fields) == theirs), None)


def speaks_of(stored: StoredResponse, told: Fields) -> bool:
    """Say whether a 304 is about the stored answer (§4.3.4): whatever validator it carries must be the stored one's.

    Many servers weaken the tag of what they compress, but not that of the 304 (nginx): where the stored tag is weak, a
    strong one of the same text is the same. A 304 without validators answers the ones that it was asked with.
    """
    theirs, ours = etag_of(told), etag_of(stored.fields)
    if theirs is not None:
        return ours is not None and theirs.opaque == ours.opaque
    held = first(stored.fields, "last-modified")
    return held is None or first(told, "last-modified") in {None, held}


def freshened(stored: StoredResponse, told: Fields, times: Times, asked: Fields) -> StoredResponse:
    """Return the stored answer after a 304 confirmed it: every field that the 304 carries replaces its like (§3.2).

    A weak tag stays weak, and the answer is found by what it says now that it depends on.
    """
    ours = etag_of(stored.fields)
    kept = _KEPT | {"etag"} if ours is not None and ours.weak else _KEPT
    new = tuple(each for each in told if each[0].lower() not in kept)
    # an Age of before counted from another moment
    fields = to_store(without(stored.fields, {name for name, _ in new} | {"age"}) + new, stored.site)
    return replace(stored, fields=fields, vary=variant_of(fields, asked), times=times, invalid=False)


def retold(stored: StoredResponse, told: Fields, times: Times, asked: Fields) -> StoredResponse:
    """Return the stored answer after HEAD was answered by 200: freshened, or stale if that was another's (§4.3.5)."""
    same = all(first(told, name) in {None, first(stored.fields, name)} for name in ("etag", "last-modified"))
    if same and first(told, "content-length") in {None, str(stored.size_bytes)}:
        return freshened(stored, told, times, asked)
    return replace(stored, invalid=True)


def holds_already(asked: Fields, status: int, fields: Fields, received_s: float) -> bool:
    """Say whether a browser's own condition is answered by 304: it has what we would send (§4.3.2)."""
    if not 200 <= status < 300 or status == 206:
        return False  # RFC 9110 §13.2.1: only where the answer would be a success
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
