"""Browsers of a place: a Chromium in a namespace, its camera a painted clock, its microphone something like speech.

Every page gets the same measuring script before its own scripts, and gives what it measured as samples.
"""

import json
import wave
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from io import BytesIO
from math import exp, pi, sin
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, Playwright

from tests.bench.call.place import Place, chromium
from tests.conftest import CHROMIUM_ARGS

HERE = Path(__file__).parent
RATE = 48_000
SPEECH_S = 8
PEER_PAGE = "http://localhost/"  # a secure context that needs no server: the harness answers for it
_STEADY = (
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks",
)


@dataclass(frozen=True)
class Camera:
    """What a page's camera shows; `who` (0 to 3) is written into each frame."""

    who: int
    width: int = 640
    height: int = 480
    fps: int = 20


@asynccontextmanager
async def browser(
    playwright: Playwright, place: Place, namespace: str, origins: Sequence[str]
) -> AsyncIterator[Browser]:
    """Run a Chromium in a namespace; `origins` may use the camera although they are not encrypted."""
    program = place.folder / f"chromium-{namespace}"
    program.write_text(f'#!/bin/sh\nexec ip netns exec {namespace} {chromium()} "$@"\n', encoding="ascii")
    program.chmod(0o755)
    sound = place.folder / "speech.wav"
    if not sound.exists():
        sound.write_bytes(speech())
    given = [*CHROMIUM_ARGS, *_STEADY, f"--use-file-for-fake-audio-capture={sound}"]
    if origins:
        given.append(f"--unsafely-treat-insecure-origin-as-secure={','.join(origins)}")
    started = await playwright.chromium.launch(executable_path=str(program), args=given, timeout=60_000)
    try:
        yield started
    finally:
        with suppress(Exception):  # Ctrl-C has ended it already
            await started.close()


async def opened(browser: Browser, url: str, camera: Camera) -> Page:
    """Return a page that measures itself."""
    context = await browser.new_context(permissions=["camera", "microphone"], locale="en-GB")
    script = (HERE / "page.js").read_text(encoding="utf-8").replace("__SETUP__", json.dumps(asdict(camera)), 1)
    await context.add_init_script(script)
    page = await context.new_page()
    page.set_default_timeout(90_000)
    if url == PEER_PAGE:
        body = (HERE / "peer.html").read_text(encoding="utf-8")
        await page.route(PEER_PAGE, lambda route: route.fulfill(body=body, content_type="text/html"))
    await page.goto(url, wait_until="domcontentloaded")
    return page


async def measured(page: Page) -> dict[str, Any]:
    """Return what a page has measured since it was opened."""
    found: dict[str, Any] = await page.evaluate("() => window.__bench.now()")
    return found


@cache
def speech() -> bytes:
    """Return a WAV file with syllables: a glottal pulse through three formants, and pauses as between sentences."""
    samples = array("h")
    for at in range(RATE * SPEECH_S):
        second = at / RATE
        syllable = second * 4.0 % 1.0
        loud = sin(pi * syllable) ** 2 if second % 2.0 < 1.6 else 0.0
        pitch = 120 + 25 * sin(2 * pi * second * 0.7)
        since = second * pitch % 1.0 / pitch
        vowel = int(second * 4.0) % 3
        formants = ((700, 1100, 2450), (300, 2200, 2900), (400, 800, 2500))[vowel]
        value = sum(sin(2 * pi * each * since) * exp(-since * 250) for each in formants) / 3
        samples.append(int(20_000 * loud * value))
    made = BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return made.getvalue()
