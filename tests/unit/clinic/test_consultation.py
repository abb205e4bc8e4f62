"""Two places and what happens at them: who is in, what each may send, who has gone."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.backhaul import budgets
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.figures import Estimate, LinkFigures, WayFigures
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.shares import Capacity
from gateway.clinic import consultation as module
from gateway.clinic.allocation import BETTER_VOICE_AFTER_S, FULL, PICTURE_MIN_BPS, SPARSE, Voice
from gateway.clinic.consultation import (
    CONNECT_S,
    FIGURES_PAUSE_S,
    KEEPS_S,
    LINGER_S,
    RENEW_PAUSE_S,
    VOICE_FIRST_S,
    Consultation,
)
from gateway.clinic.invitation import Role
from gateway.clinic.media.leg import LegStatistics
from gateway.clinic.peer import DirectPath
from gateway.clinic.room import ClinicLimits, ClinicRoom
from gateway.clock import Clock
from gateway.errors import BadRequest, GatewayError, NoCapacity
from tests.clocks import HandClock
from tests.waiting import wait_until

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

    def __init__(self, offer: Any, *, path: object, near: bool, clock: Clock, changed: Any, ear: object | None) -> None:
        self.offer, self.near, self.changed, self.ear = offer, near, changed, ear
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

    def words(self, *messages: str) -> str:
        return " ".join(messages)

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

    def __init__(self, clock: HandClock, backhaul: Backhaul | None = None) -> None:
        async def answers(peer: tuple[str, int]) -> bool:
            return bool(peer)

        self.clock = clock
        self.backhaul = backhaul or Backhaul(clock, capacity=WIDE, carrier=lambda: True, probe=answers)
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
    assert back.types() == ["state", "outlook"]
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


async def test_only_the_far_party_s_media_tell_of_the_link(table: Table) -> None:
    _, near = await table.sit("nurse")
    _, far = await table.sit("doctor")
    assert near.ear is None
    assert far.ear is table.backhaul.steering.measuring


async def test_who_waits_is_told_what_the_link_would_carry_and_again_when_that_changes(
    table: Table, clock: HandClock
) -> None:
    nurse, _ = await table.sit("nurse")
    assert nurse.said[-1]["message"] == "Today the link carries voice and a clear picture. You can begin."
    table.room.settle()
    clock.pass_s(FIGURES_PAUSE_S)
    table.room.beat()
    assert nurse.types().count("outlook") == 1, "nothing has changed"
    table.backhaul.tell_capacity(Capacity(60_000, 2_000_000))
    table.room.settle()
    assert nurse.types().count("outlook") == 1
    clock.pass_s(FIGURES_PAUSE_S)
    table.room.settle()
    assert str(nurse.said[-1]["message"]).startswith("Today the link carries a voice, without a picture.")
    await table.sit("doctor")
    clock.pass_s(FIGURES_PAUSE_S)
    table.room.beat()
    assert nurse.types().count("outlook") == 2, "who sees and hears the other one knows what it carries"


async def test_one_more_call_is_refused_in_words_where_none_fits_and_waiting_is_free(table: Table) -> None:
    table.backhaul.tell_capacity(Capacity(50_000, 50_000))
    other = Table(table.clock, table.backhaul)
    await other.sit("nurse")
    await other.sit("doctor")
    nurse, _ = await table.sit("nurse")
    assert str(nurse.said[-1]["message"]).startswith("The link carries the calls that are under way, and no more.")
    with pytest.raises(NoCapacity) as refused:
        await table.room.join("doctor", Socket(), "offer")
    assert refused.value.what == "The link carries the calls that are under way, and no more."
    assert refused.value.advice == "Wait until one of them has ended."
    assert (table.room.people(), table.room.is_call) == (1, False)
    other.room.close("stopping")
    await table.sit("doctor")
    assert table.room.is_call


async def test_one_more_voice_is_never_refused_where_there_is_room_for_it(table: Table) -> None:
    table.backhaul.tell_capacity(Capacity(65_000, 65_000))
    other = Table(table.clock, table.backhaul)
    for each in (other, table):
        await each.sit("nurse")
        await each.sit("doctor")
    assert table.shares() == 2


async def test_a_call_that_broke_off_goes_on_where_none_would_begin(table: Table, clock: HandClock) -> None:
    tables = table, Table(table.clock, table.backhaul)
    for each in tables:
        await each.sit("nurse")
        doctor, _ = await each.sit("doctor")
    table.backhaul.tell_capacity(Capacity(50_000, 50_000))
    tables[1].room.move()
    await tables[1].sit("doctor")
    assert table.shares() == 2
    tables[1].room.leave("doctor", doctor)
    tables[1].room.move()
    clock.pass_s(KEEPS_S)
    with pytest.raises(NoCapacity):
        await tables[1].sit("doctor")


async def test_the_only_call_begins_on_any_link_and_with_its_voice_first(table: Table, clock: HandClock) -> None:
    table.backhaul.tell_capacity(Capacity(20_000, 2_000_000))
    nurse, near = await table.sit("nurse")
    doctor, far = await table.sit("doctor")
    table.backhaul.tell_capacity(WIDE)
    table.room.settle()
    assert nurse.state()["plan"] == doctor.state()["plan"] == {"send": True, "picture": False, "video_bps": 0}
    clock.pass_s(VOICE_FIRST_S)
    table.room.beat()
    assert nurse.state()["plan"]["picture"] is doctor.state()["plan"]["picture"] is True
    assert near.leg.remb_bps > 500_000
    assert far.leg.remb_bps > 500_000


class Measured:
    """A backhaul that measures, on a clock moved by hand, and a link that is what the test says."""

    def __init__(self, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> None:
        async def answers(peer: tuple[str, int]) -> bool:
            return bool(peer)

        self.backhaul = Backhaul(clock, capacity=None, carrier=lambda: True, probe=answers, measured=True)
        self.bps = 2_000_000
        monkeypatch.setattr(budgets, "BUDGET_EVERY_S", 0.001)
        monkeypatch.setattr(self.backhaul.steering, "figures", self._figures)
        monkeypatch.setattr(self.backhaul.steering.measuring, "queueing_s", lambda way: 0.0 if way else None)

    def _figures(self) -> LinkFigures:
        way = WayFigures(capacity_bps=Estimate(self.bps, 1.0, 0.0))
        return LinkFigures(way, way)


async def test_both_senders_are_told_at_once_when_a_measured_budget_falls_and_when_it_rises(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    Peer.made = []
    monkeypatch.setattr(module, "Peer", Peer)
    measured = Measured(clock, monkeypatch)
    backhaul = measured.backhaul
    limits = ClinicLimits(link_s=60, video_bps_max=700_000, calls_max=2)
    clinic = ClinicRoom(key=b"k", clock=clock, backhaul=backhaul, media_path=DirectPath(), limits=limits)
    table = Table(clock, backhaul)
    clinic._consultations["bed-1"] = table.room
    async with asyncio.TaskGroup() as tasks:
        under_way = [tasks.create_task(clinic._follow_link()), tasks.create_task(backhaul._budgets.run())]
        nurse, near = await table.sit("nurse")
        doctor, far = await table.sit("doctor")

        def caps() -> tuple[int, int]:
            return near.leg.remb_bps, far.leg.remb_bps

        async def passes(seconds: float) -> None:
            for _ in range(round(seconds / 0.25)):
                clock.pass_s(0.25)
                await asyncio.sleep(0.005)

        await wait_until(lambda: min(caps()) > 500_000)
        measured.bps = 300_000
        await wait_until(lambda: max(caps()) < 270_000)
        assert nurse.state()["plan"]["picture"] is True
        measured.bps = 40_000
        await wait_until(lambda: not doctor.state()["plan"]["picture"])
        assert nurse.state()["plan"] == doctor.state()["plan"] == {"send": True, "picture": False, "video_bps": 0}
        measured.bps = 2_000_000
        await passes(2.0)
        assert nurse.state()["plan"]["picture"] is False, "not proven yet"
        await passes(3.0)
        await wait_until(lambda: nurse.state()["plan"]["picture"] and doctor.state()["plan"]["picture"])
        assert min(caps()) > PICTURE_MIN_BPS
        for each in under_way:
            each.cancel()


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
