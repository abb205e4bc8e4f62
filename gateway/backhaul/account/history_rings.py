"""The last hour in stretches of 2 s, the last day by the minute, the last 31 days by the quarter: never more. Pure.

Each ring is one block of rows, 168 bytes a stretch: 1.05 MB for the three, from the first second on. A row carries its
number, so a jump in time, however long, costs one step: rows of another round simply do not count.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Self

from gateway.backhaul.account.history_cells import CLASSES, Cell, Gathering, Sample, WayCell, joined

_WAY_FLOATS = 11
ROW = struct.Struct(f"<I3f{2 * _WAY_FLOATS}f{2 * len(CLASSES)}Q")  # number + 1 (0: empty), seconds, both ways, bytes
SLOT_MAX = 2**32 - 2
BYTES_MAX = 2**64 - 1


class Span(StrEnum):
    """What a reader looks back on."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


CELL_S = {Span.HOUR: 2, Span.DAY: 60, Span.MONTH: 900}
CELLS = {Span.HOUR: 1_800, Span.DAY: 1_440, Span.MONTH: 2_976}


@dataclass(frozen=True, slots=True)
class Series:
    """A span as it was when it was asked for; `last` is the number of its newest stretch."""

    span: Span
    last: int
    rows: bytes

    @property
    def first(self) -> int:
        """The number of the oldest stretch of the span."""
        return self.last - CELLS[self.span] + 1

    @property
    def ended_s(self) -> float:
        """The end of the span, in the history's own time."""
        return float((self.last + 1) * CELL_S[self.span])

    def cells(self) -> list[Cell]:
        """Return the stretches in which somebody looked, the oldest first."""
        found = [_read(self.rows, at) for at in range(0, len(self.rows), ROW.size)]
        return sorted(
            (each for each in found if max(self.first, 0) <= each.slot <= self.last), key=lambda each: each.slot
        )


class Ring:
    """One span: its finished stretches, and the open one."""

    def __init__(self, span: Span, rows: bytes | None = None) -> None:
        self.span = span
        self._rows = bytearray(rows if rows is not None else ROW.size * CELLS[span])
        self._open: Gathering | None = None

    def add(self, sample: Sample, own_s: float, lasted_s: float) -> None:
        """Count a look at `own_s` in its stretch."""
        slot = min(int(own_s // CELL_S[self.span]), SLOT_MAX)
        if self._open is None or self._open.slot != slot:
            if self._open is not None:
                self._put(self._rows, self._open.cell())
            self._open = Gathering(slot)
        self._open.add(sample, lasted_s)

    def series(self, *, whole: bool = True) -> Series:
        """Return the span up to the open stretch; without it where not `whole`."""
        last = self._open.slot if self._open is not None else -1
        if not whole:
            return Series(self.span, last - 1, bytes(self._rows))
        return Series(self.span, last, self.snapshot())

    def finished(self, slot: int) -> Cell | None:
        """Return a stretch that is over."""
        cell = _read(self._rows, self._at(slot))
        return cell if cell.slot == slot else None

    @property
    def open_slot(self) -> int | None:
        """The number of the open stretch; None before the first look."""
        return self._open.slot if self._open is not None else None

    def snapshot(self) -> bytes:
        """Return all rows, the open stretch as if it were over."""
        if self._open is None:
            return bytes(self._rows)
        rows = bytearray(self._rows)
        self._put(rows, self._open.cell())
        return bytes(rows)

    def _put(self, rows: bytearray, cell: Cell) -> None:
        at = self._at(cell.slot)
        before = _read(rows, at)
        ROW.pack_into(rows, at, *_row(joined(before, cell) if before.slot == cell.slot else cell))

    def _at(self, slot: int) -> int:
        return slot % CELLS[self.span] * ROW.size


@dataclass(frozen=True, slots=True)
class Rings:
    """The three spans, each fed with every look: what one has counted the others have."""

    rings: dict[Span, Ring]

    @classmethod
    def made(cls, rows: dict[Span, bytes] | None = None) -> Self:
        """Return rings that hold these rows, or nothing."""
        held = partial(dict.get, rows or {})
        return cls({span: Ring(span, held(span)) for span in Span})

    def add(self, sample: Sample, own_s: float, lasted_s: float) -> None:
        """Count a look in every span."""
        for ring in self.rings.values():
            ring.add(sample, own_s, lasted_s)


def _row(cell: Cell) -> tuple[float, ...]:
    ways = (cell.down, cell.up)
    moved = (min(each, BYTES_MAX) for way in ways for each in way.moved_bytes)
    return (
        cell.slot + 1,
        cell.seen_s,
        cell.down_s,
        cell.degraded_s,
        *(each for way in ways for each in _floats(way)),
        *moved,
    )


def _floats(way: WayCell) -> tuple[float, ...]:
    return (
        way.peak_bps,
        way.capacity_bps,
        way.capacity_known_s,
        way.queueing_p50_s,
        way.queueing_p95_s,
        way.queueing_max_s,
        way.queueing_known_s,
        way.loss_ratio,
        way.loss_max_ratio,
        way.loss_known_s,
        way.congested_s,
    )


def _read(rows: bytes | bytearray, at: int) -> Cell:
    number, seen_s, down_s, degraded_s, *rest = ROW.unpack_from(rows, at)
    ways, moved = rest[: 2 * _WAY_FLOATS], rest[2 * _WAY_FLOATS :]
    down = WayCell(tuple(moved[: len(CLASSES)]), *ways[:_WAY_FLOATS])
    up = WayCell(tuple(moved[len(CLASSES) :]), *ways[_WAY_FLOATS:])
    return Cell(number - 1, seen_s, down_s, degraded_s, down, up)
