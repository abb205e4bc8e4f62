"""Every page is guarded, small, labelled, spoken in the visitor's language, and works without script."""

import asyncio
import re
import uuid
from asyncio import to_thread as aside
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import aiohttp
import pytest

from gateway.resources import templates
from tests.clocks import HandClock
from tests.unit.portal.small_portal import PASSWORD, Page, SmallBrowser, SmallPortal, small_portal

START_BYTES_MAX = 14_000  # the first page, its style and its icon: one initial congestion window
TEMPLATE_OF = {
    "/": "start",
    "/entrar": "signin",
    "/entrar/ABCD": "use_link",
    "/preparar": "setup",
    "/nada": "failure",
    "/consulta/n-token": "call",
    "/tienda": "shop",
    "/tienda/pedidos": "orders",
}


def budget(template: str) -> int:
    """The bytes that a page's template allows it."""
    found = re.match(r"\{# Budget: (\d+) bytes", (templates() / f"{template}.html").read_text())
    assert found, f"{template} states no budget"
    return int(found[1])


def test_every_page_states_its_budget() -> None:
    parts = {"frame", "pieces", "shop_frame"}
    assert all(budget(path.stem) for path in templates().glob("*.html") if path.stem not in parts)


@pytest.fixture
async def village(tmp_path: Path, clock: HandClock) -> AsyncIterator[SmallPortal]:
    async with small_portal(tmp_path, clock) as made:
        await aside(made.accounts.add, "rosa", "merchant", PASSWORD)
        await aside(made.accounts.add, "nelly", "nurse", PASSWORD)
        yield made


def order_of(form: Page, **fields: str) -> dict[str, str]:
    """A filled order form: 1.5 kg of potatoes."""
    hidden = {name: form.field(name) for name in ("token", "id", "sku-0", "sku-1")}
    written = {"quantity-0": "1,5", "quantity-1": "", "buyer_name": "Julia Mamani", "buyer_phone": "987 654 321"}
    return {**hidden, **written, "note": "", **fields}


def wire_bytes(answer: aiohttp.ClientResponse) -> int:
    """The bytes of an answer on the wire, its head included."""
    head = sum(len(name) + len(value) + 4 for name, value in answer.raw_headers) + 19
    return head + int(answer.headers["Content-Length"])


async def weigh(base: str, path: str) -> tuple[int, str]:
    """The bytes of an answer on the wire, and its text."""
    headers = {"Accept": "text/html", "Accept-Encoding": "br"}
    async with (
        aiohttp.ClientSession(auto_decompress=False, headers=headers) as raw,
        raw.get(base + path) as answer,
    ):
        size = wire_bytes(answer)
    async with aiohttp.ClientSession(headers={"Accept": "text/html"}) as plain, plain.get(base + path) as answer:
        return size, await answer.text()


@pytest.mark.parametrize("path", ["/", "/entrar", "/entrar/ABCD", "/preparar", "/nada", "/consulta/n-token"])
async def test_a_page_is_guarded_and_within_its_budget(village: SmallPortal, path: str) -> None:
    size, html = await weigh(village.base, path)
    assert size <= budget(TEMPLATE_OF[path])
    assert html.count("<h1") == 1
    async with SmallBrowser(village.base) as browser:
        headers = (await browser.get(path)).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == ("private, no-cache" if path == "/" else "no-store")
    assert headers["Content-Encoding"] == "br"
    assert ("camera=(self)" in headers["Permissions-Policy"]) is path.startswith("/consulta")
    assert " style=" not in html, "a page has no style of its own"
    assert not re.search(r" on[a-z]+=", html), "and no script in it"


async def test_the_start_page_with_all_it_loads_fits_one_window(village: SmallPortal) -> None:
    total, html = await weigh(village.base, "/")
    for asset in set(re.findall(r'(?:href|src)="(/static/[^"]+)"', html)):
        total += (await weigh(village.base, asset))[0]
    assert total <= START_BYTES_MAX


@pytest.mark.parametrize("path", ["/tienda", "/tienda/pedidos"])
async def test_a_page_of_ones_own_is_stored_by_nobody_and_within_its_budget(village: SmallPortal, path: str) -> None:
    async with SmallBrowser(village.base) as browser:
        assert (await browser.get(path)).path == "/entrar", "who is not known is asked"
        page = await browser.sign_in("rosa", path=f"/entrar?sigue={path}")
        assert page.path == path
        assert page.headers["Cache-Control"] == "no-store"
        assert "Cookie" in ",".join(page.headers.getall("Vary"))
        async with browser.session.get(village.base + path) as answer:
            assert wire_bytes(answer) <= budget(TEMPLATE_OF[path])


