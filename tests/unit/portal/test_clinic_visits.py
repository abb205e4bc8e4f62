"""A nurse registers who comes: each press makes one record, faults are told at their fields, nothing typed is lost."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.clinic.records.states import Stage
from gateway.resources import templates
from tests.clocks import HandClock
from tests.unit.portal.clinic_village import DOCTORS, Clinic, clinic_village, nurse, registered, visit_fields
from tests.unit.portal.small_portal import SmallBrowser


@pytest.fixture
async def village(tmp_path: Path, clock: HandClock) -> AsyncIterator[Clinic]:
    async with clinic_village(tmp_path, clock) as made:
        yield made


async def test_a_walk_in_patient_gets_a_ticket_and_a_place(village: Clinic) -> None:
    async with SmallBrowser(village.base, "en") as browser:
        await nurse(browser)
        await registered(browser)
        village.clock.pass_s(120)
        await registered(browser, name="Pedro Quispe")
        page = await browser.get("/clinica")
    [first, second] = village.records.of(Stage.WAITING)
    assert (first.view.ticket, second.view.ticket) == (1, 2)
    assert page.text.index("1. Julia Mamani") < page.text.index("2. Pedro Quispe")
    assert "since 2 minutes" in page.text
    kinds = [each.kind for each in first.entries]
    assert kinds == ["patient", "reason", "identity", "consent"]
    assert first.entries[3].fields == {"what": "consultation", "given": True, "how": "spoken", "person": ""}


async def test_a_form_that_is_sent_twice_makes_one_record(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        fields = visit_fields(await browser.get("/clinica/nuevo/llegada"))
        paths = [(await browser.post("/clinica/nuevo/llegada", fields)).path for _ in range(2)]
    assert paths[0] == paths[1]
    [record] = village.records.kept.values()
    assert len(record.entries) == 4


async def test_what_is_missing_is_told_at_its_field_and_the_rest_is_kept(village: Clinic) -> None:
    async with SmallBrowser(village.base, "en") as browser:
        await nurse(browser)
        form = await browser.get("/clinica/nuevo/cita")
        fields = visit_fields(form, name="  ", reason="Dolor <b>fuerte</b>", day="2027-02-31", hour="25:00")
        page = await browser.post("/clinica/nuevo/cita", fields)
    assert page.status == 400
    for name in ("name", "day", "hour"):
        assert f'id="{name}-fault"' in page.text
    assert 'id="reason-fault"' not in page.text
    assert "Dolor &lt;b&gt;fuerte&lt;/b&gt;" in page.text
    assert page.field("form") == fields["form"], "sent again, it is the same form"
    assert not village.records.kept


async def test_an_appointment_is_at_the_time_of_the_village(village: Clinic) -> None:
    async with SmallBrowser(village.base, "en") as browser:
        await nurse(browser)
        path = await registered(browser, "cita", day="2027-01-16", hour="09:30", doctor="Dra. Huamán")
        record = village.records.of(Stage.BOOKED)[0].view
        assert record.due_wall_s is not None
        due = datetime.fromtimestamp(record.due_wall_s, UTC).astimezone()
        assert (due.hour, due.minute, record.doctor) == (9, 30, "Dra. Huamán")
        page = await browser.get(path)
        await browser.post(f"{path}/etapa", {"token": page.field("token"), "do": "wait"})
        assert village.records.of(Stage.WAITING), "the patient is here"
        await browser.post(f"{path}/etapa", {"token": page.field("token"), "do": "book"})
    assert village.records.of(Stage.BOOKED), "undone"


async def test_what_was_registered_is_changed_by_entries_that_hold_from_then_on(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        path = await registered(browser)
        form = await browser.get(f"{path}/editar")
        assert 'value="Julia Mamani"' in form.text
        assert 'name="consent-consultation" value="yes" checked' in form.text
        fields = visit_fields(form, name="Julia Mamani Condori", **{"had-consultation": "yes"})
        del fields["consent-consultation"]
        assert (await browser.post(f"{path}/editar", fields)).path == path
    [record] = village.records.kept.values()
    assert record.view.patient == "Julia Mamani Condori"
    consents = [each.fields["given"] for each in record.entries if each.kind == "consent"]
    assert consents == [True, False], "taking it back is written down"


async def test_a_cancelled_visit_leaves_the_list_and_takes_nothing_more(village: Clinic) -> None:
    async with SmallBrowser(village.base, "en") as browser:
        await nurse(browser)
        path = await registered(browser)
        page = await browser.get(path)
        token = page.field("token")
        assert (await browser.post(f"{path}/etapa", {"token": token, "do": "cancel"})).path == "/clinica"
        assert "Julia Mamani" not in (await browser.get("/clinica")).text
        closed = await browser.get(path)
        assert "<textarea" not in closed.text
        assert (await browser.get(f"{path}/editar")).status == 409
        late = {"token": token, "form": page.field("form"), "do": "note", "note": "x"}
        assert (await browser.post(path, late)).status == 409
        assert (await browser.post(f"{path}/etapa", {"token": token, "do": "wait"})).status == 409


@pytest.mark.parametrize("form", ["", "x", "../../etc", "A" * 36])
async def test_a_form_without_its_id_is_refused(village: Clinic, form: str) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        page = await browser.get("/clinica/nuevo/llegada")
        assert (await browser.post("/clinica/nuevo/llegada", visit_fields(page, form=form))).status == 400
        token = {**visit_fields(page), "token": ""}
        assert (await browser.post("/clinica/nuevo/llegada", token)).status == 403
        assert (await browser.post("/clinica/nuevo/llegada", visit_fields(page), "http://evil.example")).status == 403
    assert not village.records.kept


async def test_nobody_but_a_nurse_registers(village: Clinic) -> None:
    for name, role in (("drsalas", "doctor"), ("tito", "technician"), ("rosa", "merchant")):
        await village.add(name, role)
        async with SmallBrowser(village.base) as browser:
            await browser.sign_in(name)
            assert (await browser.get("/clinica/nuevo/llegada")).status == 403
    async with SmallBrowser(village.base) as browser:
        assert (await browser.get("/clinica/nuevo/llegada")).path == "/entrar"


async def test_no_page_of_the_clinic_is_stored_or_says_who_it_is_about_in_its_title(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        path = await registered(browser)
        for each in ("/clinica", path, f"{path}/editar", f"{path}/accesos", "/clinica/nuevo/caso"):
            page = await browser.get(each)
            assert page.status == 200, each
            assert page.headers["Cache-Control"] == "no-store", each
            title = re.search(r"<title>(.*?)</title>", page.text)
            assert title
            assert "Julia" not in title[1]


async def test_every_page_is_within_its_budget(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser, SmallBrowser(village.door) as doctor:
        await nurse(browser)
        path = await registered(browser)
        token = (await browser.get(path)).field("token")
        await browser.post(f"{path}/llamar", {"token": token, "doctor": "Dra. Huamán"})
        sizes = {
            "clinic_today": await wire_bytes(browser, "/clinica"),
            "clinic_call": await wire_bytes(browser, f"{path}/llamada?para=interprete"),
            "clinic_visit": await wire_bytes(browser, "/clinica/nuevo/caso"),
            "pin": await wire_bytes(browser, "/clinica/pin"),
        }
        await browser.post(f"{path}/caso", {"token": token})
        record = path.rpartition("/")[2]
        sizes["clinic_record"] = await wire_bytes(browser, path)
        sizes["clinic_link"] = await wire_bytes(browser, f"{path}/enlace")
        sizes["clinic_audit"] = await wire_bytes(browser, f"{path}/accesos")
        sizes["case_answer"] = await wire_bytes(doctor, f"/caso/{village.room.token(record, 'doctor')}")
        sizes["clinic_waiting"] = await wire_bytes(doctor, f"/turno/{village.room.token(DOCTORS[0].desk, 'doctor')}")
    stated = {name: re.match(r"\{# Budget: (\d+)", (templates() / f"{name}.html").read_text()) for name in sizes}
    over = {name: size for name, size in sizes.items() if not (found := stated[name]) or size > int(found[1])}
    assert not over


async def wire_bytes(browser: SmallBrowser, path: str) -> int:
    """What a page costs coded, with its head."""
    async with browser.session.get(browser.base + path) as answer:
        assert answer.status == 200, path
        head = sum(len(name) + len(value) + 4 for name, value in answer.raw_headers)
        return (answer.content_length or 0) + head
