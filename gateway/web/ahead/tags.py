"""The tags of a page, one after another, in time that grows with the page's length alone. Pure.

A tree would take the square of its depth (lexbor 0.7: 46 s for 1 MB of nested `<div>`, 2026-11), and a hostile origin
could hold up the box with one page.

Source: HTML Living Standard §13.2.5 (tokenization).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TAG = re.compile(r"<(?:(?P<comment>!--)|/?(?P<name>[a-zA-Z][^\s/>]{0,30}))")
_ATTRIBUTE = re.compile(r"[\s/]*(?P<name>[^\s/>=][^\s/>=]*)(?:\s*=\s*(?P<quote>[\"']?))?")
_BARE = re.compile(r"[^\s>]*")
_NO_COMMENT = re.compile(r"-?>")  # §13.2.5.43, .44: `<!-->` and `<!--->` are whole
_COMMENT_END = re.compile(r"--!?>")
_SPACE = re.compile(r"[\s/]*")
# §13.2.5.2, .3: what stands in these is text, whatever it looks like
_TEXT_ONLY = {
    name: re.compile(f"</{name}", re.IGNORECASE)
    for name in ("script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
}
_ATTRIBUTES_MAX = 100  # of one tag


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag that opens something: its name in small letters, its attributes as written, and where it ends."""

    name: str
    attributes: dict[str, str]
    end: int


def tags(text: str) -> Iterator[Tag]:
    """Yield each tag that opens something; comments and what only looks like a tag are passed over.

    >>> [(tag.name, tag.attributes, tag.end) for tag in tags("<!-- <p> --><A HREF='>'><script>'<b>'</script><i>")]
    [('a', {'href': '>'}, 24), ('script', {}, 32), ('i', {}, 49)]
    """
    at = 0
    while found := _TAG.search(text, at):
        if found["comment"]:
            over = _NO_COMMENT.match(text, found.end()) or _COMMENT_END.search(text, found.end())
            if over is None:
                return
            at = over.end()
            continue
        attributes, at = _attributes(text, found.end())
        if at < 0:
            return
        if text[found.start() + 1] == "/":
            continue
        name = found["name"].lower()
        yield Tag(name, attributes, at + 1)
        if name in _TEXT_ONLY:
            end = _TEXT_ONLY[name].search(text, at)
            if end is None:
                return
            at = end.start()


def _attributes(text: str, at: int) -> tuple[dict[str, str], int]:
    """Return the attributes of a tag, and where it ends; -1 where the page ends in it."""
    attributes: dict[str, str] = {}
    while True:
        at = _end(_SPACE, text, at)
        if text[at : at + 1] in {">", ""}:
            return attributes, at if at < len(text) else -1
        found = _ATTRIBUTE.match(text, at)
        if found is None:  # a sign that no attribute begins with
            at += 1
            continue
        value, at = "", found.end()
        if found["quote"]:
            end = text.find(found["quote"], at)
            if end < 0:
                return attributes, -1
            value, at = text[at:end], end + 1
        elif found["quote"] is not None:
            end = _end(_BARE, text, at)
            value, at = text[at:end], end
        if len(attributes) < _ATTRIBUTES_MAX:
            attributes.setdefault(found["name"].lower(), value)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
