"""What the journal says is on disk is there, once, with its own receipt; what is damaged does not pass for good."""

import asyncio
import sqlite3
from pathlib import Path
from random import Random

import pytest

from gateway.clock import iso_utc
from gateway.errors import CannotStart, LocalError, NoCapacity
from gateway.market.batch import Verdict
from gateway.market.journal.journal import FILE, Journal, JournalLimits
from gateway.market.order import Order, content_hash
from gateway.market.records import Recorded
from gateway.market.states import State
from tests.clocks import HandClock
from tests.unit.market.conftest import LIMITS
from tests.unit.market.orders import KEY, PATIENCE, an_order

MANY = 1_000_000


async def recorded(journal: Journal, order: Order, merchant: str = "ana") -> Recorded:
    found = await journal.record(order, merchant)
    assert found is not None
    return found


async def state_of(journal: Journal, order_id: str) -> State:
    found = await journal.one(order_id)
    assert found is not None
    return found.state


def database(tmp_path: Path) -> sqlite3.Connection:
    return sqlite3.connect(tmp_path / "market" / FILE, isolation_level=None)


async def reopened(tmp_path: Path, clock: HandClock) -> Journal:
    journal = Journal(tmp_path / "market", "SMT", KEY, clock, LIMITS)
    await journal.start()
    return journal


async def test_an_order_is_on_disk_when_its_receipt_is_given(
    journal: Journal, tmp_path: Path, clock: HandClock
) -> None:
    order = an_order()
    receipt = await recorded(journal, order)
    assert receipt == Recorded(
        order.id, "SMT-0001-0001", State.RECORDED, iso_utc(clock.wall), content_hash(order, "ana"), is_new=True
    )
    with database(tmp_path) as other:
        assert other.execute("SELECT id, receipt, hash FROM orders").fetchall() == [
            (order.id, "SMT-0001-0001", receipt.hash)
        ]
        assert other.execute("SELECT sequence, state FROM events").fetchall() == [(1, "recorded"), (2, "queued")]
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_the_same_order_again_has_the_same_receipt(journal: Journal, clock: HandClock) -> None:
    order = an_order()
    first = await recorded(journal, order)
    clock.pass_s(3_600)
    again = await recorded(journal, order)
    assert not again.is_new
    assert (again.receipt, again.recorded_at, again.hash, again.state) == (
        first.receipt,
        first.recorded_at,
        first.hash,
        first.state,
    )
    assert journal.statistics().waiting == 1


async def test_the_same_id_with_other_content_or_another_merchant_is_not_recorded(journal: Journal) -> None:
    order = an_order()
    await recorded(journal, order)
    assert await journal.record(an_order(id=order.id, note="otra"), "ana") is None
    assert await journal.record(order, "luis") is None
    assert (await journal.one(order.id)).order == order  # type: ignore[union-attr]


async def test_each_merchant_has_a_number_and_a_counter_without_gaps(journal: Journal) -> None:
    receipts = [
        (await recorded(journal, an_order(), merchant)).receipt for merchant in ("ana", "luis", "ana", "ana", "luis")
    ]
    assert receipts == ["SMT-0001-0001", "SMT-0002-0001", "SMT-0001-0002", "SMT-0001-0003", "SMT-0002-0002"]


async def test_orders_that_come_together_have_receipts_of_their_own(journal: Journal) -> None:
    orders = [an_order() for _ in range(50)]
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(recorded(journal, order)) for order in orders + orders]
    receipts = [task.result() for task in asked]
    assert len({receipt.receipt for receipt in receipts}) == 50
    assert sum(receipt.is_new for receipt in receipts) == 50
    assert {receipt.receipt for receipt in receipts} == {f"SMT-0001-{count:04d}" for count in range(1, 51)}


async def test_newest_come_first_and_only_the_merchants_own(journal: Journal) -> None:
    orders = [an_order() for _ in range(4)]
    for order, merchant in zip(orders, ("ana", "luis", "ana", "ana"), strict=True):
        await recorded(journal, order, merchant)
    assert [view.id for view in await journal.newest("ana", 2)] == [orders[3].id, orders[2].id]
    assert [view.merchant for view in await journal.newest(None, 10)] == ["ana", "ana", "luis", "ana"]
    assert await journal.newest("nobody", 10) == []


