"""A shop's prices, stock and orders are read as what they are, and of doubles the same one stays for every box."""

import doctest
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.market.attention import Code, Remark
from gateway.market.batch import Outcome
from gateway.market.marketplaces.woo_money import price_minor
from gateway.market.marketplaces.woo_orders import Found, held_lines, keeper, search_word, to_change, to_create
from gateway.market.marketplaces.woo_shelf import Product, article, asked_together, hindrance, read_products
from gateway.market.marketplaces.woo_webhook import is_signed, read_webhook
from gateway.market.order import content_hash
from gateway.market.records import StoredOrder
from tests.unit.market.orders import an_order, new_id

RECORDED = Path(__file__).parents[2] / "contract" / "recorded" / "woocommerce"
QUINUA = Product(93, "quinua", 899, available=4)


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


def a_line(quantity: str, **changes: Any) -> dict[str, Any]:
    return {"sku": "quinua", "name": "Quinua", "quantity": quantity, "unit": "kg", "unit_price_minor": 899} | changes


def a_product(**changes: Any) -> dict[str, Any]:
    return {**recorded("list-products")["answer"]["body"][0], **changes}


@pytest.mark.parametrize("name", ["woo_money", "woo_orders", "woo_shelf"])
def test_docstring_examples_hold(name: str) -> None:
    module = importlib.import_module(f"gateway.market.marketplaces.{name}")
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("price", "currency", "minor"),
    [
        ("8.99", "PEN", 899),
        ("8.9", "PEN", 890),
        ("8", "PEN", 800),
        ("0", "PEN", 0),
        ("1250.00", "CLP", 1250),
        ("1.234", "KWD", 1234),
        ("0.5", "JPY", None),
        ("8.999", "PEN", None),
        ("8.990", "PEN", 899),
        ("-1", "PEN", None),
        ("1e3", "PEN", None),
        ("", "PEN", None),
        ("9999999999", "PEN", None),
        ("1" * 60, "PEN", None),
        (8.99, "PEN", None),
        (None, "PEN", None),
    ],
)
def test_a_price_is_exact_or_none(price: object, currency: str, minor: int | None) -> None:
    assert price_minor(price, currency) == minor


@pytest.mark.parametrize(
    ("changes", "available"),
    [
        ({"manage_stock": False, "stock_quantity": None}, None),
        ({"manage_stock": True, "stock_quantity": 7}, 7),
        ({"manage_stock": True, "stock_quantity": -3}, 0),
        ({"manage_stock": True, "stock_quantity": 2.5}, 2),
        ({"manage_stock": True, "stock_quantity": 7, "backorders_allowed": True}, None),
        ({"manage_stock": "parent", "stock_quantity": 5}, 5),
        ({"manage_stock": False, "stock_status": "outofstock"}, 0),
        ({"manage_stock": False, "stock_status": "onbackorder"}, None),
    ],
)
def test_what_there_is_of_a_product(changes: dict[str, Any], available: int | None) -> None:
    assert read_products([a_product(**changes)], "PEN")["quinua"].available == available


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "draft"},
        {"type": "variable"},
        {"type": "grouped"},
        {"price": ""},
        {"sku": ""},
        {"sku": "a\x00b"},
        {"sku": "x" * 65},
        {"id": 0},
        {"id": "93"},
        {"id": True},
    ],
)
def test_what_cannot_be_ordered_is_no_product_and_no_article(changes: dict[str, Any]) -> None:
    assert read_products([a_product(**changes), 7, None, []], "PEN") == {}
    assert article(a_product(**changes), "PEN", "https://example.com") is None


def test_a_variation_can_be_ordered_by_its_sku() -> None:
    assert set(read_products([a_product(type="variation", parent_id=90)], "PEN")) == {"quinua"}


def test_an_article_says_what_the_shop_says() -> None:
    found = article(a_product(name="Quinua &amp; ca&ntilde;ihua"), "PEN", "https://example.com")
    assert found is not None
    assert (found.name, found.unit, found.category) == ("Quinua & cañihua", "kg", "Granos")
    assert found.picture == "https://example.com/wp-content/uploads/quinua.jpg"
    bare = article(
        a_product(attributes=[], categories="none", images=[{"src": "https://cdn.example/x.jpg"}]), "PEN", "x"
    )
    assert bare is not None
    assert (bare.unit, bare.category, bare.picture) == ("u", "", "")


