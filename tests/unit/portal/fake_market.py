"""A room of orders made of plain values, by the rules of the real one; its marketplace is the test."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gateway.clock import iso_utc
from gateway.errors import Conflict, NoCapacity, NotFound
from gateway.market.attention import Attention
from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.catalogue.search import Category, Found, Index
from gateway.market.drain import DrainStatistics
from gateway.market.journal.writer import JournalStatistics
from gateway.market.order import Buyer, Order, content_hash
from gateway.market.receipts import Statement
from gateway.market.records import Counts, OrderView, Recorded, Step
from gateway.market.room import MarketStatistics
from gateway.market.states import SETTLED, State
from tests.clocks import HandClock

ARTICLES = (
    Article("papa", "Papa amarilla", "kg", 350, "PEN"),
    Article("queso", "Queso fresco", "molde", 1800, "PEN"),
)


class FakeStorefront:
    """A catalogue that is changed by hand."""

    def __init__(self, catalogue: Catalogue | None) -> None:
        self.pictures: dict[str, bytes] = {}
        self.age_s: float | None = None
        self.asked_to_sync = 0
        self.offer(catalogue)

    def offer(self, catalogue: Catalogue | None) -> None:
        self._index = Index(catalogue) if catalogue else None

    @property
    def catalogue(self) -> Catalogue | None:
        return self._index.catalogue if self._index else None

    @property
    def categories(self) -> Sequence[Category]:
        return self._index.categories if self._index else ()

    def search(self, typed: str = "", *, category: str = "", offset: int = 0, limit: int = 50) -> Found:
        return self._index.search(typed, category=category, offset=offset, limit=limit) if self._index else Found((), 0)

    def sync_now(self) -> None:
        self.asked_to_sync += 1

    def picture_name(self, sku: str) -> str | None:
        return sku if sku in self.pictures else None

    async def thumbnail_named(self, name: str, size_px: int) -> bytes | None:
        return self.pictures.get(name) if size_px == 96 else None


@dataclass
class FakeMarket:
    """Keeps orders in a dictionary."""

    clock: HandClock
    storefront: FakeStorefront = field(default_factory=lambda: FakeStorefront(Catalogue("7", "PEN", ARTICLES)))
    kept: dict[str, OrderView] = field(default_factory=dict)
    steps: dict[str, list[Step]] = field(default_factory=dict)
    genuine: dict[str, Statement] = field(default_factory=dict)  # signed receipts by their text
    heard_wall_s: float | None = None
    asked_to_send: int = 0
    is_full: bool = False

    async def record(self, order: Order, merchant: str, made_by: str = "") -> Recorded:
        if self.is_full:
            raise NoCapacity
        wall_s, digest = self.clock.wall_s(), content_hash(order, merchant)
        number = len(self.kept) + 1
        view = OrderView(
            number,
            order.id,
            merchant,
            f"SMT-0001-{number:04d}",
            State.QUEUED,
            "",
            iso_utc(wall_s),
            wall_s,
            "trusted",
            digest,
            order,
            made_by=made_by,
        )
        found = self.kept.setdefault(order.id, view)
        if found.hash != digest:
            raise Conflict
        if found is view:
            self._note(view)
        return Recorded(found.id, found.receipt, found.state, found.recorded_at, found.hash, found is view)

    async def record_all(self, orders: Sequence[Order], merchant: str, made_by: str = "") -> list[Recorded]:
        if any(order.id in self.kept and self.kept[order.id].merchant != merchant for order in orders):
            raise Conflict
        return [await self.record(order, merchant, made_by) for order in orders]

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
        found = self._shown(order_id, merchant, revision)
        _demand_here(found, only_unsent)
        return self._put(
            replace(
                found,
                order=order,
                hash=content_hash(order, merchant),
                revision=revision + 1,
                state=State.QUEUED,
                attention=None,
                reason="",
                made_by=made_by,
            )
        )

    async def cancel(
        self, order_id: str, merchant: str, *, revision: int, made_by: str = "", only_unsent: bool = False
    ) -> OrderView:
        found = self._shown(order_id, merchant, revision)
        _demand_here(found, only_unsent)
        state = State.QUEUED if found.was_sent else State.CANCELLED
        return self._put(replace(found, revision=revision + 1, state=state, attention=None, made_by=made_by))

    async def requeue(self, order_id: str, merchant: str | None) -> OrderView:
        found = self.kept.get(order_id)
        if found is None or merchant not in {None, found.merchant}:
            raise NotFound
        if found.state not in {State.NEEDS_ATTENTION, State.REJECTED}:
            raise Conflict
        return self._put(replace(found, state=State.QUEUED, attention=None, reason=""))

    def hear(self, order_id: str, state: State, reason: str = "", attention: Attention | None = None) -> OrderView:
        """Let the marketplace say what becomes of an order that was sent to it."""
        found = replace(self.kept[order_id], state=state, reason=reason, attention=attention, was_sent=True)
        self.heard_wall_s = self.clock.wall_s()
        return self._put(replace(found, arrived_wall_s=self.heard_wall_s))

    async def order(self, order_id: str, merchant: str) -> OrderView | None:
        found = self.kept.get(order_id)
        return found if found and found.merchant == merchant else None

    async def orders(
        self,
        merchant: str | None,
        limit: int = 50,
        *,
        before: int | None = None,
        states: frozenset[State] | None = None,
    ) -> Sequence[OrderView]:
        found = [
            each
            for each in reversed(self.kept.values())
            if merchant in {None, each.merchant}
            and (before is None or each.number < before)
            and (states is None or each.state in states)
        ]
        return found[:limit]

    async def history(self, order_id: str, merchant: str) -> Sequence[Step]:
        return self.steps.get(order_id, []) if await self.order(order_id, merchant) else []

    async def made_between(self, merchant: str, from_wall_s: float, to_wall_s: float) -> Sequence[OrderView]:
        return [
            each
            for each in self.kept.values()
            if each.merchant == merchant and from_wall_s <= each.recorded_wall_s < to_wall_s
        ]

    async def buyers(self, merchant: str) -> Sequence[Buyer]:
        found: dict[tuple[str, str], Buyer] = {}
        for each in await self.orders(merchant, 300):
            if each.order:
                found.setdefault((each.order.buyer.name, each.order.buyer.phone), each.order.buyer)
        return list(found.values())

    def counts(self, merchant: str | None) -> Counts:
        found = [each.state for each in self.kept.values() if merchant in {None, each.merchant}]
        attention = found.count(State.NEEDS_ATTENTION)
        return Counts(sum(state not in SETTLED for state in found) - attention, attention)

    def send_now(self) -> None:
        self.asked_to_send += 1

    def signed(self, view: OrderView) -> str:
        return f"TAMBO1.{'e' * 300}.{'s' * 86}" if view.order else ""

    def check(self, text: str) -> Statement | None:
        return self.genuine.get(text)

    async def waiting(self) -> int:
        return self.counts(None).waiting

    def statistics(self) -> MarketStatistics:
        journal = JournalStatistics(waiting=self.counts(None).waiting)
        return MarketStatistics(journal, DrainStatistics(heard_wall_s=self.heard_wall_s), len(self.kept))

    def _shown(self, order_id: str, merchant: str, revision: int) -> OrderView:
        found = self.kept.get(order_id)
        if found is None or found.merchant != merchant:
            raise NotFound
        if found.revision != revision or found.state in {State.FULFILLED, State.CANCELLED, State.REJECTED}:
            raise Conflict
        return found

    def _put(self, view: OrderView) -> OrderView:
        self.kept[view.id] = view
        self._note(view)
        return view

    def _note(self, view: OrderView) -> None:
        step = Step(view.state, view.revision, self.clock.wall_s(), "trusted", view.reason, view.attention)
        self.steps.setdefault(view.id, []).append(step)


def _demand_here(found: OrderView, only_unsent: bool) -> None:
    if only_unsent and found.was_sent:
        raise Conflict
