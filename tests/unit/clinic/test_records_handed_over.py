"""What goes to the receiving side, in which order, what the box can still open then, and when it lets go."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clinic.records.book import Moment
from gateway.clinic.records.letting_go import let_go
from gateway.clinic.records.records import Records
from gateway.clinic.records.sealed_record import SealedFile, SealedRecord
from gateway.clinic.records.states import Handover, Stage
from gateway.clinic.records.views import HandoverItem, RecordView, delivered, refused, retry
from gateway.clinic.records.writer import BLOBS, FILE
from gateway.durable.recipient import as_bytes, new_pair
from gateway.errors import BadRequest, CannotStart, Conflict
from tests.clocks import HandClock
from tests.unit.clinic.record_world import (
    EVERY_KIND,
    FAR,
    LIMITS,
    MARK,
    NURSE,
    PHOTO,
    PHOTO_SHA256,
    an_id,
    answer,
    entry,
    found_in_clear,
    of_kind,
    patient,
    photo,
    pieces,
    request,
    some_records,
)

SECRET, PUBLIC = new_pair()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def records(tmp_path: Path, clock: HandClock) -> AsyncIterator[Records]:
    async with some_records(tmp_path / "clinic", clock) as made:
        yield made


async def a_case(records: Records, urgency: str = "routine", name: str = "Ana") -> str:
    record = an_id()
    await records.begin(record, Stage.ASKED, by=NURSE, entries=[patient(name), request(urgency)])
    await records.hand_over(record, by=NURSE)
    return record


async def view_of(records: Records, record: str) -> RecordView:
    found = await records.view(record, by=NURSE)
    assert found is not None
    return found


async def due(records: Records) -> HandoverItem:
    item = await records.due()
    assert item is not None
    return item


async def test_the_most_urgent_goes_first_then_the_oldest_one_at_a_time(records: Records, clock: HandClock) -> None:
    made = []
    for urgency in ("routine", "urgent", "asap", "urgent"):
        made.append(await a_case(records, urgency))
        clock.pass_s(1)
    order = []
    while (item := await records.due()) is not None:
        again = await due(records)
        assert (again.record, again.entries) == (item.record, item.entries), "until it is settled"
        order.append(item.record)
        await records.settle(item.record, delivered())
    assert order == [made[2], made[1], made[3], made[0]]
    assert records.statistics().handovers[Handover.DELIVERED] == 4


async def test_a_retry_waits_and_a_refusal_needs_a_person(records: Records, clock: HandClock) -> None:
    record = await a_case(records)
    await records.settle((await due(records)).record, retry(300.0))
    assert await records.due() is None
    clock.pass_s(301)
    assert (await due(records)).tries == 1
    await records.settle(record, refused("It does not know this clinic."))
    view = await view_of(records, record)
    assert (view.handover, view.reason) == (Handover.ATTENTION, "It does not know this clinic.")
    assert await records.due() is None
    again = await records.hand_over(record, by=NURSE)
    assert (again.handover, again.reason) == (Handover.QUEUED, "")
    assert (await due(records)).tries == 0


async def test_what_was_given_to_the_link_when_the_box_stopped_goes_again(tmp_path: Path, clock: HandClock) -> None:
    async with some_records(tmp_path, clock) as records:
        record = await a_case(records)
        first = await due(records)
    async with some_records(tmp_path, clock) as records:
        await records.settle(record, delivered())
        assert (await view_of(records, record)).handover is Handover.SENDING, "nobody was told to send it since"
        again = await due(records)
        assert (again.record, again.entries) == (record, first.entries)
        await records.settle(record, delivered())
        assert (await view_of(records, record)).handover is Handover.DELIVERED


async def test_an_open_call_is_not_handed_over_and_a_record_goes_once(records: Records) -> None:
    record = an_id()
    await records.begin(record, Stage.TALKING, by=NURSE)
    with pytest.raises(Conflict):
        await records.hand_over(record, by=NURSE)
    await records.move(record, Stage.FINISHED, by=NURSE)
    await records.hand_over(record, by=NURSE)
    await records.hand_over(record, by=NURSE)
    await records.settle((await due(records)).record, delivered())
    assert (await records.hand_over(record, by=NURSE)).handover is Handover.DELIVERED
    assert await records.due() is None


async def test_a_record_waits_for_its_files_but_not_for_ever(records: Records, clock: HandClock) -> None:
    record = an_id()
    await records.begin(record, Stage.ASKED, by=NURSE, entries=[patient(), photo(), request()])
    await records.hand_over(record, by=NURSE)
    assert await records.due() is None
    clock.pass_s(LIMITS.files_wait_s + 1)
    item = await due(records)
    assert item.late_files == ()
    await records.settle(record, delivered())
    await records.put_blob(record, PHOTO_SHA256, 0, len(PHOTO), pieces(PHOTO), by=NURSE)
    assert (await due(records)).record == record, "and the file follows by itself"


@pytest.mark.parametrize("recipient", ["", PUBLIC], ids=["readable", "sealed"])
async def test_what_is_written_while_a_record_is_under_way_goes_after_it(
    tmp_path: Path, clock: HandClock, recipient: str
) -> None:
    async with some_records(tmp_path, clock, recipient=recipient) as records:
        record = await a_case(records)
        first = await due(records)
        later = await records.keep(record, entry("summary", text="later"), by=NURSE)
        await records.settle(record, delivered())
        second = await due(records)
        assert second.entries[-1] == later
        assert later not in first.entries
        await records.settle(record, delivered())
        assert await records.due() is None
        await records.keep(record, entry("summary", text="and later"), by=NURSE)
        assert (await due(records)).entries[-1].fields == {"text": "and later"}


async def test_an_answer_of_the_far_side_is_not_sent_back(records: Records) -> None:
    record = await a_case(records)
    await records.settle((await due(records)).record, delivered())
    await records.keep(record, answer(), by=FAR)
    view = await view_of(records, record)
    assert (view.stage, view.answer_unread, view.handover) == (Stage.ANSWERED, True, Handover.DELIVERED)
    assert await records.due() is None


async def test_what_was_delivered_opens_for_the_recipient_alone(tmp_path: Path, clock: HandClock) -> None:
    async with some_records(tmp_path, clock, recipient=PUBLIC) as records:
        record = await a_case(records, name="Ana")
        await records.put_blob(record, PHOTO_SHA256, 0, len(PHOTO), pieces(PHOTO), by=NURSE)
        said = photo()
        kept = [await records.keep(record, each, by=NURSE) for each in (said, entry("reason", text=MARK))]
        wrapped = _wraps(tmp_path)
        await records.settle((await due(records)).record, delivered())
        assert not found_in_clear(tmp_path, *wrapped), "in no file, log or page is the box's copy of the key"
        assert await records.entries(record, by=NURSE) == []
        assert await records.blob(record, PHOTO_SHA256, by=NURSE) is None
        view = await view_of(records, record)
        assert (view.is_sealed, view.patient, view.entries, view.photos, view.damaged) == (True, "Ana", 4, 1, 0)
        assert await records.keep(record, said, by=NURSE) == kept[0], "a device that asks again is told it is kept"
        back = await records.keep(record, answer(), by=FAR)
        assert await records.entries(record, by=NURSE) == [back]
        taken = tmp_path / "taken.zip"
        await asyncio.to_thread(_write, await records.take_out(record, by=NURSE), taken)
        closed = await records.move(record, Stage.CLOSED, by=NURSE)
        assert (closed.patient, closed.entries) == ("", 5)
        assert await records.entries(record, by=NURSE) == []
        assert records.statistics().damaged == 0
    entries, files = await asyncio.to_thread(_opened, taken, SECRET, tmp_path)
    assert [each["kind"] for each in entries] == ["patient", "request", "photo", "reason"]
    assert entries[2]["fields"] == kept[0].fields
    assert files == [(PHOTO_SHA256, PHOTO)]
    with pytest.raises(BadRequest):
        await asyncio.to_thread(_opened, taken, new_pair()[0], tmp_path)
    assert not found_in_clear(tmp_path, MARK.encode(), PHOTO_SHA256.encode())


def _write(taken: SealedRecord, to: Path) -> None:
    with to.open("wb") as file:
        taken.write(file)


def _opened(taken: Path, secret: str, folder: Path) -> tuple[list[dict[str, object]], list[tuple[str, bytes]]]:
    with taken.open("rb") as file:
        opened = SealedFile(file, as_bytes(secret))
        return list(opened.entries()), list(opened.files(folder))


def _wraps(folder: Path) -> list[bytes]:
    with sqlite3.connect(folder / FILE) as other:
        found = [bytes(row[0])[13:] for row in other.execute("SELECT wrapped FROM keys")]
    other.close()
    assert found
    return found


async def test_a_recipient_that_is_none_stops_the_start(tmp_path: Path, clock: HandClock) -> None:
    with pytest.raises(CannotStart, match="sealed to"):
        async with some_records(tmp_path, clock, recipient="A" * 43):
            pass


async def test_without_a_recipient_what_was_delivered_stays_readable_until_its_days_are_over(
    tmp_path: Path, clock: HandClock
) -> None:
    limits = replace(LIMITS, keep_days=2)
    async with some_records(tmp_path, clock, limits=limits) as records:
        done, asked, unsent = await a_case(records), await a_case(records), an_id()
        await records.put_blob(done, PHOTO_SHA256, 0, len(PHOTO), pieces(PHOTO), by=NURSE)
        for record in (done, asked):
            await records.settle((await due(records)).record, delivered())
            assert len(await records.entries(record, by=NURSE)) == 2
        await records.begin(unsent, Stage.TALKING, by=NURSE)
        await records.move(unsent, Stage.FINISHED, by=NURSE)
        await records.hand_over(unsent, by=NURSE)
        await records.move(unsent, Stage.CLOSED, by=NURSE)
        await records.move(done, Stage.CLOSED, by=NURSE)
        assert not await tidied(records, clock)
        clock.pass_s(2 * 86_400 + 1)
        assert await tidied(records, clock)
        assert not await tidied(records, clock)
        assert await records.view(done, by=NURSE) is None
        assert not list((tmp_path / BLOBS).iterdir())
        assert (await view_of(records, asked)).stage is Stage.ASKED, "its answer is awaited"
        assert (await view_of(records, unsent)).handover is Handover.QUEUED, "it has not gone"
        assert (await records.audit(done))[0].what == "delete"


async def test_an_age_counts_only_from_a_time_that_can_be_believed(tmp_path: Path, clock: HandClock) -> None:
    clock.wall = 1_000.0
    async with some_records(tmp_path, clock) as records:
        record = an_id()
        await records.begin(record, Stage.TALKING, by=NURSE)
        await records.move(record, Stage.CANCELLED, by=NURSE)
        clock.wall = 1_800_000_000.0
        assert not await tidied(records, clock)
        clock.pass_s(29 * 86_400)
        assert not await tidied(records, clock)
        clock.pass_s(2 * 86_400)
        assert await tidied(records, clock)


async def tidied(records: Records, clock: HandClock) -> bool:
    return await records._thread.ask(lambda book: let_go(book, Moment(clock.wall, clock.now)))


async def test_no_word_of_a_record_is_in_clear_in_any_file(tmp_path: Path, clock: HandClock) -> None:
    async with some_records(tmp_path, clock) as records:
        record = an_id()
        await records.begin(record, Stage.TALKING, by=NURSE, doctor=MARK, entries=[patient()])
        for kind in EVERY_KIND:
            await records.keep(record, of_kind(kind), by=NURSE)
        half = len(PHOTO) // 2
        await records.put_blob(record, PHOTO_SHA256, 0, len(PHOTO), pieces(PHOTO[:half]), by=NURSE)
        planted = (MARK.encode(), PHOTO_SHA256.encode(), bytes.fromhex(PHOTO_SHA256), b"71.25", b"prescription")
        while_open = found_in_clear(tmp_path, *planted)
        await records.put_blob(record, PHOTO_SHA256, half, len(PHOTO), pieces(PHOTO[half:]), by=NURSE)
        await records.view(record, by=NURSE)
    kinds = [name for name in while_open if name.startswith(FILE)]
    assert set(while_open) == set(kinds), "the kinds stand in the trail, and nothing else"
    assert not found_in_clear(tmp_path, *planted[:-1])