def test_the_same_article_in_two_lines_counts_together() -> None:
    order = an_order(lines=[a_line("3"), a_line("2")])
    found = hindrance(order, {"quinua": QUINUA}, {})
    assert found is not None
    assert (found.attention.code, found.attention.remarks) == (Code.OUT_OF_STOCK, (Remark("quinua", available="4"),))


def test_what_the_shop_already_keeps_for_an_order_is_there_for_it() -> None:
    order = an_order(lines=[a_line("5")])
    assert hindrance(order, {"quinua": QUINUA}, {"quinua": 1}) is None
    assert hindrance(order, {"quinua": QUINUA}, {}) is not None


def test_every_article_at_another_price_is_told_at_once() -> None:
    lines = [a_line("1", unit_price_minor=1), a_line("1", unit_price_minor=2), a_line("1", sku="papa")]
    shelf = {"quinua": QUINUA, "papa": Product(92, "papa", 350)}
    found = hindrance(an_order(lines=lines), shelf, {})
    assert found is not None
    assert found.attention.remarks == (Remark("quinua", 899), Remark("papa", 350))


def test_skus_are_asked_in_addresses_that_are_not_too_long() -> None:
    groups = asked_together([f"{number:064d}" for number in range(100)])
    assert max(map(len, groups)) <= 1_500
    assert sum(len(group.split(",")) for group in groups) == 100


def test_of_doubles_the_latest_stays_then_the_real_one_then_the_first() -> None:
    order_id = new_id()

    def at(number: int, status: str, revision: int = 1) -> Found:
        return Found(number, order_id, revision, status, "2026-11-22T10:00:00")

    assert keeper([]) is None
    assert keeper([at(12, "pending"), at(11, "pending")]) == at(11, "pending")
    assert keeper([at(11, "pending"), at(12, "processing")]) == at(12, "processing")
    assert keeper([at(13, "processing"), at(12, "cancelled")]) == at(12, "cancelled")
    assert keeper([at(12, "processing"), at(13, "pending", 2)]) == at(13, "pending", 2)


def test_the_search_word_has_nothing_that_a_full_text_index_takes_for_an_operator() -> None:
    assert search_word(new_id()).isalnum()


def test_every_field_that_is_written_can_be_written() -> None:
    contract = recorded("order")
    order = an_order(lines=[a_line("2")], payment={"method": "credit"})
    stored = StoredOrder(order, "ana", "SMT-0001-0001", 0.0, "trusted", content_hash(order, "ana"), 2)
    for fields in (to_create(stored, "b", {"quinua": QUINUA}), to_change(stored, "b", {"quinua": QUINUA}, [3])):
        body = json.loads(json.dumps(fields))
        assert set(body) <= set(contract["writable"])
        assert set(body["shipping"]) <= set(contract["writable_address"])
        assert {name for each in body["line_items"] for name in each} <= set(contract["writable_line_item"])
    assert body["line_items"] == [{"id": 3, "quantity": 0}, {"product_id": 93, "quantity": 2}]
    assert body["status"] == "on-hold"


@pytest.mark.parametrize("entry", [None, {}, {"line_items": 7}, {"line_items": [4, {"id": "x"}]}])
def test_lines_that_cannot_be_read_are_none(entry: object) -> None:
    assert held_lines(entry) == ([], {})


def test_a_webhook_counts_with_its_signature_only() -> None:
    hook = recorded("webhook-order-updated")
    body, secret = hook["request"]["body"].encode(), hook["secret"]
    signature = hook["request"]["fields"]["X-WC-Webhook-Signature"]
    assert is_signed(body, signature, secret)
    assert not is_signed(body + b" ", signature, secret)
    assert not is_signed(body, signature, "another")
    assert not is_signed(body, signature[:-4], secret)
    assert not is_signed(body, "ñ\ud800", secret)
    assert not is_signed(body, "", "")


def test_a_webhook_tells_what_was_decided() -> None:
    body = recorded("webhook-order-updated")["request"]["body"].encode()
    receipt = read_webhook(body, "order.updated")
    assert receipt is not None
    assert (receipt.id, receipt.outcome) == ("6f1c2a34-0000-4000-8000-00000000000a", Outcome.FULFILLED)
    assert read_webhook(body, "product.updated") is None
    assert read_webhook(b"{", "order.updated") is None
    assert read_webhook(b"[]", "order.updated") is None
