"""A record that was changed, left out, put in or moved is named, in CSV and in JSON; a cell is never a formula."""

import csv
import doctest
import io
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.backhaul.account import intervals, record, sessions
from gateway.backhaul.account.formats import Format, head, read, written
from gateway.backhaul.account.record import (
    BROKEN,
    CHANGED,
    MISSING,
    REPEATED,
    UNREADABLE,
    Link,
    UsageRecord,
    check,
    content,
)
from gateway.backhaul.account.usage import Carried, Figures, as_document, from_document
from gateway.backhaul.sharing.classes import TrafficClass


def chained(count: int, tenant: str = "clinic", chain: str = "c1") -> list[UsageRecord]:
    end, made = Link(chain, 0), []
    for number in range(count):
        figures = Figures(tenant, (Carried(number, 2, 3),) * len(TrafficClass), devices=number)
        made.append(
            UsageRecord.sealed(
                end,
                content(
                    figures,
                    box="san-mateo",
                    start_s=1_800_000_000 + 900 * number,
                    end_s=1_800_000_900 + 900 * number,
                    seconds=900,
                    clock_state="trusted",
                    clock_epoch=0,
                ),
            )
        )
        end = made[-1].link
    return made


def as_lines(form: Format, records: Sequence[UsageRecord]) -> list[str]:
    return (head(form) + "".join(written(form, each) for each in records)).splitlines(keepends=True)


@pytest.mark.parametrize("form", list(Format))
def test_what_is_written_is_read_again_whole(form: Format) -> None:
    records = chained(5)
    found = list(read(as_lines(form, records)))
    assert found == records
    assert check(found).fault is None
    assert (check(found).records, check(found).last) == (5, records[-1].link)


@pytest.mark.parametrize("form", list(Format))
@given(tenant=some.text(some.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), max_size=40))
def test_no_name_of_a_tenant_is_a_formula_and_each_comes_back(form: Format, tenant: str) -> None:
    records = chained(2, tenant)
    lines = as_lines(form, records)
    assert list(read(lines)) == records
    if form is Format.CSV:
        cells = [cell for row in csv.reader(lines[1:]) for cell in row]
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


@pytest.mark.parametrize("tenant", ["=1+1", "+1", "-1", "@SUM(A1)", "'quoted", '=HYPERLINK("x","y")'])
def test_a_cell_that_a_spreadsheet_would_run_is_defused(tenant: str) -> None:
    (_, line) = as_lines(Format.CSV, chained(1, tenant))
    assert f"'{tenant}" in next(csv.reader([line]))


@pytest.mark.parametrize("form", list(Format))
def test_the_first_record_that_is_wrong_is_named(form: Format) -> None:
    whole = as_lines(form, chained(6))
    first = len(whole) - 6
    changed = [*whole]
    changed[first + 3] = changed[first + 3].replace("san-mateo", "san-jose")

    def fault_of(lines: Sequence[str]) -> tuple[int, str]:
        fault = check(read(lines)).fault
        assert fault is not None
        return fault.place, fault.what

    assert fault_of(changed) == (4, CHANGED)
    assert fault_of([*whole[: first + 2], *whole[first + 3 :]]) == (3, MISSING)
    assert fault_of([*whole[: first + 3], whole[first + 2], *whole[first + 3 :]]) == (4, REPEATED)
    assert fault_of([*whole[: first + 1], "nonsense\n", *whole[first + 1 :]]) == (2, UNREADABLE)
    assert check(read(whole[:-1])).fault is None, "the end alone does not tell that more was to come"


def test_a_record_made_again_with_a_hash_of_its_own_breaks_the_chain() -> None:
    records = chained(4)
    forged = UsageRecord.sealed(records[0].link, {**records[1].values, "web_down_bytes": 0})
    checked = check([records[0], forged, *records[2:]])
    assert checked.fault is not None
    assert (checked.fault.place, checked.fault.what) == (3, BROKEN)


def test_a_new_chain_begins_only_with_its_first_record() -> None:
    old, new = chained(3), chained(3, chain="c2")
    assert check([*old, *new]).fault is None
    assert check([*old, *new]).chains == 2
    cut = check([*old, *new[1:]]).fault
    back = check([*old, *new, old[0]]).fault
    assert cut is not None
    assert (cut.place, cut.what) == (4, MISSING)
    assert back is not None
    assert (back.place, back.what) == (7, REPEATED)


@given(some.lists(some.text(max_size=200), max_size=8))
def test_any_lines_at_all_are_read_without_failing(lines: list[str]) -> None:
    checked = check(read(lines))
    assert checked.records == 0


@pytest.mark.parametrize("value", [-1, 1.5, True, None, "1e3", "٣", 2**63, [], "9" * 400])
def test_a_count_that_is_no_count_makes_no_record(value: object) -> None:
    (whole,) = chained(1)
    values: dict[str, object] = {**whole.values, "web_down_bytes": value}
    assert UsageRecord.read(values) is None


@pytest.mark.parametrize("form", list(Format))
def test_what_no_hash_covers_makes_it_no_record(form: Format) -> None:
    lines = as_lines(form, chained(2))
    if form is Format.CSV:
        more = [line.rstrip("\r\n") + f",{value}\r\n" for line, value in zip(lines, ("tenant", "x", "x"), strict=True)]
        checked = check(read(more))
    else:
        checked = check(read([lines[0], lines[1].replace("{", '{"realtime_down_bytes":5,', 1)]))
    assert checked.fault is not None
    assert checked.fault.what == UNREADABLE


def test_half_a_character_is_no_record_and_no_failure() -> None:
    line = as_lines(Format.JSON, chained(1))[0].replace('"clinic"', '"\\ud800"')
    assert list(read([line])) == [None]


def test_json_lines_are_json_with_numbers() -> None:
    (line,) = as_lines(Format.JSON, chained(1))
    found = json.loads(line)
    assert found["web_up_bytes"] == 2
    assert found["start"] == "2027-01-15T08:00:00Z"


def test_csv_has_a_head_and_ends_its_lines_as_rfc_4180_says() -> None:
    made = "".join(as_lines(Format.CSV, chained(2)))
    assert made.count("\r\n") == 3
    assert next(csv.DictReader(io.StringIO(made)))["sequence"] == "1"


def test_figures_come_back_from_what_was_written_of_them() -> None:
    figures = (Figures("clinic", (Carried(1, 2, 3),) * 4, 4, 5, 6), Figures("", (Carried(2**40, 0, 0),) * 4))
    assert from_document(json.loads(json.dumps(as_document(figures)))) == figures


@pytest.mark.parametrize("module", [intervals, record, sessions])
def test_the_examples_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
