"""Rows become orders; each fault is told at its row and column; no row is ever two orders by accident."""

import doctest
import importlib

import pytest

from gateway.market.bulk.columns import Column, column_of
from gateway.market.bulk.csv_file import read_csv
from gateway.market.bulk.report import Report, Standing, knowing
from gateway.market.bulk.rows import check
from gateway.market.bulk.table import Unreadable
from gateway.market.order import Method, Priority
from tests.unit.market.uploaded import CATALOGUE, GOOD, a_csv, a_row, many_rows, report_of


@pytest.mark.parametrize("name", ["cells", "columns", "table"])
def test_docstring_examples_of_files_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"gateway.market.bulk.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


def faults_of(report: Report) -> list[tuple[int, Column]]:
    return [(row.number, told.column) for row in report.rows for told in row.remarks if told.is_fault]


def test_a_good_row_is_an_order_with_the_catalogues_price_unit_and_tax() -> None:
    (planned,) = report_of([GOOD]).orders
    order = planned.order
    assert (order.lines[0].name, order.lines[0].quantity, order.lines[0].unit) == ("Papa amarilla", "1.5", "kg")
    assert (order.lines[0].unit_price_minor, planned.total_minor) == (350, 525)
    assert (order.taxes[0].name, order.taxes[0].amount_minor) == ("IGV", 80)
    assert (order.catalogue_version, order.payment.method, order.priority) == (
        "2026-11",
        Method.CASH_ON_DELIVERY,
        Priority.NORMAL,
    )
    assert planned.rows == (2,)


def test_an_article_is_found_by_its_name_too() -> None:
    (planned,) = report_of([a_row(article="  PAPA  Amarilla")]).orders
    assert planned.order.lines[0].sku == "papa"


def test_rows_of_one_key_are_one_order_and_say_its_buyer_once() -> None:
    first = a_row(order="7", payment="Yape", reference="0042", priority="urgente")
    second = {Column.ORDER: "7", Column.ARTICLE: "queso", Column.QUANTITY: "2"}
    report = report_of([first, a_row(name="Otra"), second])
    one, other = report.orders
    assert [line.sku for line in one.order.lines] == ["papa", "queso"]
    assert one.rows == (2, 4)
    assert (one.order.payment.method, one.order.payment.reference) == (Method.MOBILE_MONEY, "0042")
    assert one.order.priority is Priority.URGENT
    assert other.order.buyer.name == "Otra"


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"quantity": "dos"}, Column.QUANTITY),
        ({"quantity": "0"}, Column.QUANTITY),
        ({"quantity": ""}, Column.QUANTITY),
        ({"phone": "no tiene"}, Column.PHONE),
        ({"phone": ""}, Column.PHONE),
        ({"name": ""}, Column.NAME),
        ({"name": "x" * 121}, Column.NAME),
        ({"address": "x" * 201}, Column.ADDRESS),
        ({"note": "x" * 501}, Column.NOTE),
        ({"article": "oro"}, Column.ARTICLE),
        ({"article": ""}, Column.ARTICLE),
        ({"unit": "saco"}, Column.UNIT),
        ({"price": "gratis"}, Column.PRICE),
        ({"price": "99999999"}, Column.PRICE),
        ({"payment": "tarjeta"}, Column.PAYMENT),
        ({"payment": "yape"}, Column.REFERENCE),
        ({"reference": "x" * 65}, Column.REFERENCE),
        ({"priority": "mucho"}, Column.PRIORITY),
    ],
)
def test_a_fault_is_told_at_its_column_and_nowhere_else(changes: dict[str, str], column: Column) -> None:
    report = report_of([a_row(**changes), a_row(name="Otra")])
    assert faults_of(report) == [(2, column)]
    assert len(report.orders) == 1
    assert not report.is_faultless
    sentence = report.rows[0].remarks[0].sentence
    assert sentence.endswith("."), "it is a sentence"


def test_several_faults_of_a_row_are_told_at_once() -> None:
    report = report_of([a_row(quantity="x", phone="x", article="oro")])
    assert {column for _, column in faults_of(report)} == {Column.QUANTITY, Column.PHONE, Column.ARTICLE}


def test_a_row_that_contradicts_its_order_is_told_which_row_it_contradicts() -> None:
    report = report_of([a_row(order="1"), a_row(order="1", phone="999 999 999")])
    assert faults_of(report) == [(3, Column.PHONE)]
    told = next(row for row in report.rows if row.number == 3)
    assert told.remarks[0].row == 2
    assert [row.standing for row in report.rows] == [Standing.FAULT, Standing.HELD]
    assert not report.orders


