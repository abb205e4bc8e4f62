"""A file of orders is rows of text with their numbers, as its owner sees them, within limits. Pure.

The heading is the first row that names two columns or more, so a title above it does no harm. Blank rows count in the
numbers and nowhere else.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.errors import N_, BadRequest
from gateway.market.bulk.columns import known_in

FILE_BYTES_MAX = 2_000_000  # 5,000 rows of 400 bytes
ROWS_MAX = 5_000
ROWS_WITH_BLANK_MAX = 20_000
COLUMNS_MAX = 64
CELL_CHARS_MAX = 1_000  # twice what any column may hold: what is cut is a fault of its row all the same
TABLE_CHARS_MAX = 4_000_000
HEADING_ROWS = 10  # among which the heading is looked for
HEADINGS_MIN = 2
_FORMULA_SIGNS = frozenset("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20")  # the last four as Asian keyboards write them
_SIGN_NEXT = "(?=[=+@\uff1d\uff0b\uff0d\uff20-])"
_CELL_BEGINS = re.compile(rf"([;\t\r\n]\s*){_SIGN_NEXT}")  # where a spreadsheet set to another separator divides
_GUARDED_INSIDE = re.compile(rf"([;\t\r\n]\s*)'{_SIGN_NEXT}")


class Unreadable(BadRequest):
    """The file is not one of orders that can be read."""

    code = "unreadable-file"
    what = N_("The file could not be read.")
    advice = N_("Nothing was recorded. Save it as CSV or XLSX and upload it again.")


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is not blank; its number is the one that a spreadsheet shows."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """What a file holds; `notices` are message ids of what its owner should know of how it was read."""

    heading: Row
    rows: tuple[Row, ...]
    notices: tuple[str, ...] = ()

    @property
    def weight(self) -> int:
        """How many usual rows would take its memory: few rows may hold much text."""
        chars = sum(len(cell) for row in self.rows for cell in row.cells)
        return max(len(self.rows), chars * ROWS_MAX // TABLE_CHARS_MAX)


def table(records: Iterable[Sequence[str]], notices: tuple[str, ...] = ()) -> Table:
    """Return the heading and the rows of a file, given all its records from the first on.

    Raises: Unreadable.
    """
    heading, rows, chars = None, [], 0
    for number, record in enumerate(records, 1):
        if number > ROWS_WITH_BLANK_MAX:
            raise _too_many()
        cells = _cells(record)
        if not cells:
            continue
        chars += sum(map(len, cells))
        if chars > TABLE_CHARS_MAX:
            raise Unreadable(
                N_("The file holds too much text."), N_("Nothing was recorded. Upload it as several files.")
            )
        if heading is not None:
            rows.append(Row(number, cells))
        elif known_in(cells) >= HEADINGS_MIN:
            heading = Row(number, cells)
        elif number > HEADING_ROWS:
            break
        if len(rows) > ROWS_MAX:
            raise _too_many()
    if heading is None:
        raise Unreadable(
            N_("The file has no row with the names of its columns."),
            N_("Nothing was recorded. Begin with the template, and keep its first row."),
        )
    if not rows:
        raise Unreadable(N_("The file has no rows below its heading."), N_("Write an order on each row."))
    return Table(heading, tuple(rows), notices)


def guarded(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula. Source: OWASP ASVS 5.0 §1.2.10.

    >>> guarded("=1+1"), guarded("+51 984 123 456"), guarded("papa")
    ("'=1+1", "'+51 984 123 456", 'papa')
    """
    return f"'{text}" if text[:1] in _FORMULA_SIGNS and text else text


def guarded_inside(text: str) -> str:
    """Return a cell of CSV that is no formula either for a program that divides it at a semicolon, a tab or a line.

    >>> guarded_inside("Julia;=1+1;x"), guarded_inside("=1+1"), guarded_inside("a; b")
    ("Julia;'=1+1;x", "'=1+1", 'a; b')
    """
    return _CELL_BEGINS.sub(r"\1'", guarded(text))


def _cells(record: Sequence[str]) -> tuple[str, ...]:
    """Return a record's cells up to the last that is not blank."""
    cells = [_cell(text) for text in record[:COLUMNS_MAX]]
    while cells and not cells[-1]:
        cells.pop()
    return tuple(cells)


def _cell(text: str) -> str:
    bare = _GUARDED_INSIDE.sub(r"\1", text.strip()[:CELL_CHARS_MAX])
    # what our own export was guarded with is no part of the text
    return bare[1:].strip() if bare[:1] == "'" and bare[1:2] in _FORMULA_SIGNS and bare[1:] else bare


def _too_many() -> Unreadable:
    return Unreadable(
        N_("The file has more than %(rows)d rows."),
        N_("Nothing was recorded. Upload it as several files."),
        rows=ROWS_MAX,
    )
