"""The reflector answers who has a key, at the same length, within its limits, and nobody else."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.backhaul.sensing.echo import ECHO_BYTES, EchoKey, read_answer, request
from gateway.backhaul.sensing.stamps import raw_us
from gateway.errors import CannotStart
from gateway.hub.reflector import Reflector
from gateway.units import Address
from tests.clocks import HandClock
from tests.waiting import wait_until

KEY = EchoKey(7, b"k" * 32)
LOCAL = Address("127.0.0.1", 0)


@pytest.fixture
async def reflector(clock: HandClock) -> AsyncIterator[Reflector]:
    async with _reflector(clock) as running:
        yield running


@pytest.fixture
async def box(reflector: Reflector) -> AsyncIterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect(reflector.address)
        yield sock


async def test_a_true_request_is_answered_with_when_it_came(reflector: Reflector, box: socket.socket) -> None:
    before_us = raw_us()
    asked = request(KEY, 1, before_us)
    box.send(asked)
    datagram = await _received(box)
    said = read_answer(KEY, asked, datagram)
    assert len(datagram) == len(asked)
    assert said is not None
    assert before_us - 1 <= said.came_us <= raw_us()
    assert said.came_us + said.held_us <= raw_us()
    assert reflector.statistics().answered == 1


async def test_when_it_came_is_the_kernels_word_not_the_loops(reflector: Reflector, box: socket.socket) -> None:
    asked = request(KEY, 1, 0)
    box.send(asked)
    sent_us = raw_us()
    while raw_us() < sent_us + 30_000:  # the loop is busy for 30 ms
        pass
    said = read_answer(KEY, asked, await _received(box))
    assert said is not None
    assert said.came_us < sent_us + 10_000
    assert said.held_us > 20_000


async def test_what_is_untrue_gets_no_answer(reflector: Reflector, box: socket.socket) -> None:
    junk = [b"", b"\x10", os.urandom(ECHO_BYTES), os.urandom(1_400), request(EchoKey(7, b"o" * 32), 1, 2)]
    junk += [request(EchoKey(8, KEY.secret), 1, 2), request(KEY, 1, 2) + b"\0", request(KEY, 1, 2)[:-1]]
    for datagram in junk:
        box.send(datagram)
    await wait_until(lambda: reflector.statistics().untrue == len(junk))
    assert reflector.statistics().answered == 0
    with pytest.raises(BlockingIOError):
        box.recv(2_000)


async def test_a_source_over_its_limit_waits(clock: HandClock) -> None:
    async with _reflector(clock, per_source_hz=3) as reflector:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as box:
            box.connect(reflector.address)
            for number in range(5):
                box.send(request(KEY, number, 0))
            await wait_until(lambda: reflector.statistics().over_limit == 2)
            assert reflector.statistics().answered == 3
            clock.pass_s(1.0)
            box.send(request(KEY, 9, 0))
            await wait_until(lambda: reflector.statistics().answered == 4)


async def test_it_speaks_ipv6(clock: HandClock) -> None:
    try:
        reflector = Reflector({7: KEY}, Address("::1", 0), clock, per_source_hz=100, total_hz=1_000, sources_max=10)
        running = await reflector.__aenter__()
    except CannotStart:
        pytest.skip("no IPv6 here")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as box:
        box.connect(tuple(running.address))
        asked = request(KEY, 1, 0)
        box.send(asked)
        assert read_answer(KEY, asked, await _received(box)) is not None
    await reflector.__aexit__()


async def test_a_port_that_is_taken_is_said(clock: HandClock, reflector: Reflector) -> None:
    with pytest.raises(CannotStart):
        await _reflector(clock, listen=reflector.address).__aenter__()


async def test_it_ends_when_it_is_told(reflector: Reflector) -> None:
    stop = asyncio.Event()
    stop.set()
    await reflector.run(stop)


def _reflector(clock: HandClock, *, listen: Address = LOCAL, per_source_hz: float = 100) -> Reflector:
    return Reflector({7: KEY}, listen, clock, per_source_hz=per_source_hz, total_hz=1_000, sources_max=10)


async def _received(sock: socket.socket) -> bytes:
    async with asyncio.timeout(5):
        return await asyncio.get_running_loop().sock_recv(sock, 2_000)