async def test_what_waits_is_known_after_a_restart_and_what_was_being_sent_is_queued(
    journal: Journal, tmp_path: Path, clock: HandClock
) -> None:
    orders = [an_order() for _ in range(4)]
    for order in orders:
        await recorded(journal, order)
    taken = await journal.take(3, MANY)
    assert [order.id for order in taken] == [order.id for order in orders[:3]]
    assert await state_of(journal, orders[0].id) is State.SENDING
    await journal.settle([Verdict(orders[0].id, State.ACCEPTED), Verdict(orders[1].id, State.REJECTED, "no")], PATIENCE)
    await journal.stop()

    again = await reopened(tmp_path, clock)
    assert again.statistics().waiting == 2
    assert [await state_of(again, order.id) for order in orders] == [
        State.ACCEPTED,
        State.REJECTED,
        State.QUEUED,
        State.QUEUED,
    ]
    assert [order.id for order in await again.take(10, MANY)] == [orders[2].id, orders[3].id]
    assert (await recorded(again, an_order())).receipt == "SMT-0001-0005"
    await again.stop()


async def test_events_are_added_and_never_changed(journal: Journal, tmp_path: Path) -> None:
    order = an_order()
    await recorded(journal, order)
    for _ in range(2):  # a far end that says nothing, or the same again, fills no disk
        await journal.take(1, MANY)
        await journal.give_back([order.id])
        await journal.take(1, MANY)
        await journal.settle([Verdict(order.id, State.QUEUED, "cerrado")], PATIENCE)
    await journal.take(1, MANY)
    await journal.settle([Verdict(order.id, State.ACCEPTED)], PATIENCE)
    with database(tmp_path) as other:
        events = other.execute("SELECT sequence, state FROM events").fetchall()
    assert events == [
        (1, "recorded"),
        (2, "queued"),
        (3, "sending"),
        (4, "queued"),
        (5, "sending"),
        (6, "accepted"),
    ]
    told = [(step.state, step.reason) for step in await journal.history(order.id)]
    assert told[3] == (State.QUEUED, "cerrado")
    assert {reason for state, reason in told if state is not State.QUEUED} == {""}


async def test_an_order_that_came_to_its_end_stays_there(journal: Journal) -> None:
    order = an_order()
    await recorded(journal, order)
    await journal.take(1, MANY)
    await journal.settle([Verdict(order.id, State.ACCEPTED)], PATIENCE)
    await journal.settle([Verdict(order.id, State.REJECTED, "late"), Verdict(order.id, State.QUEUED)], PATIENCE)
    assert await state_of(journal, order.id) is State.ACCEPTED
    assert await journal.take(1, MANY) == []


async def test_an_order_that_is_refused_goes_behind_the_others(journal: Journal) -> None:
    first, second = an_order(), an_order()
    for order in (first, second):
        await recorded(journal, order)
    assert [order.id for order in await journal.take(1, MANY)] == [first.id]
    await journal.settle([Verdict(first.id, State.QUEUED, "luego")], PATIENCE)
    assert [order.id for order in await journal.take(1, MANY)] == [second.id]
    assert (await journal.one(first.id)).reason == "luego"  # type: ignore[union-attr]


def random_text(chars: int) -> str:
    """Text that no coding makes much smaller."""
    return "".join(Random(chars).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=chars))


async def test_a_batch_is_bounded_in_bytes_but_never_empty(journal: Journal) -> None:
    for _ in range(3):
        await recorded(journal, an_order(note=random_text(400)))
    assert len(await journal.take(3, 10)) == 1
    assert len(await journal.take(3, 1_300)) == 2


