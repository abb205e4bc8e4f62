"""Two real browsers in one consultation: they see and hear each other through the box, within what the link carries.

The page is the least a consultation's page can be, around the script that is shipped. Nothing is emulated between the
browsers and the box but what the backhaul is told; the demo's tests cross a link.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from gateway.backhaul.sensing.samples import DelaySample, Sees, Way
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.shares import Capacity
from gateway.clinic import link_check
from gateway.clinic.room import ClinicLimits, ClinicRoom
from gateway.clinic.turn import ice_servers
from gateway.resources import content
from tests.clinic_server import WIDE, Clinic, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

SEEN_S = 8
RATE = 48_000  # samples a second
NARROW = Capacity(down_bps=200_000, up_bps=200_000)
TRICKLE = Capacity(down_bps=50_000, up_bps=50_000)
SCRIPTS = ("call", "call_link", "call_media", "call_people", "call_watch", "call_check")
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>call</title>
<script type="application/json" data-strings>{words}</script>
<main data-call data-socket="/{token}" data-check="/{token}/enlace" data-role="{role}" data-ice='{ice}'>
<p data-show="status"></p><p data-show="outlook"></p>
<p data-show="quality"></p><meter data-show="level" max="1"></meter>
<video data-role="self" muted playsinline></video>
<button data-slot="0">
<video data-role="remote" playsinline></video><img alt=""><b data-who></b><i data-why></i></button>
<button data-action="check">c</button><button data-action="join">j</button><button data-action="leave">l</button>
<button data-action="mute">m</button><button data-action="picture">p</button></main>
<script src="/call.js"></script></html>"""
POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; media-src 'self' blob:; base-uri 'none'"
FIGURES = """async () => {
    const found = {frames: 0, samples: 0, concealed: 0, lost: 0, available: 0, sent: 0, voice_packets: 0};
    for (const report of window.__tamboPeer ? (await window.__tamboPeer.getStats()).values() : []) {
        const kind = `${report.type} ${report.kind || ''}`;
        if (kind === 'inbound-rtp video') found.frames = report.framesDecoded || 0;
        if (kind === 'outbound-rtp video') found.sent = report.bytesSent;
        if (kind === 'outbound-rtp audio') found.voice_packets = report.packetsSent;
        if (kind === 'inbound-rtp audio') {
            found.samples = report.totalSamplesReceived || 0;
            found.concealed = report.concealedSamples || 0;
            found.lost = report.packetsLost || 0;
        }
        if (report.type === 'candidate-pair' && report.nominated) {
            found.available = Math.max(found.available, report.availableOutgoingBitrate || 0);  // of the one in use
        }
    }
    return found;
}"""

WAITS = """async () => {
    const made = window.__tamboPeer;
    const [sound, picture] = made.getReceivers();
    if (typeof picture.jitterBufferTarget !== 'number') return null;
    const reports = [...(await sound.getStats()).values()];
    const { jitterBufferDelay, jitterBufferEmittedCount } = reports.find((each) => each.type === 'inbound-rtp');
    const streams = [...made.remoteDescription.sdp.matchAll(/^a=msid:(\\S+)/gm)].slice(0, 2).map((each) => each[1]);
    return [1000 * jitterBufferDelay / jitterBufferEmittedCount, picture.jitterBufferTarget, streams];
}"""


LATE = """() => {
    const made = window.__tamboPeer, take = made.setRemoteDescription.bind(made);
    Object.assign(window, {answers: 0, directions: []});
    made.setRemoteDescription = async (answer) => {
        window.answers += 1;
        window.directions.push([...answer.sdp.matchAll(/^a=(sendrecv|recvonly|sendonly|inactive)/gm)].slice(0, 2)
            .map((each) => each[1]));
        await take(answer);
        made.getReceivers()[0].jitterBufferTarget = null;
    };
    made.getReceivers()[0].jitterBufferTarget = 1500;
}"""


