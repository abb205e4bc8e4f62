"""Whatever a page sends on its socket, the call of the others goes on, and so does the room."""

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import aiohttp
import pytest

from gateway.clinic.invitation import Role
from gateway.clinic.media.control import LegFigures
from gateway.clinic.room import ClinicLimits
from tests.clinic_server import Clinic, serving

SEED = 20_261_122
MESSAGES = 600
A_SOCKET = 9  # messages before a new one: refusals close it
OFFER = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 {print}
a=setup:actpass
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:1
a=sendrecv
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
""".replace("{print}", ":".join(["AB"] * 32)).replace("\n", "\r\n")
SAYS: tuple[dict[str, object], ...] = (
    {"type": "offer", "sdp": OFFER},
    {"type": "resume"},
    {"type": "pong"},
    {"type": "bye"},
    {"type": "switches", "voice": True, "picture": True, "share": False},
    {"type": "pin", "who": "doctor"},
    {"type": "still", "image": "/9j/2Q=="},
    {"type": "entry", "id": str(uuid.UUID(int=1)), "kind": "chat", "at": 1.8e9, "fields": {"text": "hi"}},
    {"type": "entries", "after": 0},
    {"type": "figures", "fps": 20, "frozen_s": 0, "concealed_ratio": 0, "delay_s": None},
)
ODD: tuple[object, ...] = (None, True, -1, 2**70, 1e308, "", "\x00", "é" * 300, [], [[]], {}, {"a": {}}, "nurse", 0.5)


class Peer:
    """A connection that is always there."""

    def __init__(self, number: int, offer: Any, changed: Callable[[], None]) -> None:
        self.number, self.offer, self.changed = number, offer, changed
        self.began_s, self.slots, self.figures = 0.0, 3, LegFigures(number)
        self.is_connected, self.is_over, self.speaks_red = True, False, True

    async def answer(self, *_: object) -> str:
        return "v=0"

    def answer_again(self, *_: object) -> str:
        return "v=0"

    def continues_with(self, offer: object) -> bool:
        return bool(self.offer == offer)

    def feed(self, slots: object) -> None:
        del slots

    def cap(self, picture_bps: int, sent_bps: int) -> None:
        assert picture_bps > 0
        assert sent_bps > 0

    def silent_s(self) -> float:
        return 0.0

    async def close(self) -> None:
        return


@pytest.fixture
async def clinic() -> AsyncIterator[Clinic]:
    made: list[Peer] = []

    def open_peer(offer: object, *, changed: Callable[[], None], **_: object) -> Peer:
        made.append(Peer(len(made) + 1, offer, changed))
        return made[-1]

    limits = ClinicLimits(link_s=60, video_bps_max=700_000, calls_max=2, messages_per_s_max=10_000)
    async with serving(limits, far=True, runs=False) as found:
        cast("Any", found.room)._open_peer = open_peer
        yield found


def changed(chance: random.Random) -> str:
    """A message that is nearly right, or not at all."""
    said = dict(chance.choice(SAYS))
    for _ in range(chance.randrange(3)):
        said[chance.choice([*said, "type", "x"])] = chance.choice(ODD)
    if isinstance(said.get("sdp"), str) and chance.random() < 0.8:
        lines = str(said["sdp"]).split("\r\n")
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(lines))
            lines[at : at + chance.randrange(2)] = chance.choices(lines, k=chance.randrange(3))
        said["sdp"] = "\r\n".join(lines)
    text = json.dumps(said)
    if chance.random() < 0.2:
        at = chance.randrange(len(text))
        text = (
            text[:at] + chance.choice(["", "}", '"', "[" * 50, "\\ud800", "9" * 400]) + text[at + chance.randrange(5) :]
        )
    return text


async def sits(ws: aiohttp.ClientWebSocketResponse) -> None:
    await ws.send_json({"type": "offer", "sdp": OFFER})
    async with asyncio.timeout(5):
        while (said := await ws.receive_json())["type"] != "answer":
            assert said["type"] in {"ping", "outlook"}


async def test_no_message_ends_the_call_of_others_and_none_breaks_the_room(clinic: Clinic) -> None:
    chance = random.Random(SEED)
    nurse, doctor = [await clinic.dial(each) for each in (clinic.links.nurse, clinic.links.doctor)]
    await sits(nurse)
    await sits(doctor)
    roles: tuple[Role, ...] = ("guest", "interpreter", "camera")
    for at in range(0, MESSAGES, A_SOCKET):
        async with await clinic.dial(clinic.links.link(roles[at // A_SOCKET % 3])) as ws:
            for _ in range(A_SOCKET):
                if not ws.closed:
                    await ws.send_str(changed(chance))
            await ws.send_json({"type": "bye"})
            async with asyncio.timeout(5):
                while (await ws.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
        for consultation in clinic.room._consultations.values():
            consultation.beat()
        (consultation,) = clinic.room._consultations.values()
        in_call = {place.role for place, _ in consultation._seated()}
        assert in_call >= {"nurse", "doctor"}
        assert not nurse.closed
        assert not doctor.closed
    for ws in (nurse, doctor):
        await ws.send_json({"type": "resume"})
        async with asyncio.timeout(5):
            while (said := await ws.receive_json())["type"] != "state" or not said["others"]:
                assert said["type"] in {"ping", "outlook", "state", "renew"}, said
