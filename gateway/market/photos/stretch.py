"""Which bytes of a photo a request brings. Pure.

Source: RFC 9110 §14.5 (partial PUT) and §14.4 (Content-Range). A PUT without Content-Range brings the whole.
"""

import re
from dataclasses import dataclass

from gateway.errors import N_, BadRequest
from gateway.market.photos.refusals import LengthNeeded, too_large

_RANGE = re.compile(r"bytes ([0-9]{1,12})-([0-9]{1,12})/([0-9]{1,12})")


@dataclass(frozen=True, slots=True)
class Stretch:
    """So many bytes from `first` on, of `size_bytes` in all."""

    first: int
    length_bytes: int
    size_bytes: int


def stretch_of(content_range: str | None, content_length: int | None, bytes_max: int) -> Stretch:
    """Return what the fields of a PUT announce.

    Raises: LengthNeeded, BadRequest, TooLarge.

    >>> stretch_of("bytes 100-199/1000", 100, 8_000_000)
    Stretch(first=100, length_bytes=100, size_bytes=1000)
    >>> stretch_of(None, 1_000, 8_000_000)
    Stretch(first=0, length_bytes=1000, size_bytes=1000)
    """
    stretch = _whole(content_length) if content_range is None else _part(content_range, content_length)
    if stretch.size_bytes > bytes_max:
        raise too_large(bytes_max)
    return stretch


def _whole(content_length: int | None) -> Stretch:
    if content_length is None:
        raise LengthNeeded
    if content_length == 0:
        raise _faulty()
    return Stretch(0, content_length, content_length)


def _part(content_range: str, content_length: int | None) -> Stretch:
    found = _RANGE.fullmatch(content_range.strip())
    if found is None:
        raise _faulty()
    first, last, size_bytes = map(int, found.groups())
    length_bytes = last - first + 1
    if not first <= last < size_bytes or content_length not in {None, length_bytes}:
        raise _faulty()
    return Stretch(first, length_bytes, size_bytes)


def _faulty() -> BadRequest:
    return BadRequest(
        N_("It is not clear which bytes of the photo were sent."),
        N_("Send the whole photo, or a part with Content-Range: bytes first-last/size."),
    )
