"""A full disk costs only the storing: pages pass through, the box goes on, and stores again when there is room."""

import asyncio
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.web_world import Origin, reply
from tests.fault.web_box import DEADLINE_S, WebBox, serving, web_box

DISK_BYTES = 24_000_000
SETTINGS = """
[cache]
size_bytes_max = 10_000_000
memory_bytes_max = 1_000_000
free_bytes_min = 0
write_every_s = 0.05
"""
SIZES_BYTES = (900, 50_000, 700_000)
FRESH = [("Cache-Control", "max-age=3600"), ("Content-Type", "video/mp4")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose stored pages lie on a small disk of their own."""
    folder = tmp_path / "data" / "web"
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    options = f"size={DISK_BYTES},mode=0700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield folder.parent
    subprocess.run(["umount", folder], check=True)


def content(path: str) -> bytes:
    return path.encode() * (int(path.rpartition("-")[2]) // len(path))


def pages(origin: Origin, kind: str) -> list[str]:
    """Pages of every size that nobody asked for yet."""
    found = [f"/{kind}-{count}-{size}" for count in range(3) for size in SIZES_BYTES]
    for path in found:
        origin.on(path, reply(content(path), FRESH))
    return found


async def right(box: WebBox, paths: list[str]) -> None:
    for path in paths:
        got = await box.ask(path)
        assert (got.status, got.whole, got.body == content(path)) == (200, True, True), path


async def hits(origin: Origin, box: WebBox, paths: list[str]) -> bool:
    """Say whether all of these were answered from the store."""
    asked = len(origin.seen)
    await right(box, paths)
    return len(origin.seen) == asked


async def passes_through_and_recovers(
    origin: Origin, box: WebBox, fill: Callable[[], None], clear: Callable[[], None]
) -> None:
    """Hold what must hold before, while and after there is no room."""
    before = pages(origin, "before")
    await right(box, before)
    fill()
    during = pages(origin, "during")
    for _ in range(2):
        await right(box, during)
        await right(box, before)
    assert "Traceback" not in box.log.read_text()
    clear()
    after = pages(origin, "after")

    async with asyncio.timeout(DEADLINE_S):
        await right(box, after)
        while not await hits(origin, box, after):  # the store looks now and then whether there is room again
            await asyncio.sleep(0.05)
    await box.stop()
    await box.start()
    assert await hits(origin, box, after), "what was stored again is on the disk"
    await right(box, [*before, *during])


async def test_a_full_disk_is_passed_by_until_there_is_room(small_disk: Path, tmp_path: Path) -> None:
    ballast = small_disk / "web" / "ballast"

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65_536))
            except OSError:
                pass
        assert os.statvfs(small_disk / "web").f_bavail < 20

    async with serving() as origin, web_box(tmp_path, origin, SETTINGS, small_disk) as box:
        await passes_through_and_recovers(origin, box, fill, ballast.unlink)


async def test_files_that_may_not_grow_are_passed_by_until_they_may(tmp_path: Path) -> None:
    """The same without root: every write that would make a file longer fails."""
    async with serving() as origin, web_box(tmp_path, origin, SETTINGS) as box:
        old = resource.prlimit(box.pid, resource.RLIMIT_FSIZE)

        def fill() -> None:
            resource.prlimit(box.pid, resource.RLIMIT_FSIZE, (4_096, old[1]))

        def clear() -> None:
            resource.prlimit(box.pid, resource.RLIMIT_FSIZE, old)

        await passes_through_and_recovers(origin, box, fill, clear)
