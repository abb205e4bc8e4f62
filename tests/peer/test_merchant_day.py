"""A merchant's day with a phone of 360×640 and no script in it, against the box, an emulated link and a marketplace."""

import hashlib
import io
import re
import uuid
from asyncio import to_thread as aside
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from tests.peer.merchant_files import FAULTS, ROWS, as_csv, as_table, as_xlsx, mended, orders, read, with_faults
from tests.peer.merchant_visits import BUYER, Marketplace, Person, person, until, visitor
from tests.village import Demo

pytestmark = pytest.mark.browser
RECEIPT = re.compile(r"SMT-\d{4}-\d{4}")


@pytest.fixture
async def market(demo: Demo) -> AsyncIterator[Marketplace]:
    """The marketplace, which looks at prices and stock until the test is over."""
    made = Marketplace(demo)
    await made.tell("faults", checks=True)
    yield made
    await made.tell("faults")


@pytest.fixture
async def ana(demo: Demo, browser: Browser) -> AsyncIterator[Person]:
    async with person(demo, browser) as found:
        yield found


async def test_a_price_that_changed_while_the_link_was_cut_is_accepted_with_two_taps(
    demo: Demo, market: Marketplace, ana: Person
) -> None:
    await demo.link(outage_s=600)
    order_id = await ana.order([("Papa huayro", "2"), ("Olluco", "1,5")])
    page = ana.page
    await expect(page.locator(".stub .number")).to_have_text(RECEIPT)
    await expect(page.locator(".stub .badge.care")).to_be_visible()
    assert await page.locator("img.qr").evaluate("each => each.naturalWidth") > 0
    await ana.open("tienda/pedidos?ver=espera")
    row = page.locator(f"li:has(a[href$='{order_id}'])")
    await expect(row.locator(".badge.care")).to_have_text("Registrado aquí, aún no enviado")
    await expect(page.get_by_text("El enlace está cortado")).to_be_visible()
    await expect(page.locator(".tally .badge.care")).to_be_visible()
    await market.change("papa-huayro", unit_price_minor=390)
    assert order_id not in await demo.marketplace_orders()

    await demo.link(outage_s=0)
    await ana.sees("tienda/pedidos?ver=decidir", f"a[href$='{order_id}']")
    await expect(page.locator(".tally .badge.bad")).to_be_visible()
    assert order_id not in await demo.marketplace_orders(), "nothing is sold until somebody agrees"
    await ana.press(page.locator(f"a[href$='{order_id}']"))
    accept = page.locator("button[value=accept]")
    await expect(accept).to_be_in_viewport(ratio=1)
    await expect(accept).to_contain_text("S/\u00a03.90")
    await ana.press(accept)

    taken = await market.has(order_id, revision=2, outcome="accepted", times_applied=1)
    assert [line["unit_price_minor"] for line in taken["order"]["lines"]] == [390, 320]
    await ana.sees(f"tienda/pedidos/{order_id}", ".stub .badge.good")
    await expect(page.locator("tfoot")).to_contain_text("S/\u00a012.60")
    await expect(page.locator("tbody")).to_contain_text("S/\u00a03.90")


async def test_what_is_not_there_is_reduced_or_cancelled_and_a_late_cancel_arrives_too(
    market: Marketplace, ana: Person
) -> None:
    await market.change("cuy-fresco", stock="2")
    await market.change("queso-fresco", stock="0")
    less, none, late = [await ana.order([(name, "3")]) for name in ("Cuy fresco", "Queso fresco", "Panela")]
    await ana.sees(f"tienda/pedidos/{less}", "button[value=accept]")
    await ana.press(ana.page.locator("button[value=accept]"))
    await ana.sees(f"tienda/pedidos/{none}", ".decide button[value=cancel]")
    await expect(ana.page.locator("button[value=accept]")).to_have_count(0)
    await ana.press(ana.page.locator(".decide button[value=cancel]"))
    reduced = await market.has(less, revision=2, outcome="accepted", times_applied=1)
    assert [line["quantity"] for line in reduced["order"]["lines"]] == ["2"]
    await market.has(none, revision=2, outcome="cancelled", times_applied=1)

    await market.has(late, revision=1, outcome="accepted")
    await ana.sees(f"tienda/pedidos/{late}", ".stub .badge.good")
    await ana.page.locator("summary").tap()
    await ana.press(ana.page.locator("details button[value=cancel]"))
    await market.has(late, revision=2, outcome="cancelled", times_applied=1)
    for order_id in (none, late):
        await ana.sees(f"tienda/pedidos/{order_id}", ".stub .badge:not(.care):not(.bad):not(.good)")
        await expect(ana.page.locator("button[value=cancel]")).to_have_count(0)


