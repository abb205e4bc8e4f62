"""An order is checked whole at the border; what is told of a fault is ours, never the sender's."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, TooLarge
from gateway.market.order import (
    ORDER_BYTES_MAX,
    FaultyOrder,
    content_hash,
    order_from,
    read_order,
    total_minor,
)
from tests.unit.market.orders import an_order, as_json, fields

Change = Callable[[dict[str, Any]], object]
EVIL = "evil-7f3a"


def set_line(name: str, value: object) -> Change:
    return lambda order: order["lines"][1].__setitem__(name, value)


def test_an_order_as_documented_is_taken() -> None:
    order = read_order(as_json(id="6F9619FF-8B86-D011-B42D-00C04FC964FF"))
    assert order.id == "6f9619ff-8b86-d011-b42d-00c04fc964ff"
    assert order.lines[0].quantity == "1.5"
    assert order.buyer.phone == "984 123 456"


def test_a_note_may_be_left_out_and_may_have_lines() -> None:
    without = fields()
    del without["note"]
    assert order_from(without).note == ""
    assert an_order(note="uno\r\ndos").note == "uno\ndos"


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("order", lambda order: order.__setitem__(EVIL, 1)),
        ("buyer", lambda order: order["buyer"].__setitem__(EVIL, 1)),
        ("lines[1]", set_line(EVIL, 1)),
        ("id", lambda order: order.pop("id")),
        ("id", lambda order: order.update(id=EVIL)),
        ("id", lambda order: order.update(id="{6f9619ff-8b86-d011-b42d-00c04fc964ff}")),
        ("id", lambda order: order.update(id="6f9619ff8b86d011b42d00c04fc964ff")),
        ("id", lambda order: order.update(id="6f9619ff-8b86-d011-b42d-00c04fc964ff\n")),
        ("id", lambda order: order.update(id=7)),
        ("currency", lambda order: order.update(currency="pen")),
        ("currency", lambda order: order.update(currency="PENX")),
        ("buyer", lambda order: order.update(buyer=EVIL)),
        ("buyer", lambda order: order.update(buyer=None)),
        ("buyer.name", lambda order: order["buyer"].update(name="")),
        ("buyer.name", lambda order: order["buyer"].update(name="   ")),
        ("buyer.name", lambda order: order["buyer"].update(name="a" * 121)),
        ("buyer.name", lambda order: order["buyer"].update(name="a\x00b")),
        ("buyer.name", lambda order: order["buyer"].update(name="a\nb")),
        ("buyer.name", lambda order: order["buyer"].update(name="a\u202eb")),
        ("buyer.name", lambda order: order["buyer"].update(name="a\ud800b")),
        ("buyer.name", lambda order: order["buyer"].update(name=["a"])),
        ("buyer.phone", lambda order: order["buyer"].pop("phone")),
        ("buyer.phone", lambda order: order["buyer"].update(phone="12345")),
        ("buyer.phone", lambda order: order["buyer"].update(phone="1" * 16)),
        ("buyer.phone", lambda order: order["buyer"].update(phone="nine eight four")),
        ("buyer.phone", lambda order: order["buyer"].update(phone="٩٨٤١٢٣٤٥٦")),
        ("buyer.phone", lambda order: order["buyer"].update(phone=984_123_456)),
        ("lines", lambda order: order.update(lines=[])),
        ("lines", lambda order: order.update(lines={})),
        ("lines", lambda order: order.update(lines=EVIL)),
        ("lines", lambda order: order.update(lines=order["lines"] * 101)),
        ("lines[0]", lambda order: order.update(lines=[EVIL])),
        ("lines[1].sku", set_line("sku", "s" * 65)),
        ("lines[1].name", set_line("name", "\x1b[31mred")),
        ("lines[1].unit", set_line("unit", "")),
        ("lines[1].quantity", set_line("quantity", 1.5)),
        ("lines[1].quantity", set_line("quantity", 1)),
        ("lines[1].quantity", set_line("quantity", "0")),
        ("lines[1].quantity", set_line("quantity", "0.000")),
        ("lines[1].quantity", set_line("quantity", "-1")),
        ("lines[1].quantity", set_line("quantity", "1.2345")),
        ("lines[1].quantity", set_line("quantity", "1,5")),
        ("lines[1].quantity", set_line("quantity", "1e3")),
        ("lines[1].quantity", set_line("quantity", "NaN")),
        ("lines[1].quantity", set_line("quantity", "1000000")),
        ("lines[1].quantity", set_line("quantity", "01")),
        ("lines[1].quantity", set_line("quantity", "1.5\n")),
        ("lines[1].quantity", set_line("quantity", "١")),
        ("lines[1].unit_price_minor", set_line("unit_price_minor", -1)),
        ("lines[1].unit_price_minor", set_line("unit_price_minor", 1_000_000_001)),
        ("lines[1].unit_price_minor", set_line("unit_price_minor", 3.5)),
        ("lines[1].unit_price_minor", set_line("unit_price_minor", 350.0)),
        ("lines[1].unit_price_minor", set_line("unit_price_minor", True)),
        ("lines[1].unit_price_minor", set_line("unit_price_minor", "350")),
        ("note", lambda order: order.update(note="n" * 501)),
        ("note", lambda order: order.update(note="a\x07b")),
        ("note", lambda order: order.update(note=None)),
    ],
)
def test_a_fault_is_told_by_its_path_and_nothing_of_the_input(path: str, change: Change) -> None:
    order = fields()
    change(order)
    with pytest.raises(FaultyOrder) as raised:
        read_order(json.dumps(order).encode())
    said = f"{raised.value} {raised.value.advice} {raised.value.values}"
    assert raised.value.fields[0] == path
    assert path in said
    assert EVIL not in said
    assert raised.value.status == 400
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("document", [b"[]", b'"order"', b"1", b"null", b"true"])
def test_a_document_that_is_no_object_is_refused(document: bytes) -> None:
    with pytest.raises(FaultyOrder):
        read_order(document)


def test_an_order_over_the_limit_is_refused() -> None:
    with pytest.raises(TooLarge):
        read_order(b" " * (ORDER_BYTES_MAX + 1))


def test_the_largest_lawful_order_is_within_the_limit() -> None:
    line = {"sku": "ñ" * 64, "name": "ñ" * 120, "quantity": "999999.999", "unit": "ñ" * 16, "unit_price_minor": 10**9}
    largest = read_order(json.dumps(fields(lines=[line] * 200, note="ñ" * 500)).encode())
    assert total_minor(largest) < 2**63


def test_totals_are_rounded_half_up_line_by_line() -> None:
    line = {"sku": "a", "name": "a", "unit": "kg", "quantity": "0.5", "unit_price_minor": 1}
    assert total_minor(an_order(lines=[line, line])) == 2
    assert total_minor(an_order()) == 525 + 1_798


@given(
    st.lists(
        st.tuples(st.decimals("0.001", "999999.999", places=3), st.integers(0, 10**9)),
        min_size=1,
        max_size=5,
    )
)
def test_a_total_is_within_half_a_unit_a_line_of_the_exact_sum(pairs: list[tuple[Decimal, int]]) -> None:
    lines = [
        {"sku": "a", "name": "a", "unit": "u", "quantity": str(amount), "unit_price_minor": price}
        for amount, price in pairs
    ]
    exact = sum((amount * price for amount, price in pairs), Decimal(0))
    assert abs(total_minor(an_order(lines=lines)) - exact) <= Decimal("0.5") * len(pairs)


@given(
    note=st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=40),
    name=st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=40),
)
def test_the_hash_is_the_same_after_a_journey_as_json(note: str, name: str) -> None:
    sent = fields(note=note, buyer={"name": name, "phone": "984123456"})
    order = read_order(json.dumps(sent).encode())
    shuffled = json.dumps(dict(reversed(sent.items())), indent=3, ensure_ascii=False).encode()
    assert content_hash(read_order(shuffled), "ana") == content_hash(order, "ana")
    assert content_hash(read_order(order.model_dump_json().encode()), "ana") == content_hash(order, "ana")


@given(st.sampled_from(["id", "currency", "note", "buyer", "lines", "merchant"]))
def test_the_hash_changes_with_every_part(part: str) -> None:
    first = fields(id="6f9619ff-8b86-d011-b42d-00c04fc964ff")
    changes: dict[str, dict[str, Any]] = {
        "id": {"id": "7f9619ff-8b86-d011-b42d-00c04fc964ff"},
        "currency": {"currency": "BOB"},
        "note": {"note": "De mañana"},
        "buyer": {"buyer": {"name": "Lucía Quispe", "phone": "984 123 457"}},
        "lines": {"lines": first["lines"][::-1]},
        "merchant": {},
    }
    other = first | changes[part]
    merchants = ("ana", "luis" if part == "merchant" else "ana")
    assert content_hash(order_from(first), merchants[0]) != content_hash(order_from(other), merchants[1])


def test_no_number_of_an_order_is_read_as_a_float() -> None:
    with pytest.raises(BadRequest):
        read_order(as_json().replace(b"350", b"350.0"))
