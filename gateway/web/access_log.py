"""The access log says how much was served of which site, and when; never who asked, nor for which page.

A village's requests are its browsing history, so a line has no address and no URL. Lines are gathered and written a
few seconds apart, for the card's sake, into a file that is turned over at a size: seconds since 1970, site, status,
bytes of the body, what the cache did.
"""

import os
from pathlib import Path

import structlog

from gateway.web.statistics import Served

FILE_BYTES_MAX = 10_000_000  # and as much again of the one before
LINES_MAX = 20_000  # gathered between two writes; what comes beyond is counted, not written
_log = structlog.get_logger("web")
PROXY = "-"  # in the place of a site's name


class AccessLog:
    """Lines under way to a file; without a path, none are kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lines: list[tuple[float, str, int, int, str]] = []
        self._lost = 0
        self._served: dict[str, Served] = {}

    def served(self) -> dict[str, Served]:
        """Return what was answered for each site since the start, whether lines are kept or not."""
        return self._served

    def note(self, wall_s: float, site: str, status: int, size_bytes: int, how: str) -> None:
        """Gather one answer; `how` is what the cache did, in a word."""
        served = self._served.get(site)
        if served is None:  # of sites there are few, and the proxy counts as one
            served = self._served[site] = Served()
        if how == "hit":
            served.hits += 1
            served.bytes_from_store += size_bytes
        else:
            served.misses += 1
        if self._path is not None:
            if len(self._lines) < LINES_MAX:
                self._lines.append((wall_s, site, status, size_bytes, how))
            else:
                self._lost += 1

    def take(self) -> str:
        """Return what was gathered, as text, and gather anew."""
        lines, self._lines = self._lines, []
        lost, self._lost = self._lost, 0
        text = "".join(
            f"{wall_s:.1f} {site or PROXY} {status} {size_bytes} {how}\n"
            for wall_s, site, status, size_bytes, how in lines
        )
        return f"{text}# {lost} more\n" if lost else text

    def write(self, text: str) -> None:
        """Add text to the file, or lose it where the disk is full. Blocks."""
        if self._path is None:
            return
        try:
            if self._path.exists() and self._path.stat().st_size > FILE_BYTES_MAX:
                os.replace(self._path, self._path.with_suffix(".1"))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as exc:
            _log.warning("access-log.lost", error=type(exc).__name__)