async def test_what_the_marketplace_decides_later_is_on_the_receipt_with_its_reason(
    market: Marketplace, ana: Person
) -> None:
    await market.tell("faults", hold=2)
    done, refused = [await ana.order([(name, "1")]) for name in ("Panela", "Olluco")]
    for order_id in (done, refused):
        await market.has(order_id, outcome="held")
    await market.tell("decide", id=done, outcome="fulfilled")
    await market.tell("decide", id=refused, outcome="rejected", reason="Fuera de la zona de reparto")
    await ana.open("tienda/pedidos")
    await ana.press(ana.page.locator("button[value=send]"))
    await ana.sees(f"tienda/pedidos/{done}", ".stub .badge.good")
    await expect(ana.page.locator("button[value=cancel]")).to_have_count(0)
    await ana.sees(f"tienda/pedidos/{refused}", ".stub .badge.bad")
    await expect(ana.page.locator(".receipt .notice.bad")).to_have_text("Fuera de la zona de reparto")
    await expect(ana.page.locator("button[value=again]")).to_have_count(1)


async def test_what_changes_at_the_marketplace_is_in_the_shop_after_a_press(market: Marketplace, ana: Person) -> None:
    await market.tell(
        "catalogue",
        changed=[{"sku": "oca-soleada", "unit_price_minor": 310}, {"sku": "kiwicha", "stock": "0"}],
        articles=[{"sku": "tumbo", "name": "Tumbo serrano", "unit": "kg", "unit_price_minor": 550, "stock": "9"}],
    )
    await ana.open("tienda/pedidos")
    await ana.press(ana.page.locator("button[value=send]"))

    async def is_offered() -> bool:
        await ana.search("tumbo")
        return await ana.page.get_by_label("Tumbo serrano").count() == 1

    await until(is_offered)
    found = ana.page.locator("section[aria-labelledby=found]")
    await expect(found.locator(".pick")).to_contain_text("S/\u00a05.50")
    await expect(found.locator("p.small")).to_contain_text(re.compile(r"\b\d+ (segundos?|minutos?)\b"))
    await ana.search("oca")
    await expect(found.locator(".pick", has_text="Oca soleada")).to_contain_text("S/\u00a03.10")
    await ana.search("kiwicha")
    assert await found.locator(".pick br").count() == 2, "that none is left stands on a line of its own"
    out = await ana.order([("Kiwicha", "1")])
    assert out, "what is out of stock can be ordered all the same"


async def test_a_photo_in_two_parts_arrives_whole_with_the_order_that_names_it(
    demo: Demo, market: Marketplace, ana: Person
) -> None:
    photo = await aside(a_photo)
    sha256 = hashlib.sha256(photo).hexdigest()
    url = f"{demo.where['portal']}api/v1/photos/{sha256}"
    middle, end = len(photo) // 2, len(photo)
    headers = {"Authorization": f"Bearer {demo.where['merchant']['token']}"}
    order = an_order(sha256)
    async with aiohttp.ClientSession(headers=headers) as program:
        first = {"Content-Range": f"bytes 0-{middle - 1}/{end}"}
        async with program.put(url, data=photo[:middle], headers=first) as answer:
            assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(middle))
        async with program.post(f"{demo.where['portal']}api/v1/orders", json=order) as answer:
            assert answer.status == 201, await answer.text()
        await market.has(order["id"], outcome="accepted", times_applied=1)
        await ana.sees(f"tienda/pedidos/{order['id']}", ".stub .badge.good")
        async with program.head(url) as answer:
            offset = int(answer.headers["Upload-Offset"])
        assert offset == middle, "an order does not wait for its photo"
        rest = {"Content-Range": f"bytes {offset}-{end - 1}/{end}"}
        async with program.put(url, data=photo[offset:], headers=rest) as answer:
            assert answer.status == 201, await answer.text()

    async def is_there() -> bool:
        return await market.photo(sha256) == photo

    await until(is_there, lambda: "the photo is not there, or is another one")


