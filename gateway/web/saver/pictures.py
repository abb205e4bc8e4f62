"""Which pictures are made smaller, for whom, and what their answers say then. Pure.

Only who names WebP or AVIF in `Accept` gets them: `*/*` is what everybody sends, and no consent. Pictures are fitted to
a *width*, not to their longest side: a page is as wide as its screen and as long as it likes, and a tall plan or
leaflet of 720 px in height could not be read.

What may be looked at for its pixels (`originals`, answers that forbid it, downloads) and what a program asked for
(`fetch` sends `*/*`) stays as it is. Source: RFC 9110 §7.7, §8.8.1, §12.5.1 and §12.5.5.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from gateway.web.rules.fields import Fields, accepted_codings, combined, etag_of, first, members, values, without
from gateway.web.saver.coding import OF_THE_BYTES, media_type, untouchable, varying

Images = Literal["off", "save-data", 720, 1080]
Format = Literal["avif", "webp"]

SAVING_WIDTH_PX = 720  # two device pixels for each of a phone's 360
SMALL_BYTES = 2_048  # an icon: what it could save is less than the fields of its answer
LARGE_BYTES = 20_000_000  # larger ones are no pictures of a page, and would have to be held whole
TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/avif", "image/gif"})
_FORMATS: tuple[Format, ...] = ("avif", "webp")
_UNQUOTED_MAX = 4  # rounds; who hides a path deeper than this gets the original
_ENCODED_SLASH = re.compile(r"%(25)*(2f|5c)", re.IGNORECASE)
# What origins read in different ways: parameters (`/a/..;/rx/`), a NUL that ends a name, bytes that are no UTF-8
_ODD = re.compile(r"//|[;\\\x00-\x1f\x7f\ufffd]")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator of a site allows: for whom pictures are made smaller, and below which paths they never are."""

    images: Images = "save-data"
    originals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """A picture as a browser would like it; `saving`: it would give sharpness for bytes."""

    width_px: int
    saving: bool
    formats: tuple[Format, ...]

    @property
    def name(self) -> str:
        """What the rendition is called, where it is kept and in its entity tag."""
        return f"{self.width_px}{'s' if self.saving else ''}-{'-'.join(self.formats)}"


def touchable(policy: Policy, url: str, status: int, fields: Fields, size_bytes: int | None) -> bool:
    """Say whether an answer is a picture that somebody could get smaller."""
    if policy.images == "off" or status != 200 or media_type(fields) not in TYPES or untouchable(fields):
        return False
    if size_bytes is not None and not SMALL_BYTES <= size_bytes <= LARGE_BYTES:
        return False
    if combined(fields, "content-encoding") or values(fields, "content-range") or _download(fields):
        return False
    return not any(_path(url, prefix) for prefix in policy.originals)


def wish_of(policy: Policy, asked: Fields) -> Wish | None:
    """Return how a browser would like its pictures, or None for as they are."""
    formats = tuple(each for each in _FORMATS if _accepts(asked, f"image/{each}"))
    saving = "on" in {member.partition(";")[0].strip().lower() for member in members(combined(asked, "save-data"))}
    if not formats or untouchable(asked) or values(asked, "range"):
        return None
    match policy.images:
        case "off":
            return None
        case "save-data":
            return Wish(SAVING_WIDTH_PX, True, formats) if saving else None
        case width_px:
            return Wish(min(width_px, SAVING_WIDTH_PX) if saving else width_px, saving, formats)


def negotiated(fields: Fields) -> Fields:
    """Return the fields of a picture's answer, whichever it is, that say what it depends on."""
    return varying(fields, ["Accept", "Save-Data"])


def smaller(fields: Fields, wish: Wish, kind: str) -> Fields:
    """Return the fields of an answer whose picture is the rendition of this media type.

    Its tag is the original's with the rendition's name, and weak: the same settings of another release may make other
    bytes of the same picture.
    """
    etag = etag_of(fields)
    told = without(fields, OF_THE_BYTES | {"content-type", "etag"})
    tagged: Fields = (("ETag", f'W/"{etag.opaque[1:-1]}-{wish.name}"'),) if etag is not None else ()
    return negotiated((*told, ("Content-Type", kind), *tagged))


def _accepts(asked: Fields, kind: str) -> bool:
    return accepted_codings(combined(asked, "accept")).get(kind, 0.0) > 0  # media ranges have the form of codings


def _download(fields: Fields) -> bool:
    return (first(fields, "content-disposition") or "").strip().lower().startswith("attachment")


def _path(url: str, prefix: str) -> bool:
    """Say whether a URL's path begins with a prefix, or could be made to look as if it did not."""
    path = urlsplit(url).path
    if _ENCODED_SLASH.search(path):
        return True
    for _ in range(_UNQUOTED_MAX):
        plain = unquote(path)
        if plain == path:
            break
        path = plain
    else:
        return True
    if _ODD.search(path) or any(part != part.rstrip(". ") for part in path.split("/")):
        return True
    return path.casefold().startswith(unquote(prefix).casefold())
