"""A WooCommerce shop's REST API as it is written down in `recorded/`, with state behind it.

A request that the recorded contract does not know (a path, a query's name, a field that cannot be written) is answered
with its 400 and noted in `strangers`. Where the contract is silent it does what the shop's source does: `search` looks
for part of a word in addresses and item names, stock moves with the status and not with the lines, nothing is unique.
"""

import asyncio
import base64
import copy
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

KEY, SECRET = "ck_of_the_box", "cs_of_the_box"
RECORDED = Path(__file__).parent / "recorded" / "woocommerce"
_TAKES_STOCK = {"processing", "on-hold", "completed"}
_GIVES_STOCK = {"pending", "cancelled"}


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


class FakeWooCommerce:
    """A shop with two products, that can be cut off at any request."""

    def __init__(self) -> None:
        self.orders: dict[int, dict[str, Any]] = {}
        self.products = [a_product(92, "papa-amarilla", "3.50"), a_product(93, "quinua", "8.99")]
        self.requests: list[tuple[str, str]] = []
        self.strangers: list[str] = []
        self.refuse = 0  # so many requests to come are answered 503
        self.lose = 0  # so many changes to come are made, and their answers lost
        self.cut_at: int | None = None  # the request with this number is cut
        self.cuts_after = False  # … after it was worked through
        self.is_blind = False  # the search finds nothing
        self.slow: asyncio.Event | None = None  # the next order is made when this is set, and its answer lost
        self.made_late = asyncio.Event()
        self._late: asyncio.Task[None] | None = None
        self._second = 0
        self._order = recorded("order")
        self._runner: web.AppRunner | None = None
        self.app = web.Application(middlewares=[self._at_the_door])
        rest = "/shop/wp-json/wc/v3"
        self.app.add_routes(
            [
                web.get(f"{rest}/orders", self._list_orders),
                web.post(f"{rest}/orders", self._create),
                web.get(f"{rest}/orders/{{id}}", self._retrieve),
                web.put(f"{rest}/orders/{{id}}", self._update),
                web.delete(f"{rest}/orders/{{id}}", self._delete),
                web.get(f"{rest}/products", self._list_products),
                web.get(f"{rest}/data/currencies/current", self._currency),
                web.get("/shop/wp-content/{name}", self._picture),
            ]
        )

    async def start(self) -> str:
        self._runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/shop"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def standing(self) -> dict[str, list[dict[str, Any]]]:
        """Orders with an id of ours that count: not in the bin, and not said to be doubles."""
        found: dict[str, list[dict[str, Any]]] = {}
        for order in self.orders.values():
            order_id = meta(order).get("_tambo_id", "")
            if len(order_id) == 36 and order["status"] != "trash":
                found.setdefault(order_id, []).append(order)
        return found

    def product(self, sku: str) -> dict[str, Any]:
        return next(each for each in self.products if each["sku"] == sku)

    def set_status(self, number: int, status: str) -> None:
        """What a person at the shop does."""
        self._set_status(self.orders[number], status)
        self._touch(self.orders[number])

    # the door

    @web.middleware
    async def _at_the_door(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        number = len(self.requests)
        self.requests.append((request.method, request.path_qs))
        is_cut = number == self.cut_at
        if is_cut and not self.cuts_after:
            return self._cut(request)
        if self.refuse:
            self.refuse -= 1
            return _error("busy")
        if "/wp-json/" in request.path:
            wanted = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
            if request.headers.get("Authorization") != f"Basic {wanted}":
                return _error("unauthorized")
        answer = await handler(request)
        if is_cut:
            return self._cut(request)
        if request.method != "GET" and self.lose:
            self.lose -= 1
            return self._cut(request)
        return answer

    def _cut(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def _stranger(self, name: str) -> web.Response:
        self.strangers.append(name)
        return _error("invalid-parameter")

    # orders

    async def _list_orders(self, request: web.Request) -> web.Response:
        contract = recorded("list-orders")["request"]
        query = request.query
        if strange := set(query) - set(contract["query"]):
            return self._stranger(f"orders?{strange}")
        if query.get("orderby", "date") not in contract["orderby"]:
            return self._stranger("orderby")
        found = [each for each in self.orders.values() if each["status"] != "trash"]
        if word := query.get("search", "").lower():
            found = [each for each in found if word in _searched(each) and not self.is_blind]
        if after := query.get("modified_after"):
            assert query.get("dates_are_gmt") == "true"
            found = [each for each in found if each["date_modified_gmt"] > after]
        if query.get("orderby") == "modified":
            found.sort(key=lambda each: (each["date_modified_gmt"], each["id"]))
        if query.get("order", "desc") == "desc":
            found.reverse()
        return web.json_response([_shown(each, query) for each in _page(found, query)])

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        if strange := self._strange(body):
            return self._stranger(strange)
        if self.slow is not None:
            slow, self.slow = self.slow, None
            assert request.transport is not None
            request.transport.abort()
            self._late = asyncio.get_running_loop().create_task(self._make_late(slow, body))
            return web.Response()
        return web.json_response(_shown(self._make(body), request.query), status=201)

    async def _make_late(self, slow: asyncio.Event, body: dict[str, Any]) -> None:
        await slow.wait()
        self._make(body)
        self.made_late.set()

    def _make(self, body: dict[str, Any]) -> dict[str, Any]:
        order: dict[str, Any] = copy.deepcopy(self._order["answer"])
        number = 727 + len(self.orders)
        order |= {"id": number, "number": str(number)}
        self.orders[number] = order
        self._write(order, body)
        return order

    async def _retrieve(self, request: web.Request) -> web.Response:
        order = self._of(request)
        if order is None:
            return _error("no-such-order")
        return web.json_response(_shown(order, request.query))

    async def _update(self, request: web.Request) -> web.Response:
        order, body = self._of(request), await request.json()
        if order is None:
            return _error("invalid-id")
        if strange := self._strange(body):
            return self._stranger(strange)
        self._write(order, body)
        return web.json_response(_shown(order, request.query))

    async def _delete(self, request: web.Request) -> web.Response:
        order = self._of(request)
        if order is None:
            return _error("no-such-order")
        if order["status"] == "trash":
            return _error("already-trashed")
        answer = web.json_response(_shown(order, request.query))
        order["status"] = "trash"
        self._touch(order)
        return answer

    def _of(self, request: web.Request) -> dict[str, Any] | None:
        return self.orders.get(int(request.match_info["id"]))

    def _strange(self, body: dict[str, Any]) -> str:
        contract = self._order
        if strange := set(body) - set(contract["writable"]):
            return f"order: {strange}"
        if body.get("status", "pending") not in contract["status"]:
            return "status"
        for name, allowed in (("billing", "writable_address"), ("shipping", "writable_address")):
            if strange := set(body.get(name, {})) - set(contract[allowed]):
                return f"{name}: {strange}"
        for name, allowed in (("line_items", "writable_line_item"), ("meta_data", "writable_meta_data")):
            for each in body.get(name, []):
                if strange := set(each) - set(contract[allowed]):
                    return f"{name}: {strange}"
        if any(not isinstance(each.get("quantity", 1), int) for each in body.get("line_items", [])):
            return "quantity"
        return ""

    def _write(self, order: dict[str, Any], body: dict[str, Any]) -> None:
        for name, value in body.items():
            match name:
                case "status":
                    pass
                case "billing" | "shipping":
                    order[name] |= value
                case "meta_data":
                    for each in value:
                        self._write_meta(order, each)
                case "line_items":
                    for each in value:
                        self._write_line(order, each)
                case _:
                    order[name] = value
        if "status" in body:
            self._set_status(order, body["status"])
        self._touch(order)

    def _write_meta(self, order: dict[str, Any], entry: dict[str, Any]) -> None:
        for each in order["meta_data"]:
            if each["key"] == entry["key"]:
                each["value"] = entry["value"]
                return
        order["meta_data"].append({**self._order["meta_data"], "id": 13_106 + len(order["meta_data"]), **entry})

    def _write_line(self, order: dict[str, Any], entry: dict[str, Any]) -> None:
        if "id" in entry:
            assert entry["quantity"] == 0
            order["line_items"] = [each for each in order["line_items"] if each["id"] != entry["id"]]
            return
        product = next(each for each in self.products if each["id"] == entry["product_id"])
        self._second += 1
        order["line_items"].append(
            {
                **copy.deepcopy(self._order["line_item"]),
                "id": 315 + self._second,
                "product_id": product["id"],
                "sku": product["sku"],
                "name": product["name"],
                "quantity": entry["quantity"],
            }
        )

    def _set_status(self, order: dict[str, Any], status: str) -> None:
        reduced = meta(order).get("_order_stock_reduced") == "yes"
        if status in _TAKES_STOCK and not reduced:
            self._move_stock(order, -1, "yes")
        elif status in _GIVES_STOCK and reduced:
            self._move_stock(order, 1, "no")
        order["status"] = status

    def _move_stock(self, order: dict[str, Any], sign: int, mark: str) -> None:
        for line in order["line_items"]:
            product = self.product(line["sku"])
            if product["manage_stock"]:
                product["stock_quantity"] += sign * line["quantity"]
        self._write_meta(order, {"key": "_order_stock_reduced", "value": mark})

    def _touch(self, thing: dict[str, Any]) -> None:
        self._second += 1
        minutes, seconds = divmod(self._second, 60)
        thing["date_modified_gmt"] = f"2026-11-22T{10 + minutes // 60:02}:{minutes % 60:02}:{seconds:02}"

    # products

    async def _list_products(self, request: web.Request) -> web.Response:
        query = request.query
        contract = recorded("list-products")["request"]
        if strange := set(query) - set(contract["query"]):
            return self._stranger(f"products?{strange}")
        found = list(self.products)
        if skus := query.get("sku"):
            found = [each for each in found if each["sku"] in {*skus.split(","), skus}]
        else:
            found = [each for each in found if each["type"] != "variation"]
        if after := query.get("modified_after"):
            assert query.get("dates_are_gmt") == "true"
            found = [each for each in found if each["date_modified_gmt"] > after]
        return web.json_response([_shown(each, query) for each in _page(found, query)])

    async def _currency(self, request: web.Request) -> web.Response:
        return web.json_response(_shown(recorded("current-currency")["answer"]["body"], request.query))

    async def _picture(self, request: web.Request) -> web.Response:
        return web.Response(body=b"a picture", content_type="image/jpeg")


def a_product(number: int, sku: str, price: str, **changes: Any) -> dict[str, Any]:
    """A product of the shop, after the recorded one."""
    product: dict[str, Any] = copy.deepcopy(recorded("list-products")["answer"]["body"][0])
    named = {"id": number, "sku": sku, "name": sku.replace("-", " ").title(), "price": price, "regular_price": price}
    return product | named | changes


def meta(order: dict[str, Any]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in order["meta_data"]}


def _searched(order: dict[str, Any]) -> str:
    words = [*order["billing"].values(), *order["shipping"].values(), *(each["name"] for each in order["line_items"])]
    return " ".join(words).lower()


def _page(found: list[dict[str, Any]], query: Any) -> list[dict[str, Any]]:
    size, page = int(query.get("per_page", "10")), int(query.get("page", "1"))
    assert 1 <= size <= 100
    return found[(page - 1) * size : page * size]


def _shown(thing: dict[str, Any], query: Any) -> dict[str, Any]:
    shown = copy.deepcopy(thing)
    if keys := query.get("include_meta"):
        shown["meta_data"] = [each for each in shown["meta_data"] if each["key"] in keys.split(",")]
    fields = query.get("_fields")
    return {name: shown[name] for name in fields.split(",") if name in shown} if fields else shown


def _error(name: str) -> web.Response:
    answer = recorded("errors")["answers"][name]
    return web.json_response(answer["body"], status=answer["status"], headers=answer.get("fields"))
