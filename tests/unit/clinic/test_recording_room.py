"""Everybody in the room sees that it is recorded, and nobody is recorded who is not in it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.shares import Capacity
from gateway.clinic.consultation import Consultation
from gateway.clinic.media.control import Command, LegFigures, RecordLeg, StopRecording
from gateway.clinic.media.rtp_dump import Streams
from gateway.clinic.recordings.recordings import Ongoing
from tests.clocks import HandClock


class Recorder:
    """A media process that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Command] = []

    def record(self, *_: object) -> int:
        return 1

    def tell(self, command: Command) -> None:
        self.told.append(command)


class Room:
    """A consultation, with people who are connected at once."""

    def __init__(self, clock: HandClock) -> None:
        async def answers(peer: tuple[str, int]) -> bool:
            return bool(peer)

        backhaul = Backhaul(clock, capacity=Capacity(2_000_000, 2_000_000), carrier=lambda: True, probe=answers)
        self.count = 0
        self.consultation: Any = Consultation(
            clock=clock, backhaul=backhaul, open_peer=self.open_peer, video_bps_max=700_000, gone=lambda peer: None
        )

    def open_peer(self, offer: object, **_: object) -> Any:
        async def answer(*_: object) -> str:
            return ""

        self.count += 1
        return SimpleNamespace(
            number=self.count,
            offer=offer,
            began_s=0.0,
            slots=3,
            speaks_red=False,
            figures=LegFigures(self.count),
            is_connected=True,
            is_over=False,
            silent_s=lambda: 0.0,
            answer=answer,
            continues_with=lambda offer: False,
            feed=lambda slots: None,
            cap=lambda picture_bps, sent_bps: None,
            streams=lambda who: Streams(who, "vp8", 111, 0, 96, 97),
        )

    async def sit(self, role: str, *, far: bool) -> list[dict[str, Any]]:
        said: list[dict[str, Any]] = []
        socket = SimpleNamespace(
            say=said.append, words=lambda *each: " ".join(each), pace=lambda bps: None, silent_s=lambda: 0.0,
            hang_up=lambda: None,
        )  # fmt: skip
        await self.consultation.join(role, socket, SimpleNamespace(codecs=("vp8",)), far=far)
        return said


def recorded(said: list[dict[str, Any]]) -> bool:
    """Whether the page shows a recording now."""
    return bool(next(each for each in reversed(said) if each["type"] == "state")["recording"])


async def test_all_see_it_and_whoever_comes_later_is_in_it_too(clock: HandClock) -> None:
    room, recorder = Room(clock), Recorder()
    pages = [await room.sit("nurse", far=False), await room.sit("doctor", far=True)]
    assert [recorded(each) for each in pages] == [False, False]
    made = Ongoing("record", Path("file"), recorder, room.consultation.end_recording)
    room.consultation.record(made)
    pages.append(await room.sit("interpreter", far=True))
    assert [recorded(each) for each in pages] == [True, True, True]
    followed = [(each.leg, each.streams.who) for each in recorder.told if isinstance(each, RecordLeg)]
    assert followed == [(1, "nurse"), (2, "doctor"), (3, "interpreter")]
    room.consultation.end_recording()
    assert [recorded(each) for each in pages] == [False, False, False]
    assert isinstance(recorder.told[-1], StopRecording)


async def test_the_nurse_alone_is_told_why_it_ended(clock: HandClock) -> None:
    room, recorder = Room(clock), Recorder()
    nurse, doctor = await room.sit("nurse", far=False), await room.sit("doctor", far=True)
    made = Ongoing("record", Path("file"), recorder, room.consultation.end_recording)
    room.consultation.record(made)
    made.end("full")
    assert [each["type"] for each in nurse].count("recording") == 1
    assert "recording" not in [each["type"] for each in doctor]
    assert not recorded(doctor)


async def test_a_call_that_is_over_is_recorded_no_more(clock: HandClock) -> None:
    room, recorder = Room(clock), Recorder()
    await room.sit("nurse", far=False)
    made = Ongoing("record", Path("file"), recorder, room.consultation.end_recording)
    room.consultation.record(made)
    room.consultation.close("ended")
    assert not made.is_on
