"""People of a shop with their phones, no script in them, and the marketplace's own side of the day."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from playwright.async_api import Browser, Locator, Page

from tests.village import Demo

PHONE: Any = {"width": 360, "height": 640}
DEADLINE_S = 30.0
BUYER = ("Lucía Quispe", "984 123 456")


@dataclass(frozen=True)
class Marketplace:
    """What a test asks of the demo's marketplace."""

    demo: Demo

    async def tell(self, path: str, **said: object) -> dict[str, Any]:
        """Change what it sells, how it behaves, or what becomes of orders."""
        url = self.demo.where["marketplace"].removesuffix("orders") + path
        async with aiohttp.ClientSession() as session, session.post(url, json=said) as answer:
            assert answer.status == 200, await answer.text()
            told: dict[str, Any] = await answer.json()
            return told

    async def change(self, sku: str, **figures: object) -> None:
        """Give an article another price or stock."""
        await self.tell("catalogue", changed=[{"sku": sku, **figures}])

    async def photo(self, sha256: str) -> bytes | None:
        """A photo that arrived whole; None while it has not."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.demo.where['marketplace']}/photos/{sha256}") as answer,
        ):
            return await answer.read() if answer.status == 200 else None

    async def has(self, order_id: str, **fields: object) -> dict[str, Any]:
        """Wait for an order as it should be there; return it."""
        found: dict[str, Any] = {}

        async def is_there() -> bool:
            nonlocal found
            found = (await self.demo.marketplace_orders()).get(order_id, {})
            return bool(found) and all(found[name] == value for name, value in fields.items())

        await until(is_there, lambda: f"{order_id}: {found}")
        return found

    async def of_buyers(self, name: str) -> list[dict[str, Any]]:
        """What arrived for buyers whose names begin so."""
        arrived = await self.demo.marketplace_orders()
        return [each for each in arrived.values() if each["order"]["buyer"]["name"].startswith(name)]


async def until(holds: Callable[[], Awaitable[bool]], seen: Callable[[], str] = str) -> None:
    """Return once `holds()`; fail after the deadline with what was seen."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not await holds():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(seen()) from None


@dataclass(frozen=True)
class Person:
    """Somebody with a phone, signed in."""

    page: Page
    portal: str

    async def open(self, path: str) -> int:
        """Go to a page of the shop; return its status."""
        answer = await self.page.goto(f"{self.portal}{path}")
        assert answer is not None
        return answer.status

    async def press(self, button: Locator) -> None:
        """Tap, as a finger does, and have the page that follows."""
        async with self.page.expect_navigation():
            await button.tap()

    async def order(self, articles: Iterable[tuple[str, str]], buyer: tuple[str, str] = BUYER) -> str:
        """Write an order in the form, and record it; return its id. An article is as it is called."""
        await self.open("tienda")
        for name, quantity in articles:
            await self._search(name)
            await self.page.get_by_label(name).first.fill(quantity)
            await self.press(self.page.locator("button[value=add]").first)
        await self.page.locator("#buyer_name, input[name=buyer_name]").first.fill(buyer[0])
        await self.page.locator("input[name=buyer_phone]").fill(buyer[1])
        await self.press(self.page.locator("button[value=record]"))
        await self.page.wait_for_url("**/tienda/pedidos/*")
        return self.page.url.rpartition("/")[2]

    async def search(self, typed: str) -> None:
        """Look for an article in the shop."""
        await self.open("tienda")
        await self._search(typed)

    async def _search(self, typed: str) -> None:
        await self.page.get_by_role("searchbox").fill(typed)
        await self.press(self.page.locator("button[value=search]"))

    async def upload(self, name: str, content: bytes) -> None:
        """Hand in a file of orders, and have its report."""
        await self.open("tienda/subir")
        kind = "text/csv" if name.endswith(".csv") else "application/octet-stream"
        await self.page.locator("#file").set_input_files({"name": name, "mimeType": kind, "buffer": content})
        await self.press(self.page.locator("main form button[type=submit]"))
        await self.works()

    async def works(self) -> None:
        """Wait while the page says how far the box is."""

        async def is_done() -> bool:
            return not await self.page.locator("meta[http-equiv=refresh]").count()

        await until(is_done)

    async def download(self, selector: str) -> bytes:
        """Download what a link leads to."""
        async with self.page.expect_download() as promised:
            await self.page.locator(selector).first.tap()
        path = await (await promised.value).path()
        return await asyncio.to_thread(path.read_bytes)

    async def sees(self, path: str, selector: str) -> None:
        """Look at a page again and again, until something is on it."""
        await self.open(path)

        async def is_there() -> bool:
            if await self.page.locator(selector).count():
                return True
            await self.page.reload()
            return False

        shown = await self.page.locator("main").inner_text()
        await until(is_there, lambda: f"no {selector} on {path}: {shown}")


@asynccontextmanager
async def person(demo: Demo, browser: Browser, who: str = "merchant") -> AsyncIterator[Person]:
    """Somebody who signs in with a password."""
    async with visitor(demo, browser) as found:
        await found.open("entrar")
        await found.page.locator("main input[name=name]").fill(demo.where[who]["name"])
        await found.page.locator("main input[name=password]").fill(demo.where[who]["password"])
        await found.press(found.page.locator("main form [type=submit]").first)
        yield found


@asynccontextmanager
async def visitor(demo: Demo, browser: Browser) -> AsyncIterator[Person]:
    """Somebody whom the box does not know yet."""
    context = await browser.new_context(
        viewport=PHONE, locale="es-PE", has_touch=True, java_script_enabled=False, accept_downloads=True
    )
    page = await context.new_page()
    page.set_default_timeout(DEADLINE_S * 1_000)
    yield Person(page, demo.where["portal"])
    await context.close()
