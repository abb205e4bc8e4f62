"""Places and what happens at them: who is in, what each may send and gets, who has gone."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from gateway.backhaul import budgets
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.figures import Estimate, LinkFigures, WayFigures
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.shares import Capacity
from gateway.clinic.allocation import BETTER_VOICE_AFTER_S, FULL, PICTURE_MIN_BPS, SPARSE, Voice
from gateway.clinic.claim import KEEPS_S, VOICE_FIRST_S
from gateway.clinic.consultation import RENEW_PAUSE_S, Consultation
from gateway.clinic.invitation import Role
from gateway.clinic.media.control import LegFigures, Slot
from gateway.clinic.media.host import MediaHost, MediaLimits
from gateway.clinic.messages import FIGURES_PAUSE_S, Pinned, Switched
from gateway.clinic.peer import DirectPath
from gateway.clinic.pictures import PROOF_S
from gateway.clinic.place import (
    CAME_BACK_S,
    CONNECT_S,
    HEARD_S,
    LEAD_S,
    LINGER_S,
    LOST_S,
    STATES_AT_ONCE,
    STATES_PER_S_MAX,
)
from gateway.clinic.room import ClinicLimits, ClinicRoom
from gateway.errors import BadRequest, GatewayError, NoCapacity
from tests.clocks import HandClock
from tests.waiting import wait_until

VOICE_ALONE = {"send": True, "picture": False, "video_bps": 0, "still_s": None}
WIDE = Capacity(2_000_000, 2_000_000)


@dataclass(frozen=True)
class Offer:
    """What somebody's browser offers, as far as the room looks."""

    name: str = "offer"
    codecs: tuple[str, ...] = ("vp8", "h264")


class Peer:
    """A connection that is made and ended by hand, and notes what it is told."""

    def __init__(
        self, number: int, offer: Any, near: bool, codec: str, now_s: float, changed: Callable[[], None]
    ) -> None:
        self.number, self.offer, self.near, self.codec, self.changed = number, offer, near, codec, changed
        self.began_s = now_s
        self.slots = 3
        self.speaks_red = True
        self.figures = LegFigures(number)
        self.fed: tuple[Slot, ...] = ()
        self.remb_bps = self.sent_bps = 0
        self.is_connected = self.is_over = False
        self.silence_s = 0.0
        self.voices: list[Voice] = []

    async def answer(self, voice: Voice, connect_bps: int) -> str:
        if self.offer.name == "unfit":
            raise BadRequest
        if isinstance(self.offer, Late):
            await self.offer.answered.wait()
        return self.answer_again(voice, connect_bps)

    def answer_again(self, voice: Voice, connect_bps: int) -> str:
        assert connect_bps > 0
        self.voices.append(voice)
        return f"answer {len(self.voices)}"

    def continues_with(self, offer: Any) -> bool:
        return self.is_connected and self.offer == offer

    def feed(self, slots: Sequence[Slot]) -> None:
        self.fed = tuple(slots)

    def cap(self, picture_bps: int, sent_bps: int) -> None:
        assert sent_bps > 0
        self.remb_bps, self.sent_bps = picture_bps, sent_bps

    def silent_s(self) -> float:
        return self.silence_s

    def connect(self) -> None:
        self.is_connected = True
        self.changed()

    def says(self, **figures: Any) -> None:
        self.figures = replace(self.figures, **figures)

    def hears(self) -> set[int]:
        return {each.voice for each in self.fed if each.voice is not None}

    def sees(self) -> set[int]:
        return {each.picture for each in self.fed if each.picture is not None}


@dataclass(frozen=True)
class Late(Offer):
    """An offer that is answered when the test says so."""

    answered: asyncio.Event = field(default_factory=asyncio.Event)


