"""A nurse's day in real Chromium: every page of it can be read, reached and pressed, and no script complains."""

from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Browser, expect

from gateway.clinic.records.states import Stage
from tests.clocks import HandClock
from tests.peer.test_portal_pages import FAULTS_JS, LAPTOP, PHONE
from tests.unit.portal.clinic_village import DOCTORS, Clinic, clinic_village
from tests.unit.portal.small_portal import PASSWORD

pytestmark = pytest.mark.browser


@pytest.fixture
async def village(tmp_path: Path, clock: HandClock) -> AsyncIterator[Clinic]:
    async with clinic_village(tmp_path, clock) as made:
        yield made


@pytest.mark.parametrize(("size", "script"), [(PHONE, False), (LAPTOP, True)])
async def test_a_nurses_day(village: Clinic, browser: Browser, size: tuple[int, int], script: bool) -> None:
    viewport = {"width": size[0], "height": size[1]}
    context = await browser.new_context(viewport=viewport, locale="en-GB", java_script_enabled=script)  # type: ignore[arg-type]
    page = await context.new_page()
    complaints: list[str] = []
    page.set_default_timeout(15_000)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    found: dict[str, list[str]] = {}

    async def look(name: str) -> None:
        if script:
            await page.wait_for_function("document.readyState === 'complete'")
            await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            found[name] = await page.evaluate(FAULTS_JS)

    await page.goto(f"{village.base}/entrar?sigue=/clinica")
    await page.locator("#name").fill("nelly")
    await page.locator("#password").fill(PASSWORD)
    await page.get_by_role("main").get_by_role("button").click()
    await page.wait_for_url(f"{village.base}/clinica")
    await look("today, empty")

    await page.goto(f"{village.base}/clinica/pin")
    await look("pin")
    for label in ("The PIN, 4 to 8 digits", "The same once more"):
        await page.get_by_label(label).fill("4071")
    await page.get_by_label("Your own password, once more").fill(PASSWORD)
    await page.get_by_role("button", name="Keep the PIN").click()
    await page.wait_for_url(f"{village.base}/clinica")

    await page.get_by_role("link", name="A patient is here").click()
    await look("arrival")
    await page.get_by_label("Name", exact=True).fill("Julia Mamani")
    await page.get_by_label("Why they come").fill("Tos y fiebre")
    await page.get_by_label("To talk with a doctor far away").check()
    await page.get_by_role("button", name="Put into the queue").click()
    await page.wait_for_url("**/clinica/registro/*")
    await look("a record that waits")
    await page.goto(f"{village.base}/clinica")
    await look("today")
    await page.get_by_role("button", name="Call now for the first").click()
    await page.wait_for_url("**/llamada")
    await look("call")
    await page.get_by_role("button", name="The call is over").click()

    await page.goto(f"{village.base}/clinica/nuevo/caso")
    await look("case")
    await page.get_by_label("Name", exact=True).fill("Pedro Quispe")
    await page.get_by_label("Why they come").fill("Herida")
    await page.get_by_label("Question").fill("¿Hace falta coser?")
    await page.get_by_label("Temperature").fill("37,2")
    wound = BytesIO()
    Image.new("RGB", (640, 480), (160, 80, 60)).save(wound, "JPEG")
    await page.get_by_label("Photos", exact=True).set_input_files(
        {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": wound.getvalue()}
    )
    await page.get_by_role("button", name="Keep the case").click()
    await page.wait_for_url("**/clinica/registro/*")
    await expect(page.get_by_text("37.2 °C")).to_be_visible()
    await look("a case")
    await page.get_by_role("button", name="Send it to the doctor").click()
    await expect(page.get_by_text("Waits for the link").first).to_be_visible()
    case = page.url.rpartition("/")[2]

    await page.goto(f"{village.door}/caso/{village.room.token(case, 'doctor')}")
    await look("case at the door")
    await page.get_by_label("Answer", exact=True).fill("Dos puntos")
    await page.get_by_label("Your name").fill("Dra. Huamán")
    await page.get_by_role("button", name="Send the answer").click()
    await expect(page.get_by_text("Your answer is kept")).to_be_visible()
    await page.goto(f"{village.door}/turno/{village.room.token(DOCTORS[0].desk, 'doctor')}")
    await look("a waiting page")
    assert village.records.of(Stage.ANSWERED)

    village.clock.pass_s(301)
    await page.goto(f"{village.base}/clinica/registro/{case}")
    await look("locked")
    await page.get_by_label("Your PIN").fill("4071")
    await page.get_by_role("button", name="Open", exact=True).click()
    await expect(page.get_by_text("Dos puntos")).to_be_visible()
    await page.get_by_role("button", name="I have read it: close").click()
    await page.wait_for_url(f"{village.base}/clinica")
    await page.get_by_role("button", name="Leave the clinic").click()
    await page.goto(f"{village.base}/clinica")
    assert "/entrar" in page.url
    await context.close()
    assert {name: faults for name, faults in found.items() if faults} == {}
    assert not complaints


async def test_a_form_that_is_left_alone_is_covered_and_keeps_what_was_typed(
    tmp_path: Path, clock: HandClock, browser: Browser
) -> None:
    async with clinic_village(tmp_path, clock, idle_lock_s=1.0) as village:
        page = await browser.new_page(locale="en-GB")
        page.set_default_timeout(15_000)
        await page.goto(f"{village.base}/entrar?sigue=/clinica/nuevo/llegada")
        await page.locator("#name").fill("nelly")
        await page.locator("#password").fill(PASSWORD)
        await page.get_by_role("main").get_by_role("button").click()
        await page.wait_for_url("**/clinica/nuevo/llegada")
        await page.locator("#name").fill("Julia Mamani")
        cover = page.get_by_role("heading", name="The clinic is locked")
        await expect(cover).to_be_visible()
        await expect(page.locator("#name")).to_be_hidden()
        await page.locator("#cover-pin").fill("not the password")
        await page.get_by_role("button", name="Open", exact=True).click()
        await expect(page.get_by_text("This is not right.")).to_be_visible()
        await expect(page.locator("#name")).to_be_hidden()
        await page.locator("#cover-pin").fill(PASSWORD)
        await page.get_by_role("button", name="Open", exact=True).click()
        await expect(page.locator("#name")).to_be_visible()
        await expect(page.locator("#name")).to_have_value("Julia Mamani")
        await page.close()
