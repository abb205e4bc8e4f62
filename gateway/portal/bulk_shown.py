"""An upload as its page shows it: a part of its rows in words, what may be pressed, and the rows to mend. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import N_
from gateway.languages import translate
from gateway.market.bulk.columns import TOLD, Column, heading
from gateway.market.bulk.report import CheckedRow, Remark, Report, Standing
from gateway.market.bulk.uploads import Upload
from gateway.portal.formats import Formats

ROWS_SHOWN = 50  # of one page: 50 KB with remarks on each
TEXT_CHARS_MAX = 60
_NAMES = {
    Standing.FAULT: (N_("Fault"), "bad"),
    Standing.HELD: (N_("Held: another row of its order has a fault"), "care"),
    Standing.WARNING: (N_("Good, look at it"), "care"),
    Standing.KNOWN: (N_("Already recorded"), ""),
    Standing.GOOD: (N_("Good"), "good"),
}


@dataclass(frozen=True, slots=True)
class ShownRemark:
    """A sentence about a column."""

    column: str
    sentence: str


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row in the report; `name` is a message id."""

    number: int
    who: str
    what: str
    name: str
    tone: str
    remarks: Sequence[ShownRemark]


@dataclass(frozen=True, slots=True)
class ShownReceipt:
    """An order that was recorded."""

    id: str
    receipt: str
    buyer: str
    total_minor: int
    is_new: bool


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a long list is shown."""

    number: int
    last: int

    @property
    def places(self) -> slice:
        """The places of what is shown in the whole list."""
        return slice((self.number - 1) * ROWS_SHOWN, self.number * ROWS_SHOWN)


def part_of(wanted: str, length: int) -> Part:
    """Return the part that was asked for, or the first.

    >>> part_of("2", 120).number, part_of("4", 120).number, part_of("x", 0).last
    (2, 1, 1)
    """
    last = max(1, -(-length // ROWS_SHOWN))
    number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) <= 4 else 1
    return Part(number if 1 <= number <= last else 1, last)


def shown_rows(report: Report, part: Part, tag: str, formats: Formats) -> list[ShownRow]:
    """Return one part of a report's rows."""
    return [_shown(row, report.currency, tag, formats) for row in report.rows[part.places]]


def shown_receipts(upload: Upload, part: Part) -> list[ShownReceipt]:
    """Return one part of what was recorded."""
    return [
        ShownReceipt(made.id, made.receipt, planned.order.buyer.name, planned.total_minor, made.is_new)
        for planned, made in upload.recorded[part.places]
    ]


def rows_to_mend(report: Report, tag: str, formats: Formats) -> list[list[str]]:
    """Return a file of the rows that were not recorded, with what is wrong in each; it can be mended and uploaded."""
    columns = list(Column)
    first = [heading(column, tag) for column in columns]
    rows = [[*first, *TOLD.get(tag, TOLD["en"])]]
    for row in sorted(report.rows, key=lambda each: each.number):
        if row.standing in {Standing.FAULT, Standing.HELD}:
            told = _shown(row, report.currency, tag, formats).remarks
            wrong = " ".join(f"{each.column}: {each.sentence}" for each in told)
            rows.append([*(row.cells.get(column, "") for column in columns), str(row.number), wrong])
    return rows


def _shown(row: CheckedRow, currency: str, tag: str, formats: Formats) -> ShownRow:
    name, tone = _NAMES[row.standing]
    asked = [row.cells.get(column, "") for column in (Column.QUANTITY, Column.ARTICLE)]
    return ShownRow(
        row.number,
        row.cells.get(Column.NAME, "")[:TEXT_CHARS_MAX],
        " ".join(asked).strip()[:TEXT_CHARS_MAX],
        name,
        tone,
        [ShownRemark(heading(each.column, tag), _said(each, currency, tag, formats)) for each in row.remarks],
    )


def _said(remark: Remark, currency: str, tag: str, formats: Formats) -> str:
    price = "" if remark.price_minor is None else formats.money(remark.price_minor, currency)
    return translate(tag, remark.sentence, price=price, unit=remark.unit, row=remark.row)