class Socket:
    """A socket that notes what was said."""

    def __init__(self) -> None:
        self.said: list[Mapping[str, object]] = []
        self.refused: list[GatewayError] = []
        self.is_open = True
        self.silence_s = 0.0
        self.paced_bps: int | None = None

    def silent_s(self) -> float:
        return self.silence_s

    def pace(self, bps: int) -> None:
        self.paced_bps = bps

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
        self.made: list[Peer] = []
        self.courses: list[Mapping[str, object]] = []
        self.room: Any = Consultation(  # it is given stand-ins for sockets and offers
            clock=clock,
            backhaul=self.backhaul,
            open_peer=cast("Any", self.open_peer),
            video_bps_max=700_000,
            codecs=("h264", "vp8"),
            gone=self.gone.append,
            finished=self.courses.append,
        )

    def open_peer(self, offer: Any, *, sdp: str, near: bool, codec: str, changed: Callable[[], None]) -> Peer:
        assert sdp == ""
        self.made.append(Peer(len(self.made) + 1, offer, near, codec, self.clock.now_s(), changed))
        return self.made[-1]

    async def sit(
        self,
        role: Role,
        offer: Offer = Offer(),
        *,
        connect: bool = True,
        far: bool | None = None,
    ) -> tuple[Socket, Peer]:
        socket = Socket()
        await self.room.join(role, socket, offer, far=role in {"doctor", "interpreter"} if far is None else far)
        peer = self.made[-1]
        if connect:
            peer.connect()
        return socket, peer

    def beats(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.25)):
            self.clock.pass_s(0.25)
            self.room.beat()

    def shares(self) -> int:
        return self.backhaul.open_shares()[TrafficClass.REALTIME]


@pytest.fixture
def table(clock: HandClock) -> Table:
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
    assert far.sees() == far.hears() == {near.number}
    assert near.sees() == near.hears() == {far.number}
    assert not far.near
    assert table.shares() == 1
    assert nurse.state()["others"] is doctor.state()["others"] is True
    assert table.room.people() == 2
    assert table.room.is_call


async def test_a_call_is_capped_by_the_direction_each_side_sends_in(table: Table) -> None:
    _, near = await table.sit("nurse")
    _, far = await table.sit("doctor")
    table.backhaul.tell_capacity(Capacity(down_bps=200_000, up_bps=600_000))
    table.room.settle()
    assert far.remb_bps < 200_000 < near.remb_bps < 600_000


async def test_a_browser_that_can_take_less_gets_less(table: Table) -> None:
    _, near = await table.sit("nurse")
    _, far = await table.sit("doctor")
    far.says(estimate_bps=90_000)
    table.room.beat()
    assert near.remb_bps == 90_000
    assert far.remb_bps > 90_000


async def test_the_link_s_account_holds_the_doctor_s_bytes(table: Table) -> None:
    _, near = await table.sit("nurse")
    _, far = await table.sit("doctor")
    near.says(received_bytes=99)
    far.says(received_bytes=1_000, sent_bytes=2_000)
    table.room.beat()
    far.says(received_bytes=1_500)
    table.room.leave("doctor", Socket())  # not who sits there
    table.room.beat()
    moved = table.backhaul.moved()[TrafficClass.REALTIME]
    assert (moved.down_bytes, moved.up_bytes) == (1_500, 2_000)


async def test_joining_again_replaces_the_one_before(table: Table) -> None:
    first, old = await table.sit("nurse")
    _, far = await table.sit("doctor")
    second, new = await table.sit("nurse", Offer("another"))
    assert first.said[-1] == {"type": "bye", "reason": "replaced"}
    assert not first.is_open
    assert second.is_open
    assert table.gone == [old]
    assert far.hears() == {new.number}
    assert new.hears() == {far.number}
    table.room.lose("nurse", first)  # the old page closes: nothing of the new one ends
    assert table.room.people() == 2


async def test_an_offer_that_does_not_fit_leaves_everything_as_it_was(table: Table) -> None:
    first, near = await table.sit("nurse")
    with pytest.raises(BadRequest):
        await table.room.join("nurse", Socket(), Offer("unfit"))
    assert first.is_open
    assert table.room.people() == 1
    assert table.gone == [table.made[-1]]
    assert near not in table.gone


