"""What waits goes out while the link carries, a batch at a time, until each order has its receipt; there is one sender.

A batch is as large as the link carries in a few seconds. A failed try is followed by a pause that doubles; a new order
or the link's return ends the pause early, unless the far end asked for it (`Retry-After`). A batch that the far end
refuses as a whole is halved until the order that spoils it is alone, and is counted against that one; refused often
enough it waits for a person: nothing that waits can block the rest.
"""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Protocol

import structlog

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.state import LinkState
from gateway.clock import Clock
from gateway.errors import N_
from gateway.exchange.backoff import Breaker, Patience, pause_s
from gateway.market.batch import Batch, Verdict, judge
from gateway.market.journal.journal import Journal
from gateway.market.marketplaces.port import Marketplace, NotDelivered, PartlyDelivered
from gateway.market.records import StoredOrder
from gateway.market.states import State

REFUSED = N_("The marketplace refused this order as it is, and gave no reason.")
BATCH_S = 4.0  # of the uplink: what is cut then is sent again
ORDER_BYTES = 120  # on the wire, in a batch (2026-11)
BATCH_ORDERS_MIN = 5  # fewer cost more for their connection than for themselves

_log = structlog.get_logger("market.drain")


class DrainLimits(Protocol):
    """How orders are sent."""

    @property
    def batch_orders_max(self) -> int: ...
    @property
    def batch_bytes_max(self) -> int: ...
    @property
    def retry_s_min(self) -> float: ...
    @property
    def retry_s_max(self) -> float: ...
    @property
    def gather_s(self) -> float: ...
    @property
    def patience(self) -> Patience: ...


@dataclass(frozen=True, slots=True)
class DrainStatistics:
    """What was sent since the start."""

    batches: int = 0
    accepted: int = 0
    rejected: int = 0
    attention: int = 0
    refused: int = 0  # told to come again, or given no receipt
    failures: int = 0  # batches of which nothing is known
    failures_in_a_row: int = 0
    is_broken: bool = False  # the far end failed so often that one order tries it alone
    heard_wall_s: float | None = None  # when the marketplace last answered


