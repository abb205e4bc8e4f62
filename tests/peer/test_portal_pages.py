"""The portal in real Chromium: a merchant signs in and orders, and every page can be read, reached and pressed."""

from asyncio import to_thread as aside
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from tests.clocks import HandClock
from tests.unit.portal.small_portal import PASSWORD, SmallPortal, small_portal

pytestmark = pytest.mark.browser
PHONE = (360, 640)
LAPTOP = (1280, 800)

# What a reader without eyes, with a thumb, or in the sun needs (WCAG 2.2: 1.1.1, 1.3.1, 1.4.3, 1.4.10, 2.5.5, 3.1.1).
FAULTS_JS = """
() => {
  const faults = [];
  const shown = (each) => each.checkVisibility({ visibilityProperty: true }) && !each.closest('.away, .skip');
  const name = (each) => `${each.tagName} ${each.id} ${each.textContent.trim().slice(0, 30)}`;
  if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
  if (!document.documentElement.lang) faults.push('no language');
  if (!document.title.trim()) faults.push('no title');
  if (document.documentElement.scrollWidth > innerWidth) faults.push('scrolls sideways');
  for (const each of document.querySelectorAll('img')) if (!each.hasAttribute('alt')) faults.push('img without alt');
  for (const each of document.querySelectorAll('input:not([type=hidden]), textarea, meter'))
    if (!each.labels.length && !each.getAttribute('aria-labelledby')) faults.push(`no label: ${each.name || each.id}`);
  for (const each of document.querySelectorAll('[aria-describedby], [aria-labelledby]'))
    for (const id of (each.getAttribute('aria-describedby') || each.getAttribute('aria-labelledby')).split(' '))
      if (!document.getElementById(id)) faults.push(`nothing is called ${id}`);
  const ids = [...document.querySelectorAll('[id]')].map((each) => each.id);
  if (new Set(ids).size !== ids.length) faults.push('an id stands twice');
  for (const each of document.querySelectorAll('button, nav a, .rows a, .button, input:not([type=hidden]), textarea')) {
    const box = each.getBoundingClientRect();
    if (shown(each) && box.height < 44) faults.push(`target of ${box.height} px: ${name(each)}`);
  }
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (each) => {
    for (let at = each; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  for (const each of document.querySelectorAll('body *')) {
    const own = [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !shown(each) || each.closest('script, [disabled]')) continue;
    const style = getComputedStyle(each);
    const [one, other] = [light(parse(style.color).slice(0, 3)), light(behind(each))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) faults.push(`contrast ${ratio.toFixed(2)}: ${name(each)}`);
  }
  return faults;
}
"""


@pytest.fixture
async def village(tmp_path: Path, clock: HandClock) -> AsyncIterator[SmallPortal]:
    async with small_portal(tmp_path, clock) as made:
        await aside(made.accounts.add, "rosa", "merchant", PASSWORD)
        await aside(made.accounts.add, "nelly", "nurse", PASSWORD)
        yield made


async def open_context(browser: Browser, size: tuple[int, int], **options: Any) -> BrowserContext:
    viewport: Any = {"width": size[0], "height": size[1]}
    return await browser.new_context(viewport=viewport, locale="es-PE", **options)


async def sign_in(page: Page, village: SmallPortal, name: str, wanted: str) -> None:
    await page.goto(f"{village.base}/entrar?sigue={wanted}")
    await page.get_by_label("Usuario").fill(name)
    await page.get_by_label("Contraseña").fill(PASSWORD)
    await page.get_by_role("main").get_by_role("button").click()
    await page.wait_for_url(f"{village.base}{wanted}")


