"""A file is told row by row before anything is recorded; pressing twice records once; nothing is lost on a fault."""

import asyncio
import io
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import aiohttp
import openpyxl  # type: ignore[import-untyped]
import pytest

from gateway.market.bulk.csv_file import read_csv
from gateway.market.bulk.sheets import xlsx_book
from gateway.market.bulk.table import FILE_BYTES_MAX
from gateway.portal.bulk_shown import ROWS_SHOWN, part_of
from gateway.resources import templates
from tests.clocks import HandClock
from tests.unit.market.uploaded import GOOD, FakeRoom, a_csv, a_row, many_rows
from tests.unit.portal.small_portal import SmallBrowser
from tests.unit.portal.upload_portal import UploadPortal, pressed, upload_portal, uploaded

PAGE_BYTES_MAX = 50_000


@pytest.fixture
async def shop(tmp_path: Path, clock: HandClock) -> AsyncIterator[UploadPortal]:
    async with upload_portal(tmp_path, clock, FakeRoom()) as made:
        yield made


@pytest.fixture
async def rosa(shop: UploadPortal) -> AsyncIterator[SmallBrowser]:
    async with SmallBrowser(shop.base, "en") as browser:
        await browser.sign_in("rosa")
        yield browser


def rows_shown(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"<b>Row (\d+)</b>", text)]


async def test_a_report_comes_first_and_all_orders_are_recorded_once(shop: UploadPortal, rosa: SmallBrowser) -> None:
    report = await uploaded(rosa, a_csv([a_row(name=f"C{number}") for number in range(3)]))
    assert report.status == 200
    assert "Nothing of it is recorded yet" in report.text
    assert not shop.room.kept
    result = await pressed(rosa, report, "all")
    assert "3 orders are recorded" in result.text
    assert shop.room.calls == [3], "in one transaction"
    assert {view.made_by for view in shop.room.kept.values()} == {"rosa"}
    again = await pressed(rosa, report, "all")
    assert "3 orders are recorded" in again.text
    assert shop.room.calls == [3]
    for view in shop.room.kept.values():
        assert view.receipt in result.text


async def test_pressing_twice_at_once_records_once(shop: UploadPortal, rosa: SmallBrowser) -> None:
    report = await uploaded(rosa, a_csv([GOOD, a_row(name="Otra")]))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(pressed(rosa, report, "all"))
    assert shop.room.calls == [2]
    assert len(shop.room.kept) == 2


async def test_a_faulty_file_records_its_good_orders_and_gives_back_the_rest(
    shop: UploadPortal, rosa: SmallBrowser
) -> None:
    report = await uploaded(rosa, a_csv(many_rows(500, 7)))
    assert "7 rows have a fault" in report.text
    assert "Record the 493 good orders" in report.text
    assert 'value="all"' not in report.text
    assert len(rows_shown(report.text)) == ROWS_SHOWN
    assert report.text.count('class="badge bad"') == 7
    refused = await pressed(rosa, report, "all")
    assert "Nothing of it is recorded yet" in refused.text
    assert not shop.room.kept
    result = await pressed(rosa, report, "good")
    assert "493 orders are recorded" in result.text
    assert "7 rows were not recorded" in result.text
    assert max(shop.room.calls) == 50
    mend = await rosa.get(f"{report.path}/faltan.csv")
    assert mend.headers["Content-Disposition"] == 'attachment; filename="faltan.csv"'
    assert len(read_csv(mend.text.encode()).rows) == 7
    assert "quantity: Write how much" in mend.text
    unmended = await uploaded(rosa, mend.text.encode())
    assert "7 rows have a fault" in unmended.text
    assert "not known" not in unmended.text
    mended = await uploaded(rosa, a_csv(many_rows(500, 0)))
    assert "493 rows were recorded before" in mended.text
    assert "Record all 7 orders" in mended.text
    await pressed(rosa, mended, "all")
    assert len(shop.room.kept) == 500


async def test_the_same_file_again_makes_no_doubles_unless_it_is_meant(shop: UploadPortal, rosa: SmallBrowser) -> None:
    data = a_csv([GOOD])
    await pressed(rosa, await uploaded(rosa, data), "all")
    again = await uploaded(rosa, data)
    assert "1 row was recorded before" in again.text
    assert "Already recorded" in again.text
    assert 'value="all"' not in again.text
    meant = await pressed(rosa, again, "again")
    result = await pressed(rosa, meant, "all")
    assert "1 order is recorded" in result.text
    assert len(shop.room.kept) == 2


async def test_a_failure_in_the_middle_loses_nothing_and_goes_on_when_pressed_again(
    shop: UploadPortal, rosa: SmallBrowser
) -> None:
    report = await uploaded(rosa, a_csv(many_rows(120, 1)))
    shop.room.fails_after = 1
    stopped = await pressed(rosa, report, "good")
    assert "The box is busy" in stopped.text
    assert len(shop.room.kept) == 50
    assert "50 rows were recorded before" in stopped.text
    shop.room.fails_after = None
    result = await pressed(rosa, stopped, "good")
    assert "119 orders are recorded" in result.text
    assert len(shop.room.kept) == 119


