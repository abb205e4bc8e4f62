"""The pages of uploads on a free port, with who may use them and a room that keeps orders by the rules."""

import asyncio
from asyncio import to_thread as aside
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from gateway.errors import GatewayError, NotSignedIn
from gateway.listener import Listener
from gateway.portal import apology
from gateway.portal.accounts import Accounts
from gateway.portal.bulk_page import BulkPages
from gateway.portal.doorkeeper import Doorkeeper
from gateway.portal.identity import VISIT, Identity, demand_own_page
from gateway.portal.link_words import LinkWords
from gateway.portal.pages import Pages
from gateway.portal.sessions import Sessions
from gateway.portal.shop_frame import ShopFrame
from gateway.portal.sign_in import SignInPages
from gateway.portal.statics import Statics
from gateway.units import Address
from tests.clocks import HandClock
from tests.unit.market.uploaded import FakeRoom
from tests.unit.portal.small_portal import PASSWORD, Page, SmallBrowser, _page

PEOPLE = {"rosa": "merchant", "luis": "merchant", "nelly": "nurse"}


@dataclass
class UploadPortal:
    """What runs, and how to reach it."""

    room: FakeRoom
    base: str
    accounts: Accounts

    def add_cashier(self, name: str, shop: str, sees_totals: bool) -> None:
        """Somebody more who records orders for a shop."""
        self.accounts.add(name, "cashier", PASSWORD, shop=shop, sees_totals=sees_totals)


@asynccontextmanager
async def upload_portal(folder: Path, clock: HandClock, room: FakeRoom | None) -> AsyncIterator[UploadPortal]:
    accounts = Accounts(folder, clock)
    doorkeeper = Doorkeeper(accounts, Sessions(accounts.database, clock, 3_600.0), clock)
    identity = Identity(doorkeeper, b"k" * 32)
    statics = Statics()
    pages = Pages(statics, identity, lambda: LinkWords("up", "", "", None, None, None))
    bulk = BulkPages(ShopFrame(pages, identity, None, clock), room, clock, patience_s=0.3)
    sign_in = SignInPages(pages, identity, doorkeeper)

    @web.middleware
    async def meet(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        request[VISIT] = await identity.visit(request)
        try:
            demand_own_page(request)
            return await handler(request)
        except NotSignedIn:
            return web.Response(status=303, headers={"Location": f"/entrar?sigue={request.path}"})
        except GatewayError as exc:
            return pages.render_failure(request, exc)

    def load() -> None:
        statics.load()
        apology.load()

    await aside(load)
    await doorkeeper.start()
    for name, role in PEOPLE.items():
        await aside(accounts.add, name, role, PASSWORD)
    made = web.Application(client_max_size=20_000, middlewares=[meet])
    for part in (statics, sign_in, bulk):
        made.add_routes(part.routes())
    listener = Listener("portal", Address("127.0.0.1", 0), made, apology.render_error)
    await listener.start()
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(bulk.run())
            yield UploadPortal(room or FakeRoom(), f"http://127.0.0.1:{listener.address.port}", accounts)
            running.cancel()
    finally:
        await listener.stop()
        await doorkeeper.stop()


async def uploaded(browser: SmallBrowser, data: bytes, token: str | None = None, name: str = "orders.csv") -> Page:
    """Choose a file in the form, and press."""
    if token is None:
        token = (await browser.get("/tienda/subir")).field("token")
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("token", token)
    form.add_field("file", data, filename=name, content_type="application/octet-stream")
    sent = browser.session.post(f"{browser.base}/tienda/subir", data=form, headers={"Origin": browser.base})
    async with sent as answer:
        return await settled(browser, await _page(answer))


async def settled(browser: SmallBrowser, page: Page) -> Page:
    """Look again, as the page itself asks for, until the work is done."""
    async with asyncio.timeout(20.0):
        while 'http-equiv="refresh"' in page.text:
            await asyncio.sleep(0.05)
            page = await browser.get(page.path)
    return page


async def pressed(browser: SmallBrowser, page: Page, what: str) -> Page:
    """Press a button of a report, and wait for what comes of it."""
    return await settled(browser, await browser.post(page.path, {"token": page.field("token"), "what": what}))
