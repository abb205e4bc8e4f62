"""The market as others see it: an order comes in and has its receipt, goes out, and can be asked after.

The room owns the journal and the drain. Only it decides what a merchant may see: the merchant's own orders.
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random

from gateway.backhaul.link import Backhaul
from gateway.clock import Clock
from gateway.errors import N_, Conflict
from gateway.market.catalogue import Catalogue
from gateway.market.drain import Drain, DrainStatistics
from gateway.market.journal import Journal, JournalLimits
from gateway.market.marketplace import Marketplace
from gateway.market.order import Order
from gateway.market.records import OrderView, Recorded
from gateway.market.writer import JournalStatistics

LIST_MAX = 200  # orders of one answer


@dataclass(frozen=True, slots=True)
class MarketLimits:
    """What the market takes and how it sends."""

    batch_orders_max: int = 100  # an order alone costs 4,455 B on the link, in a batch of 100 134 B (2026-11)
    batch_bytes_max: int = 262_144  # before compression
    retry_s_min: float = 1.0
    retry_s_max: float = 300.0
    gather_s: float = 0.05  # orders that come together go together
    refusals_max: int = 3  # then an order goes behind the others
    waiting_max: int = 1_000  # requests before the journal's thread
    ballast_bytes: int = 4_000_000
    free_bytes_min: int = 32_000_000  # of the disk, below which no new order is taken


@dataclass(frozen=True, slots=True)
class MarketStatistics:
    """How the market is."""

    journal: JournalStatistics
    drain: DrainStatistics
    recorded: int  # new orders since the start

    @property
    def waiting(self) -> int:
        """Orders that are not yet accepted or rejected."""
        return self.journal.waiting

    @property
    def needs_a_technician(self) -> bool:
        """Whether something was found that no program can mend."""
        return bool(self.journal.damaged or self.journal.put_aside) or not self.journal.is_taking


class MarketRoom:
    """Orders of a village."""

    def __init__(
        self,
        *,
        folder: Path,
        box_name: str,
        receipt_code: str,
        clock: Clock,
        backhaul: Backhaul,
        marketplace: Marketplace | None,
        catalogue: Catalogue | None,
        limits: MarketLimits,
        random: Random,
    ) -> None:
        self.catalogue = catalogue
        self._marketplace = marketplace
        self._journal = Journal(
            folder,
            receipt_code,
            clock,
            JournalLimits(limits.waiting_max, limits.ballast_bytes, limits.free_bytes_min),
        )
        self._drain: Drain | None = None
        if marketplace is not None:
            self._drain = Drain(self._journal, marketplace, backhaul, box_name=box_name, limits=limits, random=random)
        self._recorded = 0

    async def start(self) -> None:
        """Open the journal; from now on orders are taken.

        Raises: CannotStart.
        """
        await self._journal.start()
        if self._marketplace is not None:
            await self._marketplace.start()

    async def run(self) -> None:
        """Send what waits, until cancelled; without a marketplace there is nothing to do."""
        if self._drain is not None:
            await self._drain.run()

    async def stop(self) -> None:
        """Let go of the marketplace and close the journal."""
        if self._marketplace is not None:
            await self._marketplace.stop()
        await self._journal.stop()

    async def record(self, order: Order, merchant: str) -> Recorded:
        """Return the receipt of an order that is on disk, now or since before.

        Raises: Conflict, NoCapacity, LocalError when its record is damaged.
        """
        recorded = await self._journal.record(order, merchant)
        if recorded is None:
            raise Conflict(
                N_("An order with this id was already recorded with other content."),
                N_("Nothing was changed. Give the new order an id of its own."),
            )
        if recorded.is_new:
            self._recorded += 1
            if self._drain is not None:
                self._drain.wake()
        return recorded

    async def order(self, order_id: str, merchant: str) -> OrderView | None:
        """Return a merchant's order; None when there is none, or it is another's."""
        found = await self._journal.one(order_id.lower())
        return found if found is not None and found.merchant == merchant else None

    async def orders(self, merchant: str | None, limit: int = 50) -> list[OrderView]:
        """Return a merchant's orders, or with None everybody's, newest first."""
        return await self._journal.newest(merchant, max(0, min(limit, LIST_MAX)))

    async def waiting(self) -> int:
        """Return how many orders are not yet accepted or rejected."""
        return self._journal.statistics().waiting

    def statistics(self) -> MarketStatistics:
        """Return how the market is."""
        drain = self._drain.statistics() if self._drain is not None else DrainStatistics()
        return MarketStatistics(self._journal.statistics(), drain, self._recorded)