async def test_what_takes_long_shows_how_far_it_is(shop: UploadPortal, rosa: SmallBrowser) -> None:
    report = await uploaded(rosa, a_csv(many_rows(120, 1)))
    shop.room.gate.clear()
    progress = await rosa.post(report.path, {"token": report.field("token"), "what": "good"})
    assert "The orders are being recorded" in progress.text
    assert "0 of 119" in progress.text
    assert '<meta http-equiv="refresh" content="2">' in progress.text
    shop.room.gate.set()
    result = await pressed(rosa, report, "good")
    assert "119 orders are recorded" in result.text


@pytest.mark.parametrize("wanted", ["", "1", "3", "99", "x"])
async def test_a_long_report_is_shown_in_parts_within_its_budget(
    shop: UploadPortal, rosa: SmallBrowser, wanted: str
) -> None:
    report = await uploaded(rosa, a_csv([a_row(name="x" * 100, note="y" * 501, quantity="x")] * 140))
    page = await rosa.get(f"{report.path}?parte={wanted}")
    assert len(page.text.encode()) <= PAGE_BYTES_MAX
    first = rows_shown(page.text)[0]
    assert first == (102 if wanted == "3" else 2)


@pytest.mark.parametrize("template", ["bulk", "bulk_report", "bulk_result"])
async def test_pages_keep_their_budgets_and_have_no_script(
    shop: UploadPortal, rosa: SmallBrowser, template: str
) -> None:
    path = "/tienda/subir"
    if template != "bulk":
        report = await uploaded(rosa, a_csv(many_rows(500, 7)))
        path = report.path
        if template == "bulk_result":
            await pressed(rosa, report, "good")
    async with rosa.session.get(rosa.base + path) as answer:
        assert answer.headers["Content-Encoding"] == "br"
        size = int(answer.headers["Content-Length"]) + sum(len(a) + len(b) + 4 for a, b in answer.raw_headers)
        text = await answer.text()
    found = re.match(r"\{# Budget: (\d+) bytes", (templates() / f"{template}.html").read_text())
    assert found is not None
    assert size <= int(found[1])
    assert "<script" not in text
    assert " style=" not in text


async def test_an_upload_is_its_merchants_own(shop: UploadPortal, rosa: SmallBrowser) -> None:
    report = await uploaded(rosa, a_csv([GOOD]))
    async with SmallBrowser(shop.base, "en") as luis, SmallBrowser(shop.base, "en") as nelly:
        await luis.sign_in("luis")
        await nelly.sign_in("nelly")
        assert (await luis.get(report.path)).status == 404
        assert (await luis.get(f"{report.path}/faltan.csv")).status == 404
        assert (await nelly.get(report.path)).status == 403
        assert (await nelly.get("/tienda/pedidos.csv")).status == 403


async def test_an_upload_that_is_not_kept_any_more_says_what_to_do(
    shop: UploadPortal, rosa: SmallBrowser, clock: HandClock
) -> None:
    report = await uploaded(rosa, a_csv([GOOD]))
    clock.now += 3_600.0
    assert (await rosa.get(report.path)).status == 200
    clock.now += 3_601.0
    gone = await rosa.get(report.path)
    assert gone.status == 404
    assert "no order is recorded twice" in gone.text


async def test_a_file_without_our_token_is_not_read(shop: UploadPortal, rosa: SmallBrowser) -> None:
    for token in ("", "x" * 86, "x" * 600):
        refused = await uploaded(rosa, a_csv([GOOD]), token)
        assert refused.status in {403, 413}
        assert "Check the file" in refused.text
    async with SmallBrowser(shop.base, "en") as other:
        await other.sign_in("luis")
        stolen = (await other.get("/tienda/subir")).field("token")
    assert (await uploaded(rosa, a_csv([GOOD]), stolen)).status == 403


async def test_a_form_from_elsewhere_is_refused(shop: UploadPortal, rosa: SmallBrowser) -> None:
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("token", (await rosa.get("/tienda/subir")).field("token"))
    form.add_field("file", a_csv([GOOD]), filename="a.csv")
    sent = rosa.session.post(f"{rosa.base}/tienda/subir", data=form, headers={"Origin": "http://evil.example"})
    async with sent as answer:
        assert answer.status == 403


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"token=x&file=y", "application/x-www-form-urlencoded", 400),
        (b"", "multipart/form-data", 400),
        (b"--b\r\n\r\n--b--", "multipart/form-data; boundary=b", 400),
        (b"--b\r\nContent-Disposition: form-data; name=file\r\n\r\nx\r\n--b--", "multipart/form-data; boundary=b", 400),
        (b"\xff" * 3_000, "multipart/form-data; boundary=b", 400),
        (
            b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c",
            "multipart/form-data; boundary=b",
            400,
        ),
        (b"x" * (FILE_BYTES_MAX + 10_000), "multipart/form-data; boundary=b", 413),
    ],
)
async def test_a_malformed_form_gets_a_sentence(
    shop: UploadPortal, rosa: SmallBrowser, body: bytes, kind: str, status: int
) -> None:
    headers = {"Origin": rosa.base, "Content-Type": kind}
    async with rosa.session.post(f"{rosa.base}/tienda/subir", data=body, headers=headers) as answer:
        assert answer.status == status
        assert 'role="alert"' in await answer.text()


