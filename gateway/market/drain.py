"""What waits goes out while the link carries, a batch at a time, until each order has its receipt; there is one sender.

A failed try is followed by a pause that doubles; a new order or the link's return ends the pause early, unless the far
end asked for it (`Retry-After`). A batch that the far end refuses as a whole is halved until the order that spoils it
is alone, and goes behind the others: nothing that waits can block the rest.
"""

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Protocol

import structlog

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.state import LinkState
from gateway.market.backoff import pause_s
from gateway.market.batch import Batch, Verdict, judge
from gateway.market.journal import Journal
from gateway.market.marketplace import Marketplace, NotDelivered
from gateway.market.records import StoredOrder
from gateway.market.states import WAITING, State

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
    def refusals_max(self) -> int: ...


@dataclass(frozen=True, slots=True)
class DrainStatistics:
    """What was sent since the start."""

    batches: int = 0
    accepted: int = 0
    rejected: int = 0
    refused: int = 0  # told to come again, or given no receipt
    failures: int = 0  # batches of which nothing is known
    failures_in_a_row: int = 0


class Drain:
    """The one sender of a journal's orders."""

    def __init__(
        self,
        journal: Journal,
        marketplace: Marketplace,
        backhaul: Backhaul,
        *,
        box_name: str,
        limits: DrainLimits,
        random: Random,
    ) -> None:
        self._journal = journal
        self._marketplace = marketplace
        self._backhaul = backhaul
        self._box_name = box_name
        self._limits = limits
        self._random = random
        self._woken = asyncio.Event()
        self._batch_orders = limits.batch_orders_max
        self._in_a_row = 0
        self._batches = self._accepted = self._rejected = self._refused = self._failures = 0

    def wake(self) -> None:
        """Look again at once whether something can be sent."""
        self._woken.set()

    def statistics(self) -> DrainStatistics:
        """Return what was sent since the start."""
        return DrainStatistics(
            self._batches, self._accepted, self._rejected, self._refused, self._failures, self._in_a_row
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
                self._in_a_row = 0
                self.wake()
            was_down = is_down

    async def _send_for_ever(self) -> None:
        while True:
            await self._wait_until_due()
            try:
                cleared = await self._send_batch()
            except NotDelivered as exc:
                _log.info("batch.failed", reason=exc.reason, failures=self._in_a_row + 1)
                await self._rest(exc.retry_after_s)
            except Exception as exc:  # noqa: BLE001 - a fault of ours must not stop the orders that come after it
                _log.error("batch.failed", reason=type(exc).__name__, failures=self._in_a_row + 1)
                await self._rest(None)
            else:
                if cleared:
                    self._in_a_row = 0
                else:
                    await self._rest(None)

    async def _wait_until_due(self) -> None:
        """Return when an order waits and the link is not known to be down."""
        while self._journal.statistics().waiting == 0 or self._backhaul.is_down:
            self._woken.clear()
            await self._woken.wait()
            await asyncio.sleep(self._limits.gather_s)  # orders that come together go together

    async def _rest(self, asked_s: float | None) -> None:
        """Pause after a failure: as long as the far end asked, or twice as long as the last time."""
        self._in_a_row += 1
        limits = self._limits
        own_s = pause_s(self._in_a_row, self._random.random(), least_s=limits.retry_s_min, most_s=limits.retry_s_max)
        firm_s = min(limits.retry_s_min, own_s) if asked_s is None else min(max(asked_s, own_s), limits.retry_s_max)
        await asyncio.sleep(firm_s)
        self._woken.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(own_s - firm_s, 0.0)):
                await self._woken.wait()

    async def _send_batch(self) -> bool:
        """Send one batch; say whether any order came to its end, or was found not to be sendable.

        Raises: NotDelivered, NoCapacity when the journal fails.
        """
        taken = await self._journal.take(self._batch_orders, self._limits.batch_bytes_max)
        if not taken:
            return True
        self._batches += 1
        batch = Batch(self._box_name, str(uuid.UUID(int=self._random.getrandbits(128), version=4)), tuple(taken))
        try:
            receipts = await self._marketplace.deliver(batch)
        except NotDelivered as exc:
            await self._take_back(taken, is_refused=not exc.is_silent)
            raise
        self._batch_orders = min(self._batch_orders * 2, self._limits.batch_orders_max)
        verdicts = judge([each.id for each in taken], receipts)
        await self._journal.settle(verdicts, self._limits.refusals_max)
        return self._count(verdicts)

    async def _take_back(self, taken: Sequence[StoredOrder], *, is_refused: bool) -> None:
        self._failures += 1
        if is_refused:
            self._batch_orders = max(len(taken) // 2, 1)
        await self._journal.give_back([each.id for each in taken], to_the_end=is_refused and len(taken) == 1)

    def _count(self, verdicts: Sequence[Verdict]) -> bool:
        self._accepted += sum(verdict.state is State.ACCEPTED for verdict in verdicts)
        self._rejected += sum(verdict.state is State.REJECTED for verdict in verdicts)
        waiting = sum(verdict.state in WAITING for verdict in verdicts)
        self._refused += waiting
        _log.info("batch.settled", orders=len(verdicts), waiting=waiting)
        return waiting < len(verdicts)
