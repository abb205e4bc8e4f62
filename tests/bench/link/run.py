"""A run from its description: starts what it needs, in the village and in the world, waits, and tells what was seen.

The emulator's clock starts first; the call `settle_s` later, the downloads `after_s` after that, and with them the
window that is judged. So a trace shows the same stretch whatever else runs beside the call.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.bench.link import companions, near_box, seen
from tests.bench.link.emulator import DELAY_S, Conditions, Link, emulated
from tests.bench.link.packets import FAR_ADDRESS, Came, read
from tests.bench.link.running import Running, running
from tests.bench.link.seen import Window
from tests.bench.machine import cpu_s

SETTLE_S = 12.0  # for all that takes part to start
LASTS_S = 0.5  # the load goes on a little longer than the window
GRACE_S = 3.0  # for the call's packets that still wait
RAMP_S = 10.0  # use is told from then on, too
START_S = 30.0


class Mode(Enum):
    """What is beside the call."""

    ALONE = "alone"
    UNMANAGED = "unmanaged"
    MANAGED = "managed"


@dataclass(frozen=True)
class Device:
    """A device under load: what it does, from where, and when, in seconds of the window."""

    name: str
    kind: str = "down"
    source: str = ""
    start_s: float = 0.0
    stop_s: float | None = None


@dataclass(frozen=True)
class Run:
    """What is to be measured; `events` are what the link is told, at seconds of the window."""

    name: str
    mode: Mode
    conditions: Conditions
    devices: tuple[Device, ...] = ()
    seconds: float = 60.0
    after_s: float = 5.0
    settle_s: float = SETTLE_S
    events: tuple[tuple[float, tuple[str, ...]], ...] = ()
    follow: bool = False
    field: str = "link.call_budget"
    reflector: bool = False
    settings: tuple[tuple[str, str], ...] = ()
    more_settings: str = ""

    @property
    def has_box(self) -> bool:
        """Whether a box takes part."""
        return self.mode is Mode.MANAGED or self.follow

    @property
    def is_shaped(self) -> bool:
        """Whether the kernel shaper takes part."""
        return self.mode is Mode.MANAGED and self.conditions.routed_clients > 0


async def measured(run: Run, folder: Path) -> dict[str, Any]:
    """Do a run in a folder of its own; return what was seen, as it goes into JSON."""
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(emulated(run.conditions, folder, run.settle_s + run.after_s))
        call_s = link.origin_s + run.settle_s
        window = Window(call_s + run.after_s, call_s + run.after_s + run.seconds)
        box, ends = await _started(stack, run, link, folder, call_s, window)
        if time.monotonic() > call_s:
            raise RuntimeError(f"{run.name}: this machine is too busy, what takes part was not up in {run.settle_s} s")
        used_s = await _passed(run, link, window, box)
        for end in ends:
            await end.finished(GRACE_S + 5)
    return {**_told(run, link, window, folder), "box_cpu_ratio": used_s and round(used_s / run.seconds, 4)}


async def _started(
    stack: AsyncExitStack, run: Run, link: Link, folder: Path, call_s: float, window: Window
) -> tuple[int | None, Sequence[Running]]:
    """Start what takes part; return the box's process, and the ends of the call."""

    async def up(command: Sequence[str], name: str, within_s: float = START_S) -> Running:
        started = await stack.enter_async_context(running(command, folder / f"{name}.log"))
        await started.first_line(within_s)
        return started

    listen = ("--listen", f"{FAR_ADDRESS}:80", "--out", folder / "taken.json")
    await up(link.module(link.far, "tests.bench.link.far_origin", *listen), "origin")
    box = None
    settings: dict[str, str] = {}
    if run.has_box and run.reflector:
        await up(companions.reflector(link, folder), "reflector")
        settings |= companions.reflector_settings(folder)
    if run.has_box:
        command = near_box.command(folder, {**settings, **dict(run.settings)}, run.more_settings)
        box = await up(link.inside(link.near, *command), "box", near_box.START_S)
        if run.is_shaped:
            await up(companions.shaper(link, folder / near_box.CONFIG), "shaper")
        url = f"{near_box.ADMIN}/status.json"
        watch = link.module(link.near, "tests.bench.link.watch", "--url", url, "--out", folder / "watch.jsonl")
        await stack.enter_async_context(running(watch, folder / "watch.log"))
    times = ("--start", str(call_s), "--until", str(window.to_s), "--grace", str(GRACE_S))
    follow = ("--follow", f"http://{near_box.ADMIN}/status.json", "--field", run.field) if run.follow else ()
    ends = []
    for end, place, more in (("far", link.far, ()), ("near", link.near, follow)):
        out = ("--end", end, "--out", folder / f"{end}.call")
        ends.append(await up(link.module(place, "tests.bench.link.call", *out, *times, *more), f"call-{end}"))
    for number, (place, plan) in enumerate(_plans(run, link, window)):
        (folder / f"plan{number}.json").write_text(json.dumps(plan), encoding="utf-8")
        files = ("--plan", folder / f"plan{number}.json", "--out", folder / f"moved{number}.json")
        await up(link.module(place, "tests.bench.link.devices", *files), f"devices{number}")
    return box.process.pid if box else None, ends


