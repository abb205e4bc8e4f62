"""Two places and what happens at them: who is in, what each may send, who has gone."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.shares import Capacity
from gateway.clinic import consultation as module
from gateway.clinic.allocation import BETTER_VOICE_AFTER_S, FULL, SPARSE, Voice
from gateway.clinic.consultation import CONNECT_S, LINGER_S, RENEW_PAUSE_S, Consultation
from gateway.clinic.invitation import Role
from gateway.clinic.leg import LegStatistics
from gateway.clinic.peer import DirectPath
from gateway.clock import Clock
from gateway.errors import BadRequest, GatewayError
from tests.clocks import HandClock

WIDE = Capacity(2_000_000, 2_000_000)


class Wire:
    def __init__(self) -> None:
        self.received_bytes = 0
        self.sent_bytes = 0

    def sockets(self) -> list[object]:
        return []


class Leg:
    """A leg that notes what it is told."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.fed: Leg | None = None
        self.remb_bps = 0
        self.keyframes = 0
        self.estimate: int | None = None

    def feed(self, other: "Leg | None") -> None:
        self.fed = other

    def want_keyframe(self) -> None:
        self.keyframes += 1

    def cap(self, remb_bps: int, sent_to_it_bps: int) -> None:
        assert sent_to_it_bps > 0
        self.remb_bps = remb_bps

    def estimate_bps(self) -> int | None:
        return self.estimate

    def beat(self) -> None:
        pass

    def statistics(self) -> LegStatistics:
        return LegStatistics(self.wire.received_bytes, self.wire.sent_bytes, 0, 0, 0, 0.0)


class Peer:
    """A connection that is made and ended by hand."""

    made: list["Peer"]

    def __init__(self, offer: Any, *, path: object, near: bool, clock: Clock, changed: Any) -> None:
        self.offer, self.near, self.changed = offer, near, changed
        self.began_s = clock.now_s()
        self.leg = Leg()
        self.is_connected = self.is_over = False
        self.silence_s = 0.0
        self.voices: list[Voice] = []
        Peer.made.append(self)

    async def answer(self, voice: Voice, connect_bps: int) -> str:
        if self.offer == "unfit":
            raise BadRequest
        if isinstance(self.offer, asyncio.Event):
            await self.offer.wait()
        return self.answer_again(voice, connect_bps)

    def answer_again(self, voice: Voice, connect_bps: int) -> str:
        assert connect_bps > 0
        self.voices.append(voice)
        return f"answer {len(self.voices)}"

    def continues_with(self, offer: Any) -> bool:
        return self.is_connected and self.offer == offer

    def silent_s(self) -> float:
        return self.silence_s

    def connect(self) -> None:
        self.is_connected = True
        self.changed()


class Socket:
    """A socket that notes what was said."""

    def __init__(self) -> None:
        self.said: list[Mapping[str, object]] = []
        self.refused: list[GatewayError] = []
        self.is_open = True

    def say(self, message: Mapping[str, object]) -> None:
        self.said.append(message)

    def refuse(self, error: GatewayError) -> None:
        self.refused.append(error)

    def hang_up(self) -> None:
        self.is_open = False

    def types(self) -> list[object]:
        return [each["type"] for each in self.said]

    def state(self) -> Any:
        return next(each for each in reversed(self.said) if each["type"] == "state")


class Table:
    """A consultation and what stands around it."""

    def __init__(self, clock: HandClock) -> None:
        async def answers(peer: tuple[str, int]) -> bool:
            return bool(peer)

        self.clock = clock
        self.backhaul = Backhaul(clock, capacity=WIDE, carrier=lambda: True, probe=answers)
        self.gone: list[object] = []
        self.room: Any = Consultation(  # it is given stand-ins for sockets and offers
            clock=clock,
            backhaul=self.backhaul,
            media_path=DirectPath(),
            video_bps_max=700_000,
            gone=self.gone.append,
        )

    async def sit(self, role: Role, offer: str = "offer", *, connect: bool = True) -> tuple[Socket, Peer]:
        socket = Socket()
        await self.room.join(role, socket, offer)
        peer = Peer.made[-1]
        if connect:
            peer.connect()
        return socket, peer

    def shares(self) -> int:
        return self.backhaul.open_shares()[TrafficClass.REALTIME]


