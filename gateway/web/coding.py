"""Which content coding a browser gets: as stored where it can read that, else decoded, and text compressed. Pure.

Source: RFC 9110 §8.4 and §12.5.3 (codings), §7.7 (no-transform), §8.8.3.3 (an entity tag is of one coding).
"""

from dataclasses import dataclass
from typing import Literal

from gateway.web.fields import Fields, accepted_codings, combined, directives, etag_of, first, members, values, without

Coding = Literal["br", "gzip"]

SMALL_BYTES = 256  # below this a coding's own bytes eat what it saves
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


@dataclass(frozen=True, slots=True)
class Recoding:
    """What is done to a stored body on its way to one browser."""

    decode: Coding | None = None
    encode: Coding | None = None

    @property
    def changes(self) -> bool:
        """Whether the bytes differ from those stored."""
        return self.decode is not None or self.encode is not None


def recoding(fields: Fields, size_bytes: int | None, accept: str | None) -> Recoding:
    """Return what is done to a body with these fields for a browser that accepts these codings."""
    stored = members((combined(fields, "content-encoding") or "").lower())
    accepted = accepted_codings(accept)
    if stored and stored != ["identity"]:
        decode = _known(stored)
        if decode is None or _weight(accepted, decode) > 0:
            return Recoding()  # as it is; a coding not known here goes to whoever the origin made it for
        # also under no-transform: the coding was asked for here, and is taken off so that the content is as meant
        # its decoded length is not known, and by being coded it says that it was worth it
        return Recoding(decode, _best(fields, None, accepted) if _compressible(fields) else None)
    return Recoding(None, _best(fields, size_bytes, accepted) if _compressible(fields) else None)


def recoded(fields: Fields, done: Recoding) -> Fields:
    """Return the fields of an answer whose body goes through `done`."""
    varies = _compressible(fields) or combined(fields, "content-encoding") is not None
    told = _varying(fields) if varies else fields
    if not done.changes:
        return told
    told = without(told, {"content-encoding", "content-length", "content-md5", "digest", "content-digest"})
    if done.encode:
        told = (*told, ("Content-Encoding", done.encode))
    etag = etag_of(told)
    if etag is not None and not etag.weak:
        # §8.8.3.3: other bytes, so the strong tag does not hold; the weak one says that they mean the same
        told = tuple((name, f"W/{etag.opaque}" if name.lower() == "etag" else value) for name, value in told)
    return without(told, {"accept-ranges"})


def _varying(fields: Fields) -> Fields:
    named = {member.lower() for member in members(combined(fields, "vary"))}
    return fields if named & {"accept-encoding", "*"} else (*fields, ("Vary", "Accept-Encoding"))


def _known(stored: list[str]) -> Coding | None:
    match stored:
        case ["br"]:
            return "br"
        case ["gzip" | "x-gzip"]:
            return "gzip"
    return None


def _best(fields: Fields, size_bytes: int | None, accepted: dict[str, float]) -> Coding | None:
    if (size_bytes is not None and size_bytes < SMALL_BYTES) or "no-transform" in directives(fields):
        return None
    br, gzip = _weight(accepted, "br"), _weight(accepted, "gzip")
    identity = accepted.get("identity", 0.0)  # only where somebody says that it is wanted as much
    best: Coding = "br" if br >= gzip else "gzip"
    return best if max(br, gzip) > 0 and max(br, gzip) >= identity else None


def _weight(accepted: dict[str, float], coding: str) -> float:
    return accepted.get(coding, accepted.get("*", 0.0))


def _compressible(fields: Fields) -> bool:
    named = (first(fields, "content-type") or "").partition(";")[0].strip().lower()
    text = named.startswith("text/") or named in _TEXT or named.endswith(("+json", "+xml"))
    return text and named not in _NOT_TEXT and not values(fields, "content-range")