def pages(script: str, room: ClinicRoom, *, role: str = "nurse") -> list[web.RouteDef]:
    """A call's page and its script."""
    words = json.dumps({word: f"[{word}]" for word in re.findall(r"words\.(\w+)", script)})

    async def page(request: web.Request) -> web.Response:
        ice = json.dumps(ice_servers(room.relays()))
        text = PAGE.format(words=words, token=request.match_info["token"], role=role, ice=ice)
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": POLICY})

    async def serve_script(_: web.Request) -> web.Response:
        return web.Response(text=script, content_type="text/javascript")

    return [web.get("/call.js", serve_script), web.get("/consulta/{token}", page)]


def running(script: str) -> AbstractAsyncContextManager[Clinic]:
    limits = ClinicLimits(link_s=600, video_bps_max=700_000, calls_max=2)
    return serving(limits, pages=partial(pages, script))


NONSENSE = [
    "", "{", "[]", "null", '"offer"', "{}", '{"type":7}', '{"type":"offer"}', '{"type":"offer","sdp":7}',
    *(json.dumps({"type": "offer", "sdp": sdp}) for sdp in (
        "", "v=0", "v=0\r\n" * 900, "m=audio 9 UDP/TLS/RTP/SAVPF 111", "\x00\x01", "a=" + "x" * 4_000, "é" * 500,
        "v=0\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n",
        "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", "v=0\nm=video 9 RTP/AVP 96\n",
        "v=0\r\na=ice-ufrag:\r\n", "v=0\r\na=fingerprint:sha-256 00\r\n",
    )),
]  # fmt: skip


@pytest.fixture
def script() -> str:
    return "\n".join((content() / "assets" / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)


@pytest.fixture
async def clinic(script: str) -> AsyncIterator[Clinic]:
    async with running(script) as found:
        yield found


async def joined(browser: Browser, clinic: Clinic, token: str) -> Page:
    context = await browser.new_context(permissions=["camera", "microphone"], locale="en-GB")
    page = await context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"the page's script broke: {error}"))
    await page.goto(f"{clinic.base}/consulta/{token}")
    await page.locator("[data-action=join]").click()
    return page


async def connected(*pages: Page) -> None:
    for page in pages:
        await page.wait_for_selector("[data-connection=connected]", timeout=20_000)


async def figures(page: Page) -> dict[str, float]:
    found: dict[str, float] = await page.evaluate(FIGURES)
    return found


async def until_figures(page: Page, holds: Callable[[dict[str, float]], bool], deadline_s: float = 15.0) -> None:
    now: dict[str, float] = {}
    try:
        async with asyncio.timeout(deadline_s):
            while not holds(now := await figures(page)):
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"not so within {deadline_s} s: {now}")


def grown(seen: dict[str, float], now: dict[str, float]) -> bool:
    """Whether `SEEN_S` of sound and at least ten pictures a second have come since."""
    return now["frames"] > seen["frames"] + 10 * SEEN_S and now["samples"] > seen["samples"] + RATE * SEEN_S


def heard_on(seen: dict[str, float], now: dict[str, float]) -> bool:
    """Whether three seconds of sound have come since."""
    return now["samples"] > seen["samples"] + 3 * RATE


def went_on(seen: dict[str, float], now: dict[str, float]) -> bool:
    """Whether a second of sound and picture has come since."""
    return now["frames"] > seen["frames"] + 20 and now["samples"] > seen["samples"] + RATE


@asynccontextmanager
async def call(browser: Browser, clinic: Clinic) -> AsyncIterator[tuple[Page, Page]]:
    """A nurse's and a doctor's page that see and hear each other."""
    pages = await joined(browser, clinic, clinic.links.nurse), await joined(browser, clinic, clinic.links.doctor)
    await connected(*pages)
    for page in pages:
        await until_figures(page, lambda now: now["frames"] > 20 and now["samples"] > RATE)
    yield pages


async def test_two_browsers_see_and_hear_each_other(browser: Browser, clinic: Clinic) -> None:
    async with call(browser, clinic) as pages:
        before = [await figures(page) for page in pages]
        for page, seen in zip(pages, before, strict=True):
            await until_figures(page, partial(grown, seen), SEEN_S + 10)
        for page, seen in zip(pages, before, strict=True):
            now = await figures(page)
            assert now["concealed"] - seen["concealed"] < 0.02 * (now["samples"] - seen["samples"]), now
            assert now["lost"] == 0
            assert await page.locator("[data-show=status]").inner_text() == "[connected]"
        assert clinic.room.statistics().calls == 1
        carried = clinic.backhaul.moved()[TrafficClass.REALTIME]
        assert min(carried.down_bytes, carried.up_bytes) > 100_000


