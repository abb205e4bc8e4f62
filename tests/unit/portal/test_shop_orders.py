"""What waits is in sight, what needs a person is answered in two taps, and a receipt can be kept and printed."""

from asyncio import to_thread as aside
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.market.attention import Attention, Code, Remark
from gateway.market.catalogue.model import Catalogue
from gateway.market.states import State
from tests.clocks import HandClock
from tests.unit.portal.shop_visits import ARTICLES, an_order, kept, sent, shop, signed_in
from tests.unit.portal.small_portal import Page, SmallBrowser, SmallPortal
from tests.unit.portal.test_pages import budget, wire_bytes


@pytest.fixture
async def village(tmp_path: Path, clock: HandClock) -> AsyncIterator[SmallPortal]:
    async with shop(tmp_path, clock) as made:
        yield made


def pressed(page: Page, action: str) -> dict[str, str]:
    """What the page's form with this button sends."""
    form = next(part for part in page.text.split("<form")[1:] if f'value="{action}"' in part.split("</form>")[0])
    only = Page(page.status, page.headers, f"<main><form{form.split('</form>')[0]}</form>", page.path, {})
    return sent(only, do=action)


async def test_a_changed_price_is_accepted_in_two_taps(village: SmallPortal) -> None:
    order = an_order()
    path = await kept(village, order)
    village.market.hear(order.id, State.NEEDS_ATTENTION, "", Attention(Code.PRICE_CHANGED, (Remark("papa", 420),)))
    async with SmallBrowser(village.base, language="en") as browser:
        assert "1 needs you" in (await signed_in(browser)).text
        listed = await browser.get("/tienda/pedidos?ver=decidir")
        assert f'href="{path}"' in listed.text
        page = await browser.get(path)  # the first tap
        assert "Accept PEN4.20" in page.text
        assert "PEN8.40" in page.text, "the new total"
        after = await browser.post(path, pressed(page, "accept"))  # the second
        assert village.market.storefront.asked_to_sync == 1, "the catalogue here is older than the marketplace's"
        assert after.path == path
        assert "needs you" not in after.text
    now = village.market.kept[order.id]
    assert (now.revision, now.lines[0].unit_price_minor, now.state) == (2, 420, State.QUEUED)


async def test_a_price_that_changed_again_is_shown_first(village: SmallPortal) -> None:
    order = an_order()
    path = await kept(village, order)
    village.market.hear(order.id, State.NEEDS_ATTENTION, "", Attention(Code.PRICE_CHANGED, (Remark("papa", 420),)))
    async with SmallBrowser(village.base, language="en") as browser:
        await signed_in(browser)
        fields = pressed(await browser.get(path), "accept")
        village.market.hear(order.id, State.NEEDS_ATTENTION, "", Attention(Code.PRICE_CHANGED, (Remark("papa", 990),)))
        page = await browser.post(path, fields)
        assert page.status == 409
        assert "Accept PEN9.90" in page.text
        other = await browser.post(path, {**pressed(page, "accept"), "revision": "7"})
        assert other.status == 409
    assert village.market.kept[order.id].revision == 1


async def test_too_little_left_is_ordered_as_it_is_or_replaced(village: SmallPortal) -> None:
    order = an_order(("papa", "2", 350), ("queso", "3", 1800))
    path = await kept(village, order)
    short = Attention(Code.OUT_OF_STOCK, (Remark("queso", None, "1"), Remark("papa")))
    village.market.hear(order.id, State.NEEDS_ATTENTION, "Queda poco", short)
    async with SmallBrowser(village.base, language="en") as browser:
        await signed_in(browser)
        page = await browser.get(path)
        assert "Order what there is" in page.text
        assert "Queda poco" in page.text
        other = await browser.get(f"/tienda?editar={order.id}&cambiar=papa")
        assert other.field("revision") == "1"
        assert '<option value="Tubérculos" selected' in other.text
        assert 'name="sku-0" value="queso"' in other.text
        await browser.post(path, pressed(page, "accept"))
    lines = village.market.kept[order.id].lines
    assert [(line.sku, line.quantity) for line in lines] == [("queso", "1")]


