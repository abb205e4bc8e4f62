"""Orders that waited long go out over 1 Mbit/s, alone and beside a call: the time, the memory, and what the call feels.

The link is emulated and the box is not told its capacity. The call is 60 kb/s each way, past the box; what it feels is
the one-way delay of its packets less the emulated one, which holds the packet's own 1.2 ms. The marketplace is the
demo's, over HTTP, on the same machine.
"""

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.link import emulator, near_box, seen
from tests.bench.link.emulator import DELAY_S, Capacity, Conditions, Link, emulated
from tests.bench.link.packets import FAR_ADDRESS
from tests.bench.link.running import Running, running
from tests.bench.link.seen import Window
from tests.bench.machine import cpu_s, percentile, table
from tests.bench.orders import journals
from tests.bench.orders.long_journal import peak_bytes

UP_MBIT, DOWN_MBIT = 1.0, 4.0
ALONE_S = 15.0  # of the call, before the box comes
SETTLE_S = 1.0
START_S, DRAIN_S = 60.0, 3_600.0


@dataclass(frozen=True)
class Drained:
    """What was seen of one drain."""

    took_s: float
    batches: int
    failures: int
    up_bytes: int
    down_bytes: int
    use_ratio: float
    peak_bytes: int
    cpu_s: float
    delays_ms: tuple[Sequence[float], ...] = ((), (), (), ())  # sorted: up and down, before the drain and in it


async def drain(folder: Path, orders: int) -> str:
    """Return the table."""
    gone = emulator.missing()
    if gone:
        return f"The drain: not measured, {gone}"
    load = f"{os.getloadavg()[0]:.1f}"
    await journals.fill(folder / "var", orders)
    rows = []
    for name, has_call in (("alone", False), ("beside a call", True)):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            await asyncio.to_thread(shutil.copytree, folder / "var", Path(place) / "var")
            rows.append(_row(name, orders, await _drained(Path(place), has_call=has_call)))
    head = ["the drain", "s", "orders/s", "batches (failed)", "bytes an order up", "down", "use of the uplink"]
    head += ["memory peak MB", "CPU of the box s", "call's p95 up before → beside, ms", "down"]
    note = (
        f"{orders:,} orders wait; {UP_MBIT:g} Mbit/s up and {DOWN_MBIT:g} down, 20 ms each way; from when the box "
        f"listens until nothing waits; bytes at the IP level, HTTP. Load of the machine before: {load}."
    )
    return f"{table('A long queue goes out', head, rows)}\n\n{note}"


async def _drained(folder: Path, *, has_call: bool) -> Drained:
    conditions = Conditions(down=Capacity(DOWN_MBIT), up=Capacity(UP_MBIT))
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(emulated(conditions, folder, 0.0))

        async def up(command: Sequence[str], name: str) -> Running:
            started = await stack.enter_async_context(running(command, folder / f"{name}.log"))
            await started.first_line(START_S)
            return started

        place = ("--listen", f"{FAR_ADDRESS}:80", "--folder", folder / "marketplace")
        await up(link.module(link.far, "tests.bench.orders.far_marketplace", *place), "marketplace")
        ends = [await up(_voice(link, end, folder), f"voice-{end}") for end in ("far", "near") if has_call]
        called_s = time.monotonic()
        await asyncio.sleep(ALONE_S if has_call else 0.0)
        box = await up(_box(link, folder), "box")
        begun_s = time.monotonic()
        url = ("--url", f"{near_box.ADMIN}/status.json")
        gauge = await up(link.module(link.near, "tests.bench.orders.gauge", *url), "gauge")
        watched = json.loads(await gauge.first_line(DRAIN_S))
        peak, cpu = peak_bytes(box.process.pid), cpu_s(box.process.pid)
        for end in ends:
            end.process.terminate()
            await end.finished(10.0)
        window, before = Window(begun_s, watched[-1][0]), Window(called_s + SETTLE_S, called_s + ALONE_S)
        delays = tuple(_delays_ms(folder, end, each) for each in (before, window) for end in ("far", "near") if ends)
        return _seen(link, window, watched, (peak, cpu), delays)


def _box(link: Link, folder: Path) -> list[str]:
    market = {"market.marketplace": f'"http://{FAR_ADDRESS}/orders"'}
    return link.inside(link.near, *near_box.command(folder, market))


def _voice(link: Link, end: str, folder: Path) -> list[str]:
    place = {"near": link.near, "far": link.far}[end]
    return link.module(place, "tests.bench.orders.voice", "--end", end, "--out", folder / f"voice.{end}")


def _delays_ms(folder: Path, end: str, window: Window) -> Sequence[float]:
    """Return how long packets that came to an end waited on their way."""
    came = json.loads((folder / f"voice.{end}").read_text(encoding="utf-8"))
    return sorted((took_s - DELAY_S) * 1e3 for sent_s, took_s in came if sent_s in window)


def _seen(
    link: Link,
    window: Window,
    watched: Sequence[Sequence[float]],
    used: tuple[int, float],
    delays: tuple[Sequence[float], ...],
) -> Drained:
    lines = [json.loads(line) for line in link.stats.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    judged = [each for each in lines if "span" in each and link.origin_s + each["t"] in window]
    up, down = (sum(each[way]["out_bytes"] for each in judged) for way in ("up", "down"))
    voice = 0 if not delays else 7_500 * window.length_s  # 60 kb/s
    return Drained(
        took_s=window.length_s,
        batches=int(watched[-1][2]),
        failures=int(watched[-1][3]),
        up_bytes=round(up - voice),
        down_bytes=round(down - voice),
        use_ratio=seen.use_ratio(lines, "up", window, link.origin_s) or 0.0,
        peak_bytes=used[0],
        cpu_s=used[1],
        delays_ms=delays,
    )


def _row(name: str, orders: int, drained: Drained) -> list[str]:
    figures = [f"{drained.took_s:.0f}", f"{orders / drained.took_s:.0f}", f"{drained.batches} ({drained.failures})"]
    figures += [f"{each / orders:.1f}" for each in (drained.up_bytes, drained.down_bytes)]
    figures += [f"{drained.use_ratio:.2f}", f"{drained.peak_bytes / 1e6:.0f}", f"{drained.cpu_s:.0f}"]
    if not drained.delays_ms:
        return [name, *figures, "", ""]
    p95 = [f"{percentile(each, 0.95):.1f}" for each in drained.delays_ms]
    return [name, *figures, f"{p95[0]} → {p95[2]}", f"{p95[1]} → {p95[3]}"]
