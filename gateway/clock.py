"""Time is asked for here and nowhere else; rules get it as an argument.

`now_s` is monotonic, for durations and deadlines; `wall_s` is the date, for receipts and HTTP. Many boxes boot without
a battery clock, so a wall time carries how far it can be trusted (`clock_state`): before the build of this package is
impossible, so such a clock is `unknown`.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

ClockState = Literal["trusted", "unknown"]

# No box can live before its own program was written; 2026-11-01T00:00:00Z.
WALL_FLOOR_S = 1_793_491_200.0


class Clock(Protocol):
    """Where time comes from."""

    def now_s(self) -> float:
        """Return monotonic seconds, for durations."""
        ...

    def wall_s(self) -> float:
        """Return seconds since 1970 UTC, for dates."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's own clocks."""

    def now_s(self) -> float:
        """Return monotonic seconds, for durations."""
        return time.monotonic()

    def wall_s(self) -> float:
        """Return seconds since 1970 UTC, for dates."""
        return time.time()  # noqa: TID251 - the one place


def clock_state(wall_s: float) -> ClockState:
    """Say how far a wall time can be trusted.

    >>> clock_state(0.0), clock_state(2_000_000_000.0)
    ('unknown', 'trusted')
    """
    return "trusted" if wall_s >= WALL_FLOOR_S else "unknown"


def iso_utc(wall_s: float) -> str:
    """Write a wall time as RFC 3339 in UTC, to the millisecond.

    >>> iso_utc(1_800_000_000.25)
    '2027-01-15T08:00:00.250Z'
    """
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def boot_id() -> str:
    """Return what tells this boot of the machine from its others: 8 hexadecimal digits, "" where it is not known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except (OSError, UnicodeDecodeError):
        return ""
