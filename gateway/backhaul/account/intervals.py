"""When an interval begins and ends: at each quarter of an hour of the clock, and wherever the clock was set. Pure.

An interval is dated by the wall clock and measured by the monotonic one; where the two part, the clock was set, and the
interval ends there with the time it was opened with. One that was opened before the clock was right (many boxes boot
without a battery clock) is dated afterwards, from its end. So intervals may leave gaps, but no byte is in two of them.
"""

from dataclasses import dataclass

from gateway.clock import ClockState, clock_state

INTERVAL_S = 900
CLOCK_SET_S = 5.0  # more than NTP slews in a quarter of an hour (500 ppm: 0.45 s), less than any step worth telling


@dataclass(frozen=True, slots=True)
class Stretch:
    """An interval that is open: when it began by the wall clock, and which monotonic second that was."""

    start_s: int
    since_s: float


@dataclass(frozen=True, slots=True)
class Span:
    """When an interval began and ended by the wall clock, and how far that clock could be trusted."""

    start_s: int
    end_s: int
    clock_state: ClockState


def begin(wall_s: float, now_s: float) -> Stretch:
    """Return an interval that begins now."""
    return Stretch(int(wall_s), now_s)


def resume(span: Span, wall_s: float, now_s: float) -> Stretch | None:
    """Return the interval that a restart has cut, to be gone on with; None when the clock says it is over."""
    is_same = _quarter(wall_s) == _quarter(span.start_s) and wall_s >= span.end_s
    if not is_same or "unknown" in {span.clock_state, clock_state(wall_s)}:
        return None
    return Stretch(span.start_s, now_s - (wall_s - span.start_s))


def so_far(stretch: Stretch, now_s: float) -> Span:
    """Return an open interval as it is dated now."""
    return Span(stretch.start_s, int(stretch.start_s + now_s - stretch.since_s), clock_state(stretch.start_s))


def ended(stretch: Stretch, wall_s: float, now_s: float) -> Span | None:
    """Return an interval that is over, as it is to be dated; None while it is open.

    >>> ended(Stretch(1_800_000_000, 0.0), 1_800_000_900.2, 900.2)
    Span(start_s=1800000000, end_s=1800000900, clock_state='trusted')
    >>> ended(Stretch(1_800_000_000, 0.0), 1_800_000_060.0, 60.0) is None
    True
    """
    elapsed_s = now_s - stretch.since_s
    if abs(wall_s - stretch.start_s - elapsed_s) > CLOCK_SET_S:
        if clock_state(stretch.start_s) == "unknown" and clock_state(wall_s) == "trusted":
            return Span(int(wall_s - elapsed_s), int(wall_s), "trusted")
        return so_far(stretch, now_s)
    if _quarter(wall_s) != _quarter(stretch.start_s):
        return Span(stretch.start_s, max(int(wall_s), stretch.start_s), clock_state(stretch.start_s))
    return None


def next_beat_s(wall_s: float, beat_s: float = 60.0) -> float:
    """Return the seconds until the clock's next whole minute, and a little: a beat never comes before it."""
    return beat_s - wall_s % beat_s + 0.05


def _quarter(wall_s: float) -> int:
    return int(wall_s // INTERVAL_S)
