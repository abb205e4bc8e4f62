"""A disk that fails or is full: no receipt without a commit, no order lost, the next one taken once it works again."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.durable.database import connect
from gateway.durable.writer import MEND_PAUSE_S
from gateway.errors import CannotStart, NoCapacity
from gateway.market.batch import Verdict
from gateway.market.journal.journal import Journal, JournalLimits
from gateway.market.states import State
from tests.clocks import HandClock
from tests.fault.failing_disk import Disk
from tests.unit.market.orders import KEY, PATIENCE, an_order

LIMITS = JournalLimits(ballast_bytes=50_000, free_bytes_min=0)
MANY = 1_000_000


@asynccontextmanager
async def a_journal(folder: Path, clock: HandClock, disk: Disk) -> AsyncIterator[Journal]:
    journal = Journal(folder, "SMT", KEY, clock, LIMITS, opens=disk.connect)
    await journal.start()
    yield journal
    await journal.stop()


@pytest.mark.parametrize("reaches_the_file", [False, True])
async def test_a_failed_sync_gives_no_receipt_and_nothing_is_taken_before_it_is_mended(
    tmp_path: Path, clock: HandClock, reaches_the_file: bool
) -> None:
    disk, kept, failed = Disk(), an_order(), an_order()
    async with a_journal(tmp_path, clock, disk) as journal:
        first = await journal.record(kept, "ana")
        disk.fails_before, disk.fails_after = not reaches_the_file, reaches_the_file
        with pytest.raises(NoCapacity) as raised:
            await journal.record(failed, "ana")
        assert "tell the technician" in raised.value.advice
        disk.fails_before = disk.fails_after = False
        opened = disk.opened
        for order in (failed, an_order(), kept):  # known ones too: what can be read may not be on disk
            with pytest.raises(NoCapacity):
                await journal.record(order, "ana")
        assert not journal.statistics().is_taking
        assert (await journal.one(kept.id)).receipt == "SMT-0001-0001"  # type: ignore[union-attr]
        assert disk.opened == opened, "not opened again for every request"

        clock.pass_s(MEND_PAUSE_S)
        assert (await journal.record(kept, "ana")).receipt == first.receipt  # type: ignore[union-attr]
        again = await journal.record(failed, "ana")
        assert again is not None
        assert (again.receipt, again.is_new) == ("SMT-0001-0002", not reaches_the_file)
        assert (journal.statistics().is_taking, journal.statistics().failures) == (True, 1)
        assert [order.id for order in await journal.take(9, MANY)] == [kept.id, failed.id]


async def test_nothing_is_taken_until_all_that_can_be_read_is_on_disk(tmp_path: Path, clock: HandClock) -> None:
    disk, order = Disk(), an_order()
    async with a_journal(tmp_path, clock, disk) as journal:
        disk.fails_after = True
        with pytest.raises(NoCapacity):
            await journal.record(order, "ana")
        disk.fails_after, disk.fails_to_settle = False, True
        for _ in range(3):
            clock.pass_s(MEND_PAUSE_S)
            with pytest.raises(NoCapacity):
                await journal.record(order, "ana")
        disk.fails_to_settle = False
        clock.pass_s(MEND_PAUSE_S)
        assert (await journal.record(order, "ana")).receipt == "SMT-0001-0001"  # type: ignore[union-attr]


async def test_a_delivery_whose_end_could_not_be_written_is_made_again(tmp_path: Path, clock: HandClock) -> None:
    disk, order = Disk(), an_order()
    async with a_journal(tmp_path, clock, disk) as journal:
        await journal.record(order, "ana")
        await journal.take(1, MANY)
        disk.fails_before = True
        with pytest.raises(NoCapacity):
            await journal.settle([Verdict(order.id, State.ACCEPTED)], PATIENCE)
        disk.fails_before = False
        clock.pass_s(MEND_PAUSE_S)
        assert [each.id for each in await journal.take(1, MANY)] == [order.id]
        await journal.settle([Verdict(order.id, State.ACCEPTED)], PATIENCE)
        assert (await journal.one(order.id)).state is State.ACCEPTED  # type: ignore[union-attr]


async def test_a_full_file_drops_the_ballast_and_loses_no_order(tmp_path: Path, clock: HandClock) -> None:
    disk = Disk()
    disk.pages_max = 40
    recorded: dict[str, str] = {}
    async with a_journal(tmp_path, clock, disk) as journal:
        assert (tmp_path / "ballast").exists()
        order = an_order(note="n" * 500)
        with suppress(NoCapacity):
            while found := await journal.record(order, "ana"):
                recorded[order.id] = found.receipt
                order = an_order(note="n" * 500)
        assert not journal.statistics().is_taking
        assert not (tmp_path / "ballast").exists()
        assert len(recorded) > 10
        for order_id, receipt in recorded.items():
            assert (await journal.one(order_id)).receipt == receipt  # type: ignore[union-attr]
        disk.pages_max = 400
        clock.pass_s(MEND_PAUSE_S)
        found = await journal.record(order, "ana")
        assert found is not None
        assert found.receipt == f"SMT-0001-{len(recorded) + 1:04d}"
        assert journal.statistics().waiting == len(recorded) + 1


async def test_a_disk_that_fails_at_the_start_stops_the_start(tmp_path: Path, clock: HandClock) -> None:
    disk = Disk()
    disk.fails_to_settle = True
    with pytest.raises(CannotStart):
        async with a_journal(tmp_path, clock, disk):
            pass
    async with a_journal(tmp_path, clock, Disk()) as journal:
        assert journal.statistics().is_taking


async def test_the_journal_syncs_every_commit(tmp_path: Path) -> None:
    """What FULL means in WAL mode: the log is synced at each commit."""
    made: list[sqlite3.Connection] = []

    def opens(path: Path) -> sqlite3.Connection:
        made.append(connect(path))
        return made[-1]

    journal = Journal(tmp_path, "SMT", KEY, HandClock(), LIMITS, opens=opens)
    await journal.start()
    levels: list[tuple[int | str, ...]] = await journal._ask(  # in the thread that owns it
        lambda ledger: [made[-1].execute(f"PRAGMA {name}").fetchone() for name in ("synchronous", "journal_mode")]
    )
    assert levels == [(2,), ("wal",)]
    await journal.stop()
