"""A browser sends its voice twice (RED) once it is asked to, over the same connection; until then it only could."""

import asyncio
from dataclasses import replace

import pytest
from playwright.async_api import Browser, Page

from gateway.clinic import allocation
from gateway.resources import content
from tests.peer.test_call_media import SCRIPTS, call, figures, running, until_figures, went_on

pytestmark = pytest.mark.browser

VOICE = """async () => {
    for (const report of (await window.__tamboPeer.getStats()).values())
        if (report.type === 'outbound-rtp' && report.kind === 'audio') return [report.packetsSent, report.bytesSent];
}"""


@pytest.fixture
def script() -> str:
    return "\n".join((content() / "assets" / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)


async def bytes_a_packet(page: Page) -> float:
    """How large the next second of a page's voice is."""
    packets, sent_bytes = await page.evaluate(VOICE)
    while (now := await page.evaluate(VOICE))[0] < packets + 50:
        await asyncio.sleep(0.05)
    return float(now[1] - sent_bytes) / float(now[0] - packets)


async def test_a_voice_goes_twice_once_packets_are_lost(
    browser: Browser, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(script) as clinic:
        clinic.room._limits = replace(clinic.room._limits, doubles_voices=True)
        async with call(browser, clinic) as (nurse, doctor):
            once = await bytes_a_packet(nurse)
            seen = await figures(doctor)
            monkeypatch.setattr(allocation, "RED_LOSS_RATIO", -1.0)  # as if every page lost packets
            monkeypatch.setattr(allocation, "RED_LOSS_PAST_RATIO", -1.0)
            async with asyncio.timeout(20):
                while await bytes_a_packet(nurse) < 1.6 * once:
                    pass
            await until_figures(doctor, lambda now: went_on(seen, now))
            assert (await figures(doctor))["concealed"] - seen["concealed"] < 4_800, "a tenth of a second"
