"""Media's sockets stay within their ports, say a packet's kind, and drop what cannot go."""

import asyncio
import socket
from typing import Any

import pytest

from gateway.clinic.media.dscp import PICTURE, VOICE
from gateway.clinic.media.ports import DATAGRAM_BYTES_MAX, Port, PortRange, bind, bind_within
from tests.waiting import wait_until

FIRST, LAST = 47_100, 47_103


class Heard(asyncio.DatagramProtocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.datagrams: list[bytes] = []
        self.is_lost = False

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.datagrams.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True


async def test_ports_of_the_range_are_used_in_turn_and_no_others() -> None:
    after = FIRST + 2
    held = []
    try:
        for _ in range(4):
            sock, after = bind("127.0.0.1", PortRange(FIRST, LAST), after)
            held.append(sock)
        assert [each.getsockname()[1] for each in held] == [FIRST + 2, FIRST + 3, FIRST, FIRST + 1]
        with pytest.raises(OSError):
            bind("127.0.0.1", PortRange(FIRST, LAST), after)
    finally:
        for each in held:
            each.close()


async def test_only_what_asks_for_any_local_port_is_ours() -> None:
    loop = asyncio.get_running_loop()
    bind_within(loop, PortRange(), marked=False)
    ours, _ = await loop.create_datagram_endpoint(Heard, local_addr=("127.0.0.1", 0))
    usual, _ = await loop.create_datagram_endpoint(Heard, remote_addr=ours.get_extra_info("sockname"))
    try:
        assert isinstance(ours, Port)
        assert not isinstance(usual, Port)
    finally:
        ours.close()
        usual.close()


@pytest.mark.parametrize(("marked", "expected"), [(True, [VOICE << 2, PICTURE << 2, VOICE << 2]), (False, [0, 0, 0])])
async def test_a_voice_is_expedited_and_a_picture_assured(marked: bool, expected: list[int]) -> None:
    loop = asyncio.get_running_loop()
    bind_within(loop, PortRange(), marked=marked)
    port, _ = await loop.create_datagram_endpoint(Heard, local_addr=("127.0.0.1", 0))
    assert isinstance(port, Port)
    seen = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        other.bind(("127.0.0.1", 0))
        for kind in (VOICE, PICTURE, VOICE):
            port.mark(kind)
            assert port.send(b"x", other.getsockname())
            _, ancillary, _, _ = other.recvmsg(100, 100)
            seen.append(ancillary[0][2][0])
    port.close()
    assert seen == expected


async def test_what_is_longer_than_a_frame_is_not_taken_and_a_closed_port_sends_nothing() -> None:
    loop = asyncio.get_running_loop()
    bind_within(loop, PortRange(), marked=False)
    port, heard = await loop.create_datagram_endpoint(Heard, local_addr=("127.0.0.1", 0))
    assert isinstance(port, Port)
    address = port.get_extra_info("sockname")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        for size in (0, 1, DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MAX + 1, 9_000, 2):
            other.sendto(bytes(size), address)
    await wait_until(lambda: [len(each) for each in heard.datagrams] == [0, 1, DATAGRAM_BYTES_MAX, 2])
    port.abort()
    await wait_until(lambda: heard.is_lost)
    assert port.is_closing()
    assert not port.send(b"x", address)
    assert port.unsent == 1
    port.close()
