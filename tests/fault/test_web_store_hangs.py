"""A disk that hangs or is full holds up no page, and what was taken away on it is not served as it was."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import LocalError
from gateway.web.fetching.body import Source
from gateway.web.rules.freshness import Times
from gateway.web.rules.stored import BodyRef, Part, StoredResponse
from gateway.web.store import bodies as store_body
from gateway.web.store.batch import Batch
from gateway.web.store.disk import Spooled, digest
from gateway.web.store.store import Store, body_key
from tests.clocks import HandClock
from tests.conformance.web_world import reply, world
from tests.waiting import wait_until

URL = "http://a.test/"
FRESH = [("Cache-Control", "max-age=3600")]


def answer(body: bytes, url: str = URL, fields: tuple[tuple[str, str], ...] = ()) -> StoredResponse:
    found = digest(body)
    part = Part(0, BodyRef(body_key("", url, found), len(body), found))
    return StoredResponse("", url, 200, fields, (), Times(1.0, 2.0), len(body), (part,))


@asynccontextmanager
async def running(folder: Path, memory_bytes_max: int = 0) -> AsyncIterator[Store]:
    """A store that is written when it is told to."""
    store = Store(folder / "web", size_bytes_max=50_000_000, memory_bytes_max=memory_bytes_max, clock=HandClock())
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


@asynccontextmanager
async def cut_off(folder: Path) -> AsyncIterator[Store]:
    """The same, that ends as in a power cut: what is not written is gone."""
    async with running(folder) as store:
        yield store
        store.disk.rows.batch.__init__()  # type: ignore[misc]
        store.disk.rows.index.close()


@contextmanager
def full(store: Store, writings: int = 1_000) -> Iterator[None]:
    """A disk that has no room for so many writings."""
    write, left = store.disk.rows.index.write, [writings]

    def refused(batch: Batch, used_s: float) -> None:
        if left[0]:
            left[0] -= 1
            exc = sqlite3.OperationalError("database or disk is full")
            exc.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise exc
        write(batch, used_s)

    store.disk.rows.index.write = refused  # type: ignore[method-assign]
    try:
        yield
    finally:
        store.disk.rows.index.write = write  # type: ignore[method-assign]


@contextmanager
def hanging(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A disk that answers nothing for as long as this lasts."""
    monkeypatch.setattr("gateway.web.store.removal.INDEX_S", 0.02)
    over = threading.Event()
    store.pool.submit(over.wait)
    try:
        yield
    finally:
        over.set()


async def written(store: Store) -> None:
    await store.run(store.disk.rows.write)


async def read(source: Source | None) -> bytes:
    assert source is not None
    try:
        return b"".join([piece async for piece in source.pieces()])
    finally:
        source.close()


@pytest.mark.parametrize("size_bytes", [100, 50_000])
async def test_a_purge_that_a_full_disk_refuses_is_told_and_holds(size_bytes: int, tmp_path: Path) -> None:
    body = b"x" * size_bytes
    async with running(tmp_path) as store:
        await store.keep(answer(body), body)
        await written(store)
        with full(store):
            with pytest.raises(LocalError):
                await store.purge("", URL)
            await written(store)
            assert await store.shelf("", URL) == ()
            assert await store.open(answer(body)) is None
            assert not list(tmp_path.rglob("*.val")), "its file gives room at once"
        await written(store)
        assert store.objects == 0
    async with running(tmp_path) as store:
        assert await store.shelf("", URL) == ()


