"""Killed, full, failing, flipped: no kept entry is lost, none is there twice, none is invented."""

import asyncio
import os
import shutil
import sqlite3
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest

from gateway.clinic.records.records import Records
from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import DAMAGED, Entry
from gateway.clinic.records.writer import BLOBS, FILE
from gateway.durable.writer import MEND_PAUSE_S
from gateway.errors import CannotStart, NoCapacity, NotFound
from tests.clocks import HandClock
from tests.fault.conftest import Trials
from tests.fault.failing_disk import Disk
from tests.unit.clinic.record_world import (
    LIMITS,
    MARK,
    NURSE,
    PHOTO,
    PHOTO_SHA256,
    an_id,
    entry,
    found_in_clear,
    patient,
    photo,
    pieces,
    request,
    some_records,
)

ROOT = Path(__file__).resolve().parents[2]
BOX = Path(__file__).with_name("records_box.py")
KILLS = 8
FLIPS = 120


async def killed(folder: Path, seed: int, lines: int) -> list[list[str]]:
    """Return what a box said that keeps entries, and is killed after so many lines."""
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = (sys.executable, str(BOX), "kill", str(folder), str(seed))
    process = await asyncio.create_subprocess_exec(*words, stdout=PIPE, env=surroundings)
    assert process.stdout is not None
    said: list[bytes] = []
    async with asyncio.timeout(60):
        while len(said) < lines:
            said.append(await process.stdout.readline())
            assert said[-1], "it ended by itself"
        process.kill()
        said += (await process.stdout.read()).splitlines(keepends=True)
        assert await process.wait() == -9
    return [line.decode().split(maxsplit=3) for line in said if line.endswith(b"\n")]


async def test_every_kept_entry_survives_being_killed_at_any_moment(tmp_path: Path, trials: Trials) -> None:
    folder, random, kept = tmp_path / "clinic", Random(20), dict[tuple[str, str], str]()
    for kill in range(KILLS):
        said = await killed(folder, kill, random.randrange(1, 200))
        assert not found_in_clear(folder, MARK.encode()), "nor in what a killed box leaves"
        kept |= {(record, entry_id): text.strip() for _, record, entry_id, text in said}
    async with some_records(folder, HandClock()) as records:
        for record in {record for record, _ in kept}:
            found = await records.entries(record, by=NURSE)
            assert Counter(each.id for each in found).most_common(1)[0][1] == 1
            assert [each.sequence for each in found] == list(range(1, len(found) + 1))
            texts = {each.id: each.fields["text"] for each in found}
            asked = {entry_id: text for (of, entry_id), text in kept.items() if of == record}
            assert texts == texts | asked
            assert len(texts) <= len(asked) + 1, "at most the one that was being kept when it ended"
        assert (records.statistics().damaged, records.statistics().put_aside) == (0, 0)
        assert all(each.is_sound for each in await records.audit(limit=1_000))
    trials("kills while entries were kept", KILLS)


@pytest.mark.parametrize("reaches_the_file", [False, True])
async def test_after_a_failed_sync_nothing_is_believed_until_it_is_mended(
    tmp_path: Path, reaches_the_file: bool
) -> None:
    disk, clock, record = Disk(), HandClock(), an_id()
    first, lost = entry("chat", text="first"), entry("chat", text="second")
    async with some_records(tmp_path, clock, opens=disk.connect) as records:
        await records.begin(record, Stage.TALKING, by=NURSE)
        kept = await records.keep(record, first, by=NURSE)
        following = records.watch()
        disk.fails_before, disk.fails_after = not reaches_the_file, reaches_the_file
        with pytest.raises(NoCapacity, match="cannot keep"):
            await records.keep(record, lost, by=NURSE)
        disk.fails_before = disk.fails_after = False
        with pytest.raises(NoCapacity):
            await records.keep(record, first, by=NURSE)
        assert kept in await records.entries(record, by=NURSE), "reading goes on"
        assert not records.statistics().is_taking
        clock.pass_s(MEND_PAUSE_S)
        assert await records.keep(record, first, by=NURSE) == kept
        again = await records.keep(record, lost, by=NURSE)
        found = await records.entries(record, by=NURSE)
        assert [each.id for each in found] == [first.id, lost.id]
        assert (records.statistics().is_taking, records.statistics().failures) == (True, 1)
        assert all(each.is_sound for each in await records.audit())
        await records.stop()
        heard = [each async for _, each in following]
        assert heard == ([] if reaches_the_file else [again]), "nothing is told that was not acknowledged"


