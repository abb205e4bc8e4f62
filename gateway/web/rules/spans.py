"""Which bytes of a content are asked for, which are there, and which are to be fetched. Pure.

Spans are half open inside (`at` is in, `end` is not); the wire's are closed. A `Range` that is not understood in full
is no `Range`: the whole is always a right answer to GET.

Source: RFC 9110 §13.1.5 (If-Range), §14 (ranges), §15.3.7 (206), §15.5.17 (416), §17.15 (egregious sets).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gateway.web.rules.asking import Ask
from gateway.web.rules.fields import Fields, etag_of, first, http_date, members, values, without
from gateway.web.rules.stored import Part, StoredResponse
from gateway.web.rules.validating import holds_already
from gateway.web.store.parts import end_of

RANGES_MAX = 32  # of one request; readers of documents ask for a few, the rest is a mistake or an attack (§17.15)
GAP_BYTES = 128  # ranges as near as this are sent as one: a part's own head costs as much (§15.3.7.2)
POSITION_MAX = 10**18  # an exabyte; what is beyond counts as this

_SPEC = re.compile(r"([0-9]+)-([0-9]*)|-([0-9]+)")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The bytes from `at` up to, and not with, `end`."""

    at: int
    end: int

    @property
    def size_bytes(self) -> int:
        """Return how many there are."""
        return self.end - self.at

    def holds(self, position: int) -> bool:
        """Say whether a byte is in it."""
        return self.at <= position < self.end


@dataclass(frozen=True, slots=True)
class Spec:
    """One range as it is asked for: from `first` on, up to `last` if it is said; without it, the last so many."""

    first: int | None
    last: int | None

    def of(self, size_bytes: int) -> Span | None:
        """Return its bytes in a content of this size; None where there are none (§14.1.2)."""
        if self.first is None:
            return Span(max(size_bytes - (self.last or 0), 0), size_bytes) if self.last else None
        if self.first >= size_bytes:
            return None
        return Span(self.first, size_bytes if self.last is None else min(self.last + 1, size_bytes))

    def __str__(self) -> str:
        return f"bytes={'' if self.first is None else self.first}-{'' if self.last is None else self.last}"


@dataclass(frozen=True, slots=True)
class Stretch:
    """What an origin says that it sent: these bytes, of a content of this size."""

    span: Span
    size_bytes: int

    def answers(self, spec: Spec) -> bool:
        """Say whether it begins with what was asked for; it may end where it likes (§15.3.7)."""
        wanted = spec.of(self.size_bytes)
        return wanted is not None and self.span.holds(wanted.at)


def size_of(spans: Iterable[Span]) -> int:
    """Return how many bytes several spans have."""
    return sum(span.size_bytes for span in spans)


def asked(fields: Fields) -> tuple[Spec, ...] | None:
    """Return the ranges that a request asks for, or None where its `Range` is missing, broken or too much.

    >>> asked((("Range", "bytes=0-9, -5"),))
    (Spec(first=0, last=9), Spec(first=None, last=5))
    >>> asked((("Range", "bytes=9-0"),)) is asked((("Range", "lines=1-2"),)) is None
    True
    """
    found = values(fields, "range")
    unit, equals, texts = found[0].partition("=") if len(found) == 1 else ("", "", "")
    if not equals or unit.strip().lower() != "bytes":
        return None  # §14.2: a unit that is not understood
    listed = members(texts)
    specs = [_spec(text) for text in listed]
    if not specs or len(specs) > RANGES_MAX:
        return None
    return None if None in specs else tuple(spec for spec in specs if spec is not None)  # §14.1.1: one breaks the set


def _spec(text: str) -> Spec | None:
    found = _SPEC.fullmatch(text)
    if found is None:
        return None
    begin, end, suffix = (_position(each) for each in found.groups())
    if begin is None:
        return Spec(None, suffix)
    return None if end is not None and end < begin else Spec(begin, end)


def _position(digits: str | None) -> int | None:
    if not digits:
        return None
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= 18 else POSITION_MAX


