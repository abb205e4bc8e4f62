"""What uvloop does with a socket it was given, and what the event loop of the box makes of it."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import pytest
import uvloop

from gateway.event_loop import new_event_loop

LOOPS = [asyncio.new_event_loop, new_event_loop]
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST (socket(7))


class Aborting(asyncio.Protocol):
    """Ends its connection as soon as it has one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()  # uvloop's are no subclass


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield both ends of a TCP connection."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        near = socket.create_connection(listening.getsockname())
        near.setblocking(False)
        far, _ = listening.accept()
        with far:
            yield near, far


async def hand_over(near: socket.socket, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(protocol, sock=near)
    async with asyncio.timeout(5):
        while not transport.is_closing():
            await asyncio.sleep(0)
    await asyncio.sleep(0.01)


def run(make: Callable[[], asyncio.AbstractEventLoop], near: socket.socket, protocol: type[asyncio.Protocol]) -> None:
    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(hand_over(near, protocol))


def test_uvloop_lets_an_aborted_socket_keep_the_number_of_another_file() -> None:
    with connected() as (near, _):
        run(uvloop.new_event_loop, near, Aborting)
        number = near.detach()
        assert number >= 0
        with pytest.raises(OSError):
            os.fstat(number)


@pytest.mark.parametrize("make", LOOPS)
def test_a_socket_whose_connection_ends_at_once_has_no_number(make: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with connected() as (near, _):
        run(make, near, Aborting)
        assert near.fileno() == -1


@pytest.mark.parametrize("make", LOOPS)
def test_a_socket_that_its_peer_resets_at_once_has_no_number(make: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with connected() as (near, far):
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        far.close()
        run(make, near, asyncio.Protocol)
        assert near.fileno() == -1


@pytest.mark.parametrize("make", LOOPS)
def test_a_connection_that_goes_on_carries_bytes(make: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def echo(near: socket.socket, far: socket.socket) -> bytes:
        reader, writer = await asyncio.open_connection(sock=near)
        writer.write(b"there")
        await writer.drain()
        far.sendall(far.recv(5) + b" and back")
        answer = await reader.readexactly(14)
        writer.close()
        await writer.wait_closed()
        return answer

    with connected() as (near, far), asyncio.Runner(loop_factory=make) as runner:
        assert runner.run(echo(near, far)) == b"there and back"
