"""The page that says a page was noted, and the list of what was: seen by whoever asked, and by nobody else."""

import asyncio
import html
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gateway.backhaul.link import Backhaul
from gateway.listener import Listener
from gateway.portal.accounts import Accounts
from gateway.portal.offline_page import Home, load_offline, render_offline
from gateway.portal.portal import Portal, PortalLimits
from gateway.units import Address
from gateway.web.offline.kept import KeptForLater, KeptPage, KeptState
from tests.clocks import HandClock
from tests.unit.portal.small_portal import FakeWeb, SmallBrowser, never

MINE, YOURS = "m" * 22, "y" * 22
PAGE = KeptPage("salud", "http://o.test/vacunas?x=1&y=<b>", (), (), 1_800_000_000.0)


@dataclass
class FakeKept:
    pages: dict[str, KeptPage] = field(default_factory=dict)

    def shown_by(self, tokens: Sequence[str]) -> list[tuple[str, KeptPage]]:
        return [(token, self.pages[token]) for token in tokens if token in self.pages]

    def take_back(self, token: str) -> None:
        del self.pages[token]


@dataclass
class Village:
    base: str
    kept: FakeKept


@pytest.fixture
async def village(tmp_path: Path, clock: HandClock) -> AsyncIterator[Village]:
    kept = FakeKept({MINE: PAGE, YOURS: replace(PAGE, url="http://o.test/otra", title="La otra")})
    portal = Portal(
        accounts=Accounts(tmp_path, clock),
        clock=clock,
        backhaul=Backhaul(clock, capacity=None, carrier=lambda: True, probe=never),
        web=FakeWeb(),
        market=None,
        clinic=None,
        door_url="https://puerta.example:8444/",
        secret=b"k" * 32,
        limits=PortalLimits(),
        has_https=False,
        kept=kept,
        home=Home("127.0.0.1", 8080),
    )
    await portal.start()
    listener = Listener("portal", Address("127.0.0.1", 0), portal.application(), portal.render_error)
    await listener.start()
    yield Village(f"http://127.0.0.1:{listener.address.port}", kept)
    await listener.stop()
    await portal.stop()


async def test_a_token_shows_its_page_leaves_the_address_and_stays_with_the_browser(village: Village) -> None:
    async with SmallBrowser(village.base) as browser:
        empty = await browser.get("/pendientes")
        assert "Aquí no hay nada" in empty.text
        page = await browser.get(f"/pendientes?llave={MINE}")
        assert (page.status, page.path) == (200, "/pendientes")
        assert "/vacunas?x=1&amp;y=&lt;b&gt;" in page.text
        assert "La otra" not in page.text, "nobody sees what a neighbour asked for"
        assert re.search(r'href="http://salud\.localhost:\d+/vacunas\?x=1&amp;y=&lt;b&gt;"', page.text)
        assert page.headers["Cache-Control"] == "no-store"
        both = await browser.get(f"/pendientes?llave={YOURS}")
        assert "La otra" in both.text
        assert "/vacunas" in both.text
        start = await browser.get("/")
        assert "2 esperan" in html.unescape(start.text)


async def test_the_start_page_says_how_many_of_my_pages_have_arrived(village: Village) -> None:
    village.kept.pages[MINE] = replace(PAGE, state=KeptState.ARRIVED, title="Vacunas")
    async with SmallBrowser(village.base) as browser:
        assert "/pendientes" not in (await browser.get("/")).text
        page = await browser.get(f"/pendientes?llave={MINE}")
        assert "Ya llegó" in page.text
        assert "1 ya llegó" in (await browser.get("/")).text


async def test_a_page_is_taken_off_by_who_holds_its_token_alone(village: Village) -> None:
    async with SmallBrowser(village.base) as browser:
        page = await browser.get(f"/pendientes?llave={MINE}")
        fields = {"token": page.field("token"), "llave": YOURS}
        await browser.post("/pendientes", fields)
        assert YOURS in village.kept.pages
        refused = await browser.post("/pendientes", {"llave": MINE})
        assert (refused.status, MINE in village.kept.pages) == (403, True)
        left = await browser.post("/pendientes", {**fields, "llave": MINE})
        assert "Aquí no hay nada" in left.text
        assert set(village.kept.pages) == {YOURS}


