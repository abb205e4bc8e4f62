"""Calls are alone once nothing else, or hardly anything, has moved for two seconds."""

from gateway.backhaul.sensing.samples import Way
from gateway.backhaul.sharing.company import ALONE_AFTER_S, OTHERS_BPS_MAX, Company


def test_nobody_was_ever_seen() -> None:
    assert Company().leaves_alone(5.0)


def test_others_who_use_little_beside_the_calls_leave_them_alone() -> None:
    company = Company()
    company.look(5.0, 0.0, OTHERS_BPS_MAX - 1)
    company.look(5.1, 400_000, 50_000)
    assert company.leaves_alone(5.1)
    company.look(5.2, 400_000, 70_000)
    assert not company.leaves_alone(5.2)


def test_between_two_parts_of_a_page_calls_are_not_alone() -> None:
    company = Company()
    for tenth in range(100):
        company.look(tenth / 10, 100_000, 500_000 if tenth % 15 == 0 else 0.0)
        assert not company.leaves_alone(tenth / 10)
    assert company.leaves_alone(9.0 + ALONE_AFTER_S)


def test_the_first_share_is_about_to_be_used_and_later_ones_are_judged_by_their_use() -> None:
    company = Company()
    company.opened(5.0)
    assert not company.leaves_alone(5.0)
    assert company.leaves_alone(5.0 + ALONE_AFTER_S)
    company.opened(60.0)
    assert company.leaves_alone(60.0)


def test_a_call_s_own_bytes_that_are_noted_in_lumps_are_nobody_else_s() -> None:
    company, crossed, noted = Company(), 0, 0
    for tick in range(1_500):  # 250 kb/s cross evenly, and are noted four times a second
        crossed += 625
        lump, noted = (crossed - noted, crossed) if tick % 12 == 0 else (0, noted)
        company.crossed(Way.UP, 625 - lump, 0.02)
        company.look(tick * 0.02, 250_000, 0.0)
        assert company.leaves_alone(tick * 0.02)


def test_what_phones_send_past_the_box_is_company() -> None:
    company = Company()
    for tick in range(50):
        company.crossed(Way.DOWN, 5_000, 0.02)
        company.look(tick * 0.02, 250_000, 0.0)
    assert not company.leaves_alone(1.0)
