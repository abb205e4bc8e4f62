"""What the box writes on its packets."""

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from gateway.backhaul.sensing.flows import Flows
from gateway.backhaul.shaping.marks import DSCP, PRIORITY, mark
from gateway.backhaul.sharing.classes import TrafficClass
from tests.clocks import HandClock

REALTIME, INTERACTIVE, WEB, BULK = TrafficClass
IPV4 = (socket.AF_INET, socket.SOCK_STREAM, 0)


def dscp(sock: socket.socket) -> int:
    if sock.family == socket.AF_INET6:
        return sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) >> 2
    return sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) >> 2


def priority(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY)


def test_every_class_has_marks() -> None:
    assert set(DSCP) == set(PRIORITY) == set(TrafficClass)
    assert [DSCP[each] for each in TrafficClass] == [34, 18, 0, 1], "AF41, AF21, default, LE"
    assert all(0 <= each <= 6 for each in PRIORITY.values()), "more needs a privilege (socket(7))"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("traffic_class", list(TrafficClass))
def test_the_kernel_takes_field_and_priority(family: int, kind: int, traffic_class: TrafficClass) -> None:
    with socket.socket(family, kind) as sock:
        mark(sock, traffic_class)
        assert (dscp(sock), priority(sock)) == (DSCP[traffic_class], PRIORITY[traffic_class])


def test_the_field_would_reset_the_priority_so_it_is_set_before() -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 6)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 34 << 2)
        assert priority(sock) != 6, "the kernel's habit that the order stands against"
        mark(sock, REALTIME)
        assert priority(sock) == 6


def test_a_closed_socket_is_left_alone() -> None:
    sock = socket.socket()
    sock.close()
    mark(sock, REALTIME)
    assert sock.fileno() == -1


def test_a_share_that_rises_marks_its_socket_anew() -> None:
    flows = Flows(HandClock())
    with flows.open_socket(IPV4) as sock:
        flows.through(7, sock, BULK)
        assert (dscp(sock), priority(sock)) == (1, 2)
        flows.rise(7, WEB)
        assert (dscp(sock), priority(sock)) == (0, 0)
        flows.leave(7, sock)
        flows.rise(7, REALTIME)
        assert dscp(sock) == 0, "it carries that share no more"


def test_an_operator_whose_network_punishes_marks_has_none() -> None:
    flows = Flows(HandClock(), marks=False)
    with flows.open_socket(IPV4) as sock:
        flows.through(7, sock, REALTIME)
        flows.rise(7, REALTIME)
        assert (dscp(sock), priority(sock)) == (0, 0)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_an_event_loop_shows_of_a_datagram_socket_can_be_marked(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def marked() -> None:
        opening = asyncio.get_running_loop().create_datagram_endpoint
        transport, _ = await opening(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        shown = transport.get_extra_info("socket")
        Flows(HandClock()).mark(shown, REALTIME)
        assert (dscp(shown), priority(shown)) == (34, 6)
        transport.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(marked())
