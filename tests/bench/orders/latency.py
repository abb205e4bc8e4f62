"""How long a merchant waits for a receipt, beside the disk's own fsync and other engines that keep an order safe.

The same order of 1 KB, the same loop of merchants, each with a connection of its own that is kept; the engines take
turns in each round, and the median of the rounds counts. The box is asked over HTTP and checks, locks and seals what it
takes; the others are asked in their own protocols and only keep it. CPU is that of the serving processes.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.machine import TICK_S, Box, percentile, table
from tests.bench.orders import engines
from tests.bench.orders.engines import Server
from tests.village import ROOT

LOADS = {"1": (1, 0.0), "50": (50, 0.0), "50, each an order a second": (50, 1.0)}  # how many, and how often each orders
ROUNDS, ROUND_S = 3, 2.0
REST_S = 0.5  # for what an engine does after its last answer
BOX, DISK = "Tambo, over HTTP", "the disk's own fsync"
NOTE = (
    "One order of 1 KB each time; medians of {rounds} rounds in turn. The box is asked over HTTP and checks the token "
    "and the order, locks it, and writes three rows; the others are asked in their own protocols and keep one row, "
    "message or field, in clear. CPU is that of the serving processes, user and system, and the client's that of all "
    "its merchants. Load of the machine before: {load}."
)


@dataclass
class Rounds:
    """What was seen of an engine, a value for each round."""

    p50_s: list[float] = field(default_factory=list)
    p99_s: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    client_cpu_s: list[float] = field(default_factory=list)

    def add(self, took_s: list[float], cpu_s: float, client_cpu_s: float) -> None:
        """Add a round."""
        took_s.sort()
        self.p50_s.append(percentile(took_s, 0.5))
        self.p99_s.append(percentile(took_s, 0.99))
        self.rate.append(len(took_s) / ROUND_S)
        self.cpu_s.append(cpu_s / len(took_s))
        self.client_cpu_s.append(client_cpu_s / len(took_s))


async def receipts(folder: Path) -> str:
    """Return the table of latencies."""
    busy = f"{os.getloadavg()[0]:.1f}"
    with ExitStack() as stack:
        servers = await asyncio.to_thread(_servers, folder, stack)
        rows = [row for load in LOADS for row in await _rows(servers, folder, load)]
    head = ["merchants at once", "", "p50 ms", "p99 ms", "orders/s", "CPU µs an order", "the client's"]
    head += ["box's p50 to its"]
    return f"{table('A receipt', head, rows)}\n\n{NOTE.format(rounds=ROUNDS, load=busy)}"


def _servers(folder: Path, stack: ExitStack) -> list[Server]:
    settings = '[market]\nmarketplace = "http://127.0.0.1:9/orders"\n'
    box = Box(folder, settings)
    stack.callback(box.stop)
    box.command("user", "add", "ana", "--role", "merchant")
    token = box.command("user", "token", "ana")
    found = [Server("box", BOX, box.pid, {"port": box.port, "token": token})]
    for start in (engines.postgres, engines.rabbitmq, engines.redis):
        try:
            server = stack.enter_context(start(folder))
        except (RuntimeError, OSError, KeyError, subprocess.CalledProcessError) as exc:
            print(f"The table does without one: {' '.join(str(exc).split())[-300:]}", flush=True)
            continue
        if server is not None:
            found.append(server)
    return found


async def _rows(servers: list[Server], folder: Path, load: str) -> list[list[str]]:
    """Return a row for each engine, and for the disk."""
    seen = {server.title: Rounds() for server in servers}
    disk = Rounds()
    for server in servers:
        await _round(server, load, 0.5)  # to be warm
    for _ in range(ROUNDS):
        bare = await _asked({"engine": "disk", "file": str(folder / "fsync")})
        disk.add(bare["took_s"], 0.0, 0.0)
        for server in servers:
            seen[server.title].add(*await _round(server, load, ROUND_S))
    own_s = statistics.median(seen[BOX].p50_s)
    rows = [_row(load, title, rounds, own_s) for title, rounds in seen.items()]
    bare_row = _row("", DISK, disk, own_s)
    return [*rows, [*bare_row[:4], "", "", "", bare_row[-1]]]


def _row(load: str, title: str, rounds: Rounds, own_s: float) -> list[str]:
    p50_s, p99_s = statistics.median(rounds.p50_s), statistics.median(rounds.p99_s)
    cpu_us = [f"{statistics.median(each) * 1e6:.0f}" for each in (rounds.cpu_s, rounds.client_cpu_s)]
    figures = [f"{p50_s * 1e3:.2f}", f"{p99_s * 1e3:.2f}", f"{statistics.median(rounds.rate):.0f}", *cpu_us]
    return [load, title, *figures, f"{own_s / p50_s:.2f}"]


async def _round(server: Server, load: str, seconds: float) -> tuple[list[float], float, float]:
    """Return the latencies of one round, and what the server and the client spent."""
    merchants, rest_s = LOADS[load]
    order = {"merchants": merchants, "seconds": seconds, "rest_s": rest_s}
    asked = {"engine": server.engine, **order, **server.asked}
    before_s = whole_cpu_s(server.pid)
    told = await _asked(asked)
    await asyncio.sleep(REST_S)
    return told["took_s"], whole_cpu_s(server.pid) - before_s, told["cpu_s"]


async def _asked(asked: dict[str, Any]) -> dict[str, Any]:
    """Run the client and return what it tells."""
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.orders.client", json.dumps(asked), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    printed, _ = await client.communicate()
    if client.returncode:
        raise RuntimeError(f"the client of {asked['engine']} failed")
    told: dict[str, Any] = json.loads(printed)
    return told


def whole_cpu_s(pid: int) -> float:
    """Return user + system seconds of a process and all its children, those that have ended too (proc(5), 14 to 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return sum(map(int, fields[11:15])) * TICK_S + sum(whole_cpu_s(int(child)) for child in children)
