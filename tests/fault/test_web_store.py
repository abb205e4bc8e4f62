"""The store after a torn write, a flipped bit, a planted row, a broken index and a full disk: a miss at worst."""

import errno
import os
import pickle
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from diskcache import Cache

from gateway.errors import CannotStart
from gateway.web.rules.freshness import Times
from gateway.web.rules.stored import BodyRef, Part, StoredResponse, read_shelf, url_key, write_shelf
from gateway.web.store.disk import DiskTier, NotPlain, PlainDisk, Spooled, digest
from gateway.web.store.store import Store, body_key
from tests.conformance.web_world import Origin, reply, world

FRESH = [("Cache-Control", "max-age=3600")]
URL = "http://a.test/"


def answer(body: bytes, url: str = URL) -> StoredResponse:
    found = digest(body)
    ref = BodyRef(body_key("", url, found), len(body), found)
    return StoredResponse(
        "", url, 200, (("X", "ñ"),), (("accept-language", "es"),), Times(1.0, 2.0), len(body), (Part(0, ref),)
    )


class Ran:
    """Unpickling this is an attack that worked."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return eval, (f"__import__('pathlib').Path({str(self.path)!r}).touch()",)

    def __init__(self, path: Path) -> None:
        self.path = path


def test_pickle_is_refused_both_ways(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    with closing(Cache(str(tmp_path / "index"), disk=PlainDisk)) as cache:
        for value in (object(), {"a": 1}, (1,), None, True, 2**70):
            with pytest.raises(NotPlain):
                cache.set("a", value)
            with pytest.raises(NotPlain):
                cache.set(value, b"a")
        cache.set("a", b"value")
        with closing(sqlite3.connect(tmp_path / "index" / "cache.db")) as rows:
            rows.execute("UPDATE Cache SET mode = 4, value = ?", (pickle.dumps(Ran(planted)),))
            rows.commit()
        with pytest.raises(NotPlain):
            cache.get("a")
        with closing(sqlite3.connect(tmp_path / "index" / "cache.db")) as rows:
            rows.execute("UPDATE Cache SET key = ?, raw = 0", (pickle.dumps(Ran(planted)),))
            rows.commit()
        with pytest.raises(NotPlain):
            list(cache)
    assert not planted.exists()


def test_a_planted_row_opens_no_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    tier = DiskTier(tmp_path / "web", 10_000_000)
    tier.open()
    tier.keep("k", answer(b"x" * 50_000), b"x" * 50_000)
    with closing(sqlite3.connect(tmp_path / "web" / "index" / "cache.db")) as rows:
        rows.execute("UPDATE Cache SET filename = '../../secret' WHERE filename IS NOT NULL")
        rows.commit()
    assert tier.body(answer(b"x" * 50_000).body) is None
    tier.drop("k")
    tier.close()
    assert (tmp_path / "secret").exists()


@pytest.mark.parametrize("position", range(0, 200, 7))
def test_a_row_with_a_flipped_bit_is_missing(position: int) -> None:
    row = bytearray(write_shelf((answer(b"body"),)))
    assert read_shelf(bytes(row)) == (answer(b"body"),)
    row[position] ^= 1
    assert read_shelf(bytes(row)) is None


@pytest.mark.parametrize("row", [None, b"", b"x" * 40, "text", 5, b"{}"])
def test_what_is_no_row_is_missing(row: object) -> None:
    assert read_shelf(row) is None


@pytest.mark.parametrize("size_bytes", [100, 50_000, 900_000])
@pytest.mark.parametrize("spoil", ["flip", "truncate", "remove"])
async def test_a_damaged_body_is_a_miss_and_is_fetched_again(size_bytes: int, spoil: str, tmp_path: Path) -> None:
    origin = Origin()
    await origin.start()
    page = bytes(n % 251 for n in range(size_bytes))
    origin.on("/a", reply(page, FRESH))
    async with world(tmp_path / "web", origin=origin) as w:
        await w.ask("/a")
        await w.stored()
    damage(tmp_path / "web" / "index", spoil)
    async with world(tmp_path / "web", origin=origin, clock=w.clock, memory_bytes_max=1_000) as w:
        for _ in range(2):
            assert (await w.ask("/a")).body == page
            await w.stored()
    assert len(origin.seen) == 2
    await origin.stop()


def damage(index: Path, spoil: str) -> None:
    files = list(index.glob("*/*/*.val"))
    with closing(sqlite3.connect(index / "cache.db")) as rows:
        if spoil == "remove" and not files:
            rows.execute("DELETE FROM Cache WHERE key LIKE 'body %'")
        elif not files:
            ((value,),) = rows.execute("SELECT value FROM Cache WHERE key LIKE 'body %'").fetchall()
            rows.execute("UPDATE Cache SET value = ? WHERE key LIKE 'body %'", (spoiled(value, spoil),))
        rows.commit()
    for file in files:
        if spoil == "remove":
            file.unlink()
        else:
            file.write_bytes(spoiled(file.read_bytes(), spoil))


def spoiled(data: bytes, spoil: str) -> bytes:
    middle = len(data) // 2
    return data[:middle] if spoil == "truncate" else data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("when", ["at start", "while running"])
async def test_a_broken_index_is_set_aside_and_a_new_one_begun(when: str, tmp_path: Path) -> None:
    origin = Origin()
    await origin.start()
    origin.on("/a", reply(b"x" * 50_000, FRESH))
    folder = tmp_path / "web"
    async with world(folder, origin=origin) as w:
        await w.ask("/a")
        await w.stored()
    if when == "at start":
        for each in (folder / "index").glob("cache.db*"):
            each.write_bytes(b"this is no database" * 1_000)
    async with world(folder, origin=origin, clock=w.clock, memory_bytes_max=1_000) as w:
        if when == "while running":
            for each in (folder / "index").glob("cache.db*"):
                each.write_bytes(b"this is no database" * 1_000)
        for _ in range(2):
            assert (await w.ask("/a")).body == b"x" * 50_000
            await w.quiet()
        assert (await w.ask("/a")).status == 200
    await origin.stop()
    assert (folder / "index.broken").is_dir()
    assert not list((folder / "index.broken").glob("*/*/*.val")), "bodies nobody can find take no space"


async def test_a_body_half_written_at_a_power_cut_is_gone_after_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "web", size_bytes_max=10_000_000, memory_bytes_max=1_000_000)
    await store.start()
    await store.stop()
    (tmp_path / "web" / "spool" / "tmp123").write_bytes(b"half")
    store = Store(tmp_path / "web", size_bytes_max=10_000_000, memory_bytes_max=1_000_000)
    await store.start()
    assert not list((tmp_path / "web" / "spool").iterdir())
    assert await store.shelf("", URL) == ()
    await store.stop()


async def test_a_full_disk_costs_only_the_storing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")

    page = bytes(range(256)) * 4_000
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", reply(page, FRESH))
        monkeypatch.setattr(os, "pwrite", full)
        assert (await w.ask("/a")).body == page
        await w.quiet()
        assert not w.room.statistics().stored_objects
        monkeypatch.undo()
        assert (await w.ask("/a")).body == page
        await w.stored()


def test_the_size_limit_is_kept(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path / "web", 2_000_000)
    tier.open()
    for n in range(100):
        body = bytes([n]) * 100_000
        tier.keep(url_key("", f"{URL}{n}"), answer(body, f"{URL}{n}"), body)
    rows, size_bytes = tier.count()
    files_bytes = sum(each.stat().st_size for each in (tmp_path / "web").rglob("*.val"))
    tier.close()
    assert rows > 10
    assert files_bytes <= size_bytes <= 2_200_000


def test_what_is_confirmed_again_and_again_outlives_what_is_not(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path / "web", 1_500_000)
    tier.open()
    loved = b"l" * 100_000
    tier.keep(url_key("", URL), answer(loved), loved)
    for n in range(60):
        body = bytes([n]) * 100_000
        tier.keep(url_key("", f"{URL}{n}"), answer(body, f"{URL}{n}"), body)
        tier.freshen(url_key("", URL), replace(answer(loved), times=Times(n, n)))
    found = tier.body(answer(loved).body)
    tier.close()
    assert found is not None
    assert not isinstance(found, bytes)
    found.close()


def test_a_spooled_body_is_adopted_not_copied(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path / "web", 10_000_000)
    tier.open()
    spooled = tmp_path / "web" / "spooled"
    spooled.write_bytes(b"x" * 50_000)
    inode = spooled.stat().st_ino
    tier.keep("k", answer(b"x" * 50_000), Spooled(spooled, 50_000))
    (file,) = (tmp_path / "web").rglob("*.val")
    tier.close()
    assert (file.stat().st_ino, spooled.exists()) == (inode, False)


async def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "web").write_text("a file where a folder is to be")
    store = Store(tmp_path / "web", size_bytes_max=10_000_000, memory_bytes_max=1_000_000)
    with pytest.raises(CannotStart, match="folder of stored pages"):
        await store.start()


def test_a_disk_that_fails_is_told_until_it_works_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def _sql(self, *_: object) -> None:
            raise OSError(errno.EIO, "input/output error")

    tier = DiskTier(tmp_path / "web", 2_000_000)
    tier.open()
    with monkeypatch.context() as patched:
        patched.setattr(tier.rows.index, "_opened", Gone())
        assert [tier.count(), tier.count()] == [(0, 0), (0, 0)]
        assert tier.failures_in_a_row == 2
    tier.count()
    assert tier.failures_in_a_row == 0
    tier.close()
