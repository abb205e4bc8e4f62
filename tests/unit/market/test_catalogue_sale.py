"""At a sale taxes are computed once and right, and what is short is told and taken."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import TooLarge
from gateway.market.catalogue.stock import Shortage, is_out_of_stock, shortage, shortages
from gateway.market.catalogue.taxes import tax_minor, taxes_of
from gateway.market.order import Line, TaxLine, line_total_minor, order_from, total_minor
from tests.unit.market.memory_catalogue import a_catalogue, an_article

RATES = ("0", "4", "10.5", "18")
SHELF = tuple(an_article(rate, tax_name="IGV", tax_rate=rate) for rate in RATES)
SHOP = a_catalogue(*SHELF, an_article("untaxed"))
NET = a_catalogue(*SHELF, an_article("untaxed"), prices_include_tax=False)


def a_line(sku: str = "18", quantity: str = "1", price: int = 100) -> Line:
    return Line(sku=sku, name="n", quantity=quantity, unit="kg", unit_price_minor=price)


lines = st.lists(
    st.builds(
        a_line,
        sku=st.sampled_from([*RATES, "untaxed", "-"]),
        quantity=st.decimals("0.001", "9999", places=3).map(str),
        price=st.integers(0, 100_000),
    ),
    min_size=1,
    max_size=30,
)


@given(lines, st.booleans())
def test_each_rate_is_rounded_once_over_all_its_lines(sold: list[Line], included: bool) -> None:
    by_rate = {tax.rate: tax.amount_minor for tax in taxes_of(SHOP if included else NET, sold)}
    totals = {rate: sum(line_total_minor(line) for line in sold if line.sku == rate) for rate in RATES}
    assert set(by_rate) == {line.sku for line in sold} & set(RATES)
    for rate, amount in by_rate.items():
        exact = Fraction(totals[rate]) * Fraction(rate) / (100 + Fraction(rate) if included else 100)
        assert amount == int(exact + Fraction(1, 2)), "half up"
    assert sum(by_rate.values()) <= sum(totals.values())


@given(lines)
def test_the_order_of_lines_changes_no_tax(sold: list[Line]) -> None:
    assert taxes_of(SHOP, sold) == taxes_of(SHOP, sold[::-1])


@given(st.integers(0, 10**9), st.sampled_from(RATES))
def test_what_is_taken_out_of_a_price_is_what_was_put_on_it(net_minor: int, rate: str) -> None:
    gross_minor = net_minor + tax_minor(net_minor, rate, included=False)
    assert tax_minor(gross_minor, rate, included=True) == gross_minor - net_minor


@given(lines, st.booleans())
def test_an_order_holds_its_taxes_and_its_total_has_those_that_prices_do_not_include(
    sold: list[Line], included: bool
) -> None:
    shop = SHOP if included else NET
    fields: dict[str, Any] = {
        "id": "0b9d4a2e-6c1f-4e8a-9d37-5a1b2c3d4e5f",
        "currency": "PEN",
        "buyer": {"name": "Ana", "phone": "999888777"},
        "lines": [line.model_dump() for line in sold],
        "taxes": [tax.model_dump() for tax in taxes_of(shop, sold)],
        "prices_include_tax": shop.prices_include_tax,
        "catalogue_version": shop.version,
    }
    goods = sum(line_total_minor(line) for line in sold)
    taxes = 0 if included else sum(tax.amount_minor for tax in taxes_of(shop, sold))
    assert total_minor(order_from(fields)) == goods + taxes


def test_an_exempt_article_says_so_and_an_untaxed_one_says_nothing() -> None:
    assert taxes_of(SHOP, [a_line("0"), a_line("untaxed"), a_line("-")]) == (
        TaxLine(name="IGV", rate="0", amount_minor=0),
    )
    assert taxes_of(None, [a_line()]) == ()


def test_taxes_beyond_what_an_order_holds_are_refused() -> None:
    with pytest.raises(TooLarge):
        taxes_of(SHOP, [a_line(quantity="999999", price=10**9)])
    shop = a_catalogue(*(an_article(str(number), tax_name="T", tax_rate=str(number)) for number in range(21)))
    with pytest.raises(TooLarge):
        taxes_of(shop, [a_line(str(number)) for number in range(21)])


@pytest.mark.parametrize(
    ("stock", "quantity", "lacks"),
    [("", "5", False), ("5", "5", False), ("5", "5.001", True), ("0", "0.001", True), ("2.5", "2.5", False)],
)
def test_what_exceeds_the_stock_is_a_shortage_and_nobody_knowing_is_none(
    stock: str, quantity: str, lacks: bool
) -> None:
    found = shortage(an_article(stock=stock), quantity)
    assert found == (Shortage("papa", stock) if lacks else None)


def test_nothing_left_is_told_apart_from_too_little() -> None:
    assert is_out_of_stock(an_article(stock="0"))
    assert not is_out_of_stock(an_article(stock="0.5"))
    assert not is_out_of_stock(an_article())
    assert Shortage("papa", "0").is_out
    assert not Shortage("papa", "2").is_out


@given(st.lists(st.decimals("0.001", "50", places=3), min_size=1, max_size=10))
def test_the_lines_of_one_article_count_together(quantities: list[Decimal]) -> None:
    shop = a_catalogue(an_article("18", stock="60"))
    found = shortages(shop, [a_line(quantity=str(each)) for each in quantities])
    assert found == ((Shortage("18", "60"),) if sum(quantities) > 60 else ())
    assert shortages(None, [a_line()]) == ()
