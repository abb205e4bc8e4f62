"""What an answer's `Link` fields ask to have at hand: preload and prefetch, of the same site. Pure.

Read as RFC 8288 Appendix B.2 says, so that a value that is broken somewhere gives the links before the break. A link
with another context (`anchor`) is not about this page, and is left out (§3.2).

Source: RFC 8288 §3; HTML §4.6.7 (preload, prefetch, modulepreload).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.web.rules.fields import Fields, values
from gateway.web.rules.target import same_origin

LINKS_MAX = 64  # of one answer; origins in use send fewer than 20
WANTED = frozenset({"preload", "prefetch", "modulepreload"})
_SPACE = re.compile(r"[ \t]*")
_NAME = re.compile(r"[^ \t=;,]*")
_BARE = re.compile(r"[^;,]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)("|\Z)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Link:
    """One link: its target as it was written, its relations in small letters, its parameters."""

    target: str
    relations: frozenset[str]
    parameters: tuple[tuple[str, str], ...]

    def parameter(self, name: str) -> str | None:
        """Return the first parameter of this name; later ones do not count (§3.3, §3.4.1)."""
        return next((value for each, value in self.parameters if each == name), None)


def wanted(fields: Fields, url: str) -> tuple[str, ...]:
    """Return the URLs of the same origin that an answer of `url` asks to have at hand, each once, in order."""
    found = (
        same_origin(url, link.target) for link in links(fields) if link.relations & WANTED and _is_about(link, url)
    )
    return tuple(dict.fromkeys(each for each in found if each is not None and each != url))


def links(fields: Fields) -> tuple[Link, ...]:
    """Return the links of an answer's `Link` fields."""
    found: list[Link] = []
    for value in values(fields, "link"):
        for link in _links(value):
            if len(found) == LINKS_MAX:
                return tuple(found)
            found.append(link)
    return tuple(found)


def _is_about(link: Link, url: str) -> bool:
    anchor = link.parameter("anchor")
    return anchor is None or same_origin(url, anchor) == url


def _links(text: str) -> Iterator[Link]:
    """Appendix B.2: each link is `<target>` and its parameters, up to the comma."""
    at = 0
    while at < len(text):
        at = _after(_SPACE, text, at)
        if text[at : at + 1] == ",":
            at += 1  # RFC 9110 §5.6.1.2: empty members of a list are passed over
            continue
        end = text.find(">", at)
        if text[at : at + 1] != "<" or end < 0:
            return
        target = text[at + 1 : end]
        at, parameters = _parameters(text, end + 1)
        relations = next((value for name, value in parameters if name == "rel"), "")
        yield Link(target, frozenset(relations.lower().split()), tuple(parameters))
        at = _after(_SPACE, text, at)
        if text[at : at + 1] != ",":
            return
        at += 1


def _parameters(text: str, at: int) -> tuple[int, list[tuple[str, str]]]:
    """Appendix B.3: `;name=value` again and again; returns where they end."""
    found: list[tuple[str, str]] = []
    while True:
        at = _after(_SPACE, text, at)
        if text[at : at + 1] != ";":
            return at, found
        at = _after(_SPACE, text, at + 1)
        begun, at = at, _after(_NAME, text, at)
        name = text[begun:at].lower()
        at = _after(_SPACE, text, at)
        value = ""
        if text[at : at + 1] == "=":
            at, value = _value(text, _after(_SPACE, text, at + 1))
        if name:
            found.append((name, value))


def _value(text: str, at: int) -> tuple[int, str]:
    quoted = _QUOTED.match(text, at)
    if quoted is not None:
        return quoted.end(), re.sub(r"\\(.)", r"\1", quoted[1])  # Appendix B.4: one without its end goes to the end
    end = _after(_BARE, text, at)
    return end, text[at:end].rstrip(" \t")


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