async def test_too_large_a_file_and_none_are_told_in_the_form(shop: UploadPortal, rosa: SmallBrowser) -> None:
    assert (await uploaded(rosa, b"x" * (FILE_BYTES_MAX + 1))).status == 413
    empty = await uploaded(rosa, b"")
    assert empty.status == 400
    assert "No file was chosen" in empty.text
    nonsense = await uploaded(rosa, b"\x89PNG\r\n\x1a\n")
    assert nonsense.status == 422
    assert "Check the file" in nonsense.text
    assert "Nothing was recorded" in nonsense.text


async def test_a_workbook_is_taken_as_a_csv_is(shop: UploadPortal, rosa: SmallBrowser) -> None:
    report = await uploaded(rosa, xlsx_book([["name", "phone", "sku", "quantity"], ["Eva", "984123456", "papa", "2"]]))
    assert "Record the order" in report.text
    assert "1 order is recorded" in (await pressed(rosa, report, "all")).text


async def test_what_was_typed_is_shown_as_text(shop: UploadPortal, rosa: SmallBrowser) -> None:
    report = await uploaded(rosa, a_csv([a_row(name="<script>alert(1)</script>", quantity="x")]))
    assert "<script>" not in report.text
    assert "<script>alert(1)</script>" in unescape(report.text)


async def test_the_template_is_downloaded_and_is_good_as_it_is(shop: UploadPortal, rosa: SmallBrowser) -> None:
    template = await rosa.get("/tienda/subir/plantilla.csv")
    assert template.headers["Content-Type"] == "text/csv; charset=utf-8"
    report = await uploaded(rosa, template.text.encode())
    assert "1 good order" in report.text
    async with rosa.session.get(f"{rosa.base}/tienda/subir/plantilla.xlsx") as answer:
        book = openpyxl.load_workbook(io.BytesIO(await answer.read()))
    assert book.worksheets[0]["B1"].value == "name"


async def test_all_orders_are_exported_and_none_is_a_formula(shop: UploadPortal, rosa: SmallBrowser) -> None:
    rows = [a_row(name="=HYPERLINK(1)", phone="+51 984 123 456"), *(a_row(name=f"C{each}") for each in range(250))]
    await pressed(rosa, await uploaded(rosa, a_csv(rows)), "all")
    async with SmallBrowser(shop.base, "en") as luis:
        await luis.sign_in("luis")
        assert "C7" not in (await luis.get("/tienda/pedidos.csv")).text
    text = (await rosa.get("/tienda/pedidos.csv")).text
    found = read_csv(text.encode())
    assert len(found.rows) == 251
    assert "'=HYPERLINK(1),'+51 984 123 456" in text
    assert found.rows[0].cells[0] == "SMT-0001-0251", "newest first"
    async with rosa.session.get(f"{rosa.base}/tienda/pedidos.xlsx") as answer:
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        book = openpyxl.load_workbook(io.BytesIO(await answer.read()))
    cells = {cell.value: cell.data_type for row in book.worksheets[0].iter_rows() for cell in row}
    assert cells["'=HYPERLINK(1)"] == "s"
    assert "f" not in cells.values()
    assert cells[5.25] == "n"


async def test_only_who_sees_the_totals_takes_all_orders_along(shop: UploadPortal, rosa: SmallBrowser) -> None:
    await pressed(rosa, await uploaded(rosa, a_csv([a_row(name="C1")])), "all")
    assert "pedidos.csv" in (await rosa.get("/tienda/subir")).text
    for name, sees in (("pedro", False), ("lucho", True)):
        await asyncio.to_thread(shop.add_cashier, name, "rosa", sees)
        async with SmallBrowser(shop.base, "en") as cashier:
            await cashier.sign_in(name)
            assert ("pedidos.csv" in (await cashier.get("/tienda/subir")).text) is sees
            for kind in ("csv", "xlsx"):
                async with cashier.session.get(f"{shop.base}/tienda/pedidos.{kind}") as answer:
                    assert answer.status == (200 if sees else 403)
                    assert (b"C1" in await answer.read()) is (sees and kind == "csv")


async def test_without_a_shop_there_is_no_upload(tmp_path: Path, clock: HandClock) -> None:
    async with upload_portal(tmp_path, clock, None) as box, SmallBrowser(box.base) as browser:
        await browser.sign_in("rosa")
        assert (await browser.get("/tienda/subir")).status == 404


async def test_who_is_not_signed_in_is_asked(shop: UploadPortal) -> None:
    async with SmallBrowser(shop.base) as browser:
        assert (await browser.get("/tienda/subir")).path == "/entrar"


def test_parts_are_numbered_from_one() -> None:
    assert part_of("", 0).last == 1
    assert part_of("3", 101).places == slice(100, 150)
    assert part_of("٣", 500).number == 1, "only plain digits"