def _plans(run: Run, link: Link, window: Window) -> list[tuple[str, dict[str, Any]]]:
    """Return what the devices do, and in which namespace: all in the village's, or each in one behind it."""
    if run.mode is Mode.ALONE or not run.devices:
        return []
    routed = run.conditions.routed_clients
    by_proxy = run.mode is Mode.MANAGED and not routed
    places: dict[str, list[dict[str, Any]]] = {}
    for number, device in enumerate(run.devices):
        place = f"{link.client_prefix}{number % routed + 1}" if routed else link.near
        timed = {
            **asdict(replace(device, source=device.source if by_proxy else "")),
            "start_s": window.from_s + device.start_s,
            "stop_s": window.to_s + LASTS_S if device.stop_s is None else window.from_s + device.stop_s,
        }
        places.setdefault(place, []).append(timed)
    connect = near_box.PROXY if by_proxy else (FAR_ADDRESS, 80)
    whole = {"connect": connect, "origin": FAR_ADDRESS, "by_proxy": by_proxy}
    return [(place, {**whole, "devices": devices}) for place, devices in places.items()]


async def _passed(run: Run, link: Link, window: Window, box: int | None) -> float | None:
    """Let the window pass, telling the link what it is to be; return the CPU seconds that the box took in it."""
    await _sleep_until(window.from_s)
    before_s = cpu_s(box) if box else 0.0
    for at_s, words in run.events:
        await _sleep_until(window.from_s + at_s)
        await link.tell(*words)
    await _sleep_until(window.to_s)
    used_s = cpu_s(box) - before_s if box else None
    await _sleep_until(window.to_s + LASTS_S)
    return used_s


async def _sleep_until(at_s: float) -> None:
    await asyncio.sleep(max(0.0, at_s - time.monotonic()))


def _told(run: Run, link: Link, window: Window, folder: Path) -> dict[str, Any]:
    lines = _lines(link.stats)
    watched = _lines(folder / "watch.jsonl")
    late = Window(min(window.from_s + RAMP_S, window.to_s - 1), window.to_s)
    came = {way: read((folder / f"{end}.call").read_bytes()) for way, end in (("down", "near"), ("up", "far"))}
    told: dict[str, Any] = {
        "scenario": run.name,
        "mode": run.mode.value,
        "down_link": str(run.conditions.down),
        "up_link": str(run.conditions.up),
        "congestion_control": run.conditions.congestion_control,
        "seconds": run.seconds,
        "window_from_s": window.from_s,
        "call_down": seen.call_figures(came["down"], window, DELAY_S),
        "call_up": seen.call_figures(came["up"], window, DELAY_S),
        "use_down": seen.use_ratio(lines, "down", window, link.origin_s),
        "use_down_late": seen.use_ratio(lines, "down", late, link.origin_s),
        "use_up": seen.use_ratio(lines, "up", window, link.origin_s),
        "budget_changes_a_minute": seen.changes_a_minute(watched, run.field, window),
        "is_budget_missing": run.follow and not any(seen.at(each, run.field) for each in watched),
        "states": seen.states(watched, window.from_s),
        "moments": list(_moments(run, came["down"], lines, window, link.origin_s)),
    }
    return {**told, **_loads(run, folder, window, late)}


def _loads(run: Run, folder: Path, window: Window, late: Window) -> dict[str, Any]:
    """Return what the devices moved: down by device, up as it came to the far side."""
    moved = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("moved*.json"))]
    taken = json.loads((folder / "taken.json").read_text(encoding="utf-8"))
    names = sorted({each.name for each in run.devices if each.kind == "down"})
    whole, ramped = (_summed(seen.moved_mbit(each, stretch, names) for each in moved) for stretch in (window, late))
    return {
        "cut": sum(sum(each["cut"].values()) for each in moved),
        "bulk_down_mbit": round(sum(whole.values()), 3),
        "bulk_up_mbit": round(seen.moved_mbit(taken, window, ["sent"])["sent"], 3),
        "devices_mbit": whole,
        "devices_late_mbit": ramped,
    }


def _summed(parts: Any) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            found[name] = found.get(name, 0.0) + value
    return found


def _moments(
    run: Run, came: Sequence[Came], lines: Sequence[Mapping[str, Any]], window: Window, origin_s: float
) -> Any:
    """Yield what followed each change of the link: how soon the call was calm again, and the link used."""
    starts = [at_s for at_s, _ in run.events]
    starts += [start_s + for_s for start_s, for_s in run.conditions.outages]
    for at_s, until_s in pairwise([*sorted(starts), run.seconds]):
        event_s, next_s = window.from_s + at_s, window.from_s + until_s
        yield {
            "at_s": at_s,
            "calm_after_s": seen.calm_after_s(came, event_s, next_s, DELAY_S),
            "full_after_s": seen.full_after_s(lines, event_s, next_s, origin_s),
            "p95_ms": seen.call_figures(came, Window(event_s, next_s), DELAY_S)["p95_ms"],
        }


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