async def test_a_reading_while_the_disk_fails_stands_in_the_trail_later(tmp_path: Path) -> None:
    disk, clock, record = Disk(), HandClock(), an_id()
    async with some_records(tmp_path, clock, opens=disk.connect) as records:
        await records.begin(record, Stage.TALKING, by=NURSE)
        disk.fails_before = True
        await records.entries(record, by=NURSE)
        assert [each.what for each in await records.audit(record)] == ["begin:talking"]
        disk.fails_before = False
        clock.pass_s(MEND_PAUSE_S)
        await records.view(record, by=NURSE)
        assert [each.what for each in await records.audit(record)] == ["view", "read", "begin:talking"]


async def test_a_full_file_refuses_politely_and_loses_nothing(tmp_path: Path) -> None:
    disk, clock, record, kept = Disk(), HandClock(), an_id(), list[Entry]()
    disk.pages_max = 80
    async with some_records(tmp_path, clock, opens=disk.connect) as records:
        assert (tmp_path / "ballast").exists()
        await records.begin(record, Stage.TALKING, by=NURSE)
        with suppress(NoCapacity):
            for count in range(2_000):
                kept.append(await records.keep(record, entry("chat", text=f"{count}" * 200), by=NURSE))
        assert not (tmp_path / "ballast").exists()
        assert len(kept) > 10
        assert await records.entries(record, by=NURSE) == kept
        disk.pages_max = 1_000
        clock.pass_s(MEND_PAUSE_S)
        kept.append(await records.keep(record, entry("chat", text="room again"), by=NURSE))
        assert await records.entries(record, by=NURSE) == kept


async def test_below_the_watermark_nothing_new_is_taken_and_moves_still_are(tmp_path: Path) -> None:
    record, clock = an_id(), HandClock()
    async with some_records(tmp_path, clock) as records:
        await records.begin(record, Stage.TALKING, by=NURSE)
    async with some_records(tmp_path, clock, limits=replace(LIMITS, free_bytes_min=1 << 60)) as records:
        with pytest.raises(NoCapacity):
            await records.keep(record, patient(), by=NURSE)
        with pytest.raises(NoCapacity):
            await records.put_blob(record, PHOTO_SHA256, 0, len(PHOTO), pieces(PHOTO), by=NURSE)
        assert (await records.move(record, Stage.FINISHED, by=NURSE)).stage is Stage.FINISHED


@pytest.mark.parametrize("call", ["fsync", "pwrite"])
async def test_a_file_whose_piece_could_not_be_written_goes_on_from_what_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    record, done = an_id(), 300_000
    content = Random(3).randbytes(600_000)
    said = photo(content)
    sha256 = str(said.fields["sha256"])
    async with some_records(tmp_path, HandClock()) as records:
        await records.begin(record, Stage.TALKING, by=NURSE, entries=[said])
        kept = await records.put_blob(record, sha256, 0, len(content), pieces(content[:done]), by=NURSE)
        assert kept == done

        def fails(*_: object) -> int:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as failing:
            failing.setattr(f"gateway.clinic.records.blobs.os.{call}", fails)
            with pytest.raises(NoCapacity, match="cannot keep the file"):
                await records.put_blob(record, sha256, done, len(content), pieces(content[done:]), by=NURSE)
        assert await records.blob_offset(record, sha256) == done
        assert await records.put_blob(record, sha256, done, len(content), pieces(content[done:]), by=NURSE) == 600_000
        assert await records.blob(record, sha256, by=NURSE) == content


@dataclass
class Before:
    folder: Path
    records: dict[str, list[Entry]]


@pytest.fixture
async def before(memory: Path) -> Before:
    """Records in several stages, closed."""
    folder, known = memory / "before", dict[str, list[Entry]]()
    async with some_records(folder, HandClock()) as records:
        for count in range(6):
            record = an_id()
            await records.begin(record, Stage.TALKING, by=NURSE, entries=[patient(), request()])
            for text in "abcdef":
                await records.keep(record, entry("chat", text=f"{text}{count}"), by=NURSE)
            if count % 2:
                await records.move(record, Stage.ASKED, by=NURSE)
            known[record] = await records.entries(record, by=NURSE)
        await records.keep(record, photo(), by=NURSE)
        await records.put_blob(record, PHOTO_SHA256, 0, len(PHOTO), pieces(PHOTO), by=NURSE)
        known[record] = await records.entries(record, by=NURSE)
    return Before(folder, known)


