"""The link's page in real Chromium: its curves are drawn, go on while it is seen, and everything reads without them."""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.backhaul.sensing.state import LinkState
from gateway.listener import Listener
from gateway.portal.admin import admin_application
from gateway.portal.apology import render_error
from gateway.resources import content
from gateway.units import Address
from tests.peer.test_portal_pages import FAULTS_JS, LAPTOP, PHONE, open_context
from tests.unit.portal.link_watch import FakeWatch, WatchedBox
from tests.waiting import wait_until

pytestmark = pytest.mark.browser
PICTURES = os.environ.get("LINK_PAGE_PICTURES")  # a folder, for whoever wants to look at it
CHARTS = ("down", "up", "delay", "loss")

# the points of a path, as numbers: (least x, most x, least y, most y, how many)
EXTENT_JS = """
(path) => {
  const numbers = [...path.getAttribute('d').matchAll(/(-?[\\d.]+) (-?[\\d.]+)/g)].map((m) => [+m[1], +m[2]]);
  const [xs, ys] = [0, 1].map((at) => numbers.map((each) => each[at]));
  return [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys), numbers.length];
}
"""


@pytest.fixture
def box() -> WatchedBox:
    made = WatchedBox()
    assert made.watching is not None
    made.watching.live(5_400)
    return made


@pytest.fixture
def watch(box: WatchedBox) -> FakeWatch:
    assert box.watching is not None
    return box.watching


@pytest.fixture
async def base(box: WatchedBox) -> AsyncIterator[str]:
    listener = Listener("admin", Address("127.0.0.1", 0), admin_application(box, {"127.0.0.1"}), render_error)
    await listener.start()
    yield f"http://{listener.address}"
    await listener.stop()


async def drawn(page: Page, base: str, path: str = "/link") -> None:
    await page.goto(base + path)
    await expect(page.locator("[data-capacity]").first).to_be_attached()


async def extent(page: Page, selector: str) -> list[float]:
    found = await page.locator(selector).first.evaluate(EXTENT_JS)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, LAPTOP])
async def test_the_past_is_drawn_and_can_be_read_reached_and_pressed(
    base: str, browser: Browser, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> None:
    context = await open_context(browser, size, color_scheme=scheme)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await drawn(page, base)
    width = await page.locator("[data-chart=down] > svg").evaluate("each => each.clientWidth")
    for selector in ("[data-capacity]", "[data-class=web]", "[data-delay=down-p95]", "[data-delay=up-p50]"):
        least_x, most_x, least_y, most_y, points = await extent(page, selector)
        assert points > 80, selector
        assert 60 <= least_x < 75, "from the left edge, an hour ago"
        assert width - 15 < most_x <= width, "to the right edge, now"
        assert 0 <= least_y < most_y <= 180, selector
    assert (await extent(page, "[data-outages]"))[4] > 1, "outages are bands"
    for name in CHARTS:
        assert len(await page.locator(f"[data-chart={name}] > svg text").all()) >= 5
    assert await page.locator("[data-outages]").count() == len(CHARTS)
    if PICTURES:
        await page.wait_for_timeout(1_200)
        await page.screenshot(path=Path(PICTURES) / f"link-{size[0]}-{scheme}.png", full_page=True)
    assert await page.evaluate(FAULTS_JS) == []
    assert complaints == []
    await context.close()


@pytest.mark.parametrize("span", ["day", "month"])
async def test_a_tab_shows_another_span_and_its_figures(base: str, browser: Browser, span: str) -> None:
    context = await open_context(browser, LAPTOP)
    page = await context.new_page()
    await drawn(page, base)
    before = await page.locator("[data-fig='span.moved.down']").inner_text()
    async with page.expect_response(f"**/link/history.json?span={span}"):
        await page.locator(f"[data-tab={span}]").click()
    await expect(page.locator("[data-fig='span.moved.down']")).not_to_have_text(before)
    await expect(page.locator("[data-tab][aria-current]")).to_have_attribute("data-tab", span)
    least_x, *_ = await extent(page, "[data-capacity]")
    assert least_x > 600, "an hour and a half is the end of it"
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"link-{span}.png", full_page=True)
    await page.reload()
    await expect(page.locator("[data-tab][aria-current]")).to_have_attribute("data-tab", span)
    await context.close()


