"""What the link did in one stretch of time, and how two such stretches become one. Pure.

Bytes and seconds are sums and stay exact however stretches are joined. Capacity and loss are means over the seconds in
which they were known. Queueing delay is kept as median, 95th percentile and greatest; while a stretch is open, as
seconds by delay on a log scale, as delays spread over four powers of ten and a mean of them tells nothing.

A second in which nothing crossed is a second of rest, and counts; one at which nobody looked counts nowhere.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway.backhaul.sensing.figures import Estimate, LinkFigures, WayFigures
from gateway.backhaul.sensing.state import LinkState
from gateway.backhaul.sharing.classes import TrafficClass

CLASSES = tuple(TrafficClass)
LOOK_S_MAX = 5.0  # a look stands for the time since the last one, and for no more than this
FRESH_S = 10.0  # a delay or a loss older than this says nothing of the second it is told in
CONGESTED_S = 0.05  # queueing from which a second counts as congested: a call notices (DESIGN, numbers to reach)
VALUE_MAX = 1e15  # no figure is larger, whatever an instrument says
_FINEST_S = 0.001
_STEP = 1.25  # from one class of delay to the next: a percentile is right within 12 %
_STEPS = 46  # up to 23 s
_LOG_STEP = math.log(_STEP)


class Crossed(NamedTuple):
    """Bytes of IP packets that crossed the link."""

    down_bytes: int
    up_bytes: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the link, at `at_s` (monotonic); `moved` is what crossed since the last look."""

    at_s: float
    state: LinkState
    figures: LinkFigures
    moved: Mapping[TrafficClass, Crossed]


@dataclass(frozen=True, slots=True)
class WayCell:
    """One direction; a mean means nothing where its seconds are 0."""

    moved_bytes: tuple[int, ...] = (0,) * len(CLASSES)  # in the order of the classes
    peak_bps: float = 0.0  # of the busiest look
    capacity_bps: float = 0.0
    capacity_known_s: float = 0.0
    queueing_p50_s: float = 0.0
    queueing_p95_s: float = 0.0
    queueing_max_s: float = 0.0
    queueing_known_s: float = 0.0
    loss_ratio: float = 0.0
    loss_max_ratio: float = 0.0
    loss_known_s: float = 0.0
    congested_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Cell:
    """Both directions in the stretch with the number `slot`: how long they were looked at, and what was seen."""

    slot: int
    seen_s: float = 0.0
    down_s: float = 0.0  # of them, with the link down
    degraded_s: float = 0.0
    down: WayCell = WayCell()
    up: WayCell = WayCell()


def joined(one: Cell, other: Cell) -> Cell:
    """Return both as one, with the slot of the first; percentiles are weighed by their seconds: near enough."""
    return Cell(
        one.slot,
        one.seen_s + other.seen_s,
        one.down_s + other.down_s,
        one.degraded_s + other.degraded_s,
        _joined_ways(one.down, other.down),
        _joined_ways(one.up, other.up),
    )


def _joined_ways(one: WayCell, other: WayCell) -> WayCell:
    capacity = _Weights(one.capacity_known_s, other.capacity_known_s)
    queueing = _Weights(one.queueing_known_s, other.queueing_known_s)
    loss = _Weights(one.loss_known_s, other.loss_known_s)
    return WayCell(
        moved_bytes=tuple(a + b for a, b in zip(one.moved_bytes, other.moved_bytes, strict=True)),
        peak_bps=max(one.peak_bps, other.peak_bps),
        capacity_bps=capacity.mean(one.capacity_bps, other.capacity_bps),
        capacity_known_s=sum(capacity),
        queueing_p50_s=queueing.mean(one.queueing_p50_s, other.queueing_p50_s),
        queueing_p95_s=queueing.mean(one.queueing_p95_s, other.queueing_p95_s),
        queueing_max_s=max(one.queueing_max_s, other.queueing_max_s),
        queueing_known_s=sum(queueing),
        loss_ratio=loss.mean(one.loss_ratio, other.loss_ratio),
        loss_max_ratio=max(one.loss_max_ratio, other.loss_max_ratio),
        loss_known_s=sum(loss),
        congested_s=one.congested_s + other.congested_s,
    )


class _Weights(NamedTuple):
    one: float
    other: float

    def mean(self, one: float, other: float) -> float:
        whole = self.one + self.other
        return (one * self.one + other * self.other) / whole if whole else 0.0


