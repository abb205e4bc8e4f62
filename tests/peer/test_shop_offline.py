"""The shop as an app in real Chromium: the box goes away, answers are lost, and each order is there exactly once."""

import itertools
from asyncio import to_thread as aside
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from gateway.languages import translate
from gateway.listener import Listener
from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.catalogue.taxes import taxes_of
from gateway.market.order import Line, total_minor
from gateway.market.states import State
from gateway.portal.app_shown import TEXTS
from gateway.portal.typed_figures import quantity
from gateway.units import Address
from tests.clocks import HandClock
from tests.peer.test_portal_pages import FAULTS_JS, PHONE, open_context
from tests.unit.portal.shop_visits import ARTICLES, an_order, shop
from tests.unit.portal.small_portal import PASSWORD, SmallPortal
from tests.waiting import wait_until

pytestmark = pytest.mark.browser
UNTIL_JS = """
async (said) => {
  const is = { ready: async () => Boolean(navigator.serviceWorker.controller && await Outbox.get('phone')),
               known: () => Outbox.get('phone'),
               empty: async () => !(await Outbox.list('orders')).length };
  for (let tries = 0; !(await is[said]()); tries += 1) {
    if (tries > 300) throw new Error(`never ${said}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
"""
WAITING_JS = "() => Outbox.list('orders').then((all) => all.length)"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Box:
    """A box whose listener can be stopped and started again, and that can lose its answers."""

    def __init__(self, village: SmallPortal) -> None:
        self.village = village
        self.answers_lost = 0
        self.handed_in: list[str] = []
        self.port = 0
        self._listener: Listener | None = None

    @property
    def base(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def kept(self) -> list[str]:
        return [view.receipt for view in self.village.market.kept.values()]

    async def start(self) -> None:
        application = self.village.portal.application()
        application.middlewares.append(self._lose)
        address = Address("127.0.0.1", self.port)
        self._listener = Listener("portal", address, application, self.village.portal.render_error)
        await self._listener.start()
        self.port = self._listener.address.port

    async def stop(self) -> None:
        if self._listener is not None:
            await self._listener.stop()
            self._listener = None

    @web.middleware
    async def _lose(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        if request.path == "/tienda/enviar":
            self.handed_in.append(request.path)
            if self.answers_lost and request.transport is not None:
                self.answers_lost -= 1
                request.transport.abort()
        return answer


@pytest.fixture
async def box(tmp_path: Path, clock: HandClock) -> AsyncIterator[Box]:
    async with shop(tmp_path, clock) as village:
        village.market.storefront.offer(Catalogue("v1", "PEN", ARTICLES))
        made = Box(village)
        await made.start()
        yield made
        await made.stop()


async def enter(page: Page, box: Box, name: str = "rosa") -> None:
    """Sign in, and wait until the shop can do without the box."""
    await page.goto(f"{box.base}/entrar?sigue=/tienda")
    await page.get_by_label("Usuario").fill(name)
    await page.get_by_label("Contraseña").fill(PASSWORD)
    await page.get_by_role("main").get_by_role("button").click()
    await page.wait_for_url(f"{box.base}/tienda")
    await page.evaluate(UNTIL_JS, "ready")


@asynccontextmanager
async def phone(browser: Browser, box: Box, scheme: Literal["light", "dark"] = "light") -> AsyncIterator[Page]:
    context = await open_context(browser, PHONE, color_scheme=scheme)
    page = await context.new_page()
    await enter(page, box)
    yield page
    await context.close()


async def write(page: Page, *, amount: str = "2,5") -> None:
    """Fill in the form of the box or of the phone alone, whichever is shown, and press."""
    await page.get_by_label("Papa amarilla").first.fill(amount)
    await page.locator("#buyer_name").fill("Julia Mamani")
    await page.locator("#buyer_phone").fill("987 654 321")
    await page.locator('button[value="record"], #record').click()


async def lose(page: Page, box: Box) -> None:
    """Stop the box, and open the shop without it."""
    await box.stop()
    await page.goto(f"{box.base}/tienda")
    await expect(page.locator("#away")).to_be_visible()
    await expect(page.locator("#cut")).to_be_visible()


async def nudge(page: Page) -> None:
    """Let the phone notice its network, as it does by itself."""
    await page.evaluate("dispatchEvent(new Event('online'))")


async def test_an_order_written_without_the_box_waits_and_arrives_once(box: Box, browser: Browser) -> None:
    async with phone(browser, box) as page:
        await lose(page, box)
        await page.locator("#search").press_sequentially("NUNA anc")
        await expect(page.locator("#shelf li")).to_have_count(1)
        await page.locator("#search").fill("")
        await write(page)
        bar = page.locator("#outbox")
        await expect(bar).to_contain_text("1 ")
        await expect(bar.locator("li")).to_have_count(1)
        await expect(bar.locator(".badge.care")).to_be_visible()
        assert await page.evaluate(WAITING_JS) == 1
        await page.reload()
        await expect(page.locator("#away")).to_be_visible()
        await expect(bar.locator("li")).to_have_count(1)
        assert not box.kept
        await box.start()
        await nudge(page)
        await expect(bar).to_contain_text("SMT-0001-0001")
        assert await page.evaluate(WAITING_JS) == 0
        (view,) = box.village.market.kept.values()
        assert view.order is not None
        assert view.order.made_at
        assert (view.merchant, view.made_by, view.total_minor) == ("rosa", "rosa", 875)
        assert view.order.taxes == taxes_of(box.village.market.storefront.catalogue, view.lines)
        box.village.market.hear(view.id, State.ACCEPTED)
        await page.goto(f"{box.base}/tienda/pedidos")
        await bar.locator("summary").click()
        await expect(bar.locator(".badge.good")).to_be_visible()
        kept = await page.evaluate("() => Outbox.list('sent').then((all) => JSON.stringify(all))")
        assert "Julia" not in kept, "of an order that left only its number, total and time stay"
        assert "987" not in kept


async def test_an_order_is_kept_before_it_is_sent_and_shows_its_receipt(box: Box, browser: Browser) -> None:
    async with phone(browser, box) as page:
        await write(page)
        await page.wait_for_url("**/tienda/pedidos/*")
        await expect(page.get_by_text("SMT-0001-0001")).to_be_visible()
        assert box.handed_in == ["/tienda/enviar"], "the order came by the phone's outbox"
        assert await page.evaluate(WAITING_JS) == 0


async def test_a_lost_answer_makes_no_second_order(box: Box, browser: Browser) -> None:
    async with phone(browser, box) as page:
        box.answers_lost = 1
        await write(page)
        await expect(page.locator("#outbox")).to_contain_text("SMT-0001-0001", timeout=20_000)
        assert len(box.handed_in) >= 2
        assert len(box.kept) == 1


async def test_two_tabs_hand_in_each_order_once(box: Box, browser: Browser) -> None:
    async with phone(browser, box) as page:
        other = await page.context.new_page()
        await other.goto(f"{box.base}/tienda")
        await lose(page, box)
        await lose(other, box)
        await write(page, amount="1")
        await expect(page.locator("#outbox li")).to_have_count(1)
        await write(other, amount="3")
        for each in (page, other):
            await expect(each.locator("#outbox li")).to_have_count(2)
        await box.start()
        for each in (page, other):
            await nudge(each)
        for each in (page, other):  # in the bar, or on the receipt's own page, which the bar leaves out
            await expect(each.locator("body")).to_contain_text("SMT-0001-0002", timeout=20_000)
        assert len(box.kept) == 2
        assert len(box.handed_in) == 2, "one tab sends at a time"


async def test_who_is_signed_out_is_asked_to_sign_in_and_loses_nothing(box: Box, browser: Browser) -> None:
    async with phone(browser, box) as page:
        await lose(page, box)
        await write(page)
        await expect(page.locator("#outbox li")).to_have_count(1)
        await page.context.clear_cookies(name="__Host-tambo")
        await box.start()
        await nudge(page)
        await expect(page.locator("#outbox a[href^='/entrar']")).to_be_visible()
        assert await page.evaluate(WAITING_JS) == 1
        assert not box.kept
        await enter(page, box)
        await expect(page.locator("#outbox")).to_contain_text("1", timeout=20_000)
        await page.evaluate(UNTIL_JS, "empty")
        assert box.kept == ["SMT-0001-0001"]


async def test_another_shop_never_hands_in_what_waits(box: Box, browser: Browser) -> None:
    await aside(box.village.accounts.add, "luis", "merchant", PASSWORD)
    async with phone(browser, box) as page:
        await lose(page, box)
        await write(page)
        await expect(page.locator("#outbox li")).to_have_count(1)
        await page.context.clear_cookies(name="__Host-tambo")
        await box.start()
        await page.goto(f"{box.base}/entrar?sigue=/tienda")
        await page.get_by_label("Usuario").fill("luis")
        await page.get_by_label("Contraseña").fill(PASSWORD)
        await page.get_by_role("main").get_by_role("button").click()
        await expect(page.locator("#outbox .badge.bad")).to_be_visible()
        assert not box.kept
        assert await page.evaluate(WAITING_JS) == 1


async def test_a_faulty_order_is_told_corrected_and_sent(box: Box, browser: Browser) -> None:
    async with phone(browser, box) as page:
        await lose(page, box)
        await page.locator("#note").fill("turn \u202e round")
        await write(page)
        await expect(page.locator("#outbox li")).to_have_count(1)
        await box.start()
        await nudge(page)
        await expect(page.locator("#outbox .badge.bad")).to_be_visible()
        assert not box.kept
        await page.locator("#outbox .again button").first.click()
        await page.wait_for_url("**/tienda/sin-caja")
        await expect(page.locator("#quantity-0")).to_have_value("2.5")
        await expect(page.locator("#buyer_name")).to_have_value("Julia Mamani")
        await page.locator("#note").fill("")
        await page.locator("#record").click()
        await page.wait_for_url("**/tienda/pedidos/*")
        assert box.kept == ["SMT-0001-0001"]
        assert await page.evaluate(WAITING_JS) == 0


async def test_what_is_faulty_is_discarded_with_two_presses(box: Box, browser: Browser) -> None:
    async with phone(browser, box) as page:
        await lose(page, box)
        await page.locator("#note").fill("turn \u202e round")
        await write(page)
        await expect(page.locator("#outbox li")).to_have_count(1)
        await box.start()
        await nudge(page)
        await page.locator("#outbox .again button").last.click()
        assert await page.evaluate(WAITING_JS) == 1
        await page.locator("#outbox .button.stop").click()
        await expect(page.locator("#outbox")).to_be_hidden()
        assert await page.evaluate(WAITING_JS) == 0


async def test_a_form_that_finds_no_box_is_taken_up_by_the_phone(box: Box, browser: Browser) -> None:
    async with phone(browser, box) as page:
        await page.get_by_label("Papa amarilla").fill("4")
        await page.locator("#buyer_name").fill("Julia Mamani")
        await page.locator("#search").fill("queso")
        await box.stop()
        await page.locator('button[value="search"]').click()
        await expect(page.locator("#away")).to_be_visible()
        await expect(page.locator("#quantity-0")).to_have_value("4")
        await expect(page.locator("#buyer_name")).to_have_value("Julia Mamani")
        await expect(page.locator("#shelf li")).to_have_count(1)
        await page.locator("#record").click()
        await expect(page.locator("#buyer_phone")).to_have_attribute("aria-invalid", "true")
        await page.locator("#buyer_phone").fill("987654321")
        await page.reload()
        await expect(page.locator("#buyer_phone")).to_have_value("987654321")
        await page.locator("#record").click()
        await expect(page.locator("#outbox li")).to_have_count(1)


async def test_signing_out_over_what_waits_is_warned_of_and_keeps_it(box: Box, browser: Browser) -> None:
    async with phone(browser, box) as page:
        await box.stop()
        await write(page)
        await expect(page.locator("#outbox li")).to_have_count(1)
        await page.evaluate("() => Outbox.list('orders').then(([one]) => Outbox.put({ ...one, shop: 'another' }))")
        await box.start()
        await page.get_by_role("button", name="Salir").click()
        await expect(page.locator("#outbox.bad")).to_be_visible()
        await page.get_by_role("button", name="Salir").click()
        await page.wait_for_url(f"{box.base}/")
        await enter(page, box)
        assert await page.evaluate(WAITING_JS) == 1


async def test_signing_out_with_nothing_waiting_wipes_the_phone(box: Box, browser: Browser) -> None:
    async with phone(browser, box) as page:
        await page.get_by_role("button", name="Salir").click()
        await page.wait_for_url(f"{box.base}/")
        assert await page.evaluate("() => indexedDB.databases().then((all) => all.length)") == 0
        assert await page.evaluate("() => caches.keys().then((all) => all.length)") == 0


async def test_a_phone_that_cannot_keep_an_order_says_so(box: Box, browser: Browser) -> None:
    async with phone(browser, box) as page:
        await lose(page, box)
        await page.evaluate(
            "() => { IDBObjectStore.prototype.put = () => { throw new DOMException('', 'QuotaExceededError'); }; }"
        )
        await write(page)
        await expect(page.locator("#outbox.bad")).to_be_visible()
        await expect(page.locator("#buyer_name")).to_have_value("Julia Mamani")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_shop_without_the_box_can_be_read_reached_and_pressed(
    box: Box, browser: Browser, scheme: Literal["light", "dark"]
) -> None:
    async with phone(browser, box, scheme) as page:
        complaints: list[str] = []
        page.on("console", lambda told: complaints.append(told.text) if "Content Security" in told.text else None)
        await lose(page, box)
        await write(page)
        await expect(page.locator("#outbox li")).to_have_count(1)
        assert await page.evaluate(FAULTS_JS) == []
        await page.locator("#record").click()
        await expect(page.locator("#lines-fault")).to_be_visible()
        assert await page.evaluate(FAULTS_JS) == []
        await box.start()
        await page.goto(f"{box.base}/tienda")
        await expect(page.locator("#outbox")).to_contain_text("1")
        assert await page.evaluate(FAULTS_JS) == []
        assert not complaints


async def test_only_the_shell_and_pictures_are_in_the_browsers_caches(box: Box, browser: Browser) -> None:
    async with phone(browser, box) as page:
        await write(page)
        await page.wait_for_url("**/tienda/pedidos/*")
        await page.goto(f"{box.base}/tienda/pedidos")
        paths = await page.evaluate(
            """async () => {
              const found = [];
              for (const name of await caches.keys())
                for (const each of await (await caches.open(name)).keys()) found.push(new URL(each.url).pathname);
              return found;
            }"""
        )
        assert paths
        assert all(each == "/tienda/sin-caja" or each.startswith(("/static/", "/tienda/foto/")) for each in paths)


@pytest.mark.parametrize("included", [True, False])
async def test_a_phone_reads_figures_and_computes_taxes_as_the_box_does(
    box: Box, browser: Browser, included: bool
) -> None:
    rates = ["18", "10.5", "0", "4.0001", ""]
    articles = tuple(
        Article(f"s{n}", f"Artículo {n}", "kg", 7 ** (n % 9) + n, "PEN", tax_name=rate and "IGV", tax_rate=rate)
        for n, rate in enumerate(rates * 4)
    )
    catalogue = Catalogue("v2", "PEN", articles, included)
    box.village.market.storefront.offer(catalogue)
    typed = ["1", "1,5", " 2 ", ".5", "0", "", "dos", "007.250", "1234567,125", "1.2345", ".", "12 3"]
    async with phone(browser, box) as page:
        for n, text in enumerate(typed):
            fields = {f"sku-{n}": f"s{n}", f"quantity-{n}": text}
            said = await page.evaluate("(fields) => Shop.linesOf(fields)", fields)
            amount = quantity(text)
            assert (bool(said["faults"]), [each["quantity"] for each in said["lines"]]) == (
                amount is None,
                [amount] if amount else [],
            )
        lines = [
            {"sku": each.sku, "name": each.name, "quantity": amount, "unit": "kg", "unit_price_minor": price}
            for each, amount in zip(articles, itertools.cycle(["0.333", "1.5", "999999", "2", "0.001"]), strict=False)
            for price in [each.unit_price_minor]
        ]
        said = await page.evaluate("(lines) => Shop.total(lines)", lines)
    order = an_order().model_copy(update={"lines": tuple(map(Line.model_validate, lines))})
    taxes = taxes_of(catalogue, order.lines)
    order = order.model_copy(update={"taxes": taxes, "prices_include_tax": included})
    assert said["taxes"] == [each.model_dump() for each in taxes]
    assert said["minor"] == total_minor(order)


async def test_the_browser_sends_what_waits_when_no_page_is_open(box: Box, browser: Browser) -> None:
    async with phone(browser, box) as page:
        await lose(page, box)
        await write(page)
        await expect(page.locator("#outbox li")).to_have_count(1)
        session = await page.context.new_cdp_session(page)
        found: dict[str, str] = {}
        session.on("ServiceWorker.workerRegistrationUpdated", lambda told: found.update(told["registrations"][0]))
        await session.send("ServiceWorker.enable")
        await page.goto("about:blank")
        await box.start()
        wanted = {"origin": box.base, "registrationId": found["registrationId"], "tag": "outbox", "lastChance": False}
        await session.send("ServiceWorker.dispatchSyncEvent", wanted)
        await wait_until(lambda: box.kept == ["SMT-0001-0001"])


async def test_without_https_orders_wait_in_the_open_page(box: Box, chromium: Path) -> None:
    async with async_playwright() as playwright:
        names = "--host-resolver-rules=MAP tambo.example 127.0.0.1"
        started = await playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox", names])
        context = await open_context(started, PHONE)
        page = await context.new_page()
        await page.goto(f"http://tambo.example:{box.port}/entrar?sigue=/tienda")
        await page.get_by_label("Usuario").fill("rosa")
        await page.get_by_label("Contraseña").fill(PASSWORD)
        await page.get_by_role("main").get_by_role("button").click()
        await page.wait_for_url("**/tienda")
        assert not await page.evaluate("isSecureContext")
        await page.evaluate(UNTIL_JS, "known")
        await box.stop()
        await write(page)
        await expect(page.locator("#outbox li")).to_have_count(1, timeout=10_000)
        await expect(page.locator("#outbox")).to_contain_text(translate("es", TEXTS["open"]))
        await expect(page.locator("#buyer_name")).to_have_value("")
        await box.start()
        await nudge(page)
        await expect(page.locator("#outbox")).to_contain_text("SMT-0001-0001", timeout=10_000)
        assert box.kept == ["SMT-0001-0001"]
        await started.close()


async def can_be_installed(context: BrowserContext, page: Page) -> list[str]:
    """What Chromium finds lacking."""
    session = await context.new_cdp_session(page)
    told = await session.send("Page.getInstallabilityErrors")
    return [each["errorId"] for each in told["installabilityErrors"]]


async def test_chromium_finds_nothing_lacking_to_install_it(box: Box, browser: Browser) -> None:
    async with phone(browser, box) as page:
        found = await can_be_installed(page.context, page)
        assert [each for each in found if each != "in-incognito"] == []
