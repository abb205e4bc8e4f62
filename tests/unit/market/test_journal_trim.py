"""What is long over is deleted, and leaves behind that it was there; what is open stays, whatever the clock says."""

import sqlite3
from pathlib import Path

import pytest

from gateway.errors import CannotStart
from gateway.market.batch import Verdict
from gateway.market.journal.journal import FILE, TRIMMED_AT_ONCE, Journal
from gateway.market.order import Order
from gateway.market.records import Counts
from gateway.market.states import State
from tests.clocks import HandClock
from tests.unit.market.conftest import LIMITS
from tests.unit.market.orders import KEY, PATIENCE, an_order

MANY = 1_000_000
DAY_S = 86_400.0
KEEP_S = 90 * DAY_S


async def settled(journal: Journal, count: int = 1, state: State = State.ACCEPTED) -> list[Order]:
    orders = [an_order() for _ in range(count)]
    await journal.record_all(orders, "ana")
    await journal.take(count, MANY)
    await journal.settle([Verdict(order.id, state, "dicho") for order in orders], PATIENCE)
    return orders


async def left(journal: Journal) -> set[str]:
    return {view.id for view in await journal.newest(None, 10_000)}


async def trim(journal: Journal, clock: HandClock) -> None:
    await journal.trim(clock.wall_s() - KEEP_S)


async def test_what_was_settled_long_ago_is_deleted_and_the_rest_stays(journal: Journal, clock: HandClock) -> None:
    old = [*await settled(journal), *await settled(journal, state=State.REJECTED)]
    at_hub, attention = await settled(journal, state=State.AT_HUB), await settled(journal, state=State.NEEDS_ATTENTION)
    waiting = an_order()
    await journal.record(waiting, "ana")
    clock.pass_s(KEEP_S + 1)
    young = await settled(journal)
    await trim(journal, clock)
    assert await left(journal) == {order.id for order in (*at_hub, *attention, waiting, *young)}
    assert await journal.one(old[0].id) is None
    assert await journal.history(old[0].id) == []


async def test_a_trimmed_order_sent_again_has_its_receipt_and_takes_no_second_effect(
    journal: Journal, tmp_path: Path, clock: HandClock
) -> None:
    [order] = await settled(journal)
    receipt = (await journal.one(order.id)).receipt  # type: ignore[union-attr]
    clock.pass_s(KEEP_S + 1)
    await trim(journal, clock)
    for _ in range(2):
        again = await journal.record(order, "ana")
        assert again is not None
        assert (again.receipt, again.is_new) == (receipt, False)
        assert await journal.record(order, "luis") is None
        assert await journal.record(an_order(id=order.id, note="otra"), "ana") is None
        assert await journal.record_all([an_order(), an_order(id=order.id, note="otra")], "ana") is None
        assert await journal.take(9, MANY) == []
        await journal.stop()
        journal = Journal(tmp_path / "market", "SMT", KEY, clock, LIMITS)
        await journal.start()
    await journal.stop()


async def test_an_order_whose_tombstone_is_damaged_can_come_and_go_again(
    journal: Journal, tmp_path: Path, clock: HandClock
) -> None:
    [order] = await settled(journal)
    clock.pass_s(KEEP_S + 1)
    await trim(journal, clock)
    with sqlite3.connect(tmp_path / "market" / FILE) as other:
        other.execute("UPDATE trimmed SET state='?'")
    other.close()
    again = await journal.record(order, "ana")
    assert again is not None
    assert (again.receipt, again.is_new) == ("SMT-0001-0002", True)
    await journal.take(1, MANY)
    await journal.settle([Verdict(order.id, State.ACCEPTED)], PATIENCE)
    clock.pass_s(KEEP_S + 1)
    await trim(journal, clock)
    assert await left(journal) == set()
    assert (await journal.record(order, "ana")).receipt == "SMT-0001-0002"  # type: ignore[union-attr]
    assert journal.statistics().failures == 0


async def test_receipts_and_numbers_go_on_after_all_that_was_trimmed(
    journal: Journal, tmp_path: Path, clock: HandClock
) -> None:
    await settled(journal, 5)
    last = (await journal.newest(None, 1))[0].number
    clock.pass_s(KEEP_S + 1)
    await trim(journal, clock)
    assert await left(journal) == set()
    await journal.stop()
    again = Journal(tmp_path / "market", "SMT", KEY, clock, LIMITS)
    await again.start()
    assert (await again.record(an_order(), "ana")).receipt == "SMT-0001-0006"  # type: ignore[union-attr]
    assert (await again.newest(None, 1))[0].number > last
    await again.stop()


