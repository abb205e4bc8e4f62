"""A WooCommerce shop gets each order once, though its API has no way to say so: look, make, look again, make real.

A cut between any two of the calls leaves at most an order that is not real yet, which the next delivery finds and goes
on with. Of two that were made at the same time the later goes: whoever made it sees both, because each looks after it
has made its own. A call that the shop finishes only after we gave up can still leave a double; the question for updates
finds it then, and it goes as well.

Orders go one by one, in four calls each: for shops with tens of orders a day. Once the first one is through, a failure
ends the batch and tells the receipts there are. No real shop was asked; see docs/marketplaces/woocommerce.md.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from yarl import URL

from gateway.backhaul.dialer import Dialer
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import Clock
from gateway.exchange.exchange import DeliveryLimits, Exchange
from gateway.market.attention import Attention, Code
from gateway.market.batch import Batch, Outcome, Receipt
from gateway.market.catalogue.model import Delta
from gateway.market.marketplaces import woo_catalogue, woo_orders, woo_shelf
from gateway.market.marketplaces.port import NotDelivered, PartlyDelivered, Updates
from gateway.market.marketplaces.woo_orders import Found, second_before
from gateway.market.marketplaces.woo_shelf import OTHER_CURRENCY, Product
from gateway.market.marketplaces.woo_shop import Refused, WooShop, rest_address
from gateway.market.order import Order
from gateway.market.records import StoredOrder

ORDERS_AT_ONCE = 20  # a batch for a shop that is asked order by order: about 80 kB and a minute on a slow link
KNOWN_MAX = 10_000  # orders of which the number at the shop is remembered, to see a double when it turns up
BLIND_S = 3_600.0  # until a shop whose search did not find what was made gets another try: each leaves one in its bin
BLIND = "order not found by its search word"
_CURSOR = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})?/([1-9][0-9]{0,5})")


class WooCommerceMarketplace:
    """A shop that is reached by WooCommerce's REST API."""

    def __init__(
        self,
        url: str,
        *,
        key: str,
        secret: str,
        dialer: Dialer,
        backhaul: Backhaul,
        clock: Clock,
        prices_include_tax: bool = True,
        limits: DeliveryLimits | None = None,
    ) -> None:
        rest = rest_address(url)
        self._exchange = Exchange(rest, dialer=dialer, backhaul=backhaul, clock=clock, limits=limits)
        self._shop = WooShop(rest, key, secret, self._exchange)
        self._clock = clock
        self._prices_include_tax = prices_include_tax
        self._currency = ""
        self._known: dict[str, int] = {}
        self._blind_until_s = 0.0

    async def start(self) -> None:
        """Be ready to deliver; nothing is dialled yet."""
        await self._exchange.start()

    async def stop(self) -> None:
        """Close the connections that were kept."""
        await self._exchange.stop()

    async def deliver(self, batch: Batch) -> Sequence[Receipt]:
        """Return what the shop says of each order.

        Raises: NotDelivered, with what it said until then.
        """
        delivery = _Delivery(batch, self._shop)
        receipts: list[Receipt] = []
        for stored in batch.orders:
            try:
                receipts.append(await self._place(stored, delivery))
            except NotDelivered as exc:
                raise PartlyDelivered(exc, receipts) from exc
        return receipts

    async def updates(self, cursor: str) -> Updates:
        """Return what the shop decided since `cursor`; what changed in its last second is told again.

        Raises: NotDelivered.
        """
        match = _CURSOR.fullmatch(cursor)
        stamp, page = (match[1] or "", int(match[2])) if match else ("", 1)
        found, is_full = await self._shop.changed_orders(second_before(stamp), page)
        for each in found:
            if each.order_id not in self._known:
                self._remember(each)
            elif self._known[each.order_id] != each.number:
                await self._settled(each.order_id)
        newest = max([each.modified for each in found], default=stamp)
        page = page + 1 if is_full and newest <= stamp else 1  # more than a page in the same second
        receipts = [receipt for each in found if (receipt := woo_orders.decided(each)) is not None]
        return Updates(tuple(receipts), f"{max(newest, stamp)}/{page}", is_all=not is_full)

    async def catalogue(self, version: str) -> Delta:
        """Return what changed since a version; all of it for "", and once a week.

        Raises: NotDelivered.
        """
        currency = await self._currency_of_shop()
        return await woo_catalogue.fetch(
            self._shop, version, self._clock.wall_s(), currency, prices_include_tax=self._prices_include_tax
        )

    async def picture(self, address: str, bytes_max: int) -> bytes:
        """Return a product's photo; only the shop itself is asked for it.

        Raises: NotDelivered.
        """
        try:
            url = URL(address)
        except ValueError as exc:
            raise NotDelivered(is_silent=False, reason="no address") from exc
        answer = await self._exchange.ask("GET", url, traffic_class=TrafficClass.BULK, answer_bytes_max=bytes_max)
        if not answer.is_success:
            raise self._exchange.failure(answer)
        return answer.body

    async def _place(self, stored: StoredOrder, delivery: "_Delivery") -> Receipt:
        """Bring one order to the shop, from wherever an earlier delivery left it."""
        kept = await self._settled(stored.id)
        return await (self._create(stored, delivery) if kept is None else self._go_on(stored, kept, delivery))

    async def _go_on(self, stored: StoredOrder, kept: Found, delivery: "_Delivery") -> Receipt:
        if kept.revision < stored.revision:
            return await self._change(stored, kept, delivery)
        if kept.revision == stored.revision and kept.status == woo_orders.PENDING and not stored.is_cancelled:
            return await self._update(stored, kept.number, woo_orders.to_confirm(stored), Outcome.DUPLICATE)
        decided = woo_orders.decided(kept) if kept.revision == stored.revision and not stored.is_cancelled else None
        return decided or Receipt(stored.id, Outcome.DUPLICATE, revision=stored.revision)

    async def _create(self, stored: StoredOrder, delivery: "_Delivery") -> Receipt:
        if self._clock.now_s() < self._blind_until_s:
            raise NotDelivered(is_silent=False, reason=BLIND)
        box = delivery.batch.box
        if stored.is_cancelled:
            made = await self._shop.create(woo_orders.to_bury(stored, box))
        else:
            hindrance = await self._hindrance(stored, delivery, {})
            if hindrance is not None:
                return hindrance
            made = await self._shop.create(woo_orders.to_create(stored, box, await delivery.shelf(self._currency)))
        if isinstance(made, Refused):
            return _refused(stored, made)
        kept = await self._settled(stored.id)
        if kept is None:
            return await self._take_back(made)
        if kept.number != made:
            return await self._go_on(stored, kept, delivery)
        if stored.is_cancelled:
            return Receipt(stored.id, Outcome.ACCEPTED, revision=stored.revision)
        delivery.took(stored.order, {})
        return await self._update(stored, made, woo_orders.to_confirm(stored))

    async def _change(self, stored: StoredOrder, kept: Found, delivery: "_Delivery") -> Receipt:
        box = delivery.batch.box
        if stored.is_cancelled and kept.status in woo_orders.OPEN | {woo_orders.CANCELLED}:
            return await self._update(stored, kept.number, woo_orders.to_cancel(stored, box))
        if kept.status not in woo_orders.OPEN:
            return Receipt(stored.id, Outcome.ATTENTION, "", stored.revision, Attention(Code.CHANGE_NOT_TAKEN))
        old_lines, held = woo_orders.held_lines(await self._shop.order(kept.number))
        if kept.status == woo_orders.PENDING:
            held = {}  # its goods are in the shop's stock
        hindrance = await self._hindrance(stored, delivery, held)
        if hindrance is not None:
            return hindrance
        if kept.status != woo_orders.PENDING:
            # the REST API moves no stock when lines go or come; to `pending` and back does
            refused = await self._shop.update(kept.number, {"status": woo_orders.PENDING})
            if refused is not None:
                return _refused(stored, refused)
        fields = woo_orders.to_change(stored, box, await delivery.shelf(self._currency), old_lines)
        delivery.took(stored.order, held)
        return await self._update(stored, kept.number, fields)

    async def _update(
        self, stored: StoredOrder, number: int, fields: Mapping[str, object], outcome: Outcome = Outcome.ACCEPTED
    ) -> Receipt:
        refused = await self._shop.update(number, fields)
        return Receipt(stored.id, outcome, revision=stored.revision) if refused is None else _refused(stored, refused)

    async def _settled(self, order_id: str) -> Found | None:
        """Return the one order that stays, after its doubles are out of the count and in the bin."""
        found = await self._shop.find(order_id)
        kept = woo_orders.keeper(found)
        if kept is None:
            return None
        for double in found:
            if double.number != kept.number:
                await self._shop.update(double.number, woo_orders.to_drop(kept.number))
                await self._shop.put_in_bin(double.number)
        self._remember(kept)
        return kept

    async def _take_back(self, number: int) -> NoReturn:
        """Undo an order that the search does not find: what cannot be found again cannot be kept from doubling."""
        await self._shop.update(number, woo_orders.to_drop(number))
        await self._shop.put_in_bin(number)
        self._blind_until_s = self._clock.now_s() + BLIND_S
        raise NotDelivered(is_silent=False, reason=BLIND)

    async def _hindrance(self, stored: StoredOrder, delivery: "_Delivery", held: dict[str, int]) -> Receipt | None:
        currency = await self._currency_of_shop()
        if stored.order.currency != currency:
            found = woo_shelf.Hindrance(Attention(Code.OTHER), OTHER_CURRENCY)
        else:
            shelf = await delivery.shelf(currency)
            hindrance = woo_shelf.hindrance(stored.order, shelf, held)
            if hindrance is None:
                return None
            found = hindrance
        return Receipt(stored.id, Outcome.ATTENTION, found.reason, stored.revision, found.attention)

    async def _currency_of_shop(self) -> str:
        if not self._currency:
            self._currency = await self._shop.currency()
        return self._currency

    def _remember(self, kept: Found) -> None:
        self._known.pop(kept.order_id, None)
        self._known[kept.order_id] = kept.number
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]


@dataclass(slots=True)
class _Delivery:
    """One batch on its way: what the shop has of all its articles is asked once."""

    batch: Batch
    shop: WooShop
    _shelf: dict[str, Product] | None = field(default=None)

    def took(self, order: Order, held: Mapping[str, int]) -> None:
        """Note that there is less for the orders that follow."""
        if self._shelf is not None:
            self._shelf = woo_shelf.after(order, self._shelf, held)

    async def shelf(self, currency: str) -> dict[str, Product]:
        if self._shelf is None:
            lines = (line for stored in self.batch.orders if not stored.is_cancelled for line in stored.order.lines)
            self._shelf = await self.shop.products(list(dict.fromkeys(line.sku for line in lines)), currency)
        return self._shelf


def _refused(stored: StoredOrder, refused: Refused) -> Receipt:
    return Receipt(stored.id, Outcome.ATTENTION, refused.reason, stored.revision, Attention(Code.OTHER))
