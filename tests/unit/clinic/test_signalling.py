"""A socket opens for a page of this host with a genuine link; what is refused is refused in the reader's words."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from gateway.backhaul.link import Backhaul
from gateway.clinic.invitation import Invitation, invite, sign
from gateway.clinic.peer import DirectPath
from gateway.clinic.room import SOCKETS_PER_PLACE_MAX, ClinicLimits, ClinicRoom
from gateway.clinic.signalling import REFUSALS_MAX
from gateway.clock import SystemClock
from gateway.errors import GatewayError
from gateway.listener import Listener
from gateway.units import Address
from tests.waiting import wait_until

KEY = b"k" * 32


class Door:
    """A clinic's socket behind a listener, and a browser's way to it."""

    def __init__(self, room: ClinicRoom, base: str, http: aiohttp.ClientSession) -> None:
        self.room = room
        self.base = base
        self.http = http
        self.tokens = invite(KEY, wall_s=SystemClock().wall_s(), link_s=60, consultation="bed-1")

    async def dial(self, token: str | None = None, origin: str | None = None) -> aiohttp.ClientWebSocketResponse:
        headers = {"Accept-Language": "en"}
        if origin != "":
            headers["Origin"] = origin or self.base
        return await self.http.ws_connect(f"{self.base}/{token or self.tokens.nurse}", headers=headers)

    async def status(self, token: str | None = None, origin: str | None = None) -> int:
        try:
            ws = await self.dial(token, origin)
        except aiohttp.WSServerHandshakeError as exc:
            return exc.status
        await ws.close()
        return 101


@asynccontextmanager
async def opened(limits: ClinicLimits) -> AsyncIterator[Door]:
    clock = SystemClock()

    async def answers(peer: tuple[str, int]) -> bool:
        return bool(peer)

    backhaul = Backhaul(clock, capacity=None, carrier=lambda: True, probe=answers)
    room = ClinicRoom(key=KEY, clock=clock, backhaul=backhaul, media_path=DirectPath(), limits=limits)

    async def serve(request: web.Request) -> web.StreamResponse:
        return await room.serve_socket(request, request.match_info["token"])

    def said(_: web.BaseRequest, error: GatewayError) -> web.Response:
        return web.Response(status=error.status, text=error.what)

    app = web.Application()
    app.add_routes([web.get("/{token}", serve)])
    listener = Listener("test", Address("127.0.0.1", 0), app, said)
    await listener.start()
    await room.start()
    async with aiohttp.ClientSession() as http:
        yield Door(room, f"http://{listener.address}", http)
    await room.stop()
    await listener.stop()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened(ClinicLimits(link_s=60, video_bps_max=700_000, calls_max=2, messages_per_s_max=50)) as found:
        yield found


async def refusal(ws: aiohttp.ClientWebSocketResponse) -> dict[str, object]:
    async with asyncio.timeout(5):
        while (said := await ws.receive_json())["type"] == "ping":
            pass
    assert said["type"] == "refused"
    found: dict[str, object] = said
    return found


async def test_a_page_of_another_host_opens_nothing(door: Door) -> None:
    for origin in ("", "null", "http://evil.example", "file://", door.base + "0", "ws" + door.base[4:], "http://["):
        assert await door.status(origin=origin) == 403, origin
    assert await door.status() == 101


async def test_a_link_that_is_not_genuine_opens_nothing(door: Door) -> None:
    for token in ("x", door.tokens.nurse[:-2], sign(b"other key", Invitation("bed-1", "nurse", 2**40))):
        assert await door.status(token) == 403


async def test_a_link_that_has_run_out_is_told_so_in_words(door: Door) -> None:
    async with await door.dial(sign(KEY, Invitation("bed-1", "nurse", 1_000))) as ws:
        said = await refusal(ws)
        assert said == {
            "type": "refused",
            "message": "This consultation link has expired. Ask the clinic for a new link.",
            "final": True,
        }
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_a_request_that_is_no_websocket_gets_a_status(door: Door) -> None:
    async with door.http.get(f"{door.base}/{door.tokens.nurse}", headers={"Origin": door.base}) as answer:
        assert answer.status == 400


async def test_nonsense_is_refused_and_too_much_of_it_closes_the_socket(door: Door) -> None:
    async with await door.dial() as ws:
        for _ in range(REFUSALS_MAX):
            await ws.send_str("nonsense")
            assert (await refusal(ws))["final"] is False
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_bytes_are_refused_as_words_are(door: Door) -> None:
    async with await door.dial() as ws:
        await ws.send_bytes(b"\x00")
        assert str((await refusal(ws))["message"]).endswith(".")


async def test_a_message_over_the_limit_closes_the_socket(door: Door) -> None:
    async with await door.dial() as ws:
        await ws.send_str("x" * 70_000)
        async with asyncio.timeout(5):
            while (said := await ws.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert said.type is aiohttp.WSMsgType.CLOSE
        assert said.data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_messages_too_fast_close_the_socket() -> None:
    limits = ClinicLimits(link_s=60, video_bps_max=700_000, calls_max=2, messages_per_s_max=2)
    async with opened(limits) as door, await door.dial() as ws:
        for _ in range(5):
            await ws.send_str('{"type":"pong"}')
        assert str((await refusal(ws))["message"]).startswith("That was asked too often.")
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_only_so_many_sockets_are_served() -> None:
    limits = ClinicLimits(link_s=60, video_bps_max=700_000, calls_max=2, sockets_max=1)
    async with opened(limits) as door, await door.dial():
        assert await door.status() == 503


async def test_one_link_cannot_fill_the_clinic() -> None:
    limits = ClinicLimits(link_s=60, video_bps_max=700_000, calls_max=2, sockets_max=SOCKETS_PER_PLACE_MAX + 1)
    async with opened(limits) as door, AsyncExitStack() as held:
        sockets = [await held.enter_async_context(await door.dial()) for _ in range(SOCKETS_PER_PLACE_MAX + 3)]
        async with asyncio.timeout(5):
            while (await sockets[0].receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert door.room.statistics().sockets == SOCKETS_PER_PLACE_MAX


async def test_a_socket_that_closes_leaves_nothing(door: Door) -> None:
    for _ in range(5):
        async with await door.dial() as ws:
            await ws.send_str('{"type":"resume"}')
            await ws.send_str('{"type":"offer","sdp":"v=0"}')
    await wait_until(lambda: door.room.statistics().sockets == 0)
    assert door.room.statistics().consultations == 0


async def test_stopping_closes_sockets_that_never_joined(door: Door) -> None:
    async with await door.dial() as ws:
        await wait_until(lambda: door.room.statistics().sockets == 1)
        await door.room.stop()
        async with asyncio.timeout(5):
            while (await ws.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert await door.status() == 503
