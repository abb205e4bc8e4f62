"""One merchant's floods, files and words take neither the others' places, nor the box's memory, nor a spreadsheet."""

import asyncio
import csv
import io
import tracemalloc
import zipfile
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import openpyxl  # type: ignore[import-untyped]
import pytest
from aiohttp import web

from gateway.errors import NoCapacity
from gateway.market.bulk.csv_file import read_csv
from gateway.market.bulk.sheets import XlsxBook, csv_lines
from gateway.market.bulk.table import CELL_CHARS_MAX, ROWS_MAX, TABLE_CHARS_MAX, Row, Table, guarded
from gateway.market.bulk.uploads import WORKED_ON_MAX, Stage, Upload, Uploads
from gateway.market.intake import routes
from gateway.market.room import MarketRoom
from gateway.market.shares import AT_ONCE_MAX, Shares
from tests.clocks import HandClock
from tests.unit.market.uploaded import GOOD, FakeRoom, a_csv
from tests.waiting import wait_until


def test_a_share_is_a_merchants_own_and_comes_back() -> None:
    shares = Shares(at_once_max=1)
    with shares.one_of("eve"):
        with pytest.raises(NoCapacity) as refused, shares.one_of("eve"):
            pass
        assert refused.value.headers["Retry-After"] == "5"
        with shares.one_of("ana"):
            pass
    with shares.one_of("eve"):
        pass


async def test_a_merchant_who_floods_the_interface_leaves_it_to_the_others() -> None:
    gate = asyncio.Event()
    asked: list[str] = []

    async def orders(merchant: str, *_: object, **__: object) -> list[object]:
        asked.append(merchant)
        if merchant == "eve":
            await gate.wait()
        return []

    async def merchant_of(request: web.Request) -> str:
        return cast("str", cast("Any", request).merchant)

    def request(merchant: str) -> web.Request:
        nothing = SimpleNamespace(get=lambda _: None, getall=lambda *_: [])
        return cast("web.Request", SimpleNamespace(merchant=merchant, query=nothing))

    made = routes(cast("MarketRoom", SimpleNamespace(orders=orders)), merchant_of)
    show_all = cast(
        "Callable[[web.Request], Awaitable[web.Response]]",
        next(each.handler for each in made if (each.method, each.path) == ("GET", "/api/v1/orders")),
    )
    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE_MAX):
            tasks.create_task(show_all(request("eve")))  # type: ignore[arg-type]
        await wait_until(lambda: len(asked) == AT_ONCE_MAX)
        with pytest.raises(NoCapacity):
            await show_all(request("eve"))
        assert (await show_all(request("ana"))).status == 200
        gate.set()
    assert asked.count("ana") == 1


async def _read(data: bytes) -> Table:
    return await asyncio.to_thread(read_csv, data)


async def test_a_merchants_files_do_not_fill_the_places_where_files_are_read(clock: HandClock) -> None:
    uploads = Uploads(FakeRoom(), clock, _read)
    for _ in range(WORKED_ON_MAX):
        uploads.add(a_csv([GOOD]), "eve")
    with pytest.raises(NoCapacity):
        uploads.add(a_csv([GOOD]), "eve")
    uploads.add(a_csv([GOOD]), "ana")


def test_a_file_of_few_rows_with_much_text_weighs_as_many_as_it_takes() -> None:
    rows = tuple(Row(number, ("ñ" * CELL_CHARS_MAX,) * 50) for number in range(2, 82))
    assert Table(Row(1, ("sku",)), rows).weight == 4_000_000 * ROWS_MAX // TABLE_CHARS_MAX
    assert Table(Row(1, ("sku",)), (Row(2, ("papa",)),)).weight == 1


async def test_a_file_that_cannot_be_read_is_not_kept_in_memory(clock: HandClock) -> None:
    uploads = Uploads(FakeRoom(), clock, _read)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(uploads.run())
        upload: Upload = uploads.add(b'"' + b"x" * 100_000, "eve")
        await uploads.settle(upload, 5.0)
        running.cancel()
    assert upload.stage is Stage.UNREADABLE
    assert (upload.data, upload.weight) == (b"", 0)


EVIL = (
    "=HYPERLINK(A1)",
    "Julia;=HYPERLINK(A1);x",
    "Julia;  +cmd|'/c calc'!A0;x",
    "por la tarde\n=1+1",
    "a\t@SUM(A1)",
    "\n=1+1",
    "\uff1d1+1",
    "- papa\n- oca",
)


@pytest.mark.parametrize("text", EVIL)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_cell_of_an_export_is_a_formula_whatever_divides_it(text: str, separator: str) -> None:
    written = csv_lines([["SMT-1", text, "x"]])
    cells = [cell for row in csv.reader(io.StringIO(written), delimiter=separator) for cell in row]
    lines = written.replace("\r", "\n").replace(separator, "\n").split("\n")
    for cell in [*cells, *lines]:
        bare = cell.strip().strip('"')
        assert bare[:1] not in set("=+@-\uff1d\uff0b\uff0d\uff20") or not bare


@pytest.mark.parametrize("text", [each.strip() for each in EVIL])
def test_what_an_export_guards_is_read_back_as_it_was(text: str) -> None:
    written = csv_lines([["nombre", "telefono", "nota"], ["Julia", "1", text]])
    assert read_csv(written.encode()).rows[0].cells[2] == text


def test_a_workbook_of_any_length_is_written_in_little_memory() -> None:
    rows = [["SMT-0001-0001", "Julia Mamani", "984 123 456", "=1+1", "Papa amarilla", "kg"]] * 500
    tracemalloc.start()
    book, size_bytes, first = XlsxBook(), 0, b""
    for _ in range(100):
        piece = book.add(rows)
        first = first or piece
        size_bytes += len(piece)
    size_bytes += len(book.end())
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert first.startswith(b"PK")
    assert peak_bytes < 2_000_000


def test_a_workbook_that_was_written_in_pieces_opens() -> None:
    book = XlsxBook()
    content = book.add([["a", "=1+1"]]) + book.add([["b", "2"]]) + book.end()
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    assert [[cell.value for cell in row] for row in sheet.iter_rows()] == [["a", guarded("=1+1")], ["b", "2"]]
