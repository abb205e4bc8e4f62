"""Photos follow their orders to the marketplace, over a link that cuts and to a far side that refuses and lies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.state import CarrierChanged
from gateway.market.photos.keeping import Standing
from gateway.market.photos.photos import Photos
from gateway.market.states import State
from tests.clocks import HandClock
from tests.unit.market.photo_world import LIMITS, MemoryOrders, MemoryPhotos, a_jpeg, named, some_photos
from tests.waiting import wait_until


@asynccontextmanager
async def running(photos: Photos) -> AsyncIterator[Photos]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(photos.run())
        yield photos
        task.cancel()
    await photos.stop()


async def holding(photos: Photos, *contents: bytes, merchant: str = "ana") -> Photos:
    await photos.start()
    for content in contents:
        await photos.take(merchant, content, shrink=False)
    return photos


async def ticking(clock: HandClock, holds: object) -> None:
    """Let pauses pass until it holds."""
    assert callable(holds)
    async with asyncio.timeout(10):
        while not holds():
            clock.pass_s(1)
            await asyncio.sleep(0.005)


async def test_a_photo_waits_for_its_order_and_then_goes_and_is_kept(tmp_path: Path, clock: HandClock) -> None:
    orders, far, content = MemoryOrders(), MemoryPhotos(), a_jpeg(150_000)
    orders.name("ana", named(content), State.QUEUED)
    photos = await holding(some_photos(tmp_path / "p", clock, orders=orders, marketplace=far), content)
    async with running(photos):
        await wait_until(lambda: orders.asked >= 3)
        assert not far.puts, "its order has not arrived"
        assert (photos.statistics().waiting, photos.statistics().waiting_bytes) == (1, 150_000)
        orders.name("ana", named(content), State.ACCEPTED)
        photos.wake()
        await wait_until(lambda: photos.statistics().sent == 1)
        assert far.there == {named(content): content}
        assert (photos.statistics().waiting, photos.statistics().kept) == (0, 1)
        _, _, pieces = await photos.show("ana", named(content))
        assert b"".join([piece async for piece in pieces]) == content


async def test_a_cut_goes_on_from_what_the_far_side_has_and_small_ones_go_first(
    tmp_path: Path, clock: HandClock
) -> None:
    contents = [a_jpeg(400_000, 1), a_jpeg(1_000, 2), a_jpeg(90_000, 3)]
    orders, far = MemoryOrders(), MemoryPhotos(cut_after=[600, 10_000, 100_000, 7, 65_536])
    for content in contents:
        orders.name("ana", named(content))
    photos = await holding(some_photos(tmp_path / "p", clock, orders=orders, marketplace=far), *contents)
    async with running(photos):
        await ticking(clock, lambda: photos.statistics().sent == 3)
    assert far.there == {named(content): content for content in contents}
    assert len(far.puts) == 8
    assert far.puts[0] == (named(contents[1]), 0), "the smallest first"
    assert sum(1 for _, offset in far.puts if offset) == 5, "no byte is sent twice"


async def test_a_refused_photo_goes_aside_and_holds_up_none(tmp_path: Path, clock: HandClock) -> None:
    contents = [a_jpeg(1_000 + each, each) for each in range(4)]
    orders, far = MemoryOrders(), MemoryPhotos(refuse={named(contents[0])})
    for content in contents:
        orders.name("ana", named(content))
    photos = await holding(some_photos(tmp_path / "p", clock, orders=orders, marketplace=far), *contents)
    async with running(photos):
        await wait_until(lambda: photos.statistics().sent == 3)  # the clock stands: it was not asked a second time
        assert photos.statistics().aside == 0
        await ticking(clock, lambda: photos.statistics().aside == 1)
        far.refuse.clear()
        assert await photos.requeue() == 1
        await ticking(clock, lambda: photos.statistics().sent == 4)
    assert photos.statistics().aside == 0


async def test_a_far_side_that_lies_about_offsets_is_a_refusal(tmp_path: Path, clock: HandClock) -> None:
    contents = [a_jpeg(1_000, 1), a_jpeg(1_001, 2), a_jpeg(1_002, 3)]
    orders = MemoryOrders()
    far = MemoryPhotos(offsets={named(contents[0]): -1, named(contents[1]): 9_999})
    for content in contents:
        orders.name("ana", named(content))
    photos = await holding(some_photos(tmp_path / "p", clock, orders=orders, marketplace=far), *contents)
    async with running(photos):
        await ticking(clock, lambda: photos.statistics().aside == 2 and photos.statistics().sent == 1)
    assert far.there == {named(contents[2]): contents[2]}


class NoProgress(MemoryPhotos):
    """Takes all and says that nothing came."""

    async def put_photo(self, sha256: str, content: AsyncIterator[bytes], offset: int, size_bytes: int) -> int:
        self.puts.append((sha256, offset))
        async for _ in content:
            pass
        return 0


async def test_a_far_side_that_never_gets_further_is_given_up(tmp_path: Path, clock: HandClock) -> None:
    content = a_jpeg(1_000)
    orders, far = MemoryOrders(), NoProgress()
    orders.name("ana", named(content))
    photos = await holding(some_photos(tmp_path / "p", clock, orders=orders, marketplace=far), content)
    async with running(photos):
        await ticking(clock, lambda: photos.statistics().aside == 1)
    assert len(far.puts) == LIMITS.refusals_max


async def test_a_failing_far_side_is_asked_again_and_nothing_is_set_aside(tmp_path: Path, clock: HandClock) -> None:
    content = a_jpeg(1_000)
    orders, far = MemoryOrders(), MemoryPhotos(fail=12)
    orders.name("ana", named(content))
    photos = await holding(some_photos(tmp_path / "p", clock, orders=orders, marketplace=far), content)
    async with running(photos):
        await wait_until(lambda: photos.statistics().sent == 1)
    assert (photos.statistics().aside, photos.statistics().failures_in_a_row) == (0, 0)


async def test_nothing_is_tried_while_the_link_is_down(tmp_path: Path, clock: HandClock) -> None:
    carrier = [False]

    async def answers(peer: tuple[str, int]) -> bool:
        return carrier[0]

    backhaul = Backhaul(clock, capacity=None, carrier=lambda: carrier[0], probe=answers)
    backhaul.ways.watch.learn(CarrierChanged(False))
    content = a_jpeg(1_000)
    orders, far = MemoryOrders(), MemoryPhotos()
    orders.name("ana", named(content))
    patient = replace(LIMITS, look_s=3_600.0)
    photos = some_photos(tmp_path / "p", clock, orders=orders, marketplace=far, limits=patient, backhaul=backhaul)
    await holding(photos, content)
    async with running(photos):
        await asyncio.sleep(0.02)
        assert orders.asked == 0
        carrier[0] = True
        backhaul.ways.watch.learn(CarrierChanged(True))
        await wait_until(lambda: photos.statistics().sent == 1)


async def test_what_has_been_sent_is_known_after_a_restart_and_not_sent_again(tmp_path: Path, clock: HandClock) -> None:
    contents = [a_jpeg(1_000, 1), a_jpeg(2_000, 2)]
    orders, far = MemoryOrders(), MemoryPhotos()
    orders.name("ana", named(contents[0]))
    photos = await holding(some_photos(tmp_path / "p", clock, orders=orders, marketplace=far), *contents)
    async with running(photos):
        await wait_until(lambda: photos.statistics().sent == 1)
    orders.name("ana", named(contents[1]))
    photos = await holding(some_photos(tmp_path / "p", clock, orders=orders, marketplace=far))
    assert photos.statistics().kept == 1
    async with running(photos):
        await wait_until(lambda: photos.statistics().sent == 1)
    assert far.order == [named(content) for content in contents]


async def test_a_damaged_photo_is_not_sent(tmp_path: Path, clock: HandClock) -> None:
    content = a_jpeg(1_000)
    orders, far = MemoryOrders(), MemoryPhotos()
    orders.name("ana", named(content))
    photos = await holding(some_photos(tmp_path / "p", clock, orders=orders, marketplace=far), content)
    [path] = (tmp_path / "p").glob("*.whole")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    async with running(photos):
        await wait_until(lambda: photos.statistics().damaged == 1)
        await photos.take("ana", content, shrink=False)
        await wait_until(lambda: photos.statistics().sent == 1)
    assert far.there == {named(content): content}


async def test_the_same_photo_of_two_merchants_is_each_ones_own(tmp_path: Path, clock: HandClock) -> None:
    content = a_jpeg(1_000)
    orders, far = MemoryOrders(), MemoryPhotos()
    orders.name("ana", named(content))
    photos = await holding(some_photos(tmp_path / "p", clock, orders=orders, marketplace=far), content)
    await photos.take("luis", content, shrink=False)
    async with running(photos):
        await wait_until(lambda: photos.statistics().sent == 1)
    found = [each.standing for each in photos._store.photos if each.merchant == "luis"]
    assert found == [Standing.WHOLE]


async def test_without_a_marketplace_for_photos_nothing_is_sent_and_they_are_still_shown(
    tmp_path: Path, clock: HandClock
) -> None:
    content = a_jpeg(1_000)
    photos = await holding(some_photos(tmp_path / "p", clock), content)
    async with running(photos):
        await asyncio.sleep(0.02)
        assert await photos.show("ana", named(content))
        assert photos.statistics().waiting == 1
