"""A WooCommerce shop is asked in few words and answers in few: only the fields that are read are asked for.

The key and its secret go in the head, never in an address, and only over TLS. A `400` to an order is the shop's word on
that order; every other answer without success is about the shop, and says nothing of what was sent.

Source: WooCommerce REST API v3 (8.0 or later), "Authentication over HTTPS", "Orders", "Products", "Data"; WordPress
REST API, `_fields`. No real shop was asked: the tests hold this to a contract written down from those pages.
"""

import asyncio
import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

from yarl import URL

from gateway.backhaul.sharing.classes import TrafficClass
from gateway.document import canonical
from gateway.errors import N_, CannotStart
from gateway.exchange.exchange import Answer, Exchange
from gateway.market.marketplaces.port import NotDelivered
from gateway.market.marketplaces.woo_orders import ID_KEY, REVISION_KEY, SEARCH_WORD, Found, read_orders, search_word
from gateway.market.marketplaces.woo_shelf import Product, asked_together, read_products
from gateway.market.order import for_people

PAGE_ENTRIES = 100  # the most that the shop gives at once
GONE = frozenset({404, 410})  # a double that another box put in the bin before us
NO_BIN = 501  # a shop that keeps no bin

_ORDER_FIELDS = "id,status,date_modified_gmt,meta_data"
_LINE_FIELDS = f"{_ORDER_FIELDS},line_items"
_PRODUCT_FIELDS = "id,sku,status,type,price,manage_stock,stock_quantity,stock_status,backorders_allowed"
_ARTICLE_FIELDS = f"{_PRODUCT_FIELDS},name,attributes,categories,images,date_modified_gmt"
_CURRENCY = re.compile(r"[A-Z]{3}")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Refused:
    """The shop does not take what was sent; `reason` is in its own words."""

    reason: str


def rest_address(url: str) -> URL:
    """Return where a shop's REST API is.

    Raises: CannotStart for an address that would show the key to whoever listens.
    """
    shop = URL(url)
    if shop.scheme != "https" and shop.host not in _LOOPBACK:
        raise CannotStart(
            N_("The shop's address must begin with https://."), N_("Mend it in [market]; the key would be readable.")
        )
    return shop / "wp-json" / "wc" / "v3"


