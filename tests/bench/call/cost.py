"""What a call costs where it is carried: CPU and memory for each forwarded picture, and the delay it adds."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.call import cells
from tests.bench.call.cells import HEAD, MACHINE_HEAD, NONE
from tests.bench.call.contenders import Alone, Contender, Janus, Tambo
from tests.bench.call.options import Options
from tests.bench.call.place import BOX_NEAR, Place, placed, tree
from tests.bench.call.run import Run, Told
from tests.bench.link.emulator import Capacity, Conditions
from tests.bench.link.running import running
from tests.bench.machine import percentile, table

MBIT = 20.0
CALLS = 10
PICTURES = 2  # a call forwards one each way, with its voice
BOX_CORE, CALLERS_CORE = "0", "1"
JOIN_S = 90.0
_TOLD = {"backhaul.down_bps": "20_000_000", "backhaul.up_bps": "20_000_000", "clinic.calls_max": str(CALLS)}
_ON_ONE_CORE = {**_TOLD, "backhaul.interface": '"lan1"'}  # where all of it passes
NOTE = (
    "20 Mbit/s and 25 ms each way, the box told so; pictures of at most 700 kb/s. Added: the median and p95 of a "
    "frame's time from camera to page, less those of two browsers alone. CPU of a picture: all of what carries the "
    "call, halved."
)
MANY_NOTE = (
    "Ends without browsers, aiortc for ICE and DTLS alone: 50 voice packets and 140 of pictures a second from each, 2 "
    "ends a call, all in the village's namespace and nothing emulated between. The box is held on one core, the ends "
    "on the other; delay is from send to receive of every packet, both by one clock, with the ends' own lateness."
)


async def cpu(options: Options) -> str:
    """Return both tables."""
    wide = Conditions(Capacity(MBIT), Capacity(MBIT))
    found: list[tuple[Contender, Told | str]] = []
    for contender in (Alone(), Tambo(settings=_TOLD), Janus()):
        if options.wants("browsers", contender.name):
            run = Run(contender, wide, options.seconds, options.camera, settle_s=15.0)
            found.append((contender, await options.told("20 Mbit/s", run)))
    head = ["", "CPU of a picture %", "added p50 / p95 ms", *HEAD, *MACHINE_HEAD]
    one = table("What one call costs", head, _rows(found))
    many = await _many(options, (1, CALLS)) if options.wants("calls", "Tambo") else []
    head = ["calls at once", "CPU of one core %", "of a picture %", "MB", "carried %", "added p50 / p95 / p99 ms"]
    return f"{one}\n\n{NOTE}\n\n{table('Many calls on one core', [*head, 'ends CPU %', 'load'], many)}\n\n{MANY_NOTE}"


def _rows(found: Sequence[tuple[Contender, Told | str]]) -> list[list[str]]:
    alone = next((told for contender, told in found if isinstance(contender, Alone)), "")
    rows = []
    for contender, told in found:
        if isinstance(told, str):
            rows.append([contender.name, told, *[NONE] * (1 + len(HEAD) + len(MACHINE_HEAD))])
            continue
        ends = cells.ends(told)
        cost = f"{told.cpu_ratio / PICTURES * 100:.1f}" if told.used else NONE
        added = _added(told, alone) if told is not alone and not isinstance(alone, str) else NONE
        rows.append([contender.name, cost, added, *cells.ends_cells(ends), *cells.machine_cells(told)])
    return rows


def _added(told: Told, alone: Told) -> str:
    def mean(found: Told, name: str) -> float:
        values = [getattr(each, name) or 0.0 for each in cells.ends(found).values()]
        return sum(values) / len(values)

    return " / ".join(f"{mean(told, name) - mean(alone, name):.0f}" for name in ("p50_ms", "p95_ms"))


@dataclass(frozen=True)
class _OnOneCore(Tambo):
    """The box, held on one core with all its processes."""

    async def start(self, stack: AsyncExitStack, place: Place) -> int:
        pid = await super().start(stack, place)
        for each in tree(pid):
            await place.told(place.box, "taskset", "-a", "-c", "-p", BOX_CORE, str(each.pid))
        return pid


async def _many(options: Options, counts: Sequence[int]) -> list[list[str]]:
    rows = []
    for calls in counts:
        print(f"{calls} calls without browsers, {options.seconds:g} s …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            try:
                rows.append(await _calls(calls, options.seconds, Path(folder)))
            except (RuntimeError, OSError, TimeoutError) as exc:
                rows.append([str(calls), f"did not run: {' '.join(str(exc).split())[-300:]}", *[NONE] * 6])
    return rows


async def _calls(calls: int, seconds: float, folder: Path) -> list[str]:
    box = _OnOneCore(settings=_ON_ONE_CORE, doctor_door=f"{BOX_NEAR}:8444")
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(placed(Conditions(Capacity(MBIT), Capacity(MBIT)), folder))
        pid = await box.start(stack, place)
        links = [url for _ in range(calls) for url in (await box.links(place)).values()]
        (folder / "links.json").write_text(json.dumps(links), encoding="utf-8")
        files = ("--links", folder / "links.json", "--seconds", str(seconds), "--out", folder / "callers.json")
        module = place.link.module(place.village, "tests.bench.call.callers", *files)
        callers = await stack.enter_async_context(
            running(["taskset", "-c", CALLERS_CORE, *module], folder / "callers.log")
        )
        await callers.first_line(JOIN_S)
        for each in tree(pid):  # what was started for the calls, too
            await place.told(place.box, "taskset", "-a", "-c", "-p", BOX_CORE, str(each.pid))
        await callers.first_line(JOIN_S)
        before = {each.pid: each.cpu_s for each in tree(pid)}
        await callers.first_line(seconds + JOIN_S)
        used = [(each, each.cpu_s - before.get(each.pid, 0.0)) for each in tree(pid)]
        await callers.finished(JOIN_S)
        told = json.loads((folder / "callers.json").read_text(encoding="utf-8"))
    delays = sorted(each / 1e6 for each in told["taken_ns"]) or [float("nan")]
    ratio = sum(cpu_s for _, cpu_s in used) / seconds
    parts = " + ".join(f"{each.name} {cpu_s / seconds * 100:.0f}" for each, cpu_s in used if cpu_s > 0.01 * seconds)
    return [
        str(calls),
        f"{ratio * 100:.0f} ({parts})",
        f"{ratio * 100 / (calls * PICTURES):.1f}",
        f"{sum(each.rss_bytes for each, _ in used) / 1e6:.0f}",
        f"{len(told['taken_ns']) / max(told['sent'], 1) * 100:.1f}",
        " / ".join(f"{percentile(delays, share):.1f}" for share in (0.5, 0.95, 0.99)),
        f"{told['cpu_ratio'] * 100:.0f}",
        f"{os.getloadavg()[0]:.1f}",
    ]
