"""What warm-up remembers survives a restart, and a broken file costs no more than that."""

import json

import pytest

from gateway.hours import Local
from gateway.web.ahead.warm_plan import Progress
from gateway.web.ahead.warm_record import Record, Run, State, read_records, write_records

RECORD = Record(
    day=20_780,
    spent_bytes=1_234,
    served=Local(20_780, 3_600),
    to_pin=("http://sitio.test/a",),
    last=Run("salud", State.SPENT, Progress(3, 9, 20, 1, 1_234, 2_000), 1_800_000_000.0, 1_800_000_100.0),
)


def test_records_are_read_as_they_were_written() -> None:
    assert read_records(write_records({"salud": RECORD, "muni": Record()})) == {"salud": RECORD, "muni": Record()}


def test_data_counts_for_its_day_alone() -> None:
    assert (RECORD.spent_on(20_780), RECORD.spent_on(20_781)) == (1_234, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"format": 2, "sites": {}}',
        b'{"format": 1, "sites": []}',
        b"[" * 100_000,
        b'{"format": 1, "sites": {"salud": 7, "muni": {"day": "x"}}}',
    ],
)
def test_what_is_no_record_is_forgotten(data: bytes) -> None:
    assert read_records(data) == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("day", None),
        ("spent_bytes", 1e400),
        ("served", [1]),
        ("served", "ab"),
        ("to_pin", 5),
        ("last", ["done"]),
        ("last", ["never", {}, 0, 0]),
        ("last", ["done", {"pages_done": 1}, 0, 0]),
        ("last", {"a": 1, "b": 2, "c": 3, "d": 4}),
    ],
)
def test_a_record_with_a_broken_value_is_left_out_and_its_neighbour_kept(key: str, value: object) -> None:
    document = json.loads(write_records({"salud": RECORD, "muni": RECORD}))
    document["sites"]["salud"][key] = value
    assert list(read_records(json.dumps(document).encode())) == ["muni"]
