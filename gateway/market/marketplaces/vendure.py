"""A Vendure 3 shop takes orders through its Admin API: each becomes exactly one order there, no draft is left.

Vendure knows no idempotent order. What makes one of it is a unique custom field, `Order.externalId`, looked up first
and set by the second call.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from yarl import URL

from gateway.backhaul.dialer import Dialer
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import Clock, iso_utc
from gateway.exchange.exchange import DeliveryLimits, Exchange
from gateway.market.batch import Batch, Outcome, Receipt
from gateway.market.catalogue.model import Article, Delta
from gateway.market.marketplaces import vendure_documents as documents
from gateway.market.marketplaces.graphql import Reply, at, text, whole
from gateway.market.marketplaces.port import NotDelivered, PartlyDelivered, Updates
from gateway.market.marketplaces.vendure_api import AdminApi, Credentials
from gateway.market.marketplaces.vendure_articles import delta, read_article
from gateway.market.marketplaces.vendure_drafts import NamelessDrafts
from gateway.market.marketplaces.vendure_orders import ShopOrders, ShopWays
from gateway.market.marketplaces.vendure_shop import Shop, read_shop, read_time
from gateway.market.order import is_order_id
from gateway.market.records import StoredOrder

_ORDERS_AT_ONCE = 20  # of one look-up; with their lines, at most 400 KB
_LINES_AT_ONCE = 400
_ARTICLES_A_PAGE = 100
_ARTICLES_MAX = 20_000
_UPDATES_A_PAGE = 100
_OVERLAP_S = 10.0  # an order changed by a transaction that ended after a later one's is not missed
_OVERLAP_ORDERS = 10  # of two pages: an order that changes while they are read moves the others up
_OUTCOMES = {"Delivered": Outcome.FULFILLED, "Cancelled": Outcome.CANCELLED}


class VendureMarketplace:
    """A shop whose Admin API is at `url`, like https://shop.example/admin-api."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        dialer: Dialer,
        backhaul: Backhaul,
        clock: Clock,
        channel_token: str = "",
        ways: ShopWays | None = None,
        unit: str = "unidad",
        limits: DeliveryLimits | None = None,
    ) -> None:
        self._url = URL(url)
        self._ways = ways or ShopWays()
        self._unit = unit  # of articles that name none
        self._exchange = Exchange(self._url, dialer=dialer, backhaul=backhaul, clock=clock, limits=limits)
        self._api = AdminApi(self._url, self._exchange, credentials, channel_token=channel_token)
        self._orders = ShopOrders(self._api, self._ways)
        self._delivering = asyncio.Lock()  # two at once would both find an order absent
        self._drafts = NamelessDrafts(self._api, self._ways.orphan_s)
        self._version = ""
        self._articles: Mapping[str, Article] = {}

    async def start(self) -> None:
        """Be ready to deliver; nothing is dialled yet."""
        await self._exchange.start()

    async def stop(self) -> None:
        """Close the connections that were kept."""
        await self._exchange.stop()

    async def deliver(self, batch: Batch) -> Sequence[Receipt]:
        """Return what the shop says of each order, one after another.

        Raises: NotDelivered, with what it said until then.
        """
        receipts: list[Receipt] = []
        async with self._delivering:
            try:
                for some in _portions(batch.orders):
                    view = await self._orders.look_up(some)
                    for stored in some:
                        receipts.append(await self._orders.place(stored, view))  # noqa: PERF401 - the next may be cut
                if receipts and self._drafts.may_be_there:
                    await self._drafts.remove()
            except NotDelivered as exc:
                self._drafts.may_be_there = True
                raise PartlyDelivered(exc, receipts) from exc
        return receipts

    async def updates(self, cursor: str) -> Updates:
        """Return the orders that were delivered or cancelled since `cursor`, and leave no draft of ours behind.

        Raises: NotDelivered.
        """
        async with self._delivering:
            await self._drafts.remove()
        after, skip = _read_cursor(cursor)
        reply = await self._api.ask(
            documents.UPDATES, {"after": after, "skip": skip, "take": _UPDATES_A_PAGE}, traffic_class=TrafficClass.BULK
        )
        entries = at(reply.data, "orders", "items")
        if reply.errors or not isinstance(entries, list):
            raise NotDelivered(is_silent=False, reason="shop not set up")
        entries = entries[:_UPDATES_A_PAGE]  # whatever the shop sends, no more than was asked for
        receipts = tuple(word for entry in entries if (word := _word(entry)) is not None)
        if len(entries) >= _UPDATES_A_PAGE:
            return Updates(receipts, f"{after} {skip + len(entries) - _OVERLAP_ORDERS}", is_all=False)
        last_s = max(
            (wall_s for entry in entries if (wall_s := read_time(at(entry, "updatedAt"))) is not None), default=None
        )
        following = cursor if last_s is None else iso_utc(max(last_s - _OVERLAP_S, 0.0))
        return Updates(receipts, following)

    async def catalogue(self, version: str) -> Delta:
        """Return what changed since the version that was fetched last, or all of it.

        Raises: NotDelivered.
        """
        articles: dict[str, Article] = {}
        shop, skip, total = None, 0, 1
        while skip < min(total, _ARTICLES_MAX) or shop is None:
            reply = await self._api.ask(
                documents.articles(has_units=self._ways.has_units),
                {"skip": skip, "take": _ARTICLES_A_PAGE},
                traffic_class=TrafficClass.BULK,
            )
            shop, total, page = self._page(reply)
            for article in page:
                articles.setdefault(article.sku, article)
            skip += _ARTICLES_A_PAGE
        is_known = version != "" and version == self._version
        before, base = (self._articles, version) if is_known else ({}, "")
        found = await asyncio.to_thread(delta, before, base, articles, shop)
        self._version, self._articles = found.version, articles
        return found

    async def picture(self, address: str, bytes_max: int) -> bytes:
        """Return an article's photo by the address its catalogue gives; only the shop's own server is asked.

        Raises: NotDelivered.
        """
        answer = await self._exchange.ask(
            "GET", self._absolute(address), traffic_class=TrafficClass.BULK, answer_bytes_max=bytes_max
        )
        if not answer.is_success:
            raise self._exchange.failure(answer)
        return answer.body

    def _absolute(self, address: str) -> URL:
        try:
            return self._url.join(URL(address))
        except ValueError as exc:
            raise NotDelivered(is_silent=False, reason="no address") from exc

    def _page(self, reply: Reply) -> tuple[Shop, int, list[Article]]:
        """Return the shop, how many articles it has, and those of this page that are on sale."""
        shop, entries = read_shop(reply.data), at(reply.data, "productVariants", "items")
        total = whole(at(reply.data, "productVariants", "totalItems"))
        if reply.errors or shop is None or total is None or not isinstance(entries, list):
            raise NotDelivered(is_silent=False, reason="shop not set up")
        page = [read_article(each, shop, self._unit) for each in entries[:_ARTICLES_A_PAGE]]
        return shop, total, [article for article in page if article is not None]


def _portions(orders: Sequence[StoredOrder]) -> Iterator[list[StoredOrder]]:
    """Yield a batch's orders as many at once as one look-up takes."""
    some: list[StoredOrder] = []
    lines = 0
    for stored in orders:
        count = len(stored.order.lines)
        if some and (len(some) >= _ORDERS_AT_ONCE or lines + count > _LINES_AT_ONCE):
            yield some
            some, lines = [], 0
        some.append(stored)
        lines += count
    if some:
        yield some


def _word(entry: object) -> Receipt | None:
    external_id = text(at(entry, "customFields", "externalId")).lower()
    outcome = _OUTCOMES.get(text(at(entry, "state")))
    if outcome is None or not is_order_id(external_id):
        return None
    return Receipt(external_id, outcome, revision=max(whole(at(entry, "customFields", "externalRevision")) or 1, 1))


def _read_cursor(cursor: str) -> tuple[str, int]:
    """Return the time after which, and how many of what follows it are known already."""
    after, _, known = cursor.partition(" ")
    if read_time(after) is None:
        return iso_utc(0.0), 0
    return after, int(known) if known.isascii() and known.isdigit() and len(known) < 10 else 0
