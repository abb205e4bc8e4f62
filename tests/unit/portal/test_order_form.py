"""What people type becomes an order, or comes back whole."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.market.order import order_from
from gateway.portal.order_form import as_order, blame, blank, checked, price_minor, quantity, typed

ID = "0b8f8d2e-4f0e-4a53-9d5c-0d3a7f1c2b3d"


@dataclass(frozen=True)
class Article:
    sku: str
    name: str = "Papa"
    unit: str = "kg"
    unit_price_minor: int = 350


WHO = {"id": ID, "buyer_name": " Julia  Mamani ", "buyer_phone": "(084) 22-33.44"}


def test_a_filled_form_is_an_order_the_market_takes() -> None:
    form = blank("x", [Article("a"), Article("b")], "PEN")
    fields = {**WHO, "sku-0": "a", "quantity-0": "1,50", "sku-1": "b", "quantity-1": " "}
    order = order_from(as_order(checked(typed(form, fields))))
    assert order.id == ID
    assert (order.buyer.name, order.buyer.phone) == ("Julia Mamani", "084 22 33 44")
    assert [(line.sku, line.quantity) for line in order.lines] == [("a", "1.5")]


def test_a_catalogue_that_changed_meanwhile_does_not_mix_up_articles() -> None:
    fields = {**WHO, "sku-0": "a", "quantity-0": "2", "sku-1": "b", "quantity-1": "5"}
    form = typed(blank("x", [Article("new"), Article("b"), Article("a")], "PEN"), fields)
    assert [(row.sku, row.typed) for row in form.rows] == [("new", ""), ("b", "5"), ("a", "2")]


def test_the_markets_faults_find_their_fields() -> None:
    form = typed(blank("x", [Article("a"), Article("b")], "PEN"), {"sku-1": "b", "quantity-1": "2"})
    blamed = blame(form, ["lines[0].quantity", "buyer.phone", "something"], "No.")
    assert sorted(blamed.faults) == ["buyer_phone", "lines", "quantity-1"]


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


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=40), max_size=12))
def test_any_fields_give_a_form_back(fields: dict[str, str]) -> None:
    for form in (blank("x", [Article("a")], "PEN"), blank("x", [], "PEN")):
        assert checked(typed(form, fields)).currency == "PEN"


@pytest.mark.parametrize("text", ["1.2345", "1,2,3", "-1", "1e3", "٣", "1 kg", "0x1", ".", ","])
def test_what_is_no_quantity_is_told(text: str) -> None:
    assert quantity(text) is None
