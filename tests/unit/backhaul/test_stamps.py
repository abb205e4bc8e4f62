"""A clock that is set while a datagram waits makes no delay of it."""

import socket
import struct

import pytest

from gateway.backhaul.sensing.stamps import LATE_NS, SO_TIMESTAMPNS, age_ns

NOW_NS = 1_800_000_000_000_000_000


def noted(at_ns: int) -> list[tuple[int, int, bytes]]:
    return [(socket.SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("@ll", *divmod(at_ns, 1_000_000_000)))]


def test_a_note_tells_how_long_ago_it_came() -> None:
    assert age_ns(noted(NOW_NS - 15_000_000), NOW_NS, LATE_NS) == 15_000_000


@pytest.mark.parametrize("set_s", [-3600, -3, 3, 3600])
def test_nothing_is_older_than_the_last_look(set_s: int) -> None:
    came_ns = NOW_NS - 10_000_000
    assert age_ns(noted(came_ns), NOW_NS + set_s * 1_000_000_000, 20_000_000 + LATE_NS) == 0


def test_without_a_note_it_came_now() -> None:
    assert age_ns([], NOW_NS) == 0
    assert age_ns([(socket.SOL_SOCKET, SO_TIMESTAMPNS, b"short")], NOW_NS) == 0
