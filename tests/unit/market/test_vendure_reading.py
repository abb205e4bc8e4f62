"""What a shop says is read as checked values, or not at all."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.market.catalogue.model import Article
from gateway.market.marketplaces import vendure_documents as documents
from gateway.market.marketplaces.graphql import Refusal, read_reply, request
from gateway.market.marketplaces.vendure import _read_cursor
from gateway.market.marketplaces.vendure_api import Credentials
from gateway.market.marketplaces.vendure_articles import delta, read_article, version_of
from gateway.market.marketplaces.vendure_shop import Shop, read_found, read_orders, read_shop, read_variant

SHOP = Shop("PEN", True, True, 2)


def an_entry(**changes: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "sku": "papa",
        "name": "Papa",
        "enabled": True,
        "price": 297,
        "priceWithTax": 350,
        "trackInventory": "INHERIT",
        "outOfStockThreshold": 0,
        "useGlobalOutOfStockThreshold": True,
        "stockLevels": [{"stockOnHand": 10, "stockAllocated": 3}, {"stockOnHand": 1, "stockAllocated": 0}],
        "product": {
            "enabled": True,
            "featuredAsset": {"preview": "/assets/p.jpg"},
            "collections": [{"name": "Raíces"}],
        },
        "featuredAsset": None,
        "taxRateApplied": {"name": "IGV", "value": 18},
    } | changes


def test_an_article_is_read_whole() -> None:
    assert read_article(an_entry(), SHOP, "unidad") == Article(
        "papa", "Papa", "unidad", 350, "PEN", "Raíces", "6", "IGV", "18", "/assets/p.jpg"
    )


@pytest.mark.parametrize(
    ("changes", "stock"),
    [
        ({}, "6"),
        ({"trackInventory": "FALSE"}, ""),
        ({"useGlobalOutOfStockThreshold": False, "outOfStockThreshold": -5}, "13"),
        ({"stockLevels": [{"stockOnHand": 1, "stockAllocated": 9}]}, "0"),
        ({"customFields": {"unit": "kg", "piecesPerUnit": 4}}, "1.5"),
        ({"stockLevels": []}, "0"),
        ({"stockLevels": [{"stockOnHand": 10_000_000_000, "stockAllocated": 0}]}, "999999"),
    ],
)
def test_stock_is_what_can_still_be_sold(changes: dict[str, Any], stock: str) -> None:
    variant = read_variant(an_entry(**changes), SHOP)
    assert variant is not None
    assert variant.stock == stock


@pytest.mark.parametrize(
    "changes",
    [
        {"enabled": False},
        {"product": {"enabled": False}},
        {"sku": ""},
        {"sku": "x" * 65},
        {"sku": "a\x00"},
        {"id": 7},
        {"id": "ñ"},
        {"price": "3"},
        {"priceWithTax": -1},
        {"priceWithTax": 3.5},
        {"priceWithTax": 1_000_000_001},
        {"customFields": {"piecesPerUnit": -4}},
    ],
)
def test_an_article_that_is_not_on_sale_or_not_well_formed_is_none(changes: dict[str, Any]) -> None:
    assert read_article(an_entry(**changes), SHOP, "u") is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*an_entry(), "state", "lines", "items", "orders", "errorCode"]), inner)
    ),
    max_leaves=12,
)


@given(anything, anything)
def test_nothing_a_shop_says_breaks_the_reading(one: object, other: object) -> None:
    entry = an_entry(product=one, stockLevels=other, taxRateApplied=one, customFields=other)
    read_article(entry, SHOP, "u")
    read_found({"id": "1", "state": "Draft", "lines": one, "customFields": other, "shippingAddress": one})
    reply = read_reply({"data": one, "errors": other}, None)
    if reply is not None:
        assert reply.refusal is None or isinstance(reply.refusal, Refusal)
        read_shop(reply.data)
        read_orders(reply.data)


def test_a_refusal_is_found_among_the_answers() -> None:
    reply = read_reply({"data": {"a": {"id": "1"}, "b": {"errorCode": "X_ERROR", "message": "No"}}}, 1.0)
    assert reply is not None
    assert (reply.refusal, reply.errors) == (Refusal("X_ERROR", "No"), ())


def test_errors_are_told_by_their_codes() -> None:
    reply = read_reply({"data": None, "errors": [{"extensions": {"code": "FORBIDDEN"}}, {"message": "UNIQUE"}]}, None)
    assert reply is not None
    assert reply.errors == ("FORBIDDEN", "")
    assert read_reply([], None) is None
    assert read_reply({}, None) is None


def test_a_delta_is_what_two_catalogues_do_not_share() -> None:
    papa, quinua = Article("papa", "Papa", "u", 350, "PEN"), Article("quinua", "Quinua", "u", 899, "PEN")
    dearer = Article("papa", "Papa", "u", 360, "PEN")
    first = delta({}, "", {"papa": papa, "quinua": quinua}, SHOP)
    then = delta({"papa": papa, "quinua": quinua}, first.version, {"papa": dearer}, SHOP)
    assert (first.changed, first.removed, first.base) == ((papa, quinua), (), "")
    assert (then.changed, then.removed, then.base) == ((dearer,), ("quinua",), first.version)
    assert then.version != first.version
    assert version_of({"quinua": quinua, "papa": papa}, SHOP) == first.version


def test_a_documents_ids_are_quoted() -> None:
    document = documents.fill(
        '1"){x}', added=[('2"', 3)], adjusted=[("4", 0)], customer_id="", has_customer=False, shipping_method="5"
    )
    assert 'a0:addItemToDraftOrder(orderId:"1\\"){x}",input:{productVariantId:"2\\"",quantity:3})' in document
    assert 'l0:adjustDraftOrderLine(orderId:"1\\"){x}",input:{orderLineId:"4",quantity:0})' in document
    assert "$customer:CreateCustomerInput" in document
    assert "$customer" not in documents.fill(
        "1", added=[], adjusted=[], customer_id="7", has_customer=False, shipping_method="5"
    )


def test_what_an_order_says_goes_as_a_variable() -> None:
    sent = json.loads(request(documents.NAME, {"input": {"id": "1", "customFields": {"externalNote": '"}{'}}}))
    assert set(sent) == {"query", "variables"}
    assert '"}{' not in sent["query"]


@pytest.mark.parametrize(
    ("cursor", "read"),
    [
        ("", ("1970-01-01T00:00:00.000Z", 0)),
        ("2026-11-22T14:43:05.000Z", ("2026-11-22T14:43:05.000Z", 0)),
        ("2026-11-22T14:43:05.000Z 90", ("2026-11-22T14:43:05.000Z", 90)),
        ("x 90", ("1970-01-01T00:00:00.000Z", 0)),
    ],
)
def test_a_cursor_that_cannot_be_read_is_the_beginning(cursor: str, read: tuple[str, int]) -> None:
    assert _read_cursor(cursor) == read


def test_credentials_do_not_show_themselves() -> None:
    assert "hush" not in repr(Credentials("hush", "hush", "hush"))
