"""A CSV file is read as its program wrote it: any of three separators, any of three encodings. Pure.

The separator (comma, semicolon, tab) is the one with which the heading names the most columns. Without the mark of
UTF-16, what is not UTF-8 is taken for Windows-1252, as Spanish Excel writes it, and that is told: it may be wrong.

Source: RFC 4180 §2, Unicode 15 §23.8 (byte order mark).
"""

import codecs
import csv
import io
from collections.abc import Iterator

from gateway.errors import N_
from gateway.market.bulk.columns import known_in
from gateway.market.bulk.table import HEADING_ROWS, Table, Unreadable, table

WINDOWS_NOTICE = N_("The file is not UTF-8; it was read as Windows text. Check that accents and ñ look right.")
_SEPARATORS = (",", ";", "\t")
_ADVICE = N_("Nothing was recorded. Save it as CSV UTF-8 or XLSX and upload it again.")


def read_csv(data: bytes) -> Table:
    """Return what a CSV file holds.

    Raises: Unreadable.
    """
    text, notices = _decoded(data)
    if "\0" in text:
        raise Unreadable(N_("The file is not text."), _ADVICE)
    named = text[:6].lower()
    if named.startswith("sep=") and named[4:5] in _SEPARATORS:  # Excel's own first line
        rest = text.partition("\n")[2]
        return table(_records("\n" + rest, named[4:5]), notices)
    return table(_records(text, max(_SEPARATORS, key=lambda separator: _headings(text, separator))), notices)


def _decoded(data: bytes) -> tuple[str, tuple[str, ...]]:
    try:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return data.decode("utf-16"), ()
        return data.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252"), (WINDOWS_NOTICE,)
    except UnicodeDecodeError:
        raise Unreadable(N_("The file is not text."), _ADVICE) from None


def _headings(text: str, separator: str) -> int:
    found = 0
    try:
        for number, record in enumerate(_records(text, separator)):
            if number >= HEADING_ROWS:
                break
            found = max(found, known_in(record))
    except Unreadable:
        pass  # told when the whole is read
    return found


def _records(text: str, separator: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    number = 0
    while True:
        number += 1
        try:
            record = next(reader, None)
        except csv.Error as exc:
            raise Unreadable(
                N_("Row %(row)d has a quotation mark that is not closed, or one too many."),
                N_("Nothing was recorded. Mend that row and upload the file again."),
                row=number,
            ) from exc
        if record is None:
            return
        yield record
