"""A call over a link that goes away for a while comes back by itself: the same connection, and nobody lifts a hand."""

import asyncio

import pytest
from playwright.async_api import Browser, Page

from tests.village import Demo

pytestmark = pytest.mark.browser

COUNT = """async () => {
    let samples = 0;
    for (const report of window.__tamboPeer ? (await window.__tamboPeer.getStats()).values() : [])
        if (report.type === 'inbound-rtp' && report.kind === 'audio')
            samples = (report.totalSamplesReceived || 0) - (report.concealedSamples || 0);
    return samples;
}"""
KEEP = "() => { window.__before = window.__tamboPeer; }"
SAME = "() => window.__before === window.__tamboPeer"
RATE = 48_000  # samples a second


async def hears_more(page: Page, samples: float, deadline_s: float) -> None:
    """Return once two seconds of sound have come that was not made up here."""
    async with asyncio.timeout(deadline_s):
        while await page.evaluate(COUNT) < samples + 2 * RATE:
            await asyncio.sleep(0.05)


async def in_call(demo: Demo, browser: Browser) -> list[Page]:
    pages = []
    for role in ("nurse", "doctor"):
        context = await browser.new_context(permissions=["camera", "microphone"])
        page = await context.new_page()
        await page.goto(demo.where["consultation"][role])
        await page.locator("[data-action=join]").click()
        pages.append(page)
    for page in pages:
        await hears_more(page, 0, 30)
    return pages


@pytest.mark.parametrize(("outage_s", "back_s"), [(2, 5), (20, 12)])
async def test_an_outage_ends_and_the_same_call_goes_on(
    demo: Demo, browser: Browser, outage_s: float, back_s: float
) -> None:
    pages = await in_call(demo, browser)
    for page in pages:
        await page.evaluate(KEEP)
    before = [await page.evaluate(COUNT) for page in pages]
    await demo.link(outage_s=outage_s)
    for page, samples in zip(pages, before, strict=True):
        await hears_more(page, samples, outage_s + back_s)
    for page in pages:
        await page.wait_for_selector("[data-connection=connected]", timeout=back_s * 1_000)
        assert await page.evaluate(SAME)
        await page.context.close()
