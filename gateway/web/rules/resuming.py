"""Which answers may lie here in part, to be completed later: RFC 9111 §3.3 and §3.4, RFC 9110 §15.3.7.3. Pure.

Two stretches are put together only where a strong validator says that they are of one content. A coded content is not
kept in part: slices are asked for without coding, so that any browser can read them, and the rest would not fit.
"""

from gateway.web.rules.asking import Ask, wishes_of
from gateway.web.rules.fields import Fields, combined, members, values
from gateway.web.rules.spans import (
    POSITION_MAX,
    Span,
    Spec,
    Stretch,
    asked,
    first_slice,
    gap_at,
    lacking,
    slice_at,
    spans_of,
    stretch_of,
    strong_validator,
)
from gateway.web.rules.stored import StoredResponse

BEGINNING_BYTES_MIN = 65_536  # less than this is sooner fetched again than found: half a second at 1 Mbit/s


def resumable(fields: Fields) -> bool:
    """Say whether what is missing of an answer can be fetched later, and put together with what is there."""
    coded = members((combined(fields, "content-encoding") or "").lower())
    ranges = members((combined(fields, "accept-ranges") or "").lower())
    return strong_validator(fields) is not None and coded in ([], ["identity"]) and "none" not in ranges


def slice_sent(spec: Spec, fields: Fields, length_bytes: int | None) -> Stretch | None:
    """Return what of its content a 206 brings; None where it is not what was asked for, or cannot be put together."""
    stretch = stretch_of(fields)
    if stretch is None or not stretch.answers(spec) or not resumable(fields):
        return None
    return stretch if length_bytes in {None, stretch.span.size_bytes} else None


def may_slice(ask: Ask) -> bool:
    """Say whether a request for a range may be answered from slices that are fetched for everybody."""
    if ask.method != "GET" or asked(ask.fields) is None:
        return False
    return not wishes_of(ask.fields).no_store and not values(ask.fields, "authorization")


def as_slice(fields: Fields, spec: Spec) -> Fields:
    """Return a request's fields asking for a slice, not coded."""
    kept = tuple(each for each in fields if each[0].lower() not in {"accept-encoding", "range", "if-range"})
    return (*kept, ("Accept-Encoding", "identity"), ("Range", str(spec)))


def as_it_was_asked(fields: Fields, asking: Fields) -> Fields:
    """Return a request's fields with the range and the codings of the browser's own."""
    kept = tuple(each for each in fields if each[0].lower() not in {"accept-encoding", "range"})
    return (*kept, *(each for each in asking if each[0].lower() in {"accept-encoding", "range"}))


def spec_for(ask: Ask, stored: StoredResponse | None, slice_bytes: int, *, validate: bool) -> Spec | None:
    """Return the slice that is asked for, given what is stored; None for the whole.

    A validation asks for a slice too, so that a change costs no more than that, unless the browser wants all of it.
    """
    specs = asked(ask.fields) if may_slice(ask) else None
    if stored is None:
        return None if specs is None else first_slice(specs, slice_bytes)
    if stored.whole:
        if not validate or specs is None or not resumable(stored.fields):
            return None
        spans = spans_of(ask, stored)
        return slice_at(spans[0].at if spans else 0, Span(0, POSITION_MAX), slice_bytes)
    if validate and specs is None:
        return None
    wanted_now = lacking(ask, stored) or spans_of(ask, stored)
    at = wanted_now[0].at if wanted_now else 0
    return slice_at(at, gap_at(at, stored.size_bytes, stored.parts) or Span(0, stored.size_bytes), slice_bytes)
