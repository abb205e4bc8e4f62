"""The link part of the benchmark: each scenario alone, unmanaged and with the box, and what was asked beside it.

python -m tests.bench link                 the first scenario of every group: half an hour
python -m tests.bench link constant steps  some groups, whole; all of them take an hour and a half
"""

import asyncio
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bench.link import companions, emulator
from tests.bench.link.run import Mode, Run, measured
from tests.bench.link.scenarios import GROUPS, Scenario
from tests.bench.link.tables import TABLES, Seen

CAPTION = (
    "Queueing is one-way delay less the emulated 20 ms, and holds a packet's own transmission; excess is p95 less "
    "that of the call alone on the same stretch. Call: 50 voice packets a second and 500 kb/s of picture at 30 a "
    "second, each way. 512 KB drop-tail queue; senders' congestion control is cubic where nothing else is said. "
    "One run each. CPU is that of the whole box, its proxy included, as a share of one core."
)


class Measurer:
    """Does runs, and those that are the same only once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._done: dict[Run, dict[str, Any] | str] = {}

    async def seen(self, scenario: Scenario) -> Seen:
        """Return what each of a scenario's runs found; where one could not be, why, in a sentence."""
        return Seen(scenario, {mode: await self._one(_as(mode, scenario.run)) for mode in scenario.modes})

    async def _one(self, run: Run) -> dict[str, Any] | str:
        if run not in self._done:
            self._done[run] = await self._measured(run)
        return self._done[run]

    async def _measured(self, run: Run) -> dict[str, Any] | str:
        print(f"{run.name} ({run.conditions.down}): {run.mode.value}, {run.seconds:g} s …", file=sys.stderr, flush=True)
        for needed, command in ((run.reflector, "reflect"), (bool(run.conditions.routed_clients), "shaper")):
            if needed and run.mode is Mode.MANAGED and not await companions.offered(command):
                return f"left out: this checkout has no `tambo {command}`"
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            try:
                return await measured(run, Path(folder))
            except (RuntimeError, OSError) as exc:
                return f"did not run: {' '.join(str(exc).split())[-300:]}"


def _as(mode: Mode, run: Run) -> Run:
    """Return a run in another mode, described so that those which are the same are equal."""
    if mode is Mode.MANAGED:
        return run
    # where there is no box, its settings make no difference; on a constant link, nor does when the call began
    plain = replace(run, mode=mode, reflector=False, settings=(), more_settings="")
    if not (run.conditions.down.trace or run.conditions.up.trace or run.events):
        plain = replace(plain, after_s=5.0)
    if mode is Mode.UNMANAGED:
        return replace(plain, follow=False)
    conditions = replace(run.conditions, routed_clients=0, congestion_control="cubic")
    return replace(plain, conditions=conditions, devices=())


async def link(folder: Path, groups: Sequence[str] = ()) -> str:
    """Print a table for each group as it is done; return what is to be said of all."""
    unknown = [each for each in groups if each not in GROUPS]
    if unknown:
        return f"The link: there is no {', '.join(unknown)}; there are {', '.join(GROUPS)}."
    gone = emulator.missing()
    if gone:
        return f"The link: not measured, {gone}"
    stop = asyncio.current_task()
    assert stop is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.cancel)
    measurer = Measurer(folder)
    for name in groups or GROUPS:
        scenarios = GROUPS[name] if groups else GROUPS[name][:1]
        seen = [await measurer.seen(scenario) for scenario in scenarios]
        print(TABLES[name](seen), end="\n\n", flush=True)
    return CAPTION