async def test_sites_are_linked_by_their_host_on_the_port_that_was_asked(village: SmallPortal) -> None:
    port = village.base.rpartition(":")[2]
    async with SmallBrowser(village.base) as browser:
        html = (await browser.get("/")).text
    assert f'href="http://salud.localhost:{port}/"' in html
    assert "Posta de salud" in html
    assert "4\u00a0Mbit/s" in html
    assert "El enlace funciona" in html


async def test_the_language_asked_for_is_spoken_and_the_chosen_one_remembered(village: SmallPortal) -> None:
    async with SmallBrowser(village.base, language="en-GB,en") as browser:
        assert '<html lang="en">' in (await browser.get("/")).text
        chosen = await browser.get("/entrar?idioma=es")
        assert '<html lang="es">' in chosen.text
        assert "idioma=es" in chosen.cookies["idioma"]
        assert '<html lang="es">' in (await browser.get("/")).text
        assert (await browser.get("/?idioma=xx")).cookies.get("idioma") is None


async def test_an_order_goes_from_form_to_receipt_without_script(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        form = await browser.sign_in("rosa")
        receipt = await browser.post("/tienda", order_of(form, note="Dejar en la posta"))
        async with browser.session.get(village.base + receipt.path) as answer:
            assert wire_bytes(answer) <= budget("receipt")
        assert re.fullmatch(r"/tienda/pedidos/[0-9a-f-]{36}", receipt.path)
        for part in ("SMT-0001-0001", "Papa amarilla", "S/\u00a05.25", "aún no enviado", "data:image/svg+xml"):
            assert part in receipt.text
        listed = await browser.get("/tienda/pedidos")
        assert "SMT-0001-0001" in listed.text
    kept = list(village.market.kept.values())
    assert [(line.sku, line.quantity, line.unit_price_minor) for line in kept[0].lines] == [("papa", "1.5", 350)]
    assert kept[0].merchant == "rosa"


async def test_pressing_twice_makes_one_order(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        fields = order_of(await browser.sign_in("rosa"))
        async with asyncio.TaskGroup() as tasks:
            both = [tasks.create_task(browser.post("/tienda", fields)) for _ in range(2)]
        assert len({each.result().path for each in both}) == 1
    assert len(village.market.kept) == 1


async def test_a_changed_order_under_the_same_id_is_asked_back_and_gets_an_id_of_its_own(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        fields = order_of(await browser.sign_in("rosa"))
        first = await browser.post("/tienda", fields)
        changed = await browser.post("/tienda", {**fields, "quantity-0": "9"})
        assert changed.status == 409
        assert first.path in changed.text
        assert changed.field("id") != fields["id"]
        assert changed.field("quantity-0") == "9"
        second = await browser.post("/tienda", order_of(changed, **{"quantity-0": "9"}))
        assert second.path != first.path
    assert len(village.market.kept) == 2


async def test_faults_stand_beside_their_fields_and_nothing_written_is_lost(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        form = await browser.sign_in("rosa")
        faulty = order_of(form, **{"quantity-0": "dos", "quantity-1": "3"}, buyer_phone="", note='</textarea>"<b>')
        page = await browser.post("/tienda", faulty)
        assert page.status == 422
        assert 'id="quantity-0-fault"' in page.text
        assert 'id="buyer_phone-fault"' in page.text
        assert 'id="buyer_name-fault"' not in page.text
        assert page.field("quantity-0") == "dos"
        assert page.field("quantity-1") == "3"
        assert page.field("buyer_name") == "Julia Mamani"
        assert page.field("id") == faulty["id"]
        assert "<b>" not in page.text.split("<textarea")[1].split("</textarea>")[0]
        refused = await browser.post("/tienda", order_of(page, buyer_phone="sin número"))
        assert refused.status == 422, "the market's own rules are told the same way"
        assert 'id="buyer_phone-fault"' in refused.text
        assert refused.field("buyer_phone") == "sin número"
    assert not village.market.kept


async def test_without_a_catalogue_there_are_free_lines(tmp_path: Path, clock: HandClock) -> None:
    async with small_portal(tmp_path, clock, catalogue=False) as village, SmallBrowser(village.base) as browser:
        await aside(village.accounts.add, "rosa", "merchant", PASSWORD)
        form = await browser.sign_in("rosa")
        fields = {name: form.field(name) for name in ("token", "id")}
        who = {"buyer_name": "Julia", "buyer_phone": "987654321", "note": ""}
        line = {"name-2": "Chuño", "quantity-2": "2", "unit-2": "", "price-2": "4,50"}
        half = await browser.post("/tienda", {**fields, **who, "name-2": "Chuño", "quantity-2": "2"})
        assert half.status == 422
        assert 'id="price-2-fault"' in half.text
        receipt = await browser.post("/tienda", {**fields, **who, **line})
        assert "S/\u00a09.00" in receipt.text


async def test_another_merchants_receipt_is_not_there(village: SmallPortal) -> None:
    await aside(village.accounts.add, "pedro", "merchant", PASSWORD)
    async with SmallBrowser(village.base) as browser, SmallBrowser(village.base) as other:
        receipt = await browser.post("/tienda", order_of(await browser.sign_in("rosa")))
        await other.sign_in("pedro")
        assert (await other.get(receipt.path)).status == 404
        assert (await other.get(f"/tienda/pedidos/{uuid.uuid4()}")).status == 404
        assert (await other.get("/tienda/pedidos/x")).status == 404


async def test_an_account_of_another_role_is_told_so(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        await browser.sign_in("nelly")
        page = await browser.get("/tienda")
        assert page.status == 403
        assert "Esta cuenta no es para esta página" in page.text


async def test_a_box_without_a_market_says_so(tmp_path: Path, clock: HandClock) -> None:
    async with small_portal(tmp_path, clock, has_market=False) as village, SmallBrowser(village.base) as browser:
        assert "no está preparada la tienda" in (await browser.get("/")).text
        assert (await browser.get("/tienda")).status == 404


async def test_the_door_shows_the_doctors_side_and_nothing_else(village: SmallPortal) -> None:
    async with SmallBrowser(village.door) as doctor:
        page = await doctor.get("/consulta/d-token")
        assert page.status == 200
        assert 'data-role="doctor"' in page.text
        assert "/tienda" not in page.text
        for asset in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text):
            assert (await doctor.get(asset)).status == 200
        assert (await doctor.get("/consulta/d-token/ws")).text == "socket of doctor"
        for path in ("/", "/entrar", "/tienda", "/clinica", "/consulta/n-token", "/consulta/n-token/ws", "/preparar"):
            assert (await doctor.get(path)).status == 404
        assert (await doctor.get("/consulta/x")).status == 403


async def test_a_file_is_served_for_ever_under_its_content_and_nowhere_else(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        url = re.findall(r'href="(/static/[^"]+css)"', (await browser.get("/")).text)[0]
        style = await browser.get(url)
        assert style.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert style.headers["Content-Encoding"] == "br"
        digest = url.split("/")[2]
        for wrong in (url.replace(digest, "0" * 12), f"/static/{digest}/..%2f..%2fpyproject.toml", "/static/x/y"):
            assert (await browser.get(wrong)).status == 404
        assert (await browser.get("/favicon.ico")).headers["Content-Type"] == "image/svg+xml"
        assert "Disallow: /" in (await browser.get("/robots.txt")).text


@pytest.mark.parametrize("body", [b"\xff\xfe=%ff&token=%", b"a=1&" * 2_000, b""])
async def test_an_odd_form_gets_a_page_not_a_failure(village: SmallPortal, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": village.base}
    async with SmallBrowser(village.base) as browser:
        sent = browser.session.post(f"{village.base}/entrar", data=body, headers=headers)
        async with sent as answer:
            assert answer.status in {400, 403}
            assert "<h1" in await answer.text()


async def test_a_body_over_the_limit_is_refused(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        page = await browser.post("/entrar", {"token": "x" * 30_000})
        assert page.status == 413


async def test_where_to_go_after_signing_in_is_only_a_path_of_ours(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        form = await browser.get("/entrar?sigue=//evil.example/tienda")
        assert form.field("next") == ""
        fields = {"token": form.field("token"), "name": "rosa", "password": PASSWORD, "next": "https://evil.example/"}
        assert (await browser.post("/entrar", fields)).path == "/tienda"


async def test_an_order_sent_after_the_session_ended_is_kept_through_the_sign_in(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        fields = order_of(await browser.sign_in("rosa"), note='con "comillas" y <b>')
        village.clock.pass_s(3_601)
        asked = await browser.post("/tienda", fields)
        assert asked.status == 403
        assert not village.market.kept
        hidden = {
            name: unescape(value) for name, value in re.findall(r'name="(kept\.[^"]+)" value="([^"]*)"', asked.text)
        }
        answer = {"token": asked.field("token"), "next": asked.field("next"), "name": "rosa", **hidden}
        wrong = await browser.post("/entrar", {**answer, "password": "not the password"})
        assert wrong.field("kept.buyer_name") == "Julia Mamani"
        resumed = await browser.post("/entrar", {**answer, "password": PASSWORD})
        again = {name: unescape(value) for name, value in re.findall(r'name="([^"]+)" value="([^"]*)"', resumed.text)}
        receipt = await browser.post("/tienda", again)
        assert "SMT-0001-0001" in receipt.text
    assert [order.order and order.order.note for order in village.market.kept.values()] == ['con "comillas" y <b>']
