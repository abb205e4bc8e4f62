"""What is on disk of photos: sealed, durable, and never shown when it is not what was sent."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import NoCapacity
from gateway.market.photos.keeping import Standing
from gateway.market.photos.refusals import NoPhoto, OtherContent
from gateway.market.photos.shelf import Shelf
from gateway.market.states import State
from tests.clocks import HandClock
from tests.unit.market.photo_world import KEY, LIMITS, MemoryOrders, MemoryPhotos, a_jpeg, mark_sent, named, some_photos

DAY_S = 86_400.0


@pytest.fixture
def opened(tmp_path: Path, clock: HandClock) -> Callable[[], Shelf]:
    def again(key: bytes = KEY) -> Shelf:
        shelf = Shelf(tmp_path / "photos", key, clock, LIMITS)
        shelf.open()
        return shelf

    return again


def put(shelf: Shelf, content: bytes, upto: int | None = None, merchant: str = "ana") -> str:
    photo = shelf.find(merchant, named(content)) or shelf.begin(merchant, named(content), len(content))
    shelf.write(photo.name, 0, content[:upto])
    return shelf.settle(photo.name).name


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "photos").iterdir())


def test_nothing_of_a_photo_or_its_owner_is_readable_on_the_disk(opened: Callable[[], Shelf], tmp_path: Path) -> None:
    content = a_jpeg(40_000)
    put(opened(), content, merchant="Lucía Quispe")
    [path] = files(tmp_path)
    raw = path.read_bytes()
    assert content[:16] not in raw
    assert content[20_000:20_016] not in raw
    assert "Quispe" not in raw.decode("latin-1")
    assert named(content) not in raw.decode("latin-1") + path.name
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_same_photo_of_two_merchants_is_two_files_with_nothing_in_common(
    opened: Callable[[], Shelf], tmp_path: Path
) -> None:
    shelf, content = opened(), a_jpeg(4_000)
    put(shelf, content, merchant="ana")
    put(shelf, content, merchant="luis")
    one, two = (path.read_bytes()[-1_000:] for path in files(tmp_path))
    assert one != two


def test_any_stretch_can_be_read(opened: Callable[[], Shelf]) -> None:
    shelf, content = opened(), a_jpeg(1_000)
    name = put(shelf, content)
    for at in (0, 1, 15, 16, 17, 500, 999, 1_000, 5_000):
        assert shelf.read(name, at, 33) == content[at : at + 33]


def test_all_is_known_again_after_a_restart(opened: Callable[[], Shelf], tmp_path: Path) -> None:
    shelf = opened()
    part, whole, sent = (a_jpeg(3_000, seed=seed) for seed in range(3))
    put(shelf, part, 1_234)
    put(shelf, whole)
    shelf.mark(put(shelf, sent), Standing.SENT)
    (tmp_path / "photos" / ("0" * 40 + ".new")).write_bytes(b"begun")
    before = {(each.sha256, each.standing, each.offset_bytes, each.stamp_wall_s) for each in shelf.all()}
    assert len(before) == 3
    again = opened()
    assert {(each.sha256, each.standing, each.offset_bytes, each.stamp_wall_s) for each in again.all()} == before
    assert put(again, part)
    found = again.find("ana", named(part))
    assert found is not None
    assert found.standing is Standing.WHOLE
    assert len(files(tmp_path)) == 3, "what was only begun is gone"


def test_a_part_with_all_its_bytes_is_whole_after_a_restart(opened: Callable[[], Shelf]) -> None:
    shelf, content = opened(), a_jpeg(3_000)
    photo = shelf.begin("ana", named(content), len(content))
    shelf.write(photo.name, 0, content)  # and then the power goes
    found = opened().find("ana", named(content))
    assert found is not None
    assert found.standing is Standing.WHOLE


def test_a_part_that_the_disk_spoiled_is_sent_again(opened: Callable[[], Shelf], tmp_path: Path) -> None:
    content = a_jpeg(3_000)
    put(opened(), content, 2_000)
    [path] = files(tmp_path)
    with path.open("r+b") as file:
        file.seek(-500, os.SEEK_END)
        file.write(bytes(100))
    shelf = opened()
    with pytest.raises(OtherContent):
        put(shelf, content)
    assert shelf.find("ana", named(content)) is None
    assert put(shelf, content)


async def test_a_flipped_bit_is_found_before_a_photo_is_shown(tmp_path: Path, clock: HandClock) -> None:
    content = a_jpeg(50_000)
    for at in (3, 20, 300, 25_000, -1):
        photos = some_photos(tmp_path / "photos", clock)
        await photos.start()
        await photos.take("ana", content, shrink=False)
        await photos.stop()
        [path] = [path for path in files(tmp_path) if path.suffix == ".whole"]
        raw = bytearray(path.read_bytes())
        raw[at] ^= 4
        path.write_bytes(raw)
        photos = some_photos(tmp_path / "photos", clock)
        await photos.start()
        with pytest.raises(NoPhoto):
            await photos.show("ana", named(content))
        assert await photos.find("ana", named(content)) is None, "it can be sent again"
        assert photos.statistics().damaged == 1
        await photos.take("ana", content, shrink=False)
        _, _, pieces = await photos.show("ana", named(content))
        assert b"".join([piece async for piece in pieces]) == content
        await photos.stop()
        for path in files(tmp_path):
            path.unlink()


def test_another_key_opens_nothing_and_destroys_nothing(tmp_path: Path, clock: HandClock) -> None:
    content = a_jpeg(3_000)
    mine = Shelf(tmp_path / "photos", KEY, clock, LIMITS)
    mine.open()
    put(mine, content)
    other = Shelf(tmp_path / "photos", bytes(32), clock, LIMITS)
    other.open()
    assert other.find("ana", named(content)) is None
    assert [each.standing for each in other.all()] == [Standing.DAMAGED]


def test_a_failed_sync_is_not_believed(
    opened: Callable[[], Shelf], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shelf, content = opened(), a_jpeg(3_000)
    name = put(shelf, content, 1_000)
    real, broken = os.fsync, [True]

    def fsync(descriptor: int) -> None:
        if broken[0]:
            raise OSError(5, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    shelf.write(name, 1_000, content[1_000:2_000])
    with pytest.raises(OSError):
        shelf.settle(name)
    broken[0] = False
    assert shelf.settle(name).offset_bytes == 1_000, "said is only what was on disk before"
    assert put(shelf, content)
    assert shelf.is_sound(name)


async def test_a_full_disk_is_a_polite_refusal(
    tmp_path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = some_photos(tmp_path / "photos", clock)
    await photos.start()

    def pwrite(descriptor: int, content: bytes, at: int) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", pwrite)
        with pytest.raises(NoCapacity):
            await photos.take("ana", a_jpeg(3_000), shrink=False)
    assert (await photos.take("ana", a_jpeg(3_000), shrink=False)).is_whole
    await photos.stop()
    scarce = some_photos(tmp_path / "photos", clock, limits=replace(LIMITS, free_bytes_min=1 << 60))
    await scarce.start()
    with pytest.raises(NoCapacity):
        await scarce.take("ana", a_jpeg(3_001), shrink=False)
    await scarce.stop()


async def test_what_nobody_needs_goes_and_what_an_order_needs_stays(tmp_path: Path, clock: HandClock) -> None:
    orders = MemoryOrders()
    photos = some_photos(tmp_path / "photos", clock, orders=orders, marketplace=MemoryPhotos())
    await photos.start()
    contents = {name: a_jpeg(1_000, seed) for seed, name in enumerate(("unnamed", "waits", "cancelled", "sent"))}
    for content in contents.values():
        await photos.take("ana", content, shrink=False)
    await photos._store.ask(lambda shelf: put(shelf, a_jpeg(1_000, 9), 10))
    await photos._store.ask(lambda shelf: mark_sent(shelf, named(contents["sent"])))
    orders.name("ana", named(contents["waits"]), State.QUEUED)
    orders.name("ana", named(contents["cancelled"]), State.CANCELLED)
    assert await photos.tidy() == 0
    clock.pass_s(4 * DAY_S)
    assert await photos.tidy() == 1, "the part"
    clock.pass_s(4 * DAY_S)
    assert await photos.tidy() == 1, "the sent one"
    clock.pass_s(400 * DAY_S)
    assert await photos.tidy() == 2
    assert await photos.find("ana", named(contents["waits"])) is not None
    await photos.stop()


async def test_a_clock_that_was_not_set_makes_nothing_old(tmp_path: Path, clock: HandClock) -> None:
    clock.wall = 1_000.0  # no battery: 1970
    photos = some_photos(tmp_path / "photos", clock)
    await photos.start()
    photo = await photos.take("ana", a_jpeg(), shrink=False)
    clock.wall = 1_800_000_000.0
    assert await photos.tidy() == 0
    clock.pass_s(29 * DAY_S)
    assert await photos.tidy() == 0, "its age began when the clock was set"
    clock.pass_s(2 * DAY_S)
    assert await photos.tidy() == 1
    assert await photos.find("ana", photo.sha256) is None
    await photos.stop()
