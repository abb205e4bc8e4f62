"""The clinic's pages lock when they are left alone, open by the PIN, and each sees what their role may see."""

import uuid
from asyncio import to_thread as aside
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.clinic.records.entries import Writer
from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import Actor, NewEntry
from tests.clocks import HandClock
from tests.unit.portal.clinic_village import Clinic, clinic_village, nurse, registered, visit_fields
from tests.unit.portal.small_portal import PASSWORD, Page, SmallBrowser

PIN = "4071"


@pytest.fixture
async def village(tmp_path: Path, clock: HandClock) -> AsyncIterator[Clinic]:
    async with clinic_village(tmp_path, clock) as made:
        yield made


async def chosen(browser: SmallBrowser, pin: str = PIN) -> Page:
    page = await browser.get("/clinica/pin")
    fields = {"token": page.field("token"), "do": "choose", "pin": pin, "again": pin, "own": PASSWORD}
    return await browser.post("/clinica/pin", fields)


async def unlock(browser: SmallBrowser, page: Page, pin: str, **more: str) -> Page:
    fields = {"token": page.field("token"), "do": "unlock", "next": page.field("next"), "pin": pin, **more}
    return await browser.post("/clinica/pin", fields)


async def test_pages_that_were_left_alone_ask_for_the_pin(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        assert (await chosen(browser)).path == "/clinica"
        path = await registered(browser)
        village.clock.pass_s(299)
        assert (await browser.get(path)).path == path
        village.clock.pass_s(301)
        locked = await browser.get(path)
        assert locked.path == "/clinica/pin"
        assert "Julia" not in locked.text
        wrong = await unlock(browser, locked, "1234")
        assert wrong.status == 403
        assert (await unlock(browser, wrong, PIN)).path == path


async def test_the_pin_is_kept_as_a_hash_and_has_digits(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        for pin in ("123", "123456789", "12a4", "0000", ""):
            assert (await chosen(browser, pin)).status == 400, pin
        page = await browser.get("/clinica/pin")
        fields = {"token": page.field("token"), "do": "choose", "pin": PIN, "again": PIN, "own": "not the password"}
        assert (await browser.post("/clinica/pin", fields)).status == 403
        fields = {"token": page.field("token"), "do": "choose", "pin": PIN, "again": "4072", "own": PASSWORD}
        assert (await browser.post("/clinica/pin", fields)).status == 400
        assert await aside(village.accounts.pins.find, "nelly") is None
        await chosen(browser)
    stored = await aside(village.accounts.pins.find, "nelly")
    assert stored is not None
    assert stored.startswith("$argon2id$")


async def test_a_form_that_meets_the_lock_is_kept_until_the_pin_was_typed(village: Clinic) -> None:
    async with SmallBrowser(village.base, "en") as browser:
        await nurse(browser)
        await chosen(browser)
        fields = visit_fields(await browser.get("/clinica/nuevo/llegada"))
        village.clock.pass_s(301)
        locked = await browser.post("/clinica/nuevo/llegada", fields)
        assert "The clinic is locked" in locked.text
        kept = {f"kept.{name}": value for name, value in fields.items() if name != "token"}
        resumed = await unlock(browser, locked, PIN, **kept)
        assert "is not sent yet" in resumed.text
        sent = await browser.post("/clinica/nuevo/llegada", {**fields, "token": resumed.field("token")})
        assert sent.path.startswith("/clinica/registro/")
    assert village.records.of(Stage.WAITING)


async def test_after_five_wrong_pins_one_signs_in_anew(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        await chosen(browser)
        village.clock.pass_s(301)
        page = await browser.get("/clinica")
        for _ in range(4):
            page = await unlock(browser, page, "1111")
            assert page.status == 403
        assert (await unlock(browser, page, "1111")).path == "/entrar"
        assert (await browser.get("/clinica")).path == "/entrar"
        assert (await nurse(browser)).path == "/clinica", "the password opens it again"


async def test_without_a_pin_the_password_opens_it(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        village.clock.pass_s(301)
        locked = await browser.get("/clinica")
        assert (await unlock(browser, locked, "not the password")).status == 403
        assert (await unlock(browser, locked, PASSWORD)).path == "/clinica"


async def test_who_has_neither_signs_in_anew(village: Clinic) -> None:
    await aside(village.accounts.add, "luz", "nurse", None)
    token = await aside(village.accounts.new_token, "luz")
    async with SmallBrowser(village.base) as browser:
        await browser.sign_in("luz", token, "/entrar?sigue=/clinica")
        village.clock.pass_s(301)
        assert (await unlock(browser, await browser.get("/clinica"), "")).path == "/entrar"


async def test_a_call_page_is_opened_again_without_another_page(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        await chosen(browser)
        village.clock.pass_s(301)
        assert (await browser.post("/clinica/pin/abrir", {"pin": "1"})).status == 403
        assert (await browser.post("/clinica/pin/abrir", {"pin": PIN}, "http://evil.example")).status == 403
        assert (await browser.post("/clinica/pin/abrir", {"pin": PIN})).status == 204
        assert (await browser.get("/clinica")).path == "/clinica"


async def test_locked_files_are_refused_to_a_script(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        path = await registered(browser)
        village.clock.pass_s(301)
        answer = await browser.get(f"{path}/archivos/{'0' * 64}")
        assert (answer.status, answer.path) == (403, f"{path}/archivos/{'0' * 64}")


async def test_leaving_clears_what_the_browser_stored_and_signs_out(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        page = await nurse(browser)
        left = await browser.post("/clinica/salir", {"token": page.field("token")}, follow=False)
        assert (left.status, left.headers["Location"]) == (303, "/")
        assert left.headers["Clear-Site-Data"] == '"cache", "storage"'
        assert (await browser.get("/clinica")).path == "/entrar"


async def test_a_technician_sees_counts_and_never_content(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        path = await registered(browser)
    listed = village.records.listed
    await village.add("tito", "technician")
    async with SmallBrowser(village.base, "en") as browser:
        page = await browser.sign_in("tito", path="/entrar?sigue=/clinica")
        assert "The clinic in figures" in page.text
        assert "Julia" not in page.text
        for each in (path, f"{path}/accesos", f"{path}/receta", f"{path}/llamada", "/clinica/nuevo/caso"):
            assert (await browser.get(each)).status == 403, each
        form = {"token": page.field("token"), "doctor": "Dr. Salas"}
        desk = await browser.post("/clinica/puerta", form)
        assert "/turno/" in desk.text
    assert village.records.listed == listed


async def test_a_doctor_with_an_account_sees_cases_alone_and_answers_them(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        path = await registered(browser)
        record = str(uuid.uuid4())
        told = {"patient": {"name": "Pedro Quispe"}, "request": {"question": "¿Es sarna?"}}
        entries = [NewEntry(str(uuid.uuid4()), kind, 1_800_000_000.0, fields) for kind, fields in told.items()]
        await village.records.begin(record, Stage.ASKED, by=Actor(Writer.NURSE, "nelly"), entries=entries)
    await village.add("drsalas", "doctor")
    async with SmallBrowser(village.base, "en") as browser:
        page = await browser.sign_in("drsalas", path="/entrar?sigue=/clinica")
        assert "Pedro Quispe" in page.text
        assert "Julia" not in page.text
        assert (await browser.get(path)).status == 403
        assert (await browser.get(f"/clinica/caso/{path.rpartition('/')[2]}")).status == 404
        case = await browser.get(f"/clinica/caso/{record}")
        fields = {"token": case.field("token"), "form": case.field("form"), "answer": "Sí", "doctor": "Dr. Salas"}
        assert "Your answer is kept" in (await browser.post(f"/clinica/caso/{record}", fields)).text
    kept = village.records.kept[record]
    assert kept.view.stage is Stage.ANSWERED
    assert village.records.accesses[-2].name == "drsalas"
