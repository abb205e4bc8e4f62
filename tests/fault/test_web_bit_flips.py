"""One flipped bit anywhere in the store: the page as it was, or fetched again, and the room lives on."""

import hashlib
import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.conformance.web_world import Origin, reply, world

FLIPS, LOG_FLIPS = 200, 24
SIZES_BYTES = (300, 900, 9_000, 40_000, 90_000, 300_000)
PAGES = [f"/{count}-{size}" for count in range(2) for size in SIZES_BYTES]
MEMORY_BYTES = 1_000  # every answer comes from the disk


def content(path: str) -> bytes:
    return hashlib.shake_256(path.encode()).digest(int(path.rpartition("-")[2]))


@pytest.fixture
async def origin() -> Origin:
    serving = Origin()
    for path in PAGES:
        serving.on(path, reply(content(path), [("Cache-Control", "max-age=3600"), ("Content-Type", "video/mp4")]))
    await serving.start()
    return serving


async def a_store(folder: Path, origin: Origin, as_after_a_crash: Path) -> None:
    """Make a store of all pages, and a copy of it as a power cut would leave it."""
    async with world(folder, origin=origin) as w:
        for path in PAGES:
            assert (await w.ask(path)).whole
        await w.stored(len(PAGES))
        shutil.copytree(folder, as_after_a_crash)


def flip(folder: Path, random: Random, parts: str) -> str:
    """Flip one bit of one file, and say of which kind the file was."""
    files = sorted(each for each in folder.glob(parts) if each.is_file() and each.stat().st_size)
    file = random.choice(files)
    at, bit = random.randrange(file.stat().st_size), random.randrange(8)
    with file.open("r+b") as opened:
        opened.seek(at)
        (was,) = opened.read(1)
        opened.seek(at)
        opened.write(bytes([was ^ 1 << bit]))
    return file.suffix


async def look(folder: Path, origin: Origin, outcomes: Counter[str], *, twice: bool = False) -> None:
    """Ask for every page: whatever the store has become, each is right; and again, after its repair."""
    async with world(folder, origin=origin, memory_bytes_max=MEMORY_BYTES) as w:
        for again in (False, True)[: 1 + twice]:
            for path in PAGES:
                before = len(origin.seen)
                got = await w.ask(path)
                assert (got.status, got.whole) == (200, True), path
                assert got.body == content(path), f"{path}: a wrong body"
                if not again:
                    outcomes["hit" if len(origin.seen) == before else "miss"] += 1
            await w.quiet()


async def test_a_flipped_bit_costs_at_most_a_fetch(origin: Origin, tmp_path: Path) -> None:
    await a_store(tmp_path / "store", origin, tmp_path / "unused")
    random, outcomes = Random(7), Counter[str]()
    for count in range(FLIPS):
        folder = tmp_path / f"flip-{count}"
        shutil.copytree(tmp_path / "store", folder)
        flip(folder, random, "**/*.db" if count % 2 else "**/*.val")
        await look(folder, origin, outcomes, twice=count % 4 == 0)
        shutil.rmtree(folder)
    await origin.stop()
    assert outcomes["hit"] > FLIPS * len(PAGES) / 2, outcomes
    assert outcomes["miss"] > FLIPS / 4, outcomes
    print(f"{FLIPS} flips: {dict(outcomes)}")


async def test_a_flipped_bit_in_the_log_of_the_index_costs_at_most_a_fetch(origin: Origin, tmp_path: Path) -> None:
    crashed = tmp_path / "crashed"
    await a_store(tmp_path / "store", origin, crashed)
    assert list(crashed.glob("**/*-wal")), "the index has a log"
    random, outcomes = Random(8), Counter[str]()
    for count in range(LOG_FLIPS):
        folder = tmp_path / f"flip-{count}"
        shutil.copytree(crashed, folder)
        flip(folder, random, "**/*-wal")
        await look(folder, origin, outcomes)
        shutil.rmtree(folder)
    await origin.stop()
    assert outcomes["miss"], outcomes
