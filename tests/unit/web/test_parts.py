"""Stretches of a content lie side by side, whatever order and overlap they come in."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.fetching.body import Source
from gateway.web.rules.freshness import Times
from gateway.web.rules.stored import BodyRef, Part, StoredResponse
from gateway.web.store.disk import Spooled
from gateway.web.store.parts import PARTS_MAX, end_of, place_for, same_content, with_part, without_part
from gateway.web.store.store import Store

URL = "http://a.test/video"
CONTENT = bytes(n % 251 for n in range(1_000))
STRETCHES = st.lists(st.tuples(st.integers(0, 999), st.integers(1, 400)), max_size=12)


def stored(*, etag: str = '"1"', size_bytes: int = 1_000, url: str = URL, at_s: float = 2.0) -> StoredResponse:
    return StoredResponse("", url, 200, (("ETag", etag),), (), Times(at_s, at_s), size_bytes, ())


def part(at: int, size_bytes: int) -> Part:
    return Part(at, BodyRef(f"{at} {size_bytes}", size_bytes, ""))


@pytest.mark.parametrize(
    ("parts", "at", "size_bytes", "place"),
    [
        ((), 0, 1_000, (0, 1_000)),
        ((), 900, 101, None),  # beyond the end
        ((), -1, 10, None),
        ((part(0, 100),), 100, 50, (100, 150)),  # beside
        ((part(0, 100),), 50, 100, (100, 150)),  # its head is there
        ((part(100, 100),), 50, 100, (50, 100)),  # its tail is there
        ((part(0, 100), part(150, 100)), 50, 150, (100, 150)),  # both are
        ((part(0, 100),), 20, 50, None),  # all of it is
        ((part(0, 100),), 0, 100, (0, 100)),  # the same once more takes the place of the old
        ((part(20, 10), part(40, 10)), 0, 100, (0, 100)),  # what lies within goes
        (tuple(part(n, 1) for n in range(0, 2 * PARTS_MAX, 2)), 5_001, 1, None),  # parts enough
    ],
)
def test_a_stretch_has_the_place_that_is_free(
    parts: tuple[Part, ...], at: int, size_bytes: int, place: tuple[int, int] | None
) -> None:
    whole = 1_000 if len(parts) < PARTS_MAX else 10_000
    assert place_for(replace(stored(size_bytes=whole), parts=parts), at, size_bytes) == place


@given(STRETCHES)
def test_parts_are_in_order_and_none_lies_over_another(stretches: list[tuple[int, int]]) -> None:
    now, there = stored(), set[int]()
    for at, size_bytes in stretches:
        if (place := place_for(now, at, size_bytes)) is not None:
            now = with_part(now, place[0], BodyRef("k", place[1] - place[0], ""))
        if at + size_bytes <= 1_000:
            there |= set(range(at, at + size_bytes))
    assert all(end_of(one) <= other.at for one, other in zip(now.parts, now.parts[1:], strict=False))
    assert there == {n for each in now.parts for n in range(each.at, end_of(each))}


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ((("ETag", '"1"'),), True),
        ((("ETag", '"2"'),), False),
        ((("ETag", 'W/"1"'),), False),
        ((), False),
        ((("Last-Modified", "Tue, 03 Nov 2026 10:00:00 GMT"),), False),
    ],
)
def test_only_a_strong_validator_joins_two_answers(fields: tuple[tuple[str, str], ...], same: bool) -> None:
    assert same_content(stored(), replace(stored(), fields=fields)) == same


def test_a_weak_tag_joins_nothing_and_a_date_joins_where_there_is_no_tag() -> None:
    weak = stored(etag='W/"1"')
    dated = replace(stored(), fields=(("Last-Modified", "Tue, 03 Nov 2026 10:00:00 GMT"),))
    assert not same_content(weak, weak)
    assert same_content(dated, dated)
    assert not same_content(dated, replace(dated, size_bytes=999))


def test_a_part_taken_away_leaves_the_others() -> None:
    now = replace(stored(), parts=(part(0, 10), part(20, 10)))
    assert without_part(now, part(0, 10)).parts == (part(20, 10),)


async def opened(folder: Path, memory_bytes_max: int = 1_000_000) -> Store:
    store = Store(folder, size_bytes_max=10_000_000, memory_bytes_max=memory_bytes_max)
    await store.start()
    return store


async def read(source: Source | None) -> bytes:
    assert source is not None
    try:
        return b"".join([piece async for piece in source.pieces()])
    finally:
        source.close()


async def bytes_of(store: Store, now: StoredResponse) -> dict[int, bytes]:
    return {each.at: await read(await store.open_part(now, each)) for each in now.parts}


@pytest.mark.parametrize("spooled", [False, True])
@pytest.mark.parametrize("times", [1, 200])
async def test_parts_are_read_as_they_were_written(spooled: bool, times: int, tmp_path: Path) -> None:
    content = CONTENT * times
    store = await opened(tmp_path / "web")

    async def add(start: int, end: int) -> StoredResponse:
        data: bytes | Spooled = content[start * times : end * times]
        if spooled:
            path = tmp_path / "web" / "spool" / f"{start}"
            path.write_bytes(content[start * times : end * times])
            data = Spooled(path, (end - start) * times)
        now = await store.add_part(stored(size_bytes=len(content)), start * times, data)
        assert now is not None
        return now

    await add(600, 800)
    await add(0, 100)
    await add(50, 300)
    now = await add(500, 700)
    wanted = {
        start * times: content[start * times : end * times]
        for start, end in [(0, 100), (100, 300), (500, 600), (600, 800)]
    }
    assert await bytes_of(store, now) == wanted
    assert not list((tmp_path / "web" / "spool").iterdir())
    await store.stop()
    store = await opened(tmp_path / "web")
    (now,) = await store.shelf("", URL)
    assert await bytes_of(store, now) == wanted
    await store.stop()


async def test_another_validator_begins_anew(tmp_path: Path) -> None:
    store = await opened(tmp_path / "web")
    await store.add_part(stored(), 0, CONTENT[:100])
    now = await store.add_part(stored(etag='"2"'), 100, CONTENT[100:200])
    assert now is not None
    assert [each.at for each in now.parts] == [100]
    assert await store.shelf("", URL) == (now,)
    await store.stop()


async def test_the_object_keeps_the_times_its_origin_gave_last(tmp_path: Path) -> None:
    store = await opened(tmp_path / "web")
    await store.add_part(stored(at_s=5.0), 0, CONTENT[:100])
    now = await store.add_part(stored(at_s=3.0), 100, CONTENT[100:200])
    assert now is not None
    assert now.times == Times(5.0, 5.0)
    await store.stop()


async def test_a_damaged_part_alone_is_forgotten(tmp_path: Path) -> None:
    store = await opened(tmp_path / "web", memory_bytes_max=1_000)
    content = b"a" * 50_000 + b"b" * 50_000
    await store.add_part(stored(size_bytes=len(content)), 0, content[:50_000])
    now = await store.add_part(stored(size_bytes=len(content)), 50_000, content[50_000:])
    assert now is not None
    damaged = next(file for file in tmp_path.rglob("*.val") if file.read_bytes() == content[:50_000])
    damaged.write_bytes(b"x" * 50_000)
    assert await store.open_part(now, now.parts[0]) is None
    (left,) = await store.shelf("", URL)
    assert left.parts == (now.parts[1],)
    assert await read(await store.open_part(left, left.parts[0])) == content[50_000:]
    await store.stop()
