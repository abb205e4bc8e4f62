"""The prober asks only while it is told to, believes only true answers, and leaves alone who does not answer."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from gateway.backhaul.dialer import OpenDialer
from gateway.backhaul.sensing import prober as probing
from gateway.backhaul.sensing.echo import EchoKey, answer
from gateway.backhaul.sensing.ping import answered, request
from gateway.backhaul.sensing.probe_ledger import ProbeLedger
from gateway.backhaul.sensing.prober import Prober
from gateway.backhaul.sensing.samples import DelaySample, Sees
from gateway.backhaul.sensing.stamps import raw_us
from gateway.backhaul.sensing.wires import NO_PING, EchoWire, PingWire
from gateway.clock import SystemClock
from gateway.hub.reflector import Reflector
from gateway.units import Address
from tests.clocks import HandClock
from tests.waiting import wait_until

KEY = EchoKey(7, b"k" * 32)
EXCHANGE_BYTES = 2 * (24 + 8 + 20)


@pytest.fixture
async def far_end() -> AsyncIterator[Reflector]:
    local = Address("127.0.0.1", 0)
    async with Reflector({7: KEY}, local, SystemClock(), per_source_hz=500, total_hz=500, sources_max=4) as reflector:
        yield reflector


@pytest.fixture
def silent() -> Iterator[Address]:
    """A far end that takes everything and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield Address(*sock.getsockname())


async def test_an_idle_box_sends_nothing(far_end: Reflector, clock: HandClock) -> None:
    async with _running(far_end.address, clock) as (prober, _):
        await _pass(prober, clock, 5.0)
        assert prober.statistics().sent == 0
        prober.listen(20)
        await _until(prober, clock, lambda: prober.statistics().answered > 3)
        prober.listen(0)
        sent = prober.statistics().sent
        await _pass(prober, clock, 5.0)
        assert prober.statistics().sent == sent


async def test_an_answer_tells_each_direction_and_the_round_trip(far_end: Reflector, clock: HandClock) -> None:
    async with _running(far_end.address, clock) as (prober, heard):
        prober.listen(50)
        await _until(prober, clock, lambda: prober.statistics().answered >= 3)
        statistics = prober.statistics()
        assert {each.sees for each in heard} == set(Sees)
        assert statistics.reachable
        assert statistics.refused == statistics.lost == 0
        up, down, both = heard[:3]
        assert up.delay_s + down.delay_s == pytest.approx(both.delay_s, abs=1e-4)
        assert 0 <= both.delay_s < 0.05
        assert statistics.spent_bytes == statistics.sent * EXCHANGE_BYTES


async def test_an_answer_that_lay_in_the_socket_is_no_slower(far_end: Reflector, clock: HandClock) -> None:
    async with _running(far_end.address, clock) as (prober, heard):
        prober.listen(1)
        await _until(prober, clock, lambda: prober.statistics().sent == 1)
        await wait_until(lambda: far_end.statistics().answered == 1)
        before_us = raw_us()
        while raw_us() < before_us + 60_000:  # the box is busy for 60 ms
            pass
        clock.pass_s(0.06)
        prober.tick()
        assert heard[2].delay_s < 0.03
        assert clock.now - heard[2].at_s > 0.03


@pytest.mark.parametrize("rate_hz", [1, 7, 20, 50])
async def test_probes_are_sent_as_often_as_is_asked(far_end: Reflector, clock: HandClock, rate_hz: int) -> None:
    async with _running(far_end.address, clock) as (prober, _):
        prober.listen(rate_hz)
        await _until(prober, clock, lambda: prober.statistics().answered > 0)
        before = prober.statistics().sent
        for _ in range(200):
            clock.pass_s(0.02)
            await asyncio.sleep(0)
            prober.tick()
        assert prober.statistics().sent - before == pytest.approx(4 * rate_hz, abs=2)


async def test_asking_again_and_again_is_no_higher_rate(far_end: Reflector, clock: HandClock) -> None:
    async with _running(far_end.address, clock) as (prober, _):
        prober.listen(10)
        await _until(prober, clock, lambda: prober.statistics().answered > 0)
        before = prober.statistics().sent
        for _ in range(100):
            prober.listen(0)
            prober.listen(10)
            clock.pass_s(0.02)
            prober.tick()
        assert prober.statistics().sent - before <= 22


async def test_an_empty_budget_sends_nothing(far_end: Reflector, clock: HandClock) -> None:
    async with _running(far_end.address, clock, month_bytes=0) as (prober, _):
        prober.listen(50)
        await _pass(prober, clock, 5.0)
        assert prober.statistics().sent == 0
        assert prober.statistics().rate_hz == 0


async def test_who_does_not_answer_is_left_alone_until_told(silent: Address, clock: HandClock) -> None:
    async with _running(silent, clock) as (prober, _):
        prober.listen(20)
        await _pass(prober, clock, 3_600.0, step_s=0.5)
        assert prober.statistics().reachable is False
        first = prober.statistics().sent
        assert first < 150
        await _pass(prober, clock, 400.0, step_s=0.5)
        assert prober.statistics().sent - first <= 8  # one try
        first = prober.statistics().sent
        prober.retry()
        await _pass(prober, clock, 5.0, step_s=0.5)
        assert prober.statistics().sent >= first + probing.TRIES


