"""The history's file is replaced as a whole or not at all, and one that is damaged is none.

    magic ‖ SHA-256 of what follows ‖ zlib of: one line of JSON, then the rings' rows

It is written seldom, for SD cards wear: what a power cut takes is some minutes of a curve, never of the account.
"""

import contextlib
import hashlib
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from gateway.backhaul.account.history_rings import CELL_S, CELLS, ROW, Span

_MAGIC = b"tambo history 1\n"
_DIGEST_BYTES = 32
_HEAD_BYTES_MAX = 1_000
_ROWS_BYTES = {span: CELLS[span] * ROW.size for span in Span}
_PLAIN_BYTES_MAX = _HEAD_BYTES_MAX + sum(_ROWS_BYTES.values())
FILE_BYTES_MAX = _PLAIN_BYTES_MAX + 10_000  # zlib's own, where nothing can be made smaller


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a history: its own time, what the date was ahead of it, and the rows of its rings."""

    own_s: float
    ahead_s: float | None
    rows: dict[Span, bytes]


class DamagedError(Exception):
    """The file is there, and cannot be believed."""


def read(path: Path) -> Kept | None:
    """Return what the file holds; None where there is none. Blocks.

    Raises: DamagedError.
    """
    try:
        with path.open("rb") as file:
            found = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise DamagedError from exc
    body = found[len(_MAGIC) + _DIGEST_BYTES :]
    if len(found) > FILE_BYTES_MAX or found[: -len(body) or None] != _MAGIC + hashlib.sha256(body).digest():
        raise DamagedError
    try:
        return _unpacked(zlib.decompressobj().decompress(body, _PLAIN_BYTES_MAX))
    except (zlib.error, ValueError, TypeError, KeyError) as exc:
        raise DamagedError from exc


def write(path: Path, kept: Kept) -> None:
    """Replace the file, so that after a power cut it is the old one or the new one. Blocks.

    Raises: OSError.
    """
    head = {"own_s": kept.own_s, "ahead_s": kept.ahead_s, "rings": _shape()}
    plain = json.dumps(head).encode() + b"\n" + b"".join(kept.rows[span] for span in Span)
    body = zlib.compress(plain)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    try:
        with beside.open("wb") as file:
            file.write(_MAGIC + hashlib.sha256(body).digest() + body)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _unpacked(plain: bytes) -> Kept:
    line, _, rows = plain.partition(b"\n")
    head = json.loads(line)
    if head["rings"] != _shape() or len(rows) != sum(_ROWS_BYTES.values()):
        raise ValueError("rings of another shape")
    own_s = float(head["own_s"])
    ahead_s = None if head["ahead_s"] is None else float(head["ahead_s"])
    if not 0 <= own_s < 2**32 or not -1e12 < (ahead_s or 0.0) < 1e12:  # NaN is none of them
        raise ValueError("a time that cannot be")
    kept, at = {}, 0
    for span in Span:
        kept[span] = rows[at : at + _ROWS_BYTES[span]]
        at += _ROWS_BYTES[span]
    return Kept(own_s, ahead_s, kept)


def _shape() -> list[list[int]]:
    return [[CELL_S[span], CELLS[span], ROW.size] for span in Span]
