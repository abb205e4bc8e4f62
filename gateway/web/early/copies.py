"""What passes between the box and its workers, as bytes: ready answers one way, connections and reports the other.

To a worker goes a stream of frames: three lengths, a JSON object, the template of a head, a body. From it come
datagrams, whose first byte says what they are. Both are bounded. A worker reads what strangers send, so the box
believes nothing of it but numbers and names of resources.
"""

import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.web.early.answers import BODY_BYTES_MAX, Answered, Form, Learned
from gateway.web.early.generations import Stamp

READ_BYTES = 16_384  # of a request at once; what is longer is for the parser anyway
REPORT_BYTES_MAX = 65_536
CONNECTION, REPORT, READY, ALIVE = b"c", b"r", b"+", b"."
_LENGTHS = struct.Struct("!III")
_HEAD_BYTES_MAX = 65_536  # the JSON, and the template of a head
_PART_BYTES = 32_768  # a report is cut into parts of this size and one item more
_CHAR_BYTES = 6  # of a character in JSON, at most: \u00f1
_ITEM_BYTES = 96  # of an item beside its text
_URL_CHARS_MAX = 4_096
_HITS_MAX = 1_000_000  # of one sum; no worker answers as many in a second
_BYTES_MAX = _HITS_MAX * BODY_BYTES_MAX  # of one report, which the account of the link believes

Line = tuple[float, str, int, int, str]  # as the access log takes it: wall_s, site, status, bytes, how
Sum = tuple[float, str, int, int, int]  # of lines that are not told one by one: wall_s, site, status, bytes, hits


class Garbled(Exception):
    """What came has not the shape that was agreed on."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One piece for a worker."""

    told: dict[str, Any]
    template: bytes = b""
    body: bytes = b""


def written(frame: Frame) -> bytes:
    """Return a frame as bytes."""
    told = _json(frame.told)
    return b"".join([_LENGTHS.pack(len(told), len(frame.template), len(frame.body)), told, frame.template, frame.body])


class Frames:
    """Frames as they come out of a stream."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are whole now.

        Raises: Garbled.
        """
        self._data += data
        while len(self._data) >= _LENGTHS.size:
            told, template, body = _LENGTHS.unpack_from(self._data)
            if max(told, template) > _HEAD_BYTES_MAX or body > BODY_BYTES_MAX:
                raise Garbled
            at = _LENGTHS.size + told
            if len(self._data) < at + template + body:
                return
            frame = bytes(self._data[: at + template + body])
            del self._data[: len(frame)]
            yield Frame(_dict(frame[_LENGTHS.size : at]), frame[at : at + template], frame[at + template :])


def copy_of(door: int, learned: Learned) -> Frame | None:
    """Return the frame of a ready answer; None where it is too long for one."""
    form = learned.form
    told = {
        "door": door,
        "key": _text(learned.key),
        "choosing": [_text(each) for each in learned.choosing],
        "chosen": [None if each is None else _text(each) for each in learned.chosen],
        "at": form.at,
        "status": form.status,
        "times": [form.base_age_s, form.received_s, form.lifetime_s],
        "stamp": form.stamp,
    }
    if len(learned.key) + len(form.at[1]) > _HEAD_BYTES_MAX // 8:
        return None
    if max(len(form.template), len(_json(told))) > _HEAD_BYTES_MAX:  # an origin's `Vary` may name thousands of fields
        return None
    return Frame(told, form.template, form.body)


def learned_from(frame: Frame) -> tuple[int, Learned]:
    """Return a ready answer, and the number of the door that it is for.

    Raises: Garbled.
    """
    try:
        return _learned_from(frame)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise Garbled from exc


def _learned_from(frame: Frame) -> tuple[int, Learned]:
    told = frame.told
    site, url = told["at"]
    base_age_s, received_s, lifetime_s = told["times"]
    form = Form(
        at=(site, url),
        status=told["status"],
        template=frame.template,
        body=frame.body,
        base_age_s=base_age_s,
        received_s=received_s,
        lifetime_s=lifetime_s,
        stamp=Stamp(*told["stamp"]),
    )
    choosing = tuple(each.encode("latin-1") for each in told["choosing"])
    chosen = tuple(None if each is None else each.encode("latin-1") for each in told["chosen"])
    return told["door"], Learned(told["key"].encode("latin-1"), choosing, chosen, form)


def reports(door: int, answered: Answered, sums: Iterable[Sum] = ()) -> Iterator[bytes]:
    """Yield what a worker did at one door since its last report, in datagrams of a bounded size."""
    yield _report({"door": door, "hits": answered.hits, "bytes": answered.size_bytes})
    asked = [each for each in answered.asked if len(each[1]) <= _URL_CHARS_MAX]
    for part in _parts(asked):
        yield _report({"door": door, "asked": part})
    for part in _parts(answered.lines):
        yield _report({"door": door, "lines": part})
    for part in _parts(sums):
        yield _report({"door": door, "sums": part})


def answered_from(datagram: bytes) -> tuple[int, Answered]:
    """Return a worker's report, and the number of the door that it is about.

    Raises: Garbled.
    """
    try:
        told = _dict(datagram[1:])
        lines = [
            (float(at), _name(site), int(status), int(size), _name(how))
            for at, site, status, size, how in told.get("lines", ())
        ]
        for at, site, status, size, hits in told.get("sums", ()):
            lines += _lines(float(at), _name(site), int(status), int(size), min(int(hits), _HITS_MAX))
        return int(told["door"]), Answered(
            hits=int(told.get("hits", 0)),
            size_bytes=min(max(0, int(told.get("bytes", 0))), _BYTES_MAX),
            asked=[(str(site), str(url)) for site, url in told.get("asked", ()) if f"{site}{url}".isprintable()],
            lines=lines,
        )
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as exc:
        raise Garbled from exc


def _report(told: dict[str, Any]) -> bytes:
    return REPORT + _json(told)


def _lines(wall_s: float, site: str, status: int, size_bytes: int, hits: int) -> list[Line]:
    each_bytes = size_bytes // max(1, hits)
    line = (wall_s, site, status, each_bytes, "hit")
    return [line] * (hits - 1) + [(wall_s, site, status, size_bytes - each_bytes * (hits - 1), "hit")] * (hits > 0)


def _name(told: Any) -> str:
    """Return a word for the access log; what would break its lines, or could not be written, is refused."""
    if not isinstance(told, str) or not told.isprintable():
        raise Garbled
    return told


def _dict(data: bytes) -> dict[str, Any]:
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise Garbled from exc
    if not isinstance(told, dict):
        raise Garbled
    return told


def _json(told: dict[str, Any]) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode()


def _parts(items: Iterable[tuple[Any, str, *tuple[Any, ...]]]) -> Iterator[list[Any]]:
    part: list[Any] = []
    size = 0
    for each in items:
        part.append(each)
        size += len(each[1]) * _CHAR_BYTES + _ITEM_BYTES
        if size > _PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _text(data: bytes) -> str:
    return data.decode("latin-1")