async def test_a_room_is_not_empty_while_somebody_is_being_answered(table: Table) -> None:
    late = Late(answered=asyncio.Event())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(table.room.join("nurse", Socket(), late))
        await asyncio.sleep(0)
        assert table.made
        assert not table.room.is_empty
        late.answered.set()
    assert table.room.people() == 1


async def test_leaving_ends_the_call_and_the_share(table: Table) -> None:
    nurse, near = await table.sit("nurse")
    doctor, far = await table.sit("doctor")
    table.room.leave("nurse", nurse)
    assert table.shares() == 0
    assert far.hears() == set()
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
    await table.room.join("doctor", later, Offer("by the new way"), far=True)
    table.made[-1].connect()
    assert nurse.hears() == {table.made[-1].number}
    assert nurse_socket.state()["others"] is True


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
        await table.room.join("doctor", Socket(), Offer(), far=True)
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
    assert nurse.state()["plan"] == doctor.state()["plan"] == VOICE_ALONE
    clock.pass_s(VOICE_FIRST_S)
    table.beats(PROOF_S + 0.5)
    assert nurse.state()["plan"]["picture"] is doctor.state()["plan"]["picture"] is True
    assert near.remb_bps > 500_000
    assert far.remb_bps > 500_000


async def test_a_call_that_comes_back_need_not_begin_with_its_voice_alone(table: Table) -> None:
    nurse, _ = await table.sit("nurse")
    await table.sit("doctor")
    table.room.move()
    table.backhaul.tell_capacity(Capacity(20_000, 2_000_000))
    await table.sit("doctor")
    table.backhaul.tell_capacity(WIDE)
    assert PROOF_S + 1.0 < VOICE_FIRST_S
    table.beats(PROOF_S + 1.0)
    assert nurse.state()["plan"]["picture"] is True


