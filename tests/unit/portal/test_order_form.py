"""What people type becomes an order, or comes back whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.order import Buyer, Method, Priority, order_from
from gateway.portal.basket import edited, looking_for_another, repeated
from gateway.portal.order_form import (
    OWN_FROM,
    OrderForm,
    as_order,
    blame,
    blank,
    checked,
    total,
    typed,
    with_customer,
)
from gateway.portal.typed_figures import price_minor, quantity

ID = "0b8f8d2e-4f0e-4a53-9d5c-0d3a7f1c2b3d"
WHO = {"id": ID, "buyer_name": " Julia  Mamani ", "buyer_phone": "(084) 22-33.44"}


def offer(*skus: str, price_minor: int = 350, tax_rate: str = "", included: bool = True) -> Catalogue:
    name = "IGV" if tax_rate else ""
    articles = tuple(
        Article(sku, f"Papa {sku}", "kg", price_minor, "PEN", "Tubérculos", "", name, tax_rate) for sku in skus
    )
    return Catalogue("v7", "PEN", articles, included)


def filled(fields: dict[str, str], catalogue: Catalogue | None) -> OrderForm:
    return typed(blank("x", catalogue, "PEN"), fields, catalogue)


def test_a_filled_form_is_an_order_the_market_takes() -> None:
    catalogue = offer("a", "b")
    fields = {**WHO, "sku-0": "a", "quantity-0": "1,50", "sku-1": "b", "quantity-1": " ", "address": "Jr. Lima 12"}
    more = {"payment": "mobile-money", "reference": "00451", "urgent": "yes", "note": "Temprano"}
    order = order_from(as_order(checked(filled(fields | more, catalogue)), catalogue))
    assert order.id == ID
    assert (order.buyer.name, order.buyer.phone, order.buyer.address) == (
        "Julia Mamani",
        "084 22 33 44",
        "Jr. Lima 12",
    )
    assert [(line.sku, line.quantity) for line in order.lines] == [("a", "1.5")]
    assert (order.payment.method, order.payment.reference) == (Method.MOBILE_MONEY, "00451")
    assert (order.priority, order.catalogue_version) == (Priority.URGENT, "v7")


def test_a_catalogue_that_changed_meanwhile_does_not_mix_up_articles() -> None:
    fields = {**WHO, "sku-0": "a", "quantity-0": "2", "sku-1": "b", "quantity-1": "5"}
    form = filled(fields, offer("new", "b"))
    assert [(row.article.sku, row.typed) for row in form.basket] == [("b", "5")]
    assert form.left_out == ("a",)
    assert form.has_changed


def test_a_price_that_is_another_than_the_page_showed_is_noticed() -> None:
    fields = {"sku-0": "a", "quantity-0": "2", "seen-0": "300", "sku-1": "b", "quantity-1": "1", "seen-1": "350"}
    form = filled(fields, offer("a", "b"))
    assert [row.was_minor for row in form.basket] == [300, None]
    assert form.has_changed


def test_what_is_emptied_or_nothing_is_out_of_the_basket() -> None:
    fields = {"sku-0": "a", "quantity-0": "", "sku-1": "b", "quantity-1": "0"}
    assert filled(fields, offer("a", "b")).basket == ()


def test_the_markets_faults_find_their_fields() -> None:
    form = filled({"sku-4": "b", "quantity-4": "2"}, offer("a", "b"))
    blamed = blame(form, ["lines[0].quantity", "buyer.phone", "payment", "something"], "No.")
    assert sorted(blamed.faults) == ["buyer_phone", "lines", "quantity-0", "reference"]


def test_mobile_money_without_its_number_is_a_fault_and_the_number_of_another_way_is_not_kept() -> None:
    catalogue = offer("a")
    lines = {**WHO, "sku-0": "a", "quantity-0": "1"}
    assert list(checked(filled({**lines, "payment": "mobile-money"}, catalogue)).faults) == ["reference"]
    paid = filled({**lines, "payment": "credit", "reference": "77"}, catalogue)
    assert order_from(as_order(checked(paid), catalogue)).payment.reference == ""


@pytest.mark.parametrize(("included", "expected"), [(True, (1_180, 180)), (False, (1_392, 212))])
def test_the_running_total_has_the_taxes_in_it(included: bool, expected: tuple[int, int]) -> None:
    catalogue = offer("a", price_minor=590, tax_rate="18", included=included)
    found = total(filled({"sku-0": "a", "quantity-0": "2"}, catalogue), catalogue)
    assert (found.total_minor, found.taxes[0].amount_minor) == expected


def test_a_remembered_customer_fills_what_is_blank_and_replaces_only_when_asked() -> None:
    buyers = [Buyer(name="Rosa", phone="999888777", address="Plaza")]
    chosen = "999888777 Rosa"
    assert with_customer(filled({}, None), chosen, buyers, is_asked=False).address == "Plaza"
    assert with_customer(filled(WHO, None), chosen, buyers, is_asked=False).buyer == "Julia Mamani"
    assert with_customer(filled(WHO, None), chosen, buyers, is_asked=True).buyer == "Rosa"
    assert with_customer(filled({}, None), "nobody", buyers, is_asked=True).buyer == ""


def test_a_repeated_order_has_todays_prices_and_says_what_changed_and_what_is_gone() -> None:
    before = offer("a", "b", "c")
    fields = {f"sku-{n}": sku for n, sku in enumerate("abc")} | {f"quantity-{n}": "2" for n in range(3)}
    order = order_from(as_order(filled({**WHO, **fields, "payment": "credit"}, before), before))
    today = Catalogue("v8", "PEN", (*offer("a").articles, *offer("b", price_minor=420).articles))
    form = repeated(blank("new", today, "PEN"), order, today)
    assert [(row.article.sku, row.typed, row.was_minor) for row in form.basket] == [("a", "2", None), ("b", "2", 350)]
    assert form.left_out == ("Papa c",)
    assert (form.id, form.revision, form.buyer, form.method) == ("new", 0, "Julia Mamani", Method.CREDIT)


def test_an_edited_order_keeps_its_id_and_lines_that_the_merchant_wrote() -> None:
    lines = {"name-1": "Chuño", "quantity-1": "2", "unit-1": "kg", "price-1": "4,50"}
    order = order_from(as_order(filled({**WHO, **lines}, None), None))
    catalogue = offer("a")
    form = edited(blank("new", catalogue, "PEN"), order, 3, catalogue)
    assert (form.id, form.revision) == (ID, 3)
    own = form.own[0]
    assert (own.number, own.name, own.price) == (OWN_FROM, "Chuño", "4.50")
    back = {f"{part}-{own.number}": getattr(own, part) for part in ("name", "quantity", "unit", "price")}
    again = filled({**WHO, **back, "sku-0": "a", "quantity-0": "1"}, catalogue)
    assert [line.name for line in order_from(as_order(again, catalogue)).lines] == ["Papa a", "Chuño"]


def test_looking_for_another_article_takes_the_old_one_out_and_shows_its_category() -> None:
    form = filled({"sku-0": "a", "quantity-0": "1", "sku-1": "b", "quantity-1": "1"}, offer("a", "b"))
    other = looking_for_another(form, "a")
    assert [(row.number, row.article.sku) for row in other.basket] == [(0, "b")]
    assert (other.category, other.left_out) == ("Tubérculos", ("Papa a",))


@given(st.text(max_size=40))
def test_any_text_is_a_quantity_the_market_takes_or_none(text: str) -> None:
    found = quantity(text)
    if found:
        line = {"sku": "a", "name": "a", "quantity": found, "unit": "kg", "unit_price_minor": 1}
        order = {"id": ID, "currency": "PEN", "buyer": {"name": "a", "phone": "999999"}, "lines": [line], "note": ""}
        if len(found.partition(".")[0]) <= 6:
            assert order_from(order).lines[0].quantity == found


@given(st.text(max_size=40))
def test_any_text_is_a_price_or_none(text: str) -> None:
    found = price_minor(text, "PEN")
    assert found is None or 0 <= found < 10**9


NAMES = st.one_of(
    st.text(max_size=12),
    st.builds("{}-{}".format, st.sampled_from(["sku", "quantity", "seen", "name", "price"]), st.integers(0, 1200)),
    st.sampled_from(["page", "revision", "payment", "urgent", "search"]),
)


@given(st.dictionaries(NAMES, st.one_of(st.text(max_size=40), st.just("a"), st.just("3")), max_size=20))
def test_any_fields_give_a_form_back(fields: dict[str, str]) -> None:
    for catalogue in (offer("a"), None):
        form = checked(filled(fields, catalogue))
        assert form.currency == "PEN"
        assert len(form.basket) + len(form.own) <= 400
        assert total(form, catalogue).total_minor >= 0


@pytest.mark.parametrize("text", ["1.2345", "1,2,3", "-1", "1e3", "٣", "1 kg", "0x1", ".", ","])
def test_what_is_no_quantity_is_told(text: str) -> None:
    assert quantity(text) is None