async def test_what_happens_is_seen_within_seconds(
    base: str, browser: Browser, watch: FakeWatch, box: WatchedBox
) -> None:
    context = await open_context(browser, PHONE)
    page = await context.new_page()
    await drawn(page, base)
    before = await page.locator("[data-capacity]").first.get_attribute("d")
    for _ in range(240):
        watch.look(450_000)
    box.state = LinkState.DOWN
    await expect(page.locator("section.link")).to_have_attribute("data-state", "down")
    await expect(page.locator("[data-fig='use.web.down']").first).to_have_text(re.compile(r"3\.6\sMbit/s"))
    await expect(page.locator("[data-capacity]").first).not_to_have_attribute("d", before or "")
    *_, least_y, _, _ = await extent(page, "[data-class=web]")
    assert least_y < 100
    await context.close()


async def test_a_hidden_page_costs_nothing_and_comes_back(base: str, browser: Browser) -> None:
    context = await open_context(browser, PHONE)
    page = await context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await drawn(page, base)
    await page.evaluate(
        """() => {
          window.endings = 0;
          const close = EventSource.prototype.close;
          EventSource.prototype.close = function () { window.endings += 1; return close.call(this); };
          Object.defineProperty(document, 'hidden', { configurable: true, get: () => window.away });
          window.away = true;
          document.dispatchEvent(new Event('visibilitychange'));
        }"""
    )
    assert await page.evaluate("window.endings") == 1
    before = len(asked)
    await page.evaluate("() => { window.away = false; document.dispatchEvent(new Event('visibilitychange')); }")
    await wait_until(lambda: len(asked) == before + 2)
    assert {url.rpartition("/")[2] for url in asked[before:]} == {"events", "history.json?span=hour"}
    await context.close()


async def test_background_rests_with_a_countdown_and_goes_on_at_a_press(
    base: str, browser: Browser, watch: FakeWatch
) -> None:
    context = await open_context(browser, PHONE)
    page = await context.new_page()
    await drawn(page, base)
    rest, go_on = page.locator("[data-pause='3600']"), page.locator("[data-pause='0']")
    await expect(go_on).to_be_hidden()
    await rest.click()
    await expect(page.locator("[data-show=left]")).to_have_text(re.compile(r"(60:00|59:5\d)"))
    await expect(rest).to_be_hidden()
    watch.paused_s = 1_800.0
    await expect(page.locator("[data-show=left]")).to_have_text(re.compile(r"(30:00|29:5\d)"))
    await go_on.click()
    await expect(page.locator("[data-show=paused]")).to_be_hidden()
    assert watch.told == [3_600, 0]
    await context.close()


async def test_one_moment_is_told_in_words_by_keyboard(base: str, browser: Browser) -> None:
    context = await open_context(browser, LAPTOP)
    page = await context.new_page()
    await drawn(page, base)
    await page.locator("#moment").focus()
    await page.keyboard.press("Home")
    first = await page.locator("#readout").inner_text()
    assert re.search(r"Mbit/s|kbit/s", first)
    assert await page.locator("#moment").get_attribute("aria-valuetext") == first
    assert await page.locator(".cursor").count() == len(CHARTS)
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#moment")).to_have_js_property("value", "1")
    await context.close()


async def test_without_a_script_every_value_is_there(base: str, browser: Browser) -> None:
    context = await open_context(browser, PHONE, java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{base}/link?span=day")
    text = await page.locator("main").inner_text()
    for value in ("4\xa0Mbit/s", "12\xa0ms", "12\xa0GB", "Posta médica", "5.5\xa0GB", "1.25\xa0%"):
        assert value in text
    assert await page.locator("[data-drawn]").is_hidden()
    assert await page.locator("[data-pause]").first.is_hidden()
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / "link-no-script.png", full_page=True)
    await context.close()


def test_the_script_is_small() -> None:
    assert (content() / "assets" / "link.js").stat().st_size <= 30_000
