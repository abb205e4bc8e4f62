"""A marketplace in memory: the port's fake, under the same contract as the real ones."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.market.attention import Attention
from gateway.market.batch import Batch, Outcome, Receipt
from gateway.market.marketplaces.port import NotDelivered, Updates
from gateway.market.records import StoredOrder


@dataclass
class MemoryMarketplace:
    """Keeps each order once, in its highest revision; loses and refuses as many batches as it is told."""

    lose: int = 0
    refuse: int = 0
    retry_after_s: float | None = None
    words: dict[str, Receipt] = field(default_factory=dict)  # what to say of some orders, come what may
    poison: set[str] = field(default_factory=set)  # a batch with one of these is refused whole
    attention: dict[str, Attention] = field(default_factory=dict)  # what a person must decide, until a change comes
    kept: dict[str, StoredOrder] = field(default_factory=dict)  # what stands here, by id
    applied: Counter[str] = field(default_factory=Counter)  # how often each order came into being
    batches: list[Batch] = field(default_factory=list)
    added: list[Receipt] = field(default_factory=list)  # receipts that come with every answer
    decided: list[Receipt] = field(default_factory=list)  # what is told to whoever asks for updates
    page_updates: int = 100
    delivered: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    async def deliver(self, batch: Batch) -> Sequence[Receipt]:
        self.batches.append(batch)
        self.delivered.set()
        if self.poison & {order.id for order in batch.orders}:
            raise NotDelivered(is_silent=False, reason="told that it is poison", is_refusal=True)
        if self.refuse:
            self.refuse -= 1
            raise NotDelivered(is_silent=False, reason="told to refuse", retry_after_s=self.retry_after_s)
        receipts = [self._take(order) for order in batch.orders]
        if self.lose:
            self.lose -= 1
            raise NotDelivered(is_silent=True, reason="told to lose")
        return [*receipts, *self.added]

    async def updates(self, cursor: str) -> Updates:
        start = int(cursor or 0)
        end = min(start + self.page_updates, len(self.decided))
        return Updates(tuple(self.decided[start:end]), str(end), is_all=end == len(self.decided))

    def _take(self, order: StoredOrder) -> Receipt:
        if order.id in self.words:
            return self.words[order.id]
        if order.revision > 1:
            self.attention.pop(order.id, None)
        elif order.id in self.attention:
            return Receipt(order.id, Outcome.ATTENTION, attention=self.attention[order.id])
        known = self.kept.get(order.id)
        if known is not None and known.revision >= order.revision:
            return Receipt(order.id, Outcome.DUPLICATE, revision=order.revision)
        self.kept[order.id] = order
        if known is None:
            self.applied[order.id] += 1
        return Receipt(order.id, Outcome.ACCEPTED, revision=order.revision)
