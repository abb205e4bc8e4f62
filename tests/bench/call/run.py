"""One call from its description: put up the place, start who carries it, wait, and tell what both ends saw."""

import asyncio
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Playwright

from gateway.clock import SystemClock
from tests.bench.call.browsers import Camera, measured
from tests.bench.call.contenders import Call, Contender
from tests.bench.call.place import Place, browsers_cpu_s, placed, tree
from tests.bench.call.seen import Window
from tests.bench.link.emulator import Conditions

CONNECT_S = 45.0
SETTLE_S = 6.0
STOP_S = 2.0
WEAK_BPS = 150_000  # with less a picture need not go on

Event = Callable[[Place, Call], Awaitable[None]]


@dataclass(frozen=True)
class Run:
    """What is to be measured; `events` happen at seconds of the window, `load` before the pages join."""

    contender: Contender
    conditions: Conditions
    seconds: float = 25.0
    camera: Camera = field(default_factory=lambda: Camera(0))
    settle_s: float = SETTLE_S
    events: tuple[tuple[float, Event], ...] = ()
    load: Callable[[AsyncExitStack, Place, Contender], Awaitable[None]] | None = None


@dataclass(frozen=True)
class Used:
    """What a process used in the window."""

    name: str
    cpu_ratio: float
    rss_bytes: int


@dataclass(frozen=True)
class Told:
    """What was seen of a run."""

    window: Window
    pages: Mapping[str, dict[str, Any]]
    connected_s: float | None  # None: an end heard nothing
    used: Sequence[Used]
    browsers_cpu_ratio: float
    load: float  # of the machine, when the window ended
    link: Mapping[str, Mapping[str, float]]  # by way: what the emulator carried in the window
    weak: Mapping[str, Sequence[Window]]  # by way: when it carried less than `WEAK_BPS`
    marks_ms: Sequence[float]  # when each event was over
    files: Path

    @property
    def cpu_ratio(self) -> float:
        """CPU of what carries the call, all its processes, as a share of one core."""
        return sum(each.cpu_ratio for each in self.used)

    @property
    def rss_bytes(self) -> int:
        """Memory of what carries the call."""
        return sum(each.rss_bytes for each in self.used)


def now_ms() -> float:
    """Return what `Date.now()` tells in the pages."""
    return SystemClock().wall_s() * 1000


async def told(run: Run, playwright: Playwright, folder: Path) -> Told:
    """Do a run in a folder of its own; nothing of it is left but files.

    Raises: RuntimeError or Playwright's Error where it could not be done.
    """
    files = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=folder))
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(placed(run.conditions, files))
        if run.load:
            await run.load(stack, place, run.contender)
        began_ms = now_ms()
        call = await run.contender.call(playwright, stack, place, run.camera)
        connected_s = await _connected(call, began_ms)
        await asyncio.sleep(run.settle_s)
        return await _watched(run, place, call, connected_s)


async def _connected(call: Call, began_ms: float) -> float | None:
    """Return after how many seconds every page had heard something."""
    heard = "() => window.__bench.hears()"
    try:
        async with asyncio.timeout(CONNECT_S):
            for page in call.pages.values():
                while not await page.evaluate(heard):
                    await asyncio.sleep(0.2)
    except TimeoutError:
        return None
    return (now_ms() - began_ms) / 1000


async def _watched(run: Run, place: Place, call: Call, connected_s: float | None) -> Told:
    from_ms = now_ms()
    before = {each.pid: each for each in tree(call.pid)} if call.pid else {}
    browsers_s = await browsers_cpu_s(place)
    marks = []
    for at_s, event in run.events:
        await asyncio.sleep(max(0.0, at_s - (now_ms() - from_ms) / 1000))
        await event(place, call)
        marks.append(now_ms())
    await asyncio.sleep(max(0.0, run.seconds - (now_ms() - from_ms) / 1000))
    window = Window(from_ms, now_ms())
    used = [
        Used(
            each.name,
            (each.cpu_s - (before[each.pid].cpu_s if each.pid in before else 0)) / window.length_s,
            each.rss_bytes,
        )
        for each in (tree(call.pid) if call.pid else ())
    ]
    browsers_s = await browsers_cpu_s(place) - browsers_s
    async with asyncio.timeout(30):
        pages = {role: await measured(page) for role, page in call.pages.items()}
    (place.folder / "pages.json").write_text(json.dumps(pages), encoding="utf-8")
    lines = _lines(place)
    return Told(
        window=window,
        pages=pages,
        connected_s=connected_s,
        used=used,
        browsers_cpu_ratio=browsers_s / window.length_s,
        load=os.getloadavg()[0],
        link=_carried(lines, window),
        weak={way: _weak(lines, way) for way in ("down", "up")},
        marks_ms=marks,
        files=place.folder,
    )


def _lines(place: Place) -> list[tuple[Window, dict[str, Any]]]:
    """Return what the emulator counted, and when."""
    text = place.link.stats.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
    offset_s = SystemClock().wall_s() - SystemClock().now_s() + place.link.origin_s
    ends = [((each["t"] + offset_s) * 1000, each) for each in lines if "span" in each]
    return [(Window(to_ms - each["span"] * 1000, to_ms), each) for to_ms, each in ends]


def _carried(lines: Sequence[tuple[Window, dict[str, Any]]], window: Window) -> dict[str, dict[str, float]]:
    """Return, by way, what the link carried and lost in a window, in bits per second and packets."""
    inside = [each for when, each in lines if when.to_ms in window]
    found = {}
    for way in ("down", "up"):
        carried = sum(each[way]["out_bytes"] for each in inside)
        found[way] = {
            "bps": carried * 8 / window.length_s,
            "capacity_bps": sum(each[way]["capacity_bytes"] for each in inside) * 8 / window.length_s,
            "dropped": sum(each[way]["drop_queue"] for each in inside),
        }
    return found


def _weak(lines: Sequence[tuple[Window, dict[str, Any]]], way: str) -> list[Window]:
    """Return the seconds in which the link could have carried less than `WEAK_BPS`, each as long as it is counted."""
    found: list[Window] = []
    for place in range(len(lines)):
        second = lines[place : place + round(1 / lines[place][1]["span"])]
        whole = Window(second[0][0].from_ms, second[-1][0].to_ms)
        if sum(each[way]["capacity_bytes"] for _, each in second) * 8 < WEAK_BPS * whole.length_s:
            if found and found[-1].to_ms >= whole.from_ms:
                whole = Window(found.pop().from_ms, whole.to_ms)
            found.append(whole)
    return found
