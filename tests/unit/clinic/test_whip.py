"""A camera's session begins with an offer and ends once; what is wrong with a request is said in a problem document."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from gateway.clinic.invitation import Invitation, Role, read, sign
from gateway.clinic.media.control import Relay
from gateway.clinic.media.sdp_text import TEXT_CHARS_MAX
from gateway.clinic.room import Seat
from gateway.clinic.whip import OFFERS_BURST_S, OFFERS_PER_S_MAX, SESSIONS_MAX, Direction, Whip
from gateway.errors import GatewayError, NoCapacity, NotFound, TooMany
from gateway.listener import Listener
from gateway.portal import apology
from gateway.portal.whip_pages import WhipPages
from gateway.units import Address
from tests.clocks import HandClock
from tests.unit.clinic.whip_offers import camera, screen

KEY = b"k" * 32
SDP = {"Content-Type": "application/sdp", "Accept-Language": "en"}
OTHER = "https://viewer.example.org"


@dataclass
class Room:
    """A room that seats whoever comes."""

    clock: HandClock
    seats: dict[tuple[str, str], Seat] = field(default_factory=dict)
    came: list[tuple[str, bool]] = field(default_factory=list)
    legs: int = 0
    is_full: bool = False

    def read(self, token: str) -> Invitation:
        return read(KEY, token, self.clock.wall_s())

    def relays(self) -> tuple[Relay, ...]:
        return (Relay("turn:relay.example.org", "1800043200", "made+of/it="),)

    async def join_without_socket(self, token: str, sdp: str, *, far: bool) -> Seat:
        if self.is_full:
            raise NoCapacity
        assert sdp.startswith("v=0")
        invitation = self.read(token)
        self.legs += 1
        self.came.append((invitation.role, far))
        seat = Seat(invitation, self.legs, f"answer {self.legs}")
        self.seats[invitation.consultation, invitation.role] = seat
        return seat

    def holds(self, seat: Seat) -> bool:
        return self.seats.get((seat.invitation.consultation, seat.invitation.role)) == seat

    def leave_without_socket(self, seat: Seat) -> None:
        if self.holds(seat):
            del self.seats[seat.invitation.consultation, seat.invitation.role]

    def token(self, role: Role, consultation: str = "bed-1") -> str:
        return sign(KEY, Invitation(consultation, role, int(self.clock.wall_s()) + 600))


@dataclass
class Door:
    """The endpoints in the village and at the door."""

    room: Room
    near: str
    far: str
    http: aiohttp.ClientSession


@pytest.fixture
def room(clock: HandClock) -> Room:
    return Room(clock)


@pytest.fixture
async def door(room: Room, clock: HandClock) -> AsyncIterator[Door]:
    await asyncio.to_thread(apology.load)
    pages = WhipPages(Whip(room, clock, origins=frozenset({OTHER})))

    def said(_: web.BaseRequest, error: GatewayError) -> web.Response:
        return web.Response(status=error.status)

    listeners = []
    for far in (False, True):
        app = web.Application()
        app.add_routes(pages.routes(far=far))
        listeners.append(Listener("test", Address("127.0.0.1", 0), app, said))
    async with aiohttp.ClientSession() as http:
        for each in listeners:
            await each.start()
        near, far_url = (f"http://127.0.0.1:{each.address.port}" for each in listeners)
        yield Door(room, near, far_url, http)
        for each in listeners:
            await each.stop()


async def test_a_camera_s_session_begins_and_ends(door: Door) -> None:
    token = door.room.token("camera")
    async with door.http.post(f"{door.near}/whip/{token}", data=camera(), headers=SDP) as answer:
        assert answer.status == 201
        assert answer.content_type == "application/sdp"
        assert answer.headers["ETag"].startswith('"')
        assert answer.headers["Cache-Control"] == "no-store"
        assert token not in answer.headers["Location"]
        assert "Link" not in answer.headers, "nobody near needs a relay"
        session = door.near + answer.headers["Location"]
        assert await answer.text() == "answer 1"
    assert door.room.came == [("camera", False)]
    async with door.http.patch(session, data="a=candidate", headers=SDP) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "DELETE, OPTIONS")
    for status in (200, 404):
        async with door.http.delete(session) as answer:
            assert answer.status == status
    assert door.room.seats == {}


async def test_a_token_may_come_as_a_bearer_s_and_then_is_the_session_s(door: Door) -> None:
    token = door.room.token("guest")
    bearer = {"Authorization": f"Bearer {token}"}
    async with door.http.post(f"{door.far}/whep", data=screen(), headers={**SDP, **bearer}) as answer:
        assert answer.status == 201
        assert answer.headers["Link"] == (
            '<turn:relay.example.org>; rel="ice-server"; username="1800043200"; credential="made+of/it="; '
            'credential-type="password"'
        )
        session = door.far + answer.headers["Location"]
    assert door.room.came == [("guest", True)]
    for headers, status in (
        ({"Authorization": "Bearer other"}, 401),
        ({"Authorization": "Basic eDp5"}, 401),
        (bearer, 200),
    ):
        async with door.http.delete(session, headers=headers) as answer:
            assert answer.status == status
            assert ("WWW-Authenticate" in answer.headers) is (status == 401)


async def test_what_is_wrong_is_said_in_a_problem_document(door: Door) -> None:
    camera_link, guest, doctor = (door.room.token(role) for role in ("camera", "guest", "doctor"))
    for path, body, headers, status in (
        ("/whip", camera(), {}, 401),
        (f"/whip/{camera_link}", camera(), {"Authorization": f"Bearer {guest}"}, 400),
        ("/whip/forged", camera(), {}, 403),
        (f"/whip/{doctor}", camera(), {}, 403),
        (f"/whip/{guest}", camera(), {}, 403),
        (f"/whep/{camera_link}", screen(), {}, 403),
        (f"/whip/{camera_link}", camera(), {"Content-Type": "text/plain"}, 415),
        (f"/whip/{camera_link}", "v=0", {}, 400),
        (f"/whip/{camera_link}", b"\xff\xfe", {}, 400),
        (f"/whip/{camera_link}", screen(), {}, 400),
        (f"/whip/{camera_link}", "v" * (TEXT_CHARS_MAX + 1), {}, 413),
        (f"/whep/{guest}", camera("audio", "video"), {}, 400),
        (f"/whep/{guest}", screen("video"), {}, 400),
        (f"/whip/{camera_link}", camera(), {"Origin": "https://elsewhere.example.org"}, 403),
        (f"/whip/{camera_link}", camera(), {"Origin": "null"}, 403),
    ):
        async with door.http.post(door.near + path, data=body, headers={**SDP, **headers}) as answer:
            assert (answer.status, path) == (status, path)
            assert answer.content_type == "application/problem+json"
            told = await answer.json(content_type=None)
            assert told["status"] == status
            assert told["title"].endswith(".")
            assert "forged" not in str(told)
    assert door.room.came == []


async def test_a_full_room_says_when_to_come_again(door: Door) -> None:
    door.room.is_full = True
    async with door.http.post(f"{door.near}/whip/{door.room.token('camera')}", data=camera(), headers=SDP) as answer:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0


async def test_other_methods_and_a_page_s_questions_are_answered(door: Door) -> None:
    endpoint = f"{door.near}/whip/{door.room.token('camera')}"
    async with door.http.get(endpoint) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "OPTIONS, POST")
    async with door.http.options(endpoint) as answer:
        assert (answer.status, answer.headers["Accept-Post"]) == (204, "application/sdp")
        assert "Access-Control-Allow-Origin" not in answer.headers
    async with door.http.options(endpoint, headers={"Origin": OTHER}) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == OTHER
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    async with door.http.post(endpoint, data=camera(), headers={**SDP, "Origin": OTHER}) as answer:
        assert answer.status == 201
        assert "Location" in answer.headers["Access-Control-Expose-Headers"]
    async with door.http.post(endpoint, data=camera(), headers={**SDP, "Origin": door.near}) as answer:
        assert answer.status == 201, "a page of our own"


async def test_a_camera_that_takes_another_s_place_ends_its_session(room: Room, clock: HandClock) -> None:
    whip = Whip(room, clock)
    first = await whip.open(Direction.IN, room.token("camera"), camera(), far=False)
    second = await whip.open(Direction.IN, room.token("camera"), camera(), far=False)
    with pytest.raises(NotFound):
        whip.close(Direction.IN, first.name, None)
    with pytest.raises(NotFound):
        whip.close(Direction.OUT, second.name, None)
    clock.pass_s(700)
    whip.close(Direction.IN, second.name, None)  # its link has run out meanwhile
    assert room.seats == {}


async def test_offers_of_one_link_are_paced_and_sessions_bounded(room: Room, clock: HandClock) -> None:
    whip = Whip(room, clock)
    for _ in range(int(OFFERS_PER_S_MAX * OFFERS_BURST_S)):
        await whip.open(Direction.IN, room.token("camera"), camera(), far=False)
    with pytest.raises(TooMany):
        await whip.open(Direction.IN, room.token("camera"), camera(), far=False)
    for bed in range(2, SESSIONS_MAX + 1):
        await whip.open(Direction.IN, room.token("camera", f"bed-{bed}"), camera(), far=False)
    with pytest.raises(NoCapacity):
        await whip.open(Direction.IN, room.token("camera", "bed-0"), camera(), far=False)


async def test_a_media_process_that_does_not_answer_is_not_waited_for(
    room: Room, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(token: str, sdp: str, *, far: bool) -> Seat:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(room, "join_without_socket", never)
    monkeypatch.setattr("gateway.clinic.whip.NEGOTIATION_S", 0.01)
    with pytest.raises(NoCapacity):
        await Whip(room, clock).open(Direction.IN, room.token("camera"), camera(), far=False)
