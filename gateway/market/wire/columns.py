"""A batch as typed columns says what its rows say, in fewer bytes: an array a field, repeats said once. Pure.

No order's hash crosses; one digest over the rows with their hashes does. Whoever reads makes the rows, computes each
hash from what arrived and checks the digest, so each order is still checked from the box to the marketplace.

A table is `{"rows": n, "columns": {name: column}}`. The name of a field in an object is joined by a dot (`buyer.name`).
A list of objects is a column `{"counts": column, "columns": {…}}`: a table whose rows belong, in turn, to those above.
Any other column is one of

    [v, …]                         the values; null where a row has none
    {"same": v}                    the same in each row
    {"of": [v, …], "at": [n, …]}   a dictionary, and each row's place in it
    {"of": [v, …], "by": name}     a dictionary, and the column of this table whose places count
    {"uuid": text}                 ids: 16 bytes each, in base64
    {"ms": [t, …]}                 times: milliseconds since 1970, each less the one before
    {"ago": [n, …], "digits": d}   times: milliseconds before `recorded_at`, written with 0 or 3 decimals of a second
    {"stem": column, "number": [n, …]}   receipts: `stem-number` in four digits or more, less the last of that stem

A column of plain values has each row's own number for its place, one of the same value 0, and `stem` that of its stem.

Source: the encodings PLAIN, RLE_DICTIONARY and DELTA_BINARY_PACKED of Apache Parquet.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from gateway.document import canonical
from gateway.market.order import is_order_id
from gateway.market.wire.rows import Row, digest

MEDIA_TYPE = "application/vnd.tambo.orders+json"
ROWS_MAX = 1_000  # orders of one batch
INNER_ROWS_MAX = 20_000  # lines, or taxes, of one batch
NUMBER_DIGITS = 4  # of a receipt's counter, at least
_DICTIONARY_RATIO = 0.8  # of distinct values to all, above which a dictionary is no gain
# what mostly follows from another column of its table: an article's name from its SKU
_FOLLOWS = {
    "merchant": "receipt",
    "buyer.name": "buyer.phone",
    "buyer.address": "buyer.phone",
    "name": "sku",
    "unit": "sku",
    "unit_price_minor": "sku",
    "rate": "name",
}


class _Column(NamedTuple):
    """A column as it is written, and each row's place in it."""

    written: object
    places: Sequence[int] = ()


def write_columns(box: str, batch: str, rows: Sequence[Row]) -> bytes | None:
    """Return a batch's rows, as they would be sent with their hashes, as columns; None when they are too many."""
    inner = max((sum(len(_inner(row.get(name))) for row in rows) for name in ("lines", "taxes")), default=0)
    if len(rows) > ROWS_MAX or inner > INNER_ROWS_MAX:
        return None
    flat = [_flat(row) for row in rows]
    table = {"rows": len(rows), "columns": _columns(flat)}
    return canonical({"batch": batch, "box": box, "digest": digest(rows), "orders": table})


def written_time(ms: int, digits: int) -> str:
    """Write a time as it stands in a document.

    >>> written_time(1_800_000_000_250, 3), written_time(1_800_000_000_000, 0)
    ('2027-01-15T08:00:00.250Z', '2027-01-15T08:00:00Z')
    """
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    return time.isoformat(timespec="milliseconds" if digits else "seconds").replace("+00:00", "Z")


def _flat(row: Row) -> dict[str, object]:
    """Return a row with the fields of its objects beside the others; without its hash, and what is of none."""
    found: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found.update({f"{name}.{inner}": each for inner, each in value.items()})
        elif name != "hash":
            found[name] = value
    return found


def _columns(rows: Sequence[Row]) -> dict[str, object]:
    names = sorted({name for row in rows for name in row}, key=lambda name: (name in _FOLLOWS, name))
    made: dict[str, _Column] = {}
    for name in names:
        made[name] = _column(name, [row.get(name) for row in rows], rows, made)
    return {name: column.written for name, column in made.items()}


def _column(name: str, values: list[object], rows: Sequence[Row], made: Mapping[str, _Column]) -> _Column:
    if any(_inner(value) for value in values):
        inner = [each for value in values for each in _inner(value)]
        counts = _plain([len(_inner(value)) for value in values]).written
        return _Column({"counts": counts, "columns": _columns(inner)})
    special = None
    match name:
        case "id":
            special = _ids(values)
        case "recorded_at":
            special = _times(values)
        case "made_at":
            special = _times_ago(values, [row.get("recorded_at") for row in rows])
        case "receipt":
            special = _receipts(values)
        case _ if name in _FOLLOWS and _FOLLOWS[name] in made:
            special = _following(values, _FOLLOWS[name], made[_FOLLOWS[name]].places)
    return special or _plain(values)


def _plain(values: Sequence[object]) -> _Column:
    places: dict[str, int] = {}
    at = [places.setdefault(json.dumps(value), len(places)) for value in values]
    if len(places) == 1:
        return _Column({"same": values[0]}, at)
    if len(places) > _DICTIONARY_RATIO * len(values):
        return _Column(list(values), range(len(values)))
    return _Column({"of": [json.loads(each) for each in places], "at": at}, at)


def _following(values: Sequence[object], key: str, places: Sequence[int]) -> _Column | None:
    of: dict[int, object] = {}
    if not places or any(of.setdefault(place, value) != value for place, value in zip(places, values, strict=True)):
        return None
    if len(of) == 1:
        return None  # the same everywhere
    return _Column({"of": [of[place] for place in range(len(of))], "by": key})


def _ids(values: Sequence[object]) -> _Column | None:
    texts = [value for value in values if isinstance(value, str) and is_order_id(value)]
    if len(texts) < len(values):
        return None
    return _Column({"uuid": base64.b64encode(b"".join(UUID(text).bytes for text in texts)).decode("ascii")})


def _times(values: Sequence[object]) -> _Column | None:
    times = [_ms(value, 3) for value in values]
    found = [time for time in times if time is not None]
    if len(found) < len(times):
        return None
    return _Column({"ms": [time - before for before, time in zip([0, *found], found, strict=False)]})


def _times_ago(values: Sequence[object], since: Sequence[object]) -> _Column | None:
    for digits in (3, 0):
        ago: list[int | None] = []
        for value, recorded_at in zip(values, since, strict=True):
            time, base = _ms(value, digits), _ms(recorded_at, 3)
            if value is not None and (time is None or base is None):
                break
            ago.append(None if time is None or base is None else base - time)
        else:
            return _Column({"ago": ago, "digits": digits})
    return None


def _receipts(values: Sequence[object]) -> _Column | None:
    stems, steps = [], []
    last: dict[str, int] = {}
    for value in values:
        stem, _, digits = value.rpartition("-") if isinstance(value, str) else ("", "", "")
        if not digits.isascii() or not digits.isdigit() or f"{int(digits):0{NUMBER_DIGITS}d}" != digits:
            return None
        stems.append(stem)
        steps.append(int(digits) - last.get(stem, 0))
        last[stem] = int(digits)
    stem_column = _plain(stems)
    return _Column({"stem": stem_column.written, "number": steps}, stem_column.places)


def _ms(value: object, digits: int) -> int | None:
    """Return a time in milliseconds since 1970 if it is written with so many digits, and no other way."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if time is None or time.tzinfo is None:
        return None
    ms = (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return ms if written_time(ms, digits) == value else None


def _inner(value: object) -> Sequence[Row]:
    """Return the rows of a list of objects; none for anything else."""
    return value if isinstance(value, list) and value and isinstance(value[0], Mapping) else ()
