"""An SDP text as lines within limits, part by part; what is not written as SDP is refused. Pure.

Source: RFC 8866 §5 (lines), §5.14 (media descriptions).
"""

import re
from collections.abc import Iterable, Sequence

from gateway.errors import N_, BadRequest

TEXT_CHARS_MAX = 32_768  # Chromium's offer with every codec and three pairs: 20 kB
LINES_MAX = 1_200
LINE_CHARS_MAX = 1_000

_LINE = re.compile(rf"[a-z]=[\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd]{{0,{LINE_CHARS_MAX}}}\Z")


class Section:
    """The `a=` lines of one part, by name."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._values: dict[str, list[str]] = {}
        for line in lines:
            if line.startswith("a="):
                name, _, value = line[2:].partition(":")
                self._values.setdefault(name, []).append(value)

    def all(self, name: str) -> Sequence[str]:
        """Return every value of an attribute."""
        return self._values.get(name, ())

    def first(self, name: str, fallback: "Section") -> str:
        """Return an attribute's first value here, else in `fallback`, else nothing."""
        return next(iter((*self.all(name), *fallback.all(name))), "")


def parts_of(text: str) -> list[list[str]]:
    """Return the lines of the session, then of each media description.

    Raises: BadRequest.
    """
    if len(text) > TEXT_CHARS_MAX:
        raise refusal(N_("The offer is too long."))
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if len(lines) > LINES_MAX or not all(map(_LINE.match, lines)):
        raise refusal(N_("The offer is not written as SDP."))
    parts: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            parts.append([])
        parts[-1].append(line)
    return parts


def matching(pattern: re.Pattern[str], value: str) -> str:
    """Return the value.

    Raises: BadRequest when it is not written so.
    """
    if not pattern.match(value):
        raise refusal(N_("The offer is not written as SDP."))
    return value


def refusal(what: str) -> BadRequest:
    """Return what an offer is refused with."""
    return BadRequest(what, N_("Reload the page and join again."))
