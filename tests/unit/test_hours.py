"""Hours of a day are read as a technician writes them, over midnight too."""

import pytest

from gateway.hours import DAY_S, Local, left_s, opening, parse_hours

NIGHT, LUNCH, ALL_DAY = parse_hours("22:00-05:00"), parse_hours("12:00-13:30"), parse_hours("00:00-24:00")


def at(hour: float, day: int = 7) -> Local:
    return Local(day, int(hour * 3_600))


@pytest.mark.parametrize(
    "text", ["", "1:00-2:00", "01:00", "25:00-01:00", "01:60-02:00", "24:00-01:00", "01:00-24:30", "05:00-05:00", "a-b"]
)
def test_what_is_no_stretch_of_a_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_hours(text)


@pytest.mark.parametrize(
    ("hour", "opened", "left_h"),
    [
        (21.9, None, 0),
        (22, at(22), 7),
        (23.5, at(22), 5.5),
        (0, at(22, 6), 5),
        (4.5, at(22, 6), 0.5),
        (5, None, 0),
        (12, at(12), 1.5),
        (13.5, None, 0),
    ],
)
def test_a_window_is_open_between_its_ends_and_began_when_it_did(
    hour: float, opened: Local | None, left_h: float
) -> None:
    assert opening([NIGHT, LUNCH], at(hour)) == opened
    assert left_s([NIGHT, LUNCH], at(hour)) == left_h * 3_600


def test_of_windows_that_overlap_the_last_to_close_counts() -> None:
    assert left_s([parse_hours("01:00-02:00"), parse_hours("01:30-05:00")], at(1.75)) == 3.25 * 3_600
    assert opening([parse_hours("01:00-02:00"), parse_hours("01:30-05:00")], at(1.75)) == at(1.5)


def test_a_whole_day_opens_anew_each_day() -> None:
    assert opening([ALL_DAY], Local(7, DAY_S - 1)) == Local(7, 0)
    assert (left_s([ALL_DAY], Local(7, 0)), left_s([ALL_DAY], Local(7, DAY_S - 1))) == (DAY_S, 1)


def test_no_window_is_never_open() -> None:
    assert (opening([], at(3)), left_s([], at(3))) == (None, 0)
