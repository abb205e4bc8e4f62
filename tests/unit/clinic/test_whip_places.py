"""Whoever has no page sits at a place like anybody else, takes it from a page, and gives it back."""

from typing import Any, cast

from gateway.clinic.messages import Switched
from tests.clocks import HandClock
from tests.unit.clinic.test_consultation import Offer, Table


async def test_a_screen_takes_a_page_s_place_and_a_page_a_screen_s(clock: HandClock) -> None:
    table = Table(clock)
    await table.sit("nurse")
    page, _ = await table.sit("guest")
    room = table.room
    await room.join("guest", None, cast("Any", Offer("screen")), switches=Switched(voice=False, picture=False))
    leg = room.leg_of("guest")
    assert "bye" in page.types()
    assert not page.is_open
    assert room.people() == 2
    room.leave("guest", cast("Any", page))
    assert room.leg_of("guest") == leg, "the page that was sent away takes nobody along"
    again, _ = await table.sit("guest")
    assert room.leg_of("guest") != leg
    room.leave("guest", None)
    assert room.people() == 2, "the screen that lost its place takes nobody along"
    assert again.is_open


async def test_a_camera_is_shown_like_anybody_and_said_to_be_silent(clock: HandClock) -> None:
    table = Table(clock)
    nurse, _ = await table.sit("nurse")
    doctor, far = await table.sit("doctor")
    await table.room.join("camera", None, cast("Any", Offer("camera")), switches=Switched(voice=False))
    table.room.beat()
    (shown,) = [each for each in nurse.state()["people"] if each["who"] == "camera"]
    assert (shown["picture"], shown["voice"], shown["far"]) == (True, False, False)
    assert table.room.leg_of("camera") in far.hears() | {each.voice for each in far.fed}
    table.room.leave("camera", None)
    assert table.room.people() == 2
    assert doctor.is_open
