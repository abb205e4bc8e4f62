"""The shop as an app: what a phone may keep, and how an order that waited in it is taken, once."""

import json
import re
import uuid
from asyncio import to_thread as aside
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import brotli
import pytest
from PIL import Image

from gateway.market.attention import Attention, Code
from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.order import as_fields
from gateway.market.states import State
from gateway.portal.app_pages import IDS_MAX, PICTURES_S
from gateway.portal.app_shown import TEXTS, shop_mark
from gateway.resources import content, templates
from tests.clocks import HandClock
from tests.unit.portal.shop_visits import ARTICLES, an_order, shop, signed_in
from tests.unit.portal.small_portal import PASSWORD, SmallBrowser, SmallPortal

SCRIPT_BYTES_MAX = 50_000
RECEIPT = {"id", "receipt", "state", "recorded_at", "hash"}


@pytest.fixture
async def village(tmp_path: Path, clock: HandClock) -> AsyncIterator[SmallPortal]:
    async with shop(tmp_path, clock) as made:
        yield made


@pytest.fixture
async def rosa(village: SmallPortal) -> AsyncIterator[SmallBrowser]:
    async with SmallBrowser(village.base) as browser:
        await signed_in(browser)
        yield browser


async def ask(browser: SmallBrowser, path: str, document: object, **fields: str) -> tuple[int, dict[str, Any]]:
    """What the box answers to a script of ours."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    headers = {"Origin": browser.base, "Accept": "application/json", "Content-Type": "application/json", **fields}
    async with browser.session.post(browser.base + path, data=body, headers=headers) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status, await answer.json()


async def look(browser: SmallBrowser, *ids: str) -> dict[str, Any]:
    status, said = await ask(browser, "/tienda/estado", {"ids": list(ids)})
    assert status == 200
    return said


async def hand_in(browser: SmallBrowser, document: object, **fields: str) -> tuple[int, dict[str, Any]]:
    said = await look(browser)
    return await ask(
        browser, "/tienda/enviar", document, **{"Tambo-Token": said["token"], "Tambo-Shop": said["shop"], **fields}
    )


async def test_an_order_of_a_phone_is_taken_once_however_often_it_comes(
    village: SmallPortal, rosa: SmallBrowser
) -> None:
    document = as_fields(an_order(made_at="2026-11-21T08:30:00Z"))
    first, receipt = await hand_in(rosa, document)
    again, same = await hand_in(rosa, document)
    assert (first, again) == (201, 200)
    assert set(receipt) == RECEIPT
    assert receipt == same
    assert [view.made_by for view in village.market.kept.values()] == ["rosa"]


async def test_an_id_with_other_content_is_a_conflict(rosa: SmallBrowser) -> None:
    order = an_order()
    await hand_in(rosa, as_fields(order))
    status, said = await hand_in(rosa, {**as_fields(order), "note": "other"})
    assert (status, said["error"]["code"]) == (409, "conflict")


async def test_what_became_of_a_phones_orders_is_told_without_a_name(village: SmallPortal, rosa: SmallBrowser) -> None:
    order, other = an_order(), an_order()
    await hand_in(rosa, as_fields(order))
    await village.market.record(other, "luis", "luis")
    village.market.hear(order.id, State.ACCEPTED)
    said = await look(rosa, order.id, other.id, str(uuid.uuid4()), "../x")
    (told,) = said["orders"]
    assert (told["id"], told["receipt"], told["tone"], told["settled"]) == (order.id, "SMT-0001-0001", "good", True)
    assert "Julia" not in json.dumps(said)
    village.market.hear(order.id, State.NEEDS_ATTENTION, "", Attention(Code.OTHER))
    assert not (await look(rosa, order.id))["orders"][0]["settled"]


async def test_who_is_not_signed_in_is_told_so_as_a_program_is(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        for path in ("/tienda/estado", "/tienda/enviar"):
            status, said = await ask(browser, path, {"ids": []})
            assert (status, said["error"]["code"]) == (401, "not-signed-in")


async def test_a_nurse_hands_in_nothing(village: SmallPortal) -> None:
    await aside(village.accounts.add, "nelly", "nurse", PASSWORD)
    async with SmallBrowser(village.base) as browser:
        await browser.sign_in("nelly")
        status, _ = await ask(browser, "/tienda/estado", {"ids": []})
        assert status == 403


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"Tambo-Token": ""}, 403, "stale-token"),
        ({"Tambo-Token": "x" * 86}, 403, "stale-token"),
        ({"Tambo-Token": "ñ" * 86}, 403, "stale-token"),
        ({"Tambo-Shop": shop_mark("luis")}, 403, "other-shop"),
        ({"Content-Type": "text/plain"}, 400, "bad-request"),
        ({"Content-Encoding": "br"}, 400, "bad-request"),
        ({"Origin": "http://evil.example"}, 403, "not-allowed"),
    ],
)
async def test_an_order_is_taken_only_as_our_page_sends_it(
    village: SmallPortal, rosa: SmallBrowser, fields: dict[str, str], status: int, code: str
) -> None:
    answer = await hand_in(rosa, as_fields(an_order()), **fields)
    assert (answer[0], answer[1]["error"]["code"]) == (status, code)
    assert not village.market.kept


@pytest.mark.parametrize(
    ("document", "status", "code"),
    [
        ({"id": "x"}, 400, "faulty-order"),
        (b"{", 400, "bad-request"),
        (b" " * 400_000, 413, "too-large"),
    ],
)
async def test_a_faulty_order_is_refused_for_good(rosa: SmallBrowser, document: object, status: int, code: str) -> None:
    answer = await hand_in(rosa, document)
    assert (answer[0], answer[1]["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    "document", [[], {"ids": "x"}, {"ids": [1]}, {"ids": ["x"] * (IDS_MAX + 1)}, b"{", b" " * 9_000]
)
async def test_a_look_that_cannot_be_read_is_refused(rosa: SmallBrowser, document: object) -> None:
    status, _ = await ask(rosa, "/tienda/estado", document)
    assert status in {400, 413}


async def test_a_full_box_is_no_fault_of_the_order(village: SmallPortal, rosa: SmallBrowser) -> None:
    village.market.is_full = True
    status, _ = await hand_in(rosa, as_fields(an_order()))
    assert status == 503


async def test_a_phone_keeps_articles_and_words_and_nobodys_name(village: SmallPortal, rosa: SmallBrowser) -> None:
    await village.market.record(an_order(), "rosa", "rosa")
    village.market.storefront.pictures = {"papa": b"RIFF"}
    page = await rosa.get("/tienda/telefono.json")
    said = json.loads(page.text)
    assert page.headers["Content-Encoding"] == "br"
    assert (said["version"], said["currency"], said["decimals"], said["locale"]) == ("v1", "PEN", 2, "es-PE")
    assert said["shop"] == shop_mark("rosa")
    assert [each["sku"] for each in said["articles"]] == [each.sku for each in ARTICLES]
    assert said["articles"][0]["picture"] == "/tienda/foto/papa"
    assert set(said["texts"]) == set(TEXTS)
    for name in ("Julia", "rosa", "987"):
        assert name not in page.text


async def test_articles_are_sent_again_only_when_they_changed(
    village: SmallPortal, rosa: SmallBrowser, clock: HandClock
) -> None:
    first = await rosa.get("/tienda/telefono.json")
    tag = {"If-None-Match": first.headers["ETag"]}
    assert (await rosa.get("/tienda/telefono.json", **tag)).status == 304
    village.market.storefront.pictures = {"papa": b"RIFF"}
    assert (await rosa.get("/tienda/telefono.json", **tag)).status == 304, "pictures are looked at once a minute"
    clock.pass_s(PICTURES_S + 1)
    second = await rosa.get("/tienda/telefono.json", **tag)
    assert second.status == 200
    village.market.storefront.offer(Catalogue("v2", "PEN", ARTICLES[:1]))
    third = await rosa.get("/tienda/telefono.json", **{"If-None-Match": second.headers["ETag"]})
    assert json.loads(third.text)["version"] == "v2"
    english = await rosa.get("/tienda/telefono.json?idioma=en", **{"If-None-Match": third.headers["ETag"]})
    assert json.loads(english.text)["locale"] == "en-GB"


async def test_articles_are_for_the_people_of_a_shop(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        page = await browser.get("/tienda/telefono.json", Accept="application/json")
        assert page.status == 401


async def test_a_hostile_article_stays_text(village: SmallPortal, rosa: SmallBrowser) -> None:
    hostile = Article('"><script>', "</script><b>", "kg", 350, "PEN")
    village.market.storefront.offer(Catalogue("v3", "PEN", (hostile,)))
    page = await rosa.get("/tienda/telefono.json")
    assert page.headers["Content-Type"] == "application/json"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert json.loads(page.text)["articles"][0]["sku"] == hostile.sku


async def test_the_shell_holds_nothing_of_whoever_is_signed_in(village: SmallPortal, rosa: SmallBrowser) -> None:
    await village.market.record(an_order(), "rosa", "rosa")
    page = await rosa.get("/tienda/sin-caja")
    assert page.status == 200
    for word in ("rosa", "Julia", 'name="token"', "/salir"):
        assert word not in page.text
    assert not re.search(r" on[a-z]+=| style=", page.text)


async def test_the_shell_and_its_scripts_are_small(village: SmallPortal, rosa: SmallBrowser) -> None:
    stated = re.match(r"\{# Budget: (\d+) bytes", (templates() / "shop_away.html").read_text())
    assert stated is not None
    async with rosa.session.get(rosa.base + "/tienda/sin-caja") as answer:
        assert answer.headers["Content-Encoding"] == "br"
        size = int(answer.headers["Content-Length"]) + sum(len(a) + len(b) + 4 for a, b in answer.raw_headers)
    assert size <= int(stated[1])
    scripts = [(content() / "assets" / name).read_bytes() for name in ("outbox.js", "shop.js", "shop_away.js", "sw.js")]
    assert sum(len(each) for each in scripts) <= SCRIPT_BYTES_MAX
    assert sum(len(brotli.compress(each)) for each in scripts[:2]) <= 10_000, "what a first load of the shop adds"


async def test_the_worker_names_what_it_keeps_and_is_asked_for_anew(village: SmallPortal, rosa: SmallBrowser) -> None:
    page = await rosa.get("/tienda/sw.js")
    assert page.headers["Service-Worker-Allowed"] == "/tienda"
    assert page.headers["Cache-Control"] == "no-cache"
    shell = json.loads(page.text.split("const SHELL = ", 1)[1].split(";\n", 1)[0])
    assert shell["outbox"] in shell["files"]
    for path in [shell["page"], *shell["files"]]:
        assert (await rosa.get(path)).status == 200


async def test_the_manifest_names_icons_that_are_there_in_their_sizes(village: SmallPortal) -> None:
    async with SmallBrowser(village.base, "en") as browser:
        page = await browser.get("/tienda/app.webmanifest")
        assert page.headers["Content-Type"].startswith("application/manifest+json")
        said = json.loads(page.text)
        assert (said["start_url"], said["display"], said["lang"]) == ("/tienda", "standalone", "en")
        for icon in said["icons"]:
            async with browser.session.get(browser.base + icon["src"]) as answer:
                assert (answer.status, answer.content_type) == (200, icon["type"])
            name = content() / "assets" / icon["src"].rpartition("/")[2]
            if icon["sizes"] != "any":
                picture = await aside(Image.open, name)
                assert f"{picture.width}x{picture.height}" == icon["sizes"]
    assert {icon["purpose"] for icon in said["icons"]} == {"any", "maskable"}


async def test_signing_out_keeps_what_waits_in_the_phone(village: SmallPortal, rosa: SmallBrowser) -> None:
    page = await rosa.get("/tienda")
    answer = await rosa.session.post(
        rosa.base + "/salir",
        data={"token": page.field("token")},
        headers={"Origin": rosa.base, "Cookie": "espera=1"},
        allow_redirects=False,
    )
    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert (await rosa.get("/tienda")).path == "/entrar", "the session has ended all the same"


async def test_texts_that_are_filled_in_by_the_phone_name_what_it_knows() -> None:
    places = {name for text in TEXTS.values() for name in re.findall(r"%\((\w+)\)s", text)}
    assert places <= {"count", "arrived", "receipt", "price", "unit", "name", "rate", "amount", "when"}


async def test_every_text_that_a_script_asks_for_is_there() -> None:
    scripts = "".join((content() / "assets" / name).read_text() for name in ("shop.js", "shop_away.js"))
    asked = set(re.findall(r'say\("(\w+)"', scripts)) | set(re.findall(r'"(fault_\w+)"', scripts))
    assert asked <= set(TEXTS)
