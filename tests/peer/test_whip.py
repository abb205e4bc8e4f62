"""A camera without a page publishes into a consultation by WHIP, and a browser watches it by WHEP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack
from playwright.async_api import Browser

from gateway.clinic.room import ClinicLimits, ClinicRoom
from gateway.clinic.whip import Whip
from gateway.clock import SystemClock
from gateway.portal import apology
from gateway.portal.whip_pages import WhipPages
from tests.callers import SmallPicture
from tests.clinic_server import Clinic, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

SDP = {"Content-Type": "application/sdp"}
PLAYER = """async (endpoint) => {
    const peer = window.peer = new RTCPeerConnection({iceServers: []});
    for (const kind of ['audio', 'video']) peer.addTransceiver(kind, {direction: 'recvonly'});
    await peer.setLocalDescription();
    const headers = {'Content-Type': 'application/sdp'};
    const answer = await fetch(endpoint, {method: 'POST', headers, body: peer.localDescription.sdp});
    if (answer.status !== 201) return String(answer.status);
    await peer.setRemoteDescription({type: 'answer', sdp: await answer.text()});
    return answer.headers.get('Location');
}"""
FRAMES = """async () => {
    for (const report of (await window.peer.getStats()).values())
        if (report.type === 'inbound-rtp' && report.kind === 'video') return report.framesDecoded || 0;
    return 0;
}"""


@pytest.fixture
async def clinic() -> AsyncIterator[Clinic]:
    async def home(_: web.Request) -> web.Response:
        return web.Response(text="", content_type="text/html")

    def pages(room: ClinicRoom) -> list[web.RouteDef]:
        return [*WhipPages(Whip(room, SystemClock())).routes(far=False), web.get("/", home)]

    await asyncio.to_thread(apology.load)
    async with serving(ClinicLimits(link_s=600, video_bps_max=700_000, calls_max=2), pages=pages) as found:
        yield found


@asynccontextmanager
async def published(clinic: Clinic, *, voice: bool) -> AsyncIterator[tuple[RTCPeerConnection, str]]:
    """A program that publishes a VP8 picture, and its session's address."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for track in [SmallPicture(), *([AudioStreamTrack()] if voice else [])]:
        connection.addTransceiver(track, "sendonly")
    await connection.setLocalDescription(await connection.createOffer())
    bearer = {"Authorization": f"Bearer {clinic.links.link('camera')}"}
    offer = connection.localDescription.sdp
    async with clinic.http.post(f"{clinic.base}/whip", data=offer, headers={**SDP, **bearer}) as answer:
        assert answer.status == 201, await answer.text()
        session = clinic.base + answer.headers["Location"]
        await connection.setRemoteDescription(RTCSessionDescription(await answer.text(), "answer"))
    try:
        await wait_until(lambda: connection.connectionState == "connected", 10.0)
        yield connection, session
    finally:
        await connection.close()


@pytest.mark.parametrize("voice", [False, True], ids=["an otoscope", "a camera with a microphone"])
async def test_a_browser_watches_what_a_camera_publishes(browser: Browser, clinic: Clinic, voice: bool) -> None:
    async with published(clinic, voice=voice) as (_, session):
        page = await (await browser.new_context()).new_page()
        await page.goto(clinic.base)
        watching = await page.evaluate(PLAYER, f"{clinic.base}/whep/{clinic.links.link('guest')}")
        assert watching.startswith("/whep/sessions/")
        async with asyncio.timeout(15):
            while await page.evaluate(FRAMES) < 20:
                await asyncio.sleep(0.05)
        assert clinic.room.statistics().people == 2
        async with clinic.http.delete(session) as answer:
            assert answer.status == 200
        await wait_until(lambda: clinic.room.statistics().people == 1)
        assert await page.evaluate("async (url) => (await fetch(url, {method: 'DELETE'})).status", watching) == 200
        await wait_until(lambda: clinic.room.statistics().people == 0)


async def test_a_camera_that_is_switched_off_leaves_its_place(clinic: Clinic) -> None:
    async with published(clinic, voice=False) as (connection, session):
        assert clinic.room.statistics().people == 1
        await connection.close()
        await wait_until(lambda: clinic.room.statistics().people == 0, 10.0)
        async with clinic.http.delete(session) as answer:
            assert answer.status == 404
