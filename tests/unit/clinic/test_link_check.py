"""Before a call the page and the box find out what the link carries; whoever does not play along ends nothing."""

import asyncio
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest

from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clinic import link_check
from gateway.clinic.link_check import CHECKS_AT_ONCE, PIECE_BYTES
from gateway.clinic.room import ClinicLimits
from tests.clinic_server import WIDE, Clinic, serving

LIMITS = ClinicLimits(link_s=600, video_bps_max=700_000, calls_max=2)


@pytest.fixture
async def clinic(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clinic]:
    monkeypatch.setattr(link_check, "NEAR_S", 0.0)  # no link is emulated
    async with serving(LIMITS, capacity=None, measured=True) as made:
        yield made


class Page:
    """What a browser does with a look, and how much that was."""

    def __init__(self) -> None:
        self.sent_bytes = self.taken_bytes = 0
        self.outlook: str | None = None

    async def look(self, clinic: Clinic, *, origin: str | None = None) -> None:
        """Do what the box asks, until it has said what the link would carry."""
        async with await dialled(clinic, origin) as socket:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    self.taken_bytes += len(message.data)
                    continue
                asked = message.json()
                if asked["type"] == "outlook":
                    self.outlook = asked["message"]
                    continue
                for left in range(asked["bytes"], 0, -PIECE_BYTES):
                    await socket.send_bytes(os.urandom(min(PIECE_BYTES, left)))
                self.sent_bytes += asked["bytes"]


async def dialled(clinic: Clinic, origin: str | None = None) -> aiohttp.ClientWebSocketResponse:
    headers = {"Origin": origin or clinic.base, "Accept-Language": "en"}
    return await clinic.http.ws_connect(f"{clinic.base}/{clinic.links.doctor}/enlace", headers=headers)


async def looked(clinic: Clinic) -> Page:
    page = Page()
    await page.look(clinic)
    return page


async def test_a_link_nobody_knew_is_known_and_the_page_is_told(clinic: Clinic) -> None:
    page = await looked(clinic)
    assert clinic.backhaul.is_known()
    assert page.outlook == "Today the link carries voice and a clear picture. You can begin."
    assert 0 < page.sent_bytes <= 2 * LIMITS.check_bytes_max
    assert 0 < page.taken_bytes <= 2 * LIMITS.check_bytes_max
    moved = clinic.backhaul.moved()[TrafficClass.INTERACTIVE]
    assert (moved.down_bytes, moved.up_bytes) == (page.sent_bytes, page.taken_bytes)
    assert clinic.backhaul.call_budget().up_bps == clinic.backhaul.call_budget().down_bps == 800_000


async def test_what_is_known_is_not_looked_for_again(clinic: Clinic) -> None:
    await looked(clinic)
    page = await looked(clinic)
    assert (page.sent_bytes, page.taken_bytes) == (0, 0)
    assert page.outlook


@pytest.mark.parametrize("told", [True, False])
async def test_nothing_is_sent_where_the_rate_is_told_or_nobody_is_to_look(told: bool) -> None:
    limits = LIMITS if told else ClinicLimits(600, 700_000, 2, check_bytes_max=0)
    async with serving(limits, capacity=WIDE if told else None, measured=not told) as clinic:
        page = await looked(clinic)
    assert (page.sent_bytes, page.taken_bytes) == (0, 0)
    assert page.outlook


async def test_a_call_under_way_is_not_disturbed(clinic: Clinic) -> None:
    with clinic.backhaul.share(TrafficClass.REALTIME):
        assert (await looked(clinic)).sent_bytes == 0
    assert (await looked(clinic)).sent_bytes > 0


async def test_who_tries_the_door_in_the_village_tells_nothing_of_the_link(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_check, "NEAR_S", 60.0)
    page = await looked(clinic)
    assert (page.sent_bytes, page.taken_bytes) == (0, 0)
    assert page.outlook
    assert not clinic.backhaul.is_known()


async def test_another_site_may_not_look(clinic: Clinic) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await dialled(clinic, "https://evil.example.org")
    assert refused.value.status == 403


@pytest.mark.parametrize("answer", [b"", b"x" * (PIECE_BYTES - 1), b"x" * (2 * PIECE_BYTES - 1), "{}", None])
async def test_whoever_sends_something_else_is_told_what_is_known(clinic: Clinic, answer: bytes | str | None) -> None:
    async with await dialled(clinic) as socket:
        assert (await socket.receive_json())["type"] == "send"
        if isinstance(answer, bytes):
            await socket.send_bytes(answer)
        elif answer is None:
            await socket.close()
            return
        else:
            await socket.send_str(answer)
        assert (await socket.receive_json())["type"] == "outlook"
    assert not clinic.backhaul.is_known()
    assert (await looked(clinic)).sent_bytes > 0, "nobody else is kept from it"


async def test_a_page_that_says_nothing_is_waited_for_as_long_as_a_call_may_wait(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_check, "CHECK_S", 0.2)
    async with await dialled(clinic) as silent:
        assert (await silent.receive_json())["type"] == "send"
        assert (await looked(clinic)).sent_bytes == 0, "one at a time"
        async with asyncio.timeout(5):
            assert (await silent.receive_json())["type"] == "outlook"
    assert (await looked(clinic)).sent_bytes > 0


async def test_a_page_that_is_loaded_over_and_over_does_not_fill_the_link(clinic: Clinic) -> None:
    for _ in range(CHECKS_AT_ONCE):
        async with await dialled(clinic) as socket:
            assert (await socket.receive_json())["type"] == "send"
            await socket.send_str("no")
            await socket.receive_json()
    assert (await looked(clinic)).sent_bytes == 0


async def test_a_page_that_goes_while_it_is_sent_something_ends_nothing(clinic: Clinic) -> None:
    async with await dialled(clinic) as socket:
        while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            for left in range(message.json()["bytes"], 0, -PIECE_BYTES):
                await socket.send_bytes(os.urandom(min(PIECE_BYTES, left)))
        assert message.type is aiohttp.WSMsgType.BINARY
        response = socket._response
        assert response.connection is not None
        assert response.connection.transport is not None
        response.connection.transport.abort()
    await clinic_forgets(clinic)
    assert (await looked(clinic)).sent_bytes > 0


async def clinic_forgets(clinic: Clinic) -> None:
    """Wait until nobody looks any more."""
    async with asyncio.timeout(5):
        while clinic.room._check._is_looking:
            await asyncio.sleep(0.01)
