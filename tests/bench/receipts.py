"""A receipt's latency (HTTP in, fsync, HTTP out) beside the disk's own fsync, interleaved."""

import asyncio
import os
import time
import uuid
from pathlib import Path

import aiohttp

from tests.bench.machine import Box, percentile, table

MERCHANTS = (1, 50)
ROUNDS, ROUND_S = 3, 3.0
FSYNCS = 300


def fsync_s(folder: Path) -> list[float]:
    """Return how long an append of 4 KB and its fdatasync take, a few hundred times."""
    took = []
    with (folder / "fsync").open("ab", buffering=0) as file:
        for _ in range(FSYNCS):
            begun = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begun)
    return took


async def merchant(session: aiohttp.ClientSession, url: str, until: float, took: list[float]) -> None:
    """Order, wait for the receipt, order again."""
    line = {"sku": "papa", "name": "Papa", "quantity": "1.5", "unit": "kg", "unit_price_minor": 350}
    while time.perf_counter() < until:
        order = {
            "id": str(uuid.uuid4()),
            "currency": "PEN",
            "buyer": {"name": "Lucía", "phone": "984123456"},
            "lines": [line] * 6,
            "note": "",
        }
        begun = time.perf_counter()
        async with session.post(url, json=order) as answer:
            await answer.read()
            if answer.status != 201:
                raise RuntimeError(str(answer.status))
        took.append(time.perf_counter() - begun)


async def receipts(folder: Path) -> str:
    """Return the table of latencies."""
    box = await asyncio.to_thread(Box, folder, '[market]\nmarketplace = "http://127.0.0.1:9/orders"\n')
    try:
        await asyncio.to_thread(box.command, "user", "add", "ana", "--role", "merchant")
        token = await asyncio.to_thread(box.command, "user", "token", "ana")
        rows = [await latency(box, token, folder, count) for count in MERCHANTS]
    finally:
        box.stop()
    head = ["merchants at once", "receipt p50 ms", "p99 ms", "receipts/s", "fsync p50 ms", "p99 ms"]
    return table("A receipt, and the disk's own fsync", head, rows)


async def latency(box: Box, token: str, folder: Path, merchants: int) -> list[str]:
    """Return one row; receipts and bare fsyncs take turns."""
    took: list[float] = []
    disk: list[float] = []
    url = f"http://127.0.0.1:{box.port}/api/v1/orders"
    headers = {"Authorization": f"Bearer {token}", "Host": "localhost"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        for _ in range(ROUNDS):
            disk += await asyncio.to_thread(fsync_s, folder)
            until = time.perf_counter() + ROUND_S
            async with asyncio.TaskGroup() as tasks:
                for _ in range(merchants):
                    tasks.create_task(merchant(session, url, until, took))
    took.sort()
    disk.sort()
    figures = [percentile(took, 0.5) * 1e3, percentile(took, 0.99) * 1e3]
    own = [percentile(disk, 0.5) * 1e3, percentile(disk, 0.99) * 1e3]
    rate = len(took) / (ROUNDS * ROUND_S)
    return [str(merchants), *(f"{each:.2f}" for each in figures), f"{rate:.0f}", *(f"{each:.2f}" for each in own)]