@pytest.mark.parametrize(
    "change",
    [
        "document = zeroblob(length(document))",
        "document = X'00'",
        "receipt = 'SMT-0001-0009'",
        "recorded_wall_s = recorded_wall_s + 1",
        "hash = replace(hash, substr(hash, 1, 1), 'g')",
        "merchant = 7",
        "seal = NULL",
    ],
)
async def test_a_damaged_order_is_shown_as_such_never_sent_and_stops_no_other(
    journal: Journal, tmp_path: Path, clock: HandClock, change: str
) -> None:
    damaged, good = an_order(), an_order()
    for order in (damaged, good):
        await recorded(journal, order)
    with database(tmp_path) as other:
        other.execute("PRAGMA writable_schema=ON")
        other.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'orders'")
    with database(tmp_path) as other:
        other.execute(f"UPDATE orders SET {change} WHERE id = ?", (damaged.id,))
    assert [order.id for order in await journal.take(10, MANY)] == [good.id]
    found = await journal.one(damaged.id)
    assert found is not None
    assert (found.state, found.order, found.total_minor, found.is_damaged) == (State.NEEDS_ATTENTION, None, 0, True)
    with pytest.raises(LocalError):
        await journal.record(damaged, "ana")
    assert journal.statistics().damaged == 1
    assert journal.statistics().waiting == 1
    await journal.stop()
    again = await reopened(tmp_path, clock)
    assert again.statistics().damaged == 1
    assert [order.id for order in await again.take(10, MANY)] == [good.id]
    await again.stop()


async def test_a_damaged_event_counts_as_not_written(journal: Journal, tmp_path: Path, clock: HandClock) -> None:
    order = an_order()
    await recorded(journal, order)
    await journal.take(1, MANY)
    with database(tmp_path) as other:
        other.execute("UPDATE events SET state = 'accepted' WHERE sequence = 3")
    assert await state_of(journal, order.id) is State.QUEUED
    await journal.stop()
    again = await reopened(tmp_path, clock)
    assert [each.id for each in await again.take(1, MANY)] == [order.id]
    await again.settle([Verdict(order.id, State.ACCEPTED)], PATIENCE)
    assert await state_of(again, order.id) is State.ACCEPTED
    assert again.statistics().damaged == 1
    await again.stop()


async def test_a_full_queue_is_told_and_nothing_is_recorded(tmp_path: Path, clock: HandClock) -> None:
    journal = Journal(tmp_path / "market", "SMT", KEY, clock, JournalLimits(waiting_max=0, free_bytes_min=0))
    await journal.start()
    with pytest.raises(NoCapacity):
        await journal.record(an_order(), "ana")
    await journal.stop()


async def test_who_asks_after_the_stop_is_told(journal: Journal) -> None:
    await journal.stop()
    with pytest.raises(NoCapacity):
        await journal.record(an_order(), "ana")


async def test_an_order_whose_sender_went_away_is_recorded_all_the_same(journal: Journal) -> None:
    order = an_order()
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(journal.record(order, "ana"))
        await asyncio.sleep(0)
        asking.cancel()
    assert await state_of(journal, order.id) is State.QUEUED


async def test_a_journal_of_a_newer_program_stops_the_start(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "market").mkdir()
    with database(tmp_path) as other:
        other.execute("PRAGMA user_version=99")
    with pytest.raises(CannotStart):
        await reopened(tmp_path, clock)


async def test_a_folder_that_cannot_be_had_stops_the_start(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "market").write_text("a file")
    with pytest.raises(CannotStart):
        await reopened(tmp_path, clock)


async def test_a_time_from_a_clock_that_cannot_be_trusted_says_so(tmp_path: Path) -> None:
    clock = HandClock(wall=0.0)
    journal = await reopened(tmp_path, clock)
    order = an_order()
    await recorded(journal, order)
    assert (await journal.one(order.id)).clock_state == "unknown"  # type: ignore[union-attr]
    await journal.stop()


async def test_below_the_watermark_no_new_order_is_taken_but_what_became_of_others_is_written(
    tmp_path: Path, clock: HandClock
) -> None:
    folder = tmp_path / "market"
    journal = await reopened(tmp_path, clock)
    order = an_order()
    first = await recorded(journal, order)
    await journal.stop()

    full = Journal(folder, "SMT", KEY, clock, JournalLimits(ballast_bytes=1, free_bytes_min=2**62))
    await full.start()
    assert not full.statistics().is_taking
    with pytest.raises(NoCapacity):
        await full.record(an_order(), "ana")
    assert [each.receipt for each in await full.take(1, MANY)] == [first.receipt]
    await full.settle([Verdict(order.id, State.ACCEPTED)], PATIENCE)
    assert await state_of(full, order.id) is State.ACCEPTED
    await full.stop()


async def test_the_ballast_is_laid_in_where_there_is_room(journal: Journal, tmp_path: Path) -> None:
    await recorded(journal, an_order())
    assert (tmp_path / "market" / "ballast").stat().st_size == LIMITS.ballast_bytes