async def test_who_answers_again_is_reachable_again(clock: HandClock) -> None:
    local, mine = Address("127.0.0.1", 0), {7: KEY}
    async with Reflector(mine, local, clock, per_source_hz=50, total_hz=50, sources_max=4) as first:
        place = first.address
    async with _running(place, clock) as (prober, _):
        prober.listen(20)
        await _until(prober, clock, lambda: prober.statistics().reachable is False)
        async with Reflector(mine, place, clock, per_source_hz=50, total_hz=50, sources_max=4):
            prober.retry()
            await _until(prober, clock, lambda: prober.statistics().reachable is True)


async def test_silence_is_told_while_it_lasts(silent: Address, clock: HandClock) -> None:
    async with _running(silent, clock) as (prober, _):
        assert prober.waiting_s(clock.now_s()) == 0
        prober.listen(20)
        await _until(prober, clock, lambda: prober.statistics().sent == 1)
        clock.pass_s(0.7)
        assert prober.waiting_s(clock.now_s()) == pytest.approx(0.7)


async def test_a_port_where_nobody_is_is_noticed_at_once(clock: HandClock) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        nobody = Address(*sock.getsockname())
    async with _running(nobody, clock) as (prober, _):
        prober.listen(20)
        await _until(prober, clock, lambda: prober.statistics().reachable is False)
        assert prober.statistics().sent <= 2


async def test_made_up_answers_are_counted_and_not_believed(clock: HandClock) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as liar:
        liar.bind(("127.0.0.1", 0))
        async with _running(Address(*liar.getsockname()), clock) as (prober, heard):
            prober.listen(20)
            await _until(prober, clock, lambda: prober.statistics().sent == 1)
            asked, box = await asyncio.get_running_loop().sock_recvfrom(liar, 100)
            for lie in (b"", asked, b"\x11" + asked[1:], b"\x11" * 24, asked + asked):
                liar.sendto(lie, box)
            await _until(prober, clock, lambda: prober.statistics().refused == 5, step_s=0.0)
            assert heard == []
            assert prober.statistics().reachable is None


async def test_a_far_clock_that_was_set_begins_a_new_path(clock: HandClock) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as far:
        far.bind(("127.0.0.1", 0))
        async with _running(Address(*far.getsockname()), clock) as (prober, heard):
            prober.listen(20)
            for came_us in (5_000_000, 5_100_000, 900_000_000):
                sent = prober.statistics().sent
                await _until(prober, clock, lambda sent=sent: prober.statistics().sent > sent)  # type: ignore[misc]
                asked, box = await asyncio.get_running_loop().sock_recvfrom(far, 100)
                now_us = int.from_bytes(asked[10:16])
                far.sendto(answer(KEY, asked, now_us + came_us // 10**6 * 10**6, 0), box)
                answers = prober.statistics().answered
                await _until(prober, clock, lambda n=answers: prober.statistics().answered > n, step_s=0.0)  # type: ignore[misc]
            assert [each.path for each in heard if each.sees is Sees.UP] == ["echo:up:0", "echo:up:0", "echo:up:1"]


async def test_a_machine_that_forbids_pings_is_said(monkeypatch: pytest.MonkeyPatch, clock: HandClock) -> None:
    async def peer() -> str:
        return "127.0.0.1"

    def forbidden(*_: object) -> socket.socket:
        raise PermissionError(13, "no")

    wire = PingWire(peer, b"c" * 8)
    prober = Prober(wire, ProbeLedger(None, 1_000_000, clock), clock, lambda _: None)
    monkeypatch.setattr("gateway.backhaul.sensing.wires.socket.socket", forbidden)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(prober.run())
        prober.listen(20)
        await _until(prober, clock, lambda: prober.statistics().trouble == NO_PING)
        running.cancel()


def test_a_ping_is_known_by_its_cookie() -> None:
    cookie = b"12345678"
    reply = b"\x00\x00" + request(4, 70_000, cookie)[2:]
    assert answered(reply, cookie) == 70_000 & 0xFFFF
    assert answered(reply, b"87654321") is None
    assert answered(request(4, 1, cookie), cookie) is None  # our own request, as on lo
    assert answered(b"", cookie) is None
    assert answered(reply + b"x", cookie) is None


@asynccontextmanager
async def _running(
    far: Address, clock: HandClock, *, month_bytes: int = 20_000_000
) -> AsyncIterator[tuple[Prober, list[DelaySample]]]:
    heard: list[DelaySample] = []
    wire = EchoWire(OpenDialer(), far.host, far.port, KEY)
    prober = Prober(wire, ProbeLedger(None, month_bytes, clock), clock, heard.append)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(prober.run())
        try:
            yield prober, heard
        finally:
            running.cancel()


async def _pass(prober: Prober, clock: HandClock, seconds: float, *, step_s: float = 0.02) -> None:
    """Let time pass, tick by tick; the loop has its turn in between."""
    for _ in range(int(seconds / step_s)):
        clock.pass_s(step_s)
        prober.tick()
        for _ in range(3):
            await asyncio.sleep(0)


async def _until(prober: Prober, clock: HandClock, holds: Callable[[], bool], *, step_s: float = 0.02) -> None:
    def held() -> bool:
        clock.pass_s(step_s)
        prober.tick()
        return holds()

    await wait_until(held)
