"""At the door a link opens its one case or its one desk, and nothing else of the village."""

import hashlib
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.clinic.records.entries import Writer
from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import Actor, NewEntry
from tests.clocks import HandClock
from tests.unit.portal.clinic_village import DOCTORS, DOOR, JPEG_HEAD, Clinic, clinic_village, nurse, registered
from tests.unit.portal.small_portal import SmallBrowser

NURSE = Actor(Writer.NURSE, "nelly")


@pytest.fixture
async def village(tmp_path: Path, clock: HandClock) -> AsyncIterator[Clinic]:
    async with clinic_village(tmp_path, clock) as made:
        yield made


async def asked(village: Clinic) -> str:
    """A case that waits for an answer."""
    record = str(uuid.uuid4())
    told: dict[str, dict[str, object]] = {
        "patient": {"name": "Julia Mamani"},
        "reason": {"text": "Herida en el codo"},
        "request": {"question": "¿Hace falta coser?", "urgency": "urgent"},
    }
    entries = [NewEntry(str(uuid.uuid4()), kind, 1_800_000_000.0, fields) for kind, fields in told.items()]
    await village.records.begin(record, Stage.ASKED, by=NURSE, entries=entries)
    return record


async def test_a_doctor_reads_a_case_and_answers_it(village: Clinic) -> None:
    record = await asked(village)
    path = f"/caso/{village.room.token(record, 'doctor')}"
    async with SmallBrowser(village.door, "en") as doctor:
        page = await doctor.get(path)
        assert page.status == 200
        assert "¿Hace falta coser?" in page.text
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        assert "/clinica" not in page.text, "nothing of the village is linked"
        fields = {
            "token": page.field("token"), "form": page.field("form"), "answer": "Dos puntos", "doctor": "Dra. Huamán",
            "licence": "CMP 1", "medicine-1": "Paracetamol", "dose-1": "1 cada 8 h", "days-1": "3",
            "again": "2027-01-20", "again-text": "retirar puntos",
        }  # fmt: skip
        faulty = await doctor.post(path, {**fields, "answer": "", "days-1": "x"})
        assert faulty.status == 400
        assert 'value="Paracetamol"' in faulty.text
        for _ in range(2):
            answered = await doctor.post(path, fields)
            assert "Your answer is kept" in answered.text
    kept = village.records.kept[record]
    assert kept.view.stage is Stage.ANSWERED
    assert [each.kind for each in kept.entries[3:]] == ["answer", "prescription", "follow-up"]
    assert {each.by for each in kept.entries[3:]} == {Writer.DOCTOR}
    assert village.link.up_bytes > 1_000, "it was paced"


async def test_a_closed_case_is_read_and_takes_no_answer(village: Clinic) -> None:
    record = await asked(village)
    path = f"/caso/{village.room.token(record, 'doctor')}"
    async with SmallBrowser(village.door) as doctor:
        page = await doctor.get(path)
        await village.records.move(record, Stage.CLOSED, by=NURSE)
        fields = {"token": page.field("token"), "form": page.field("form"), "answer": "x", "doctor": "y"}
        assert (await doctor.post(path, fields)).status == 409
        assert "<textarea" not in (await doctor.get(path)).text


@pytest.mark.parametrize("role", ["nurse", "interpreter", "guest", "camera"])
async def test_no_other_role_opens_a_case_or_its_files(village: Clinic, role: str) -> None:
    record = await asked(village)
    token = village.room.token(record, role)
    async with SmallBrowser(village.door) as stranger:
        assert (await stranger.get(f"/caso/{token}")).status == 404
        assert (await stranger.get(f"/caso/{token}/archivos/{'0' * 64}")).status == 404
        assert (await stranger.get(f"/consulta/{token}/archivos/{'0' * 64}")).status in {403, 404}


async def test_a_link_that_was_changed_or_has_run_out_opens_nothing(village: Clinic) -> None:
    record = await asked(village)
    token = village.room.token(record, "doctor", 60)
    async with SmallBrowser(village.door) as stranger:
        assert (await stranger.get(f"/caso/{token[:-2]}AA")).status == 403
        village.clock.pass_s(61)
        assert (await stranger.get(f"/caso/{token}")).status == 403
        assert (await stranger.get(f"/turno/{token}")).status == 403


async def test_the_door_shows_nothing_else(village: Clinic) -> None:
    record = await asked(village)
    paths = [
        "/",
        "/clinica",
        "/clinica/pin",
        "/entrar",
        "/tienda",
        f"/clinica/registro/{record}",
        f"/clinica/caso/{record}",
    ]
    async with SmallBrowser(village.door) as stranger:
        for path in paths:
            assert (await stranger.get(path)).status == 404, path


async def test_a_visit_that_was_never_asked_about_is_no_case(village: Clinic) -> None:
    record = str(uuid.uuid4())
    await village.records.begin(record, Stage.WAITING, by=NURSE)
    async with SmallBrowser(village.door) as doctor:
        assert (await doctor.get(f"/caso/{village.room.token(record, 'doctor')}")).status == 404


