"""What the marketplace says becomes the order it would take, and nothing else."""

import pytest

from gateway.market.attention import Attention, Code, Remark
from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.order import Order, order_from, total_minor
from gateway.portal.resolution import proposal

ID = "0b8f8d2e-4f0e-4a53-9d5c-0d3a7f1c2b3d"


def ordered(*lines: tuple[str, str, int]) -> Order:
    written = [
        {"sku": sku, "name": sku.title(), "quantity": amount, "unit": "kg", "unit_price_minor": price}
        for sku, amount, price in lines
    ]
    return order_from({"id": ID, "currency": "PEN", "buyer": {"name": "Julia", "phone": "999999"}, "lines": written})


ORDER = ordered(("papa", "2", 350), ("queso", "3", 1800))


def test_a_new_price_changes_its_line_alone() -> None:
    found = proposal(ORDER, Attention(Code.PRICE_CHANGED, (Remark("papa", 420),)), None)
    assert found is not None
    assert found.order is not None
    assert [(line.sku, line.unit_price_minor) for line in found.order.lines] == [("papa", 420), ("queso", 1800)]
    assert (found.one_price_minor, found.total_minor) == (420, 6_240)
    assert found.order.id == ORDER.id


def test_what_there_is_of_an_article_is_shared_by_its_lines_in_their_order() -> None:
    order = ordered(("papa", "2", 350), ("papa", "3", 300))
    found = proposal(order, Attention(Code.OUT_OF_STOCK, (Remark("papa", None, "2.5"),)), None)
    assert found is not None
    assert found.order is not None
    assert [line.quantity for line in found.order.lines] == ["2", "0.5"]
    assert not found.is_prices_only


@pytest.mark.parametrize("code", [Code.OUT_OF_STOCK, Code.UNKNOWN_ARTICLE])
def test_an_article_that_is_only_named_is_left_out(code: Code) -> None:
    found = proposal(ORDER, Attention(code, (Remark("queso"),)), None)
    assert found is not None
    assert found.order is not None
    assert total_minor(found.order) == 700
    assert [(line.name, line.quantity) for line in found.lines] == [("Queso", "")]


def test_where_nothing_is_left_there_is_no_order_to_agree_to() -> None:
    attention = Attention(Code.OUT_OF_STOCK, (Remark("queso"), Remark("papa", None, "0")))
    found = proposal(ORDER, attention, None)
    assert found is not None
    assert found.order is None
    assert len(found.lines) == 2


def test_more_than_was_ordered_is_not_taken() -> None:
    assert proposal(ORDER, Attention(Code.OUT_OF_STOCK, (Remark("papa", None, "900"),)), None) is None


def test_a_price_that_nobody_names_is_the_catalogues() -> None:
    catalogue = Catalogue("2", "PEN", (Article("papa", "Papa", "kg", 400, "PEN"),))
    found = proposal(ORDER, Attention(Code.PRICE_CHANGED), catalogue)
    assert found is not None
    assert found.one_price_minor == 400


@pytest.mark.parametrize("code", [Code.MERCHANT_BLOCKED, Code.UNDELIVERABLE, Code.CHANGE_NOT_TAKEN, Code.DAMAGED])
def test_what_is_not_about_articles_has_nothing_to_agree_to(code: Code) -> None:
    assert proposal(ORDER, Attention(code, (Remark("papa", 1),)), None) is None


def test_remarks_about_other_articles_change_nothing() -> None:
    assert proposal(ORDER, Attention(Code.PRICE_CHANGED, (Remark("arroz", 1),)), None) is None
