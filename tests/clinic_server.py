"""A clinic behind one listener, as a test asks for it, and the programs that call through its sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.shares import Capacity
from gateway.clinic.invitation import Invitations, invite
from gateway.clinic.keeping import RecordKeeper
from gateway.clinic.media.control import Ear, Relay
from gateway.clinic.media.host import MediaHost, MediaLimits
from gateway.clinic.peer import DirectPath, MediaPath
from gateway.clinic.room import ClinicLimits, ClinicRoom
from gateway.clock import SystemClock
from gateway.errors import GatewayError
from gateway.listener import Listener
from gateway.units import Address
from tests.callers import Viewer, offering

KEY = b"k" * 32
WIDE = Capacity(down_bps=2_000_000, up_bps=2_000_000)
LOOPBACK = Address("127.0.0.1", 0)


@dataclass
class Party(Viewer):
    """A program at one end of a call, joined through the clinic's socket."""

    connection: RTCPeerConnection
    ws: aiohttp.ClientWebSocketResponse
    messages: list[dict[str, Any]] = field(default_factory=list)

    async def listen(self) -> None:
        """Take what the box says until it hangs up."""
        async for message in self.ws:
            said = json.loads(message.data)
            self.messages.append(said)
            if said["type"] == "answer":
                await self.connection.setRemoteDescription(RTCSessionDescription(said["sdp"], "answer"))
            elif said["type"] == "ping":
                await self.ws.send_json({"type": "pong"})


@dataclass
class Clinic:
    """What is served, the links of one consultation, and who joined it."""

    room: ClinicRoom
    backhaul: Backhaul
    host: MediaHost
    links: Invitations
    base: str
    http: aiohttp.ClientSession
    tasks: asyncio.TaskGroup
    parties: list[Party] = field(default_factory=list)
    begun: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self, journey: Coroutine[Any, Any, None]) -> None:
        """Run something until the clinic closes."""
        self.begun.append(self.tasks.create_task(journey))

    async def dial(self, token: str) -> aiohttp.ClientWebSocketResponse:
        """Open a participant's socket."""
        headers = {"Origin": self.base, "Accept-Language": "en"}
        return await self.http.ws_connect(f"{self.base}/{token}", headers=headers)

    async def party(self, token: str) -> Party:
        """Offer one voice and one picture."""
        connection = await offering()
        made = Party(connection, await self.dial(token))
        self.parties.append(made)
        connection.on("track", lambda track: self.begin(made.watch(track)))
        self.begin(made.listen())
        await made.ws.send_json({"type": "offer", "sdp": connection.localDescription.sdp})
        return made


@asynccontextmanager
async def serving(
    limits: ClinicLimits,
    *,
    capacity: Capacity | None = WIDE,
    measured: bool = False,
    address: Address = LOOPBACK,
    far: bool | None = None,
    ear: Ear | None = None,
    media_path: MediaPath | None = None,
    records: RecordKeeper | None = None,
    relays: Callable[[], tuple[Relay, ...]] = tuple,
    pages: Callable[[ClinicRoom], Iterable[web.RouteDef]] = lambda room: (),
    runs: bool = True,
) -> AsyncIterator[Clinic]:
    """A clinic whose sockets are at `/{token}`, the looks at its link at `/{token}/enlace`.

    Unless told, the doctor alone is `far`, and the box's own ear hears.
    """
    clock = SystemClock()

    async def answers(peer: tuple[str, int]) -> bool:
        return bool(peer)

    backhaul = Backhaul(clock, capacity=capacity, carrier=lambda: True, probe=answers, measured=measured)
    host = MediaHost(MediaLimits(), now_s=clock.now_s, ear=ear or backhaul.steering.measuring)
    room = ClinicRoom(
        key=KEY,
        clock=clock,
        backhaul=backhaul,
        media_path=media_path or DirectPath(),
        host=host,
        limits=limits,
        records=records,
        relays=relays,
    )
    links = invite(KEY, wall_s=clock.wall_s(), link_s=limits.link_s, consultation="bed-1")

    async def serve(request: web.Request) -> web.StreamResponse:
        token = request.match_info["token"]
        return await room.serve_socket(request, token, token == links.doctor if far is None else far)

    async def check(request: web.Request) -> web.StreamResponse:
        return await room.check_link(request, request.match_info["token"])

    def said(_: web.BaseRequest, error: GatewayError) -> web.Response:
        return web.Response(status=error.status, text=error.what)

    app = web.Application()
    app.add_routes([*pages(room), web.get("/{token}", serve), web.get("/{token}/enlace", check)])
    listener = Listener("test", address, app, said)
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as http:
        await room.start()
        await listener.start()
        clinic = Clinic(room, backhaul, host, links, f"http://{listener.address}", http, tasks)
        if runs:
            clinic.begin(room.run())
        try:
            yield clinic
        finally:
            await room.stop()
            await listener.stop()
            for party in clinic.parties:
                await party.connection.close()
            for task in clinic.begun:
                task.cancel()