async def test_a_photo_reaches_the_far_doctor_paced_and_whole(village: Clinic) -> None:
    record = await asked(village)
    content = JPEG_HEAD + b"p" * 20_000
    sha256 = hashlib.sha256(content).hexdigest()
    token = village.room.token(record, "doctor")
    async with SmallBrowser(village.door) as doctor:
        for prefix in (f"/caso/{token}", f"/consulta/{token}"):
            url = f"{village.door}{prefix}/archivos/{sha256}"
            headers = {"Origin": village.door, "Upload-Offset": "0", "Upload-Length": str(len(content))}
            if prefix.startswith("/caso"):
                async with doctor.session.put(url, data=content, headers=headers) as answer:
                    assert answer.status == 201
            async with doctor.session.get(url) as answer:
                assert await answer.read() == content
                assert answer.headers["Cache-Control"] == "no-store"
    assert (village.link.down_bytes, village.link.up_bytes) == (len(content), 2 * len(content))


async def test_a_waiting_page_tells_nothing_until_its_doctor_is_called(village: Clinic) -> None:
    token = village.room.token(DOCTORS[0].desk, "doctor", 90 * 86_400)
    async with SmallBrowser(village.door, "en") as doctor, SmallBrowser(village.base, "en") as browser:
        await nurse(browser)
        assert "Waits at the door" not in (await browser.get("/clinica")).text
        page = await doctor.get(f"/turno/{token}")
        assert "You can be reached" in page.text
        assert "/consulta/" not in page.text
        assert (await doctor.get(f"/turno/{token}/estado")).status == 204
        assert "Waits at the door" in (await browser.get("/clinica")).text
        village.clock.pass_s(31)
        assert "Waits at the door" not in (await browser.get("/clinica")).text
        path = await registered(browser)
        form = await browser.get(path)
        await browser.post(f"{path}/llamar", {"token": form.field("token"), "doctor": "Dra. Huamán"})
        assert (await doctor.get(f"/turno/{token}/estado")).status == 200
        called = await doctor.get(f"/turno/{token}")
        assert "Julia" not in called.text
        found = re.search(r'href="(/consulta/[^"]+)"', called.text)
        assert found
        assert (await doctor.get(f"{found[1]}/ws")).text == "socket of doctor"
        await browser.post(f"{path}/etapa", {"token": form.field("token"), "do": "finish"})
        assert (await doctor.get(f"/turno/{token}/estado")).status == 204


async def test_a_desks_link_opens_no_call_and_a_records_link_no_desk(village: Clinic) -> None:
    desk, record = village.room.token(DOCTORS[0].desk, "doctor"), village.room.token(await asked(village), "doctor")
    async with SmallBrowser(village.door) as doctor:
        for path in (f"/consulta/{desk}", f"/consulta/{desk}/ws", f"/caso/{desk}", f"/turno/{record}"):
            assert (await doctor.get(path)).status == 404, path
        unknown = village.room.token("turno:0000000000000000", "doctor")
        assert (await doctor.get(f"/turno/{unknown}")).status == 404


async def test_a_call_makes_links_for_who_shall_come_in(village: Clinic) -> None:
    async with SmallBrowser(village.base, "en") as browser, SmallBrowser(village.door) as far:
        await nurse(browser)
        path = await registered(browser)
        token = (await browser.get(path)).field("token")
        page = await browser.post(f"{path}/llamar", {"token": token, "doctor": "Dra. Huamán"})
        assert page.path == f"{path}/llamada"
        links = re.findall(r'value="(https?://[^"]+/consulta/([^"]+))"', page.text)
        roles = {village.room.read(token).role: url for url, token in links}
        assert roles.keys() == {"doctor", "nurse"}
        assert roles["doctor"].startswith(f"{DOOR}/consulta/")
        assert roles["nurse"].startswith(f"{village.base}/consulta/")
        assert 'href="sms:+51987654321?body=' in page.text
        assert "Julia" not in page.text
        for wanted, role in (("interprete", "interpreter"), ("familiar", "guest")):
            more = await browser.get(f"{path}/llamada?para={wanted}")
            made = [each for _, each in re.findall(r'value="(https?://[^"]+/consulta/([^"]+))"', more.text)]
            [invited] = [each for each in map(village.room.read, made) if each.role == role]
            assert invited.consultation == path.rpartition("/")[2]
        nurses = roles["nurse"].rpartition("/")[2]
        call = await browser.get(f"/consulta/{nurses}")
        assert f'action="{path}/caso"' in call.text
        assert f"/consulta/{nurses}/archivos" in call.text
        assert "/clinica/pin/abrir" in call.text
        assert (await far.get(f"/consulta/{nurses}")).status == 404, "the nurse's place is in the village"


async def test_a_case_link_is_good_for_a_week_and_for_its_case(village: Clinic) -> None:
    record = await asked(village)
    async with SmallBrowser(village.base, "en") as browser:
        await nurse(browser)
        page = await browser.get(f"/clinica/registro/{record}/enlace")
    found = re.search(rf'value="{DOOR}/caso/([^"]+)"', page.text)
    assert found
    village.clock.pass_s(6.9 * 86_400)
    assert village.room.read(found[1]).consultation == record
