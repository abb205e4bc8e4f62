"""What a cache hit costs, and how soon it is answered, beside nginx, Squid and Varnish in one run."""

import asyncio
import re
import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.bench.machine import cpu_s, table
from tests.bench.peers import BROWSER, PEERS, TAMBO, Server, every_server, found
from tests.bench.web_origin import sized, web_origin

SIZES_BYTES = {"1 KB": 1_000, "10 KB": 10_000, "100 KB": 100_000, "1 MB": 1_000_000}
ROUNDS, ROUND_S, CONNECTIONS = 4, 2, 32
TITLE = "A cache hit"
CAPTION = (
    f"CPU: the least of {ROUNDS} rounds; the rest: their median. {CONNECTIONS} connections, kept. "
    "Tambo with everything on. nginx as packaged: sendfile, tcp_nopush; tuned: sendfile, open_file_cache. "
    "Squid and Varnish hold it in memory. The peers write no log."
)


@dataclass(frozen=True)
class Round:
    """What one round of load found."""

    cpu_us: float
    hits_per_s: float
    p50_ms: float
    p99_ms: float


async def hits(folder: Path) -> str:
    """Return the table."""
    wrk = await asyncio.to_thread(found, "wrk", "wrk")
    if wrk is None:
        return "A cache hit: not measured, `wrk` is not installed (sudo apt install wrk)."
    rows = []
    async with AsyncExitStack() as running:
        origin = await running.enter_async_context(web_origin(sized))
        with ExitStack() as stack:
            servers = await every_server(folder, [origin.port] * (1 + len(PEERS)), stack)
            for label, size in SIZES_BYTES.items():
                rows += _rows(label, await compare(wrk, servers, size))
            if origin.requests > len(SIZES_BYTES) * len(servers):
                raise RuntimeError(f"{origin.requests} requests reached the origin: these were no hits")
    head = ["size", "server", "CPU µs", "hits/s", "p50 ms", "p99 ms", "Tambo's CPU ÷ its"]
    return f"{table(TITLE, head, rows)}\n\n{CAPTION}"


async def compare(wrk: str, servers: Sequence[Server], size: int) -> dict[str, list[Round]]:
    """Return each server's rounds at one size; the servers take turns."""
    async with aiohttp.ClientSession(headers=BROWSER, auto_decompress=False) as session:
        for server in servers:
            async with session.get(f"http://127.0.0.1:{server.port}/{size}") as first:
                assert len(await first.read()) == size, server.name
    rounds: dict[str, list[Round]] = {server.name: [] for server in servers}
    for _ in range(ROUNDS):
        for server in servers:
            rounds[server.name].append(await loaded(wrk, server, size))
    return rounds


async def loaded(wrk: str, server: Server, size: int) -> Round:
    """Load a server for one round."""
    fields = [each for name, value in BROWSER.items() for each in ("-H", f"{name}: {value}")]
    arguments = ["-t1", f"-c{CONNECTIONS}", f"-d{ROUND_S}", "--latency", *fields]
    before = cpu_s(server.pid)
    load = await asyncio.create_subprocess_exec(
        wrk, *arguments, f"http://127.0.0.1:{server.port}/{size}", stdout=asyncio.subprocess.PIPE
    )
    out = (await load.communicate())[0].decode()
    used_s = cpu_s(server.pid) - before
    done = re.search(r"(\d+) requests in ([\d.]+)(m?s)", out)
    if not done or "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(f"{server.name}: {out}")
    count = int(done[1])
    return Round(used_s / count * 1e6, count / ROUND_S, _latency_ms(out, "50%"), _latency_ms(out, "99%"))


def _latency_ms(out: str, share: str) -> float:
    told = re.search(rf"{share}\s+([\d.]+)(us|ms|s)", out)
    assert told, out
    return float(told[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[told[2]]


def _rows(label: str, rounds: dict[str, list[Round]]) -> list[list[str]]:
    """Lay out one size; Tambo's ratio is to each peer's least CPU."""
    least = {name: min(each.cpu_us for each in load) for name, load in rounds.items()}
    rows = []
    for name, load in rounds.items():
        rate = statistics.median(each.hits_per_s for each in load)
        p50, p99 = (statistics.median(getattr(each, which) for each in load) for which in ("p50_ms", "p99_ms"))
        ratio = "" if name == TAMBO else f"{least[TAMBO] / least[name]:.2f}"
        rows.append([label, name, f"{least[name]:.1f}", f"{rate:.0f}", f"{p50:.2f}", f"{p99:.2f}", ratio])
    return rows