async def test_a_picture_waits_for_its_sound_only_until_lips_are_seen_an_eighth_of_a_second_early(
    browser: Browser, clinic: Clinic
) -> None:
    async with call(browser, clinic) as (nurse, doctor):
        for page in (nurse, doctor):
            async with asyncio.timeout(10):
                while (waits := await page.evaluate(WAITS)) is None:
                    await asyncio.sleep(0.05)
            sound_ms, picture_ms, streams = waits
            assert 0 <= picture_ms < max(sound_ms - 50, 1), "a packet of sound holds 60 ms at most"
            assert len(set(streams)) == 2, "browsers hold pictures of one stream back until they are heard"


async def test_a_sound_that_waits_long_for_nothing_is_begun_anew_and_all_goes_on(
    browser: Browser, clinic: Clinic
) -> None:
    async with call(browser, clinic) as (nurse, _):
        await nurse.evaluate(LATE)
        async with asyncio.timeout(15):
            while await nurse.evaluate("() => window.answers") < 2:
                await asyncio.sleep(0.1)
        silent, whole = await nurse.evaluate("() => window.directions")
        assert (silent, whole) == (["recvonly", "sendrecv"], ["sendrecv", "sendrecv"]), "the picture is not touched"
        await until_figures(nurse, lambda now: now["samples"] < 3 * RATE)
        seen = await figures(nurse)
        await until_figures(nurse, partial(heard_on, seen))
        now = await figures(nurse)
        assert now["voice_packets"] > seen["voice_packets"], "nor is the own voice"
        assert now["frames"] > seen["frames"] + 20


async def test_both_senders_follow_the_link_down_and_up_again(browser: Browser, clinic: Clinic) -> None:
    async with call(browser, clinic) as pages:
        for page in pages:
            await until_figures(page, lambda now: now["available"] > 300_000)
        clinic.backhaul.tell_capacity(NARROW)
        for page in pages:
            await until_figures(page, lambda now: 30_000 < now["available"] < 150_000, 3.0)
        for page in pages:
            assert await sent_bps(page, settle_s=3.0, over_s=3.0) < NARROW.up_bps
        clinic.backhaul.tell_capacity(WIDE)
        for page in pages:
            await until_figures(page, lambda now: now["available"] > 250_000, 20.0)


async def test_a_link_too_weak_for_a_picture_keeps_the_voice_and_says_so(browser: Browser, clinic: Clinic) -> None:
    clinic.backhaul.tell_capacity(TRICKLE)
    pages = await joined(browser, clinic, clinic.links.nurse), await joined(browser, clinic, clinic.links.doctor)
    await connected(*pages)
    for page in pages:
        await until_figures(page, lambda now: now["samples"] > 3 * RATE)
        assert await page.locator("[data-show=status]").inner_text() == "[paused]"
        seen = await figures(page)
        await until_figures(page, partial(heard_on, seen))
        now = await figures(page)
        heard_s = (now["samples"] - seen["samples"]) / RATE
        assert now["voice_packets"] - seen["voice_packets"] < heard_s * 20, "three words a packet, 17 packets a second"
        assert now["sent"] == 0
    clinic.backhaul.tell_capacity(WIDE)
    for page in pages:
        await until_figures(page, lambda now: now["frames"] > 20)
        assert await page.locator("[data-show=status]").inner_text() == "[connected]"


