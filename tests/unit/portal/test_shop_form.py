"""The basket travels with the form through searches, faults and changes, and is recorded once."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.order import Method, Priority
from gateway.market.states import State
from tests.clocks import HandClock
from tests.unit.portal.shop_visits import ARTICLES, an_order, kept, sent, shop, signed_in
from tests.unit.portal.small_portal import SmallBrowser, SmallPortal

WHO = {"buyer_name": "Julia Mamani", "buyer_phone": "987 654 321"}
FIRST_LOAD_BYTES_MAX = 50_000


@pytest.fixture
async def village(tmp_path: Path, clock: HandClock) -> AsyncIterator[SmallPortal]:
    async with shop(tmp_path, clock) as made:
        yield made


def quantities(html: str) -> dict[str, str]:
    """The fields of articles that are filled, by the article's SKU."""
    rows = re.findall(r'name="(quantity-\d+)"[^>]*?value="([^"]+)"', html)
    skus = dict(re.findall(r'name="sku-(\d+)" value="([^"]*)"', html))
    return {skus[field.partition("-")[2]]: value for field, value in rows}


async def test_the_basket_stays_through_searches_and_accents_do_not_matter(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        form = await signed_in(browser)
        found = await browser.post(
            "/tienda", sent(form, do="search", search="nuna anca", quantity__0="2,5", note="Ya", **WHO)
        )
        assert found.status == 200
        assert "Ñuña de Áncash" in found.text
        assert "Queso fresco" not in found.text
        assert quantities(found.text) == {"papa": "2,5"}
        more = await browser.post("/tienda", sent(found, do="add", search="", quantity__1="1"))
        assert quantities(more.text) == {"papa": "2,5", "nuna": "1"}
        assert "S/\u00a017.75" in more.text, "2.5 × 3.50 + 9.00"
        assert more.field("buyer_name") == "Julia Mamani"
        receipt = await browser.post("/tienda", sent(more, do="record", payment="credit", urgent="yes"))
        assert "SMT-0001-0001" in receipt.text
    order = next(iter(village.market.kept.values())).order
    assert order is not None
    assert [(line.sku, line.quantity) for line in order.lines] == [("papa", "2.5"), ("nuna", "1")]
    assert (order.payment.method, order.priority, order.note) == (Method.CREDIT, Priority.URGENT, "Ya")
    assert [(tax.name, tax.amount_minor) for tax in order.taxes] == [("IGV", 133)]
    assert order.catalogue_version == "v1"


async def test_the_first_button_of_the_form_searches_so_that_enter_never_records(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        html = (await signed_in(browser)).text.split("<main")[1]
    assert 'value="search"' in re.findall(r"<button[^>]*>", html)[0]


async def test_a_first_page_of_thousands_of_articles_is_small_and_leads_to_all(village: SmallPortal) -> None:
    many = tuple(replace(ARTICLES[0], sku=f"s{n}", name=f"Artículo número {n}") for n in range(5_000))
    village.market.storefront.offer(Catalogue("v2", "PEN", many))
    village.market.storefront.pictures = {article.sku: b"w" * 3_000 for article in many}
    async with SmallBrowser(village.base) as browser:
        form = await signed_in(browser)
        total = 0
        assets = re.findall(r'(?:href|src)="(/static/[^"]+|/tienda/foto/[^"]+)"', form.text)
        for path in {"/tienda", *assets}:
            async with browser.session.get(village.base + path) as answer:
                total += sum(len(name) + len(value) + 4 for name, value in answer.raw_headers)
                total += int(answer.headers["Content-Length"])
        assert total <= FIRST_LOAD_BYTES_MAX
        last = await browser.post("/tienda", sent(form, do="page-500"))
        assert "Artículo número 4999" in last.text
        beyond = await browser.post("/tienda", sent(form, do="page-9999"))
        assert "Artículo número 0" in beyond.text
        by_category = await browser.post("/tienda", sent(form, do="search", category="Lácteos"))
        assert by_category.status == 200


async def test_what_is_out_of_stock_is_told_and_taken(village: SmallPortal) -> None:
    async with SmallBrowser(village.base, language="en") as browser:
        form = await signed_in(browser)
        assert "none left: it can be ordered all the same" in form.text
        added = await browser.post("/tienda", sent(form, do="add", quantity__0="20", quantity__1="1", **WHO))
        assert "Only 12.5 kg left" in added.text
        receipt = await browser.post("/tienda", sent(added, do="record"))
        assert receipt.path.startswith("/tienda/pedidos/")


async def test_a_price_that_changed_meanwhile_is_shown_before_anything_is_recorded(village: SmallPortal) -> None:
    async with SmallBrowser(village.base, language="en") as browser:
        form = await signed_in(browser)
        village.market.storefront.offer(Catalogue("v2", "PEN", (replace(ARTICLES[0], unit_price_minor=420),)))
        page = await browser.post("/tienda", sent(form, do="record", quantity__0="1", **WHO))
        assert page.status == 409
        assert "3.50 before, PEN" in page.text
        assert not village.market.kept
        receipt = await browser.post("/tienda", sent(page, do="record"))
        assert "4.20" in receipt.text
    assert next(iter(village.market.kept.values())).total_minor == 420


async def test_a_remembered_customer_is_picked(village: SmallPortal) -> None:
    await kept(village, an_order())
    async with SmallBrowser(village.base) as browser:
        form = await signed_in(browser)
        assert '<option value="987 654 321 Julia Mamani">' in form.text
        receipt = await browser.post(
            "/tienda", sent(form, do="record", known="987 654 321 Julia Mamani", quantity__0="1")
        )
        assert "Jr. Lima 12" in receipt.text


async def test_yesterdays_order_is_repeated_with_one_press_and_a_new_id(village: SmallPortal, clock: HandClock) -> None:
    before = an_order(("papa", "2", 300), ("arroz", "1", 500))
    await kept(village, before)
    async with SmallBrowser(village.base, language="en") as browser:
        assert "Repeat yesterday" not in (await signed_in(browser)).text, "it is today's"
        clock.pass_s(86_400 - 7_200)  # a session lasts while it is used
        village.clock.pass_s(7_200)
        form = await signed_in(browser)
        assert f'href="/tienda?repetir={before.id}"' in form.text
        page = await browser.get(f"/tienda?repetir={before.id}")
        assert quantities(page.text) == {"papa": "2"}
        assert "3.00 before" in page.text
        assert "No longer in the basket: Arroz" in page.text
        assert page.field("id") != before.id
        receipt = await browser.post("/tienda", sent(page, do="record"))
        assert "SMT-0001-0002" in receipt.text


async def test_a_full_box_refuses_politely_and_the_form_is_still_there(village: SmallPortal) -> None:
    village.market.is_full = True
    async with SmallBrowser(village.base) as browser:
        form = await signed_in(browser)
        page = await browser.post("/tienda", sent(form, do="record", quantity__0="3", **WHO))
        assert page.status == 503
        assert quantities(page.text) == {"papa": "3"}
        assert page.field("id") == form.field("id")


async def test_an_edit_is_a_revision_of_the_one_that_was_shown(village: SmallPortal) -> None:
    order = an_order(photos=["0" * 64])
    path = await kept(village, order)
    async with SmallBrowser(village.base) as browser, SmallBrowser(village.base) as other:
        await signed_in(browser)
        form = await browser.get(f"/tienda?editar={order.id}")
        assert form.field("revision") == "1"
        await signed_in(other, "luz")
        meanwhile = await other.post("/tienda", sent(await other.get(f"/tienda?editar={order.id}"), quantity__0="5"))
        assert meanwhile.path == path
        late = await browser.post("/tienda", sent(form, do="record", quantity__0="9"))
        assert late.status == 409
        assert late.field("revision") == "2"
        assert quantities(late.text) == {"papa": "9"}
        assert (await browser.post("/tienda", sent(late, do="record"))).path == path
    now = village.market.kept[order.id]
    assert now.order is not None
    assert (now.revision, now.lines[0].quantity, now.order.photos) == (3, "9", ("0" * 64,))
    assert len(village.market.kept) == 1


async def test_what_can_not_be_changed_any_more_can_become_a_new_order(village: SmallPortal) -> None:
    order = an_order()
    await kept(village, order)
    async with SmallBrowser(village.base) as browser:
        await signed_in(browser)
        form = await browser.get(f"/tienda?editar={order.id}")
        village.market.hear(order.id, State.FULFILLED)
        page = await browser.post("/tienda", sent(form, do="record"))
        assert page.status == 409
        assert page.field("id") != order.id
        await browser.post("/tienda", sent(page, do="record"))
        assert (await browser.get(f"/tienda?editar={order.id}")).path == f"/tienda/pedidos/{order.id}"
    assert len(village.market.kept) == 2


async def test_a_cashier_records_for_the_shop_and_changes_nothing_that_was_sent(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        form = await signed_in(browser, "luz")
        receipt = await browser.post("/tienda", sent(form, do="record", quantity__0="1", **WHO))
        made = next(iter(village.market.kept.values()))
        assert (made.merchant, made.made_by) == ("rosa", "luz")
        edit = await browser.get(f"/tienda?editar={made.id}")
        village.market.hear(made.id, State.ACCEPTED)
        assert (await browser.post("/tienda", sent(edit, do="record", quantity__0="2"))).status == 403
        assert (await browser.get(f"/tienda?editar={made.id}")).path == receipt.path
    assert village.market.kept[made.id].revision == 1


async def test_another_shops_order_is_neither_repeated_nor_edited(village: SmallPortal) -> None:
    order = an_order()
    await village.market.record(order, "pedro")
    async with SmallBrowser(village.base) as browser:
        form = await signed_in(browser)
        for path in (f"/tienda?repetir={order.id}", f"/tienda?editar={order.id}", "/tienda?editar=x"):
            assert (await browser.get(path)).status == 404
        fields = sent(form, do="record", id=order.id, revision="1", quantity__0="1", **WHO)
        assert (await browser.post("/tienda", fields)).status == 404
    assert village.market.kept[order.id].revision == 1


async def test_a_thumbnail_is_kept_by_the_phone_and_shown_to_the_shop_alone(village: SmallPortal) -> None:
    village.market.storefront.pictures["papa"] = b"RIFF"
    async with SmallBrowser(village.base) as browser:
        assert (await browser.get("/tienda/foto/papa")).path == "/entrar"
        form = await signed_in(browser)
        assert 'src="/tienda/foto/papa"' in form.text
        picture = await browser.get("/tienda/foto/papa")
        assert picture.headers["Content-Type"] == "image/webp"
        assert "immutable" in picture.headers["Cache-Control"]
        for name in ("queso", "..%2fpapa", "x" * 70):
            assert (await browser.get(f"/tienda/foto/{name}")).status == 404


async def test_names_of_articles_are_text_and_nothing_else(village: SmallPortal) -> None:
    hostile = Article('"><script>', "<b>Papa</b>", "kg", 350, "PEN", '"><i>')
    village.market.storefront.offer(Catalogue("v2", "PEN", (hostile,)))
    async with SmallBrowser(village.base) as browser:
        form = await signed_in(browser)
        page = await browser.post("/tienda", sent(form, do="add", quantity__0="1", search='"><script>'))
        assert "<script>" not in page.text
        assert "<b>Papa</b>" not in page.text
        assert quantities(page.text) == {"&#34;&gt;&lt;script&gt;": "1"}
