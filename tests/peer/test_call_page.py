"""The call's page in a real browser before a box that is scripted: what only a browser shows."""

import base64
import hashlib
import re
from io import BytesIO
from random import Random

import pytest
from PIL import Image
from playwright.async_api import Browser, expect

from gateway.portal.coding import code
from gateway.resources import content, templates
from tests.peer.scripted_box import PIN, WIDTHS, joined, person, scripted, slot
from tests.peer.test_portal_pages import FAULTS_JS
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

ALL_BYTES_MAX = 30_000  # page and scripts, as they cross the link
STILL_BYTES_MAX = 6_000
KEPT_JS = """async () => [localStorage.length, sessionStorage.length, (await indexedDB.databases()).length,
    (await caches.keys()).length, location.search + location.hash, document.title]"""
NO_CAMERA_JS = """
const all = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (asked) => {
    if (asked.video) throw new DOMException('none', 'NotFoundError');
    return all(asked);
};"""
DENIED_JS = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); };"""
TILE_WIDTHS = "() => [...document.querySelectorAll('[data-slot] video')].map((each) => each.videoWidth)"
FROZEN = """async () => {
    const peer = window.__tamboPeer, last = await peer.getStats();
    peer.getStats = async () => last;
}"""
PICTURE_SENT = """() => window.__tamboPeer.getSenders().filter((each) => each.track && each.track.kind === 'video')
    .map((each) => each.getParameters().encodings[0])[0]"""


def shown(part: str) -> str:
    return f"[data-show={part}]"


async def test_each_slot_shows_who_is_in_it_and_a_tap_holds_somebody_large(browser: Browser) -> None:
    async with scripted(browser) as (box, page):
        await joined(box, page)
        await page.wait_for_function(f"(widths) => ({TILE_WIDTHS})().join() === widths", arg=",".join(map(str, WIDTHS)))
        nurse, interpreter, nobody = (page.locator(f"[data-slot='{slot}']") for slot in range(3))
        await expect(nurse).to_have_attribute("data-at", "large")
        await expect(interpreter).to_contain_text("Interpreter")
        await expect(nobody).to_be_hidden()
        await interpreter.click()
        await wait_until(lambda: box.said("pin") == [{"type": "pin", "who": "interpreter"}])
        people = [person("nurse"), person("interpreter", speaks=True), person("doctor")]
        await box.tell_state(focus="interpreter", pinned="interpreter", people=people)
        await expect(interpreter).to_have_attribute("data-at", "large")
        await expect(interpreter).to_have_attribute("aria-pressed", "true")
        await expect(interpreter).to_have_class(re.compile("speaks"))
        await nurse.focus()
        await interpreter.press("Enter")
        await wait_until(lambda: box.said("pin")[-1] == {"type": "pin", "who": None})
        assert len(box.said("offer")) == 1, "nobody's coming or going is negotiated anew"


async def test_a_paused_picture_shows_a_still_its_age_and_the_reason_and_ours_is_sent(browser: Browser) -> None:
    async with scripted(browser) as (box, page):
        await joined(box, page)
        plan = {"send": True, "picture": False, "video_bps": 0, "still_s": 1}
        quality = {"word": "voice", "cause": "village-link", "message": "The village's link carries the voice alone."}
        slots = [slot("nurse", picture=False), slot(None), slot(None)]
        await box.tell_state(plan=plan, slots=slots, quality=quality)
        nurse = page.locator("[data-slot='0']")
        await expect(nurse).to_contain_text("Picture paused: the village's link is weak.")
        await wait_until(lambda: bool(box.said("still")))
        image = box.said("still")[0]["image"]
        sent = base64.b64decode(image)
        assert sent[:4] == b"RIFF"
        assert len(sent) <= STILL_BYTES_MAX
        assert max(Image.open(BytesIO(sent)).size) <= 240
        await box.say("still", who="nurse", image=image)
        await expect(nurse.locator("img")).to_be_visible()
        assert await nurse.locator("img").evaluate("(each) => each.naturalWidth") > 0
        await expect(nurse).to_contain_text(re.compile(r"This picture is 0:0[1-9] old\."))
        await expect(page.locator(shown("quality"))).to_contain_text("The village's link carries the voice alone.")
        assert not (await page.evaluate(PICTURE_SENT))["active"]
        await box.tell_state()
        await expect(nurse.locator("img")).to_be_hidden()


async def test_the_picture_s_size_follows_what_the_plan_allows(browser: Browser) -> None:
    async with scripted(browser) as (box, page):
        await joined(box, page)
        plan = {"send": True, "picture": True, "still_s": None}
        small, middle = (15, 4.0), (20, 8 / 3)
        shrinks_late = ((45_000, *small), (80_000, *middle), (50_000, *middle), (45_000, *small))
        for bps, fps, scale in (*shrinks_late, (300_000, 20, 2.0), (500_000, 20, 4 / 3), (700_000, 25, 1.0)):
            await box.tell_state(plan={**plan, "video_bps": bps})
            wanted = f"(bps) => ({PICTURE_SENT})().maxBitrate === bps"
            await page.wait_for_function(wanted, arg=bps)
            found = await page.evaluate(PICTURE_SENT)
            assert found["maxFramerate"] == fps
            assert found["scaleResolutionDownBy"] == pytest.approx(scale)


async def test_a_page_that_hears_nothing_asks_at_once_by_a_new_socket(browser: Browser) -> None:
    async with scripted(browser) as (box, page):
        await joined(box, page)
        await page.wait_for_timeout(3_000)
        assert box.dialled == 1, "while media come nobody doubts"
        box.has_media = False
        await page.evaluate(FROZEN)
        await wait_until(lambda: len(box.said("offer")) == 2, 6)
        assert (box.dialled, len(box.said("resume"))) == (2, 1)


async def test_what_was_refused_is_shown_until_the_box_says_how_the_call_stands(browser: Browser) -> None:
    async with scripted(browser) as (box, page):
        await joined(box, page)
        await box.say("refused", message="That was asked too often.", final=False)
        await expect(page.locator("[data-call]")).to_have_attribute("data-connection", "waiting")
        await expect(page.locator(shown("status"))).to_contain_text("That was asked too often.")
        await box.tell_state()
        await expect(page.locator("[data-call]")).to_have_attribute("data-connection", "connected")
        assert len(box.said("offer")) == 1


async def test_switches_are_told_and_so_is_how_well_it_goes(browser: Browser) -> None:
    async with scripted(browser) as (box, page):
        await joined(box, page)
        await wait_until(lambda: bool(box.said("switches")))
        await page.locator("[data-action=mute]").click()
        await page.locator("[data-action=picture]").click()
        await wait_until(lambda: len(box.said("switches")) == 3)
        assert box.said("switches")[-1] == {"type": "switches", "voice": False, "picture": False, "share": False}
        await wait_until(lambda: bool(box.said("figures")), 14)
        figures = box.said("figures")[0]
        assert figures["fps"] > 5
        assert 0 <= figures["frozen_s"] <= 5.5
        assert 0 <= figures["concealed_ratio"] <= 1
        assert 0 < figures["delay_s"] < 2


async def test_a_message_that_was_cut_off_is_sent_again_until_it_is_kept(browser: Browser) -> None:
    async with scripted(browser) as (box, page):
        await joined(box, page)
        box.keeps = False
        messages = page.locator("[data-list=chat] li")
        await page.get_by_role("textbox", name="Message").fill("Show me the wound, please.")
        await page.get_by_role("button", name="Send", exact=True).click()
        await wait_until(lambda: len(box.said("entry")) == 1)
        await expect(messages).to_contain_text("Sending")
        box.keeps = True
        await box.sockets[-1].close()
        await wait_until(lambda: len(box.said("entry")) == 2)
        first, again = box.said("entry")
        assert first == again, "the same entry, with the same id"
        await expect(messages).to_contain_text("Kept.")
        box.keeps = False
        await page.get_by_role("textbox", name="Message").fill("And the other leg?")
        await page.keyboard.press("Enter")
        await wait_until(lambda: len(box.said("entry")) == 3)
        await box.say("refused", message="There is no room.", final=False, id=box.said("entry")[-1]["id"])
        await expect(messages.last).to_contain_text("Not kept: There is no room.")
        box.keeps = True
        await messages.last.get_by_role("button", name="Try again").click()
        await expect(messages.last).to_contain_text("Kept.")
        assert await messages.count() == 2
        assert await page.evaluate(KEPT_JS) == [0, 0, 0, 0, "", "Consultation · Tambo"]


def photo() -> bytes:
    """A JPEG of some pieces."""
    pixels = Random(7).randbytes(480 * 320 * 3)
    written = BytesIO()
    Image.frombytes("RGB", (480, 320), pixels).save(written, "JPEG", quality=92)
    return written.getvalue()


async def test_a_photo_goes_on_where_it_broke_off_and_is_marked_by_both(browser: Browser) -> None:
    async with scripted(browser) as (box, page):
        await joined(box, page)
        whole = photo()
        box.cuts = 1
        await page.get_by_text("Photos").click()
        await page.locator("#file").set_input_files({"name": "p.jpg", "mimeType": "image/jpeg", "buffer": whole})
        await page.get_by_label("What it shows").select_option("skin")
        await page.get_by_role("button", name="Send the photo").click()
        await wait_until(lambda: bool(box.said("entry")))
        sha256 = hashlib.sha256(whole).hexdigest()
        assert bytes(box.files[sha256]) == whole
        assert [offset for offset, _ in box.pieces[:3]] == [0, 65_536, 75_536]
        entry = box.said("entry")[0]
        fields = {"sha256": sha256, "media_type": "image/jpeg", "size_bytes": len(whole), "subject": "skin", "note": ""}
        assert entry["fields"] == fields
        await page.get_by_role("button", name="Skin").click()
        await wait_until(lambda: box.shown == ["320", "1280"])
        view = page.locator("[data-view]")
        await page.wait_for_function("() => document.querySelector('[data-sheet] img').naturalWidth > 0")
        await page.get_by_role("button", name="Mark with a ring").click()
        box_of_view = await view.bounding_box()
        assert box_of_view is not None
        tapped = box_of_view["width"] / 2 + 60, box_of_view["height"] / 2 - 40
        await view.click(position={"x": tapped[0], "y": tapped[1]})
        await wait_until(lambda: box.said("entry")[-1]["kind"] == "mark")
        mark = box.said("entry")[-1]["fields"]
        assert mark["photo"] == entry["id"]
        assert 0.5 < mark["x"] < 0.6
        assert 0.4 < mark["y"] < 0.5
        ring = await view.locator("circle").bounding_box()
        assert ring is not None
        found = ring["x"] + ring["width"] / 2 - box_of_view["x"], ring["y"] + ring["height"] / 2 - box_of_view["y"]
        assert found == pytest.approx(tapped, abs=2), "the ring is where the finger was"
        theirs = {"photo": entry["id"], "x": 0.2, "y": 0.3, "radius": 0.1}
        await box.say("entry", sequence=9, id="m" * 36, kind="mark", by="nurse", at=1.0, fields=theirs)
        await expect(view.locator("circle")).to_have_count(2)
        await view.press("+")
        assert "scale(1.4)" in str(await page.locator("[data-sheet]").evaluate("(each) => each.style.transform"))


async def test_notes_that_two_wrote_at_once_are_both_shown_and_neither_is_lost(browser: Browser) -> None:
    async with scripted(browser) as (box, page):
        await joined(box, page)
        await page.get_by_text("Notes for both").first.click()
        notes = page.locator("#note")
        await box.say(
            "entry", sequence=1, id="a", kind="note", by="nurse", at=1.0, fields={"text": "Fell.", "after": None}
        )
        await expect(notes).to_have_value("Fell.")
        await notes.fill("Fell. No fever.")
        theirs = {"text": "Fell. Walks.", "after": "a"}
        await box.say("entry", sequence=2, id="b", kind="note", by="nurse", at=2.0, fields=theirs)
        await expect(page.locator("[data-theirs]")).to_contain_text("Fell. Walks.")
        await expect(notes).to_have_value("Fell. No fever.")
        await page.get_by_role("button", name="Keep both").click()
        await wait_until(lambda: bool(box.said("entry")))
        assert box.said("entry")[-1]["fields"] == {"text": "Fell. No fever.\n\nFell. Walks.", "after": "b"}
        await expect(page.locator("[data-theirs]")).to_be_hidden()
        mine = box.said("entry")[-1]["id"]
        later = {"text": "Fell. Walks. No fever.", "after": mine}
        await box.say("entry", sequence=4, id="c", kind="note", by="nurse", at=3.0, fields=later)
        await expect(notes).to_have_value("Fell. Walks. No fever.")


async def test_a_value_that_cannot_be_is_told_at_its_field_and_an_unusual_one_is_kept(browser: Browser) -> None:
    async with scripted(browser) as (box, page):
        await joined(box, page)
        await page.get_by_text("Vital signs").click()
        await page.get_by_label("Temperature").fill("385")
        await page.get_by_role("button", name="Keep these values").click()
        await expect(page.locator("#f-temperature")).to_have_text("Between 25 and 45 °C.")
        assert box.said("entry") == []
        await page.get_by_label("Temperature").fill("38.5")
        await page.get_by_role("button", name="Keep these values").click()
        await wait_until(lambda: bool(box.said("entry")))
        value = {"code": "temperature", "value": "38.5", "unit": "°C"}
        assert box.said("entry")[0]["fields"] == {"values": [value]}
        await expect(page.locator("[data-list=measured]")).to_contain_text("Temperature 38.5 °C")
        await expect(page.get_by_label("Temperature")).to_have_value("")


async def test_a_page_nobody_touches_hides_what_is_written_and_the_call_goes_on(browser: Browser) -> None:
    values: dict[str, object] = {"role": "nurse", "at_door": False, "idle_lock_s": 1, "unlock_url": "/abrir"}
    async with scripted(browser, **values) as (box, page):
        await joined(box, page)
        await page.wait_for_selector("[data-locked]")
        await expect(page.get_by_role("textbox", name="Message")).to_be_hidden()
        await expect(page.locator("video[data-role=self]")).to_be_hidden()
        await expect(page.locator("[data-connection=connected]")).to_be_visible()
        await page.get_by_label("PIN").fill("0000")
        await page.get_by_role("button", name="Unlock").click()
        await expect(page.locator("[data-lock] output")).to_have_text("That was not the PIN.")
        await page.get_by_label("PIN").fill(PIN)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("textbox", name="Message")).to_be_visible()
        assert await page.evaluate("() => window.__tamboPeer.connectionState") == "connected"


async def test_in_an_outage_the_page_says_what_is_cut_for_how_long_and_what_may_be_done(browser: Browser) -> None:
    values: dict[str, object] = {"role": "nurse", "at_door": False, "case_url": "/caso"}
    async with scripted(browser, **values) as (box, page):
        await joined(box, page)
        await page.clock.install()
        status, case = page.locator(shown("status")), page.get_by_role("button", name="Turn this into a written case")
        await box.tell_state(heard=False, link={"state": "down", "down_bps": None, "up_bps": None})
        await expect(status).to_have_text("The village's link is down. The call comes back by itself.")
        await expect(case).to_be_hidden()
        await page.clock.run_for(16_000)
        await expect(page.locator(shown("since"))).to_have_text(re.compile(r"0:1[5-9]"))
        await expect(case).to_be_visible()


async def test_without_its_socket_the_page_dials_for_ever_and_goes_on_with_the_same_connection(
    browser: Browser,
) -> None:
    async with scripted(browser) as (box, page):
        await joined(box, page)
        await page.evaluate("() => { window.__before = window.__tamboPeer; }")
        box.is_away = True
        await box.sockets[-1].close()
        await wait_until(lambda: box.dialled >= 4)
        box.is_away = False
        await wait_until(lambda: box.heard[-1]["type"] == "switches" and bool(box.said("resume")))
        assert await page.evaluate("() => window.__before === window.__tamboPeer")
        box.has_media = False
        await page.evaluate("() => window.__far.close()")
        await wait_until(lambda: len(box.said("offer")) == 2, 15)
        await page.wait_for_function("() => window.__tamboPeer.connectionState === 'connected'")
        assert await page.evaluate("() => window.__before !== window.__tamboPeer")


async def test_without_a_camera_the_voice_alone_joins(browser: Browser) -> None:
    async with scripted(browser, NO_CAMERA_JS) as (box, page):
        await page.locator("[data-action=check]").click()
        await expect(page.locator(shown("status"))).to_contain_text("You can join with voice alone.")
        await joined(box, page)
        await wait_until(lambda: bool(box.said("switches")))
        assert box.said("switches")[0]["picture"] is False
        await expect(page.locator(shown("status"))).to_have_text("The other person hears you, but does not see you.")


async def test_who_did_not_allow_the_microphone_reads_what_to_do(browser: Browser) -> None:
    async with scripted(browser, DENIED_JS) as (box, page):
        await page.locator("[data-action=join]").click()
        await expect(page.locator(shown("status"))).to_contain_text("Allow them beside the address, then try again.")
        assert box.dialled == 0


async def test_before_joining_the_page_says_what_the_link_would_carry_and_plays_a_tone(browser: Browser) -> None:
    async with scripted(browser) as (box, page):
        await page.locator("[data-action=check]").click()
        await wait_until(lambda: bool(box.sockets))
        await box.say("outlook", message="Today: voice and a small picture.")
        await expect(page.locator(shown("outlook"))).to_have_text("Today: voice and a small picture.")
        await page.get_by_role("button", name="Play a tone").click()
        await page.wait_for_function("() => document.querySelector('[data-show=level]').value > 0")
        assert box.said("offer") == []


@pytest.mark.parametrize(("role", "scheme"), [("nurse", "light"), ("doctor", "dark")])
async def test_the_whole_page_can_be_read_reached_and_pressed(browser: Browser, role: str, scheme: str) -> None:
    values: dict[str, object] = {"role": role, "case_url": "/caso", "unlock_url": "/abrir", "idle_lock_s": 300}
    async with scripted(browser, **values) as (box, page):
        await page.set_viewport_size({"width": 360, "height": 640})
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
        await joined(box, page)
        await page.evaluate("() => document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert await page.evaluate(FAULTS_JS) == []


def names() -> list[str]:
    return sorted(path.name for path in (content() / "assets").glob("call*.js"))


def test_every_word_the_scripts_say_is_on_the_page() -> None:
    script = "".join((content() / "assets" / name).read_text(encoding="utf-8") for name in names())
    page = (templates() / "call_words.html").read_text(encoding="utf-8")
    said = set(re.findall(r"words\.(\w+)", script))
    assert said - set(re.findall(r'^"(\w+)":', page, re.MULTILINE)) == set()
    assert len(said) > 50


async def test_the_page_with_all_its_scripts_is_small(browser: Browser) -> None:
    async with scripted(browser, case_url="/caso", unlock_url="/abrir") as (_, page):
        text = await page.evaluate("async () => (await fetch(location.href)).text()")
    total = len(code(text.encode(), "br"))
    total += sum(len(code((content() / "assets" / name).read_bytes(), "br", once=True)) for name in names())
    assert total <= ALL_BYTES_MAX
