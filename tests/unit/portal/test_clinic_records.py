"""A record's page: what is added is kept once, what becomes of it is pressed, its files are shown to few."""

import hashlib
import io
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from PIL import Image

from gateway.clinic.records.entries import Writer
from gateway.clinic.records.states import Handover, Stage
from gateway.clinic.records.views import Actor, NewEntry
from tests.clocks import HandClock
from tests.unit.portal.clinic_village import Clinic, clinic_village, nurse, registered
from tests.unit.portal.small_portal import Page, SmallBrowser

DOCTOR = Actor(Writer.DOCTOR, "doctor")


@pytest.fixture
async def village(tmp_path: Path, clock: HandClock) -> AsyncIterator[Clinic]:
    async with clinic_village(tmp_path, clock) as made:
        yield made


def photo(width: int = 900, height: int = 600) -> bytes:
    """A JPEG that tells where it was taken, as phones make them."""
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "S"  # GPSLatitudeRef
    exif[0x010F] = "Telefono de Julia"
    made = io.BytesIO()
    Image.new("RGB", (width, height), (170, 90, 60)).save(made, "JPEG", exif=exif)
    return made.getvalue()


async def send_files(browser: SmallBrowser, path: str, fields: dict[str, str], *files: tuple[str, bytes]) -> Page:
    """Send a form with files as a browser does: its fields first."""
    form = aiohttp.FormData()
    for name, value in fields.items():
        form.add_field(name, value)
    for number, (name, content) in enumerate(files):
        form.add_field(name, content, filename=f"{number}.bin", content_type="application/octet-stream")
    if not files:
        form.add_field("photos", b"", filename="", content_type="application/octet-stream")
    async with browser.session.post(browser.base + path, data=form, headers={"Origin": browser.base}) as answer:
        return Page(answer.status, answer.headers, await answer.text(), answer.url.path, {})


def adds(page: Page, do: str, **fields: str) -> dict[str, str]:
    return {"token": page.field("token"), "form": str(uuid.uuid4()), "do": do, **fields}


