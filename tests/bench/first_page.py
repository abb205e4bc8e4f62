"""What the first page of the portal weighs on the wire, HTML and everything it loads."""

import asyncio
import re
from pathlib import Path

import aiohttp

from tests.bench.machine import Box, table

GOAL_BYTES = 14_000


async def first_page(folder: Path) -> str:
    """Return the table of bytes."""
    box = await asyncio.to_thread(Box, folder, "")
    try:
        rows = [[path, str(size)] for path, size in (await weigh(f"http://localhost:{box.port}")).items()]
    finally:
        box.stop()
    total = sum(int(size) for _, size in rows)
    return table(
        f"First portal page, br, heads included (goal ≤ {GOAL_BYTES} B)",
        ["part", "bytes"],
        [*rows, ["all", str(total)]],
    )


async def weigh(portal: str) -> dict[str, int]:
    """Return the bytes of the start page and of what it refers to."""
    found: dict[str, int] = {}
    async with aiohttp.ClientSession(auto_decompress=False, headers={"Accept-Encoding": "br"}) as session:
        found["/"] = await size_of(session, f"{portal}/")
        async with session.get(f"{portal}/", headers={"Accept-Encoding": "identity"}) as page:
            html = await page.text()
        for path in sorted(set(re.findall(r'(?:src|href)="(/static/[^"]+)"', html))):
            found[path.rpartition("/")[2]] = await size_of(session, portal + path)
    return found


async def size_of(session: aiohttp.ClientSession, url: str) -> int:
    """Return an answer's bytes, its head included."""
    async with session.get(url) as answer:
        head = sum(len(name) + len(value) + 4 for name, value in answer.raw_headers) + 19
        return head + len(await answer.read())