class Drain:
    """The one sender of a journal's orders."""

    def __init__(
        self,
        journal: Journal,
        marketplace: Marketplace,
        backhaul: Backhaul,
        *,
        box_name: str,
        clock: Clock,
        limits: DrainLimits,
        random: Random,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        self._journal = journal
        self._marketplace = marketplace
        self._backhaul = backhaul
        self._box_name = box_name
        self._clock = clock
        self._limits = limits
        self._random = random
        self._settled = settled
        self._woken = asyncio.Event()
        self._batch_orders = limits.batch_orders_max
        self._breaker = Breaker()
        self._batches = self._accepted = self._rejected = self._attention = self._refused = self._failures = 0
        self._heard_wall_s: float | None = None

    def wake(self) -> None:
        """Look again at once whether something can be sent."""
        self._woken.set()

    def statistics(self) -> DrainStatistics:
        """Return what was sent since the start."""
        return DrainStatistics(
            self._batches,
            self._accepted,
            self._rejected,
            self._attention,
            self._refused,
            self._failures,
            self._breaker.failures,
            self._breaker.is_open,
            self._heard_wall_s,
        )

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_link(), name="market link")
            tasks.create_task(self._send_for_ever(), name="market drain")

    async def _watch_link(self) -> None:
        was_down = False
        async for status in self._backhaul.changes():
            is_down = status.state is LinkState.DOWN
            if was_down and not is_down:
                self._breaker = Breaker()
                self.wake()
            was_down = is_down

    async def _send_for_ever(self) -> None:
        while True:
            await self._wait_until_due()
            try:
                is_useful = await self._send_batch()
            except NotDelivered as exc:
                _log.info("batch.failed", reason=exc.reason, failures=self._breaker.failures + 1)
                await self._rest(exc.retry_after_s)
            except Exception as exc:  # noqa: BLE001 - a fault of ours must not stop the orders that come after it
                _log.error("batch.failed", reason=type(exc).__name__, failures=self._breaker.failures + 1)
                await self._rest(None)
            else:
                if is_useful:
                    self._breaker = Breaker()
                else:
                    await self._rest(None)

    async def _wait_until_due(self) -> None:
        """Return when an order may go and the link is not known to be down."""
        while (wait_s := self._wait_s()) != 0:
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            await asyncio.sleep(self._limits.gather_s)  # orders that come together go together

    def _wait_s(self) -> float | None:
        """Return how long to wait for an order that may go; None until something happens."""
        due_s = self._journal.statistics().due_s
        if due_s is None or self._backhaul.is_down:
            return None
        return max(due_s - self._clock.now_s(), 0.0)

    async def _rest(self, asked_s: float | None) -> None:
        """Pause after a failure: as long as the far end asked, or twice as long as the last time."""
        self._breaker = self._breaker.failed()
        limits, failures = self._limits, self._breaker.failures
        own_s = pause_s(failures, self._random.random(), least_s=limits.retry_s_min, most_s=limits.retry_s_max)
        firm_s = min(limits.retry_s_min, own_s) if asked_s is None else min(max(asked_s, own_s), limits.retry_s_max)
        await asyncio.sleep(firm_s)
        self._woken.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(own_s - firm_s, 0.0)):
                await self._woken.wait()

    def _orders_now(self) -> int:
        """Return how many orders may go at once: what the link carries in a few seconds."""
        capacity = self._backhaul.figures().up.capacity_bps
        fitting = self._batch_orders
        if capacity is not None and capacity.value > 0:
            fitting = min(fitting, max(int(capacity.value * BATCH_S / 8 / ORDER_BYTES), BATCH_ORDERS_MIN))
        return self._breaker.orders(fitting)

    async def _send_batch(self) -> bool:
        """Send one batch; say whether any order came to its end, or was found not to be sendable.

        Raises: NotDelivered, NoCapacity when the journal fails.
        """
        taken = await self._journal.take(self._orders_now(), self._limits.batch_bytes_max)
        if not taken:
            return True
        self._batches += 1
        batch = Batch(self._box_name, str(uuid.UUID(int=self._random.getrandbits(128), version=4)), tuple(taken))
        try:
            receipts = await self._marketplace.deliver(batch)
        except NotDelivered as exc:
            if not exc.is_silent:
                self._heard_wall_s = self._clock.wall_s()
            await self._take_back(taken, exc)
            raise
        self._heard_wall_s = self._clock.wall_s()
        self._batch_orders = min(self._batch_orders * 2, self._limits.batch_orders_max)
        verdicts = judge(taken, receipts)
        await self._journal.settle(verdicts, self._limits.patience)
        return self._count(verdicts)

    async def _take_back(self, taken: Sequence[StoredOrder], error: NotDelivered) -> None:
        self._failures += 1
        receipts = error.receipts if isinstance(error, PartlyDelivered) else ()
        told = {receipt.id for receipt in receipts}
        if known := [each for each in taken if each.id in told]:
            verdicts = judge(known, receipts)
            await self._journal.settle(verdicts, self._limits.patience)
            self._count(verdicts)
            taken = [each for each in taken if each.id not in told]
        if error.is_refusal:
            self._batch_orders = max(len(taken) // 2, 1)
        if error.is_refusal and len(taken) == 1:
            only = taken[0]
            verdict = Verdict(only.id, State.QUEUED, REFUSED, revision=only.revision)
            await self._journal.settle([verdict], self._limits.patience, is_alone=True)
        else:
            await self._journal.give_back([each.id for each in taken])

    def _count(self, verdicts: Sequence[Verdict]) -> bool:
        self._accepted += sum(verdict.state is State.ACCEPTED for verdict in verdicts)
        self._rejected += sum(verdict.state is State.REJECTED for verdict in verdicts)
        self._attention += sum(verdict.state is State.NEEDS_ATTENTION for verdict in verdicts)
        waiting = sum(verdict.state is State.QUEUED for verdict in verdicts)
        self._refused += waiting
        _log.info("batch.settled", orders=len(verdicts), waiting=waiting)
        self._settled()
        return waiting < len(verdicts)
