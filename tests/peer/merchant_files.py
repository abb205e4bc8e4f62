"""Files of orders as a merchant's spreadsheet makes them: five hundred rows, seven of them wrong."""

import csv
import io
from collections.abc import Iterable, Sequence

import openpyxl  # type: ignore[import-untyped]

HEADING = ("Nombre", "Teléfono", "Artículo", "Cantidad", "Pago", "Referencia", "Prioridad")
ROWS = 500
# what is written in a row, and what it becomes when it is mended: the row's place, the column, wrong, right
FAULTS = (
    (3, "Cantidad", "dos", "2"),
    (77, "Artículo", "papa-morada", "papa-amarilla"),
    (140, "Teléfono", "no tiene", "984 000 140"),
    (251, "Pago", "tarjeta", "efectivo"),
    (333, "Artículo", "", "olluco"),
    (404, "Nombre", "", "Cliente 404"),
    (499, "Prioridad", "ayer", "normal"),
)
_ARTICLES = ("papa-amarilla", "olluco", "panela", "sal-maras")

Row = dict[str, str]


def orders(name: str, count: int = ROWS) -> list[Row]:
    """Rows that are right, each another customer's."""
    return [
        {
            "Nombre": f"{name} {number}",
            "Teléfono": f"984 {number:06}",
            "Artículo": _ARTICLES[number % len(_ARTICLES)],
            "Cantidad": f"{1 + number % 3},5",
            "Pago": "efectivo",
            "Referencia": "",
            "Prioridad": "normal",
        }
        for number in range(count)
    ]


def with_faults(rows: Sequence[Row], faults: Iterable[tuple[int, str, str, str]] = FAULTS) -> list[Row]:
    """The rows as they were typed."""
    wrong = [dict(row) for row in rows]
    for place, column, typed, _ in faults:
        wrong[place][column] = typed
    return wrong


def mended(table: list[list[str]], faults: Iterable[tuple[int, str, str, str]] = FAULTS) -> list[list[str]]:
    """A file of rows to mend, mended where each says that it is wrong."""
    heading = [cell.casefold() for cell in table[0]]
    by_row = {place + 2: (column, right) for place, column, _, right in faults}  # a spreadsheet counts from its heading
    for row in table[1:]:
        column, right = by_row[int(row[heading.index("fila")])]
        assert column.casefold() in row[heading.index("qué está mal")].casefold()
        row[heading.index(column.casefold())] = right
    return table


def as_table(rows: Sequence[Row]) -> list[list[str]]:
    """The rows under their heading."""
    return [list(HEADING), *([row[column] for column in HEADING] for row in rows)]


def as_csv(table: Sequence[Sequence[str]]) -> bytes:
    """A file as a spreadsheet in Peru saves it."""
    out = io.StringIO()
    csv.writer(out, delimiter=";").writerows(table)
    return ("\ufeff" + out.getvalue()).encode()


def as_xlsx(table: Sequence[Sequence[str]]) -> bytes:
    """The same as a workbook."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in table:
        sheet.append(list(row))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def read(name: str, content: bytes) -> list[list[str]]:
    """What is in a file that was downloaded."""
    if name.endswith(".xlsx"):
        sheet = openpyxl.load_workbook(io.BytesIO(content)).worksheets[0]
        return [["" if cell is None else str(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
    text = content.decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text), csv.Sniffer().sniff(text.partition("\n")[0], ",;")))
