"""All that waits is exported and goes on waiting; what was exported may have arrived."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

from gateway.market.journal.journal import FILE, Journal
from gateway.market.states import State
from tests.clocks import HandClock
from tests.unit.market.conftest import LIMITS
from tests.unit.market.orders import KEY, an_order


async def exported(journal: Journal) -> list[str]:
    return [order.id async for piece in journal.export() for order in piece]


async def test_what_was_exported_goes_on_waiting_and_its_change_goes_out(journal: Journal) -> None:
    first, second, changed = an_order(), an_order(), an_order(note="changed")
    for each in (first, second, changed):
        await journal.record(each, "ana")
    assert await exported(journal) == [first.id, second.id, changed.id]
    assert await exported(journal) == [first.id, second.id, changed.id]
    assert journal.counts(None).waiting == 3
    cancelled = await journal.change(second.id, "ana", None, shown=1)
    assert (cancelled.state, cancelled.was_sent) == (State.QUEUED, True)
    sent = await journal.take(10, 1_000_000)
    assert [(each.id, each.revision, each.is_cancelled) for each in sent] == [
        (first.id, 1, False),
        (changed.id, 1, False),
        (second.id, 2, True),
    ]


async def test_orders_cancelled_before_the_export_are_not_in_it(journal: Journal) -> None:
    first, second = an_order(), an_order()
    for each in (first, second):
        await journal.record(each, "ana")
    await journal.change(first.id, "ana", None, shown=1)
    assert await exported(journal) == [second.id]


async def test_damaged_orders_do_not_end_an_export(journal: Journal, tmp_path: Path, clock: HandClock) -> None:
    orders = [an_order() for _ in range(7)]
    for each in orders:
        await journal.record(each, "ana")
    await journal.stop()

    def damage() -> None:
        with closing(sqlite3.connect(tmp_path / "market" / FILE, isolation_level=None)) as file:
            file.execute("UPDATE orders SET hash='x' WHERE number IN (3, 4, 5)")

    await asyncio.to_thread(damage)
    again = Journal(tmp_path / "market", "SMT", KEY, clock, LIMITS)
    await again.start()
    with patch("gateway.market.journal.journal.EXPORTED_AT_ONCE", 2):
        found = await exported(again)
    await again.stop()
    assert found == [each.id for each in (*orders[:2], *orders[5:])]