async def _hold(records: Records, before: Before) -> int:
    """Hold what is there against what was kept; return how much is missing or damaged."""
    bad = 0
    for record, entries in before.records.items():
        try:
            found = await records.entries(record, by=NURSE)
        except NotFound:
            bad += len(entries)
            continue
        whole = [each for each in found if each.kind != DAMAGED]
        assert all(each in entries for each in whole), "none is invented"
        assert len({each.id for each in whole}) == len(whole), "none is there twice"
        bad += len(entries) - len(whole)
    return bad


async def test_a_flipped_bit_is_told_or_does_no_harm(before: Before, memory: Path, trials: Trials) -> None:
    random, outcomes = Random(5), Counter[str]()
    for count in range(FLIPS):
        folder = memory / f"flip-{count}"
        shutil.copytree(before.folder, folder)
        _flip(folder / FILE, random)
        try:
            async with some_records(folder, HandClock()) as records:
                bad = await _hold(records, before)
                trail = await records.audit(limit=1_000)
                await records.view(next(iter(before.records)), by=NURSE)
                told = records.statistics()
                is_told = bool(told.damaged or told.put_aside or not all(each.is_sound for each in trail))
                assert is_told or not bad, "nothing goes missing in silence"
                assert bad <= 1 or told.put_aside, "the others go on"
                fresh = an_id()
                await records.begin(fresh, Stage.TALKING, by=NURSE, entries=[patient()])
                assert len(await records.entries(fresh, by=NURSE)) == 1
                outcomes["told" if is_told else "no harm"] += 1
        except CannotStart:
            outcomes["said it cannot start"] += 1
        shutil.rmtree(folder)
    trials("flipped bits in the file of records", FLIPS)
    assert outcomes["told"] > FLIPS / 5, outcomes
    assert outcomes["said it cannot start"] < FLIPS / 20, outcomes


@pytest.mark.parametrize("damage", ["not a database", "cut short", "a page of zeros", "empty"])
async def test_a_broken_file_is_put_aside_and_all_that_can_be_read_goes_on(
    before: Before, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(before.folder, folder)
    content = (folder / FILE).read_bytes()
    half = len(content) // 8192 * 4096
    broken = {
        "not a database": b"x" * 100 + content[100:],
        "cut short": content[:-4096],
        "a page of zeros": content[:half] + bytes(4096) + content[half + 4096 :],
        "empty": b"",
    }[damage]
    (folder / FILE).write_bytes(broken)
    async with some_records(folder, HandClock()) as records:
        bad, told = await _hold(records, before), records.statistics()
        all_of_them = sum(map(len, before.records.values()))
        assert told.put_aside == (damage != "empty")
        if damage in {"cut short", "a page of zeros"}:
            assert bad < all_of_them
        assert list((folder / BLOBS).iterdir()) or damage == "empty", "no file is thrown away then"
        record = an_id()
        await records.begin(record, Stage.TALKING, by=NURSE, entries=[patient()])
        assert (await records.entries(record, by=NURSE))[0].sequence == 1 + 1_000 * told.put_aside


async def test_a_damaged_file_is_not_shown_and_may_come_again(before: Before, tmp_path: Path) -> None:
    record = list(before.records)[-1]
    (path,) = (before.folder / BLOBS).iterdir()
    _flip(path, Random(1), beyond=400)
    async with some_records(before.folder, HandClock()) as records:
        assert await records.blob(record, PHOTO_SHA256, by=NURSE) is None
        view = await records.view(record, by=NURSE)
        assert view is not None
        assert (view.missing, records.statistics().damaged) == (1, 1)
        await records.put_blob(record, PHOTO_SHA256, 0, len(PHOTO), pieces(PHOTO), by=NURSE)
        assert await records.blob(record, PHOTO_SHA256, by=NURSE) == PHOTO


async def test_a_line_of_the_trail_that_was_changed_left_out_or_cut_off_shows(before: Before, tmp_path: Path) -> None:
    for statement in (
        "UPDATE audit SET name='eva' WHERE number=5",
        "DELETE FROM audit WHERE number=5",
        "DELETE FROM audit WHERE number=(SELECT max(number) FROM audit)",
    ):
        folder = tmp_path / "changed"
        shutil.copytree(before.folder, folder)
        await asyncio.to_thread(_change, folder / FILE, statement)
        async with some_records(folder, HandClock()) as records:
            trail = await records.audit(limit=1_000)
            assert not all(each.is_sound for each in trail) or records.statistics().damaged, statement
        shutil.rmtree(folder)


def _change(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as other:
        other.execute(statement)
    other.close()


def _flip(path: Path, random: Random, beyond: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[random.randrange(beyond, len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)
