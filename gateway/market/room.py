"""The market as others see it: an order comes in and has its receipt, goes out, and can be asked after.

The room owns the journal, the drain and what follows an order. Only it decides what a merchant may see: the merchant's
own orders.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from gateway.backhaul.link import Backhaul
from gateway.clock import WALL_FLOOR_S, Clock, iso_utc
from gateway.durable.disk import Disk, disk_of
from gateway.errors import N_, Conflict, NoCapacity
from gateway.exchange.backoff import Patience
from gateway.market.bundle import BundleWriter
from gateway.market.catalogue.model import Catalogue
from gateway.market.catalogue.storefront import CatalogueLimits, Storefront
from gateway.market.drain import Drain, DrainStatistics
from gateway.market.following import Following
from gateway.market.journal.journal import FILE, Journal, JournalLimits
from gateway.market.journal.writer import JournalStatistics
from gateway.market.marketplaces.port import Marketplace, OffersCatalogue, TakesPhotos, TellsUpdates
from gateway.market.order import Buyer, Order
from gateway.market.photos.keeping import PhotoLimits
from gateway.market.photos.photos import Photos
from gateway.market.receipts import ReceiptKey, Statement, check, trusted_keys
from gateway.market.records import Counts, OrderView, Recorded, Step
from gateway.market.states import State

LIST_MAX = 200  # orders of one answer
DAY_MAX = 1_000  # orders of one day's summary
BUYERS_FROM = 300  # latest orders that customers are remembered from
BUYERS_MAX = 100
TRIM_EVERY_S = 3_600.0
PATIENCE = Patience()
CATALOGUE = CatalogueLimits()
PHOTOS = PhotoLimits()


@dataclass(frozen=True, slots=True)
class MarketLimits:
    """What the market takes and how it sends."""

    batch_orders_max: int = 500  # an order alone costs 4,455 B on the link, in a batch of 500 98 B (2026-11)
    batch_bytes_max: int = 1_048_576  # as stored
    retry_s_min: float = 1.0
    retry_s_max: float = 300.0
    gather_s: float = 0.05  # orders that come together go together
    patience: Patience = PATIENCE
    updates_s: float = 300.0  # between two questions what became of orders
    catalogue: CatalogueLimits = CATALOGUE
    photos: PhotoLimits = PHOTOS
    keep_s: float = 90 * 86_400.0  # a settled order stays readable for so long
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
        """Orders that are not settled and wait for no person."""
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
        key: bytes,
        clock: Clock,
        boot: str,
        receipt_seed: bytes,
        photo_key: bytes,
        trusted_boxes: tuple[str, ...],
        backhaul: Backhaul,
        marketplace: Marketplace | None,
        marketplace_name: str,
        catalogue: Catalogue | None,
        limits: MarketLimits,
        random: Random,
    ) -> None:
        self.storefront = Storefront(
            folder=folder / "catalogue",
            marketplace=_offering(marketplace),
            marketplace_name=marketplace_name,
            fallback=catalogue,
            backhaul=backhaul,
            clock=clock,
            limits=limits.catalogue,
            random=random,
        )
        self._folder = folder
        self._box_name = box_name
        self._receipt_key = ReceiptKey(receipt_code, receipt_seed)
        self._trusted = trusted_keys((self._receipt_key.public, *trusted_boxes))
        self._clock = clock
        self._limits = limits
        self._marketplace = marketplace
        self._journal = Journal(
            folder,
            receipt_code,
            key,
            clock,
            JournalLimits(limits.waiting_max, limits.ballast_bytes, limits.free_bytes_min),
            boot=boot,
        )
        self.photos = Photos(
            folder=folder / "photos",
            key=photo_key,
            clock=clock,
            backhaul=backhaul,
            orders=self._journal,
            marketplace=_taking_photos(marketplace),
            limits=limits.photos,
            random=random,
        )
        self._drain = self._drain_to(marketplace, backhaul, random) if marketplace is not None else None
        telling = _telling(marketplace)
        self._following = self._follow(telling, backhaul, random) if telling is not None else None
        self._recorded = 0

    async def start(self) -> None:
        """Open the journal; from now on orders are taken, and wait until it is known what waits there.

        Raises: CannotStart.
        """
        await self._journal.start(waits=False)
        await self.photos.start()
        if self._marketplace is not None:
            await self._marketplace.start()
        await self.storefront.start()

    async def run(self) -> None:
        """Send what waits, follow what arrived, and trim what is long over, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._wake_when_known(), name="market journal")
            tasks.create_task(self._trim(), name="market trimming")
            tasks.create_task(self.storefront.run(), name="market storefront")
            tasks.create_task(self.photos.run(), name="market photos")
            for part in (self._drain, self._following):
                if part is not None:
                    tasks.create_task(part.run(), name=f"market {type(part).__name__.lower()}")

    async def stop(self) -> None:
        """Let go of the marketplace and close the journal."""
        await self.storefront.stop()
        await self.photos.stop()
        if self._marketplace is not None:
            await self._marketplace.stop()
        await self._journal.stop()

    @property
    def catalogue(self) -> Catalogue | None:
        """What the shop offers now."""
        return self.storefront.catalogue

    async def record(self, order: Order, merchant: str, made_by: str = "") -> Recorded:
        """Return the receipt of an order that is on disk, now or since before.

        Raises: Conflict, NoCapacity, LocalError when its record is damaged.
        """
        recorded = await self._journal.record(order, merchant, made_by)
        if recorded is None:
            raise _other_content()
        self._count([recorded])
        return recorded

    async def record_all(self, orders: Sequence[Order], merchant: str, made_by: str = "") -> list[Recorded]:
        """Return the receipts of orders that are on disk, all of them; after an error none of them is new there.

        Raises: Conflict, NoCapacity, LocalError when a record is damaged.
        """
        recorded = await self._journal.record_all(orders, merchant, made_by)
        if recorded is None:
            raise _other_content()
        self._count(recorded)
        return recorded

    async def change(
        self,
        order_id: str,
        merchant: str,
        order: Order,
        *,
        revision: int,
        made_by: str = "",
        only_unsent: bool = False,
    ) -> OrderView:
        """Return a merchant's order with new content; `revision` is the one that was seen by whoever asks.

        With `only_unsent`, nothing that may have arrived is changed.

        Raises: NotFound, Conflict, NoCapacity, LocalError.
        """
        if order.id != order_id:
            raise Conflict(N_("The change is for another order."), N_("Nothing was changed."))
        changed = await self._journal.change(
            order_id, merchant, order, shown=revision, made_by=made_by, only_unsent=only_unsent
        )
        self._wake()
        return changed

    async def cancel(
        self, order_id: str, merchant: str, *, revision: int, made_by: str = "", only_unsent: bool = False
    ) -> OrderView:
        """Return a merchant's order, cancelled or on its way to be; `revision` is the one that was seen.

        Raises: NotFound, Conflict, NoCapacity, LocalError.
        """
        cancelled = await self._journal.change(
            order_id, merchant, None, shown=revision, made_by=made_by, only_unsent=only_unsent
        )
        self._wake()
        return cancelled

    async def requeue(self, order_id: str, merchant: str | None) -> OrderView:
        """Return an order that waited for a decision or was rejected, and goes once more.

        Raises: NotFound, Conflict, NoCapacity, LocalError.
        """
        queued = await self._journal.requeue(order_id, merchant)
        self._wake()
        return queued

    async def order(self, order_id: str, merchant: str) -> OrderView | None:
        """Return a merchant's order; None when there is none, or it is another's."""
        found = await self._journal.one(order_id.lower())
        return found if found is not None and found.merchant == merchant else None

    async def orders(
        self,
        merchant: str | None,
        limit: int = 50,
        *,
        before: int | None = None,
        states: frozenset[State] | None = None,
    ) -> list[OrderView]:
        """Return a merchant's orders, or with None everybody's, newest first.

        `before`: an order's number, to go on after it; `states`: only those in one of them.
        """
        return await self._journal.newest(merchant, max(0, min(limit, LIST_MAX)), before, states)

    async def history(self, order_id: str, merchant: str) -> list[Step]:
        """Return what happened to a merchant's order, oldest first; nothing of another's."""
        return await self._journal.history(order_id) if await self.order(order_id, merchant) else []

    async def made_between(self, merchant: str, from_wall_s: float, to_wall_s: float) -> list[OrderView]:
        """Return a merchant's orders of a time, oldest first, at most DAY_MAX."""
        return await self._journal.made_between(merchant, from_wall_s, to_wall_s, DAY_MAX)

    async def buyers(self, merchant: str) -> list[Buyer]:
        """Return whom a merchant's latest orders were for, each once, newest first."""
        found: dict[tuple[str, str], Buyer] = {}
        for view in await self._journal.newest(merchant, BUYERS_FROM):
            if view.order is not None:
                buyer = view.order.buyer
                found.setdefault((buyer.name.casefold(), buyer.phone), buyer)
        return list(found.values())[:BUYERS_MAX]

    async def export(self, recipient: str = "") -> AsyncGenerator[bytes, None]:
        """Yield a bundle of all that waits, for somebody who carries it; it goes on waiting.

        `recipient`: the X25519 key that it is sealed to, in base64url; without one it can be read by who has it.

        Raises: NoCapacity, CannotStart when there is no such key.
        """
        writer = BundleWriter(self._receipt_key, self._box_name, iso_utc(self._clock.wall_s()), recipient)
        yield writer.begin()
        async for orders in self._journal.export():
            if piece := await asyncio.to_thread(writer.add, orders):
                yield piece
        yield writer.end()

    async def disk(self) -> Disk:
        """Return how much of the disk the journal has, and how much is left."""
        return await asyncio.to_thread(disk_of, self._folder, FILE)

    def signed(self, view: OrderView) -> str:
        """Return an order's receipt, signed by this box, as text for a QR code."""
        return self._receipt_key.signed(view)

    def check(self, text: str) -> Statement | None:
        """Return what a signed receipt says, of this box or of one that is trusted; None when it is none."""
        return check(text, self._trusted)

    def counts(self, merchant: str | None) -> Counts:
        """Return how many orders of a merchant are open; with None, of all."""
        return self._journal.counts(merchant)

    def send_now(self) -> None:
        """Try at once what would be tried later: send what waits, and ask what became of the rest."""
        self._wake()
        self.photos.wake()
        if self._following is not None:
            self._following.wake()

    async def waiting(self) -> int:
        """Return how many orders are not settled and wait for no person."""
        return self._journal.statistics().waiting

    def statistics(self) -> MarketStatistics:
        """Return how the market is."""
        drain = self._drain.statistics() if self._drain is not None else DrainStatistics()
        return MarketStatistics(self._journal.statistics(), drain, self._recorded)

    def _count(self, recorded: Sequence[Recorded]) -> None:
        new = sum(each.is_new for each in recorded)
        self._recorded += new
        if new:
            self._wake()

    def _wake(self) -> None:
        if self._drain is not None:
            self._drain.wake()

    def _drain_to(self, marketplace: Marketplace, backhaul: Backhaul, random: Random) -> Drain:
        return Drain(
            self._journal,
            marketplace,
            backhaul,
            box_name=self._box_name,
            clock=self._clock,
            limits=self._limits,
            random=random,
            settled=self.photos.wake,
        )

    def _follow(self, marketplace: TellsUpdates, backhaul: Backhaul, random: Random) -> Following:
        return Following(self._journal, marketplace, backhaul, every_s=self._limits.updates_s, random=random)

    async def _wake_when_known(self) -> None:
        await self._journal.known()
        self._wake()

    async def _trim(self) -> None:
        """Delete what is long over, from time to time; by a clock that does not know the date, nothing."""
        while True:
            if self._clock.wall_s() > WALL_FLOOR_S:
                with suppress(NoCapacity):  # the journal cannot write now: that is told where orders are taken
                    await self._journal.trim(self._clock.wall_s() - self._limits.keep_s)
            await asyncio.sleep(TRIM_EVERY_S)


def _offering(marketplace: object) -> OffersCatalogue | None:
    return marketplace if isinstance(marketplace, OffersCatalogue) else None


def _taking_photos(marketplace: object) -> TakesPhotos | None:
    return marketplace if isinstance(marketplace, TakesPhotos) else None


def _telling(marketplace: object) -> TellsUpdates | None:
    return marketplace if isinstance(marketplace, TellsUpdates) else None


def _other_content() -> Conflict:
    return Conflict(
        N_("An order with this id was already recorded with other content."),
        N_("Nothing was changed. Give the new order an id of its own."),
    )
