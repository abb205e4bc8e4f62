"""A camera without a voice costs none, and a voice goes twice only where both ends speak RED."""

from dataclasses import replace

from gateway.clinic.allocation import FULL
from gateway.clinic.sharing_out import Budgets, Outcome, Person, share_out

NARROW = Budgets(120_000, 900_000, 700_000)
WIDE = Budgets(3_000_000, 3_000_000, 700_000)
NURSE, DOCTOR = Person("nurse", far=False, slots=3), Person("doctor", far=True, slots=3)
OTOSCOPE = Person("camera", far=False, slots=0, has_voice=False)


def test_a_camera_without_a_microphone_leaves_the_link_to_pictures() -> None:
    found = [
        share_out([NURSE, DOCTOR, each], NARROW, "camera", Outcome(), 0.0)
        for each in (OTOSCOPE, replace(OTOSCOPE, has_voice=True))
    ]
    silent, with_voice = (each.given["camera"].picture_bps for each in found)
    assert silent > with_voice + 15_000, "a voice of 20 kb/s less"
    assert any(each.who == "camera" and each.picture for each in found[0].given["doctor"].slots)


def test_who_only_watches_from_far_away_costs_nothing_on_the_way_down() -> None:
    screen = Person("guest", far=True, slots=1, sends_picture=False, has_voice=False)
    alone = share_out([NURSE, DOCTOR], Budgets(900_000, 120_000, 700_000), None, Outcome(), 0.0)
    watched = share_out([NURSE, DOCTOR, screen], Budgets(900_000, 120_000, 700_000), None, Outcome(), 0.0)
    lost_bps = alone.given["doctor"].picture_bps - watched.given["doctor"].picture_bps
    assert lost_bps < 10_000, "reports alone"


def test_a_voice_is_doubled_only_for_who_understands_it() -> None:
    loses = replace(DOCTOR, voice=FULL, lost_ratio=0.05)
    for nurse_speaks, doctor_speaks in ((True, True), (True, False), (False, True)):
        people = [replace(NURSE, voice=FULL, speaks_red=nurse_speaks), replace(loses, speaks_red=doctor_speaks)]
        given = share_out(people, WIDE, None, Outcome(), 0.0).given
        assert given["nurse"].voice.red is (nurse_speaks and doctor_speaks)