class Gathering:
    """A stretch that is still open."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self._seen_s = 0.0
        self._down_s = 0.0
        self._degraded_s = 0.0
        self._down, self._up = _GatheringWay(), _GatheringWay()

    def add(self, sample: Sample, lasted_s: float) -> None:
        """Count a look that stands for `lasted_s` seconds."""
        self._seen_s += lasted_s
        if sample.state is LinkState.DOWN:
            self._down_s += lasted_s
        elif sample.state is LinkState.DEGRADED:
            self._degraded_s += lasted_s
        nothing = Crossed(0, 0)
        moved = [sample.moved.get(each, nothing) for each in CLASSES]
        self._down.add(sample.figures.down, [each.down_bytes for each in moved], lasted_s)
        self._up.add(sample.figures.up, [each.up_bytes for each in moved], lasted_s)

    def cell(self) -> Cell:
        """Return what was gathered so far."""
        return Cell(self.slot, self._seen_s, self._down_s, self._degraded_s, self._down.cell(), self._up.cell())


class _GatheringWay:
    def __init__(self) -> None:
        self._moved_bytes = [0] * len(CLASSES)
        self._peak_bps = 0.0
        self._capacity, self._loss = _Sum(), _Sum()
        self._delays_s = [0.0] * _STEPS  # seconds, by delay
        self._delay_max_s = 0.0
        self._delay_known_s = 0.0
        self._congested_s = 0.0

    def add(self, figures: WayFigures, moved_bytes: list[int], lasted_s: float) -> None:
        for at, size_bytes in enumerate(moved_bytes):
            self._moved_bytes[at] += max(size_bytes, 0)
        if lasted_s > 0:
            self._peak_bps = min(max(self._peak_bps, sum(moved_bytes) * 8 / lasted_s), VALUE_MAX)
        self._capacity.add(value_of(figures.capacity_bps, math.inf), lasted_s)
        self._loss.add(value_of(figures.loss_ratio), lasted_s)
        delay_s = value_of(figures.queueing_s)
        if delay_s is not None:
            self._delays_s[_step_of(delay_s)] += lasted_s
            self._delay_max_s = max(self._delay_max_s, delay_s)
            self._delay_known_s += lasted_s
            self._congested_s += lasted_s if is_congested(figures) else 0.0

    def cell(self) -> WayCell:
        return WayCell(
            tuple(self._moved_bytes),
            self._peak_bps,
            self._capacity.mean(),
            self._capacity.known_s,
            self._percentile_s(0.5),
            self._percentile_s(0.95),
            self._delay_max_s,
            self._delay_known_s,
            self._loss.mean(),
            self._loss.max,
            self._loss.known_s,
            self._congested_s,
        )

    def _percentile_s(self, ratio: float) -> float:
        wanted_s = self._delay_known_s * ratio
        for step, lasted_s in enumerate(self._delays_s):
            wanted_s -= lasted_s
            if wanted_s <= 0 and lasted_s:
                return min(_FINEST_S * math.exp(_LOG_STEP * (step - 0.5)), self._delay_max_s)
        return self._delay_max_s


class _Sum:
    def __init__(self) -> None:
        self.known_s = 0.0
        self.max = 0.0
        self._sum = 0.0

    def add(self, value: float | None, lasted_s: float) -> None:
        if value is not None:
            self._sum += value * lasted_s
            self.known_s += lasted_s
            self.max = max(self.max, value)

    def mean(self) -> float:
        return self._sum / self.known_s if self.known_s else 0.0


def value_of(estimate: Estimate | None, age_s_max: float = FRESH_S) -> float | None:
    """Return the figure, if there is one that is not too old."""
    if estimate is None or estimate.age_s > age_s_max or not math.isfinite(estimate.value):
        return None
    return min(max(estimate.value, 0.0), VALUE_MAX)


def is_congested(figures: WayFigures) -> bool:
    """Say whether packets of this direction wait longer than a call bears."""
    delay_s = value_of(figures.queueing_s)
    return delay_s is not None and delay_s >= CONGESTED_S


def _step_of(delay_s: float) -> int:
    if delay_s <= _FINEST_S:
        return 0
    return min(math.ceil(math.log(delay_s / _FINEST_S) / _LOG_STEP), _STEPS - 1)
