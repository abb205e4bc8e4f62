"""What is kept of a record, who may, and what comes back."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clinic.records.entries import Writer
from gateway.clinic.records.records import Records
from gateway.clinic.records.states import Handover, Stage
from gateway.clinic.records.views import Actor, Entry
from gateway.errors import BadRequest, CannotStart, Conflict, NoCapacity, NotAllowed, NotFound, TooLarge
from tests.clocks import HandClock
from tests.unit.clinic.record_world import (
    BOX,
    DOCTOR,
    EVERY_KIND,
    FAR,
    GUEST,
    LIMITS,
    MARK,
    NURSE,
    PHOTO,
    PHOTO_SHA256,
    an_id,
    answer,
    entry,
    of_kind,
    patient,
    photo,
    pieces,
    request,
    some_records,
)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def records(tmp_path: Path, clock: HandClock) -> AsyncIterator[Records]:
    async with some_records(tmp_path / "clinic", clock) as made:
        yield made


async def test_what_was_kept_is_there_after_a_restart(tmp_path: Path, clock: HandClock) -> None:
    record, kept = an_id(), []
    async with some_records(tmp_path, clock) as records:
        begun = await records.begin(record, Stage.WAITING, by=NURSE, doctor="Dr Q", entries=[patient("Ana")])
        assert (begun.ticket, begun.patient, begun.doctor, begun.entries) == (1, "Ana", "Dr Q", 1)
        kept += [await records.keep(record, of_kind(kind), by=NURSE) for kind in EVERY_KIND]
    async with some_records(tmp_path, clock) as records:
        found = await records.entries(record, by=NURSE)
        assert found[1:] == kept
        assert [each.sequence for each in found] == list(range(1, len(found) + 1))
        view = await records.view(record, by=NURSE)
        assert view is not None
        assert (view.stage, view.patient, view.photos, view.missing) == (Stage.WAITING, MARK, 1, 1)
        assert await records.entries(record, after=3, by=NURSE) == found[3:]


async def test_an_entry_that_comes_twice_is_kept_once_and_one_id_holds_one_content(records: Records) -> None:
    record, said = an_id(), entry("chat", text="hola")
    await records.begin(record, Stage.TALKING, by=NURSE)
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(records.keep(record, said, by=NURSE)) for _ in range(2)]
    first, second = (each.result() for each in asked)
    assert first == second
    with pytest.raises(Conflict):
        await records.keep(record, replace(said, fields={"text": "adiós"}), by=NURSE)
    with pytest.raises(Conflict):
        await records.keep(record, said, by=DOCTOR)
    assert [each.fields for each in await records.entries(record, by=NURSE)] == [{"text": "hola"}]


async def test_a_record_that_begins_twice_begins_once(records: Records) -> None:
    record, who = an_id(), patient("Ana")
    first = await records.begin(record, Stage.WAITING, by=NURSE, entries=[who])
    await records.move(record, Stage.TALKING, by=NURSE)
    again = await records.begin(record, Stage.WAITING, by=NURSE, entries=[who])
    assert (again.stage, again.ticket, again.entries) == (Stage.TALKING, first.ticket, 1)


async def test_walk_in_patients_get_the_days_tickets_in_their_order(records: Records, clock: HandClock) -> None:
    booked = an_id()
    await records.begin(booked, Stage.BOOKED, by=NURSE, due_wall_s=clock.wall + 60)
    tickets = [(await records.begin(an_id(), Stage.WAITING, by=NURSE)).ticket for _ in range(3)]
    assert tickets == [1, 2, 3]
    assert (await records.move(booked, Stage.WAITING, by=NURSE)).ticket == 4
    clock.pass_s(86_400)
    assert (await records.begin(an_id(), Stage.WAITING, by=NURSE)).ticket == 1


async def test_a_case_needs_a_question_and_its_answer_shows_as_unread_until_it_is_closed(records: Records) -> None:
    record = an_id()
    with pytest.raises(Conflict, match="question"):
        await records.begin(record, Stage.ASKED, by=NURSE, entries=[patient()])
    assert await records.view(record, by=NURSE) is None, "nothing of what was refused stays"
    await records.begin(record, Stage.TALKING, by=NURSE)
    with pytest.raises(Conflict, match="question"):
        await records.move(record, Stage.ASKED, by=NURSE)
    await records.keep(record, request("asap"), by=NURSE)
    view = await records.move(record, Stage.ASKED, by=NURSE)
    assert (view.urgency, view.doctor) == ("asap", f"Dr {MARK}")
    await records.keep(record, answer(), by=DOCTOR)
    found = await records.view(record, by=NURSE)
    assert found is not None
    assert (found.stage, found.answer_unread) == (Stage.ANSWERED, True)
    closed = await records.move(record, Stage.CLOSED, by=NURSE)
    assert (closed.stage, closed.answer_unread) == (Stage.CLOSED, False)
    with pytest.raises(Conflict):
        await records.keep(record, entry("chat", text="more"), by=NURSE)
    with pytest.raises(Conflict):
        await records.move(record, Stage.TALKING, by=NURSE)


async def test_each_writes_only_what_is_theirs(records: Records) -> None:
    record = an_id()
    with pytest.raises(NotAllowed):
        await records.begin(record, Stage.TALKING, by=GUEST)
    await records.begin(record, Stage.TALKING, by=NURSE)
    for by, kind in ((GUEST, "vitals"), (NURSE, "answer"), (DOCTOR, "patient"), (BOX, "chat"), (FAR, "photo")):
        with pytest.raises(NotAllowed):
            await records.keep(record, of_kind(kind), by=by)
    with pytest.raises(NotAllowed):
        await records.move(record, Stage.FINISHED, by=GUEST)
    assert await records.entries(record, by=NURSE) == []


async def test_what_is_not_there_is_not_found_and_what_is_no_id_is_refused(records: Records) -> None:
    for asked in (
        records.move(an_id(), Stage.CLOSED, by=NURSE),
        records.keep(an_id(), patient(), by=NURSE),
        records.entries(an_id(), by=NURSE),
        records.blob_offset(an_id(), PHOTO_SHA256),
        records.hand_over(an_id(), by=NURSE),
    ):
        with pytest.raises(NotFound):
            await asked
    with pytest.raises(BadRequest):
        await records.begin("../key", Stage.TALKING, by=NURSE)
    record = an_id()
    await records.begin(record, Stage.TALKING, by=NURSE)
    for bad in (entry("chat", "not-a-uuid", text="x"), entry("chat", at_wall_s=float("nan"), text="x")):
        with pytest.raises(BadRequest):
            await records.keep(record, bad, by=NURSE)
    with pytest.raises(BadRequest):
        await records.blob(record, "../key", by=NURSE)


async def test_a_refusal_among_others_takes_nothing_of_them_back(records: Records) -> None:
    record = an_id()
    await records.begin(record, Stage.TALKING, by=NURSE)
    said = [entry("chat", text=str(count)) for count in range(20)]

    async def refused() -> None:
        with pytest.raises(Conflict):
            await records.begin(an_id(), Stage.ASKED, by=NURSE, entries=[patient()])

    async with asyncio.TaskGroup() as tasks:
        for count, each in enumerate(said):
            tasks.create_task(records.keep(record, each, by=NURSE))
            if count == 5:
                tasks.create_task(refused())
    assert len(await records.entries(record, by=NURSE)) == 20
    assert records.statistics().stages[Stage.ASKED] == 0
    assert all(each.is_sound for each in await records.audit())


async def test_who_follows_hears_what_is_kept_and_only_what_is_kept(records: Records) -> None:
    record, heard = an_id(), list[tuple[str, Entry]]()
    await records.begin(record, Stage.TALKING, by=NURSE)
    following = records.watch()
    said = [entry("chat", text=str(count)) for count in range(5)]
    kept = [await records.keep(record, each, by=NURSE) for each in said]
    await records.keep(record, said[0], by=NURSE)
    with pytest.raises(Conflict):
        await records.keep(record, replace(said[0], fields={"text": "other"}), by=NURSE)
    await records.stop()
    async for each in following:
        heard.append(each)
    assert heard == [(record, each) for each in kept]


async def test_a_file_comes_in_parts_and_is_whole_when_its_hash_fits(records: Records) -> None:
    record = an_id()
    await records.begin(record, Stage.TALKING, by=NURSE, entries=[photo()])
    half = len(PHOTO) // 2
    assert await records.blob_offset(record, PHOTO_SHA256) == 0
    assert await records.put_blob(record, PHOTO_SHA256, 0, len(PHOTO), pieces(PHOTO[:half]), by=NURSE) == half
    assert await records.blob_offset(record, PHOTO_SHA256) == half
    assert await records.blob(record, PHOTO_SHA256, by=NURSE) is None
    assert records.statistics().missing == 1
    ahead = await records.put_blob(record, PHOTO_SHA256, half + 1, len(PHOTO), pieces(b"x"), by=NURSE)
    assert ahead == half, "nothing is taken behind a gap"
    done = await records.put_blob(record, PHOTO_SHA256, 100, len(PHOTO), pieces(PHOTO[100:], 1_000), by=NURSE)
    assert done == len(PHOTO)
    again = await records.put_blob(record, PHOTO_SHA256, 0, len(PHOTO), pieces(PHOTO), by=NURSE)
    assert again == len(PHOTO)
    assert await records.blob(record, PHOTO_SHA256, by=DOCTOR) == PHOTO
    view = await records.view(record, by=NURSE)
    assert view is not None
    assert (view.photos, view.missing, records.statistics().file_bytes) == (1, 0, len(PHOTO))


async def test_a_connection_that_breaks_leaves_what_came(records: Records) -> None:
    record = an_id()
    await records.begin(record, Stage.TALKING, by=NURSE)

    async def broken() -> AsyncIterator[bytes]:
        yield PHOTO[:5_000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await records.put_blob(record, PHOTO_SHA256, 0, len(PHOTO), broken(), by=NURSE)
    assert await records.blob_offset(record, PHOTO_SHA256) == 5_000


async def test_a_file_that_is_not_what_it_says_comes_again_from_its_beginning(records: Records) -> None:
    record, other = an_id(), PHOTO[:-1] + b"x"
    await records.begin(record, Stage.TALKING, by=NURSE)
    with pytest.raises(BadRequest, match="announced"):
        await records.put_blob(record, PHOTO_SHA256, 0, len(PHOTO), pieces(other), by=NURSE)
    with pytest.raises(BadRequest):
        await records.put_blob(record, PHOTO_SHA256, 0, len(PHOTO), pieces(PHOTO + b"more"), by=NURSE)
    assert await records.put_blob(record, PHOTO_SHA256, 0, len(PHOTO), pieces(PHOTO), by=NURSE) == len(PHOTO)
    with pytest.raises(Conflict):
        await records.put_blob(record, PHOTO_SHA256, 0, len(PHOTO) + 1, pieces(PHOTO), by=NURSE)


async def test_a_file_belongs_to_its_record(records: Records) -> None:
    one, other = an_id(), an_id()
    for record in (one, other):
        await records.begin(record, Stage.TALKING, by=NURSE)
    await records.put_blob(one, PHOTO_SHA256, 0, len(PHOTO), pieces(PHOTO), by=NURSE)
    assert await records.blob_offset(other, PHOTO_SHA256) == 0
    assert await records.blob(other, PHOTO_SHA256, by=NURSE) is None


async def test_limits_refuse_and_take_nothing_away(tmp_path: Path, clock: HandClock) -> None:
    limits = replace(LIMITS, file_bytes_max=1_000, record_bytes_max=1_500, entries_max=3, records_max=2, watchers_max=1)
    async with some_records(tmp_path, clock, limits=limits) as records:
        record = an_id()
        await records.begin(record, Stage.TALKING, by=NURSE)
        with pytest.raises(TooLarge):
            await records.keep(record, photo(b"x" * 1_001), by=NURSE)
        await records.keep(record, photo(b"x" * 1_000), by=NURSE)
        with pytest.raises(NoCapacity):
            await records.keep(record, photo(b"y" * 600), by=NURSE)
        sha256 = hashlib.sha256(b"y" * 600).hexdigest()
        with pytest.raises(NoCapacity):
            await records.put_blob(record, sha256, 0, 600, pieces(b"y" * 600), by=NURSE)
        for text in "ab":
            await records.keep(record, entry("chat", text=text), by=NURSE)
        with pytest.raises(NoCapacity):
            await records.keep(record, entry("chat", text="c"), by=NURSE)
        await records.begin(an_id(), Stage.TALKING, by=NURSE)
        with pytest.raises(NoCapacity):
            await records.begin(an_id(), Stage.TALKING, by=NURSE)
        following = records.watch()
        with pytest.raises(NoCapacity):
            records.watch()
        del following
        assert len(await records.entries(record, by=NURSE)) == 3
        assert records.statistics().handovers[Handover.NONE] == 2


async def test_another_key_opens_nothing_and_says_so(tmp_path: Path, clock: HandClock) -> None:
    async with some_records(tmp_path, clock) as records:
        await records.begin(an_id(), Stage.TALKING, by=NURSE)
    with pytest.raises(CannotStart, match="another key"):
        async with some_records(tmp_path, clock, key=bytes(32)):
            pass


async def test_every_access_stands_in_the_trail_once_and_nothing_clinical(records: Records, clock: HandClock) -> None:
    record = an_id()
    await records.begin(record, Stage.TALKING, by=NURSE, entries=[patient()])
    for _ in range(3):
        await records.entries(record, by=DOCTOR)
    await records.views(by=NURSE)
    clock.pass_s(61)
    await records.entries(record, by=DOCTOR)
    lines = await records.audit(record)
    assert [(each.writer, each.what) for each in reversed(lines)] == [
        (Writer.NURSE, "begin:talking"),
        (Writer.NURSE, "write:patient"),
        (Writer.DOCTOR, "read"),
        (Writer.DOCTOR, "read"),
    ]
    assert all(each.is_sound for each in await records.audit())
    assert len(await records.audit()) == 5
    assert MARK not in str(await records.audit())
    assert Actor(Writer.DOCTOR, "doctor").name == lines[0].name