async def test_a_purge_on_a_full_disk_makes_room_for_itself(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        await store.keep(answer(b"x"), b"x")
        await written(store)
        with full(store, writings=1):
            assert (await store.purge("", URL)).answers == 1
        assert (store.objects, store.disk.rows.index.answers) == (0, 0)


async def test_of_an_invalidation_on_a_full_disk_nothing_is_lost(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        for name in ("doubted", "renewed", "other"):
            await store.keep(answer(b"old", URL + name), b"old")
        await written(store)
        with full(store):
            await store.invalidate("", f"{URL}doubted")
            await store.invalidate("", f"{URL}renewed")
            await store.keep(answer(b"new", f"{URL}renewed"), b"new")
            await store.keep(answer(b"never", f"{URL}never"), b"never")
            for _ in range(2):
                await written(store)
            assert [each.invalid for each in await store.shelf("", f"{URL}doubted")] == [True]
            assert await store.shelf("", f"{URL}renewed") == (), "neither the new one, that is lost, nor the old one"
            assert await store.shelf("", f"{URL}never") == ()
            assert store.objects == 2
        await written(store)
    async with running(tmp_path) as store:
        assert [each.invalid for each in await store.shelf("", f"{URL}doubted")] == [True]
        assert await store.shelf("", f"{URL}renewed") == ()
        assert [each.invalid for each in await store.shelf("", f"{URL}other")] == [False]
        assert store.objects == 2


async def test_an_invalidation_is_not_undone_by_a_power_cut(tmp_path: Path) -> None:
    fields = (("Cache-Groups", '"all"'),)
    async with cut_off(tmp_path) as store:
        for name in ("one", "grouped"):
            await store.keep(answer(b"old", URL + name, fields if name == "grouped" else ()), b"old")
        await written(store)
        before = store.disk.rows.transactions
        await store.keep(answer(b"fresh", f"{URL}fresh"), b"fresh")
        for name in ("fresh", "never"):
            await store.invalidate("", URL + name)
        assert store.disk.rows.transactions == before, "nothing of it is written that could come back"
        await store.invalidate_group("", "http://a.test", "all")
        await store.invalidate("", f"{URL}one")
    async with running(tmp_path) as store:
        for name in ("one", "grouped"):
            assert [each.invalid for each in await store.shelf("", URL + name)] == [True]


async def test_invalidations_of_a_moment_share_a_transaction(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        for n in range(50):
            await store.keep(answer(b"x", f"{URL}{n}"), b"x")
        await written(store)
        before = store.disk.rows.transactions
        async with asyncio.TaskGroup() as tasks:
            for n in range(50):
                tasks.create_task(store.invalidate("", f"{URL}{n}"))
        assert 1 <= store.disk.rows.transactions - before <= 3
        assert not store.disk.rows.batch


async def test_a_page_waits_for_a_disk_that_hangs_no_longer_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path / "web") as w:
        store = w.room._store
        w.origin.on("/a", reply(b"page", FRESH))
        with hanging(store, monkeypatch):
            for _ in range(2):
                assert (await w.ask("/a")).body == b"page"
            assert (await w.ask("/a", method="POST", body=b"x")).status == 200
            assert store.failures_in_a_row
        assert (await w.ask("/a")).body == b"page"
        await w.stored()
        assert not store.failures_in_a_row, "what came meanwhile is stored when the disk is there again"


async def test_what_cannot_be_read_in_time_stays_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"x" * 50_000
    async with running(tmp_path, memory_bytes_max=40_000) as store:
        await store.keep(answer(body), body)
        with hanging(store, monkeypatch):
            assert store.front.shelf(("", URL)), "its body is not in memory"
            assert await store.open(answer(body)) is None
            assert await store.shelf("", URL) == (), "whoever asks anew does not find it either"
            assert await store.rendition(answer(body), "webp") is None
            assert store.failures_in_a_row >= 3
        await store.run(lambda: None)
        assert await store.shelf("", URL) == (answer(body),)
        assert await read(await store.open(answer(body))) == body
        assert not store.failures_in_a_row


async def test_what_a_post_called_in_question_while_the_disk_hung_is_on_disk_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cut_off(tmp_path) as store:
        await store.keep(answer(b"old"), b"old")
        await written(store)
        with hanging(store, monkeypatch):
            await store.invalidate("", URL)
        await store.run(lambda: None)
    async with running(tmp_path) as store:
        assert [each.invalid for each in await store.shelf("", URL)] == [True]


async def test_an_index_that_another_process_holds_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.web.store.index.LOCK_S", 0.02)
    async with running(tmp_path) as store:
        await store.keep(answer(b"x" * 50_000), b"x" * 50_000)
        with closing(sqlite3.connect(tmp_path / "web" / "index" / "cache.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await written(store)
            assert store.failures_in_a_row == 1
            other.execute("ROLLBACK")
        await written(store)
        assert (store.failures_in_a_row, store.disk.rows.index.answers) == (0, 1)
    async with running(tmp_path) as store:
        assert await read(await store.open(answer(b"x" * 50_000))) == b"x" * 50_000


async def test_a_part_is_cut_and_hashed_by_the_threads_of_bodies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def noted(work: Callable[..., object]) -> Callable[..., object]:
        def run(*given: object) -> object:
            threads.append(threading.current_thread().name)
            return work(*given)

        return run

    film = replace(answer(b"", fields=(("ETag", '"1"'),)), size_bytes=200_000, parts=())
    async with running(tmp_path) as store:
        await store.add_part(film, 90_000, b"b" * 50_000)
        path = store.spool.folder / "first"
        path.write_bytes(b"a" * 90_000 + b"b" * 10_000)
        for name in ("cut", "digest_of"):
            monkeypatch.setattr(store_body, name, noted(getattr(store_body, name)))
            monkeypatch.setattr(f"gateway.web.store.disk.{name}", noted(getattr(store_body, name)))
        found = await store.add_part(film, 0, Spooled(path, 100_000))
        assert found is not None
        assert [(part.at, part.body.size_bytes) for part in found.parts] == [(0, 90_000), (90_000, 50_000)]
        assert await read(await store.open_part(found, found.parts[0])) == b"a" * 90_000
        assert len(threads) == 2
        assert all(name.startswith("web-bodies") for name in threads)
        await wait_until(lambda: not list(store.spool.folder.iterdir()))


async def test_long_urls_take_no_memory_beside_the_tier(tmp_path: Path) -> None:
    async with running(tmp_path, memory_bytes_max=100_000) as store:
        for n in range(50):
            await store.shelf("", f"{URL}{n}" + "x" * 8_000)
        assert not store.front.used, "what is not stored is not used"
        long = URL + "x" * 8_000
        await store.keep(answer(b"x", long), b"x")
        await store.shelf("", long)
        await store.invalidate("", long)
        held = [*store.front.used, *store.marks._taken]
        assert len(held) == 2
        assert all(len(each) <= 32 for each in held)