@pytest.mark.parametrize("script", [True, False])
async def test_a_merchant_signs_in_orders_and_has_a_receipt(
    village: SmallPortal, browser: Browser, script: bool
) -> None:
    context = await open_context(browser, PHONE, java_script_enabled=script)
    page = await context.new_page()
    await page.goto(f"{village.base}/tienda")
    assert page.url.endswith("/entrar?sigue=/tienda"), "who is not known is asked first"
    await sign_in(page, village, "rosa", "/tienda")
    await page.get_by_label("Papa amarilla").fill("2,5")
    await page.get_by_label("Nombre").fill("Julia Mamani")
    await page.get_by_role("button", name="Registrar el pedido").click()
    await expect(page.get_by_label("Teléfono")).to_have_attribute("aria-invalid", "true")
    await expect(page.get_by_label("Papa amarilla")).to_have_value("2,5")
    await page.get_by_label("Teléfono").fill("987 654 321")
    await page.get_by_role("button", name="Registrar el pedido").click()
    await page.wait_for_url("**/tienda/pedidos/*")
    await expect(page.get_by_text("SMT-0001-0001")).to_be_visible()
    await expect(page.get_by_text("S/ 8.75").last).to_be_visible()
    await page.get_by_role("button", name="Salir").click()
    await page.goto(f"{village.base}/tienda/pedidos")
    assert "/entrar" in page.url
    assert len(village.market.kept) == 1
    await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, LAPTOP])
async def test_every_page_can_be_read_reached_and_pressed(
    village: SmallPortal, browser: Browser, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> None:
    context = await open_context(browser, size, color_scheme=scheme)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    found: dict[str, list[str]] = {}

    async def look(name: str) -> None:
        await page.wait_for_function("document.readyState === 'complete'")  # with its style
        found[name] = await page.evaluate(FAULTS_JS)

    for path in ("/", "/entrar", "/entrar/ABCD", "/preparar", "/consulta/n-token"):
        await page.goto(village.base + path)
        await look(path)
    await sign_in(page, village, "rosa", "/tienda")
    await look("/tienda")
    assert not complaints, "nothing a page does is against its own policy"
    await page.get_by_role("button", name="Registrar el pedido").click()
    await look("/tienda with faults")
    await page.get_by_label("Queso fresco").fill("1")
    await page.get_by_label("Nombre").fill("Julia Mamani")
    await page.get_by_label("Teléfono").fill("987 654 321")
    await page.get_by_role("button", name="Registrar el pedido").click()
    await page.wait_for_url("**/tienda/pedidos/*")
    await look("a receipt")
    await page.goto(f"{village.base}/tienda/pedidos")
    await look("/tienda/pedidos")
    await page.goto(f"{village.base}/clinica")
    await look("a page that is not there")
    await context.close()
    assert {name: faults for name, faults in found.items() if faults} == {}


async def test_the_call_page_finds_its_script_and_its_words(village: SmallPortal, browser: Browser) -> None:
    context = await open_context(browser, PHONE, permissions=["camera", "microphone"])
    page = await context.new_page()
    await page.goto(f"{village.base}/consulta/n-token")
    await page.locator("[data-action=check]").click()
    await expect(page.locator("[data-show=status]")).to_have_text("La cámara y el micrófono funcionan. Puede entrar.")
    await expect(page.locator("[data-action=leave]")).to_be_disabled()
    playing = "each => each.readyState >= 2 && each.videoWidth > 0"
    handle = await page.locator("video[data-role=self]").element_handle()
    await page.wait_for_function(playing, arg=handle)
    await context.close()


async def test_the_call_page_has_every_word_its_script_says(village: SmallPortal, browser: Browser) -> None:
    page = await browser.new_page()
    await page.goto(f"{village.base}/consulta/n-token")
    said = await page.evaluate("() => JSON.parse(document.querySelector('script[data-strings]').textContent)")
    script = await page.evaluate("async () => (await fetch(document.querySelector('script[src]').src)).text()")
    wanted = {part.split(".")[1] for part in script.split() for part in [part.strip("(),;:`${}[]")] if "words." in part}
    missing = [name for name in wanted if name.isalpha() and name not in said]
    assert not missing
    await page.close()


async def test_a_page_that_is_not_trustworthy_says_that_it_gives_no_camera(
    village: SmallPortal, chromium: Path
) -> None:
    resolver = "--host-resolver-rules=MAP tambo.example 127.0.0.1"
    async with async_playwright() as playwright:
        args = ["--headless", "--no-sandbox", "--disable-gpu", resolver]
        browser = await playwright.chromium.launch(executable_path=str(chromium), args=args)
        page = await browser.new_page(locale="es-PE")
        await page.goto(village.base.replace("127.0.0.1", "tambo.example") + "/consulta/n-token")
        assert await page.evaluate("isSecureContext") is False
        await expect(page.get_by_role("heading", name="En esta dirección no hay cámara")).to_be_visible()
        await expect(page.locator("[data-show=status]")).to_contain_text("no da cámara")
        await browser.close()
