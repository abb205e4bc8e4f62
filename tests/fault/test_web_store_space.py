"""The store on a disk that fills up: it keeps to its bytes, leaves what others need, and goes on when there is room."""

import errno
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.web.rules.freshness import Times
from gateway.web.rules.stored import BodyRef, Part, StoredResponse, url_key
from gateway.web.store.disk import DiskTier, Spooled, digest
from gateway.web.store.store import Removed, Store, body_key
from tests.clocks import HandClock
from tests.conformance.web_world import reply, world
from tests.waiting import wait_until

URL = "http://a.test/"
MB = 1_000_000


def answer(body: bytes, url: str) -> StoredResponse:
    found = digest(body)
    part = Part(0, BodyRef(body_key("", url, found), len(body), found))
    return StoredResponse("", url, 200, (), (), Times(1.0, 2.0), len(body), (part,))


@dataclass
class Disk:
    """What `statvfs` says of the disk: so much was free before the store took anything, and others took some."""

    folder: Path
    free_bytes: int
    f_frsize: int = 1

    @property
    def f_bavail(self) -> int:
        files = [each for each in self.folder.rglob("*") if each.is_file()]
        return max(0, self.free_bytes - sum(each.stat().st_size for each in files))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    found = Disk(tmp_path, 10 * MB)
    monkeypatch.setattr(os, "statvfs", lambda _: found)
    return found


@asynccontextmanager
async def running(folder: Path, clock: HandClock, **changed: Any) -> AsyncIterator[Store]:
    limits = {"size_bytes_max": 100 * MB, "memory_bytes_max": 10_000, "free_bytes_min": 3 * MB, **changed}
    store = Store(folder / "web", clock=clock, **limits)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


