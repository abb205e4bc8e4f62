"""Guessing is paused by name and by address, and neither count can be taken back by the other's success."""

from gateway.portal.lockout import FREE_TRIES_OF_ADDRESS, Lockout

ADDRESS = "10.0.0.7"


def test_a_sign_in_without_a_name_does_not_forgive_the_address() -> None:
    lockout = Lockout()
    for number in range(FREE_TRIES_OF_ADDRESS):
        lockout.count_try(f"name{number}", ADDRESS, 0.0)
        lockout.count_try("", ADDRESS, 0.0)
        lockout.forgive("", ADDRESS)
    assert lockout.wait_s("another", ADDRESS, 0.0) > 0


def test_one_name_is_paused_before_its_address_is() -> None:
    lockout = Lockout()
    for _ in range(6):
        lockout.count_try("ana", ADDRESS, 0.0)
    assert lockout.wait_s("ana", ADDRESS, 0.0) > 0
    assert lockout.wait_s("rosa", ADDRESS, 0.0) == 0
    assert lockout.wait_s("ana", "10.0.0.8", 0.0) == 0