class Measured:
    """A backhaul that measures, on a clock moved by hand, and a link that is what the test says."""

    def __init__(self, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> None:
        async def answers(peer: tuple[str, int]) -> bool:
            return bool(peer)

        self.backhaul = Backhaul(clock, capacity=None, carrier=lambda: True, probe=answers, measured=True)
        self.bps = 2_000_000
        monkeypatch.setattr(budgets, "BUDGET_EVERY_S", 0.001)
        monkeypatch.setattr(self.backhaul.steering, "figures", self._figures)
        for heard in ("queueing_s", "standing_s"):
            monkeypatch.setattr(self.backhaul.steering.measuring, heard, lambda way: 0.0 if way else None)

    def _figures(self) -> LinkFigures:
        way = WayFigures(capacity_bps=Estimate(self.bps, 1.0, 0.0))
        return LinkFigures(way, way)


async def test_both_senders_are_told_at_once_when_a_measured_budget_falls_and_when_it_rises(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Measured(clock, monkeypatch)
    backhaul = measured.backhaul
    limits = ClinicLimits(link_s=60, video_bps_max=700_000, calls_max=2)
    host = MediaHost(MediaLimits(), now_s=clock.now_s)
    clinic = ClinicRoom(key=b"k", clock=clock, backhaul=backhaul, media_path=DirectPath(), host=host, limits=limits)
    table = Table(clock, backhaul)
    clinic._consultations["bed-1"] = table.room
    async with asyncio.TaskGroup() as tasks:
        under_way = [tasks.create_task(clinic._follow_link()), tasks.create_task(backhaul._budgets.run())]
        nurse, near = await table.sit("nurse")
        doctor, far = await table.sit("doctor")

        def caps() -> tuple[int, int]:
            return near.remb_bps, far.remb_bps

        async def passes(seconds: float) -> None:
            for _ in range(round(seconds / 0.25)):
                clock.pass_s(0.25)
                table.room.beat()
                await asyncio.sleep(0.005)

        await wait_until(lambda: min(caps()) > 500_000)
        measured.bps = 300_000
        await wait_until(lambda: max(caps()) < 270_000)
        assert nurse.state()["plan"]["picture"] is True
        measured.bps = 40_000
        await wait_until(lambda: not doctor.state()["plan"]["picture"])
        assert nurse.state()["plan"] == doctor.state()["plan"] == VOICE_ALONE
        measured.bps = 2_000_000
        await passes(2.0)
        assert nurse.state()["plan"]["picture"] is False, "not proven yet"
        await passes(3.0 + PROOF_S)
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
    await table.room.join("nurse", nurse, near.offer, far=False)
    assert near.voices == [FULL, SPARSE]
    assert len(table.made) == 2, "the same connection"
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


async def test_whoever_waits_alone_has_the_better_voice_before_somebody_comes(table: Table) -> None:
    table.backhaul.tell_capacity(Capacity(80_000, 80_000))
    nurse, _ = await table.sit("nurse")
    table.room.beat()
    assert "renew" not in nurse.types()
    table.backhaul.tell_capacity(WIDE)
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


async def three(table: Table) -> tuple[tuple[Socket, Peer], tuple[Socket, Peer], tuple[Socket, Peer]]:
    """A nurse in the village; a doctor and an interpreter beyond the link."""
    return await table.sit("nurse"), await table.sit("doctor"), await table.sit("interpreter")


def slots(socket: Socket) -> set[tuple[str | None, bool]]:
    return {(each["who"], each["picture"]) for each in socket.state()["slots"] if each["who"]}


async def test_three_at_three_hundred_kilobits_are_all_heard_and_the_speaker_is_seen_first(table: Table) -> None:
    table.backhaul.tell_capacity(Capacity(300_000, 300_000))
    (nurse, near), (doctor, far), (interpreter, helper) = await three(table)
    for peer in (near, far, helper):
        assert peer.hears() == {near.number, far.number, helper.number} - {peer.number}
    near.says(voice_level=0.9)
    table.beats(2.0)
    assert doctor.state()["focus"] == "nurse"
    assert ("nurse", True) in slots(doctor) & slots(interpreter)
    before_bps = near.remb_bps
    near.says(voice_level=0.0)
    far.says(voice_level=0.9)
    table.beats(1.0)
    assert nurse.state()["focus"] == "doctor"
    assert ("doctor", True) in slots(nurse) & slots(interpreter)
    assert near.remb_bps < before_bps
    up_bps = far.sent_bps + helper.sent_bps
    assert up_bps <= table.backhaul.call_budget().up_bps


async def test_what_a_person_pins_is_theirs_alone(table: Table) -> None:
    table.backhaul.tell_capacity(Capacity(270_000, 270_000))
    (nurse, near), (doctor, _), (interpreter, helper) = await three(table)
    near.says(voice_level=0.9)
    table.room.pin("doctor", doctor, Pinned("interpreter"))
    table.room.pin("interpreter", interpreter, Pinned("interpreter"))
    table.room.pin("nurse", doctor, Pinned("doctor"))  # not who sits there
    table.beats(4.0)
    assert (doctor.state()["pinned"], interpreter.state()["pinned"], nurse.state()["pinned"]) == (
        "interpreter",
        None,
        None,
    )
    assert ("interpreter", True) in slots(doctor)
    assert helper.remb_bps > PICTURE_MIN_BPS


async def test_a_switched_off_picture_leaves_its_room_to_others_and_is_told(table: Table) -> None:
    nurse, near = await table.sit("nurse")
    doctor, far = await table.sit("doctor")
    table.room.switch("nurse", nurse, Switched(voice=True, picture=False, share=False))
    assert far.sees() == set()
    assert far.hears() == {near.number}
    assert nurse.state()["plan"]["picture"] is False
    assert near.remb_bps == PICTURE_MIN_BPS
    assert next(each for each in doctor.state()["people"] if each["who"] == "nurse")["picture"] is False
    assert doctor.state()["quality"]["word"] == "good"
    table.room.switch("nurse", nurse, Switched(voice=True, picture=False, share=True))
    assert far.sees() == {near.number}


async def test_a_room_has_four_places_and_a_fifth_is_told_so(table: Table) -> None:
    await three(table)
    await table.sit("guest", far=False)
    with pytest.raises(NoCapacity) as refused:
        await table.sit("camera", far=False)
    assert refused.value.what == "All places of this consultation are taken."
    assert table.room.people() == 4


async def test_a_third_voice_that_does_not_fit_is_refused_in_words_and_one_that_was_in_comes_back(table: Table) -> None:
    table.backhaul.tell_capacity(Capacity(300_000, 300_000))
    await three(table)
    table.backhaul.tell_capacity(Capacity(60_000, 60_000))
    table.room.move()
    await table.sit("doctor", Offer("again"))
    await table.sit("interpreter", Offer("again"))
    other = Table(table.clock)
    other.backhaul.tell_capacity(Capacity(60_000, 60_000))
    await other.sit("nurse")
    await other.sit("doctor")
    with pytest.raises(NoCapacity) as refused:
        await other.sit("interpreter")
    assert refused.value.what == "The link carries the voices of those who are in, and no more."
    await other.sit("guest", far=False)


async def test_the_codec_is_one_that_all_have_and_a_newcomer_without_it_makes_the_others_come_again(
    table: Table,
) -> None:
    nurse, near = await table.sit("nurse")
    assert near.codec == "h264"
    doctor, far = await table.sit("doctor", Offer(codecs=("vp8",)))
    assert far.codec == "vp8"
    assert table.gone == [near]
    assert nurse.types()[-1] == "again"
    await table.room.join("nurse", nurse, Offer("again"), far=False)
    assert table.made[-1].codec == "vp8", "the doctor's call goes on"
    assert "again" not in doctor.types()


async def test_media_that_are_silent_while_the_page_speaks_are_begun_anew_and_only_then(table: Table) -> None:
    nurse, near = await table.sit("nurse")
    near.silence_s, nurse.silence_s = LOST_S + 1, LOST_S
    table.room.beat()
    assert table.gone == [], "nothing crosses: what there is may still come back"
    nurse.silence_s = 1.0
    table.room.beat()
    assert table.gone == [near]
    assert nurse.types()[-1] == "again"


async def test_a_page_that_comes_back_without_its_media_is_asked_for_new_media(table: Table) -> None:
    nurse, near = await table.sit("nurse")
    table.room.lose("nurse", nurse)
    near.silence_s = CAME_BACK_S - 0.1
    early = Socket()
    table.room.resume("nurse", early)
    assert early.types()[0] == "state"
    near.silence_s = CAME_BACK_S + 0.1
    late = Socket()
    table.room.resume("nurse", late)
    assert late.types() == ["again"]


async def test_who_comes_back_is_heard_before_they_are_seen(table: Table) -> None:
    _, near = await table.sit("nurse")
    doctor, far = await table.sit("doctor")
    far.is_over = True
    table.room.beat()
    assert doctor.types()[-1] == "again"
    await table.room.join("doctor", doctor, Offer("again"), far=True)
    again = table.made[-1]
    again.connect()
    assert near.hears() == {again.number}
    assert near.sees() == again.sees() == set()
    table.beats(LEAD_S)
    assert near.sees() == {again.number}
    assert again.sees() == {near.number}


async def test_a_media_process_that_died_has_everybody_come_again(table: Table) -> None:
    sat = await three(table)
    for _, peer in sat:
        peer.is_over = True
    table.room.beat()
    assert [socket.types()[-1] for socket, _ in sat] == ["again"] * 3
    assert table.shares() == 0


async def test_a_still_goes_to_whom_the_picture_is_paused_for_and_not_too_often(table: Table, clock: HandClock) -> None:
    table.backhaul.tell_capacity(Capacity(2_000_000, 40_000))
    nurse, _ = await table.sit("nurse")
    doctor, _ = await table.sit("doctor")
    assert nurse.state()["plan"]["still_s"] == 6
    assert doctor.state()["plan"]["still_s"] is None
    assert doctor.state()["quality"]["word"] == "voice"
    assert doctor.state()["quality"]["cause"] == "village-link"
    for image in ("one", "two"):
        table.room.show_still("nurse", nurse, image)
    table.room.show_still("doctor", doctor, "not asked for")
    table.room.show_still("nurse", Socket(), "of a stranger")
    clock.pass_s(5)
    table.room.show_still("nurse", nurse, "three")
    stills = [each for each in (*doctor.said, *nurse.said) if each["type"] == "still"]
    assert stills == [{"type": "still", "who": "nurse", "image": image} for image in ("one", "three")]
    assert doctor.paced_bps is not None
    assert nurse.paced_bps is None, "the Wi-Fi has room"


async def test_in_the_village_a_call_costs_the_link_nothing(table: Table) -> None:
    table.backhaul.tell_capacity(Capacity(30_000, 30_000))
    _, near = await table.sit("nurse")
    _, guest = await table.sit("guest", far=False)
    assert table.shares() == 0
    assert table.room.is_call
    assert guest.sees() == {near.number}
    assert near.remb_bps > 500_000


async def test_how_a_call_went_is_told_once_when_it_is_over(table: Table, clock: HandClock) -> None:
    nurse, _ = await table.sit("nurse")
    doctor, far = await table.sit("doctor")
    table.beats(10)
    far.silence_s = 10
    table.beats(5)
    far.silence_s = 0
    table.beats(5)
    ended_wall_s = clock.wall_s()
    table.room.leave("doctor", doctor)
    table.beats(KEEPS_S - 1)
    assert table.courses == [], "a call that broke off may go on"
    table.beats(2)
    (course,) = table.courses
    assert course["began_s"] == pytest.approx(1_800_000_000, abs=1)
    assert course["ended_s"] == pytest.approx(ended_wall_s, abs=1)
    assert course["voice_s"] == pytest.approx(15, abs=1)
    assert course["breaks"] == 1
    table.room.leave("nurse", nurse)
    table.room.close("stopping")
    assert len(table.courses) == 1


async def test_what_is_written_is_told_to_those_who_may_read_it_and_not_to_whoever_wrote_it(table: Table) -> None:
    (nurse, _), (doctor, _), (interpreter, _) = await three(table)
    table.room.wrote("nurse", "id-1")
    table.room.tell("id-1", {"type": "entry"}, frozenset({"nurse", "doctor"}))
    assert [each.types().count("entry") for each in (nurse, doctor, interpreter)] == [0, 1, 0]


async def test_a_voice_is_doubled_where_its_packets_are_lost_and_red_is_spoken(table: Table) -> None:
    for doubles in (False, True):
        other = Table(table.clock)
        other.room._doubles_voices = doubles
        nurse, _ = await other.sit("nurse")
        doctor, far = await other.sit("doctor")
        far.says(fraction_lost=0.05)
        other.room.beat()
        assert ("renew" in nurse.types()) is doubles
        assert "renew" not in doctor.types()


async def test_who_was_in_comes_back_after_an_attempt_that_failed_during_the_outage(table: Table) -> None:
    await three(table)
    table.backhaul.tell_capacity(Capacity(60_000, 60_000))
    table.room.move()
    socket, _ = await table.sit("doctor", Offer("again"), connect=False)
    table.clock.pass_s(CONNECT_S + 1)
    table.room.beat()
    assert len(socket.refused) == 1
    await table.sit("interpreter", Offer("again"))
    await table.sit("doctor", Offer("once more"))


async def test_who_is_answered_after_the_end_is_let_go_and_holds_nothing(table: Table) -> None:
    late = Late(answered=asyncio.Event())
    async with asyncio.TaskGroup() as tasks:
        joining = [tasks.create_task(refusal(table, role, late)) for role in ("nurse", "doctor")]
        await asyncio.sleep(0)
        table.room.close("ended")
        late.answered.set()
    assert [type(each.result()) for each in joining] == [NoCapacity, NoCapacity]
    assert table.gone == table.made
    assert (table.room.people(), table.shares()) == (0, 0)


async def refusal(table: Table, role: Role, offer: Offer) -> GatewayError | None:
    try:
        await table.room.join(role, Socket(), offer, far=role == "doctor")
    except GatewayError as exc:
        return exc
    return None


async def test_whoever_joins_while_another_page_with_their_link_leaves_sits_at_the_place(table: Table) -> None:
    old, _ = await table.sit("nurse")
    doctor, far = await table.sit("doctor")
    late = Late(answered=asyncio.Event())
    new = Socket()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(table.room.join("nurse", new, late))
        await asyncio.sleep(0)
        table.room.leave("nurse", old)
        late.answered.set()
    table.made[-1].connect()
    assert table.room.people() == 2
    assert far.hears() == {table.made[-1].number}
    assert new.state()["others"] is True
    assert doctor.state()["others"] is True


async def test_no_more_than_four_are_in_when_five_come_at_once(table: Table) -> None:
    late = Late(answered=asyncio.Event())
    roles: tuple[Role, ...] = ("nurse", "doctor", "interpreter", "guest", "camera")
    async with asyncio.TaskGroup() as tasks:
        joining = [tasks.create_task(refusal(table, role, late)) for role in roles]
        await asyncio.sleep(0)
        late.answered.set()
    assert [type(each.result()) for each in joining].count(NoCapacity) == 1
    assert table.room.people() == 4
    assert len(table.gone) == 1


async def test_a_camera_beside_the_nurse_does_not_hide_that_the_doctor_is_not_heard(table: Table) -> None:
    nurse, _ = await table.sit("nurse")
    _, far = await table.sit("doctor")
    await table.sit("camera", far=False)
    far.silence_s = HEARD_S + 1
    table.room.beat()
    assert nurse.state()["heard"] is False
    assert nurse.state()["quality"]["cause"] == "far-side"


async def test_a_call_that_breaks_gives_back_its_share_and_its_connections(table: Table) -> None:
    await table.sit("nurse")
    await table.sit("doctor")
    table.room.abandon()
    assert table.gone == table.made
    assert table.shares() == 0
    assert table.room.is_empty


async def test_what_one_changes_all_the_time_does_not_fill_the_others_sockets(table: Table) -> None:
    nurse, _ = await table.sit("nurse")
    doctor, _ = await table.sit("doctor")
    before = doctor.types().count("state")
    for index in range(200):
        table.clock.pass_s(0.05)
        table.room.switch("nurse", nurse, Switched(voice=index % 2 == 0))
    assert doctor.types().count("state") - before <= STATES_AT_ONCE + 10 * STATES_PER_S_MAX
    table.beats(1.0)
    assert [each["voice"] for each in doctor.state()["people"] if each["who"] == "nurse"] == [False]


async def test_the_places_of_nurse_and_doctor_are_kept_for_them(table: Table) -> None:
    await table.sit("doctor")
    await table.sit("guest", far=False)
    await table.sit("interpreter")
    with pytest.raises(NoCapacity):
        await table.sit("camera", far=False)
    await table.sit("nurse")
    assert table.room.people() == 4


async def test_one_who_keeps_changing_codecs_does_not_have_the_others_come_again_and_again(table: Table) -> None:
    nurse, _ = await table.sit("nurse")
    for index in range(20):
        guest = Offer(codecs=("vp8",) if index % 2 == 0 else ("h264",))
        error = await refusal(table, "guest", guest)
        assert error is None or isinstance(error, NoCapacity)
        if nurse.types()[-1] == "again":
            await table.room.join("nurse", nurse, Offer("again"), far=False)
        table.room.leave("guest", table.room._places["guest"].socket)
    assert nurse.types().count("again") <= 3


async def test_stills_come_no_faster_than_they_were_asked_for(table: Table, clock: HandClock) -> None:
    table.backhaul.tell_capacity(Capacity(2_000_000, 40_000))
    nurse, _ = await table.sit("nurse")
    doctor, _ = await table.sit("doctor")
    assert nurse.state()["plan"]["still_s"] == 6
    for index in range(60):
        clock.pass_s(1.0)
        table.room.show_still("nurse", nurse, f"{index}")
    assert doctor.types().count("still") == 12