async def test_an_order_is_cancelled_and_the_cancel_of_a_sent_one_is_sent_too(village: SmallPortal) -> None:
    local, gone = an_order(), an_order()
    async with SmallBrowser(village.base, language="en") as browser:
        await signed_in(browser)
        here, there = await kept(village, local), await kept(village, gone)
        village.market.hear(gone.id, State.ACCEPTED)
        page = await browser.get(here)
        assert "a change stays on this box" in page.text
        await browser.post(here, pressed(page, "cancel"))
        page = await browser.get(there)
        assert "a change is sent too" in page.text
        await browser.post(there, pressed(page, "cancel"))
        assert "Change it" not in (await browser.get(here)).text
        assert (await browser.post(here, pressed(page, "cancel"))).status == 409
    assert village.market.kept[local.id].state is State.CANCELLED
    assert village.market.kept[gone.id].state is State.QUEUED


async def test_what_could_not_be_delivered_goes_again_from_the_list_and_from_its_page(village: SmallPortal) -> None:
    one, other = an_order(), an_order()
    for order in (one, other):
        await kept(village, order)
        village.market.hear(order.id, State.NEEDS_ATTENTION, "", Attention(Code.UNDELIVERABLE))
    async with SmallBrowser(village.base, language="en") as browser:
        await signed_in(browser)
        listed = await browser.get("/tienda/pedidos")
        again = await browser.post("/tienda/pedidos", sent(listed, again=one.id))
        assert "The order goes once more." in again.text
        assert (await browser.post("/tienda/pedidos", sent(listed, again=one.id))).status == 409
        path = f"/tienda/pedidos/{other.id}"
        await browser.post(path, pressed(await browser.get(path), "again"))
        assert (await browser.post("/tienda/pedidos", sent(listed, again="x"))).status == 404
    assert {each.state for each in village.market.kept.values()} == {State.QUEUED}


async def test_the_queue_is_turned_over_fifty_at_a_time_and_filtered(village: SmallPortal) -> None:
    orders = [an_order() for _ in range(60)]
    for order in orders:
        await kept(village, order)
    for order in orders[:5]:
        village.market.hear(order.id, State.ACCEPTED)
    village.clock.pass_s(7_200)
    async with SmallBrowser(village.base, language="en") as browser:
        await signed_in(browser)
        page = await browser.get("/tienda/pedidos")
        assert page.text.count('<li><a href="/tienda/pedidos/') == 50
        assert "55 orders are kept here" in page.text
        assert "It has waited for 2 hours." in page.text
        assert "The marketplace last answered 2 hours ago." in page.text
        assert "antes=11" in page.text
        older = await browser.get("/tienda/pedidos?antes=11")
        assert older.text.count('<li><a href="/tienda/pedidos/') == 10
        assert "SMT-0001-0011" not in older.text
        done = await browser.get("/tienda/pedidos?ver=listo")
        assert done.text.count('<li><a href="/tienda/pedidos/') == 5
        for odd in ("antes=x", "antes=0", "antes=" + "9" * 30, "ver=x"):
            assert (await browser.get(f"/tienda/pedidos?{odd}")).text.count('<li><a href="/tienda/pedidos/') == 50
        assert "There are no older orders." in (await browser.get("/tienda/pedidos?antes=1")).text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "There is no order yet."),
        ("?ver=espera", "Nothing is waiting to leave."),
        ("?ver=decidir", "Nothing needs you."),
        ("?ver=listo", "Nothing is done yet."),
    ],
)
async def test_an_empty_part_of_the_queue_says_so(village: SmallPortal, query: str, words: str) -> None:
    async with SmallBrowser(village.base, language="en") as browser:
        await signed_in(browser)
        assert words in (await browser.get(f"/tienda/pedidos{query}")).text.split("</nav>")[-2]