def wanted(ask: Ask, status: int, fields: Fields, size_bytes: int) -> tuple[Span, ...] | None:
    """Return which bytes of an answer a request wants: None for all of it, nothing where no range is in it (416)."""
    if ask.method != "GET" or status != 200:
        return None  # §14.2
    specs = asked(ask.fields)
    if specs is None or not _if_range_holds(ask.fields, fields):
        return None
    if size_bytes == 0 and any(spec.first is None and spec.last for spec in specs):
        return None  # satisfiable, and no 206 can say so
    return _joined(span for spec in specs if (span := spec.of(size_bytes)) is not None)


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return spans of which none is over or near another, in the order they were asked for (§15.3.7.2)."""
    groups: list[tuple[int, Span]] = []
    for order, span in sorted(enumerate(spans), key=lambda each: each[1]):
        if groups and span.at <= groups[-1][1].end + GAP_BYTES:
            before, last = groups[-1]
            groups[-1] = min(before, order), Span(last.at, max(last.end, span.end))
        else:
            groups.append((order, span))
    return tuple(span for _, span in sorted(groups))


def _if_range_holds(asking: Fields, fields: Fields) -> bool:
    """§13.1.5: what the browser has is, byte for byte, of the answer that it would get a range of."""
    said = values(asking, "if-range")
    if not said:
        return True
    theirs = etag_of((("etag", said[0]),))
    if theirs is not None:
        return len(said) == 1 and not theirs.weak and theirs == etag_of(fields)
    when_s = http_date(said[0])
    return len(said) == 1 and when_s is not None and when_s == _strong_date(fields)


def strong_validator(fields: Fields) -> str | None:
    """Return what answers of the same bytes have in common, and others not (§8.8.1); None where that is not sure."""
    etag = etag_of(fields)
    if etag is not None or first(fields, "etag") is not None:
        return None if etag is None or etag.weak else etag.opaque
    when_s = _strong_date(fields)
    return None if when_s is None else f"{when_s:.0f}"


def _strong_date(fields: Fields) -> float | None:
    """§8.8.2.2: it may have changed twice in the second in which it was dated, and in no other."""
    modified_s, date_s = http_date(first(fields, "last-modified")), http_date(first(fields, "date"))
    return modified_s if modified_s is not None and date_s is not None and date_s - modified_s >= 1 else None


def stretch_of(fields: Fields) -> Stretch | None:
    """Return which bytes a 206 says that it holds; None where it does not say, or says what cannot be (§14.4).

    >>> stretch_of((("Content-Range", "bytes 0-9/20"),))
    Stretch(span=Span(at=0, end=10), size_bytes=20)
    >>> stretch_of((("Content-Range", "bytes 0-20/20"),)) is stretch_of((("Content-Range", "bytes 0-9/*"),)) is None
    True
    """
    said = values(fields, "content-range")
    found = _CONTENT_RANGE.fullmatch(said[0]) if len(said) == 1 else None
    if found is None:
        return None
    begin, last, size_bytes = (int(each) for each in found.groups())
    return Stretch(Span(begin, last + 1), size_bytes) if begin <= last < size_bytes else None


def gap_at(position: int, size_bytes: int, parts: Sequence[Part]) -> Span | None:
    """Return the widest span around a byte of which nothing is stored; None where that byte is."""
    begin, end = 0, size_bytes
    for part in parts:
        if part.at > position:
            return Span(begin, part.at)
        begin = max(begin, end_of(part))
        if position < begin:
            return None
    return Span(begin, end)


def gaps(span: Span, parts: Sequence[Part]) -> tuple[Span, ...]:
    """Return what of a span is not stored, in order."""
    found, at = [], span.at
    for part in parts:
        if part.at > at:
            found.append(Span(at, min(part.at, span.end)))
        at = max(at, end_of(part))
        if at >= span.end:
            return tuple(found)
    return (*found, Span(at, span.end))


def lacking(ask: Ask, stored: StoredResponse) -> tuple[Span, ...]:
    """Return what a request wants of a stored answer that is not stored, in the order it is sent."""
    if stored.whole or ask.method == "HEAD":
        return ()
    if holds_already(ask.fields, stored.status, stored.fields, stored.times.received_s):
        return ()  # §13.2.2: before any range
    return tuple(gap for span in spans_of(ask, stored) for gap in gaps(span, stored.parts))


def shortened(ask: Ask, stored: StoredResponse) -> Ask | None:
    """Return a request for a range without an end as one for what is stored from its beginning; None for any other.

    §15.3.7: a server may send less than was asked for, for reasons such as "temporary unavailability". Whoever names
    no end cannot count on one, so the first minute of a video can be watched while the link is down.
    """
    specs, spans = asked(ask.fields) or (), spans_of(ask, stored)
    if len(specs) != 1 or specs[0].last is not None or not spans or spans[0].at != specs[0].first:
        return None
    missing = gaps(spans[0], stored.parts)
    if not missing or missing[0].at == spans[0].at:
        return None
    there = Spec(spans[0].at, missing[0].at - 1)
    return replace(ask, fields=(*without(ask.fields, {"range"}), ("Range", str(there))))


def spans_of(ask: Ask, stored: StoredResponse) -> tuple[Span, ...]:
    """Return which bytes of a stored answer a request is sent, in order."""
    spans = wanted(ask, stored.status, stored.fields, stored.size_bytes)
    return (Span(0, stored.size_bytes),) if spans is None else spans


def slice_at(position: int, gap: Span, slice_bytes: int) -> Spec:
    """Return the slice to fetch for a byte: what of its aligned slice lies in the gap that is around it."""
    begin = position // slice_bytes * slice_bytes
    return Spec(max(begin, gap.at), min(begin + slice_bytes, gap.end) - 1)


def first_slice(specs: Sequence[Spec], slice_bytes: int) -> Spec:
    """Return the slice to fetch first of a content of which nothing is known."""
    first_byte, last = specs[0].first, specs[0].last
    if first_byte is None and 0 < (last or 0) <= slice_bytes:
        return specs[0]  # its end, however long it is
    return slice_at(first_byte or 0, Span(0, 2 * POSITION_MAX), slice_bytes)
