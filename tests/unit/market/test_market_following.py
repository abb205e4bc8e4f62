"""What became of an order is asked from time to time, and at once when the link is back or somebody asks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from gateway.exchange.backoff import Patience
from gateway.market.batch import Outcome, Receipt, Verdict
from gateway.market.following import Following
from gateway.market.journal.journal import Journal
from gateway.market.marketplaces.port import NotDelivered, Updates
from gateway.market.states import State
from tests.clocks import HandClock
from tests.unit.market.orders import an_order
from tests.unit.market.test_market_drain import Modem
from tests.waiting import wait_until


class Far:
    """A marketplace that is only asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.told: list[Receipt] = []
        self.is_silent = False

    async def updates(self, cursor: str) -> Updates:
        self.asked.append(cursor)
        if self.is_silent:
            raise NotDelivered(is_silent=True, reason="told to be silent")
        return Updates(tuple(self.told), f"page {len(self.asked)}")


@asynccontextmanager
async def following(journal: Journal, far: Far, modem: Modem) -> AsyncIterator[Following]:
    asking = Following(journal, far, modem.backhaul, every_s=3_600.0, random=Random(1))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(asking.run())
        yield asking
        running.cancel()


async def accepted(journal: Journal) -> str:
    order = an_order()
    await journal.record(order, "ana")
    await journal.take(1, 1_000_000)
    await journal.settle([Verdict(order.id, State.ACCEPTED)], Patience())
    return order.id


async def test_what_is_told_later_is_written_and_the_cursor_kept(journal: Journal, clock: HandClock) -> None:
    far, order_id = Far(), await accepted(journal)
    far.told = [Receipt(order_id, Outcome.FULFILLED)]
    async with following(journal, far, Modem(clock)) as asking:
        await wait_until(lambda: len(far.asked) == 1)
        asking.wake()
        await wait_until(lambda: len(far.asked) == 2)
    assert far.asked == ["", "page 1"]
    found = await journal.one(order_id)
    assert found is not None
    assert found.state is State.FULFILLED


async def test_it_is_asked_at_once_when_the_link_is_back(journal: Journal, clock: HandClock) -> None:
    far, modem = Far(), Modem(clock)
    far.is_silent = True
    async with following(journal, far, modem):
        await wait_until(lambda: len(far.asked) == 1)
        modem.set(False)
        await asyncio.sleep(0.01)
        modem.set(True)
        await wait_until(lambda: len(far.asked) == 2)
