"""What a marketplace or a merchant says cannot take a page away, nor what a shop asks for hold up another's."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from gateway.errors import NoCapacity
from gateway.languages import translations
from gateway.market.attention import Attention, Code, Remark
from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.order import PRICE_MINOR_MAX, Order, order_from
from gateway.market.shares import Shares
from gateway.portal import bulk_export, typed_figures
from gateway.portal.identity import VISIT
from gateway.portal.portal import PAGES_AT_ONCE, Portal
from gateway.portal.resolution import proposal


def test_a_price_finer_than_its_currency_is_asked_for_again_and_not_cut() -> None:
    assert typed_figures.price_minor("350,5", "CLP") is None
    assert typed_figures.price_minor("350,0", "CLP") == 350
    assert typed_figures.price_minor("3,50", "PEN") == 350


def taxed() -> tuple[Order, Catalogue]:
    line = {"sku": "oro", "name": "Oro", "quantity": "900000", "unit": "kg", "unit_price_minor": 1}
    tax = {"name": "IGV", "rate": "18", "amount_minor": 1}
    order = order_from(
        {
            "id": "0b8f8d2e-4f0e-4a53-9d5c-0d3a7f1c2b3d",
            "currency": "PEN",
            "buyer": {"name": "Julia", "phone": "999999"},
            "lines": [line],
            "taxes": [tax],
        }
    )
    return order, Catalogue("1", "PEN", (Article("oro", "Oro", "kg", 1, "PEN", tax_name="IGV", tax_rate="18"),))


def test_a_price_whose_taxes_no_order_can_hold_leaves_nothing_to_agree_to() -> None:
    order, catalogue = taxed()
    attention = Attention(Code.PRICE_CHANGED, (Remark("oro", PRICE_MINOR_MAX),))
    assert proposal(order, attention, catalogue) is None


async def test_a_shop_that_holds_many_pages_open_leaves_the_others_theirs() -> None:
    portal = cast("Any", object.__new__(Portal))
    portal._shares = Shares(PAGES_AT_ONCE)
    gate = asyncio.Event()

    async def page(request: web.Request) -> web.StreamResponse:
        if cast("Any", request)[VISIT].account.shop == "eve":
            await gate.wait()
        return web.Response()

    def of(shop: str) -> web.Request:
        return cast("web.Request", {VISIT: SimpleNamespace(account=SimpleNamespace(shop=shop))})

    async with asyncio.TaskGroup() as tasks:
        for _ in range(PAGES_AT_ONCE):
            tasks.create_task(portal._within_share(page, of("eve")))
        await asyncio.sleep(0)
        with pytest.raises(NoCapacity):
            await portal._within_share(page, of("eve"))
        assert (await portal._within_share(page, of("ana"))).status == 200
        gate.set()


def test_rows_of_an_export_are_asked_for_few_at_a_time() -> None:
    assert bulk_export._AT_ONCE * 200 <= 4_000, "lines that are read and written at once"


async def test_rows_of_an_export_are_written_apart_from_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    written_by: list[threading.Thread] = []

    def noted(*_: object) -> bytes:
        written_by.append(threading.current_thread())
        return b""

    class Sent:
        async def nothing(self, *_: object) -> None:
            pass

        prepare = write = write_eof = nothing

    async def orders(*_: object, before: int | None = None, **__: object) -> list[object]:
        return [] if before else [SimpleNamespace(number=1)]

    monkeypatch.setattr(bulk_export, "_part", noted)
    monkeypatch.setattr(bulk_export, "attached", lambda *_: Sent())
    room = cast("Any", SimpleNamespace(orders=orders))
    await asyncio.to_thread(translations, "es")
    for kind in ("csv", "xlsx"):
        await bulk_export.send_orders(cast("web.Request", None), room, "ana", kind, "es")
    assert len(written_by) == 2
    assert threading.main_thread() not in written_by
