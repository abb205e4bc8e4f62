"""A file is read as its program wrote it, within limits; what is hostile costs little and is told."""

import codecs
import io
import zipfile
from collections.abc import Iterable, Sequence
from decimal import Decimal

import openpyxl  # type: ignore[import-untyped]
import pytest

from gateway.market.bulk import reading, xlsx_file
from gateway.market.bulk.csv_file import WINDOWS_NOTICE, read_csv
from gateway.market.bulk.reading import read_file
from gateway.market.bulk.sheets import Cell, csv_lines, template_rows, xlsx_book
from gateway.market.bulk.table import FILE_BYTES_MAX, ROWS_MAX, ROWS_WITH_BLANK_MAX, Unreadable
from gateway.market.bulk.xlsx_file import UNPACKED_BYTES_MAX, read_xlsx
from tests.unit.market.uploaded import CATALOGUE

HEAD = "nombre;teléfono;artículo;cantidad"
LINE = "Ñusta Quispe;984 123 456;papa;1,5"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_csv_is_read_whatever_wrote_it(separator: str, end: str, encoding: str) -> None:
    lines = [line.replace(";", "\0").replace(",", ".").replace("\0", separator) for line in (HEAD, LINE)]
    found = read_csv(end.join([*lines, ""]).encode(encoding))
    assert found.heading.cells == ("nombre", "teléfono", "artículo", "cantidad")
    assert [(row.number, row.cells) for row in found.rows] == [(2, ("Ñusta Quispe", "984 123 456", "papa", "1.5"))]
    assert found.notices == ((WINDOWS_NOTICE,) if encoding == "cp1252" else ())


def test_quoted_fields_hold_separators_and_lines_and_rows_keep_their_numbers() -> None:
    found = read_csv(b'Pedidos de hoy\n\nsku,quantity,note\n\npapa,"1,5","una\nnota ""b"""\n,,\nqueso,2,\n')
    assert found.heading.number == 3
    assert [(row.number, row.cells) for row in found.rows] == [
        (5, ("papa", "1,5", 'una\nnota "b"')),
        (7, ("queso", "2")),
    ]


def test_excels_own_separator_line_is_heeded() -> None:
    found = read_csv(f"sep=;\r\n{HEAD}\r\n{LINE}\r\n".encode())
    assert (found.heading.number, found.rows[0].number, found.rows[0].cells[3]) == (2, 3, "1,5")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"  \n ",
        b"\x89PNG\r\n\x1a\n\0\0\0",
        b"sku,quantity\npapa,\0",
        b"sku,quantity\n\x81\x8d",
        b"one,two\n1,2\n",
        b"sku,quantity\n",
        b'sku,quantity\n"papa,1\n',
        b'sku,quantity\n"papa"x,1\n',
        codecs.BOM_UTF16_LE + b"\x00",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"PK\x03\x04 not a zip",
    ],
)
async def test_what_is_no_file_of_orders_is_told(data: bytes) -> None:
    with pytest.raises(Unreadable) as told:
        await read_file(data)
    assert told.value.what.endswith(".")
    assert told.value.advice


def test_too_many_rows_and_too_much_text_are_refused() -> None:
    row = b"papa,1\n"
    assert len(read_csv(b"sku,quantity\n" + row * ROWS_MAX).rows) == ROWS_MAX
    with pytest.raises(Unreadable):
        read_csv(b"sku,quantity\n" + row * (ROWS_MAX + 1))
    with pytest.raises(Unreadable):
        read_csv(b"sku,quantity\n" + row + b"\n" * ROWS_WITH_BLANK_MAX)


async def test_too_large_a_file_is_refused_before_it_is_read() -> None:
    with pytest.raises(Unreadable):
        await read_file(b"x" * (FILE_BYTES_MAX + 1))


def test_a_cell_is_cut_and_columns_beyond_the_limit_are_left() -> None:
    found = read_csv(b"sku,quantity" + b"," * 100 + b"\n" + b"x" * 5_000 + b",1" + b",y" * 100 + b"\n")
    assert len(found.rows[0].cells) == 64
    assert len(found.rows[0].cells[0]) == 1_000