class WooShop:
    """The REST API of one shop."""

    def __init__(self, rest: URL, key: str, secret: str, exchange: Exchange) -> None:
        self.origin = str(rest.origin())
        self._rest = rest
        self._exchange = exchange
        credentials = base64.b64encode(f"{key}:{secret}".encode()).decode()
        self._fields = {"Authorization": f"Basic {credentials}"}

    async def currency(self) -> str:
        """Return the shop's currency."""
        answer = await self._get("data/currencies/current", {"_fields": "code"}, TrafficClass.INTERACTIVE)
        document = await asyncio.to_thread(answer.document)
        code = document.get("code") if isinstance(document, dict) else None
        if not isinstance(code, str) or not _CURRENCY.fullmatch(code):
            raise NotDelivered(is_silent=False, reason="answer unreadable")
        return code

    async def find(self, order_id: str) -> list[Found]:
        """Return what stands at the shop under an order's id."""
        query = {"search": search_word(order_id), "per_page": str(PAGE_ENTRIES), **_ours(_ORDER_FIELDS)}
        entries = await self._list("orders", query, TrafficClass.INTERACTIVE)
        return [each for each in read_orders(entries) if each.order_id == order_id]

    async def changed_orders(self, modified_after: str, page: int) -> tuple[list[Found], bool]:
        """Return our orders that changed after a time in GMT, oldest first, and whether there may be more."""
        query = {"search": SEARCH_WORD, "orderby": "modified", "order": "asc", "per_page": str(PAGE_ENTRIES)}
        if modified_after:
            query |= {"modified_after": modified_after, "dates_are_gmt": "true"}
        query |= {"page": str(page), **_ours(_ORDER_FIELDS)}
        entries = await self._list("orders", query, TrafficClass.INTERACTIVE)
        return read_orders(entries), len(entries) >= PAGE_ENTRIES

    async def order(self, number: int) -> object:
        """Return an order with its lines."""
        answer = await self._get(f"orders/{number}", _ours(_LINE_FIELDS), TrafficClass.INTERACTIVE)
        return await asyncio.to_thread(answer.document)

    async def create(self, fields: Mapping[str, object]) -> int | Refused:
        """Make an order; return its number at the shop."""
        answer = await self._write("POST", "orders", fields)
        if isinstance(answer, Refused):
            return answer
        document = await asyncio.to_thread(answer.document)
        number = document.get("id") if isinstance(document, dict) else None
        if type(number) is not int:
            raise NotDelivered(is_silent=False, reason="answer unreadable")
        return number

    async def update(self, number: int, fields: Mapping[str, object]) -> Refused | None:
        """Change an order."""
        answer = await self._write("PUT", f"orders/{number}", fields)
        return answer if isinstance(answer, Refused) else None

    async def put_in_bin(self, number: int) -> None:
        """Put an order in the shop's bin, where it has one and the order is not there yet."""
        address = self._address(f"orders/{number}", {"_fields": "id"})
        answer = await self._exchange.ask("DELETE", address, fields=self._fields)
        if not answer.is_success and answer.status not in GONE | {NO_BIN}:
            raise self._failure(answer)

    async def products(self, skus: list[str], currency: str) -> dict[str, Product]:
        """Return those of these products that can be ordered, by SKU."""
        found: dict[str, Product] = {}
        for asked in asked_together(skus):
            query = {"sku": asked, "per_page": str(PAGE_ENTRIES), "_fields": _PRODUCT_FIELDS}
            found |= read_products(await self._list("products", query, TrafficClass.INTERACTIVE), currency)
        return found

    async def articles(self, modified_after: str, page: int) -> list[object]:
        """Return a page of products that changed after a time in GMT, in whatever state; all for ""."""
        query = {"orderby": "id", "order": "asc", "per_page": str(PAGE_ENTRIES), "page": str(page)}
        if modified_after:
            query |= {"modified_after": modified_after, "dates_are_gmt": "true"}
        return await self._list("products", {**query, "_fields": _ARTICLE_FIELDS}, TrafficClass.BULK)

    async def _list(self, path: str, query: Mapping[str, str], traffic_class: TrafficClass) -> list[object]:
        answer = await self._get(path, query, traffic_class)
        entries = await asyncio.to_thread(answer.document)
        if not isinstance(entries, list):
            raise NotDelivered(is_silent=False, reason="answer unreadable")
        return entries[:PAGE_ENTRIES]  # whatever the shop sends, no more than was asked for

    async def _get(self, path: str, query: Mapping[str, str], traffic_class: TrafficClass) -> Answer:
        answer = await self._exchange.ask(
            "GET", self._address(path, query), fields=self._fields, traffic_class=traffic_class
        )
        if not answer.is_success:
            raise self._failure(answer)
        return answer

    async def _write(self, method: str, path: str, fields: Mapping[str, object]) -> Answer | Refused:
        head = {**self._fields, "Content-Type": "application/json"}
        address = self._address(path, {"_fields": "id"})
        answer = await self._exchange.ask(method, address, canonical(fields), fields=head)
        if answer.status == 400:
            document = await asyncio.to_thread(answer.document)
            return Refused(for_people(document.get("message")) if isinstance(document, dict) else "")
        if not answer.is_success:
            raise self._failure(answer)
        return answer

    def _address(self, path: str, query: Mapping[str, str]) -> URL:
        return (self._rest / path).with_query(query)

    def _failure(self, answer: Answer) -> NotDelivered:
        """Return a failure that is not held against the orders: the shop never looked at them."""
        exc = self._exchange.failure(answer)
        return NotDelivered(is_silent=False, reason=exc.reason, retry_after_s=exc.retry_after_s)


def _ours(fields: str) -> dict[str, str]:
    return {"_fields": fields, "include_meta": f"{ID_KEY},{REVISION_KEY}"}
