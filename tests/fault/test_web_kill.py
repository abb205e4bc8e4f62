"""A box is killed while it stores: after it, every page is the right one or is fetched again, never a wrong one."""

import asyncio
import hashlib
from collections import Counter
from pathlib import Path
from random import Random

from tests.conformance.web_world import Origin, Seen, read_answer
from tests.fault.web_box import WebBox, request, serving, web_box
from tests.waiting import wait_until

SEED = 20261122
SIZES_BYTES = (900, 50_000, 700_000)  # in the index, in a file of its own, received into a file
CHECKED = [f"/checked-{count}-{size}" for count in range(4) for size in SIZES_BYTES]
BROWSERS = 6


def kept(number: int) -> list[str]:
    """The pages that stay fresh, which nobody asked for before the kill of this number."""
    return [f"/kept-{number}-{count}-{size}" for count in range(6) for size in SIZES_BYTES]


def content(path: str, version: int) -> bytes:
    """What a page says in one version; no two pages or versions are alike."""
    return hashlib.shake_256(f"{path} {version}".encode()).digest(int(path.rpartition("-")[2]))


class Sites:
    """An origin whose pages are `kept` for an hour, or `checked` each time, when they may have changed."""

    def __init__(self, origin: Origin) -> None:
        self.version = 1
        self.cut = asyncio.Event()
        for path in CHECKED:
            origin.on(path, self.answer)
        for number in range(len(KILLS)):
            for path in kept(number):
                origin.on(path, self.answer)
        origin.on("/half-700000", self.half)

    async def answer(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        etag = f'"{self.version}"'
        lifetime = "max-age=3600" if "kept" in seen.target else "max-age=0"
        head = f"ETag: {etag}\r\nCache-Control: {lifetime}\r\nContent-Type: video/mp4\r\n"
        if seen.get("if-none-match") == etag:
            writer.write(f"HTTP/1.1 304 Not Modified\r\n{head}\r\n".encode())
        else:
            body = content(seen.target, self.version)
            writer.write(f"HTTP/1.1 200 OK\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    async def half(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        """Half of a body, until `cut`; the whole from then on."""
        if self.cut.is_set():
            await self.answer(seen, writer)
            return
        fields = "Cache-Control: max-age=3600\r\nContent-Type: video/mp4\r\nContent-Length: 700000\r\n"
        writer.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode() + content(seen.target, self.version)[:400_000])
        await writer.drain()
        await self.cut.wait()


async def browse(box: WebBox, pages: list[str], random: Random, done: list[str]) -> None:
    """Load pages on one connection until the box dies."""
    reader, writer = await box.connect()
    try:
        while True:
            path = random.choice(pages)
            writer.write(request(path))
            got = await read_answer(reader)
            if not got.whole:
                return
            assert got.status == 200
            done.append(path)
    except (asyncio.IncompleteReadError, ConnectionError):
        return
    finally:
        writer.transport.abort()


async def amid(box: WebBox, pages: list[str], random: Random) -> None:
    """Wait until some pages were loaded, and kill it while others are."""
    done: list[str] = []
    answers = random.randrange(3, 60)
    async with asyncio.TaskGroup() as browsers:
        for _ in range(BROWSERS):
            browsers.create_task(browse(box, pages, Random(random.random()), done))
        await wait_until(lambda: len(done) >= answers, 20.0)
        await box.kill()


async def in_the_middle(box: WebBox, pages: list[str], random: Random) -> None:
    """Kill it when half of a body is in its hands."""
    del pages, random
    reader, writer = await box.connect(limit=1_000_000)
    writer.write(request("/half-700000"))
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(390_000)
    await box.kill()
    writer.transport.abort()


async def at_the_end(box: WebBox, pages: list[str], random: Random) -> None:
    """Kill it the moment the last byte of a page has come."""
    assert (await box.ask(random.choice(pages[: len(SIZES_BYTES)]))).whole
    await box.kill()


KILLS = (in_the_middle, amid, at_the_end, amid, amid, amid)


async def test_a_box_killed_while_it_stores_serves_the_right_page_or_fetches_it(tmp_path: Path) -> None:
    random, outcomes = Random(SEED), Counter[str]()
    settings = "[cache]\nmemory_bytes_max = 1_000_000\nwrite_every_s = 0.05\n"
    async with serving() as origin, web_box(tmp_path, origin, settings) as box:
        sites = Sites(origin)
        for number, kill in enumerate(KILLS):
            await kill(box, [*CHECKED, *kept(number)], random)
            sites.cut.set()
            await box.start()
            await check(box, origin, sites.version, number, outcomes)
            sites.version += 1
    assert outcomes["hit"] > 50, outcomes
    assert outcomes["miss"] > 50, outcomes
    print(f"{len(KILLS)} kills, then {dict(outcomes)}, none wrong")


async def check(box: WebBox, origin: Origin, version: int, number: int, outcomes: Counter[str]) -> None:
    """Every page is the one that is, or for those that stay fresh one that was, whole."""
    for path in [*CHECKED, *kept(number), *kept(max(0, number - 1)), "/half-700000"]:
        before = len(origin.seen)
        got = await box.ask(path)
        assert (got.status, got.whole) == (200, True), path
        asked = len(origin.seen) > before
        may_be = {version} if asked or path in CHECKED else set(range(1, version + 1))
        assert got.body in {content(path, each) for each in may_be}, path
        outcomes["checked" if path in CHECKED else "miss" if asked else "hit"] += 1