async def test_orders_that_come_every_hour_do_not_keep_the_old_ones(journal: Journal, clock: HandClock) -> None:
    [order] = await settled(journal)
    await trim(journal, clock)
    for _ in range(3):
        clock.pass_s(KEEP_S / 2 + 1)
        await journal.record(an_order(), "ana")
        await trim(journal, clock)
    assert await journal.one(order.id) is None


async def test_a_long_journal_is_trimmed_a_piece_at_a_time(journal: Journal, clock: HandClock) -> None:
    await settled(journal, TRIMMED_AT_ONCE * 2 + 7)
    waiting = an_order()
    await journal.record(waiting, "ana")
    clock.pass_s(KEEP_S + 1)
    await trim(journal, clock)
    assert await left(journal) == {waiting.id}
    assert journal.counts("ana") == Counts(1, 0)


@pytest.mark.parametrize("jump_s", [-3 * DAY_S, 3_650 * DAY_S, -1_800_000_000.0])
async def test_a_clock_that_jumps_costs_no_order_that_is_open_and_no_receipt(
    journal: Journal, tmp_path: Path, clock: HandClock, jump_s: float
) -> None:
    waiting, changed, attention, done = [an_order() for _ in range(4)]
    for order in (waiting, changed, attention, done):
        await journal.record(order, "ana")
    await journal.take(9, MANY)
    verdicts = [Verdict(changed.id, State.ACCEPTED), Verdict(attention.id, State.NEEDS_ATTENTION)]
    await journal.settle([*verdicts, Verdict(done.id, State.ACCEPTED)], PATIENCE)
    clock.wall += jump_s
    await journal.change(changed.id, "ana", an_order(id=changed.id, note="después"), shown=1)
    await trim(journal, clock)
    clock.wall -= jump_s
    clock.now = 3.0  # and the box was started again
    await journal.stop()
    again = Journal(tmp_path / "market", "SMT", KEY, clock, LIMITS)
    await again.start()
    await trim(again, clock)
    assert {waiting.id, changed.id, attention.id} <= await left(again)
    assert {each.id: each.revision for each in await again.take(9, MANY)} == {waiting.id: 1, changed.id: 2}
    receipt = await again.record(done, "ana")
    assert receipt is not None
    assert (receipt.receipt, receipt.is_new) == ("SMT-0001-0004", False)
    await again.stop()


async def test_what_was_settled_by_a_clock_that_knew_no_date_is_kept(tmp_path: Path) -> None:
    clock = HandClock(wall=60.0)
    journal = Journal(tmp_path / "market", "SMT", KEY, clock, LIMITS)
    await journal.start()
    [order] = await settled(journal)
    clock.wall = 1_900_000_000.0
    await trim(journal, clock)
    assert await left(journal) == {order.id}
    await journal.stop()


async def test_a_journal_of_another_key_stops_the_start_and_nothing_is_written(
    journal: Journal, tmp_path: Path, clock: HandClock
) -> None:
    order = an_order()
    await journal.record(order, "ana")
    await journal.stop()
    folder = tmp_path / "market"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = Journal(folder, "SMT", bytes(32), clock, LIMITS)
    for _ in range(2):
        with pytest.raises(CannotStart) as refused:
            await other.start()
        assert "key" in refused.value.advice
        await other.stop()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    again = Journal(folder, "SMT", KEY, clock, LIMITS)
    await again.start()
    assert (await again.one(order.id)).order == order  # type: ignore[union-attr]
    await again.stop()


async def test_nothing_that_people_told_us_is_readable_on_the_disk(
    journal: Journal, tmp_path: Path, clock: HandClock
) -> None:
    secrets = ["Hermelinda Ccahuana", "987654321", "Jirón Ayacucho 77", "Pastillas para la presión", "Sin saldo, dice"]
    order = an_order(
        buyer={"name": secrets[0], "phone": secrets[1], "address": secrets[2]},
        note="Por la tarde",
    )

    def on_the_disk() -> bytes:
        return b"".join(path.read_bytes() for path in (tmp_path / "market").iterdir())

    await journal.record(order, "ana")
    await journal.change(order.id, "ana", order.model_copy(update={"note": secrets[3]}), shown=1)
    await journal.take(1, MANY)
    await journal.settle([Verdict(order.id, State.REJECTED, secrets[4], revision=2)], PATIENCE)
    assert (tmp_path / "market" / f"{FILE}-wal").stat().st_size > 0
    for _ in range(2):
        content = on_the_disk()
        assert not [each for each in (*secrets, "Papa amarilla", "Por la tarde") if each.encode() in content]
        await journal.stop()
    with sqlite3.connect(tmp_path / "market" / FILE) as other:
        [document] = other.execute("SELECT document FROM orders").fetchone()
    assert len(document) < 600
