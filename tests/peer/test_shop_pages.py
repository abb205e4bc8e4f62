"""The shop in real Chromium, without script: search, basket, two taps for a changed price, print, and few bytes."""

from asyncio import to_thread as aside
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, Response, expect

from gateway.market.attention import Attention, Code, Remark
from gateway.market.catalogue.model import Catalogue
from gateway.market.states import State
from tests.clocks import HandClock
from tests.peer.test_portal_pages import FAULTS_JS, LAPTOP, PHONE, open_context, sign_in
from tests.unit.portal.shop_visits import ARTICLES, an_order, kept, shop
from tests.unit.portal.small_portal import SmallPortal

pytestmark = pytest.mark.browser
FIRST_LOAD_BYTES_MAX = 50_000
MM_PX = 96 / 25.4


@pytest.fixture
async def village(tmp_path: Path, clock: HandClock) -> AsyncIterator[SmallPortal]:
    async with shop(tmp_path, clock) as made:
        yield made


def thumbnail() -> bytes:
    """A small picture that is hard to code."""
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.effect_noise((96, 96), 30).convert("RGB").save(out, "WEBP", quality=50)
    return out.getvalue()


async def test_a_basket_is_filled_over_searches_on_a_phone_without_script(
    village: SmallPortal, browser: Browser
) -> None:
    context = await open_context(browser, PHONE, java_script_enabled=False)
    page = await context.new_page()
    await sign_in(page, village, "rosa", "/tienda")
    await page.locator("#quantity-0").fill("2")
    await page.locator("#search").fill("nuna")
    await page.locator("#search").press("Enter")
    await page.wait_for_url("**/tienda#found")
    assert not village.market.kept, "Enter looks for something, and records nothing"
    await page.get_by_label("Ñuña de Áncash").fill("1,5")
    await page.locator('button[value="add"]').first.click()
    await expect(page.locator("#basket")).to_be_in_viewport()
    await expect(page.get_by_label("Papa amarilla")).to_have_value("2")
    await expect(page.locator(".sum b").last).to_have_text("S/\u00a020.50")
    await page.get_by_label("Nombre").fill("Julia Mamani")
    await page.get_by_label("Teléfono").fill("987 654 321")
    await page.locator('input[value="credit"]').check()
    await page.get_by_role("button", name="Registrar el pedido").click()
    await page.wait_for_url("**/tienda/pedidos/*")
    await expect(page.get_by_text("SMT-0001-0001")).to_be_visible()
    await context.close()


async def test_a_changed_price_takes_two_taps(village: SmallPortal, browser: Browser) -> None:
    order = an_order()
    await kept(village, order)
    village.market.hear(order.id, State.NEEDS_ATTENTION, "", Attention(Code.PRICE_CHANGED, (Remark("papa", 420),)))
    context = await open_context(browser, PHONE, java_script_enabled=False, has_touch=True)
    page = await context.new_page()
    await sign_in(page, village, "rosa", "/tienda/pedidos")
    await page.get_by_role("link", name="SMT-0001-0001").tap()
    button = page.locator('button[value="accept"]')
    await expect(button).to_contain_text("S/\u00a04.20")
    await expect(button).to_be_in_viewport()
    await button.tap()
    await expect(button).to_have_count(0)
    now = village.market.kept[order.id]
    assert (now.revision, now.lines[0].unit_price_minor, now.state) == (2, 420, State.QUEUED)
    await context.close()