async def test_trying_to_send_now_only_wakes_who_speaks_with_the_marketplace(village: SmallPortal) -> None:
    async with SmallBrowser(village.base) as browser:
        await signed_in(browser)
        listed = await browser.get("/tienda/pedidos")
        assert (await browser.post("/tienda/pedidos", sent(listed, do="send"))).status == 200
        assert (await browser.post("/tienda/pedidos", {"do": "send"})).status == 403
    assert (village.market.asked_to_send, village.market.storefront.asked_to_sync) == (1, 1)


async def test_a_receipt_is_downloaded_as_text_of_thirty_two_columns(village: SmallPortal) -> None:
    order = an_order(("papa", "2.5", 350), payment={"method": "mobile-money", "reference": "00451"}, note="Temprano")
    path = await kept(village, order)
    async with SmallBrowser(village.base, language="en") as browser:
        await signed_in(browser)
        text = await browser.get(f"{path}/recibo.txt")
        assert text.headers["Content-Disposition"] == 'attachment; filename="SMT-0001-0001.txt"'
        assert text.headers["Content-Type"].startswith("text/plain")
        assert text.headers["Cache-Control"] == "no-store"
        lines = text.text.splitlines()
        assert max(map(len, lines)) <= 32
        for part in ("SMT-0001-0001", "Papa amarilla", " 2.5 kg x PEN3.50        PEN8.75", "00451", "Temprano"):
            assert part in text.text.replace("Number of the operation: 00451", "00451")
        narrow = await browser.get(f"{path}?papel=58")
        assert "paper58" in narrow.text


async def test_a_page_tells_what_happened_to_an_order(village: SmallPortal) -> None:
    order = an_order()
    path = await kept(village, order)
    village.market.hear(order.id, State.REJECTED, "Fuera de zona")
    async with SmallBrowser(village.base, language="en") as browser:
        await signed_in(browser)
        page = await browser.get(path)
        assert page.text.index("Waits for the link") < page.text.rindex("Fuera de zona")
        assert "Try again" in page.text


async def test_a_day_is_summed_for_whoever_may_see_it(village: SmallPortal) -> None:
    paid = {"method": "mobile-money", "reference": "1"}
    await kept(village, an_order(("papa", "2", 350)))
    await kept(village, an_order(("papa", "1", 350), ("queso", "1", 1800), payment=paid))
    async with SmallBrowser(village.base, language="en") as browser, SmallBrowser(village.base) as cashier:
        await signed_in(browser)
        page = await browser.get("/tienda/dia")
        for part in ("PEN28.50", "PEN7.00", "Queso fresco", "3 kg", "Friday"):
            assert part in page.text
        empty = await browser.get("/tienda/dia?dia=2026-12-24")
        assert "No order was recorded on this day." in empty.text
        assert (await browser.get("/tienda/dia?dia=0001-01-01")).status == 200
        async with browser.session.get(f"{village.base}/tienda/dia") as answer:
            assert wire_bytes(answer) <= budget("day")
        form = await signed_in(cashier, "luz")
        assert "/tienda/dia" not in form.text
        assert (await cashier.get("/tienda/dia")).status == 403
        await aside(lambda: village.accounts.team.let_see_totals("rosa", "luz", sees=True))
        assert (await cashier.get("/tienda/dia")).status == 200


async def test_an_empty_catalogue_and_an_empty_basket_say_so(village: SmallPortal) -> None:
    village.market.storefront.offer(Catalogue("v0", "PEN", ()))
    async with SmallBrowser(village.base, language="en") as browser:
        form = await signed_in(browser)
        assert "The catalogue has no article yet." in form.text
        assert "The basket is empty." in form.text
        village.market.storefront.offer(Catalogue("v1", "PEN", ARTICLES))
        nothing = await browser.post("/tienda", sent(form, do="search", search="zapato"))
        assert "Nothing was found." in nothing.text
