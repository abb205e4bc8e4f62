"""A stored answer: what came, what it was asked for with, and where its body lies. Pure.

Written as JSON behind a hash of it, so that a row whose bits changed on a worn card is missing rather than wrong.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from gateway.web.rules.fields import Fields
from gateway.web.rules.freshness import Times, age_s, from_the_future, lifetime_s

VARIANTS_MAX = 8  # answers kept for one URL, the newest; 3 languages and some room
_FORMAT = 2
_SEAL_BYTES = 16
_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class BodyRef:
    """Where a body lies, how long it is, and what it hashes to (BLAKE2b, 16 bytes, hexadecimal)."""

    key: str
    size_bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of an answer's content that is stored, and the offset of its first byte."""

    at: int
    body: BodyRef


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """One stored answer to GET, or as much of it as has come; `site` says whose it is."""

    site: str
    url: str
    status: int
    fields: Fields
    vary: Fields  # the fields of the request that this answer depends on, normalised (RFC 9111 §4.1)
    times: Times
    size_bytes: int  # of all of its content
    parts: tuple[Part, ...]  # in order, none over another
    invalid: bool = False  # an unsafe request touched the resource since (RFC 9111 §4.4)

    @property
    def whole(self) -> bool:
        """Whether all of its content is stored, in one body."""
        return len(self.parts) == 1 and self.parts[0].body.size_bytes == self.size_bytes

    @property
    def body(self) -> BodyRef:
        """The body of a whole answer."""
        return self.parts[0].body

    def lifetime_s(self) -> float:
        """Return the freshness lifetime."""
        return lifetime_s(self.status, self.fields, self.times, self.site)

    def age_s(self, now_s: float) -> float:
        """Return the current age."""
        return age_s(self.fields, self.times, now_s)

    def ttl_s(self, now_s: float) -> float:
        """Return for how long it is fresh still; negative when it is stale."""
        left_s = self.lifetime_s() - self.age_s(now_s)
        return min(left_s, 0.0) if self.invalid or from_the_future(self.times, now_s) else left_s


Shelf = tuple[StoredResponse, ...]  # all stored answers of one URL, the newest first


def put_on(shelf: Shelf, fresh: StoredResponse) -> Shelf:
    """Return the shelf with an answer in the place of its like, the newest first."""
    return (fresh, *(each for each in shelf if each.vary != fresh.vary))[:VARIANTS_MAX]


def invalidated(shelf: Shelf) -> Shelf:
    """Return the shelf with every answer to be validated before its next use (RFC 9111 §4.4)."""
    return tuple(replace(each, invalid=True) for each in shelf)


def write_shelf(shelf: Shelf, key: str = "") -> bytes:
    """Return a shelf as bytes for the disk, sealed for the row of this key alone."""
    text = json.dumps({"format": _FORMAT, "answers": [_as_json(each) for each in shelf]}, separators=(",", ":"))
    written = text.encode("utf-8", "replace")
    return sealed(written, key)


def read_shelf(row: object, key: str = "") -> Shelf | None:
    """Return the shelf of a row, or None for anything that is not one, whole, and of this key."""
    written = unsealed(row, key)
    if written is None:
        return None
    try:
        found = json.loads(written)
        return tuple(_from_json(each) for each in found["answers"]) if found["format"] == _FORMAT else None
    except (ValueError, KeyError, TypeError):
        return None


def url_key(site: str, url: str) -> str:
    """Return what stands for a URL of a site in the names of its rows."""
    return hashlib.blake2b(f"{site} {url}".encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).hexdigest()


def sealed(written: bytes, key: str) -> bytes:
    """Return a row's content behind a hash of it and of the row's key: an index gone astray shows, too."""
    return hashlib.blake2b(written, digest_size=_SEAL_BYTES, key=_of(key)).digest() + written


def unsealed(row: object, key: str) -> bytes | None:
    """Return the content of a sealed row, or None where its seal does not hold."""
    if not isinstance(row, bytes):
        return None
    written = row[_SEAL_BYTES:]
    seal = hashlib.blake2b(written, digest_size=_SEAL_BYTES, key=_of(key)).digest()
    return written if row[:_SEAL_BYTES] == seal else None


def _of(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=_SEAL_BYTES).digest()


def _as_json(stored: StoredResponse) -> dict[str, Any]:
    return {
        "site": stored.site,
        "url": stored.url,
        "status": stored.status,
        "fields": stored.fields,
        "vary": stored.vary,
        "times": [stored.times.requested_s, stored.times.received_s],
        "size": stored.size_bytes,
        "parts": [[part.at, part.body.key, part.body.size_bytes, part.body.digest] for part in stored.parts],
        "invalid": stored.invalid,
    }


def _from_json(found: dict[str, Any]) -> StoredResponse:
    requested_s, received_s = found["times"]
    return StoredResponse(
        site=str(found["site"]),
        url=str(found["url"]),
        status=int(found["status"]),
        fields=tuple((str(name), str(value)) for name, value in found["fields"]),
        vary=tuple((str(name), str(value)) for name, value in found["vary"]),
        times=Times(float(requested_s), float(received_s)),
        size_bytes=int(found["size"]),
        parts=tuple(
            Part(int(at), BodyRef(str(key), int(size_bytes), str(digest)))
            for at, key, size_bytes, digest in found["parts"]
        ),
        invalid=bool(found["invalid"]),
    )
