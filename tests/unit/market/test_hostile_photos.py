"""Neither one merchant's photos nor a marketplace that lies about them take the others' places or the box's memory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from gateway.errors import NoCapacity
from gateway.market.photos.intake import _pieces
from gateway.market.photos.photos import Photos
from gateway.market.photos.refusals import Stalled
from gateway.market.photos.sender import PUTS_MAX
from gateway.market.photos.shrinking import Shrinker
from gateway.market.photos.stretch import Stretch
from tests.clocks import HandClock
from tests.unit.market.photo_world import LIMITS, MemoryOrders, MemoryPhotos, a_jpeg, named, some_photos
from tests.waiting import wait_until


async def hanging(gate: asyncio.Event) -> AsyncIterator[bytes]:
    await gate.wait()
    yield b""


async def whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_a_merchant_with_many_slow_uploads_leaves_room_for_the_others(tmp_path: Path, clock: HandClock) -> None:
    limits = replace(LIMITS, uploads_max=8, merchant_uploads_max=3)
    photos = some_photos(tmp_path / "p", clock, limits=limits)
    await photos.start()
    gate, fourth, ours = asyncio.Event(), a_jpeg(500, 99), a_jpeg(500, 50)
    async with asyncio.TaskGroup() as tasks:
        for seed in range(3):
            content = a_jpeg(500, seed)
            slow = photos.receive("eve", named(content), Stretch(0, 500, 500), hanging(gate))
            tasks.create_task(slow)
        await wait_until(lambda: photos._arriving_of["eve"] == 3)
        with pytest.raises(NoCapacity):
            await photos.receive("eve", named(fourth), Stretch(0, 500, 500), whole(fourth))
        assert (await photos.receive("ana", named(ours), Stretch(0, 500, 500), whole(ours)))[1]
        gate.set()
    assert not photos._arriving_of
    assert (await photos.receive("eve", named(fourth), Stretch(0, 500, 500), whole(fourth)))[1]
    await photos.stop()


class Slow(Shrinker):
    """Makes nothing before it may, and counts what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.given = 0
        self.gate = asyncio.Event()

    async def smaller(self, content: bytes) -> bytes | None:
        self.given += 1
        await self.gate.wait()
        return None


async def test_photos_that_wait_to_be_made_smaller_are_few_and_not_in_memory(
    tmp_path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = replace(LIMITS, shrinks_max=3, merchant_shrinks_max=2)
    photos, slow = some_photos(tmp_path / "p", clock, limits=limits), Slow()
    monkeypatch.setattr(photos, "_shrinker", slow)
    await photos.start()
    for merchant in ("eve", "ana", "luis"):
        await photos.take(merchant, a_jpeg(500), shrink=False)
    sha256 = named(a_jpeg(500))
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(photos.shrink("eve", sha256)) for _ in range(5)]
        await wait_until(lambda: sum(each.done() for each in waiting) == 3)  # these stay as they are
        assert photos._shrinking["eve"] == 2
        more = tasks.create_task(photos.shrink("ana", sha256))
        await wait_until(lambda: photos._shrinking.total() == 3)
        assert await photos.shrink("luis", sha256) is None, "the places of all are taken"
        assert slow.given == 1, "only the one that is at work was read from the disk"
        slow.gate.set()
    assert more.result() is None
    assert not photos._shrinking
    await photos.stop()


class Drops:
    """A body of which a byte comes now and then, for ever."""

    content_type = "image/jpeg"

    async def readany(self) -> bytes:
        await asyncio.sleep(0.005)
        return b"x"


async def test_a_body_that_comes_drop_by_drop_is_given_up_and_kept() -> None:
    request = cast("web.Request", SimpleNamespace(content=Drops()))
    got: list[bytes] = []

    async def take_all() -> None:
        async for piece in _pieces(request, silence_s=5.0, whole_s=0.03):
            got.append(piece)  # noqa: PERF401 - what came before the end counts

    with pytest.raises(Stalled):
        await take_all()
    assert got
    assert set(b"".join(got)) == set(b"x")


class ByteByByte(MemoryPhotos):
    """Has a photo sent whole, and says each time that one byte more of it came."""

    async def put_photo(self, sha256: str, content: AsyncIterator[bytes], offset: int, size_bytes: int) -> int:
        self.puts.append((sha256, offset))
        async for _ in content:
            pass
        return offset + 1


async def test_a_far_side_that_takes_one_byte_at_a_time_is_given_up(tmp_path: Path, clock: HandClock) -> None:
    content = a_jpeg(1_000)
    orders, far = MemoryOrders(), ByteByByte()
    orders.name("ana", named(content))
    photos: Photos = some_photos(tmp_path / "p", clock, orders=orders, marketplace=far)
    await photos.start()
    await photos.take("ana", content, shrink=False)
    async with asyncio.TaskGroup() as tasks:
        running: asyncio.Task[Any] = tasks.create_task(photos.run())
        async with asyncio.timeout(10):
            while not photos.statistics().aside:
                clock.pass_s(1)
                await asyncio.sleep(0.005)
        running.cancel()
    assert len(far.puts) == LIMITS.refusals_max * PUTS_MAX
    await photos.stop()
