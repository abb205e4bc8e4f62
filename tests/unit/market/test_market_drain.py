"""What waits goes out once the link carries, and only its own receipt ends it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.state import CarrierChanged, LinkState
from gateway.market.attention import Attention, Code
from gateway.market.batch import Batch, Outcome, Receipt
from gateway.market.drain import Drain
from gateway.market.journal.journal import Journal
from gateway.market.records import Counts
from gateway.market.room import MarketLimits
from gateway.market.states import State
from tests.clocks import HandClock
from tests.unit.market.memory_marketplace import MemoryMarketplace
from tests.unit.market.orders import PATIENCE, an_order, new_id
from tests.waiting import wait_until

QUICK = MarketLimits(retry_s_min=0.001, retry_s_max=0.002, gather_s=0.0, patience=PATIENCE)
PATIENT = replace(QUICK, retry_s_min=0.001, retry_s_max=3_600.0)


class Modem:
    """A link whose carrier is set by hand."""

    def __init__(self, clock: HandClock) -> None:
        self.carrier = True
        self.clock = clock
        self.backhaul = Backhaul(clock, capacity=None, carrier=lambda: self.carrier, probe=self._answers)

    async def _answers(self, peer: tuple[str, int]) -> bool:
        return self.carrier

    def set(self, carrier: bool) -> None:
        self.carrier = carrier
        self.backhaul.ways.watch.learn(CarrierChanged(carrier))


@asynccontextmanager
async def draining(
    journal: Journal, marketplace: MemoryMarketplace, modem: Modem, limits: MarketLimits = QUICK
) -> AsyncIterator[Drain]:
    drain = Drain(
        journal,
        marketplace,
        modem.backhaul,
        box_name="san-mateo",
        clock=modem.clock,
        limits=limits,
        random=Random(1),
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(drain.run())
        yield drain
        running.cancel()


async def record(journal: Journal, count: int) -> list[str]:
    orders = [an_order() for _ in range(count)]
    for order in orders:
        await journal.record(order, "ana")
    return [order.id for order in orders]


async def states(journal: Journal, ids: list[str]) -> list[State]:
    return [view.state for order_id in ids if (view := await journal.one(order_id)) is not None]


def all_settled(journal: Journal) -> bool:
    return journal.statistics().waiting == 0


async def test_orders_that_wait_go_in_batches_and_are_accepted(journal: Journal, clock: HandClock) -> None:
    marketplace = MemoryMarketplace()
    ids = await record(journal, 5)
    async with draining(journal, marketplace, Modem(clock), replace(QUICK, batch_orders_max=2)) as drain:
        await wait_until(lambda: all_settled(journal))
    assert [len(batch.orders) for batch in marketplace.batches] == [2, 2, 1]
    assert [order.id for batch in marketplace.batches for order in batch.orders] == ids
    assert len({batch.id for batch in marketplace.batches}) == 3
    assert await states(journal, ids) == [State.ACCEPTED] * 5
    assert drain.statistics().accepted == 5


async def test_a_new_order_wakes_the_drain(journal: Journal, clock: HandClock) -> None:
    marketplace = MemoryMarketplace()
    async with draining(journal, marketplace, Modem(clock)) as drain:
        for _ in range(3):
            (order_id,) = await record(journal, 1)
            drain.wake()
            await wait_until(lambda: all_settled(journal))
            assert marketplace.applied[order_id] == 1


async def test_nothing_is_tried_while_the_link_is_down_and_all_goes_when_it_is_back(
    journal: Journal, clock: HandClock
) -> None:
    marketplace = MemoryMarketplace()
    modem = Modem(clock)
    modem.set(False)
    async with draining(journal, marketplace, modem) as drain:
        ids = await record(journal, 3)
        for _ in range(5):
            drain.wake()
            await asyncio.sleep(0.005)
        assert not marketplace.batches
        assert await states(journal, ids) == [State.QUEUED] * 3
        modem.set(True)
        await wait_until(lambda: all_settled(journal))
    assert await states(journal, ids) == [State.ACCEPTED] * 3


async def test_the_link_coming_back_ends_a_pause(journal: Journal, clock: HandClock) -> None:
    marketplace = MemoryMarketplace(lose=12)
    modem = Modem(clock)
    await record(journal, 1)
    async with draining(journal, marketplace, modem, PATIENT) as drain:
        while drain.statistics().failures < 12:
            failures = drain.statistics().failures
            await wait_until(lambda: drain.statistics().failures > failures)  # noqa: B023
            modem.set(False)
            modem.set(True)
            await asyncio.sleep(0.005)
        await wait_until(lambda: all_settled(journal))
    assert modem.backhaul.status().state is LinkState.UP


async def test_an_order_delivered_again_after_a_lost_answer_takes_effect_once(
    journal: Journal, clock: HandClock
) -> None:
    marketplace = MemoryMarketplace(lose=4)
    ids = await record(journal, 6)
    async with draining(journal, marketplace, Modem(clock)) as drain:
        await wait_until(lambda: all_settled(journal))
    assert drain.statistics().failures == 4
    assert dict(marketplace.applied) == dict.fromkeys(ids, 1)
    assert await states(journal, ids) == [State.ACCEPTED] * 6


async def test_while_a_failed_delivery_waits_the_order_is_shown_as_queued(journal: Journal, clock: HandClock) -> None:
    marketplace = MemoryMarketplace(lose=1)
    ids = await record(journal, 1)
    async with draining(journal, marketplace, Modem(clock), replace(QUICK, retry_s_min=3_600.0, retry_s_max=3_600.0)):
        await marketplace.delivered.wait()
        await journal.newest(None, 1)  # behind the drain's own word to the journal
        await asyncio.sleep(0.02)
        assert await states(journal, ids) == [State.QUEUED]


async def test_rejected_orders_keep_the_reason_and_are_not_sent_again(journal: Journal, clock: HandClock) -> None:
    ids = await record(journal, 2)
    marketplace = MemoryMarketplace(words={ids[0]: Receipt(ids[0], Outcome.REJECTED, "sin stock")})
    async with draining(journal, marketplace, Modem(clock)) as drain:
        await wait_until(lambda: all_settled(journal))
    assert await states(journal, ids) == [State.REJECTED, State.ACCEPTED]
    assert (await journal.one(ids[0])).reason == "sin stock"  # type: ignore[union-attr]
    assert (drain.statistics().rejected, drain.statistics().batches) == (1, 1)


async def test_an_order_told_to_come_again_blocks_no_other(journal: Journal, clock: HandClock) -> None:
    ids = await record(journal, 6)
    words = {order_id: Receipt(order_id, Outcome.RETRY, "luego") for order_id in ids[:2]}
    marketplace = MemoryMarketplace(words=words)
    async with draining(journal, marketplace, Modem(clock), replace(QUICK, batch_orders_max=2)):
        await wait_until(lambda: journal.statistics().waiting == 2)
        assert await states(journal, ids[2:]) == [State.ACCEPTED] * 4
        marketplace.words.clear()
        await wait_until(lambda: all_settled(journal))
    assert await states(journal, ids) == [State.ACCEPTED] * 6


async def test_one_order_that_spoils_its_batch_is_found_and_waits_for_a_person(
    journal: Journal, clock: HandClock
) -> None:
    ids = await record(journal, 16)
    marketplace = MemoryMarketplace(poison={ids[5]})
    async with draining(journal, marketplace, Modem(clock)) as drain:
        await wait_until(lambda: all_settled(journal))
        assert journal.counts("ana") == Counts(waiting=0, attention=1)
        found = await journal.one(ids[5])
        assert found is not None
        assert (found.state, found.attention) == (State.NEEDS_ATTENTION, Attention(Code.UNDELIVERABLE))
        marketplace.poison.clear()
        await journal.requeue(ids[5], "ana")
        drain.wake()
        await wait_until(lambda: journal.counts(None) == Counts() and all_settled(journal))
    assert dict(marketplace.applied) == dict.fromkeys(ids, 1)


async def test_receipts_for_orders_that_were_not_sent_end_nothing(journal: Journal, clock: HandClock) -> None:
    ids = await record(journal, 2)
    words = {ids[0]: Receipt(new_id(), Outcome.ACCEPTED)}
    marketplace = MemoryMarketplace(words=words, added=[Receipt(ids[1], Outcome.ACCEPTED)])
    async with draining(journal, marketplace, Modem(clock), replace(QUICK, batch_orders_max=1)):
        await wait_until(lambda: len(marketplace.batches) >= 3)
        assert ids[0] in {view.id for view in await journal.newest("ana", 9) if view.state is not State.ACCEPTED}
        marketplace.words.clear()
        await wait_until(lambda: all_settled(journal))
    assert dict(marketplace.applied) == dict.fromkeys(ids, 1)


async def test_the_pause_that_the_far_end_asks_for_is_kept(journal: Journal, clock: HandClock) -> None:
    marketplace = MemoryMarketplace(refuse=1, retry_after_s=3_600.0)
    await record(journal, 1)
    modem = Modem(clock)
    async with draining(journal, marketplace, modem, PATIENT) as drain:
        await wait_until(lambda: drain.statistics().failures == 1)
        for _ in range(5):
            drain.wake()
            modem.set(False)
            modem.set(True)
            await asyncio.sleep(0.005)
        assert len(marketplace.batches) == 1


async def test_the_pause_that_the_far_end_asks_for_is_limited_by_ours(journal: Journal, clock: HandClock) -> None:
    marketplace = MemoryMarketplace(refuse=2, retry_after_s=1e9)
    ids = await record(journal, 1)
    async with draining(journal, marketplace, Modem(clock)):
        await wait_until(lambda: all_settled(journal))
    assert await states(journal, ids) == [State.ACCEPTED], "it did not wait for thirty years"


async def test_a_fault_in_the_marketplace_does_not_stop_the_drain(journal: Journal, clock: HandClock) -> None:
    class Broken(MemoryMarketplace):
        async def deliver(self, batch: Batch) -> list[Receipt]:
            if not self.batches:
                self.batches.append(batch)
                raise ZeroDivisionError
            return list(await super().deliver(batch))

    ids = await record(journal, 1)
    async with draining(journal, Broken(), Modem(clock)):
        await wait_until(lambda: all_settled(journal))
    assert await states(journal, ids) == [State.ACCEPTED]