async def test_vital_signs_are_kept_with_their_units_once(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        path = await registered(browser)
        fields = adds(await browser.get(path), "vitals", **{"vital-temperature": "38,4", "vital-systolic": " 120 "})
        for _ in range(2):
            assert (await browser.post(path, fields)).status == 200
        page = await browser.get(path)
    [record] = village.records.kept.values()
    [kept] = [each for each in record.entries if each.kind == "vitals"]
    assert kept.fields["values"] == [
        {"code": "temperature", "value": "38.4", "unit": "°C"},
        {"code": "systolic", "value": "120", "unit": "mmHg"},
    ]
    assert "38.4 °C" in page.text


@pytest.mark.parametrize("typed", ["384", "alta", "1e2", "-3"])
async def test_a_value_that_nobody_has_is_told_at_its_field(village: Clinic, typed: str) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        path = await registered(browser)
        fields = adds(await browser.get(path), "vitals", **{"vital-temperature": typed, "vital-weight": "61"})
        page = await browser.post(path, fields)
    assert page.status == 400
    assert 'id="vital-temperature-fault"' in page.text
    assert f'value="{typed}"' in page.text
    assert 'value="61"' in page.text
    assert not [each for record in village.records.kept.values() for each in record.entries if each.kind == "vitals"]


async def test_notes_a_summary_and_a_follow_up_are_kept_as_text(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        path = await registered(browser)
        page = await browser.get(path)
        await browser.post(path, adds(page, "note", note="<script>alert(1)</script>"))
        await browser.post(path, adds(page, "summary", summary="Bronquitis"))
        shown = await browser.post(path, adds(page, "follow-up", again="2027-02-01", **{"again-text": "control"}))
    assert "<script>alert" not in shown.text
    assert "&lt;script&gt;alert(1)" in shown.text
    assert "Bronquitis" in shown.text
    assert "2027-02-01" in shown.text
    kinds = [each.kind for each in next(iter(village.records.kept.values())).entries[4:]]
    assert kinds == ["note", "summary", "follow-up"]


async def test_a_photo_comes_by_a_form_without_script_and_is_shown_without_its_place(village: Clinic) -> None:
    content = photo()
    sha256 = hashlib.sha256(content).hexdigest()
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        path = await registered(browser)
        page = await browser.get(path)
        fields = {"token": page.field("token"), "form": str(uuid.uuid4()), "subject": "wound", "photo-note": "codo"}
        for _ in range(2):
            sent = await send_files(browser, f"{path}/archivo", fields, ("photos", content))
            assert sent.path == path, sent.text
        assert f"{path}/archivos/{sha256}?lado=640" in sent.text
        async with browser.session.get(f"{browser.base}{path}/archivos/{sha256}") as answer:
            assert await answer.read() == content
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        async with browser.session.get(f"{browser.base}{path}/archivos/{sha256}?lado=320") as answer:
            small = await answer.read()
        assert (await browser.get(f"{path}/archivos/{'0' * 64}")).status == 404
        assert (await browser.get(f"{path}/archivos/{sha256[:-1]}%00")).status == 404
    with Image.open(io.BytesIO(small)) as shown:
        assert shown.size == (320, 213)
        assert not shown.getexif()
    assert b"Julia" in content
    assert b"Julia" not in small
    [record] = village.records.kept.values()
    [kept] = [each for each in record.entries if each.kind == "photo"]
    assert kept.fields == {
        "sha256": sha256, "media_type": "image/jpeg", "size_bytes": len(content), "subject": "wound", "note": "codo",
    }  # fmt: skip


async def test_a_voice_note_is_kept_with_about_how_long_it_is(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        path = await registered(browser)
        fields = {"token": (await browser.get(path)).field("token"), "form": str(uuid.uuid4())}
        page = await send_files(browser, f"{path}/archivo", fields, ("voice", b"OggS" + b"\0" * 39_996))
        assert "<audio" in page.text
    [record] = village.records.kept.values()
    assert record.entries[-1].fields["seconds"] == 10.0


@pytest.mark.parametrize(
    ("files", "status"),
    [((), 400), ((("photos", b"<html>"),), 400), ((("photos", b"\xff\xd8\xff" + b"x" * 400_000),), 413)],
)
async def test_what_is_no_photo_or_too_large_is_refused_on_the_records_page(
    village: Clinic, files: tuple[tuple[str, bytes], ...], status: int
) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        path = await registered(browser)
        fields = {"token": (await browser.get(path)).field("token"), "form": str(uuid.uuid4())}
        page = await send_files(browser, f"{path}/archivo", fields, *files)
        assert page.status == status
        assert 'role="alert"' in page.text
        stolen = {**fields, "token": "x" * 90}
        assert (await send_files(browser, f"{path}/archivo", stolen, ("photos", photo()))).status == 403
    [record] = village.records.kept.values()
    assert not record.blobs


async def test_a_file_goes_on_where_it_broke_off(village: Clinic) -> None:
    content = photo()
    sha256 = hashlib.sha256(content).hexdigest()
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        url = f"{village.base}{await registered(browser)}/archivos/{sha256}"
        origin = {"Origin": village.base}

        async def put(offset: int, piece: bytes) -> tuple[int, str]:
            headers = {**origin, "Upload-Offset": str(offset), "Upload-Length": str(len(content))}
            async with browser.session.put(url, data=piece, headers=headers) as answer:
                return answer.status, answer.headers.get("Upload-Offset", "")

        assert await put(0, content[:1_000]) == (204, "1000")
        async with browser.session.head(url) as answer:
            assert answer.headers["Upload-Offset"] == "1000"
        assert await put(0, content[:10]) == (409, "1000")
        assert (await put(1_000, content))[0] == 413, "longer than it said"
        at = len(next(iter(village.records.kept.values())).blobs[sha256])
        assert await put(at, content[at:]) == (201, str(len(content)))
        async with browser.session.put(url, data=b"x", headers=origin) as answer:
            assert answer.status == 400
        async with browser.session.put(url, data=b"x") as answer:
            assert answer.status == 403, "no page of ours"


async def test_a_visit_becomes_a_case_with_its_question_and_is_sent(village: Clinic) -> None:
    async with SmallBrowser(village.base, "en") as browser:
        await nurse(browser)
        path = await registered(browser)
        page = await browser.get(path)
        token, form = page.field("token"), str(uuid.uuid4())
        empty = await browser.post(f"{path}/caso", {"token": token, "form": form, "question": " "})
        assert empty.status == 400
        fields = {"token": token, "form": form, "question": "¿Antibiótico?", "urgency": "asap"}
        asked = await browser.post(f"{path}/caso", fields)
        assert "Not sent yet" in asked.text
        assert "At once" in asked.text
        sent = await browser.post(f"{path}/entregar", {"token": token})
        assert "Waits for the link" in sent.text
        village.records.set(path.rpartition("/")[2], handover=Handover.DELIVERED)
        village.clock.pass_s(240)
        assert "Sent, no answer yet · 4 minutes ago" in (await browser.get("/clinica")).text


async def test_a_call_that_failed_becomes_a_case_by_one_press(village: Clinic) -> None:
    async with SmallBrowser(village.base, "en") as browser:
        await nurse(browser)
        path = await registered(browser)
        token = (await browser.get(path)).field("token")
        await browser.post(f"{path}/llamar", {"token": token})
        for _ in range(2):
            assert (await browser.post(f"{path}/caso", {"token": token})).path == path
    [record] = village.records.of(Stage.ASKED)
    [question] = [each.fields["question"] for each in record.entries if each.kind == "request"]
    assert question == "The call did not work. Please answer in writing. Tos y fiebre"


async def test_an_answer_is_shown_first_read_and_closed(village: Clinic) -> None:
    async with SmallBrowser(village.base, "en") as browser:
        await nurse(browser)
        path = await registered(browser)
        record = path.rpartition("/")[2]
        token = (await browser.get(path)).field("token")
        await browser.post(f"{path}/caso", {"token": token})
        answer = NewEntry(str(uuid.uuid4()), "answer", 0.0, {"text": "Reposo y agua", "doctor": "Dra. Huamán"})
        await village.records.keep(record, answer, by=DOCTOR)
        await village.records.move(record, Stage.ANSWERED, by=DOCTOR)
        today = await browser.get("/clinica")
        assert "1 new answer" in today.text
        assert "New answers" in today.text
        page = await browser.get(path)
        assert "Reposo y agua" in page.text
        assert "Dra. Huamán" in page.text
        await browser.post(f"{path}/etapa", {"token": token, "do": "close"})
    assert village.records.of(Stage.CLOSED)


async def test_who_looked_at_a_record_is_listed_in_words(village: Clinic) -> None:
    async with SmallBrowser(village.base, "en") as browser:
        await nurse(browser)
        path = await registered(browser)
        await browser.get(path)
        page = await browser.get(f"{path}/accesos")
    assert "Nurse nelly" in page.text
    assert "Began it" in page.text
    assert "Wrote: Patient" in page.text
    assert "Read it" in page.text


@pytest.mark.parametrize("paper", ["", "58", "80"])
async def test_a_prescription_is_printed_with_nothing_but_the_records_number_in_its_code(
    village: Clinic, paper: str
) -> None:
    async with SmallBrowser(village.base, "en") as browser:
        await nurse(browser)
        path = await registered(browser)
        assert (await browser.get(f"{path}/receta")).status == 404
        medicines = [{"name": "Amoxicilina 500 mg", "dose": "1 cada 8 h", "days": 7}]
        fields = {"doctor": "Dra. Huamán", "licence": "CMP 12345", "medicines": medicines}
        made = NewEntry(str(uuid.uuid4()), "prescription", 1_800_000_000.0, fields)
        await village.records.keep(path.rpartition("/")[2], made, by=DOCTOR)
        page = await browser.get(f"{path}/receta" + (f"?papel={paper}" if paper else ""))
    for each in ("Julia Mamani", "Amoxicilina 500 mg", "1 cada 8 h", "7 days", "Dra. Huamán", "CMP 12345"):
        assert each in page.text
    assert f'class="narrow{f" paper{paper}" if paper else ""}"' in page.text
    from gateway.portal.clinic_calls import qr_image

    shown = re.search(r'src="(data:image/svg[^"]+)"', page.text)
    assert shown
    assert shown[1].replace("&#39;", "'").replace("&amp;", "&") == qr_image(path.rpartition("/")[2])


async def test_an_address_that_names_no_record_is_nothing(village: Clinic) -> None:
    async with SmallBrowser(village.base) as browser:
        await nurse(browser)
        for each in ("x", "..%2f", str(uuid.uuid4()), "0" * 36):
            assert (await browser.get(f"/clinica/registro/{each}")).status == 404, each


async def test_a_call_that_is_over_closes_its_links_until_somebody_calls_again(village: Clinic) -> None:
    async with SmallBrowser(village.base, "en") as browser, SmallBrowser(village.door, "en") as doctor:
        await nurse(browser)
        path = await registered(browser)
        token = (await browser.get(path)).field("token")
        link = f"/consulta/{village.room.token(path.rpartition('/')[2], 'doctor')}"
        await browser.post(f"{path}/llamar", {"token": token})
        assert (await doctor.get(link)).status == 200
        await browser.post(f"{path}/etapa", {"token": token, "do": "finish"})
        over = await doctor.get(link)
        assert over.status == 403
        assert "/tienda" not in over.text, "nothing of the village is linked at the door"
        await browser.post(f"{path}/llamar", {"token": token})
        assert (await doctor.get(link)).status == 200


async def test_a_case_made_of_a_call_is_read_by_its_link_though_the_call_is_over(village: Clinic) -> None:
    async with SmallBrowser(village.base, "en") as browser, SmallBrowser(village.door, "en") as doctor:
        await nurse(browser)
        path = await registered(browser)
        record, token = path.rpartition("/")[2], (await browser.get(path)).field("token")
        await browser.post(f"{path}/llamar", {"token": token})
        await browser.post(f"{path}/caso", {"token": token})
        signed = village.room.token(record, "doctor")
        assert (await doctor.get(f"/consulta/{signed}")).status == 403
        assert "Tos y fiebre" in (await doctor.get(f"/caso/{signed}")).text


async def test_what_is_handed_over_goes_at_once_and_again_when_it_is_pressed(village: Clinic) -> None:
    async with SmallBrowser(village.base, "en") as browser:
        await nurse(browser)
        path = await registered(browser)
        await browser.post(f"{path}/caso", {"token": (await browser.get(path)).field("token")})
        page = await browser.get(path)
        assert "No consent to handing it over is written" in page.text
        waiting = await browser.post(f"{path}/entregar", {"token": page.field("token")})
        assert "Send now" in waiting.text
        assert village.room.sent_now == 1
        await browser.post(f"{path}/entregar", {"token": page.field("token")})
        assert village.room.sent_now == 2


async def test_why_a_record_was_refused_is_shown_as_it_stands_and_never_as_markup(village: Clinic) -> None:
    async with SmallBrowser(village.base, "en") as browser:
        await nurse(browser)
        path = await registered(browser)
        kept = village.records.kept[path.rpartition("/")[2]]
        kept.view = replace(kept.view, reason="100 % <b>not</b> %(taken)s")
        page = await browser.get(path)
        assert page.status == 200
        assert "100 % &lt;b&gt;not&lt;/b&gt; %(taken)s" in page.text
