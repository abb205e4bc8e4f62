"""Columns say what rows say, are checked end to end, and are refused whole where they are anything else."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.document import canonical
from gateway.errors import GatewayError, TooLarge
from gateway.market.batch import as_sent
from gateway.market.order import content_hash, order_from
from gateway.market.records import StoredOrder
from gateway.market.wire.column_reading import FaultyColumns, read_columns
from gateway.market.wire.columns import INNER_ROWS_MAX, ROWS_MAX, write_columns
from tests.bench.orders_made import made
from tests.unit.market.orders import fields, new_id

BYTES_MAX = 4_000_000


def stored(document: dict[str, Any], *, revision: int = 1, is_cancelled: bool = False, **more: Any) -> StoredOrder:
    order = order_from(document)
    given = {"receipt": "SMT-0001-0001", "recorded_wall_s": 1_800_000_000.25, **more}
    return StoredOrder(
        order,
        "ana",
        clock_state="trusted",
        hash=content_hash(order, "ana"),
        revision=revision,
        is_cancelled=is_cancelled,
        **given,
    )


def written(*orders: StoredOrder) -> dict[str, Any]:
    document = write_columns("san-mateo", "b-1", [as_sent(each) for each in orders])
    assert document is not None
    read: dict[str, Any] = json.loads(document)
    return read


def there_and_back(*orders: StoredOrder) -> None:
    rows = [as_sent(each) for each in orders]
    document = write_columns("san-mateo", "b-1", rows)
    assert document is not None
    found = read_columns(document, BYTES_MAX)
    assert (found.box, found.batch, list(found.orders)) == ("san-mateo", "b-1", rows)


TEXT = st.text(st.characters(categories=("Lu", "Ll", "Nd", "Zs", "Po")), min_size=1, max_size=12).map(
    lambda text: f"x{text}"
)
LINES = st.lists(
    st.fixed_dictionaries(
        {
            "sku": st.sampled_from(["papa", "quinua", "ñuña", "sal"]),
            "name": TEXT,
            "quantity": st.sampled_from(["1", "2.5", "0.125", "999999"]),
            "unit": st.sampled_from(["kg", "lata"]),
            "unit_price_minor": st.integers(0, 3),
        }
    ),
    min_size=1,
    max_size=4,
)
ORDERS = st.builds(
    lambda changes, some, receipt, wall_s, revision, cancelled: stored(
        fields(**changes, **some), revision=revision, is_cancelled=cancelled, receipt=receipt, recorded_wall_s=wall_s
    ),
    st.fixed_dictionaries(
        {"lines": LINES, "note": st.sampled_from(["", "Mañana"]), "currency": st.sampled_from(["PEN", "USD"])}
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "payment": st.just({"method": "mobile-money", "reference": "99"}),
            "taxes": st.lists(
                st.fixed_dictionaries(
                    {"name": TEXT, "rate": st.sampled_from(["18", "0"]), "amount_minor": st.integers(0, 9)}
                ),
                max_size=2,
            ),
            "prices_include_tax": st.booleans(),
            "made_at": st.sampled_from(
                [
                    "2026-11-22T08:30:00Z",
                    "2026-11-22T08:30:00.123Z",
                    "2026-11-22T08:30:00+02:00",
                    "2026-02-31T00:00:00Z",
                ]
            ),
            "photos": st.lists(st.sampled_from(["a" * 64, "b" * 64]), max_size=2, unique=True),
            "buyer": st.sampled_from(
                [
                    {"name": "Rosa", "phone": "984 123 456"},
                    {"name": "Ana", "phone": "984123456", "address": "Jr. Grau 1"},
                ]
            ),
        },
    ),
    st.sampled_from(["SMT-0001-0001", "SMT-0001-0009", "SMT-0002-12345", "A-12", "nothing", "-0007"]),
    st.floats(0, 4e9),
    st.integers(1, 3),
    st.booleans(),
)


@settings(max_examples=150)
@given(st.lists(ORDERS, max_size=8))
def test_any_orders_are_read_as_they_were_written(orders: list[StoredOrder]) -> None:
    there_and_back(*orders)


def test_a_real_batch_is_read_as_it_was_and_is_an_eighth_of_its_rows() -> None:
    orders = made(100)
    there_and_back(*orders)
    rows = [as_sent(each) for each in orders]
    columns = write_columns("san-mateo", "b-1", rows)
    assert columns is not None
    assert len(columns) < len(canonical(rows)) / 7


def test_one_hash_crosses_for_all_orders() -> None:
    document = json.dumps(written(*made(20)))
    assert document.count("hash") == 0
    assert len(json.loads(document)["digest"]) == 64


def test_what_is_too_many_goes_as_rows() -> None:
    row = as_sent(made(1)[0])
    assert write_columns("b", "1", [row] * (ROWS_MAX + 1)) is None
    long = {**row, "lines": [{"sku": "a"}] * (INNER_ROWS_MAX + 1)}
    assert write_columns("b", "1", [long]) is None


@pytest.mark.parametrize("name", ["note", "currency", "merchant", "receipt", "recorded_at", "buyer.phone", "id"])
def test_a_value_that_was_changed_on_the_way_is_noticed(name: str) -> None:
    document = written(stored(fields()), stored(fields(note="otra"), recorded_wall_s=1.0))
    columns = document["orders"]["columns"]
    columns[name] = {"same": new_id() if name == "id" else "SMT-0009-0009"}
    if name == "id":
        columns[name] = [new_id(), new_id()]
    columns.pop("buyer.name") if name == "buyer.phone" else None
    with pytest.raises(FaultyColumns):
        read_columns(json.dumps(document).encode(), BYTES_MAX)


def test_an_order_that_was_left_out_or_doubled_is_noticed() -> None:
    document = written(*made(3))
    for rows in (2, 4, -1, True, "3", None):
        document["orders"]["rows"] = rows
        with pytest.raises(FaultyColumns):
            read_columns(json.dumps(document).encode(), BYTES_MAX)


@pytest.mark.parametrize(
    "column",
    [
        None,
        7,
        "text",
        {},
        {"same": 1, "of": 2},
        {"of": [1], "at": [1, 1]},
        {"of": [1], "at": [-1, 0]},
        {"of": [1], "at": [True, 0]},
        {"of": 1, "at": 1},
        {"of": [1], "by": "nothing"},
        {"of": [1], "by": ["id"]},
        {"uuid": "?"},
        {"uuid": "AAAA"},
        {"uuid": 5},
        {"ms": [10**30, 1]},
        {"ms": [1]},
        {"ago": [1, 2], "digits": 9},
        {"ago": ["x", 1], "digits": 3},
        {"stem": {"stem": ["a", "b"], "number": [1, 1]}, "number": [1]},
        {"stem": [1, 2], "number": [1, 1]},
        {"counts": [1, 1], "columns": 7},
        {"counts": [-1, 1], "columns": {}},
        {"counts": {"same": 20_000}, "columns": {}},
        [{"a": 1}, 2],
        [1.5, 2],
        [[1], 2],
        [1],
        {"same": "\ud800"},
    ],
)
def test_a_column_that_is_none_is_refused(column: object) -> None:
    document = written(stored(fields()), stored(fields()))
    document["orders"]["columns"]["note"] = column
    with pytest.raises(GatewayError):
        read_columns(json.dumps(document).encode(), BYTES_MAX)


def test_columns_that_would_be_huge_as_rows_are_refused_before_they_are() -> None:
    document = {"box": "b", "batch": "1", "digest": "", "orders": {"rows": 1_000, "columns": {}}}
    document["orders"]["columns"] = {f"c{at}": {"same": "x" * 50_000} for at in range(30)}  # type: ignore[index]
    with pytest.raises(TooLarge):
        read_columns(json.dumps(document).encode(), BYTES_MAX)


@pytest.mark.parametrize("names", [("buyer", "buyer.name"), ("a.b.c", "a"), ("a", "a.b")])
def test_names_that_lie_over_each_other_are_refused(names: tuple[str, str]) -> None:
    columns = {name: {"same": "x"} for name in names}
    document = {"box": "b", "batch": "1", "digest": "", "orders": {"rows": 1, "columns": columns}}
    with pytest.raises(FaultyColumns):
        read_columns(json.dumps(document).encode(), BYTES_MAX)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["same", "of", "at", "by", "uuid", "ms", "counts", "columns"]), inner)
        ),
        max_leaves=12,
    )
)
def test_any_column_is_read_or_refused(column: object) -> None:
    document = {"box": "b", "batch": "1", "digest": "", "orders": {"rows": 1, "columns": {"x": column}}}
    with suppress(GatewayError):
        read_columns(json.dumps(document).encode(), BYTES_MAX)
