"""Whoever holds a receipt can ask the box whether it is genuine, and is told in plain words."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from gateway.errors import GatewayError
from gateway.listener import Listener
from gateway.market.receipts import Statement
from gateway.portal import apology
from gateway.portal.accounts import Accounts
from gateway.portal.doorkeeper import Doorkeeper
from gateway.portal.identity import VISIT, Identity, demand_own_page
from gateway.portal.link_words import LinkWords
from gateway.portal.pages import Pages
from gateway.portal.receipt_check import in_figures
from gateway.portal.sessions import Sessions
from gateway.portal.statics import Statics
from gateway.portal.verify_page import PATH, VerifyPage
from gateway.units import Address
from tests.clocks import HandClock
from tests.unit.portal.fake_market import FakeMarket
from tests.unit.portal.small_portal import SmallBrowser

SAID = Statement(
    "SMT",
    "SMT-0042-0137",
    "00000000-0000-4000-8000-000000000001",
    "ab" * 16,
    "2323 PEN",
    "2027-01-15T08:00:00.250Z",
)
BYTES_MAX = 3_000


@pytest.fixture
async def base(tmp_path: Path, clock: HandClock) -> AsyncIterator[str]:
    """The page alone, as the portal meets its visitors."""
    accounts = Accounts(tmp_path, clock)
    doorkeeper = Doorkeeper(accounts, Sessions(accounts.database, clock, 3_600.0), clock)
    identity, statics = Identity(doorkeeper, b"k" * 32), Statics()
    pages = Pages(statics, identity, lambda: LinkWords("up", "", "", None, None, None))
    market = FakeMarket(clock, genuine={"TAMBO1.good.one": SAID})

    @web.middleware
    async def meet(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        request[VISIT] = await identity.visit(request)
        try:
            demand_own_page(request)
            return await handler(request)
        except GatewayError as exc:
            return pages.render_failure(request, exc)

    for load in (statics.load, apology.load):
        await asyncio.to_thread(load)
    await doorkeeper.start()
    made = web.Application(client_max_size=20_000, middlewares=[meet])
    made.add_routes(VerifyPage(pages, identity, market).routes())
    listener = Listener("portal", Address("127.0.0.1", 0), made, apology.render_error)
    await listener.start()
    yield f"http://127.0.0.1:{listener.address.port}"
    await listener.stop()
    await doorkeeper.stop()


async def test_a_genuine_receipt_is_said_to_be_so_with_what_stands_in_it(base: str) -> None:
    async with SmallBrowser(base, "en") as browser:
        page = await browser.get(PATH)
        assert page.status == 200
        assert "genuine" not in page.text
        page = await browser.post(PATH, {"token": page.field("token"), "text": "TAMBO1.good.one"})
    assert page.status == 200
    for told in ("This receipt is genuine", "SMT-0042-0137", "23.23", "abababababababab", "2027"):
        assert told in page.text


async def test_what_is_no_receipt_is_told_and_not_repeated(base: str) -> None:
    async with SmallBrowser(base, "en") as browser:
        token = (await browser.get(PATH)).field("token")
        page = await browser.post(PATH, {"token": token, "text": "<script>TAMBO1.bad.one"})
    assert "not a receipt of a box that is trusted here" in page.text
    assert "TAMBO1.bad" not in page.text


async def test_nobody_needs_an_account_and_a_foreign_page_cannot_ask(base: str) -> None:
    async with SmallBrowser(base, "en") as browser:
        assert (await browser.post(PATH, {"text": "TAMBO1.good.one"})).status == 403
        token = (await browser.get(PATH)).field("token")
        page = await browser.post(PATH, {"token": token, "text": "TAMBO1.good.one"}, "http://evil.example")
        assert page.status == 403


async def test_the_page_is_small_and_nobody_keeps_it(base: str) -> None:
    async with (
        SmallBrowser(base) as browser,
        browser.session.get(base + PATH, headers={"Accept-Encoding": "br"}) as answer,
    ):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Encoding"] == "br"
        assert int(answer.headers["Content-Length"]) + 700 < BYTES_MAX


@pytest.mark.parametrize(
    ("time", "when"),
    [("1970-01-01T00:00:00.000Z", ""), ("9999-99-99T99:99:99Z", ""), ("2027-01-15T08:00:00.250Z", "2027")],
)
def test_a_time_that_no_clock_knew_is_not_shown(time: str, when: str) -> None:
    shown = in_figures(Statement("SMT", "", "", "", "1 XXX", time), "en")
    assert (when in shown.when, bool(shown.when)) == (True, bool(when))
