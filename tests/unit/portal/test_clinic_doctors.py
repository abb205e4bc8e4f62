"""Who can be called now, by their hours and by their waiting page; a smaller picture has pixels and nothing else."""

import io

import pytest
from PIL import Image

from gateway.clock import WALL_FLOOR_S
from gateway.errors import NotFound, TooLarge
from gateway.hours import parse_hours
from gateway.portal import record_picture
from gateway.portal.clinic_doctors import CALL_S, SEEN_S, Doctor, Doctors
from gateway.portal.record_picture import smaller
from gateway.settings_clinic import Clinic
from tests.clocks import HandClock

ALWAYS = Doctor("Dra. Huamán", hours=(parse_hours("00:00-24:00"),))
NEVER = Doctor("Dr. Salas")


def test_who_waits_at_the_door_comes_first_then_who_has_hours_now(clock: HandClock) -> None:
    doctors = Doctors([NEVER, ALWAYS], clock)
    assert [(each.doctor.name, each.left_s > 0) for each in doctors.all()] == [(ALWAYS.name, True), (NEVER.name, False)]
    doctors.see(NEVER.desk)
    assert [each.is_at_door for each in doctors.all()] == [True, False]
    assert doctors.all()[0].doctor is NEVER
    clock.pass_s(SEEN_S + 1)
    assert not any(each.is_at_door for each in doctors.all())


def test_without_a_date_nobody_is_in_their_hours(clock: HandClock) -> None:
    clock.wall = WALL_FLOOR_S - 1
    assert Doctors([ALWAYS], clock).all()[0].left_s == 0


def test_a_call_waits_for_its_doctor_and_then_no_more(clock: HandClock) -> None:
    doctors = Doctors([ALWAYS, NEVER], clock)
    doctors.call(ALWAYS, "a-record")
    assert (doctors.called(ALWAYS.desk), doctors.called(NEVER.desk)) == ("a-record", None)
    doctors.end_calls("another")
    clock.pass_s(CALL_S - 1)
    assert doctors.called(ALWAYS.desk) == "a-record"
    clock.pass_s(2)
    assert doctors.called(ALWAYS.desk) is None


def test_a_desk_fits_into_a_link_and_does_not_tell_the_name() -> None:
    desk = Doctor("Dr. " + "ñ" * 60).desk
    assert len(desk.encode()) <= 40
    assert "ñ" not in desk


def test_doctors_are_set_as_tables() -> None:
    table = {"name": "Dra. Huamán", "hours": ["08:00-13:00"], "phone": "+51 987 654 321"}
    [doctor] = Clinic.model_validate({"doctors": [table]}).doctors
    assert (doctor.name, str(doctor.hours[0])) == ("Dra. Huamán", "08:00-13:00")
    for fault in ({"name": ""}, {"name": "x", "phone": "call me"}, {"name": "x", "hours": ["8-9"]}):
        with pytest.raises(ValueError):
            Clinic.model_validate({"doctors": [fault]})


def test_a_picture_is_turned_as_it_was_held() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turn a quarter clockwise
    made = io.BytesIO()
    Image.new("RGB", (400, 200), (9, 9, 9)).save(made, "JPEG", exif=exif)
    with Image.open(io.BytesIO(smaller(made.getvalue(), 100))) as shown:
        assert shown.size == (50, 100)
        assert not shown.getexif()


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0broken", b"RIFF0000WEBPVP8 ", b"GIF89a"])
def test_what_is_no_picture_is_not_shown(content: bytes) -> None:
    with pytest.raises(NotFound):
        smaller(content, 100)


def test_a_picture_of_too_many_pixels_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_picture, "PIXELS_MAX", 100)
    made = io.BytesIO()
    Image.new("L", (20, 20)).save(made, "PNG")
    with pytest.raises(TooLarge):
        smaller(made.getvalue(), 100)
