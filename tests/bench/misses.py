"""What a miss costs each server, and how many requests of the origin ten browsers make that want the same at once."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.bench.machine import cpu_s, table
from tests.bench.peers import BROWSER, PEERS, Server, every_server
from tests.bench.web_origin import WebOrigin, sized, web_origin

SIZE_BYTES = 10_000
ROUNDS, MISSES = 5, 200  # in turn: 1,000 of each server make the 10 ms of a CPU tick 0.3 % of the sum
AT_ONCE, TRIES, SLOW_S = 10, 5, 0.2
SETTLE_S = 0.1  # what is still written when the last answer has come
CAPTION = (
    f"{ROUNDS} × {MISSES} URLs of 10 KB, one after another, in turn. At once: {AT_ONCE} browsers want one URL whose "
    f"origin takes {SLOW_S} s; the most of {TRIES} tries."
)


@dataclass
class Cost:
    """What one server's misses cost so far."""

    cpu_s: float = 0.0
    took_s: list[float] = field(default_factory=list)
    at_once: int = 0


async def _slowly(target: str, fields: dict[str, str]) -> bytes:
    if "slow" in target:
        await asyncio.sleep(SLOW_S)
    return await sized(target, fields)


async def misses(folder: Path) -> str:
    """Return the table."""
    async with AsyncExitStack() as running:
        origins = [await running.enter_async_context(web_origin(_slowly)) for _ in range(1 + len(PEERS))]
        with ExitStack() as stack:
            servers = await every_server(folder, [origin.port for origin in origins], stack)
            costs = {server.name: Cost() for server in servers}
            session = await running.enter_async_context(_browser())
            await fetch_apart(session, servers, costs)
            for server in servers:
                by_port = {origin.port: origin for origin in origins}
                costs[server.name].at_once = await most_at_once(session, server, by_port[server.origin_port])
    rows = [
        [
            name,
            f"{cost.cpu_s / (ROUNDS * MISSES) * 1e6:.0f}",
            f"{statistics.median(cost.took_s) * 1e3:.2f}",
            str(cost.at_once),
        ]
        for name, cost in costs.items()
    ]
    title = "A miss"
    return f"{table(title, ['server', 'CPU µs', 'ms', f'origin requests for {AT_ONCE} at once'], rows)}\n\n{CAPTION}"


def _browser() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers=BROWSER, auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))


async def fetch_apart(session: aiohttp.ClientSession, servers: Sequence[Server], costs: dict[str, Cost]) -> None:
    """Have every server fetch URLs that nobody asked for yet."""
    for turn in range(ROUNDS):
        for server in servers:
            cost, before = costs[server.name], cpu_s(server.pid)
            for count in range(MISSES):
                begun = time.perf_counter()
                await _got(session, server, f"{SIZE_BYTES}?{turn}-{count}")
                cost.took_s.append(time.perf_counter() - begun)
            await asyncio.sleep(SETTLE_S)
            cost.cpu_s += cpu_s(server.pid) - before


async def most_at_once(session: aiohttp.ClientSession, server: Server, origin: WebOrigin) -> int:
    """Return how many requests reached the origin, at most, when many browsers wanted one URL."""
    most = 0
    for turn in range(TRIES):
        before = origin.requests
        async with asyncio.TaskGroup() as browsers:
            for _ in range(AT_ONCE):
                browsers.create_task(_got(session, server, f"{SIZE_BYTES}?slow-{turn}"))
        most = max(most, origin.requests - before)
    return most


async def _got(session: aiohttp.ClientSession, server: Server, path: str) -> None:
    async with session.get(f"http://127.0.0.1:{server.port}/{path}") as answer:
        if len(await answer.read()) != SIZE_BYTES:
            raise RuntimeError(f"{server.name}: {answer.status}")
