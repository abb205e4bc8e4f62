"""What a worker is asked for and what it answers, as frames on a socket. Pure.

A frame is two lengths, a head in JSON, and a payload. A worker has read hostile bytes, so its answer is checked like
anything that comes from outside: bounded, and of a known shape.
"""

import json
import struct
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gateway.web.saver.coding import Coding
from gateway.web.saver.pictures import Format

LENGTHS = struct.Struct("!II")
HEAD_BYTES_MAX = 4_096
_PICTURE_TYPES = frozenset({"image/webp", "image/avif"})


@dataclass(frozen=True, slots=True)
class PictureJob:
    """Make a picture smaller: fitted to a width, in one of these formats, whichever is the smallest."""

    width_px: int
    saving: bool
    formats: tuple[Format, ...]
    pixels_max: int
    time_s: float


@dataclass(frozen=True, slots=True)
class DenseJob:
    """Compress text as far as it goes, after taking off its codings."""

    decode: tuple[Coding, ...]
    size_bytes_max: int
    time_s: float


Job = PictureJob | DenseJob
Why = Literal["made", "not-smaller", "not-for-us", "too-large", "broken", "lost"]
_WHYS: frozenset[str] = frozenset({"made", "not-smaller", "not-for-us", "too-large", "broken"})


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a job; bytes and their media type where something was made."""

    why: Why
    media_type: str = ""
    data: bytes = b""


def asked(job: Job, data: bytes) -> bytes:
    """Return the frame that asks for a job."""
    head = json.dumps({"kind": type(job).__name__, **asdict(job)}).encode()
    return LENGTHS.pack(len(head), len(data)) + head + data


def read_job(head: bytes) -> Job:
    """Return the job of a frame's head."""
    found: dict[str, Any] = json.loads(head)
    kind = found.pop("kind")
    if kind == DenseJob.__name__:
        return DenseJob(**{**found, "decode": tuple(found["decode"])})
    return PictureJob(**{**found, "formats": tuple(found["formats"])})


def answered(done: Done) -> bytes:
    """Return the frame that answers a job."""
    head = json.dumps({"why": done.why, "type": done.media_type}).encode()
    return LENGTHS.pack(len(head), len(done.data)) + head + done.data


def read_done(head: bytes, data: bytes) -> Done:
    """Return what a worker says.

    Raises: ValueError where it makes no sense.
    """
    found = json.loads(head)
    if not isinstance(found, dict) or found.get("why") not in _WHYS:
        raise ValueError("not an answer")
    kind = found.get("type")
    if bool(data) != (found["why"] == "made") or (kind and kind not in _PICTURE_TYPES):
        raise ValueError("not an answer")
    return Done(found["why"], kind or "", data)
