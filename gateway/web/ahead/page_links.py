"""What a page needs beside itself and where it leads, read from its HTML; only what is of its own origin. Pure.

Source: HTML Living Standard §4.6.7 (link types), §4.8.4 (srcset), URL Standard §1.3 (percent-encode sets).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

from gateway.web.ahead.tags import tags
from gateway.web.rules.target import same_origin

HTML_BYTES_MAX = 2_000_000  # of a page that is looked at; the largest page of our corpus has 1.9 MB
LINKS_MAX = 500  # of each kind
REFERENCES_MAX = 5_000  # that are looked at, in all
URL_CHARS_MAX = 2_000
PICTURE_PX_MAX = 1_080.0  # the width of a phone's screen in dots; wider candidates are for other screens
CANDIDATES_MAX = 2  # of one srcset: phones differ in dots per pixel

_TITLE_CHARS_MAX = 300
_UNSAFE = re.compile(r"[\x00-\x20\"<>\\^`{|}\x7f]")


@dataclass(frozen=True, slots=True)
class PageLinks:
    """URLs of the same origin, each once: `parts` the page shows or runs, `ahead` it hints at, `pages` it leads to."""

    parts: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    title: str = ""


def page_links(url: str, html: bytes) -> PageLinks:
    """Return what a page at `url` links to; style and scripts stand before pictures, for a page is no page without.

    >>> page_links("http://a.org/x/", b'<img src="b c.png"><link rel=stylesheet href=/s.css><a href=//b.org/>').parts
    ('http://a.org/s.css', 'http://a.org/x/b%20c.png')
    """
    base = url
    found: dict[str, dict[str, None]] = {"style": {}, "picture": {}, "ahead": {}, "page": {}}
    left, title = REFERENCES_MAX, ""
    text = html[:HTML_BYTES_MAX].decode("utf-8", "replace")
    for tag in tags(text):
        if tag.name == "base" and "href" in tag.attributes and base == url:
            base = _joined(url, tag.attributes["href"]) or ""  # of another origin: then its relative links are too
        if tag.name == "title" and not title:
            title = " ".join(unescape(text[tag.end : tag.end + _TITLE_CHARS_MAX].partition("<")[0]).split())
        for kind, reference in _references(tag.name, tag.attributes):
            left -= 1
            target = _joined(base, reference) if base and left > 0 else None
            if target is not None and target != url and len(found[kind]) < LINKS_MAX:
                found[kind][target] = None
    parts = tuple({**found["style"], **found["picture"]})[:LINKS_MAX]
    return PageLinks(parts, tuple(found["ahead"]), tuple(found["page"]), title)


def reference_in(base: str, reference: str | None) -> str | None:
    """Return the URL that a reference leads to from `base`, spelt as a browser asks for it; None for other origins."""
    return _joined(base, reference) if reference else None


def _references(name: str, attributes: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the kind and the text of each reference in a tag."""
    match name:
        case "link":
            kind = _of_relation(set(attributes.get("rel", "").lower().split()), attributes.get("as", ""))
            if kind and "href" in attributes:
                yield kind, attributes["href"]
        case "script" if "src" in attributes:
            yield "style", attributes["src"]
        case "img" | "source" | "video" | "input":
            for each in ("src", "poster") if name in {"img", "input"} else ("poster",):
                if each in attributes:
                    yield "picture", attributes[each]
            for reference in _candidates(attributes.get("srcset", "")):
                yield "picture", reference
        case "a" | "area" if "href" in attributes and "download" not in attributes:
            if "nofollow" not in attributes.get("rel", "").lower().split():  # its author leads no robot there
                yield "page", attributes["href"]


def _of_relation(relations: set[str], kind: str) -> str | None:
    if "alternate" in relations:
        return None  # another style, a feed: for those who choose it
    if relations & {"stylesheet", "modulepreload"}:
        return "style"
    if "preload" in relations:
        return None if kind in {"video", "audio", "track"} else "style"
    if relations & {"icon", "manifest"}:
        return "picture"
    return "ahead" if relations & {"prefetch", "next"} else None


def _candidates(srcset: str) -> list[str]:
    """Return the candidates that a phone may choose, the widest of them first (HTML §4.8.4.4)."""
    sized: list[tuple[float, str]] = []
    url = ""
    for token in srcset[: 10 * URL_CHARS_MAX].split():
        if not url:
            bare = token.strip(",")
            if bare and token.endswith(","):
                sized.append((_size(""), bare))
            else:
                url = bare
            continue
        size, comma, rest = token.partition(",")
        sized.append((_size(size), url))
        url = rest.strip(",") if comma else ""
    sized += [(_size(""), url)] if url else []
    fitting = sorted((each for each in sized if each[0] <= PICTURE_PX_MAX), reverse=True) or sorted(sized)[:1]
    return [url for _, url in fitting[:CANDIDATES_MAX]]


def _size(text: str) -> float:
    """Return a candidate's width, or its density in widths of a phone."""
    try:
        size = float(text[:-1]) if text else 1.0
    except ValueError:
        return float("inf")
    return size if text.endswith("w") else size * PICTURE_PX_MAX / 3


def _joined(base: str, reference: str) -> str | None:
    if len(reference) > URL_CHARS_MAX:
        return None
    plain = re.sub(r"[\t\r\n]", "", unescape(reference) if "&" in reference else reference).strip()
    path, mark, query = plain.partition("?")
    spelt = _UNSAFE.sub(_percent, path.replace("\\", "/") + mark + query)
    target = same_origin(base, spelt)
    return target if target is not None and len(target) <= URL_CHARS_MAX else None


def _percent(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}"
