"""An XLSX file is opened only when its directory promises little enough, and read as text, row by row.

A small archive can unpack to gigabytes, a sheet can claim a million columns, and XML can define itself into memory. So
the directory is added up first (zipfile unpacks no more of a member than the directory says), the sheet's own claim of
its size is ignored, and openpyxl must have found defusedxml, which refuses entities. It runs in a process of its own
(`xlsx_worker`), for what is left: time.

Source: ECMA-376 part 2 §10.2 (ZIP), openpyxl 3.1 `openpyxl.xml.functions`.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime

import defusedxml  # type: ignore[import-untyped]
import openpyxl  # type: ignore[import-untyped]
from openpyxl.utils.exceptions import InvalidFileException  # type: ignore[import-untyped]

from gateway.errors import N_
from gateway.market.bulk.table import COLUMNS_MAX, ROWS_WITH_BLANK_MAX, Table, Unreadable, table

UNPACKED_BYTES_MAX = 16_000_000  # 5,000 rows of 13 columns unpack to 4 MB (2026-11)
MEMBERS_MAX = 200
_ZIP_ENCRYPTED = 0x1  # APPNOTE 4.4.4
_NOT_XLSX = N_("The file is no XLSX that can be read.")
_TOO_LARGE = N_("The file unpacks to more than the box reads.")
_ADVICE = N_("Nothing was recorded. Copy the rows into a new file, save it as CSV or XLSX and upload that.")


def read_xlsx(data: bytes) -> Table:
    """Return what the first visible sheet of an XLSX file holds.

    Raises: Unreadable.
    """
    if not openpyxl.DEFUSEDXML or openpyxl.LXML:
        raise RuntimeError("openpyxl reads XML without defusedxml")
    try:
        _check_directory(data)
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        try:
            return table(_records(book))
        finally:
            book.close()
    except Unreadable:
        raise
    except (
        ArithmeticError,
        AttributeError,
        EOFError,
        InvalidFileException,
        LookupError,
        NotImplementedError,
        OSError,
        RecursionError,
        SyntaxError,  # what ElementTree's ParseError is
        TypeError,
        ValueError,
        defusedxml.DefusedXmlException,
        zipfile.BadZipFile,
        zipfile.zlib.error,  # type: ignore[attr-defined]  # zipfile lets it through
    ) as exc:
        raise Unreadable(_NOT_XLSX, _ADVICE) from exc


def _check_directory(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
    if len(members) > MEMBERS_MAX or sum(each.file_size for each in members) > UNPACKED_BYTES_MAX:
        raise Unreadable(_TOO_LARGE, _ADVICE)
    plain = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    if any(each.compress_type not in plain or each.flag_bits & _ZIP_ENCRYPTED for each in members):
        raise Unreadable(_NOT_XLSX, _ADVICE)


def _records(book: openpyxl.Workbook) -> Iterator[Sequence[str]]:
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    if not sheets:
        return
    sheet = sheets[0]
    sheet.reset_dimensions()
    for row in sheet.iter_rows(max_row=ROWS_WITH_BLANK_MAX + 1, max_col=COLUMNS_MAX, values_only=True):
        yield tuple(_text(value) for value in row)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value) if abs(value) < 10**18 else "#"  # Excel has 15 digits
        case float():
            return f"{value:.15g}"
        case datetime() | date():
            return value.isoformat()
        case _:
            return str(value)
