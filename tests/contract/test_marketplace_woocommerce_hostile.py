"""Whatever a shop answers, a delivery ends as not delivered or as a word on the order; nothing is believed unread."""

import json

import brotli
import pytest
from aiohttp import web

from gateway.backhaul.dialer import OpenDialer
from gateway.exchange.exchange import DeliveryLimits
from gateway.market.batch import Outcome
from gateway.market.marketplaces.port import NotDelivered
from gateway.market.marketplaces.woocommerce import WooCommerceMarketplace
from tests.clocks import HandClock
from tests.contract.market_fars import a_backhaul, a_batch, stored

LIMITS = DeliveryLimits(connect_s=1.0, silence_s=0.2, total_s=5.0, answer_bytes_max=10_000)
DEEP = "[" * 2_000 + "]" * 2_000


class Liar:
    """Answers every request with the same bytes."""

    def __init__(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.body, self.status, self.headers = body, status, headers
        self.runner = web.AppRunner(web.Application(), access_log=None)
        self.runner.app.router.add_route("*", "/{path:.*}", self._answer)

    async def _answer(self, request: web.Request) -> web.Response:
        return web.Response(body=self.body, status=self.status, headers=self.headers)

    async def __aenter__(self) -> WooCommerceMarketplace:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.marketplace = WooCommerceMarketplace(
            f"http://127.0.0.1:{self.runner.addresses[0][1]}",
            key="ck",
            secret="cs",
            dialer=OpenDialer(),
            backhaul=a_backhaul(),
            clock=HandClock(),
            limits=LIMITS,
        )
        await self.marketplace.start()
        return self.marketplace

    async def __aexit__(self, *_: object) -> None:
        await self.marketplace.stop()
        await self.runner.cleanup()


@pytest.mark.parametrize(
    ("body", "status", "headers"),
    [
        (b"", 200, {}),
        (b"\xff\x00", 200, {}),
        (b"{}", 200, {}),
        (b"null", 200, {}),
        (DEEP.encode(), 200, {}),
        (b'[{"id": 1, "id": 2}]', 200, {}),
        (b"[" + b"1" * 400 + b"]", 200, {}),
        (b"[]" + b" " * 20_000, 200, {}),
        (b"[]", 200, {"Content-Encoding": "br"}),
        (brotli.compress(b"[" + b" " * 50_000_000 + b"]", quality=1), 200, {"Content-Encoding": "br"}),
        (b"<html>A fatal error occurred", 500, {}),
        (b"[]", 302, {"Location": "http://127.0.0.1:1/"}),
        (b"[]", 404, {}),
    ],
)
async def test_a_faulty_answer_is_not_delivered(body: bytes, status: int, headers: dict[str, str]) -> None:
    async with Liar(body, status, **headers) as marketplace:
        with pytest.raises(NotDelivered):
            await marketplace.deliver(a_batch(*stored(1)))
        with pytest.raises(NotDelivered):
            await marketplace.catalogue("")
        with pytest.raises(NotDelivered):
            await marketplace.updates("")


async def test_a_list_of_nonsense_is_no_update_and_no_order() -> None:
    order_id = stored(1)[0].id
    good = [{"key": "_tambo_id", "value": order_id}, {"key": "_tambo_revision", "value": "1"}]
    whole = {"id": 1, "status": "completed", "date_modified_gmt": "2026-11-22T10:00:00", "meta_data": good}
    nonsense = [
        7,
        {},
        {**whole, "id": True},
        {**whole, "id": -1},
        {**whole, "status": 3},
        {**whole, "date_modified_gmt": "yesterday"},
        {**whole, "meta_data": "none"},
        {**whole, "meta_data": [{"key": "_tambo_id", "value": ["x"]}, 4]},
        {**whole, "meta_data": [{"key": "_tambo_id", "value": "../../x"}, good[1]]},
        {**whole, "meta_data": [good[0], {"key": "_tambo_revision", "value": "-1"}]},
        {**whole, "meta_data": [good[0], {"key": "_tambo_revision", "value": "9" * 30}]},
    ]
    async with Liar(json.dumps(nonsense).encode()) as marketplace:
        assert (await marketplace.updates("../etc")).receipts == ()
    async with Liar(json.dumps([whole]).encode()) as marketplace:
        assert [each.outcome for each in (await marketplace.updates("x")).receipts] == [Outcome.FULFILLED]


async def test_a_word_about_another_order_is_not_taken_for_one_about_ours() -> None:
    other, ours = stored(2)
    meta = [{"key": "_tambo_id", "value": other.id}, {"key": "_tambo_revision", "value": "1"}]
    found = {"id": 1, "status": "processing", "date_modified_gmt": "2026-11-22T10:00:00", "meta_data": meta}
    async with Liar(json.dumps([found]).encode()) as marketplace:
        with pytest.raises(NotDelivered):  # it is not there, and the currency cannot be read
            await marketplace.deliver(a_batch(ours))
