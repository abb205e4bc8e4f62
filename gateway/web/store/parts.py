"""Stretches of one content lie side by side, in order, none over another. Pure.

Two answers are stretches of one content only where a strong validator says so (RFC 9111 §3.4).
"""

from dataclasses import replace

from gateway.web.rules.fields import etag_of, first
from gateway.web.rules.stored import BodyRef, Part, Shelf, StoredResponse

PARTS_MAX = 1_024  # 512 MiB in slices of 512 KiB; a shelf of so many is 150 KB


def end_of(part: Part) -> int:
    """Return the offset behind the last byte of a part."""
    return part.at + part.body.size_bytes


def same_content(one: StoredResponse, other: StoredResponse) -> bool:
    """Say whether two answers are of the same content, byte for byte; a date is taken for strong by whoever asks."""
    if (one.vary, one.size_bytes) != (other.vary, other.size_bytes):
        return False
    ours, theirs = etag_of(one.fields), etag_of(other.fields)
    if ours is not None or theirs is not None:
        return ours is not None and ours == theirs and not ours.weak
    modified = first(one.fields, "last-modified")
    return modified is not None and modified == first(other.fields, "last-modified")


def like(shelf: Shelf, stored: StoredResponse) -> StoredResponse | None:
    """Return the answer on a shelf that is of the same content."""
    return next((each for each in shelf if same_content(each, stored)), None)


def place_for(stored: StoredResponse, at: int, size_bytes: int) -> tuple[int, int] | None:
    """Return from where to where a stretch is news to an answer, less what other parts hold at its ends.

    None where all of it is there, where it lies outside the content, or where there are parts enough.
    """
    end = at + size_bytes
    if at < 0 or end > stored.size_bytes:
        return None
    others = _beside(stored.parts, at, end)
    for part in others:
        if part.at <= at < end_of(part):
            at = end_of(part)
        if part.at < end <= end_of(part):
            end = part.at
    return (at, end) if at < end and len(others) < PARTS_MAX else None


def later(one: StoredResponse, other: StoredResponse) -> StoredResponse:
    """Return the first answer with the fields and times of whichever of the two its origin spoke of last."""
    if one.times.received_s > other.times.received_s:
        return one
    return replace(one, fields=other.fields, times=other.times, invalid=other.invalid)


def with_part(stored: StoredResponse, at: int, body: BodyRef) -> StoredResponse:
    """Return an answer with a stretch in the place that `place_for` gave it; parts within it are gone."""
    parts = (*_beside(stored.parts, at, at + body.size_bytes), Part(at, body))
    return replace(stored, parts=tuple(sorted(parts, key=lambda part: part.at)))


def without_part(stored: StoredResponse, part: Part) -> StoredResponse:
    """Return an answer less one stretch."""
    return replace(stored, parts=tuple(each for each in stored.parts if each != part))


def _beside(parts: tuple[Part, ...], at: int, end: int) -> tuple[Part, ...]:
    return tuple(part for part in parts if not at <= part.at <= end_of(part) <= end)