def test_a_price_that_differs_is_kept_and_told() -> None:
    report = report_of([a_row(price="S/ 3,00")])
    assert report.orders[0].order.lines[0].unit_price_minor == 300
    (row,) = report.rows
    assert row.standing is Standing.WARNING
    assert row.remarks[0].price_minor == 350
    assert report.is_faultless


def test_more_than_there_is_in_stock_is_told_and_taken() -> None:
    report = report_of([a_row(quantity="101")])
    assert report.rows[0].standing is Standing.WARNING
    assert len(report.orders) == 1


def test_without_a_catalogue_a_row_says_its_own_article_and_price() -> None:
    report = report_of([a_row(article="Papa", price="3.5", unit="arroba"), a_row(article="Oca")], None)
    (planned,) = report.orders
    line = planned.order.lines[0]
    assert (line.sku, line.name, line.unit, line.unit_price_minor) == ("Papa", "Papa", "arroba", 350)
    assert faults_of(report) == [(3, Column.PRICE)]


def test_what_needs_a_person_comes_first() -> None:
    report = report_of([GOOD, a_row(price="1"), a_row(quantity="x"), a_row(name="Otra")])
    assert [row.number for row in report.rows] == [4, 3, 2, 5]
    assert dict(report.counts) == {Standing.FAULT: 1, Standing.WARNING: 1, Standing.GOOD: 2}


def test_the_same_rows_are_the_same_orders_in_every_file() -> None:
    faulty = report_of([a_row(name="A"), a_row(name="B", quantity="x"), a_row(name="C")])
    mended = report_of([a_row(name="A"), a_row(name="B", quantity="2"), a_row(name="C")])
    before = {planned.order.id for planned in faulty.orders}
    after = {planned.order.id for planned in mended.orders}
    assert len(before) == 2
    assert before < after
    left = knowing(mended, frozenset(before))
    assert [planned.order.buyer.name for planned in left.orders] == ["B"]
    assert left.counts[Standing.KNOWN] == 2


def test_the_same_row_twice_is_two_orders_and_told() -> None:
    first = report_of([GOOD, GOOD])
    told = first.rows[0]
    assert (told.number, told.standing, told.remarks[0].row) == (3, Standing.WARNING, 2)
    assert len({planned.order.id for planned in first.orders}) == 2
    assert [each.order.id for each in first.orders] == [each.order.id for each in report_of([GOOD, GOOD]).orders]


def test_another_merchant_or_occasion_makes_other_orders() -> None:
    table = read_csv(a_csv([GOOD]))
    made = [
        check(table, CATALOGUE, "rosa", "PEN"),
        check(table, CATALOGUE, "luis", "PEN"),
        check(table, CATALOGUE, "rosa", "PEN", "again"),
    ]
    assert len({report.orders[0].order.id for report in made}) == 3


def test_unknown_columns_are_told_and_missing_ones_stop() -> None:
    data = b"nombre,telefono,articulo,cantidad,color\nJulia,984123456,papa,1,rojo\n"
    report = check(read_csv(data), CATALOGUE, "rosa", "PEN")
    assert report.unknown_columns == ("color",)
    with pytest.raises(Unreadable) as told:
        check(read_csv(b"nombre,articulo\nJulia,papa\n"), CATALOGUE, "rosa", "PEN")
    assert told.value.values == {"columns": "teléfono / phone, cantidad / quantity"}


@pytest.mark.parametrize(
    "heading", ["Teléfono", "TELEFONO", " phone ", "Celular", "número de teléfono", "Phone number"]
)
def test_a_heading_is_known_however_it_is_written(heading: str) -> None:
    assert column_of(heading) is Column.PHONE


def test_an_order_of_more_lines_than_it_may_have_is_a_fault_of_its_key() -> None:
    report = report_of([a_row(order="1") for _ in range(201)])
    assert faults_of(report) == [(2, Column.ORDER)]


def test_five_hundred_rows_with_seven_faults_leave_the_others_good() -> None:
    report = report_of(many_rows(500, 7))
    assert report.counts[Standing.FAULT] == 7
    assert len(report.orders) == 493
    assert all(row.standing is Standing.FAULT for row in report.rows[:7])
