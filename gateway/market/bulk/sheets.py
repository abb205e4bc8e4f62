"""Rows are written as CSV or XLSX that a spreadsheet opens rightly and takes for no formula.

CSV begins with the byte order mark, without which Excel reads Windows text. XLSX is the least that the standard asks
for, written in memory: openpyxl would put names and phones into files of `/tmp` on the way.

Source: RFC 4180 §2.6-2.7, ECMA-376 part 1 §12.2 and §18.3.1.53 (inline strings), OWASP ASVS 5.0 §1.2.10.
"""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from decimal import Decimal
from xml.sax.saxutils import escape

from gateway.market.bulk.columns import Column, heading
from gateway.market.bulk.table import guarded, guarded_inside
from gateway.market.catalogue.model import Catalogue

CSV_MARK = "\ufeff"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV_TYPE = "text/csv"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_AROUND = {
    "[Content_Types].xml": (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="rId1" Type="{_OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{_SHEETS}" xmlns:r="{_OFFICE}"><sheets><sheet name="Tambo" sheetId="1" r:id="rId1"/>'
        "</sheets></workbook>"
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="rId1" Type="{_OFFICE}/worksheet" '
        'Target="worksheets/sheet1.xml"/></Relationships>'
    ),
}
_SHEET = f'<worksheet xmlns="{_SHEETS}"><cols><col min="1" max="20" width="16" customWidth="1"/></cols><sheetData>'
_EXAMPLE = {
    Column.ORDER: "1",
    Column.NAME: "Julia Mamani",
    Column.PHONE: "984 123 456",
    Column.ADDRESS: "Jr. Unión 12",
    Column.QUANTITY: "1.5",
    Column.NOTE: "",
    Column.PAYMENT: "yape",
    Column.REFERENCE: "00412345",
    Column.PRIORITY: "normal",
}

Cell = str | Decimal


def csv_lines(rows: Iterable[Sequence[Cell]]) -> str:
    """Return rows as CSV, without the mark that the file begins with."""
    written = io.StringIO(newline="")
    writer = csv.writer(written)
    writer.writerows([guarded_inside(cell) if isinstance(cell, str) else f"{cell:f}" for cell in row] for row in rows)
    return written.getvalue()


def xlsx_book(rows: Iterable[Sequence[Cell]]) -> bytes:
    """Return rows as a workbook of one sheet; text is text in it, whatever it begins with."""
    book = XlsxBook()
    return book.add(rows) + book.end()


class XlsxBook:
    """A workbook that is written while its rows are read: what is done of it is handed on and not kept."""

    def __init__(self) -> None:
        self._written = _Written()
        self._archive = zipfile.ZipFile(self._written, "w", zipfile.ZIP_DEFLATED)  # type: ignore[call-overload]
        for name, content in _AROUND.items():
            self._archive.writestr(name, _HEAD + content)
        self._sheet = self._archive.open("xl/worksheets/sheet1.xml", "w")
        self._sheet.write((_HEAD + _SHEET).encode())

    def add(self, rows: Iterable[Sequence[Cell]]) -> bytes:
        """Return what of the file is done after these rows."""
        for row in rows:
            self._sheet.write(f"<row>{''.join(map(_cell, row))}</row>".encode())
        return self._written.taken()

    def end(self) -> bytes:
        """Return the rest of the file."""
        self._sheet.write(b"</sheetData></worksheet>")
        self._sheet.close()
        self._archive.close()
        return self._written.taken()


class _Written:
    """As much of a file as zipfile needs to write one from its beginning to its end."""

    def __init__(self) -> None:
        self._pieces = bytearray()

    def write(self, piece: bytes) -> int:
        self._pieces += piece
        return len(piece)

    def flush(self) -> None:
        pass

    def taken(self) -> bytes:
        pieces, self._pieces = bytes(self._pieces), bytearray()
        return pieces


def template_rows(catalogue: Catalogue | None, tag: str) -> list[list[Cell]]:
    """Return the heading, and an order of two rows to be written over."""
    offered = list(catalogue.articles[:2]) if catalogue else []
    if not offered:
        own = {Column.ARTICLE: "papa", Column.DESCRIPTION: "Papa amarilla", Column.UNIT: "kg", Column.PRICE: "3.50"}
        examples = [{**_EXAMPLE, **own}]
    else:
        examples = [{**_EXAMPLE, Column.ARTICLE: each.sku, Column.UNIT: each.unit} for each in offered]
        examples[1:] = [{**each, Column.QUANTITY: "2"} for each in examples[1:]]
    rows: list[list[Cell]] = [[heading(column, tag) for column in Column]]
    rows += [[each.get(column, "") for column in Column] for each in examples]
    return rows


def _cell(value: Cell) -> str:
    if isinstance(value, Decimal):
        return f"<c><v>{value:f}</v></c>"
    text = escape(_NOT_XML.sub(" ", guarded(value)))
    return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
