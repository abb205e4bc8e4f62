"""The store reads what it has not written yet, writes much at once, and lets go of what it is told to."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.web.fetching.body import Source
from gateway.web.rules.freshness import Times
from gateway.web.rules.stored import BodyRef, Part, StoredResponse, url_key
from gateway.web.store import tending as store_tending
from gateway.web.store.disk import Spooled, digest
from gateway.web.store.store import BATCH_BYTES_MAX, Kept, Removed, Store, body_key
from tests.clocks import HandClock
from tests.waiting import wait_until

URL = "http://a.test/"


def answer(
    body: bytes,
    url: str = URL,
    *,
    site: str = "",
    fields: tuple[tuple[str, str], ...] = (),
    language: str = "es",
) -> StoredResponse:
    found = digest(body)
    part = Part(0, BodyRef(body_key(site, url, found), len(body), found))
    vary = (("accept-language", language),)
    return StoredResponse(site, url, 200, fields, vary, Times(1.0, 2.0), len(body), (part,))


@asynccontextmanager
async def running(
    folder: Path,
    *,
    size_bytes_max: int = 50_000_000,
    memory_bytes_max: int = 1_000_000,
    clock: HandClock | None = None,
    write_every_s: float = 3_600.0,
) -> AsyncIterator[Store]:
    store = Store(
        folder / "web",
        size_bytes_max=size_bytes_max,
        memory_bytes_max=memory_bytes_max,
        clock=clock or HandClock(),
        write_every_s=write_every_s,
    )
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


@asynccontextmanager
async def tended(store: Store, sites: set[str] | None = None) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        tending = tasks.create_task(store.tend(sites))
        yield
        tending.cancel()


async def read(source: Source | None) -> bytes:
    assert source is not None
    try:
        return b"".join([piece async for piece in source.pieces()])
    finally:
        source.close()


@pytest.mark.parametrize("size_bytes", [0, 100, 50_000, 900_000])
@pytest.mark.parametrize("memory_bytes_max", [1_000, 1_000_000])
async def test_what_is_kept_is_read_at_once_and_after_a_restart(
    size_bytes: int, memory_bytes_max: int, tmp_path: Path
) -> None:
    body = bytes(n % 251 for n in range(size_bytes))
    async with running(tmp_path, memory_bytes_max=memory_bytes_max) as store:
        assert await store.keep(answer(body), body)
        assert await store.shelf("", URL) == (answer(body),)
        assert await read(await store.open(answer(body))) == body
        assert (store.objects, store.disk.rows.transactions) == (1, 0)
    async with running(tmp_path, memory_bytes_max=memory_bytes_max) as store:
        assert store.objects == 1
        assert await store.shelf("", URL) == (answer(body),)
        assert await read(await store.open(answer(body))) == body


async def test_a_thousand_freshened_answers_are_few_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fdatasync", synced.append)
    async with running(tmp_path, write_every_s=0.05) as store:
        for n in range(1_000):
            body = b"%d" % n
            await store.keep(answer(body, f"{URL}{n}"), body)
        before = store.disk.rows.transactions
        statements: list[str] = []
        index = store.disk.rows.index
        await store.run(
            lambda: index._cache._con.set_trace_callback(lambda said: statements.append(said.split(" ")[0]))
        )
        for n in range(1_000):
            await store.freshen(replace(answer(b"%d" % n, f"{URL}{n}"), times=Times(3.0, 4.0)))
        async with tended(store):
            await wait_until(lambda: not store.disk.rows.batch and bool(synced))
        assert 1 <= store.disk.rows.transactions - before <= 3
        assert statements.count("BEGIN") == statements.count("COMMIT") == store.disk.rows.transactions - before
        assert len(synced) == 1
    async with running(tmp_path) as store:
        assert store.objects == 1_000
        assert [each.times for each in await store.shelf("", f"{URL}7")] == [Times(3.0, 4.0)]


async def test_what_is_gathered_is_bounded_and_written_when_it_is_much(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        for n in range(100):
            body = b"%3d" % n * 10_000
            await store.keep(answer(body, f"{URL}{n}"), body)
            assert store.disk.rows.batch.size_bytes < BATCH_BYTES_MAX
        assert 2 <= store.disk.rows.transactions <= 5
        assert store.objects == 100


async def test_a_store_that_was_cut_off_has_what_was_written(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        await store.keep(answer(b"written"), b"written")
        await store.run(store.disk.rows.write)
        await store.keep(answer(b"x" * 40_000, f"{URL}lost"), b"x" * 40_000)
        store.disk.rows.batch.__init__()  # type: ignore[misc]  # what was in memory is gone
        store.disk.rows.index.close()
    async with running(tmp_path, memory_bytes_max=1_000) as store:
        assert (store.objects, await store.shelf("", f"{URL}lost")) == (1, ())
        assert await read(await store.open(answer(b"written"))) == b"written"
        assert not list(tmp_path.rglob("*.val")), "a body that no row names is swept away"


@pytest.mark.parametrize("written", [False, True])
async def test_a_purge_takes_variants_parts_and_renditions_from_memory_and_disk(written: bool, tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        large = b"l" * 100_000
        await store.keep(answer(b"es"), b"es")
        await store.keep(answer(large, language="qu"), large)
        await store.keep_rendition(answer(b"es"), "br", b"coded")
        store.hold_recoded(answer(b"es"), "gzip", b"coded too")
        await store.keep(answer(b"other", f"{URL}other"), b"other")
        if written:
            await store.run(store.disk.rows.write)
        removed = await store.purge("", URL)
        assert removed.answers == 2
        assert removed.size_bytes >= 100_002
        assert (store.objects, await store.shelf("", URL)) == (1, ())
        assert await store.rendition(answer(b"es"), "br") is None
        assert store.recoded(answer(b"es"), "gzip") is None
        for gone in (answer(b"es"), answer(large, language="qu")):
            assert await store.open(gone) is None
        assert await read(await store.open(answer(b"other", f"{URL}other"))) == b"other"
        assert not list(tmp_path.rglob("*.val"))
        assert await store.purge("", URL) == Removed(0, 0)
    async with running(tmp_path) as store:
        assert (store.objects, await store.shelf("", URL)) == (1, ())


async def test_what_was_being_fetched_is_not_put_back(tmp_path: Path) -> None:
    grouped = (("Cache-Groups", '"news"'),)
    async with running(tmp_path) as store:
        since = store.mark()
        await store.purge("a", URL)
        assert not await store.keep(answer(b"1", site="a"), b"1", since=since)
        assert await store.add_part(answer(b"12", site="a"), 0, b"1", since=since) is None
        assert await store.keep(answer(b"1", site="b"), b"1", since=since)
        await store.purge_site("b")
        assert not await store.keep(answer(b"1", site="b"), b"1", since=since)
        await store.purge_group("c", "news")
        assert not await store.keep(answer(b"1", site="c", fields=grouped), b"1", since=since)
        assert await store.keep(answer(b"1", site="c"), b"1", since=since)
        assert await store.keep(answer(b"1", site="a"), b"1", since=store.mark())
        assert store.objects == 2


async def test_a_spooled_body_that_is_not_kept_is_gone(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        path = store.spool.folder / "body"
        path.write_bytes(b"x" * 50_000)
        since = store.mark()
        await store.purge("", URL)
        assert not await store.keep(answer(b"x" * 50_000), Spooled(path, 50_000), since=since)
        await wait_until(lambda: not path.exists())


async def test_a_304_brings_back_nothing_that_went(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        await store.keep(answer(b"old"), b"old")
        await store.purge("", URL)
        await store.freshen(answer(b"old"))
        assert await store.shelf("", URL) == ()
        await store.keep(answer(b"new"), b"new")
        await store.freshen(replace(answer(b"old"), times=Times(9.0, 9.0)))
        assert await store.shelf("", URL) == (answer(b"new"),)


async def test_what_came_in_while_it_was_called_in_question_is_validated(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        await store.keep(answer(b"old"), b"old")
        since = store.mark()
        await store.invalidate("", URL)
        assert [each.invalid for each in await store.shelf("", URL)] == [True]
        await store.keep(answer(b"new"), b"new", since=since)
        assert [each.invalid for each in await store.shelf("", URL)] == [True]
        await store.keep(answer(b"new"), b"new", since=store.mark())
        assert [each.invalid for each in await store.shelf("", URL)] == [False]


async def test_a_group_is_of_one_site_and_one_origin(tmp_path: Path) -> None:
    grouped = (("Cache-Groups", '"news", "all"'),)
    other = "http://b.test/"
    async with running(tmp_path) as store:
        for site, url in (("a", URL), ("a", other), ("b", URL)):
            await store.keep(answer(b"x", url, site=site, fields=grouped), b"x")
        await store.keep(answer(b"x", f"{URL}alone", site="a"), b"x")
        await store.invalidate_group("a", "http://a.test", "news")

        async def invalid(site: str, url: str) -> bool:
            return (await store.shelf(site, url))[0].invalid

        found = [await invalid(*at) for at in (("a", URL), ("a", other), ("b", URL), ("a", f"{URL}alone"))]
        assert found == [True, False, False, False]
        assert (await store.purge_group("a", "all")).answers == 2
        assert store.objects == 2
        assert await store.purge_group("a", "all") == Removed(0, 0)


async def test_a_site_is_purged_whatever_its_size_and_others_stay(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        for n in range(100):
            await store.keep(answer(b"x", f"{URL}{n}", site="a"), b"x")
        await store.keep(answer(b"x", site="b"), b"x")
        assert {site: kept.answers for site, kept in (await store.by_site()).items()} == {"a": 100, "b": 1}
        assert (await store.purge_site("a")).answers == 100
        assert await store.shelf("a", f"{URL}7") == ()
        assert (store.objects, list(await store.by_site())) == (1, ["b"])


async def test_what_is_of_no_site_any_more_goes_in_idle_time(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        for site in ("a", "gone", ""):
            await store.keep(answer(b"x", site=site), b"x")
        async with tended(store, {"a", ""}):
            await wait_until(lambda: store.objects == 2)
        assert sorted(await store.by_site()) == ["", "a"]


async def test_changes_are_told_once_they_hold(tmp_path: Path) -> None:
    told: list[tuple[str, ...]] = []
    async with running(tmp_path, memory_bytes_max=1_000) as store:
        store.on_change = lambda site, url: told.append((site, url))
        store.on_clear = lambda site: told.append((site,))
        await store.keep(answer(b"x" * 50_000), b"x" * 50_000)
        assert told.pop() == ("", URL)
        await store.shelf("", URL)
        assert not told, "reading changes nothing"
        for change in (
            store.freshen(answer(b"x" * 50_000)),
            store.invalidate("", URL),
            store.add_part(answer(b"xy", fields=(("ETag", '"1"'),)), 0, b"x"),
            store.purge("", URL),
        ):
            await change
            assert told.pop() == ("", URL)
        await store.keep(answer(b"x" * 50_000), b"x" * 50_000)
        next(tmp_path.rglob("*.val")).unlink()
        told.clear()
        assert await store.open(answer(b"x" * 50_000)) is None
        assert told == [("", URL)]
        await store.purge_site("")
        assert told[-1] == ("",)


async def test_a_rendition_is_kept_as_long_as_its_answer(tmp_path: Path) -> None:
    large = b"r" * 60_000
    async with running(tmp_path) as store:
        await store.keep_rendition(answer(b"1"), "br", b"of nothing")
        assert await store.rendition(answer(b"1"), "br") is None
        await store.keep(answer(b"1"), b"1")
        await store.keep_rendition(answer(b"1"), "br", b"coded")
        await store.keep_rendition(answer(b"1"), "webp 720", large)
    async with running(tmp_path) as store:
        assert await store.rendition(answer(b"1"), "br") == b"coded"
        assert await store.rendition(answer(b"1"), "webp 720") == large
        assert (await store.by_site())[""].size_bytes > 60_000
        assert store.objects == 1
        await store.keep(answer(b"2"), b"2")
        store.front.drop(("", URL))
        assert await store.rendition(answer(b"1"), "br") is None
    assert not list(tmp_path.rglob("*.val"))


async def test_a_rendition_with_a_flipped_bit_is_none(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        await store.keep(answer(b"1"), b"1")
        await store.keep_rendition(answer(b"1"), "webp", b"r" * 60_000)
    (file,) = tmp_path.rglob("*.val")
    file.write_bytes(file.read_bytes()[:-1] + b"s")
    async with running(tmp_path) as store:
        assert await store.rendition(answer(b"1"), "webp") is None


async def test_what_is_pinned_outlasts_a_restart_and_a_broken_index(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        assert not await store.pin("a", URL, on=True), "there is nothing to pin"
        await store.keep(answer(b"x", site="a"), b"x")
        assert await store.pin("a", URL, on=True)
        assert (await store.by_site())["a"] == Kept(1, (await store.by_site())["a"].size_bytes, 1)
    (tmp_path / "web" / "index" / "cache.db").write_bytes(b"broken" * 1_000)
    async with running(tmp_path) as store:
        assert await store.pinned() == (("a", URL),)
        assert await store.pin("a", URL, on=False)
        assert await store.pinned() == ()


async def test_a_file_of_pins_that_is_none_is_no_pins(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        await store.keep(answer(b"x"), b"x")
        await store.pin("", URL, on=True)
    pins = tmp_path / "web" / "pins.json"
    for content in (b"", b"[]", b"\xff" * 40, pins.read_bytes()[:-1]):
        pins.write_bytes(content)
        async with running(tmp_path) as store:
            assert await store.pinned() == ()


async def test_uses_in_memory_count_on_disk_without_a_writing_each(tmp_path: Path) -> None:
    clock = HandClock()
    body = b"x" * 20_000

    async with running(tmp_path, clock=clock, size_bytes_max=1_000_000) as store:
        await store.keep(answer(body, f"{URL}loved"), body)
        for n in range(200):
            clock.pass_s(700.0)
            await store.keep(answer(body, f"{URL}{n}"), body)
            before = store.disk.rows.transactions
            for _ in range(5):
                await store.shelf("", f"{URL}loved")
            assert store.disk.rows.transactions == before
            await store.write_uses()
        store.front.drop(("", f"{URL}loved"))
        assert await store.shelf("", f"{URL}loved")
        assert not await store.shelf("", f"{URL}1")


async def test_what_is_used_outside_the_store_counts_too(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        store.use("a", URL)
        assert store.front.used == {url_key("a", URL)}
        await store.write_uses()
        assert not store.front.used


async def test_tending_writes_and_syncs_only_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fdatasync", synced.append)
    monkeypatch.setattr(store_tending, "USES_EVERY_S", 0.01)
    async with running(tmp_path, write_every_s=0.01) as store, tended(store):
        await asyncio.sleep(0.05)
        assert (store.disk.rows.transactions, synced) == (0, [])
        await store.keep(answer(b"x"), b"x")
        await wait_until(lambda: len(synced) == 1)
        assert store.disk.rows.transactions == 1


async def test_the_bodies_of_a_shelf_that_broke_go_when_the_url_is_stored_again(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        await store.keep(answer(b"x" * 50_000), b"x" * 50_000)
    with closing(sqlite3.connect(tmp_path / "web" / "index" / "cache.db")) as rows:
        rows.execute("UPDATE Cache SET value = x'00' WHERE key LIKE 'shelf %'")
        rows.commit()
    async with running(tmp_path) as store:
        assert await store.shelf("", URL) == ()
        await store.keep(answer(b"new"), b"new")
        await store.run(store.disk.rows.write)
        assert store.objects == 1
        assert not list(tmp_path.rglob("*.val"))
        assert await read(await store.open(answer(b"new"))) == b"new"