async def test_a_call_tells_of_the_link_and_the_nurse_s_wi_fi_does_not(
    browser: Browser, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[DelaySample] = []
    losses: list[tuple[Way, int, int]] = []
    monkeypatch.setattr(clinic.backhaul.steering.measuring, "hear", delays.extend)
    monkeypatch.setattr(clinic.backhaul.steering.measuring, "hear_loss", lambda *loss: losses.append(loss))
    async with call(browser, clinic) as (_, doctor):
        delays.clear()
        losses.clear()
        voices = (await figures(doctor))["voice_packets"]
        await until_figures(doctor, lambda now: now["voice_packets"] > voices + 300)
        await wait_until(lambda: any(each.sees is Sees.BOTH for each in delays))
        await wait_until(lambda: {way for way, *_ in losses} == set(Way))
    down = [each.delay_s for each in delays if each.sees is Sees.DOWN]
    assert len({each.path for each in delays if each.sees is Sees.DOWN}) == 1
    assert len(down) > 250, "nearly each packet of a voice"
    assert sorted(down)[len(down) * 3 // 4] - min(down) < 0.03
    assert all(0 <= each.delay_s < 0.5 for each in delays if each.sees is Sees.BOTH)
    assert sum(lost for *_, lost in losses) == 0
    assert all(0 < expected < 1_000 for _, expected, _ in losses)


async def test_who_waits_reads_what_the_link_would_carry(browser: Browser, clinic: Clinic) -> None:
    clinic.backhaul.tell_capacity(TRICKLE)
    nurse = await joined(browser, clinic, clinic.links.nurse)
    outlook = nurse.locator("[data-show=outlook]")
    await expect(outlook).to_have_text(
        "Today the link carries a voice, without a picture."
        " Begin with the voice: the picture comes by itself when the link allows."
    )
    clinic.backhaul.tell_capacity(WIDE)
    await expect(outlook).to_have_text(
        "Today the link carries voice and a clear picture. You can begin.", timeout=9_000
    )
    doctor = await joined(browser, clinic, clinic.links.doctor)
    await connected(nurse, doctor)
    await expect(outlook).to_have_text("")


async def test_a_page_beyond_the_link_finds_out_what_it_carries_before_the_call(
    browser: Browser, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_check, "NEAR_S", 0.0)  # no link is emulated
    limits = ClinicLimits(link_s=600, video_bps_max=700_000, calls_max=2)
    async with serving(limits, capacity=None, measured=True, pages=partial(pages, script)) as clinic:
        page = await (await browser.new_context(locale="en-GB")).new_page()
        await page.goto(f"{clinic.base}/consulta/{clinic.links.doctor}")
        outlook = page.locator("[data-show=outlook]")
        await expect(outlook).to_have_text("Today the link carries voice and a clear picture. You can begin.")
        assert clinic.backhaul.is_known()
        assert clinic.backhaul.call_budget().up_bps == 800_000


async def test_a_link_that_moved_is_noticed_within_seconds_and_the_call_goes_on(
    browser: Browser, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with call(browser, clinic) as (nurse, doctor):
        (consultation,) = clinic.room._consultations.values()
        place = consultation._places["doctor"]
        before = place.peer
        assert before is not None
        assert place.socket is not None
        monkeypatch.setattr(place.socket, "say", lambda message: None)  # nothing gets through by the old way
        began_s = asyncio.get_running_loop().time()
        consultation.move()
        await nurse.wait_for_selector("[data-connection=waiting]")
        await wait_until(lambda: consultation._places["doctor"].peer not in {None, before}, 8)
        await connected(nurse, doctor)
        assert asyncio.get_running_loop().time() - began_s < 10
        for page in (nurse, doctor):
            await until_figures(page, lambda now: now["frames"] > 10)
        assert clinic.room.statistics().calls == 1


async def test_who_is_silent_and_unseen_is_not_taken_for_gone(browser: Browser, clinic: Clinic) -> None:
    dialled: list[str] = []
    async with call(browser, clinic) as (nurse, doctor):
        for page in (nurse, doctor):
            page.on("websocket", lambda socket: dialled.append(socket.url))
            await page.locator("[data-action=mute]").click()
            await page.locator("[data-action=picture]").click()
        seen = await figures(doctor)
        await until_figures(doctor, lambda now: now["samples"] > seen["samples"] + RATE * SEEN_S)
        clinic.backhaul.tell_capacity(TRICKLE)
        await nurse.locator("[data-action=leave]").click()
        await doctor.wait_for_selector("[data-connection=waiting]")
        (consultation,) = clinic.room._consultations.values()
        peer = consultation._places["doctor"].peer
        assert peer is not None
        sent_bytes = peer.figures.sent_bytes
        await wait_until(lambda: peer.figures.sent_bytes > sent_bytes + 1_200)  # reports alone: 200 B a second
        assert await doctor.get_attribute("[data-call]", "data-connection") == "waiting"
    assert dialled == []


async def test_who_was_cut_off_joins_again_and_the_other_one_sees_them(browser: Browser, clinic: Clinic) -> None:
    async with call(browser, clinic) as (nurse, doctor):
        await nurse.context.close()
        await doctor.wait_for_selector("[data-connection=waiting]", timeout=20_000)
        seen = await figures(doctor)
        again = await joined(browser, clinic, clinic.links.nurse)
        await connected(again, doctor)
        await until_figures(again, lambda now: now["frames"] > 20 and now["samples"] > RATE)
        await until_figures(doctor, partial(went_on, seen))


async def test_a_second_page_takes_the_place_and_the_first_one_says_so(browser: Browser, clinic: Clinic) -> None:
    async with call(browser, clinic) as (nurse, doctor):
        again = await joined(browser, clinic, clinic.links.nurse)
        await nurse.wait_for_selector("[data-connection=ended]", timeout=10_000)
        assert await nurse.locator("[data-show=status]").inner_text() == "[replaced]"
        seen = await figures(doctor)
        await until_figures(again, lambda now: now["frames"] > 20)
        await until_figures(doctor, lambda now: now["frames"] > seen["frames"] + 20)


async def test_a_lost_socket_comes_back_and_the_media_never_stops(browser: Browser, clinic: Clinic) -> None:
    async with call(browser, clinic) as (nurse, doctor):
        for socket in list(clinic.room._sockets):
            socket.hang_up()
        await wait_until(lambda: clinic.room.statistics().sockets == 0)
        seen = await figures(doctor)
        await wait_until(lambda: clinic.room.statistics().sockets == 2)
        await connected(nurse, doctor)
        await until_figures(doctor, lambda now: now["frames"] > seen["frames"] + 10)
        assert (await figures(doctor))["frames"] > seen["frames"], "the same connection went on counting"


async def test_nonsense_on_the_socket_ends_nobody_s_call(browser: Browser, clinic: Clinic) -> None:
    async with call(browser, clinic) as pages:
        before = [await figures(page) for page in pages]
        for token in (clinic.links.nurse, clinic.links.doctor):
            for text in NONSENSE:
                async with await clinic.dial(token) as ws:
                    await ws.send_str(text)
                    said = [await ws.receive_json(timeout=5) for _ in range(3)]
                    assert sorted(each["type"] for each in said) == ["outlook", "ping", "refused"], text[:60]
        for page, seen in zip(pages, before, strict=True):
            await until_figures(page, partial(went_on, seen))


async def test_the_device_check_shows_the_picture_and_says_that_it_works(browser: Browser, clinic: Clinic) -> None:
    context = await browser.new_context(permissions=["camera", "microphone"])
    page = await context.new_page()
    await page.goto(f"{clinic.base}/consulta/{clinic.links.nurse}")
    assert await page.locator("[data-show=status]").inner_text() == "[ready]"
    await page.locator("[data-action=check]").click()
    await page.wait_for_function("() => document.querySelector('video[data-role=self]').videoWidth > 0")
    assert await page.locator("[data-show=status]").inner_text() == "[checked]"
    assert await page.get_attribute("[data-call]", "data-connection") == "idle"
    await page.wait_for_function("() => document.querySelector('[data-show=level]').value > 0")


async def sent_bps(page: Page, *, settle_s: float, over_s: float) -> float:
    """How much picture a page sends, once its encoder has followed."""
    before: dict[str, float] = {}
    began_s = asyncio.get_running_loop().time()
    while True:
        now_s = asyncio.get_running_loop().time()
        if not before and now_s - began_s >= settle_s:
            before = {**await figures(page), "at_s": now_s}
        if before and now_s - before["at_s"] >= over_s:
            return ((await figures(page))["sent"] - before["sent"]) * 8 / (now_s - before["at_s"])
        await asyncio.sleep(0.05)
