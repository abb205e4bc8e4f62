"""What is broken or of a former version goes on in a new file: nothing that can be read is lost or mixed up."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.durable.database import connect
from gateway.errors import CannotStart
from gateway.market.batch import Outcome, Receipt, Verdict
from gateway.market.journal.journal import FILE, Journal
from gateway.market.order import content_hash
from gateway.market.states import State
from tests.clocks import HandClock
from tests.unit.market.conftest import LIMITS
from tests.unit.market.former_journal import WALL_S, write_former
from tests.unit.market.orders import KEY, PATIENCE, an_order

MANY = 1_000_000
QUEUED = (State.RECORDED, State.QUEUED)
ACCEPTED = (*QUEUED, State.SENDING, State.ACCEPTED)
REJECTED = (*QUEUED, State.SENDING, State.REJECTED)


async def opened(
    folder: Path, clock: HandClock, key: bytes = KEY, opens: Callable[[Path], sqlite3.Connection] = connect
) -> Journal:
    journal = Journal(folder, "SMT", key, clock, LIMITS, opens=opens)
    await journal.start()
    return journal


def break_an_index(folder: Path, name: str = "orders_of_merchant") -> None:
    with sqlite3.connect(folder / FILE) as other:
        (page,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name=?", (name,)).fetchone()
    other.close()
    with (folder / FILE).open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)


async def test_a_journal_of_version_1_goes_on_with_its_receipts_states_and_counters(
    tmp_path: Path, clock: HandClock
) -> None:
    orders = [an_order() for _ in range(5)]
    merchants = ["ana", "luis", "ana", "luis", "ana"]
    states = [QUEUED, ACCEPTED, REJECTED, (*QUEUED, State.SENDING), QUEUED]
    receipts = write_former(tmp_path / FILE, list(zip(orders, merchants, strict=True)), states)
    journal = await opened(tmp_path, clock)
    for order, merchant, receipt, became in zip(orders, merchants, receipts, states, strict=True):
        view = await journal.one(order.id)
        assert view is not None
        assert (view.order, view.receipt, view.merchant, view.revision) == (order, receipt, merchant, 1)
        assert view.hash == content_hash(order, merchant)
        assert view.state is (became[-1] if became[-1] in {State.ACCEPTED, State.REJECTED} else State.QUEUED)
        assert [step.state for step in await journal.history(order.id)] == list(became)
        again = await journal.record(order, merchant)
        assert again is not None
        assert (again.receipt, again.is_new, again.hash) == (receipt, False, view.hash)
    assert (await journal.one(orders[2].id)).reason == "said 4"  # type: ignore[union-attr]
    assert (await journal.one(orders[0].id)).recorded_wall_s == WALL_S + 1  # type: ignore[union-attr]
    assert [each.id for each in await journal.take(9, MANY)] == [orders[0].id, orders[3].id, orders[4].id]
    assert (await journal.record(an_order(), "ana")).receipt == "SMT-0001-0004"  # type: ignore[union-attr]
    assert (await journal.record(an_order(), "eva")).receipt == "SMT-0003-0001"  # type: ignore[union-attr]
    assert journal.statistics().put_aside == 0
    await journal.stop()


async def test_a_damaged_row_of_version_1_stays_behind_in_a_file_of_its_own(tmp_path: Path, clock: HandClock) -> None:
    orders = [an_order() for _ in range(3)]
    write_former(tmp_path / FILE, [(order, "ana") for order in orders], [QUEUED] * 3)
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("UPDATE orders SET receipt='SMT-0001-0009' WHERE number=2")
    other.close()
    journal = await opened(tmp_path, clock)
    assert [view.id for view in await journal.newest(None, 9)] == [orders[2].id, orders[0].id]
    assert journal.statistics().put_aside == 1
    assert (await journal.record(an_order(), "ana")).receipt == "SMT-0501-0001"  # type: ignore[union-attr]
    await journal.stop()


@pytest.mark.parametrize("is_former", [True, False])
async def test_a_disk_that_fails_for_a_moment_costs_a_move_to_a_new_file_no_order(
    tmp_path: Path, clock: HandClock, is_former: bool
) -> None:
    begun, orders = tmp_path / "begun", [an_order() for _ in range(3)]
    if is_former:
        write_former(begun / FILE, [(order, "ana") for order in orders], [QUEUED] * 3)
    else:
        first = await opened(begun, clock)
        await first.record_all(orders, "ana")
        await first.stop()
        break_an_index(begun)
    point, left = 0, [0]
    while left[0] <= 0:  # until a start comes to its end before anything fails
        point += 3  # of statements that come after each other a few are like the next
        left[0] = point
        folder = tmp_path / str(point)
        shutil.copytree(begun, folder)
        with suppress(CannotStart):
            await (await opened(folder, clock, opens=lambda path: failing_at(path, left))).stop()
        again = await opened(folder, clock)
        assert {view.id for view in await again.newest(None, 9)} == {order.id for order in orders}, point
        assert len(await again.take(9, MANY)) == 3
        await again.stop()
    assert point > 40


def failing_at(path: Path, left: list[int]) -> sqlite3.Connection:
    """Open a connection one of whose statements finds a disk that fails, and only that one."""

    class Failing(sqlite3.Connection):
        def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
            left[0] -= 1
            if left[0] == 0:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
                raise error
            return super().execute(statement, *values)  # type: ignore[arg-type]

    return sqlite3.connect(path, isolation_level=None, factory=Failing)


async def test_a_broken_file_and_another_key_together_stop_the_start_and_the_right_key_opens_it(
    tmp_path: Path, clock: HandClock
) -> None:
    journal, order = await opened(tmp_path, clock), an_order()
    await journal.record(order, "ana")
    await journal.learn([Receipt(order.id, Outcome.ACCEPTED)], "page 7")
    await journal.stop()
    break_an_index(tmp_path)
    for _ in range(2):
        with pytest.raises(CannotStart):
            await opened(tmp_path, clock, bytes(32))
    again = await opened(tmp_path, clock)
    assert (await again.one(order.id)).order == order  # type: ignore[union-attr]
    assert await again.cursor() == "", "what may be lost is told again"
    assert again.statistics().put_aside == 1
    await again.stop()


async def test_what_is_left_of_a_lost_order_is_not_taken_for_the_next(tmp_path: Path, clock: HandClock) -> None:
    journal, kept, lost = await opened(tmp_path, clock), an_order(), an_order()
    for order in (kept, lost):
        await journal.record(order, "ana")
    await journal.take(9, MANY)
    await journal.change(lost.id, "ana", None, shown=1)  # a cancel has no document that would tell whose it is
    await journal.stop()
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("DELETE FROM orders WHERE id=?", (lost.id,))  # as a broken page would
    other.close()
    break_an_index(tmp_path)
    again, new = await opened(tmp_path, clock), an_order()
    await again.record(new, "ana")
    sent = {each.id: each for each in await again.take(9, MANY)}
    assert set(sent) == {kept.id, new.id}
    assert (sent[new.id].order, sent[new.id].revision, sent[new.id].is_cancelled) == (new, 1, False)
    assert [step.state for step in await again.history(new.id)] == [State.RECORDED, State.QUEUED, State.SENDING]
    await again.stop()


async def test_an_order_whose_change_is_lost_with_its_file_is_not_sent_as_it_was_before(
    tmp_path: Path, clock: HandClock
) -> None:
    journal, order = await opened(tmp_path, clock), an_order()
    await journal.record(order, "ana")
    await journal.change(order.id, "ana", order.model_copy(update={"note": "not the one before"}), shown=1)
    await journal.stop()
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("UPDATE revisions SET hash='0'")
    other.close()
    break_an_index(tmp_path)
    again = await opened(tmp_path, clock)
    assert await again.take(9, MANY) == []
    assert (await again.one(order.id)).is_damaged  # type: ignore[union-attr]
    await again.stop()


@pytest.mark.parametrize(
    "how", ["UPDATE events SET seal=X'00' WHERE sequence={}", "DELETE FROM events WHERE sequence={}"]
)
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_change_whose_event_is_damaged_or_lost_goes_out_all_the_same(
    tmp_path: Path, clock: HandClock, how: str, restarts: bool
) -> None:
    journal, order = await opened(tmp_path, clock), an_order()
    await journal.record(order, "ana")
    await journal.take(9, MANY)
    await journal.settle([Verdict(order.id, State.ACCEPTED)], PATIENCE)
    await journal.change(order.id, "ana", order.model_copy(update={"note": "changed"}), shown=1)
    if restarts:
        await journal.stop()
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute(how.format(5))
    other.close()
    if restarts:
        journal = await opened(tmp_path, clock)
    [sent] = await journal.take(9, MANY)
    assert (sent.revision, sent.order.note) == (2, "changed")
    await journal.settle([Verdict(order.id, State.ACCEPTED, revision=2)], PATIENCE)
    view = await journal.one(order.id)
    assert view is not None
    assert (view.state, view.revision) == (State.ACCEPTED, 2)
    await journal.stop()
