"""A marketplace in memory: the port's fake, under the same contract as the real one."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.market.batch import Batch, Outcome, Receipt
from gateway.market.marketplace import NotDelivered


@dataclass
class MemoryMarketplace:
    """Applies each order once; loses and refuses as many batches as it is told."""

    lose: int = 0
    refuse: int = 0
    retry_after_s: float | None = None
    words: dict[str, Receipt] = field(default_factory=dict)  # what to say of some orders, come what may
    poison: set[str] = field(default_factory=set)  # a batch with one of these is refused whole
    applied: Counter[str] = field(default_factory=Counter)
    batches: list[Batch] = field(default_factory=list)
    added: list[Receipt] = field(default_factory=list)  # receipts that come with every answer
    delivered: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    async def deliver(self, batch: Batch) -> Sequence[Receipt]:
        self.batches.append(batch)
        self.delivered.set()
        if self.refuse or self.poison & {order.id for order in batch.orders}:
            self.refuse = max(self.refuse - 1, 0)
            raise NotDelivered(is_silent=False, reason="told to refuse", retry_after_s=self.retry_after_s)
        receipts = [self._take(order.id) for order in batch.orders]
        if self.lose:
            self.lose -= 1
            raise NotDelivered(is_silent=True, reason="told to lose")
        return [*receipts, *self.added]

    def _take(self, order_id: str) -> Receipt:
        if order_id in self.words:
            return self.words[order_id]
        if self.applied[order_id]:
            return Receipt(order_id, Outcome.DUPLICATE)
        self.applied[order_id] += 1
        return Receipt(order_id, Outcome.ACCEPTED)