async def test_a_cashier_records_orders_and_changes_none_that_left(
    demo: Demo, browser: Browser, market: Marketplace, ana: Person
) -> None:
    await ana.open("tienda/equipo")
    await ana.page.locator("#name").fill("nilda")
    await ana.page.locator("#own-cashier").fill(demo.where["merchant"]["password"])
    await ana.press(ana.page.locator("button[value=cashier]"))
    link = await ana.page.locator("#made").input_value()
    async with visitor(demo, browser) as nilda:
        await nilda.page.goto(link)
        await nilda.press(nilda.page.locator("main form [type=submit]"))
        order_id = await nilda.order([("Chuño negro", "1")])
        await market.has(order_id, outcome="accepted", times_applied=1)
        await nilda.sees(f"tienda/pedidos/{order_id}", ".stub .badge.good")
        await expect(nilda.page.locator("button[value=cancel], a[href*=editar]")).to_have_count(0)
        await expect(nilda.page.locator("a[href='/tienda/dia'], a[href='/tienda/equipo']")).to_have_count(0)
        for path in ("tienda/dia", "tienda/equipo", "tienda/pedidos.csv", "tienda/pedidos.xlsx"):
            assert await nilda.open(path) == 403, path
        await nilda.open("tienda/subir")
        await expect(nilda.page.locator("a[href$='pedidos.csv']")).to_have_count(0)
    async with visitor(demo, browser) as stranger:
        await stranger.page.goto(link)
        await stranger.press(stranger.page.locator("main form [type=submit]"))
        assert await stranger.open("tienda/pedidos") == 200
        assert "/entrar" in stranger.page.url, "a link signs in once"
    await ana.open(f"tienda/pedidos/{order_id}")
    await expect(ana.page.locator(".receipt")).to_contain_text("nilda")
    await expect(ana.page.locator("button[value=cancel]")).to_have_count(1)
    async with person(demo, browser, "cashier") as luis:
        assert await luis.open(f"tienda/pedidos/{order_id}") == 200, "the demo's own cashier is of the same shop"
        await expect(luis.page.locator("button[value=cancel]")).to_have_count(0)


async def test_a_token_made_on_the_page_hands_in_an_order_that_the_day_counts(
    demo: Demo, market: Marketplace, ana: Person
) -> None:
    await ana.open("tienda/dia")
    page = ana.page
    before = await counted(ana)
    await ana.open("tienda/equipo")
    await page.locator("#label").fill("caja registradora")
    await page.locator("#own-token").fill(demo.where["merchant"]["password"])
    await ana.press(page.locator("button[value=token]"))
    token = await page.locator("#made").input_value()
    order = an_order()
    url = f"{demo.where['portal']}api/v1/orders"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as program:
        async with program.post(url, json=order) as answer:
            assert answer.status == 201, await answer.text()
        async with program.post(url, json=order) as answer:
            assert answer.status == 200, "the same once more"
    await market.has(order["id"], times_applied=1)
    assert await counted(ana) == before + 1
    await ana.open("tienda/equipo")
    await ana.press(page.locator("form:has(b:text-is('caja registradora')) button[value=revoke]"))
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as program,
        program.get(url) as answer,
    ):
        assert answer.status == 401


