"""Which content coding a browser gets: as stored where it can read that, else decoded, and text compressed. Pure.

Source: RFC 9110 §8.4 and §12.5.3 (codings), §7.7 (no-transform), §8.8.3.3 (an entity tag is of one coding).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gateway.web.rules.fields import (
    Fields,
    accepted_codings,
    combined,
    directives,
    etag_of,
    first,
    members,
    values,
    without,
)
from gateway.web.rules.policy import SITE_TARGETS

Coding = Literal["br", "zstd", "gzip"]

SMALL_BYTES = 256  # below this a coding's own bytes eat what it saves
CODINGS_MAX = 3  # one over the other; who sends more means harm
_BY_GAIN: tuple[Coding, ...] = ("br", "zstd", "gzip")  # 17.5, 18.5 and 19.8 % of text as they are set here (2026-11)
_NAMED: dict[str, Coding] = {"br": "br", "zstd": "zstd", "gzip": "gzip", "x-gzip": "gzip"}
_TEXT = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/ld+json",
        "application/manifest+json",
        "application/rss+xml",
        "application/atom+xml",
        "application/vnd.ms-fontobject",
        "application/wasm",
        "application/xhtml+xml",
        "application/xml",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/svg+xml",
        "image/x-icon",
        "image/vnd.microsoft.icon",
    }
)
_NOT_TEXT = frozenset({"text/event-stream"})  # events are to arrive one by one
# They speak of the bytes as they were (RFC 9110 §8.6, RFC 9530 §2 and §3)
OF_THE_BYTES = frozenset({"content-length", "content-md5", "digest", "content-digest", "repr-digest", "accept-ranges"})


@dataclass(frozen=True, slots=True)
class Recoding:
    """What is done to a stored body on its way to one browser: codings taken off, in this order, and one put on."""

    decode: tuple[Coding, ...] = ()
    encode: Coding | None = None

    @property
    def changes(self) -> bool:
        """Whether the bytes differ from those stored."""
        return bool(self.decode) or self.encode is not None


def recoding(
    fields: Fields, size_bytes: int | None, accept: str | None, *, tighter: bool = False, bare: bool = False
) -> Recoding:
    """Return what is done to a body with these fields for a browser that accepts these codings.

    `tighter`: gzip gives way to br. Where a weak link follows, that pays; in the village it would only cost. `bare`: no
    coding is put on, since the browser forbids it.
    """
    stored = members((combined(fields, "content-encoding") or "").lower())
    accepted = accepted_codings(accept)
    if not stored or stored == ["identity"]:
        return Recoding((), _best(fields, size_bytes, accepted) if compressible(fields) and not bare else None)
    decode = _known(stored)
    if not decode:
        return Recoding()  # a coding not known here goes to whoever the origin made it for
    if all(_weight(accepted, each) > 0 for each in decode) and not (
        tighter and not bare and _gains(fields, decode, accepted)
    ):
        return Recoding()
    # also under no-transform: the coding was asked for here, and is taken off so that the content is as meant
    # its decoded length is not known, and by being coded it says that it was worth it
    return Recoding(decode, _best(fields, None, accepted) if compressible(fields) and not bare else None)


def recoded(fields: Fields, done: Recoding) -> Fields:
    """Return the fields of an answer whose body goes through `done`."""
    varies = compressible(fields) or combined(fields, "content-encoding") is not None
    told = varying(fields, ["Accept-Encoding"]) if varies else fields
    if not done.changes:
        return told
    told = without(told, OF_THE_BYTES | {"content-encoding"})
    if done.encode:
        told = (*told, ("Content-Encoding", done.encode))
    etag = etag_of(told)
    if etag is not None and not etag.weak:
        # §8.8.3.3: other bytes, so the strong tag does not hold; the weak one says that they mean the same
        told = tuple((name, f"W/{etag.opaque}" if name.lower() == "etag" else value) for name, value in told)
    return told


def varying(fields: Fields, names: Iterable[str]) -> Fields:
    """Return an answer's fields that say it depends on these fields of the request too (RFC 9110 §12.5.5)."""
    named = {member.lower() for member in members(combined(fields, "vary"))}
    more = tuple(("Vary", name) for name in names if name.lower() not in named)
    return fields if "*" in named else (*fields, *more)


def compressible(fields: Fields) -> bool:
    """Say whether a body is text, or as good as text, and whole."""
    named = media_type(fields)
    text = named.startswith("text/") or named in _TEXT or named.endswith(("+json", "+xml"))
    return text and named not in _NOT_TEXT and not values(fields, "content-range")


def media_type(fields: Fields) -> str:
    """Return the media type in small letters, without its parameters; nothing where there is none."""
    return (first(fields, "content-type") or "").partition(";")[0].strip().lower()


def untouchable(fields: Fields) -> bool:
    """Say whether somebody forbids to change the content (RFC 9110 §7.7, RFC 9111 §5.2.1.6 and §5.2.2.6).

    Whichever field says so, also one that RFC 9213 has for other caches: to leave it as it is harms nobody.
    """
    return any("no-transform" in directives(fields, name) for name in ("cache-control", *SITE_TARGETS))


def _known(stored: list[str]) -> tuple[Coding, ...]:
    """Return the codings to take off, the last put on first; none where one is not known."""
    found = [_NAMED[each] for each in reversed(stored) if each in _NAMED]
    whole = len(found) == len([each for each in stored if each != "identity"])
    return tuple(found) if whole and len(found) <= CODINGS_MAX else ()


def _gains(fields: Fields, decode: tuple[Coding, ...], accepted: dict[str, float]) -> bool:
    return compressible(fields) and decode == ("gzip",) and _best(fields, None, accepted) == "br"


def _best(fields: Fields, size_bytes: int | None, accepted: dict[str, float]) -> Coding | None:
    if (size_bytes is not None and size_bytes < SMALL_BYTES) or untouchable(fields):
        return None
    best = max(_BY_GAIN, key=lambda coding: _weight(accepted, coding))  # of equals the first
    weight = _weight(accepted, best)
    identity = accepted.get("identity", 0.0)  # only where somebody says that it is wanted as much
    return best if weight > 0 and weight >= identity else None


def _weight(accepted: dict[str, float], coding: str) -> float:
    return accepted.get(coding, accepted.get("*", 0.0))
