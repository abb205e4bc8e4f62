"""What a style sheet draws in: pictures, fonts and further sheets of its own origin. Pure.

The sheet is not parsed: every `url(…)` and `@import` outside a comment counts, in time that grows with its length. Of a
font that comes in several formats only WOFF2 is taken, which every browser of the last years reads.

Source: CSS Syntax Level 3 §4.3 (comments, url tokens), CSS Cascade Level 5 §2 (@import), CSS Fonts Level 4 §4.3.1.
"""

import re

from gateway.web.ahead.page_links import reference_in

CSS_BYTES_MAX = 1_000_000  # of a sheet that is looked at; the largest of the common frameworks has 0.3 MB
LINKS_MAX = 100
WRITTEN_MAX = 1_000  # references that are looked at, those of other origins too
# 300 characters: what a hostile sheet can have looked at again and again without end in sight
_STRING = r"""(?:"([^"\n\\]{1,300})"|'([^'\n\\]{1,300})')"""
_REFERENCE = re.compile(
    r"/\*(?:[^*]|\*(?!/))*+(?:\*/)?"
    rf"|url\(\s{{0,20}}(?:{_STRING}|([^\s()\"'\\]{{1,300}}))\s{{0,20}}\)"
    rf"|@import\s{{1,20}}{_STRING}",
    re.IGNORECASE,
)
_FONT = re.compile(r"(?P<stem>[^?#]*)\.(?P<format>woff2|woff|ttf|otf|eot|svg)(?:[?#].*)?", re.IGNORECASE)


def css_links(url: str, css: bytes) -> tuple[str, ...]:
    """Return what a sheet at `url` draws in, each once, in order.

    >>> css_links("http://a.org/css/s.css", b"@import 'b.css'; p { background: url(../i.png) } /* url(no.png) */")
    ('http://a.org/css/b.css', 'http://a.org/i.png')
    """
    text = css[:CSS_BYTES_MAX].decode("utf-8", "replace")
    written = dict.fromkeys(next(filter(None, each.groups()), "") for each in _REFERENCE.finditer(text))
    joined = (reference_in(url, each) for each in list(written)[:WRITTEN_MAX] if not each.startswith(("#", "data:")))
    found = dict.fromkeys(each for each in joined if each is not None and each != url)
    return tuple(_one_format(list(found)))[:LINKS_MAX]


def _one_format(urls: list[str]) -> list[str]:
    fonts = {url: font for url in urls if (font := _FONT.fullmatch(url)) is not None}
    best = {font["stem"] for font in fonts.values() if font["format"].lower() == "woff2"}
    return [
        url
        for url in urls
        if url not in fonts or fonts[url]["format"].lower() == "woff2" or fonts[url]["stem"] not in best
    ]
