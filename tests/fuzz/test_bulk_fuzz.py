"""Whatever is uploaded, it is read within limits or refused with a sentence; what comes of it is orders or faults."""

import io
import zipfile
from contextlib import suppress

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.market.bulk.columns import Column, heading
from gateway.market.bulk.csv_file import read_csv
from gateway.market.bulk.report import Report, Standing
from gateway.market.bulk.rows import check
from gateway.market.bulk.sheets import csv_lines, xlsx_book
from gateway.market.bulk.table import CELL_CHARS_MAX, COLUMNS_MAX, ROWS_MAX, Row, Table, Unreadable
from gateway.market.bulk.xlsx_file import read_xlsx
from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.order import as_fields, order_from

CATALOGUE = Catalogue("1", "PEN", (Article("papa", "Papa", "kg", 350, "PEN", tax_name="IGV", tax_rate="18"),))
WORDS = st.sampled_from(
    ["", "papa", "1", "1,5", "1.234,50", "+51 984 123 456", "984123456", "Julia", "yape", "urgente", "'=1", "x" * 600]
)
CELLS = st.one_of(WORDS, WORDS, st.text(max_size=40))
ROWS = st.lists(st.lists(CELLS, min_size=13, max_size=13), min_size=1, max_size=8)
GOOD_BOOK = xlsx_book([["sku", "quantity"], ["papa", "1"]])
PLACES = st.lists(st.tuples(st.integers(0, len(GOOD_BOOK) - 1), st.integers(0, 255)), min_size=1, max_size=8)
SHEETS = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from(
            [
                *("<worksheet>", "<sheetData>", "<row>", '<row r="9999999">', '<row r="x">', "<c>", '<c r="XFD1">'),
                *('<c r="A0">', '<c t="s">', '<c t="inlineStr">', '<c t="d">', '<c s="-1">', "<is><t>sku</t></is>"),
                *("<v>1</v>", "<v>1e999</v>", "<v>nan</v>", "<v>99</v>", "<v></v>", "<f>1+1</f>"),
                *("</c>", "</row>", "</sheetData>", "</worksheet>", '<dimension ref="A1:XFD1048576"/>'),
            ]
        ),
        max_size=30,
    ).map(lambda parts: "".join(parts).encode()),
)


def holds(report: Report, rows: int) -> None:
    """What must be so of every report."""
    assert len(report.rows) == rows
    assert sum(report.counts.values()) == rows
    made_of = sorted(number for planned in report.orders for number in planned.rows)
    good = sorted(row.number for row in report.rows if row.standing in {Standing.GOOD, Standing.WARNING})
    assert made_of == good, "each good row is in one order, and no other row is in any"
    assert len({planned.order.id for planned in report.orders}) == len(report.orders)
    for planned in report.orders:
        assert order_from(as_fields(planned.order)) == planned.order
    for row in report.rows:
        if row.standing is Standing.FAULT:
            assert any(remark.is_fault for remark in row.remarks)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
@example(b"\xff\xfe")
@example(b"\xef\xbb\xbf")
@example(b"sep=;")
@example(b"sku,quantity\n\xd8\x00")
def test_bytes_are_a_table_or_refused(data: bytes) -> None:
    with suppress(Unreadable):
        assert 0 < len(read_csv(data).rows) <= ROWS_MAX


@settings(max_examples=200, deadline=None)
@given(ROWS, st.sampled_from([CATALOGUE, None]))
def test_rows_are_orders_or_faults(rows: list[list[str]], catalogue: Catalogue | None) -> None:
    table = Table(
        Row(1, tuple(heading(column, "es") for column in Column)),
        tuple(Row(number, tuple(cells)) for number, cells in enumerate(rows, 2)),
    )
    report = check(table, catalogue, "rosa", "PEN")
    holds(report, len(rows))
    again = check(table, catalogue, "rosa", "PEN")
    assert [each.order.id for each in again.orders] == [each.order.id for each in report.orders]


@settings(max_examples=200, deadline=None)
@given(ROWS)
def test_what_is_written_is_read_back_and_no_cell_is_a_formula(rows: list[list[str]]) -> None:
    head = [heading(column, "en") for column in Column]
    text = csv_lines([head, *rows])
    try:
        found = read_csv(text.encode("utf-8", "replace"))
        book = read_xlsx(xlsx_book([head, *rows]))
    except Unreadable:
        return  # a NUL, or nothing but blanks
    assert len(found.rows) == len(book.rows) <= len(rows)
    for row in (*found.rows, *book.rows):
        assert len(row.cells) <= COLUMNS_MAX
        assert all(len(cell) <= CELL_CHARS_MAX for cell in row.cells)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PLACES)
def test_a_flipped_workbook_is_read_or_refused(places: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD_BOOK)
    for place, value in places:
        data[place] = value
    _read_or_refuse(bytes(data))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SHEETS)
def test_a_sheet_of_nonsense_is_read_or_refused(sheet: bytes) -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(GOOD_BOOK)) as source, zipfile.ZipFile(written, "w") as target:
        for name in source.namelist():
            nonsense = sheet.replace(b"<worksheet>", b'<worksheet xmlns="%s">' % _SHEETS)
            target.writestr(name, nonsense if "sheet1" in name else source.read(name))
    _read_or_refuse(written.getvalue())


_SHEETS = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def _read_or_refuse(data: bytes) -> None:
    with suppress(Unreadable):
        assert 0 < len(read_xlsx(data).rows) <= ROWS_MAX