@pytest.fixture
def table(clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> Table:
    Peer.made = []
    monkeypatch.setattr(module, "Peer", Peer)
    return Table(clock)


async def test_who_is_alone_sends_nothing(table: Table) -> None:
    socket, peer = await table.sit("nurse")
    assert socket.types()[0] == "answer"
    assert socket.state()["others"] is False
    assert socket.state()["plan"]["send"] is False
    assert table.shares() == 0
    assert peer.near


async def test_two_are_fed_to_each_other_and_hold_a_share(table: Table) -> None:
    nurse, near = await table.sit("nurse")
    doctor, far = await table.sit("doctor")
    assert near.leg.fed is far.leg
    assert far.leg.fed is near.leg
    assert not far.near
    assert near.leg.keyframes, "the doctor has just begun to look on"
    assert table.shares() == 1
    assert nurse.state()["others"] is doctor.state()["others"] is True
    assert table.room.people() == 2
    assert table.room.is_call


async def test_a_call_is_capped_by_the_direction_each_side_sends_in(table: Table) -> None:
    _, near = await table.sit("nurse")
    _, far = await table.sit("doctor")
    table.backhaul.tell_capacity(Capacity(down_bps=200_000, up_bps=600_000))
    table.room.settle()
    assert far.leg.remb_bps < 200_000 < near.leg.remb_bps < 600_000


async def test_a_browser_that_can_take_less_gets_less(table: Table) -> None:
    _, near = await table.sit("nurse")
    _, far = await table.sit("doctor")
    far.leg.estimate = 90_000
    table.room.beat()
    assert near.leg.remb_bps == 90_000
    assert far.leg.remb_bps > 90_000


async def test_the_link_s_account_holds_the_doctor_s_bytes(table: Table) -> None:
    _, near = await table.sit("nurse")
    _, far = await table.sit("doctor")
    near.leg.wire.received_bytes = 99
    far.leg.wire.received_bytes, far.leg.wire.sent_bytes = 1_000, 2_000
    table.room.beat()
    far.leg.wire.received_bytes = 1_500
    table.room.leave("doctor", Socket())  # not who sits there
    table.room.beat()
    moved = table.backhaul.moved()[TrafficClass.REALTIME]
    assert (moved.down_bytes, moved.up_bytes) == (1_500, 2_000)


async def test_joining_again_replaces_the_one_before(table: Table) -> None:
    first, old = await table.sit("nurse")
    _, far = await table.sit("doctor")
    second, new = await table.sit("nurse", "another offer")
    assert first.said[-1] == {"type": "bye", "reason": "replaced"}
    assert not first.is_open
    assert second.is_open
    assert table.gone == [old]
    assert far.leg.fed is new.leg
    assert new.leg.fed is far.leg
    table.room.lose("nurse", first)  # the old page closes: nothing of the new one ends
    assert table.room.people() == 2


async def test_an_offer_that_does_not_fit_leaves_everything_as_it_was(table: Table) -> None:
    first, near = await table.sit("nurse")
    with pytest.raises(BadRequest):
        await table.room.join("nurse", Socket(), "unfit")
    assert first.is_open
    assert table.room.people() == 1
    assert table.gone == [Peer.made[-1]]
    assert near not in table.gone


async def test_a_room_is_not_empty_while_somebody_is_being_answered(table: Table) -> None:
    answered = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(table.room.join("nurse", Socket(), answered))
        await asyncio.sleep(0)
        assert Peer.made
        assert not table.room.is_empty
        answered.set()
    assert table.room.people() == 1


async def test_leaving_ends_the_call_and_the_share(table: Table) -> None:
    nurse, near = await table.sit("nurse")
    doctor, far = await table.sit("doctor")
    table.room.leave("nurse", nurse)
    assert table.shares() == 0
    assert far.leg.fed is None
    assert doctor.state()["others"] is False
    assert table.gone == [near]
    table.room.leave("doctor", doctor)
    assert table.room.is_empty


async def test_a_lost_socket_leaves_connected_media_and_drops_the_rest(table: Table) -> None:
    nurse, near = await table.sit("nurse")
    doctor, far = await table.sit("doctor", connect=False)
    table.room.lose("nurse", nurse)
    table.room.lose("doctor", doctor)
    assert table.gone == [far]
    back = Socket()
    table.room.resume("nurse", back)
    assert back.types() == ["state"]
    assert near not in table.gone
    strange = Socket()
    table.room.resume("doctor", strange)
    assert strange.types() == ["again"]


async def test_media_and_socket_both_gone_free_the_place_after_a_while(table: Table) -> None:
    nurse, near = await table.sit("nurse")
    doctor, _ = await table.sit("doctor")
    table.room.lose("nurse", nurse)
    near.silence_s = LINGER_S - 1
    table.room.beat()
    assert doctor.state()["heard"] is False
    assert doctor.state()["others"] is True
    near.silence_s = LINGER_S + 1
    table.room.beat()
    assert table.gone == [near]
    assert doctor.state()["others"] is False


async def test_a_link_with_a_new_way_has_the_far_party_s_media_come_again_and_nobody_else_s(table: Table) -> None:
    nurse_socket, nurse = await table.sit("nurse")
    doctor_socket, doctor = await table.sit("doctor")
    table.room.move()
    assert table.gone == [doctor]
    assert (doctor_socket.types()[-1], "again" in nurse_socket.types()) == ("again", False)
    assert nurse_socket.state()["others"] is False
    later = Socket()
    table.room.resume("doctor", later)
    assert later.types() == ["again"], "a page that has lost its socket too is asked at once"
    await table.room.join("doctor", later, "offer by the new way")
    Peer.made[-1].connect()
    assert nurse.leg.fed is Peer.made[-1].leg
    assert nurse_socket.state()["others"] is True


async def test_a_connection_that_ends_is_asked_for_again(table: Table) -> None:
    nurse, near = await table.sit("nurse")
    near.is_over = True
    table.room.beat()
    assert nurse.types()[-1] == "again"
    assert table.gone == [near]
    table.room.beat()
    assert nurse.types().count("again") == 1


async def test_a_connection_that_is_never_made_is_given_up_in_words(table: Table, clock: HandClock) -> None:
    nurse, near = await table.sit("nurse", connect=False)
    clock.pass_s(CONNECT_S - 1)
    table.room.beat()
    assert table.gone == []
    clock.pass_s(2)
    table.room.beat()
    assert table.gone == [near]
    assert [each.code for each in nurse.refused] == ["no-way"]


async def test_a_weaker_link_means_a_cheaper_voice_at_once(table: Table, clock: HandClock) -> None:
    nurse, near = await table.sit("nurse")
    await table.sit("doctor")
    assert near.voices == [FULL]
    table.backhaul.tell_capacity(Capacity(80_000, 80_000))
    table.room.beat()
    table.room.beat()
    assert nurse.types().count("renew") == 1
    await table.room.join("nurse", nurse, near.offer)
    assert near.voices == [FULL, SPARSE]
    assert len(Peer.made) == 2, "the same connection"
    clock.pass_s(RENEW_PAUSE_S + 1)
    table.room.beat()
    assert nurse.types().count("renew") == 1
    assert nurse.state()["plan"]["picture"] is True


async def test_a_better_voice_waits_for_proof(table: Table, clock: HandClock) -> None:
    table.backhaul.tell_capacity(Capacity(80_000, 80_000))
    nurse, near = await table.sit("nurse")
    await table.sit("doctor")
    assert near.voices == [SPARSE]
    table.backhaul.tell_capacity(WIDE)
    table.room.beat()
    clock.pass_s(BETTER_VOICE_AFTER_S - 1)
    table.room.beat()
    assert "renew" not in nurse.types()
    clock.pass_s(1)
    table.room.beat()
    assert nurse.types().count("renew") == 1


async def test_a_page_is_told_of_changes_at_once_and_of_figures_now_and_then(table: Table, clock: HandClock) -> None:
    nurse, _ = await table.sit("nurse")
    await table.sit("doctor")
    before = len(nurse.said)
    for rate_bps in range(1_000_000, 1_100_000, 10_000):
        table.backhaul.tell_capacity(Capacity(rate_bps, rate_bps))
        table.room.settle()
    assert len(nurse.said) == before
    table.backhaul.tell_capacity(Capacity(40_000, 40_000))
    table.room.settle()
    assert nurse.state()["plan"]["picture"] is False
    clock.pass_s(6)
    table.backhaul.tell_capacity(Capacity(41_000, 41_000))
    table.room.settle()
    assert nurse.state()["link"]["up_bps"] == 41_000


async def test_closing_says_goodbye_to_both(table: Table) -> None:
    nurse, near = await table.sit("nurse")
    doctor, far = await table.sit("doctor")
    table.room.close("stopping")
    for socket in (nurse, doctor):
        assert socket.said[-1] == {"type": "bye", "reason": "stopping"}
        assert not socket.is_open
    assert table.gone == [near, far]
    assert table.shares() == 0
    assert table.room.is_empty