async def keep(store: Store, n: int, size_bytes: int, *, cost_s: float = 0.0) -> bool:
    body = b"%8d" % n * (size_bytes // 8)
    return await store.keep(answer(body, f"{URL}{n}"), body, cost_s=cost_s)


async def there(store: Store, count: int) -> list[int]:
    return [n for n in range(count) if await store.shelf("", f"{URL}{n}")]


@pytest.mark.parametrize("size_bytes", [24_000, 160_000])
async def test_what_others_need_of_the_disk_stays_free(size_bytes: int, disk: Disk, tmp_path: Path) -> None:
    clock = HandClock()
    count = 9 * MB // size_bytes
    async with running(tmp_path, clock) as store:
        for n in range(count):
            clock.pass_s(1.0)
            assert await keep(store, n, size_bytes)
            await store.run(store.disk.rows.write)
            assert disk.f_bavail >= MB, "SQLite's log may take some of it for a moment"
        kept = await there(store, count)
        assert kept == list(range(kept[0], count)), "the longest unused went"
        assert len(kept) > count // 4
        assert not store.is_full
    assert disk.f_bavail >= 3 * MB


async def test_a_disk_that_others_filled_gets_room_and_nothing_is_stored(disk: Disk, tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path, clock) as store:
        for n in range(20):
            assert await keep(store, n, 160_000)
        disk.free_bytes = 2 * MB
        assert not await keep(store, 99, 160_000)
        assert (store.is_full, store.objects) == (True, 0)
        assert store.failures_in_a_row
        assert not list(tmp_path.rglob("*.val"))
        disk.free_bytes = 10 * MB
        assert await keep(store, 99, 160_000)
        await store.run(store.disk.space.rest)
        assert (store.is_full, store.objects) == (False, 1)


async def test_what_is_pinned_stays_whatever_happens(disk: Disk, tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path, clock, size_bytes_max=2 * MB) as store:
        await keep(store, 0, 160_000)
        assert await store.pin("", f"{URL}0", on=True)
        for n in range(1, 40):
            clock.pass_s(1.0)
            await keep(store, n, 160_000)
        await keep(store, 0, 160_000)
        for n in range(40, 60):
            clock.pass_s(1.0)
            await keep(store, n, 160_000)
        assert 0 in await there(store, 60)
        assert await store.pin("", f"{URL}0", on=False)
        for n in range(60, 90):
            clock.pass_s(90_000.0)
            await keep(store, n, 160_000)
        assert 0 not in await there(store, 60)
    assert disk.f_bavail >= 3 * MB


async def test_bodies_shelves_and_renditions_go_together(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path, clock, size_bytes_max=2 * MB, free_bytes_min=0) as store:
        for n in range(60):
            clock.pass_s(1.0)
            await keep(store, n, 80_000)
            body = b"%8d" % n * 10_000
            await store.keep_rendition(answer(body, f"{URL}{n}"), "webp", b"w" * 40_000)
        kept = await there(store, 60)
        await store.run(store.disk.rows.write)
        index = store.disk.rows.index
        rows = index._cache._sql("SELECT key FROM Cache").fetchall()
        shelves = {name.split(" ")[1] for (name,) in rows if name.startswith("shelf")}
        bodies = {name.split(" ")[1] for (name,) in rows if name.startswith("body")}
        assert shelves == bodies == {url_key("", f"{URL}{n}") for n in kept}
        assert store.objects == len(kept)
        files = list(tmp_path.rglob("*.val"))
        assert sum(each.stat().st_size for each in files) <= store.size_bytes <= 2 * MB
        assert len(files) == 2 * len(kept)


async def test_what_came_dear_over_the_link_stays_longer(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path, clock, size_bytes_max=2 * MB, free_bytes_min=0) as store:
        await keep(store, 0, 80_000, cost_s=300.0)
        await keep(store, 1, 80_000, cost_s=0.1)
        for n in range(2, 60):
            clock.pass_s(60.0)
            await keep(store, n, 80_000, cost_s=0.1)
        kept = await there(store, 60)
        assert (0 in kept, 1 in kept) == (True, False)


async def test_an_evicted_answer_is_told_and_leaves_memory(tmp_path: Path) -> None:
    clock, told = HandClock(), list[str]()
    async with running(tmp_path, clock, size_bytes_max=2 * MB, memory_bytes_max=10 * MB, free_bytes_min=0) as store:
        store.on_change = lambda _, url: told.append(url)
        for n in range(60):
            clock.pass_s(1.0)
            await keep(store, n, 80_000)
        assert told.count(f"{URL}0") == 2, "kept, and gone"
        assert store.front.shelf(("", f"{URL}0")) is None
        assert store.memory_bytes < 2 * MB


async def test_a_store_at_rest_has_room_to_spare(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path, clock, size_bytes_max=2 * MB, free_bytes_min=0) as store:
        n = 0
        while store.size_bytes < 2 * MB - 60_000:
            assert await keep(store, n, 50_000)
            n += 1
        while not await store.run(store.disk.space.rest):
            store.tell_evicted()
        assert store.size_bytes <= 2 * MB * 0.99


async def test_one_object_makes_room_in_small_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock()
    async with running(tmp_path, clock, size_bytes_max=10 * MB, free_bytes_min=0) as store:
        for n in range(500):
            await keep(store, n, 16_000)
        path = store.spool.folder / "large"
        path.write_bytes(b"x" * (6 * MB))
        steps: list[int] = []

        def counted(keys: list[str]) -> Removed:
            steps.append(len(keys))
            return evict(keys)

        evict = store.disk.space._remove
        monkeypatch.setattr(store.disk.space, "_remove", counted)
        stored = answer(b"", f"{URL}large")
        ref = BodyRef(body_key("", f"{URL}large", "d"), 6 * MB, "d")
        large = StoredResponse("", f"{URL}large", 200, (), (), stored.times, 6 * MB, (Part(0, ref),))
        assert await store.keep(large, Spooled(path, 6 * MB))
        assert len(steps) > 2
        assert max(steps) <= 32
        assert store.size_bytes <= 10 * MB


@pytest.mark.parametrize("call", ["mkdir", "rename", "open"])
def test_a_write_that_fails_leaves_nothing_behind(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")

    tier = DiskTier(tmp_path / "web", 10 * MB)
    tier.open()
    spooled = tmp_path / "web" / "spooled"
    spooled.write_bytes(b"x" * 50_000)
    body = b"y" * 50_000
    with monkeypatch.context() as patched:
        patched.setattr("builtins.open" if call == "open" else f"os.{call}", full)
        if call == "rename":
            kept = tier.keep(url_key("", URL), answer(b"x" * 50_000, URL), Spooled(spooled, 50_000))
        else:
            kept = tier.keep(url_key("", URL), answer(body, URL), body)
        assert kept is None
    assert (tier.rows.is_full, tier.failures_in_a_row) == (True, 1)
    assert tier.shelf(url_key("", URL)) == ()
    assert not list(tmp_path.rglob("*.val"))
    assert tier.keep(url_key("", URL), answer(body, URL), body)
    assert tier.failures_in_a_row == 0
    tier.close()


async def test_a_batch_that_cannot_be_written_is_a_miss_and_its_files_go(tmp_path: Path) -> None:
    async with running(tmp_path, HandClock(), free_bytes_min=0) as store:
        assert await keep(store, 0, 80_000)
        await store.run(store.disk.rows.write)
        index = store.disk.rows.index
        pages = await store.run(lambda: index._figure("page_count"))
        await store.run(lambda: index._cache._sql(f"PRAGMA max_page_count = {pages}"))  # SQLite's own full disk
        for n in range(1, 60):
            await keep(store, n, 80_000 if n % 2 else 8_000)
        await store.run(store.disk.rows.write)
        assert (store.is_full, store.objects) == (True, 1)
        assert len(list(tmp_path.rglob("*.val"))) == 1
        assert await store.open((await store.shelf("", f"{URL}0"))[0])
        assert await store.open(answer(b"%8d" % 7 * 10_000, f"{URL}7")) is None
        await store.run(lambda: index._cache._sql("PRAGMA max_page_count = 1000000"))
        assert await keep(store, 7, 80_000)
        await store.run(store.disk.rows.write)
        assert store.objects == 2


async def test_a_full_disk_is_told_and_pages_pass_through(tmp_path: Path, disk: Disk) -> None:
    async with world(tmp_path / "web", free_bytes_min=3 * MB, write_every_s=0.01) as w:
        page = b"p" * 700_000
        w.origin.on("/a", reply(page, [("Cache-Control", "max-age=3600")]))
        disk.free_bytes = 2 * MB
        for _ in range(2):
            assert (await w.ask("/a")).body == page
            await w.quiet()
        assert len(w.origin.seen) == 2
        assert not list((tmp_path / "web" / "spool").iterdir()), "what is under way takes nothing from others either"
        w.origin.on("/b", reply(b"small", [("Cache-Control", "max-age=3600")]))
        await w.ask("/b")
        await w.quiet()
        assert (w.room.statistics().disk_is_full, w.room.statistics().stored_objects) == (True, 0)
        disk.free_bytes = 100 * MB
        await wait_until(lambda: not w.room.statistics().disk_is_full)
        assert (await w.ask("/a")).body == page
        await w.stored()


def test_the_order_of_use_outlasts_a_clock_that_was_wrong(tmp_path: Path) -> None:
    clock = HandClock(now=1_000.0)
    sizes: Callable[[int], bytes] = lambda n: bytes([n]) * 100_000  # noqa: E731
    for run in range(3):
        clock.wall = (4e9, 0.0, 1.8e9)[run]
        clock.now = (1_000.0, 5.0, 50_000.0)[run]
        tier = DiskTier(tmp_path / "web", 1_200_000, clock=clock)
        tier.open()
        for n in range(run * 8, run * 8 + 8):
            clock.pass_s(60.0)
            tier.keep(url_key("", f"{URL}{n}"), answer(sizes(n), f"{URL}{n}"), sizes(n))
        kept = [n for n in range(24) if tier.shelf(url_key("", f"{URL}{n}"))]
        assert kept == list(range(kept[0], run * 8 + 8))
        tier.close()


def test_a_disk_that_is_full_at_start_is_used_once_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        exc = sqlite3.OperationalError("database or disk is full")
        exc.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise exc

    tier = DiskTier(tmp_path / "web", 10 * MB)
    tier.open()
    assert tier.keep(url_key("", URL), answer(b"kept", URL), b"kept")
    tier.close()
    tier = DiskTier(tmp_path / "web", 10 * MB)
    with monkeypatch.context() as patched:
        patched.setattr("gateway.web.store.index.Cache", full)
        tier.open()
        assert tier.shelf(url_key("", URL)) == ()
        assert tier.keep(url_key("", URL), answer(b"new", URL), b"new") is None
        tier.rows.write()
        full_before = tier.rows.is_full
    tier.rows.write()
    assert full_before
    assert tier.shelf(url_key("", URL)) == (answer(b"kept", URL),), "it is not taken for broken"
    assert tier.space.rest()
    assert not tier.rows.is_full
    tier.close()
