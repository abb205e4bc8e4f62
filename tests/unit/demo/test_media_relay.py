"""Datagrams cross the link both ways, each far address by a socket of its own (sockets are real, time is virtual)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from gateway.backhaul.dialer import Endpoint, UnreachableError
from gateway.demo.link import EmulatedLink, LinkSettings
from gateway.demo.media import CLIENT_IDLE_S, CLIENTS_MAX
from tests.unit.demo.virtual_time import LoopClock, in_virtual_time

LOOPBACK = "127.0.0.1"
SETTINGS = LinkSettings(down_bps=1_000_000, up_bps=200_000, delay_s=0.05)
TURN_S = 0.0011


class Talker(asyncio.DatagramProtocol):
    """A socket that keeps what it got, with when and from where; answers when it is told to."""

    def __init__(self, answer: bool = False) -> None:
        self.answer = answer
        self.got: list[tuple[float, bytes, Endpoint]] = []
        self.here = Endpoint("", 0)
        self._transport: Any = None
        self._more = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.here = Endpoint(*transport.get_extra_info("sockname")[:2])

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.got.append((asyncio.get_running_loop().time(), data, Endpoint(*addr[:2])))
        self._more.set()
        if self.answer:
            self._transport.sendto(data, addr)

    def send(self, data: bytes, to: Endpoint) -> None:
        self._transport.sendto(data, to)

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.got) < count:
                self._more.clear()
                await self._more.wait()

    def close(self) -> None:
        self._transport.close()


async def talker(*, answer: bool = False, host: str = LOOPBACK) -> Talker:
    _, made = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Talker(answer), local_addr=(host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET
    )
    return made


@asynccontextmanager
async def running(settings: LinkSettings = SETTINGS) -> AsyncIterator[EmulatedLink]:
    link = EmulatedLink(LoopClock(), settings, Random(11), {})
    async with asyncio.TaskGroup() as tasks:
        carrying = tasks.create_task(link.run())
        yield link
        carrying.cancel()


@pytest.mark.parametrize("host", [LOOPBACK, "::1"])
def test_a_datagram_and_its_answer_take_the_links_time(host: str) -> None:
    async def journey() -> tuple[float, float]:
        async with running() as link:
            box, browser = await talker(answer=True, host=host), await talker(host=host)
            front = await link.media(box.here)
            assert front.host == box.here.host
            assert front != box.here
            assert await link.advertise(box.here) == front, "one relay for one socket"
            begun_s = asyncio.get_running_loop().time()
            browser.send(b"m" * 222, front)  # 250 bytes on the link
            await browser.wait_for(1)
            (there_s, data, _), (back_s, back, from_where) = box.got[0], browser.got[0]
            assert data == back == b"m" * 222
            assert from_where == front
            box.close()
            browser.close()
            return there_s - begun_s, back_s - begun_s

    there_s, back_s = in_virtual_time(journey())
    assert there_s == pytest.approx(0.05 + 0.002, abs=TURN_S), "far to box is down"
    assert back_s == pytest.approx(0.1 + 0.002 + 0.01, abs=2 * TURN_S), "box to far is up"


def test_each_far_address_is_told_apart_and_gets_its_own_answers() -> None:
    async def journey() -> None:
        async with running() as link:
            box, one, other = await talker(answer=True), await talker(), await talker()
            front = await link.media(box.here)
            one.send(b"one", front)
            other.send(b"other", front)
            await one.wait_for(1)
            await other.wait_for(1)
            assert [data for _, data, _ in one.got] == [b"one"]
            assert [data for _, data, _ in other.got] == [b"other"]
            assert len({where for _, _, where in box.got}) == 2
            for each in (box, one, other):
                each.close()

    in_virtual_time(journey())


def test_what_finds_the_queue_full_is_dropped() -> None:
    async def journey() -> tuple[int, int]:
        async with running(LinkSettings(down_bps=100_000, queue_bytes=5_000)) as link:
            box, browser = await talker(), await talker()
            front = await link.media(box.here)
            for _ in range(20):
                browser.send(b"m" * 972, front)
            await box.wait_for(5)
            await asyncio.sleep(5)
            box.close()
            browser.close()
            return len(box.got), link.statistics().down.dropped_packets

    assert in_virtual_time(journey()) == (5, 15)


def test_datagrams_wait_out_an_outage() -> None:
    async def journey() -> float:
        async with running() as link:
            box, browser = await talker(), await talker()
            front = await link.media(box.here)
            link.outage(20.0)
            begun_s = asyncio.get_running_loop().time()
            browser.send(b"m", front)
            await asyncio.sleep(15)
            assert box.got == []
            await box.wait_for(1)
            box.close()
            browser.close()
            return box.got[0][0] - begun_s

    assert in_virtual_time(journey()) == pytest.approx(20.05, abs=2 * TURN_S)


def test_far_addresses_are_bounded_and_silent_ones_make_room() -> None:
    async def journey() -> None:
        async with running() as link:
            box = await talker()
            front = await link.media(box.here)
            browsers = [await talker() for _ in range(CLIENTS_MAX + 1)]
            for browser in browsers:
                browser.send(b"m", front)
            await box.wait_for(CLIENTS_MAX)
            await asyncio.sleep(5)
            assert len(box.got) == CLIENTS_MAX
            await asyncio.sleep(CLIENT_IDLE_S)
            browsers[-1].send(b"m", front)
            await box.wait_for(CLIENTS_MAX + 1)
            for each in (box, *browsers):
                each.close()

    in_virtual_time(journey())


def test_a_released_socket_has_no_relay_any_more() -> None:
    async def journey() -> None:
        async with running() as link:
            box, browser = await talker(), await talker()
            front = await link.media(box.here)
            link.release(box.here)
            link.release(box.here)
            browser.send(b"m", front)
            await asyncio.sleep(1)
            assert box.got == []
            assert await link.media(box.here) != front
            box.close()
            browser.close()

    in_virtual_time(journey())


def test_an_address_that_is_not_this_machines_is_unreachable() -> None:
    async def journey() -> None:
        async with running() as link:
            with pytest.raises(UnreachableError):
                await link.media(Endpoint("192.0.2.77", 5_000))

    in_virtual_time(journey())


def test_media_relays_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.demo.link.MEDIA_MAX", 2)

    async def journey() -> None:
        async with running() as link:
            for port in (1, 2):
                await link.media(Endpoint(LOOPBACK, port))
            with pytest.raises(UnreachableError):
                await link.media(Endpoint(LOOPBACK, 3))

    in_virtual_time(journey())


def test_a_box_that_does_not_listen_breaks_nothing() -> None:
    async def journey() -> None:
        async with running() as link:
            gone = await talker()
            front = await link.media(gone.here)
            gone.close()
            await asyncio.sleep(0)
            browser, box = await talker(), await talker(answer=True)
            for _ in range(3):
                browser.send(b"m", front)
                await asyncio.sleep(0.2)
            browser.send(b"m", await link.media(box.here))
            await browser.wait_for(1)
            assert len(browser.got) == 1, "only who listens answers"
            box.close()
            browser.close()

    in_virtual_time(journey())
