"""A doctor behind a network that lets nothing but a relay through has a call: both sides meet at coturn.

Three networks: this machine is the box in its village, another is the doctor's, and between them stands the relay with
a public address. Its configuration is that of the documentation: it sends to no private address, so that the box's own
address is of no use, and the box's address at the relay is.
"""

import asyncio
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from playwright.async_api import Browser, Page, async_playwright

from gateway.clinic.room import ClinicLimits, ClinicRoom
from gateway.clinic.turn import relays
from gateway.clock import SystemClock
from gateway.resources import content
from gateway.units import Address
from tests.callers import SmallPicture
from tests.clinic_server import Clinic, serving
from tests.conftest import CHROMIUM_ARGS
from tests.peer.test_call_media import SCRIPTS, pages
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("turnserver") is None, reason="coturn is not installed"),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and iproute2: networks"),
]

SECRET = "shared with the relay"
RELAY_NET, FAR_NET = "tambo-turn", "tambo-far"
BOX, RELAY, FAR = "10.79.1.1", "11.79.0.1", "10.79.2.2"  # the relay's is one that the box takes for public
TURN = f"turn:{RELAY}:3478"
RELAY_ALONE = """const Usual = RTCPeerConnection;
window.RTCPeerConnection = class extends Usual {
    constructor(given) { super({...given, iceTransportPolicy: 'relay'}); }
};"""
FIGURES = """async () => {
    const found = {frames: 0, sent: 0, local: '', remote: ''};
    const stats = window.__tamboPeer ? await window.__tamboPeer.getStats() : new Map();
    for (const report of stats.values()) {
        if (report.type === 'inbound-rtp' && report.kind === 'video') found.frames += report.framesDecoded || 0;
        if (report.type === 'outbound-rtp') found.sent += report.bytesSent;
        if (report.type === 'candidate-pair' && report.nominated) {
            found.local = stats.get(report.localCandidateId).candidateType;
            found.remote = stats.get(report.remoteCandidateId).address;
        }
    }
    return found;
}"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def networks() -> Iterator[None]:
    """The box's, the relay's and the doctor's networks; they go with their namespaces."""
    _take_down()
    try:
        for each in (RELAY_NET, FAR_NET):
            ip("netns", "add", each)
            ip("-n", each, "link", "set", "lo", "up")
        ip("link", "add", "ttbox", "type", "veth", "peer", "name", "village", "netns", RELAY_NET)
        ip("link", "add", "door", "netns", FAR_NET, "type", "veth", "peer", "name", "doctor", "netns", RELAY_NET)
        ip("addr", "add", f"{BOX}/24", "dev", "ttbox")
        ip("link", "set", "ttbox", "up")
        for network, device, address in (
            (RELAY_NET, "village", "10.79.1.2/24"),
            (RELAY_NET, "doctor", "10.79.2.1/24"),
            (RELAY_NET, "lo", f"{RELAY}/32"),
            (FAR_NET, "door", f"{FAR}/24"),
        ):
            ip("-n", network, "addr", "add", address, "dev", device)
            ip("-n", network, "link", "set", device, "up")
        ip("route", "add", f"{RELAY}/32", "via", "10.79.1.2")
        ip("route", "add", "10.79.2.0/24", "via", "10.79.1.2")  # pages, not media
        ip("-n", FAR_NET, "route", "add", "default", "via", "10.79.2.1")
        ip("netns", "exec", RELAY_NET, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        yield
    finally:
        _take_down()


def _take_down() -> None:
    for command in (("link", "del", "ttbox"), ("netns", "del", RELAY_NET), ("netns", "del", FAR_NET)):
        subprocess.run(["ip", *command], check=False, capture_output=True)


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    """The relay's configuration: what the documentation says, with other addresses, another secret and no TLS."""
    text = (Path(__file__).parents[2] / "docs" / "clinic" / "turn.md").read_text(encoding="utf-8")
    (documented,) = re.findall(r"```ini\n(.*?)```", text, re.DOTALL)
    changed = {"static-auth-secret": SECRET, "listening-ip": RELAY, "relay-ip": RELAY, "tls-listening-port": "5349"}
    lines = ["no-tls", "no-dtls", f"pidfile={tmp_path}/pid", f"userdb={tmp_path}/db", "log-file=stdout"]
    for line in documented.splitlines():
        name, equals, value = line.partition("=")
        if name not in {"cert", "pkey"} and not name.startswith("#"):
            lines.append(f"{name}{equals}{changed.get(name, value)}")
    made = tmp_path / "turnserver.conf"
    made.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return made


@pytest.fixture
async def coturn(networks: None, configured: Path) -> AsyncIterator[None]:
    """The relay."""
    server = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", RELAY_NET, "turnserver", "-c", str(configured)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await wait_until(_listens)
    yield
    server.terminate()
    await server.wait()


@pytest.fixture
def far_chromium(chromium: Path, tmp_path: Path) -> Path:
    """A browser that starts in the doctor's network."""
    program = tmp_path / "chromium"
    program.write_text(f'#!/bin/sh\nexec ip netns exec {FAR_NET} {chromium} "$@"\n', encoding="ascii")
    program.chmod(0o755)
    return program


@pytest.fixture
def script() -> str:
    return "\n".join((content() / "assets" / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)


def _listens() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex((RELAY, 3478)) == 0


def clinic(script: str) -> AbstractAsyncContextManager[Clinic]:
    """A room whose far parties come in at the box's address in the village."""
    return serving(
        ClinicLimits(link_s=600, video_bps_max=700_000, calls_max=1),
        address=Address(BOX, 0),
        far=True,
        relays=lambda: relays([TURN], SECRET, SystemClock().wall_s()),
        pages=partial(pages, script, role="doctor"),
    )


@asynccontextmanager
async def running(program: Path, origin: str) -> AsyncIterator[Browser]:
    """A browser that gives its camera to this origin although it is not encrypted."""
    given = [*CHROMIUM_ARGS, f"--unsafely-treat-insecure-origin-as-secure={origin}"]
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=str(program), args=given, timeout=60_000)
        yield started
        await started.close()


@asynccontextmanager
async def near_camera(room: ClinicRoom, token: str) -> AsyncIterator[None]:
    """Somebody in the village who sends a picture."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver(SmallPicture(), "sendonly")
    await connection.setLocalDescription(await connection.createOffer())
    seat = await room.join_without_socket(token, connection.localDescription.sdp, far=False)
    await connection.setRemoteDescription(RTCSessionDescription(seat.answer, "answer"))
    yield
    await connection.close()


async def test_a_doctor_whom_only_a_relay_reaches_has_a_call(coturn: None, far_chromium: Path, script: str) -> None:
    async with clinic(script) as served, running(far_chromium, served.base) as browser:
        context = await browser.new_context(permissions=["camera", "microphone"], locale="en-GB")
        await context.add_init_script(RELAY_ALONE)
        page: Page = await context.new_page()
        async with near_camera(served.room, served.links.link("camera")):
            await page.goto(f"{served.base}/consulta/{served.links.doctor}")
            await page.locator("[data-action=join]").click()
            await page.wait_for_selector("[data-connection=connected]", timeout=20_000)
            async with asyncio.timeout(20):
                while (now := await page.evaluate(FIGURES))["frames"] < 20 or now["sent"] < 20_000:
                    await asyncio.sleep(0.05)
            assert now["local"] == "relay"
            assert now["remote"] == RELAY, "the box is met at the relay: the relay sends to no private address"
            assert served.room.statistics().people == 2
