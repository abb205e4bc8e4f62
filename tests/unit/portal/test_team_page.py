"""A merchant makes and takes back access to the own shop; each secret is shown once, after the password."""

import re
from asyncio import to_thread as aside
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from gateway.listener import Listener
from gateway.portal.credentials import Role
from gateway.portal.people import Scope
from gateway.portal.team_page import TeamPage
from gateway.resources import templates
from gateway.units import Address
from tests.clocks import HandClock
from tests.unit.portal.small_portal import PASSWORD, Page, SmallBrowser, SmallPortal, small_portal

TEAM = "/tienda/equipo"


@pytest.fixture
async def village(tmp_path: Path, clock: HandClock) -> AsyncIterator[SmallPortal]:
    async with small_portal(tmp_path, clock) as made:
        await aside(made.accounts.add, "ana", "merchant", PASSWORD)
        await aside(made.accounts.add, "rosa", "merchant", None)
        await aside(lambda: made.accounts.add("pedro", "cashier", PASSWORD, shop="ana"))
        await aside(lambda: made.accounts.add("luz", "cashier", None, shop="rosa"))
        await aside(made.accounts.add, "nelly", "nurse", PASSWORD)
        yield made


@pytest.fixture
async def base(village: SmallPortal) -> AsyncIterator[str]:
    """The page, with the pages to sign in on, on a listener of its own."""
    portal = village.portal
    page = TeamPage(portal._shop.frame, portal._doorkeeper)
    application = web.Application(middlewares=[portal._meet_visitor])
    application.add_routes([*page.routes(), *portal._sign_in.routes()])
    listener = Listener("team", Address("127.0.0.1", 0), application, portal.render_error)
    await listener.start()
    yield f"http://127.0.0.1:{listener.address.port}"
    await listener.stop()


async def signed_in(browser: SmallBrowser, name: str = "ana", secret: str = PASSWORD) -> Page:
    return await browser.sign_in(name, secret, f"/entrar?sigue={TEAM}")


async def send(browser: SmallBrowser, page: Page, do: str, **fields: str) -> Page:
    return await browser.post(TEAM, {"token": page.field("token"), "do": do, **fields})


def shown_once(page: Page) -> str:
    """The secret that stands on a page to be copied."""
    found = re.search(r'id="made" value="([^"]+)" readonly', page.text)
    assert found, "a secret to copy"
    return unescape(found[1])


async def test_a_cashier_is_added_by_a_link_that_signs_in_once(village: SmallPortal, base: str) -> None:
    async with SmallBrowser(base) as browser, SmallBrowser(base) as phone, SmallBrowser(base) as late:
        page = await signed_in(browser)
        added = await send(browser, page, "cashier", name=" Jose ", password="", own=PASSWORD)
        assert added.status == 200
        link = shown_once(added)
        assert link.startswith(f"{base}/entrar/")
        path = urlsplit(link).path
        assert path.rpartition("/")[2] not in (await browser.get(TEAM)).text, "once"
        made = await aside(village.accounts.find, "jose")
        assert made is not None
        assert (made.role, made.shop, made.sees_totals) == (Role.CASHIER, "ana", False)
        looked = await phone.get(path)
        entered = await phone.post(path, {"token": looked.field("token")}, follow=False)
        assert (entered.status, entered.headers["Location"]) == (303, "/tienda")
        again = await late.get(path)
        assert (await late.post(path, {"token": again.field("token")})).status == 403


async def test_a_cashier_is_added_with_a_password(village: SmallPortal, base: str) -> None:
    async with SmallBrowser(base) as browser:
        page = await signed_in(browser)
        short = await send(browser, page, "cashier", name="jose", password="corta", own=PASSWORD)
        assert short.status == 400
        assert short.field("name") == "jose"
        assert "corta" not in short.text
        taken = await send(browser, page, "cashier", name="luz", password="", own=PASSWORD)
        assert taken.status == 409
        await send(browser, page, "cashier", name="jose", password="otra frase larga", own=PASSWORD)
    assert await aside(village.accounts.check_password, "jose", "otra frase larga") is not None


@pytest.mark.parametrize(
    ("do", "fields"), [("cashier", {"name": "jose"}), ("link", {"who": "pedro"}), ("token", {"label": "caja"})]
)
async def test_a_way_in_is_made_only_after_the_own_password(
    village: SmallPortal, base: str, do: str, fields: dict[str, str]
) -> None:
    async with SmallBrowser(base) as browser:
        page = await signed_in(browser)
        for own in ("", "not the password"):
            refused = await send(browser, page, do, own=own, **fields)
            assert refused.status == 403
            assert 'id="made"' not in refused.text
        for _ in range(3):
            await send(browser, page, do, own="not the password", **fields)
        paused = await send(browser, page, do, own=PASSWORD, **fields)
        assert paused.status == 429
        assert paused.headers["Retry-After"] == "2"
        village.clock.pass_s(3)
        assert (await send(browser, page, do, own=PASSWORD, **fields)).status == 200


async def test_a_merchant_without_a_password_is_not_asked_for_one(village: SmallPortal, base: str) -> None:
    token = await aside(village.accounts.new_token, "rosa")
    async with SmallBrowser(base) as browser:
        page = await signed_in(browser, "rosa", token)
        assert 'name="own"' not in page.text
        assert shown_once(await send(browser, page, "token", label="caja")).startswith("tambo_")


