"""Cameras reach their endpoints through the portal without a page, and far pages alone are told of relays."""

import html
import json
import re
import uuid
from pathlib import Path

import aiohttp

from gateway.clinic.media.control import Relay
from gateway.clinic.room import Seat
from gateway.clinic.turn import ice_servers
from gateway.clinic.whip import Whip
from tests.clocks import HandClock
from tests.unit.clinic.whip_offers import camera
from tests.unit.portal.clinic_village import SignedClinic, clinic_village

SDP = {"Content-Type": "application/sdp"}


class Seating(SignedClinic):
    """Seats whoever comes, and notes by which listener."""

    came: list[bool]

    def __init__(self, clock: HandClock) -> None:
        super().__init__(clock)
        self.came = []

    def relays(self) -> tuple[Relay, ...]:
        return ()

    async def join_without_socket(self, token: str, sdp: str, *, far: bool) -> Seat:
        assert sdp
        self.came.append(far)
        return Seat(self.read(token), len(self.came), "answer")

    def holds(self, seat: Seat) -> bool:
        return seat.leg == len(self.came)

    def leave_without_socket(self, seat: Seat) -> None:
        assert self.holds(seat)


async def test_a_camera_needs_no_page_of_ours_and_the_door_makes_it_far(tmp_path: Path, clock: HandClock) -> None:
    room = Seating(clock)
    async with clinic_village(tmp_path, clock, whip=Whip(room, clock)) as clinic, aiohttp.ClientSession() as http:
        token = room.token(str(uuid.uuid4()), "camera")
        for base in (clinic.base, clinic.door):
            async with http.post(f"{base}/whip/{token}", data=camera(), headers=SDP) as answer:
                assert (answer.status, await answer.text()) == (201, "answer")
                session = base + answer.headers["Location"]
            async with http.post(f"{base}/whip/{token}x", data=camera(), headers=SDP) as answer:
                assert (answer.status, answer.content_type) == (403, "application/problem+json")
        async with http.delete(session) as answer:
            assert answer.status == 200
    assert room.came == [False, True]


async def test_a_far_page_is_told_of_the_relays_and_a_near_one_of_none(tmp_path: Path, clock: HandClock) -> None:
    given = ice_servers([Relay("turn:relay.example.org:3478", "1800043200", "made+of/it=")])
    async with clinic_village(tmp_path, clock, ice_servers=lambda: given) as clinic, aiohttp.ClientSession() as http:
        token = clinic.room.token(str(uuid.uuid4()), "doctor")
        for base, wanted in ((clinic.base, []), (clinic.door, given)):
            async with http.get(f"{base}/consulta/{token}", headers={"Accept": "text/html"}) as answer:
                found = re.search(r'data-ice="([^"]*)"', await answer.text())
                assert found
                assert json.loads(html.unescape(found[1])) == wanted
                assert answer.headers["Cache-Control"] == "no-store"
