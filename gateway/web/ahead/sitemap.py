"""What a site says of its own pages: sitemaps and the lines of robots.txt that name them. Pure.

A sitemap is XML from the far side, so nothing in it is believed: a document type is refused (with it go entities, and
everything they can do), depth, text and count are bounded, and a document that breaks off gives what came before the
break. Only pages of the sitemap's own origin count, which is also its protocol's rule.

Source: https://www.sitemaps.org/protocol.html; RFC 9309 §2.5 (how much of robots.txt is read); W3C NOTE-datetime.
"""

import calendar
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from xml.parsers import expat

from gateway.web.rules.target import same_origin

BYTES_MAX = 10_485_760  # unpacked; the protocol's first limit of 10 MB, which at 200 bytes a page is 50,000 pages
URLS_MAX = 50_000  # of one sitemap, by its protocol
URL_CHARS_MAX = 2_048  # the protocol's limit for <loc>
ROBOTS_BYTES_MAX = 512_000  # RFC 9309 §2.5
_DEPTH_MAX = 16  # a sitemap has 3, its extensions for pictures 5
_KINDS = {"urlset": "url", "sitemapindex": "sitemap"}
_XML = re.compile(rb"(\xef\xbb\xbf)?\s{0,1000}<|\xff\xfe|\xfe\xff")
_GZIP = b"\x1f\x8b"
_GZIP_BITS = 31  # zlib: a gzip header, and the largest window
_DATE = re.compile(
    r"(?P<y>\d{4})(-(?P<mon>\d\d)(-(?P<d>\d\d)"
    r"(T(?P<h>\d\d):(?P<m>\d\d)(:(?P<s>\d\d)(\.\d+)?)?(?P<z>Z|[+-]\d\d:\d\d))?)?)?"
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A page that a sitemap lists, and when it says that it changed."""

    url: str
    changed_s: float | None = None


@dataclass(frozen=True, slots=True)
class Sitemap:
    """What one sitemap lists: pages, or further sitemaps."""

    pages: tuple[Listed, ...] = ()
    sitemaps: tuple[str, ...] = ()


def read_sitemap(data: bytes, url: str) -> Sitemap:
    """Return what a sitemap that came from `url` lists; nothing for what is none."""
    data = unpacked(data)
    if not _XML.match(data):
        return Sitemap(pages=tuple(_of_text(data, url)))
    reader = _Reader(url)
    reader.read(data)
    return Sitemap(tuple(reader.pages.values()), tuple(reader.sitemaps))


def sitemaps_named(data: bytes, url: str) -> tuple[str, ...]:
    """Return the sitemaps of the same origin that robots.txt names, each once."""
    text = data[:ROBOTS_BYTES_MAX].decode("utf-8", "replace").removeprefix("\ufeff")
    named: dict[str, None] = {}
    for line in text.splitlines():
        name, colon, value = line.partition("#")[0].partition(":")
        if colon and name.strip().lower() == "sitemap":
            found = _same(url, value)
            if found is not None:
                named[found] = None
    return tuple(named)


def unpacked(data: bytes) -> bytes:
    """Return a sitemap out of its gzip, where it is in one, and no more of it than `BYTES_MAX`."""
    if not data.startswith(_GZIP):
        return data[:BYTES_MAX]
    try:
        return zlib.decompressobj(_GZIP_BITS).decompress(data, BYTES_MAX)
    except zlib.error:
        return b""


def changed_s(text: str) -> float | None:
    """Return a `lastmod` as seconds since 1970, or None for what is no date.

    >>> changed_s("2026-11-22"), changed_s("2026-11-22T05:00:00-05:00") - changed_s("2026-11-22")
    (1795305600.0, 36000.0)
    """
    found = _DATE.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day = int(found["y"]), int(found["mon"] or 1), int(found["d"] or 1)
    hour, minute, second = int(found["h"] or 0), int(found["m"] or 0), int(found["s"] or 0)
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        return None
    zone = found["z"] or "Z"
    ahead_s = 0 if zone == "Z" else int(f"{zone[0]}1") * (int(zone[1:3]) * 3_600 + int(zone[4:6]) * 60)
    return float(calendar.timegm((year, month, day, hour, minute, second)) - ahead_s)


class _Enough(Exception):
    """The rest of a document is not read."""


class _Reader:
    """Reads one XML sitemap; what is deeper or of another namespace (pictures, news) is passed over."""

    def __init__(self, url: str) -> None:
        self.pages: dict[str, Listed] = {}
        self.sitemaps: dict[str, None] = {}
        self._url = url
        self._path: list[str] = []
        self._kind = ""  # the name of an entry: `url` or `sitemap`
        self._namespace = ""
        self._text: list[str] = []
        self._chars = 0
        self._said: dict[str, str] = {}

    def read(self, data: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = self._refuse  # no document type, so no entities and no external names
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._take
        try:
            parser.Parse(data, True)
        except (expat.ExpatError, _Enough, LookupError, ValueError):  # an unknown encoding is a LookupError
            return

    def _refuse(self, *told: object) -> None:
        del told
        raise _Enough

    def _begin(self, name: str, attributes: object) -> None:
        del attributes
        namespace, _, local = name.rpartition(" ")
        if not self._path:
            self._kind, self._namespace = _KINDS.get(local, ""), namespace
            if not self._kind:
                raise _Enough
        if len(self._path) >= _DEPTH_MAX:
            raise _Enough
        self._path.append(local if namespace == self._namespace else "")
        self._text, self._chars = [], 0

    def _take(self, text: str) -> None:
        if len(self._path) == 3 and self._chars <= URL_CHARS_MAX:
            self._text.append(text)
            self._chars += len(text)

    def _end(self, name: str) -> None:
        del name
        here = self._path.pop()
        if self._path[1:] == [self._kind] and here in {"loc", "lastmod"} and self._chars <= URL_CHARS_MAX:
            self._said.setdefault(here, "".join(self._text))
        elif len(self._path) == 1 and here == self._kind:
            self._list()

    def _list(self) -> None:
        said, self._said = self._said, {}
        found = _same(self._url, said.get("loc", ""))
        if found is None:
            return
        if self._kind == "sitemap":
            self.sitemaps[found] = None
        else:
            self.pages.setdefault(found, Listed(found, changed_s(said.get("lastmod", ""))))
        if len(self.pages) + len(self.sitemaps) >= URLS_MAX:
            raise _Enough


def _of_text(data: bytes, url: str) -> Iterator[Listed]:
    """A sitemap may be plain text, one URL a line."""
    lines = data.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()[:URLS_MAX]
    for found in dict.fromkeys(_same(url, line) for line in lines if line.strip().startswith("http")):
        if found is not None:
            yield Listed(found)


def _same(url: str, text: str) -> str | None:
    reference = text.strip()
    return same_origin(url, reference) if 0 < len(reference) <= URL_CHARS_MAX else None