async def test_a_token_that_shows_nothing_pushes_out_none_of_mine(village: Village) -> None:
    async with SmallBrowser(village.base) as browser:
        await browser.get(f"/pendientes?llave={MINE}")
        for at in range(70):
            await browser.session.get(f"{village.base}/pendientes?llave={at:022d}", allow_redirects=False)
        assert "/vacunas" in (await browser.get("/pendientes")).text


@pytest.mark.parametrize("url", ["http://[:::]/x", "http://[", "nonsense", "http://o.test?x", ""])
async def test_a_kept_address_that_is_none_is_listed_all_the_same(village: Village, url: str) -> None:
    for site in ("salud", ""):
        village.kept.pages[MINE] = replace(PAGE, site=site, url=url)
        async with SmallBrowser(village.base) as browser:
            assert (await browser.get(f"/pendientes?llave={MINE}")).status == 200


async def test_odd_tokens_and_cookies_are_passed_over(village: Village) -> None:
    async with SmallBrowser(village.base) as browser:
        for token in ("", "x", "../etc", "%0d%0aSet-Cookie:a=b", "é" * 22, "z" * 22):
            assert (await browser.get(f"/pendientes?llave={token}")).status == 200
        odd = await browser.get("/pendientes", Cookie=f"tambo-kept=;;{'.' * 3_000}{MINE}; __Host-tambo-kept=a.b")
        assert odd.status == 200
        many = ".".join(f"{at:022d}" for at in range(200))
        assert (await browser.get("/pendientes", Cookie=f"__Host-tambo-kept={many}")).status == 200


@pytest.fixture
async def site() -> AsyncIterator[Listener]:
    async def fail(request: web.BaseRequest) -> web.StreamResponse:
        raise KeptForLater(MINE, down_s=720.0, by_proxy=request.path == "/proxy")

    def render(request: web.BaseRequest, error: Exception) -> web.Response:
        assert isinstance(error, KeptForLater)
        return render_offline(request, error, Home("tambo.test", 8080))

    await asyncio.to_thread(load_offline)
    made = Listener("site", Address("127.0.0.1", 0), fail, render)
    await made.start()
    yield made
    await made.stop()


@pytest.mark.parametrize(
    ("language", "said"), [("es-PE", "Está así desde hace 12 minutos"), ("en", "It has been down for 12 minutes")]
)
async def test_the_offline_page_is_small_complete_and_repeats_nothing(site: Listener, language: str, said: str) -> None:
    headers = {"Accept": "text/html", "Accept-Language": language, "Accept-Encoding": "identity"}
    url = f"http://{site.address}/SECRETMARK?SECRETMARK"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        body = await answer.text()
    assert answer.status == 503
    assert len(body.encode()) <= 4_000
    assert said in body
    assert "SECRETMARK" not in body
    assert "<script" not in body
    assert "/static/" not in body
    assert f'href="http://tambo.test:{site.address.port}/pendientes?llave={MINE}"' in body
    assert answer.headers["Cache-Control"] == "no-store"
    assert int(answer.headers["Retry-After"]) >= 15
    reload_s = re.search(r'http-equiv="refresh" content="(\d+)"', body)
    assert reload_s is not None
    assert int(reload_s[1]) >= 15


async def test_through_the_proxy_the_list_is_on_the_portals_own_port(site: Listener) -> None:
    async with (
        aiohttp.ClientSession(headers={"Accept": "text/html", "Accept-Encoding": "identity"}) as session,
        session.get(f"http://{site.address}/proxy") as answer,
    ):
        assert f'href="http://tambo.test:8080/pendientes?llave={MINE}"' in await answer.text()


async def test_a_program_is_told_in_json_and_gets_no_token(site: Listener) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"http://{site.address}/") as answer:
        text = await answer.text()
    assert '"code": "kept-for-later"' in text
    assert MINE not in text
