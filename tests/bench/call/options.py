"""What all groups of the call's benchmark are given: a browser driver, a folder, and how long a run takes."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Error, Playwright

from tests.bench.call.browsers import Camera
from tests.bench.call.run import Run, Told, told

NONE = "–"


@dataclass(frozen=True)
class Options:
    """What is asked on the command line."""

    playwright: Playwright
    folder: Path
    seconds: float = 25.0
    trace_seconds: float = 300.0
    only: Sequence[str] = ()  # parts of the names of runs; empty: all
    camera: Camera = field(default_factory=lambda: Camera(0))

    def wants(self, *names: str) -> bool:
        """Say whether a run is asked for."""
        return not self.only or any(part.casefold() in name.casefold() for part in self.only for name in names)

    def done(self, row: list[str]) -> list[str]:
        """Return a table's row, and show it at once: a group takes long, and may be stopped before its end."""
        print("| " + " | ".join(row) + " |", file=sys.stderr, flush=True)
        return row

    async def told(self, label: str, run: Run) -> Told | str:
        """Return what was seen of a run; where it could not be done, why."""
        gone = run.contender.missing()
        if gone:
            return f"not measured: {gone}"
        print(f"{label}: {run.contender.name}, {run.seconds:g} s …", file=sys.stderr, flush=True)
        try:
            return await told(run, self.playwright, self.folder)
        except (RuntimeError, OSError, TimeoutError, Error) as exc:
            return f"did not run: {' '.join(str(exc).split())[-300:] or type(exc).__name__}"