async def test_of_five_hundred_rows_the_good_are_recorded_and_the_others_once_they_are_mended(
    market: Marketplace, ana: Person
) -> None:
    right = orders("Cliente")
    await ana.upload("pedidos.csv", as_csv(as_table(with_faults(right))))
    page = ana.page
    await expect(page.locator("form.card b").first).to_contain_text(str(len(FAULTS)))
    good = page.locator("button[value=good]")
    await expect(good).to_contain_text("493")
    await expect(page.locator(".shopnav .tally")).to_be_visible()
    assert await market.of_buyers("Cliente") == [], "nothing is recorded before it is pressed"
    await expect(page.locator(".rows li:nth-child(-n+7) .badge.bad")).to_have_count(len(FAULTS))
    async with page.expect_navigation():
        await page.locator("a[rel=next]").tap()
    await expect(page.locator(".rows .badge.good")).to_have_count(50)
    await page.go_back()
    await market.tell("faults", lose=1, double=1)
    await good.dblclick()
    await ana.works()
    await expect(page.locator("h1")).to_contain_text("493")
    await expect(page.locator(".rows a[href^='/tienda/pedidos/']")).to_have_count(50)
    wrong = await ana.download("a[href$='faltan.csv']")

    await page.go_back()
    await ana.works()
    if await good.count():
        await ana.press(good)
        await ana.works()
    await expect(page.locator("h1")).to_contain_text("493")

    table = read("faltan.csv", wrong)
    assert len(table) == 1 + len(FAULTS)
    whole = with_faults(right, [(place, column, fixed, "") for place, column, _, fixed in FAULTS])
    await ana.upload("pedidos.csv", as_csv(as_table(whole)))
    await expect(page.locator("form.card")).to_contain_text("493")
    await expect(page.locator("button[value=all]")).to_contain_text("7")
    await ana.press(page.locator("button[value=all]"))
    await ana.works()
    await expect(page.locator("h1")).to_contain_text("7")
    await ana.upload("faltan.csv", as_csv(mended(table)))
    await expect(page.locator("button[value=all], button[value=good]")).to_have_count(0)

    async def is_all_there() -> bool:
        return len(await market.of_buyers("Cliente")) == ROWS

    await until(is_all_there)
    arrived = await market.of_buyers("Cliente")
    assert {each["times_applied"] for each in arrived} == {1}
    assert len({each["order"]["buyer"]["phone"] for each in arrived}) == ROWS


async def test_a_workbook_with_a_fault_is_mended_and_its_orders_arrive_once(market: Marketplace, ana: Person) -> None:
    right, faults = orders("Libro", 5), [(2, "Cantidad", "mucho", "4")]
    await ana.upload("pedidos.xlsx", as_xlsx(as_table(with_faults(right, faults))))
    page = ana.page
    await ana.press(page.locator("button[value=good]"))
    await ana.works()
    await expect(page.locator("h1")).to_contain_text("4")
    table = read("faltan.xlsx", await ana.download("a[href$='faltan.xlsx']"))
    for _ in ("mended", "the same file once more"):
        await ana.upload("faltan.xlsx", as_xlsx(mended(table, faults)))
        if await page.locator("button[value=all]").count():
            await ana.press(page.locator("button[value=all]"))
            await ana.works()
    await expect(page.locator(".rows .badge")).to_have_count(1)

    async def is_all_there() -> bool:
        return len(await market.of_buyers("Libro")) == len(right)

    await until(is_all_there)
    arrived = {each["order"]["buyer"]["name"]: each for each in await market.of_buyers("Libro")}
    assert [arrived[f"Libro {number}"]["order"]["lines"][0]["quantity"] for number in range(5)] == [
        *("1.5", "2.5", "4", "1.5", "2.5")
    ]
    assert {each["times_applied"] for each in arrived.values()} == {1}


async def counted(who: Person) -> int:
    """How many orders the day's summary counts."""
    await who.open("tienda/dia")
    found = who.page.locator("tfoot td.num").first
    return int(await found.inner_text()) if await found.count() else 0


def an_order(*photos: str) -> dict[str, Any]:
    """An order as a program hands it in."""
    line = {"sku": "panela", "name": "Panela granulada", "quantity": "1", "unit": "kg", "unit_price_minor": 900}
    return {
        "id": str(uuid.uuid4()),
        "currency": "PEN",
        "buyer": {"name": BUYER[0], "phone": BUYER[1]},
        "lines": [line],
        **({"photos": list(photos)} if photos else {}),
    }


def a_photo() -> bytes:
    """A photo of about 50 KB."""
    from PIL import Image

    out = io.BytesIO()
    Image.effect_noise((320, 240), 60).save(out, "JPEG", quality=85)
    return out.getvalue()