def a_book(rows: Iterable[Sequence[object]]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def rezipped(data: bytes, **changed: bytes) -> bytes:
    """The same workbook with other members, by a part of their name."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            for part, replacement in changed.items():
                content = replacement if part in name else content
            target.writestr(name, content)
    return written.getvalue()


async def test_numbers_of_a_workbook_are_text_as_they_are_shown() -> None:
    found = await read_file(
        a_book([["sku", "quantity", "phone"], ["papa", 1.5, 984123456], [None], ["queso", 0.1 + 0.2, 2.0]])
    )
    assert [(row.number, row.cells) for row in found.rows] == [
        (2, ("papa", "1.5", "984123456")),
        (4, ("queso", "0.3", "2")),
    ]


def test_openpyxl_reads_with_defusedxml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openpyxl, "DEFUSEDXML", False)
    with pytest.raises(RuntimeError):
        read_xlsx(a_book([["sku", "quantity"], ["papa", 1]]))


def test_entities_are_refused() -> None:
    good = a_book([["sku", "quantity"], ["papa", 1]])
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><worksheet>&b;</worksheet>'
    with pytest.raises(Unreadable) as told:
        read_xlsx(rezipped(good, sheet1=bomb))
    causes, cause = [], told.value.__cause__
    while cause is not None:
        causes.append(type(cause).__name__)
        cause = cause.__cause__
    assert "EntitiesForbidden" in causes


def test_a_zip_bomb_is_refused_by_its_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    good = a_book([["sku", "quantity"], ["papa", 1]])
    bomb = rezipped(good, sheet1=b" " * (UNPACKED_BYTES_MAX + 1))
    assert len(bomb) < 50_000

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was opened")

    monkeypatch.setattr(openpyxl, "load_workbook", never)
    with pytest.raises(Unreadable):
        read_xlsx(bomb)


def test_a_directory_that_lies_about_a_size_unpacks_no_more_than_it_says() -> None:
    bomb = bytearray(rezipped(a_book([["sku", "quantity"], ["papa", 1]]), sheet1=b"<a>" + b" " * 20_000_000))
    size = (20_000_003).to_bytes(4, "little")
    assert bomb.count(size) == 2  # in the member's head and in the directory
    with pytest.raises(Unreadable):
        read_xlsx(bytes(bomb.replace(size, (1_000).to_bytes(4, "little"))))


def test_a_sheet_that_claims_a_million_columns_is_read_by_what_it_has() -> None:
    good = a_book([["sku", "quantity"], ["papa", 1]])
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").replace(b"A1:B2", b"A1:XFD1048576")
    assert b"XFD1048576" in sheet
    assert len(read_xlsx(rezipped(good, sheet1=sheet)).rows) == 1


async def test_a_worker_that_does_not_answer_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "READ_S_MAX", 0.0)
    with pytest.raises(Unreadable) as told:
        await read_file(a_book([["sku", "quantity"], ["papa", 1]]))
    assert "too long" in told.value.what


def test_text_is_no_formula_in_csv_nor_xlsx_and_is_read_back_as_it_was() -> None:
    texts = ["=1+1", "+51 984", "-2", "@x", "\tx", "papa"]
    rows: list[list[Cell]] = [["sku", "quantity"]]
    rows += [[text, Decimal("1.5")] for text in texts]
    assert csv_lines(rows).splitlines()[1:4] == ["'=1+1,1.5", "'+51 984,1.5", "'-2,1.5"]
    book = openpyxl.load_workbook(io.BytesIO(xlsx_book(rows)))
    cells = [row[0] for row in book.worksheets[0].iter_rows(min_row=2)]
    assert [cell.data_type for cell in cells] == ["s"] * len(texts)
    assert [cell.value for cell in cells] == ["'=1+1", "'+51 984", "'-2", "'@x", "'\tx", "papa"]
    assert book.worksheets[0]["B2"].data_type == "n"
    for found in (read_csv(csv_lines(rows).encode()), read_xlsx(xlsx_book(rows))):
        assert [row.cells[0] for row in found.rows] == [text.strip() for text in texts]


def test_a_cell_that_xml_cannot_hold_is_written_all_the_same() -> None:
    found = read_xlsx(xlsx_book([["sku", "quantity"], ["a\x0bb", "1"]]))
    assert found.rows[0].cells[0] == "a b"


def test_the_template_is_a_file_of_one_good_order() -> None:
    from gateway.market.bulk.rows import check

    for catalogue in (CATALOGUE, None):
        for tag in ("es", "en"):
            rows = template_rows(catalogue, tag)
            for found in (read_csv(csv_lines(rows).encode()), read_xlsx(xlsx_book(rows))):
                report = check(found, catalogue, "rosa", "PEN")
                assert report.is_faultless
                assert len(report.orders) == 1
                assert report.unknown_columns == ()


def test_the_limits_of_a_workbook_hold_a_full_file() -> None:
    wide = [["sku", "quantity", *("x" * 8 for _ in range(11))]]
    full = xlsx_book([*wide, *([["papa", "1", *("y" * 10 for _ in range(11))]] * 200)])
    with zipfile.ZipFile(io.BytesIO(full)) as archive:
        unpacked = sum(each.file_size for each in archive.infolist())
    assert unpacked * ROWS_MAX / 200 < xlsx_file.UNPACKED_BYTES_MAX
