"""What is left for probing survives a restart, written seldom: many boxes live on an SD card.

The file always says less than is left, by a tenth of what one hour may spend: so much may be spent before it is written
again, and a power cut costs the allowance that much and never makes it larger. A file that cannot be read says that
nothing is left.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from gateway.backhaul.sensing.probe_budget import MONTH_S, ProbeBudget, Purses
from gateway.clock import Clock, clock_state

AHEAD_RATIO = 1 / 400  # of the month: 400 writes a month at most


class ProbeLedger:
    """The budget and its file; `read` and `write` touch the disk and belong in a thread."""

    def __init__(self, path: Path | None, month_bytes: int, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._month_bytes = month_bytes
        self._ahead_bytes = month_bytes * AHEAD_RATIO
        self._unwritten_bytes = self._ahead_bytes  # the first spending is written ahead
        self.budget = ProbeBudget(month_bytes, clock.now_s())

    @property
    def due(self) -> bool:
        """Whether as much was spent as was written ahead."""
        return self._path is not None and self._unwritten_bytes >= self._ahead_bytes

    def spend(self, size_bytes: int) -> None:
        """Take bytes out of the budget."""
        self.budget.spend(size_bytes, self._clock.now_s())
        self._unwritten_bytes += size_bytes

    def read(self) -> None:
        """Take up what the file says, with what came in while the box was off, where both dates can be trusted."""
        if self._path is None:
            return
        try:
            left, written_s = _parsed(self._path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            left, written_s = Purses(0.0, 0.0), 0.0
        now_s, wall_s = self._clock.now_s(), self._clock.wall_s()
        trusted = clock_state(written_s) == clock_state(wall_s) == "trusted"
        off_s = min(max(0.0, wall_s - written_s), MONTH_S) if trusted else 0.0
        self.budget = ProbeBudget(self._month_bytes, now_s - off_s, left)

    def write(self, *, ahead: bool = True) -> None:
        """Write what is left, less what may be spent until the next writing; a disk that fails is tried again later."""
        if self._path is None:
            return
        left = self.budget.left(self._clock.now_s())
        less = self._ahead_bytes if ahead else 0.0
        document = {
            "reserve_bytes": left.reserve_bytes - less,
            "hour_bytes": left.hour_bytes - less,
            "wall_s": self._clock.wall_s(),
        }
        self._unwritten_bytes = 0.0
        with suppress(OSError):
            fresh = self._path.with_suffix(".part")
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(json.dumps(document).encode())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)


def _parsed(data: bytes) -> tuple[Purses, float]:
    document = json.loads(data)
    reserve, hour, wall_s = (float(document[name]) for name in ("reserve_bytes", "hour_bytes", "wall_s"))
    if not all(abs(each) < 1e15 for each in (reserve, hour, wall_s)):  # NaN and infinity too
        raise ValueError("not an amount")
    return Purses(reserve, hour), wall_s
