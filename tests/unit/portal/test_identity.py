"""A request that changes something counts only from our own page, in the browser that got it."""

from asyncio import to_thread as aside
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.portal.origins import came_from_here
from tests.clocks import HandClock
from tests.unit.portal.small_portal import PASSWORD, SmallBrowser, SmallPortal, small_portal

HERE = ("http", "10.0.0.1:8080")


@pytest.fixture
async def village(tmp_path: Path, clock: HandClock) -> AsyncIterator[SmallPortal]:
    async with small_portal(tmp_path, clock) as made:
        await aside(made.accounts.add, "rosa", "merchant", PASSWORD)
        await aside(made.accounts.add, "nelly", "nurse", PASSWORD)
        yield made


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"Origin": "http://10.0.0.1:8080"}, True),
        ({"Origin": "http://10.0.0.1:8080", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Referer": "http://10.0.0.1:8080/tienda"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "http://10.0.0.1"}, False),
        ({"Origin": "https://10.0.0.1:8080"}, False),
        ({"Origin": "http://10.0.0.1:8080", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "http://10.0.0.1:8080", "Sec-Fetch-Site": "same-site"}, False),
        ({"Referer": "http://evil.example/http://10.0.0.1:8080/"}, False),
        ({"Origin": "http://[::1"}, False),
    ],
)
def test_the_origin_of_a_request_is_believed_only_when_it_is_ours(headers: dict[str, str], ours: bool) -> None:
    assert came_from_here(headers, *HERE) is ours


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example"])
async def test_a_form_without_our_origin_is_refused(village: SmallPortal, origin: str | None) -> None:
    async with SmallBrowser(village.base) as browser:
        form = await browser.get("/entrar")
        fields = {"token": form.field("token"), "name": "rosa", "password": PASSWORD}
        refused = await browser.post("/entrar", fields, origin)
        assert refused.status == 403
        assert not any("tambo=" in cookie for cookie in refused.cookies.values())


async def test_a_form_with_a_wrong_or_another_browsers_token_is_refused(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser, SmallBrowser(village.base) as other:
        stolen = (await other.get("/entrar")).field("token")
        await browser.get("/entrar")
        for token in ("", "x" * 86, stolen):
            page = await browser.post("/entrar", {"token": token, "name": "rosa", "password": PASSWORD})
            assert page.status == 403
            assert page.path == "/entrar"
        assert 'value="rosa"' in page.text, "what was written is kept"


async def test_signing_in_rotates_the_session_and_sets_a_guarded_cookie(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        form = await browser.get("/entrar")
        fields = {"token": form.field("token"), "name": "rosa", "password": PASSWORD}
        first = await browser.post("/entrar", fields, follow=False)
        cookie = first.cookies["__Host-tambo"]
        for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
            assert part in cookie
        assert "Domain" not in cookie
        session = cookie.split(";")[0].partition("=")[2]
        assert await village.portal._doorkeeper.who(session) is not None
        fields["token"] = (await browser.get("/tienda")).field("token")
        again = await browser.post("/entrar", fields, follow=False)
        assert session not in again.cookies["__Host-tambo"]
        assert await village.portal._doorkeeper.who(session) is None


async def test_on_plain_http_of_a_network_the_cookie_is_strict_and_the_page_warns(village: SmallPortal) -> None:
    lan = {"Host": "10.0.0.1:8080", "Origin": "http://10.0.0.1:8080"}
    async with SmallBrowser(village.base) as browser:
        form = await browser.get("/entrar", Host="10.0.0.1:8080")
        assert "sin cifrar" in form.text
        bound = form.cookies["tambo-form"]
        assert "SameSite=Strict" in bound
        assert "Secure" not in bound
        fields = {"token": form.field("token"), "name": "rosa", "password": PASSWORD}
        sent = browser.session.post(f"{village.base}/entrar", data=fields, headers=lan, allow_redirects=False)
        async with sent as answer:
            assert answer.status == 303
            cookie = answer.cookies["tambo"].OutputString()
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Secure" not in cookie


async def test_signing_out_clears_and_asks_the_browser_to_forget(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        page = await browser.sign_in("rosa")
        left = await browser.post("/salir", {"token": page.field("token")}, follow=False)
        assert left.status == 303
        assert left.headers["Clear-Site-Data"] == '"cache", "storage"'
        assert (await browser.get("/tienda")).path == "/entrar"


async def test_guessing_is_paused_and_the_name_is_not_betrayed(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        wrong = await browser.sign_in("rosa", "not the password")
        unknown = await browser.sign_in("nadie", "not the password")
        assert wrong.status == unknown.status == 403
        said = [page.text.split('role="alert"')[1].split("</div>")[0] for page in (wrong, unknown)]
        assert said[0] == said[1]
        for _ in range(4):
            await browser.sign_in("rosa", "not the password")
        paused = await browser.sign_in("rosa")
        assert paused.status == 429, "even the right password waits"
        assert paused.headers["Retry-After"] == "2"
        village.clock.pass_s(3)
        assert (await browser.sign_in("rosa")).path == "/tienda"


async def test_a_token_in_the_passwords_place_signs_in(village: SmallPortal) -> None:
    token = await aside(village.accounts.new_token, "rosa")
    async with SmallBrowser(village.base) as browser:
        assert (await browser.sign_in("nelly", token)).status == 403
        assert (await browser.sign_in("rosa", token)).path == "/tienda"


async def test_a_sign_in_link_is_not_used_up_by_looking_at_it(village: SmallPortal) -> None:
    code = await aside(village.accounts.new_link, "rosa", 600)
    async with SmallBrowser(village.base) as browser, SmallBrowser(village.base) as other:
        for _ in range(2):
            looked = await browser.get(f"/entrar/{code}")
            assert looked.status == 200
        assert (await browser.post(f"/entrar/{code}", {"token": looked.field("token")})).path == "/tienda"
        late = await other.get(f"/entrar/{code}")
        assert (await other.post(f"/entrar/{code}", {"token": late.field("token")})).status == 403


async def test_the_setup_page_is_there_until_there_is_a_technician(village: SmallPortal) -> None:
    code = await aside(village.accounts.setup_code) or ""
    async with SmallBrowser(village.base) as browser:
        assert "/preparar" in (await browser.get("/")).text
        form = await browser.get("/preparar")
        fields = {"token": form.field("token"), "code": code, "name": "ana", "password": "corta"}
        short = await browser.post("/preparar", fields)
        assert short.status == 400
        assert short.field("name") == "ana"
        made = await browser.post("/preparar", {**fields, "password": PASSWORD})
        assert made.path == "/clinica"
        assert (await browser.get("/preparar")).status == 404


async def test_a_bearer_token_names_its_merchant_and_no_other_role(village: SmallPortal) -> None:
    from aiohttp.test_utils import make_mocked_request

    from gateway.errors import NotAllowed, NotSignedIn

    async def asked(authorization: str) -> str:
        request = make_mocked_request("POST", "/api/v1/orders", headers={"Authorization": authorization})
        return await village.portal.merchant_of(request)

    assert await asked(f"Bearer {await aside(village.accounts.new_token, 'rosa')}") == "rosa"
    with pytest.raises(NotAllowed):
        await asked(f"Bearer {await aside(village.accounts.new_token, 'nelly')}")
    for wrong in (
        "",
        "Bearer",
        "Bearer x",
        f"Basic {await aside(village.accounts.new_token, 'rosa')}",
        "Bearer " + "x" * 10_000,
    ):
        with pytest.raises(NotSignedIn):
            await asked(wrong)
