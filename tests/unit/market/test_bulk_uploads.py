"""Files are kept within bounds, read and recorded by few at a time, and survive a failure of what works on them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.errors import NoCapacity
from gateway.market.bulk.csv_file import read_csv
from gateway.market.bulk.table import ROWS_MAX, Table
from gateway.market.bulk.uploads import KEPT_S, PER_MERCHANT_MAX, ROWS_KEPT_MAX, WAITING_MAX, Stage, Upload, Uploads
from tests.clocks import HandClock
from tests.unit.market.uploaded import GOOD, FakeRoom, a_csv, many_rows

SOON_S = 5.0


async def _read(data: bytes) -> Table:
    return await asyncio.to_thread(read_csv, data)


@asynccontextmanager
async def working(uploads: Uploads) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(uploads.run())
        yield
        running.cancel()


async def checked(uploads: Uploads, data: bytes, merchant: str = "rosa") -> Upload:
    upload = uploads.add(data, merchant)
    await uploads.settle(upload, SOON_S)
    assert upload.stage is Stage.CHECKED
    return upload


def stage_of(upload: Upload) -> Stage:
    """Its stage now: work changes it."""
    return upload.stage


async def test_a_merchant_keeps_few_files_and_the_oldest_goes_first(clock: HandClock) -> None:
    uploads = Uploads(FakeRoom(), clock, _read)
    async with working(uploads):
        made = [await checked(uploads, a_csv([GOOD])) for _ in range(PER_MERCHANT_MAX + 1)]
        other = await checked(uploads, a_csv([GOOD]), "luis")
    kept = [upload for upload in made if uploads.find(upload.id, "rosa")]
    assert kept == made[1:]
    assert uploads.find(other.id, "luis") is other
    assert uploads.find(other.id, "rosa") is None


async def test_the_rows_of_all_files_are_bounded(clock: HandClock) -> None:
    uploads = Uploads(FakeRoom(catalogue=None), clock, _read)
    rows = b"name,phone,sku,quantity\n" + b"x,1,x,x\n" * ROWS_MAX
    many = ROWS_KEPT_MAX // ROWS_MAX + 2
    async with working(uploads):
        made = [await checked(uploads, rows, f"m{number}") for number in range(many)]
    kept = [upload for number, upload in enumerate(made) if uploads.find(upload.id, f"m{number}")]
    assert kept == made[2:]


async def test_a_file_that_nobody_looks_at_is_let_go(clock: HandClock) -> None:
    uploads = Uploads(FakeRoom(), clock, _read)
    async with working(uploads):
        upload = await checked(uploads, a_csv([GOOD]))
    clock.pass_s(KEPT_S)
    assert uploads.find(upload.id, "rosa") is upload
    clock.pass_s(KEPT_S + 1)
    assert uploads.find(upload.id, "rosa") is None


async def test_more_files_than_can_wait_are_refused(clock: HandClock) -> None:
    uploads = Uploads(FakeRoom(), clock, _read)
    for number in range(WAITING_MAX):
        uploads.add(a_csv([GOOD]), f"m{number}")
    with pytest.raises(NoCapacity):
        uploads.add(a_csv([GOOD]), "rosa")


async def test_orders_of_a_file_can_be_recorded_twice_only_as_new_ones(clock: HandClock) -> None:
    room = FakeRoom()
    uploads = Uploads(room, clock, _read)
    async with working(uploads):
        for again in (False, True):
            upload = await checked(uploads, a_csv([GOOD]))
            if again:
                uploads.record(upload, in_parts=False)
                assert stage_of(upload) is Stage.CHECKED, "there is nothing to record"
                uploads.check_anew(upload)
                await uploads.settle(upload, SOON_S)
            uploads.record(upload, in_parts=False)
            uploads.record(upload, in_parts=False)
            await uploads.settle(upload, SOON_S)
            assert stage_of(upload) is Stage.RECORDED
            assert len(upload.recorded) == 1
    assert room.calls == [1, 1]
    assert len(room.kept) == 2


async def test_two_files_with_the_same_rows_record_them_once(clock: HandClock) -> None:
    room = FakeRoom()
    uploads = Uploads(room, clock, _read)
    async with working(uploads):
        one = await checked(uploads, a_csv(many_rows(20, 0)))
        other = await checked(uploads, a_csv(many_rows(20, 0)))
        for upload in (one, other):
            uploads.record(upload, in_parts=False)
            await uploads.settle(upload, SOON_S)
    assert [made.is_new for _, made in other.recorded] == [False] * 20
    assert len(room.kept) == 20


async def test_all_or_nothing_leaves_nothing_when_it_fails(clock: HandClock) -> None:
    room = FakeRoom(fails_after=0)
    uploads = Uploads(room, clock, _read)
    async with working(uploads):
        upload = await checked(uploads, a_csv(many_rows(60, 0)))
        uploads.record(upload, in_parts=False)
        await uploads.settle(upload, SOON_S)
        assert upload.stage is Stage.CHECKED
        assert isinstance(upload.problem, NoCapacity)
        assert not room.kept
        room.fails_after = None
        uploads.record(upload, in_parts=False)
        await uploads.settle(upload, SOON_S)
    assert stage_of(upload) is Stage.RECORDED


async def test_a_stop_in_the_middle_leaves_a_file_that_can_be_recorded_again(clock: HandClock) -> None:
    room = FakeRoom()
    uploads = Uploads(room, clock, _read)
    async with working(uploads):
        upload = await checked(uploads, a_csv([GOOD]))
        room.gate.clear()
        uploads.record(upload, in_parts=False)
        await uploads.settle(upload, 0.05)
        assert stage_of(upload) is Stage.RECORDING
    assert upload.settled.is_set()
    room.gate.set()
    async with working(uploads):
        uploads.record(upload, in_parts=False)
        await uploads.settle(upload, SOON_S)
    assert len(room.kept) == 1
