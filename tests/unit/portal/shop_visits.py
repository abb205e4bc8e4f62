"""A portal with a shop that has orders, and what a merchant's browser sends to it."""

import re
import uuid
from asyncio import to_thread as aside
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path

from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.order import Order, order_from
from tests.clocks import HandClock
from tests.unit.portal.small_portal import PASSWORD, Page, SmallBrowser, SmallPortal, small_portal

ARTICLES = (
    Article("papa", "Papa amarilla", "kg", 350, "PEN", "Tubérculos", "12.5", "IGV", "18"),
    Article("queso", "Queso fresco", "molde", 1800, "PEN", "Lácteos", "0"),
    Article("nuna", "Ñuña de Áncash", "kg", 900, "PEN", "Menestras"),
)


@asynccontextmanager
async def shop(folder: Path, clock: HandClock) -> AsyncIterator[SmallPortal]:
    """A portal with the merchant rosa and her cashier luz."""
    async with small_portal(folder, clock) as village:
        village.market.storefront.offer(Catalogue("v1", "PEN", ARTICLES))
        await aside(village.accounts.add, "rosa", "merchant", PASSWORD)
        await aside(lambda: village.accounts.add("luz", "cashier", PASSWORD, shop="rosa"))
        yield village


def an_order(*lines: tuple[str, str, int], **fields: object) -> Order:
    """An order of articles, as its SKU, quantity and price; 2 kg of potatoes where none is named."""
    names = {article.sku: article for article in ARTICLES}
    return order_from(
        {
            "id": str(uuid.uuid4()),
            "currency": "PEN",
            "buyer": {"name": "Julia Mamani", "phone": "987 654 321", "address": "Jr. Lima 12"},
            "lines": [
                {
                    "sku": sku,
                    "name": names[sku].name if sku in names else sku.title(),
                    "quantity": amount,
                    "unit": "kg",
                    "unit_price_minor": price,
                }
                for sku, amount, price in lines or (("papa", "2", 350),)
            ],
            **fields,
        }
    )


async def kept(village: SmallPortal, order: Order) -> str:
    """The page of an order that was recorded by rosa."""
    await village.market.record(order, "rosa", "rosa")
    return f"/tienda/pedidos/{order.id}"


def sent(page: Page, **changed: str) -> dict[str, str]:
    """What a browser sends of the page's main form when nothing but `changed` is touched (`__` stands for `-`)."""
    html = page.text.split("<main")[1]
    form = html[html.index("<form") : html.rindex("</form>")]
    fields: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name = re.search(r' name="([^"]*)"', tag)
        value = re.search(r' value="([^"]*)"', tag)
        unticked = re.search(r'type="(radio|checkbox)"', tag) and " checked" not in tag
        if name and not unticked:
            fields[name[1]] = unescape(value[1]) if value else ""
    for name, text in re.findall(r'<textarea[^>]* name="([^"]*)"[^>]*>([^<]*)<', form):
        fields[name] = unescape(text)
    for name, options in re.findall(r'<select[^>]* name="([^"]*)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        fields[name] = unescape(chosen[1]) if chosen else ""
    return fields | {name.replace("__", "-"): value for name, value in changed.items()}


async def signed_in(browser: SmallBrowser, name: str = "rosa") -> Page:
    """The order form of somebody who signed in."""
    return await browser.sign_in(name, path="/entrar?sigue=/tienda")