async def test_a_first_load_with_thumbnails_is_small(village: SmallPortal, browser: Browser) -> None:
    picture = await aside(thumbnail)
    many = tuple(replace(ARTICLES[0], sku=f"s{n}", name=f"Artículo número {n}") for n in range(3_000))
    village.market.storefront.offer(Catalogue("v2", "PEN", many))
    village.market.storefront.pictures = {f"s{n}": picture + bytes([n]) for n in range(12)}
    context = await open_context(browser, PHONE)
    first = await context.new_page()
    await sign_in(first, village, "rosa", "/tienda/pedidos")
    cookies = await context.storage_state()
    await context.close()
    fresh = await open_context(browser, PHONE, storage_state=cookies)
    page = await fresh.new_page()
    sizes: list[Response] = []
    page.on("response", lambda answer: sizes.insert(0, answer))
    await page.goto(f"{village.base}/tienda", wait_until="networkidle")
    total = 0
    for answer in sizes:
        told = await answer.request.sizes()
        total += told["responseBodySize"] + told["responseHeadersSize"]
    assert len([answer for answer in sizes if "/foto/" in answer.url]) >= 5
    assert total <= FIRST_LOAD_BYTES_MAX
    await fresh.close()


async def test_a_receipt_prints_alone_on_wide_and_on_narrow_paper(village: SmallPortal, browser: Browser) -> None:
    path = await kept(village, an_order())
    context = await open_context(browser, LAPTOP)
    page = await context.new_page()
    await sign_in(page, village, "rosa", "/tienda")
    await page.emulate_media(media="print")
    for query, width_px in (("", 34 * 17), ("?papel=58", round(58 * MM_PX) + 1)):
        await page.goto(f"{village.base}{path}{query}")
        for hidden in (".masthead", ".shopnav", ".foot", ".buttons", ".unprinted"):
            assert not await page.locator(hidden).first.is_visible(), hidden
        await expect(page.get_by_text("SMT-0001-0001")).to_be_visible()
        box = await page.locator(".receipt").bounding_box()
        assert box is not None
        assert box["width"] <= width_px
        uncut = await page.locator(".receipt .scroll").evaluate("each => each.scrollWidth <= each.clientWidth")
        assert uncut, "no amount is cut off"
    await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, LAPTOP])
async def test_every_page_of_the_shop_can_be_read_reached_and_pressed(
    village: SmallPortal, browser: Browser, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> None:
    village.market.storefront.pictures = {"papa": await aside(thumbnail)}
    plain, priced, short, stuck, refused = [an_order(("papa", "20", 350), ("queso", "1", 1800)) for _ in range(5)]
    for order in (plain, priced, short, stuck, refused):
        await kept(village, order)
    village.market.hear(priced.id, State.NEEDS_ATTENTION, "", Attention(Code.PRICE_CHANGED, (Remark("papa", 420),)))
    village.market.hear(short.id, State.NEEDS_ATTENTION, "Queda poco", Attention(Code.OUT_OF_STOCK, (Remark("queso"),)))
    village.market.hear(stuck.id, State.NEEDS_ATTENTION, "", Attention(Code.UNDELIVERABLE))
    village.market.hear(refused.id, State.REJECTED, "Fuera de zona")
    context = await open_context(browser, size, color_scheme=scheme)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    await sign_in(page, village, "rosa", "/tienda")
    found = {"the form": await page.evaluate(FAULTS_JS)}
    shown = [f"/tienda/pedidos/{order.id}" for order in (plain, priced, short, stuck, refused)]
    shown += [f"/tienda?editar={plain.id}", f"/tienda?repetir={plain.id}", f"/tienda?editar={short.id}&cambiar=queso"]
    shown += ["/tienda/pedidos", "/tienda/pedidos?ver=espera", "/tienda/pedidos?ver=decidir", f"{shown[0]}?papel=58"]
    shown += ["/tienda/dia", "/tienda/dia?dia=2026-12-01", "/tienda/dia?papel=58"]
    for path in shown:
        await page.goto(village.base + path)
        found[path] = await page.evaluate(FAULTS_JS)
    assert not complaints, "nothing a page does is against its own policy"
    await page.goto(f"{village.base}/tienda")
    await page.locator("#quantity-0").fill("dos")
    await page.locator('input[value="mobile-money"]').check()
    await page.locator('button[value="record"]').click()
    await expect(page.locator('[aria-invalid="true"]')).to_have_count(4)
    found["faults"] = await page.evaluate(FAULTS_JS)
    await context.close()
    assert {name: faults for name, faults in found.items() if faults} == {}
