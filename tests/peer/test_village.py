"""A village in real Chromium over the emulated link at 1 Mbit/s and 80 ms: a page, an order, a call."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Response, expect

from tests.village import Demo

pytestmark = pytest.mark.browser
CALL_S = 20


async def visit(page: Page, url: str) -> Response:
    response = await page.goto(url, wait_until="load")
    assert response is not None
    return response


async def seen_pictures(page: Page) -> int:
    """Scroll to each picture of a page, as a reader does; return how many there are, all of them whole."""
    for picture in await page.locator("img").all():
        await picture.scroll_into_view_if_needed()
        await picture.evaluate("each => each.decode()")  # rejects where the picture is not there
    return await page.locator("img").count()


async def test_visited_pages_open_again_when_the_link_is_cut(demo: Demo, browser: Browser) -> None:
    site = demo.where["site"]
    first = await browser.new_page()
    index = await visit(first, site)
    assert index.status == 200
    title = await first.title()
    heading = await first.locator("h1").inner_text()
    sibling = await visit(first, f"{site}vacunas.html")
    assert sibling.status == 200
    assert "fwd" in sibling.headers["cache-status"], "the first visit crosses the link"
    pictures = await seen_pictures(first)
    assert pictures > 0
    await first.context.close()

    await demo.link(outage_s=600)
    fresh = await browser.new_context()  # another villager's browser: an empty cache of its own
    page = await fresh.new_page()
    again = await visit(page, site)
    assert (again.status, await page.title()) == (200, title)
    assert await page.locator("h1").inner_text() == heading
    assert re.match(r"tambo\S*; hit", again.headers["cache-status"])
    cut = await visit(page, f"{site}vacunas.html")
    assert cut.status == 200
    assert "hit" in cut.headers["cache-status"]
    assert await seen_pictures(page) == pictures
    never = await visit(page, f"{site}salud-mental.html")
    assert never.status == 503
    assert never.headers["cache-status"] == "tambo; detail=kept-for-later"
    assert await page.locator("h1").count() == 1, "a page that says so, not a browser's error"
    await fresh.close()


async def test_an_order_placed_while_the_link_is_cut_arrives_once_when_it_is_back(demo: Demo, browser: Browser) -> None:
    await demo.link(outage_s=600)
    before = await demo.marketplace_orders()
    context = await browser.new_context(java_script_enabled=False, locale="es-PE")
    page = await context.new_page()
    await visit(page, f"{demo.where['portal']}entrar")
    await page.locator("input[name=name]").fill(demo.where["merchant"]["name"])
    await page.locator("input[name=password]").fill(demo.where["merchant"]["password"])
    await page.locator("main form [type=submit]").first.click()
    await visit(page, f"{demo.where['portal']}tienda")
    await page.locator("input[name^=quantity]").first.fill("1,5")
    await page.locator("input[name=buyer_name]").fill("Lucía Quispe")
    await page.locator("input[name=buyer_phone]").fill("984 123 456")
    await page.locator("button[value=record]").click()
    await page.wait_for_url("**/tienda/pedidos/**")
    receipt = page.get_by_text(re.compile(r"SMT-\d{4}-\d{4}")).first
    await expect(receipt).to_be_visible()
    order_id = page.url.rstrip("/").rsplit("/", 1)[1]
    assert order_id not in await demo.marketplace_orders()

    await demo.link(outage_s=0)
    arrived: dict[str, dict[str, Any]] = {}
    async with asyncio.timeout(30):
        while order_id not in arrived:
            arrived = await demo.marketplace_orders()
    async with asyncio.timeout(30):
        while "Llegó" not in await page.inner_text("main"):
            await page.reload()
    settled = await demo.marketplace_orders()
    assert set(settled) - set(before) == {order_id}
    assert settled[order_id]["times_applied"] == 1
    await context.close()


async def test_the_three_links_of_the_start_page_work(demo: Demo, browser: Browser) -> None:
    context = await browser.new_context(permissions=["camera", "microphone"], locale="es-PE")
    page = await context.new_page()

    async def follow(name: str) -> None:
        await visit(page, demo.where["portal"])
        link = page.locator(f"[data-try={name}]")
        await link.evaluate("link => link.removeAttribute('target')")
        await link.click()
        await page.wait_for_load_state()

    await follow("page")
    assert page.url == demo.where["site"]
    await expect(page.locator("h1")).to_be_visible()
    await follow("order")
    await page.locator("main form [type=submit]").click()
    await page.wait_for_url("**/tienda")
    assert await page.locator("input[name^=quantity]").count() > 3, "the catalogue"
    for role in ("nurse", "doctor"):
        await follow(role)
        await expect(page.locator("[data-action=join]")).to_be_visible()
        assert await page.evaluate("isSecureContext")
    await context.close()


async def call_figures(page: Page) -> dict[str, float]:
    """What the browser has received so far: frames decoded, audio samples."""
    figures: dict[str, float] = await page.evaluate(
        """async () => {
            const found = {frames: 0, samples: 0, concealed: 0};
            if (!window.__tamboPeer) return found;
            for (const report of (await window.__tamboPeer.getStats()).values()) {
                if (report.type !== 'inbound-rtp') continue;
                if (report.kind === 'video') found.frames = report.framesDecoded || 0;
                if (report.kind === 'audio') {
                    found.samples = report.totalSamplesReceived || 0;
                    found.concealed = report.concealedSamples || 0;
                }
            }
            return found;
        }"""
    )
    return figures


async def test_a_nurse_and_a_doctor_see_and_hear_each_other_for_20_s(demo: Demo, browser: Browser) -> None:
    links = demo.where["consultation"]
    pages = {}
    for role in ("nurse", "doctor"):
        context = await browser.new_context(permissions=["camera", "microphone"])
        pages[role] = await context.new_page()
        assert (await visit(pages[role], links[role])).status == 200
        await pages[role].locator("[data-action=join]").click()
    for page in pages.values():
        await page.wait_for_function(
            "() => { const remote = document.querySelector('video[data-role=remote]');"
            " return remote && remote.videoWidth > 0 && !remote.paused; }",
            timeout=30_000,
        )
        assert await page.locator("video[data-role=self]").count() == 1
    before = {role: await call_figures(page) for role, page in pages.items()}
    for _ in range(4):
        await asyncio.sleep(CALL_S / 4)
        now = {role: await call_figures(page) for role, page in pages.items()}
        for role in pages:
            assert now[role]["frames"] > before[role]["frames"], (role, before, now)
            heard, heard_before = (each[role]["samples"] - each[role]["concealed"] for each in (now, before))
            assert heard > heard_before + 48_000, "more than a second of sound that really came"
        before = now
    for page in pages.values():
        await page.context.close()


AVAILABLE = """async () => {
    if (!window.__tamboPeer) return null;
    for (const report of (await window.__tamboPeer.getStats()).values())
        if (report.type === 'candidate-pair' && report.nominated && report.availableOutgoingBitrate)
            return report.availableOutgoingBitrate;
    return null;
}"""


async def test_the_senders_are_capped_to_what_the_link_is_set_to_carry(demo: Demo, browser: Browser) -> None:
    links = demo.where["consultation"]
    pages = []
    for role in ("nurse", "doctor"):
        context = await browser.new_context(permissions=["camera", "microphone"])
        page = await context.new_page()
        await visit(page, links[role])
        await page.locator("[data-action=join]").click()
        pages.append(page)
    for page in pages:
        await reaches(page, lambda bps: bps > 300_000)
    await demo.link(down_bps=250_000, up_bps=250_000)
    for page in pages:
        assert await reaches(page, lambda bps: bps < 250_000) > 0, "capped, and still sending"
        await page.context.close()


async def reaches(page: Page, holds: Callable[[float], bool]) -> float:
    """Return what the browser takes its way out to carry, in bit/s, once it is as it should be."""
    async with asyncio.timeout(45):
        while not ((available := await page.evaluate(AVAILABLE)) and holds(available)):
            await asyncio.sleep(0.1)
    return float(available)
