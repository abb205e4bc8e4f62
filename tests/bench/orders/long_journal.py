"""A box with a journal of a hundred thousand orders: its start, the queue page, and what it takes on the disk.

A start is measured from the exec to the line that the box prints once it listens; the page as a merchant who is signed
in gets it, over a connection that is kept.
"""

import asyncio
import os
import re
import shutil
import time
from pathlib import Path

import aiohttp
from yarl import URL

from tests.bench.machine import Box, percentile, table
from tests.bench.orders import journals

STARTS, PAGES = 3, 40
START_GOAL_S, PAGE_GOAL_MS, GROWTH_GOAL_BYTES = 2.0, 200.0, 2_048
STATES = ("empty", "waiting", "settled", "trimmed")
CHOICES = ("", "espera", "decidir", "listo")
_SETTINGS = '[market]\nmarketplace = "http://127.0.0.1:9/orders"\n'
_FIELD = re.compile(r'name="(token|next)" value="([^"]*)"')


async def made_journals(folder: Path, orders: int) -> dict[str, float]:
    """Make a data directory for each state; return what the journal takes there, in bytes an order."""
    sizes = {"empty": 0.0}
    before = folder / "waiting"
    sizes["waiting"] = await journals.fill(before, orders) / orders
    for state, change in (("settled", journals.settle_all), ("trimmed", journals.trim_all)):
        after = folder / state
        await asyncio.to_thread(shutil.copytree, before, after)
        sizes[state] = await change(after) / orders
        before = after
    return sizes


async def long_journal(folder: Path, orders: int) -> str:
    """Return the tables."""
    load = f"{os.getloadavg()[0]:.1f}"
    sizes = await made_journals(folder / "made", orders)
    rows = []
    for state in STATES:
        place = folder / state
        place.mkdir()
        if state != "empty":
            await asyncio.to_thread(shutil.move, folder / "made" / state, place / "var")
        rows.append([state, f"{sizes[state]:.0f}", *await _measured(place)])
    head = ["the orders are", "bytes an order, log included", "start s", "memory MB"]
    head += [f"page {name} p50 (p95) ms" for name in ("all", "waiting", "needs you", "done")]
    note = (
        f"{orders:,} orders of one merchant. Goals: start under {START_GOAL_S:g} s, the queue page under "
        f"{PAGE_GOAL_MS:g} ms, under {GROWTH_GOAL_BYTES:,} bytes an order. Medians of {STARTS} starts. What is trimmed "
        f"leaves room in the file for new orders. Load of the machine before: {load}."
    )
    return f"{table('A journal of long standing', head, rows)}\n\n{note}"


async def _measured(place: Path) -> list[str]:
    """Return the start, the memory and the pages of a box on one journal."""
    starts = []
    for _ in range(STARTS - 1):
        took_s, box = await asyncio.to_thread(_start, place)
        starts.append(took_s)
        await asyncio.to_thread(box.stop)
    took_s, box = await asyncio.to_thread(_start, place)
    starts.append(took_s)
    try:
        return [f"{sorted(starts)[STARTS // 2]:.2f}", f"{_peak_mb(box.pid):.0f}", *await _pages(box)]
    finally:
        await asyncio.to_thread(box.stop)


def _start(place: Path) -> tuple[float, Box]:
    begun = time.perf_counter()
    box = Box(place, _SETTINGS)
    return time.perf_counter() - begun, box


async def _pages(box: Box) -> list[str]:
    said = box.command("user", "add", journals.MERCHANT, "--role", "merchant")
    portal = URL(f"http://localhost:{box.port}")
    jar = aiohttp.CookieJar(treat_as_secure_origin=portal)
    async with aiohttp.ClientSession(portal, cookie_jar=jar, headers={"Origin": str(portal.origin())}) as session:
        await _sign_in(session, said.split()[-1])
        return [await _page(session, choice) for choice in CHOICES]


async def _sign_in(session: aiohttp.ClientSession, password: str) -> None:
    async with session.get("/entrar?sigue=/tienda/pedidos") as answer:
        fields = dict(_FIELD.findall(await answer.text()))
    fields |= {"name": journals.MERCHANT, "password": password}
    async with session.post("/entrar", data=fields) as answer:
        if answer.status != 200 or answer.url.path != "/tienda/pedidos":
            raise RuntimeError(f"the merchant could not sign in: {answer.status} {answer.url.path}")


async def _page(session: aiohttp.ClientSession, choice: str) -> str:
    took = []
    for _ in range(PAGES):
        begun = time.perf_counter()
        async with session.get(f"/tienda/pedidos?ver={choice}") as answer:
            answer.raise_for_status()
            await answer.read()
        took.append(time.perf_counter() - begun)
    took = sorted(took[3:])
    return f"{percentile(took, 0.5) * 1e3:.0f} ({percentile(took, 0.95) * 1e3:.0f})"


def _peak_mb(pid: int) -> float:
    return peak_bytes(pid) / 1e6


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process ever held (proc(5), VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
