"""Columns become the rows they were made of, or are refused whole: no row is guessed. Pure.

What is small as columns may be huge as rows, so the cells and their text are counted as they are laid out, and the
count is limited. The form is written down in `columns`.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple
from uuid import UUID

from gateway.document import read_document
from gateway.errors import N_, BadRequest, TooLarge
from gateway.market.wire.columns import INNER_ROWS_MAX, NUMBER_DIGITS, ROWS_MAX, written_time
from gateway.market.wire.rows import Rows, digest, row_hash

COLUMNS_MAX = 40  # of one table; an order has 17
_UUID_BYTES = 16
_CELL_CHARS = 8  # what a cell costs beside its text


class FaultyColumns(BadRequest):
    """The columns say nothing that could be rows."""

    code = "faulty-columns"
    what = N_("These columns are not a batch of orders.")
    advice = N_("Send it as rows, in application/json.")


class _Column(NamedTuple):
    values: Sequence[object]
    places: Sequence[int]


class _Room:
    """How much may still be laid out."""

    def __init__(self, chars: int) -> None:
        self._chars = chars

    def take(self, values: Sequence[object]) -> None:
        self._chars -= sum(_CELL_CHARS + _chars(each) for each in values)
        if self._chars < 0:
            raise TooLarge


def read_columns(document: bytes, bytes_max: int) -> Rows:
    """Return the rows of a document, each with its hash; the digest has been checked.

    Raises: TooLarge (also when the rows would be larger than `bytes_max`), BadRequest.
    """
    batch = read_document(document, bytes_max)
    if not isinstance(batch, dict):
        raise FaultyColumns
    box, name, told, table = (batch.get(each) for each in ("box", "batch", "digest", "orders"))
    if not (isinstance(box, str) and isinstance(name, str) and isinstance(told, str) and isinstance(table, dict)):
        raise FaultyColumns
    try:
        rows = _rows(table.get("columns"), _count(table.get("rows"), ROWS_MAX), _Room(bytes_max))
        for row in rows:
            row["hash"] = row_hash(row)
        found = digest(rows)
    except (ValueError, OverflowError, KeyError, IndexError, TypeError, RecursionError) as exc:
        raise FaultyColumns from exc  # where a stranger's values break a rule below, one of these says so
    if found != told:
        raise FaultyColumns(N_("The batch does not have the digest it says: it was damaged on the way."))
    return Rows(box, name, tuple(rows), told)


def _rows(columns: object, count: int, room: _Room) -> list[dict[str, object]]:
    if not isinstance(columns, dict) or len(columns) > COLUMNS_MAX:
        raise FaultyColumns
    read: dict[str, _Column] = {}
    for name in sorted(columns, key=lambda name: _leans_on_another(columns[name])):
        read[name] = _column(columns[name], count, read, room)
        if len(read[name].values) != count:
            raise FaultyColumns
    rows: list[dict[str, object]] = [{} for _ in range(count)]
    for name, column in read.items():
        for row, value in zip(rows, column.values, strict=True):
            if value is not None:
                _put(row, name, value)
    return rows


def _leans_on_another(column: object) -> bool:
    return isinstance(column, dict) and ("by" in column or "ago" in column)


def _put(row: dict[str, object], name: str, value: object) -> None:
    first, dot, rest = name.partition(".")
    into = row.setdefault(first, {}) if dot else row
    if not isinstance(into, dict) or (rest or first) in into:
        raise FaultyColumns
    into[rest or first] = value


def _column(column: object, count: int, read: Mapping[str, _Column], room: _Room) -> _Column:
    if isinstance(column, list):
        found = _Column(column, range(len(column)))
    elif isinstance(column, dict):
        reader = _READERS.get(frozenset(column))
        if reader is None:
            raise FaultyColumns
        found = reader(column, count, read, room)
        if "counts" in column:
            return found  # its cells were counted as they were laid out
    else:
        raise FaultyColumns
    room.take(found.values)
    return found


def _same(column: Mapping[str, object], count: int, read: Mapping[str, _Column], room: _Room) -> _Column:
    return _Column([column["same"]] * count, [0] * count)


def _dictionary(column: Mapping[str, object], count: int, read: Mapping[str, _Column], room: _Room) -> _Column:
    of = _list(column["of"])
    places = read[_text(column["by"])].places if "by" in column else _integers(column["at"])
    if any(not 0 <= place < len(of) for place in places):
        raise FaultyColumns
    return _Column([of[place] for place in places], places)


def _ids(column: Mapping[str, object], count: int, read: Mapping[str, _Column], room: _Room) -> _Column:
    try:
        packed = base64.b64decode(_text(column["uuid"]), validate=True)
    except binascii.Error as exc:
        raise FaultyColumns from exc
    if len(packed) != count * _UUID_BYTES:
        raise FaultyColumns
    ids = [str(UUID(bytes=packed[at : at + _UUID_BYTES])) for at in range(0, len(packed), _UUID_BYTES)]
    return _Column(ids, range(count))


def _times(column: Mapping[str, object], count: int, read: Mapping[str, _Column], room: _Room) -> _Column:
    times = list(accumulate(_integers(column["ms"])))
    return _Column([written_time(each, 3) for each in times], times)


def _times_ago(column: Mapping[str, object], count: int, read: Mapping[str, _Column], room: _Room) -> _Column:
    digits, ago = column["digits"], _list(column["ago"])
    if digits not in (0, 3):
        raise FaultyColumns
    since = read["recorded_at"].places
    pairs = zip(since, ago, strict=True)
    return _Column([None if n is None else written_time(t - _integer(n), digits) for t, n in pairs], ())


def _receipts(column: Mapping[str, object], count: int, read: Mapping[str, _Column], room: _Room) -> _Column:
    stems = _column(column["stem"], count, read, room)
    last: dict[str, int] = {}
    texts = []
    for stem, step in zip(stems.values, _integers(column["number"]), strict=True):
        number = last[_text(stem)] = last.get(_text(stem), 0) + step
        texts.append(f"{stem}-{number:0{NUMBER_DIGITS}d}")
    return _Column(texts, stems.places)


def _inner(column: Mapping[str, object], count: int, read: Mapping[str, _Column], room: _Room) -> _Column:
    counts = [_count(each, INNER_ROWS_MAX) for each in _column(column["counts"], count, {}, room).values]
    rows = _rows(column["columns"], _count(sum(counts), INNER_ROWS_MAX), room)
    ends = list(accumulate(counts))
    lists = [rows[end - each : end] or None for each, end in zip(counts, ends, strict=True)]
    return _Column(lists, ())


_Reader = Callable[[Mapping[str, object], int, Mapping[str, _Column], _Room], _Column]
_READERS: Mapping[frozenset[str], _Reader] = {
    frozenset({"same"}): _same,
    frozenset({"of", "at"}): _dictionary,
    frozenset({"of", "by"}): _dictionary,
    frozenset({"uuid"}): _ids,
    frozenset({"ms"}): _times,
    frozenset({"ago", "digits"}): _times_ago,
    frozenset({"stem", "number"}): _receipts,
    frozenset({"counts", "columns"}): _inner,
}


def _chars(value: object) -> int:
    match value:
        case str():
            return len(value)
        case list():
            return sum(_CELL_CHARS + len(_text(each)) for each in value)
        case dict() | float():
            raise FaultyColumns
        case _:
            return 0  # a number or a truth: what any cell costs covers it


def _count(value: object, most: int) -> int:
    if not 0 <= _integer(value) <= most:
        raise FaultyColumns
    return _integer(value)


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise FaultyColumns
    return value


def _integers(value: object) -> list[int]:
    return [_integer(each) for each in _list(value)]


def _list(value: object) -> list[object]:
    if not isinstance(value, list) or len(value) > INNER_ROWS_MAX:
        raise FaultyColumns
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise FaultyColumns
    return value
