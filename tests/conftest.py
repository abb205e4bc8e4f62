"""What every test stands on: a loop that must not be blocked, clocks that are moved by hand, and a Chromium."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster
from hypothesis import settings

from tests.clocks import HandClock
from tests.village import CHECKOUT, Demo, started, stopped

CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]

# an example's own time says how busy the machine is, and nothing else
settings.register_profile("tambo", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("tambo")


@pytest.fixture(autouse=True)
def loop_stays_free() -> Iterator[None]:
    """A call that would block the event loop fails the test that made it."""
    guard = BlockBuster(scanned_modules=["gateway"])
    for name in ("io.BufferedReader.read", "io.TextIOWrapper.read", "os.read", "os.stat"):
        if name in guard.functions:  # sysfs answers from memory
            guard.functions[name].can_block_in("backhaul/sensing/interface.py", {"has_carrier", "_read"})
    guard.activate()
    yield
    guard.deactivate()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser's program; without it browser tests are skipped, except in CI, where they fail."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not found:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs Chromium: apt-get install chromium")
        pytest.skip("no Chromium here: sudo apt install chromium")
    return Path(found)


@pytest.fixture
async def browser(chromium: Path) -> AsyncIterator[object]:
    """A real Chromium with a fake camera and microphone."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=str(chromium), args=CHROMIUM_ARGS)
        yield started
        await started.close()


@pytest.fixture(scope="module")
def demo_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    ready, log = folder / "ready.json", folder / "log"
    process, _ = started([*CHECKOUT, "demo", "--data", folder / "data", "--ready-file", ready], log)
    yield Demo(process, json.loads(ready.read_text()), log)
    stopped(process, log)


@pytest.fixture
async def demo(demo_process: Demo) -> AsyncIterator[Demo]:
    """The demo over a weak link: 1 Mbit/s each way, 80 ms; whole again after the test."""
    await demo_process.link(down_bps=1_000_000, up_bps=1_000_000, delay_s=0.08, outage_s=0)
    yield demo_process
    await demo_process.link(outage_s=0)
    await asyncio.sleep(0)