@pytest.mark.parametrize(("do", "scope"), [("token", Scope.ORDERS), ("token-read", Scope.READ)])
async def test_a_token_is_shown_once_and_listed_by_how_it_begins(
    village: SmallPortal, base: str, do: str, scope: Scope
) -> None:
    async with SmallBrowser(base) as browser:
        page = await signed_in(browser)
        made = await send(browser, page, do, label="caja", own=PASSWORD)
        token = shown_once(made)
        assert made.headers["Cache-Control"] == "no-store"
        bearer = await aside(village.accounts.tokens.of, token)
        assert bearer is not None
        assert (bearer.account.name, bearer.token.scope) == ("ana", scope)
        later = await browser.get(TEAM)
        assert token not in later.text
        assert token[:14] in later.text
        assert (await send(browser, page, do, label="caja", own=PASSWORD)).status == 409, "sent twice makes one"
        gone = await send(browser, later, "revoke", which=token[:14])
        assert gone.status == 200
        assert token[:14] not in gone.text
    assert await aside(village.accounts.tokens.of, token) is None


async def test_a_token_needs_a_label(base: str) -> None:
    async with SmallBrowser(base) as browser:
        page = await signed_in(browser)
        assert (await send(browser, page, "token", label=" ", own=PASSWORD)).status == 400


async def test_a_cashier_is_shown_the_totals_signed_out_and_removed(village: SmallPortal, base: str) -> None:
    async with SmallBrowser(base) as browser, SmallBrowser(base) as till:
        assert (await till.sign_in("pedro")).status == 404, "the shop's own pages are not on this listener"
        page = await signed_in(browser)
        for do, sees in (("totals", True), ("no-totals", False)):
            assert (await send(browser, page, do, who="pedro")).status == 200
            pedro = await aside(village.accounts.find, "pedro")
            assert pedro is not None
            assert pedro.sees_totals is sees
        assert (await till.get(TEAM)).status == 403
        await send(browser, page, "sign-out", who="pedro")
        assert (await till.get(TEAM)).path == "/entrar"
        removed = await send(browser, page, "remove", who="pedro")
        assert "pedro" not in removed.text
        assert await aside(village.accounts.find, "pedro") is None


@pytest.mark.parametrize("who", ["luz", "rosa", "ana", "nelly", "nadie", ""])
@pytest.mark.parametrize("do", ["remove", "sign-out", "totals", "link"])
async def test_nobody_but_the_own_cashiers_is_reached(village: SmallPortal, base: str, do: str, who: str) -> None:
    before = await aside(village.accounts.list)
    async with SmallBrowser(base) as browser:
        page = await signed_in(browser)
        refused = await send(browser, page, do, who=who, own=PASSWORD)
        assert refused.status == 404
        assert 'id="made"' not in refused.text
    assert await aside(village.accounts.list) == before


async def test_the_tokens_of_another_shop_are_neither_seen_nor_revoked(village: SmallPortal, base: str) -> None:
    token = await aside(village.accounts.new_token, "rosa")
    async with SmallBrowser(base) as browser:
        page = await signed_in(browser)
        assert token[:14] not in page.text
        assert "luz" not in page.text
        assert (await send(browser, page, "revoke", which=token[:14])).status == 404
    assert await aside(village.accounts.tokens.of, token) is not None


@pytest.mark.parametrize("name", ["pedro", "nelly"])
async def test_the_page_is_the_merchants_alone(base: str, name: str) -> None:
    async with SmallBrowser(base) as browser:
        assert (await signed_in(browser, name)).status == 403
        sent = await browser.post(TEAM, {"do": "token", "label": "caja", "own": PASSWORD})
        assert sent.status == 403


async def test_a_form_of_another_page_or_browser_changes_nothing(village: SmallPortal, base: str) -> None:
    async with SmallBrowser(base) as browser, SmallBrowser(base) as other:
        page = await signed_in(browser)
        stolen = (await other.get("/entrar")).field("token")
        for token in ("", stolen):
            assert (await browser.post(TEAM, {"token": token, "do": "remove", "who": "pedro"})).status == 403
        foreign = {"token": page.field("token"), "do": "remove", "who": "pedro"}
        assert (await browser.post(TEAM, foreign, "http://evil.example")).status == 403
        assert (await browser.post(TEAM, {"token": page.field("token"), "do": "burn"})).status == 400
    assert await aside(village.accounts.find, "pedro") is not None


async def test_a_label_is_shown_as_text(base: str) -> None:
    async with SmallBrowser(base) as browser:
        page = await signed_in(browser)
        made = await send(browser, page, "token", label="<b>caja</b>", own=PASSWORD)
        assert "<b>caja</b>" not in made.text
        assert "&lt;b&gt;caja" in made.text


async def test_the_page_is_within_its_budget_and_every_field_has_a_label(base: str) -> None:
    stated = re.match(r"\{# Budget: (\d+) bytes", (templates() / "team.html").read_text())
    assert stated
    async with SmallBrowser(base) as browser:
        page = await signed_in(browser)
        made = await send(browser, page, "token", label="caja", own=PASSWORD)
        for each in re.findall(r"<input (?![^>]*type=\"hidden\")[^>]*id=\"([^\"]+)\"", made.text):
            assert f'for="{each}"' in made.text, each
        async with browser.session.get(f"{base}{TEAM}") as answer:
            assert (answer.content_length or 0) + sum(
                len(name) + len(value) + 4 for name, value in answer.raw_headers
            ) <= int(stated[1])
