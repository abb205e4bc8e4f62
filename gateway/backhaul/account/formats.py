"""Usage records as files that others read, CSV (RFC 4180) and JSON Lines, whole and to be checked again. Pure.

A cell that a spreadsheet would take for a formula (OWASP ASVS 5.0 §1.2.10) begins with an apostrophe; so does one that
begins with an apostrophe itself, so that what is read is what was written.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum

from gateway.backhaul.account.record import COLUMNS, UsageRecord, Value
from gateway.errors import N_, BadRequest

FAR_S = 253_402_300_799.0  # the last second of the year 9999
DATE_CHARS_MAX = 40
LINE_CHARS_MAX = 8_192  # a record takes 900
_FORMULA = tuple("=+-@\t\r'")


class Format(StrEnum):
    """How records are written."""

    CSV = "csv"
    JSON = "json"


def wall_s_of(text: str | None, otherwise: float) -> float:
    """Return a date, or date and time, as wall seconds; one without a time zone is in UTC.

    Raises: BadRequest.

    >>> wall_s_of("2027-01-15", 0.0), wall_s_of("2027-01-15T03:00:00-05:00", 0.0), wall_s_of(None, 7.0)
    (1799971200.0, 1800000000.0, 7.0)
    """
    if not text:
        return otherwise
    try:
        if len(text) > DATE_CHARS_MAX:
            raise ValueError("no date is so long")
        moment = datetime.fromisoformat(text)
        wall_s = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as exc:
        raise BadRequest(N_("This is not a date."), N_("Write it as 2027-01-31 or 2027-01-31T12:00:00Z.")) from exc
    return min(max(wall_s, 0.0), FAR_S)


def head(form: Format) -> str:
    """Return what stands before the first record."""
    return _row(COLUMNS) if form is Format.CSV else ""


def written(form: Format, record: UsageRecord) -> str:
    """Return a record as a line."""
    if form is Format.CSV:
        return _row([record.values[name] for name in COLUMNS])
    ordered = {name: record.values[name] for name in COLUMNS}
    return json.dumps(ordered, separators=(",", ":"), ensure_ascii=False) + "\n"


def read(lines: Iterable[str]) -> Iterator[UsageRecord | None]:
    """Yield the records of a file in either form; None for a line that is none."""
    bounded = (line if len(line) <= LINE_CHARS_MAX else "?\n" for line in lines)
    first = next(bounded, "").removeprefix("\ufeff")
    if first.startswith("{"):
        yield _from_json(first)
        yield from (_from_json(line) for line in bounded if line.strip())
        return
    names = first.strip().split(",")
    if not first.strip():
        return
    if sorted(names) != sorted(COLUMNS):  # no hash covers what is more
        yield None
        return
    for line in bounded:
        if line.strip():
            yield _from_csv(names, line)


def _row(cells: Iterable[Value]) -> str:
    made = io.StringIO()
    csv.writer(made, lineterminator="\r\n").writerow([_defused(each) for each in cells])
    return made.getvalue()


def _defused(cell: Value) -> Value:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _from_csv(names: list[str], line: str) -> UsageRecord | None:
    try:
        cells = next(csv.reader([line], strict=True))
    except (csv.Error, StopIteration):
        return None
    if len(cells) != len(names):
        return None
    armed = [each.removeprefix("'") for each in cells]
    return UsageRecord.read(dict(zip(names, armed, strict=True)))


def _from_json(line: str) -> UsageRecord | None:
    try:
        found = json.loads(line, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, tuple) or sorted(name for name, _ in found) != sorted(COLUMNS):
        return None  # each once, and no more: no hash covers it
    return UsageRecord.read(dict(found))
