"""Real connections and datagrams cross the emulated link as its settings say (sockets are real, time is virtual)."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from gateway.backhaul.dialer import Endpoint, UnreachableError
from gateway.backhaul.sharing.shares import Capacity
from gateway.demo.link import EmulatedLink, LinkSettings, parse_change
from gateway.demo.relay import SEGMENT_BYTES
from gateway.demo.trace import Trace
from tests.unit.demo.virtual_time import LoopClock, in_virtual_time

LOOPBACK = "127.0.0.1"
DELAY_S = 0.05
TURN_S = 0.0021  # the link's own grain, twice
MEGABIT = LinkSettings(down_bps=1_000_000, up_bps=1_000_000, delay_s=DELAY_S)
TRACES = {"small": (Trace((5, 10)), Trace((10,)))}
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


def now_s() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def running(settings: LinkSettings = MEGABIT) -> AsyncIterator[EmulatedLink]:
    link = EmulatedLink(LoopClock(), settings, Random(11), TRACES)
    async with asyncio.TaskGroup() as tasks:
        carrying = tasks.create_task(link.run())
        yield link
        carrying.cancel()


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[Endpoint]:
    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve_and_close, LOOPBACK, 0)
    yield Endpoint(*server.sockets[0].getsockname())
    server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


async def read_one(endpoint: Endpoint) -> bytes:
    """Connect and read; a reset may be seen at either."""
    reader, writer = await asyncio.open_connection(*endpoint)
    try:
        return await reader.read(1)
    finally:
        writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def unused() -> Endpoint:
    """An endpoint where nobody listens."""
    with socket.socket() as bound:
        bound.bind((LOOPBACK, 0))
        return Endpoint(*bound.getsockname())


def test_the_first_byte_waits_for_the_set_up_and_then_each_exchange_takes_a_round_trip() -> None:
    async def journey() -> list[float]:
        async with serving(echo) as far, running() as link:
            reader, writer = await asyncio.open_connection(*await link.reach(*far))
            took = []
            for _ in range(3):
                begun_s = now_s()
                writer.write(b"x" * 73)  # 125 bytes on the link: 1 ms at 1 Mbit/s
                assert await reader.readexactly(73) == b"x" * 73
                took.append(now_s() - begun_s)
            writer.close()
            return took

    first, *others = in_virtual_time(journey())
    assert first == pytest.approx(4 * DELAY_S + 0.003, abs=2 * TURN_S)
    assert others == [pytest.approx(2 * DELAY_S + 0.002, abs=TURN_S)] * 2


@pytest.mark.parametrize("rate_bps", [300_000, 1_000_000, 10_000_000])
def test_a_download_takes_the_rate_less_the_headers(rate_bps: int) -> None:
    size_bytes = SEGMENT_BYTES * 400

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"d" * size_bytes)
        await writer.drain()

    async def journey() -> float:
        settings = LinkSettings(down_bps=rate_bps, up_bps=rate_bps, delay_s=DELAY_S)
        async with serving(send) as far, running(settings) as link:
            begun_s = now_s()
            reader, writer = await asyncio.open_connection(*await link.reach(*far))
            assert len(await reader.read(-1)) == size_bytes
            took_s = now_s() - begun_s
            writer.close()
            return took_s

    took_s = in_virtual_time(journey())
    assert took_s - 2 * DELAY_S == pytest.approx(400 * 1_500 * 8 / rate_bps, rel=0.02)


def test_a_megabyte_arrives_whole_and_in_order_over_a_lossy_link() -> None:
    sent = bytes(Random(2).randbytes(1_000_000))

    async def journey() -> bytes:
        settings = LinkSettings(down_bps=10_000_000, up_bps=10_000_000, delay_s=0.01, loss_ratio=0.05)
        async with serving(echo) as far, running(settings) as link:
            reader, writer = await asyncio.open_connection(*await link.reach(*far))

            async def send() -> None:
                writer.write(sent)
                await writer.drain()
                writer.write_eof()

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(send())
                got = await reader.read(-1)
            writer.close()
            assert link.statistics().down.lost_packets > 10
            return got

    assert in_virtual_time(journey()) == sent


def test_a_half_close_leaves_the_other_direction_open() -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = await reader.read(-1)
        writer.write(str(len(got)).encode())

    async def journey() -> bytes:
        async with serving(count) as far, running() as link:
            reader, writer = await asyncio.open_connection(*await link.reach(*far))
            writer.write(b"u" * 5_000)
            writer.write_eof()
            got = await reader.read(-1)
            writer.close()
            await until(lambda: link.statistics().connections == 0)
            return got

    assert in_virtual_time(journey()) == b"5000"


def test_a_refused_connection_is_reset_after_a_round_trip() -> None:
    async def journey() -> float:
        async with running() as link:
            begun_s = now_s()
            near = await link.reach(*await unused())
            with pytest.raises(ConnectionResetError):
                await read_one(near)
            await until(lambda: link.statistics().connections == 0)
            return now_s() - begun_s

    assert in_virtual_time(journey()) == pytest.approx(2 * DELAY_S, abs=2 * TURN_S)


def test_a_reset_crosses_in_both_directions() -> None:
    async def journey() -> None:
        seen = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if await reader.readexactly(3) == b"cut":
                reset(writer)
                return
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
            seen.set()

        async with serving(serve) as far, running() as link:
            near = await link.reach(*far)
            reader, writer = await asyncio.open_connection(*near)
            writer.write(b"cut")
            with pytest.raises(ConnectionResetError):
                await reader.read(-1)
            writer.close()
            reader, writer = await asyncio.open_connection(*near)
            writer.write(b"own")
            reset(writer)
            await seen.wait()
            await until(lambda: link.statistics().connections == 0)

    in_virtual_time(journey())


def test_who_does_not_read_stops_the_sender() -> None:
    async def journey() -> None:
        written = 0

        async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal written
            writer.transport.set_write_buffer_limits(high=0)
            while True:
                writer.write(b"p" * 10_000)
                await writer.drain()
                written += 10_000

        settings = LinkSettings(down_bps=100_000_000, up_bps=1_000_000, delay_s=0.001)
        async with serving(pour) as far, running(settings) as link:
            with socket.socket() as idle:
                idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                idle.setblocking(False)
                await asyncio.get_running_loop().sock_connect(idle, await link.reach(*far))
                await asyncio.sleep(60)
                after_a_minute = written
                await asyncio.sleep(60)
                assert written == after_a_minute
                assert written < 8_000_000, "the kernel's own buffers, and little more"
            await until(lambda: link.statistics().connections == 0)

    in_virtual_time(journey())


def test_the_far_side_comes_in_over_the_link_too() -> None:
    async def journey() -> tuple[float, int]:
        async with serving(echo) as box, running(LinkSettings(8_000_000, 100_000, DELAY_S)) as link:
            door = await link.expose(*box)
            reader, writer = await asyncio.open_connection(*door)
            begun_s = now_s()
            writer.write(b"x" * 1_198)  # 1250 bytes on the link: 0.1 s up, 1.25 ms down
            await reader.readexactly(1_198)
            writer.close()
            return now_s() - begun_s, link.statistics().up.carried_bytes

    took_s, up_bytes = in_virtual_time(journey())
    assert took_s == pytest.approx(4 * DELAY_S + 0.1 + 0.0013 + 60 * 8 / 100_000, abs=3 * TURN_S)
    assert up_bytes >= 1_250


def test_nothing_crosses_during_an_outage_and_what_was_sent_arrives_after_it() -> None:
    async def journey() -> tuple[float, float]:
        async with serving(echo) as far, running() as link:
            reader, writer = await asyncio.open_connection(*await link.reach(*far))
            writer.write(b"before")
            await reader.readexactly(6)
            link.outage(60.0)
            begun_s = now_s()
            writer.write(b"during")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(59):
                    await reader.read(1)
            assert link.in_outage()
            await link.wait_outage_over()
            over_s = now_s()
            assert not link.in_outage()
            assert await reader.readexactly(6) == b"during"
            writer.close()
            return over_s - begun_s, now_s() - begun_s

    over_s, answered_s = in_virtual_time(journey())
    assert over_s == pytest.approx(60.0)
    assert answered_s == pytest.approx(60.0 + 2 * DELAY_S, abs=2 * TURN_S)


async def test_a_new_connection_gets_no_answer_during_an_outage() -> None:
    async with serving(echo) as far, running() as link:
        known = await link.reach(*far)
        link.outage(3_600.0)
        fresh = await link.reach(*await unused())
        exposed = await link.expose(*far)
        for endpoint in (known, fresh, exposed):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.03):
                    await asyncio.open_connection(*endpoint)
        link.outage(0)
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(*known)
            writer.write(b"again")
            assert await reader.readexactly(5) == b"again"
            writer.close()


def test_an_outage_takes_the_carrier_unless_it_is_silent_and_0_ends_it() -> None:
    async def journey() -> None:
        async with running() as link:
            assert (link.carrier(), link.in_outage()) == (True, False)
            link.outage(60.0)
            assert (link.carrier(), link.in_outage()) == (False, True)
            link.outage(60.0, silent=True)
            assert (link.carrier(), link.in_outage()) == (True, True)
            link.outage(0)
            assert (link.carrier(), link.in_outage()) == (True, False)
            await link.wait_outage_over()
            link.outage(1.0)
            await asyncio.sleep(0.9)
            link.outage(1.0)
            await asyncio.sleep(0.9)
            assert link.in_outage(), "the later one counts"
            await asyncio.sleep(0.2)
            assert not link.in_outage()

    in_virtual_time(journey())


def test_a_change_holds_from_then_on() -> None:
    async def journey() -> None:
        async with serving(echo) as far, running() as link:
            reader, writer = await asyncio.open_connection(*await link.reach(*far))
            link.apply(parse_change({"down_bps": 2_000_000, "up_bps": 500_000, "delay_s": 0.2}))
            assert link.capacity() == Capacity(2_000_000, 500_000)
            assert link.settings.delay_s == 0.2
            writer.write(b"x")
            await reader.readexactly(1)
            begun_s = now_s()
            writer.write(b"x")
            await reader.readexactly(1)
            assert now_s() - begun_s == pytest.approx(0.4, abs=2 * TURN_S)
            link.apply(parse_change({"trace": "small"}))
            assert link.capacity() == Capacity(2_400_000, 1_200_000)
            link.apply(parse_change({"outage_s": 5}))
            assert link.in_outage()
            link.apply(parse_change({"outage_s": 0, "trace": None}))
            assert not link.in_outage()
            assert link.capacity() == Capacity(2_000_000, 500_000)
            writer.close()

    in_virtual_time(journey())


def test_one_far_endpoint_has_one_relay_until_it_is_idle() -> None:
    async def journey() -> None:
        async with serving(echo) as far, running() as link:
            first = await link.reach(*far)
            assert await link.reach(*far) == first
            reader, writer = await asyncio.open_connection(*first)
            writer.write(b"x")
            await reader.readexactly(1)
            await asyncio.sleep(600)
            assert await link.reach(*far) == first, "a connection is open"
            writer.close()
            await asyncio.sleep(600)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(*first)

    in_virtual_time(journey())


def test_far_endpoints_are_bounded_and_idle_ones_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.demo.link.RELAYS_MAX", 3)

    async def journey() -> None:
        async with running() as link:
            for port in (1, 2, 3):
                await link.reach("192.0.2.9", port)
            with pytest.raises(UnreachableError):
                await link.reach("192.0.2.9", 4)
            await asyncio.sleep(6)
            await link.reach("192.0.2.9", 4)

    in_virtual_time(journey())


def test_a_connection_over_the_limit_is_reset_and_the_others_live_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.demo.relay.CONNECTIONS_MAX", 1)

    async def journey() -> None:
        async with serving(echo) as far, running() as link:
            near = await link.reach(*far)
            reader, writer = await asyncio.open_connection(*near)
            await until(lambda: link.statistics().connections == 1)
            with pytest.raises(ConnectionResetError):
                await read_one(near)
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            writer.close()
            await until(lambda: link.statistics().connections == 0)

    in_virtual_time(journey())


def test_a_taken_port_is_said_to_be_unreachable() -> None:
    async def journey() -> None:
        async with serving(echo) as far, running() as link:
            with pytest.raises(UnreachableError):
                await link.expose(LOOPBACK, 1, listen_port=far.port)

    in_virtual_time(journey())


def test_a_stopped_link_cuts_what_is_open_and_opens_nothing_more() -> None:
    async def journey() -> None:
        async with serving(echo) as far:
            async with running() as link:
                near = await link.reach(*far)
                reader, writer = await asyncio.open_connection(*near)
                writer.write(b"x")
                await reader.readexactly(1)
                link.outage(60.0)
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
            writer.close()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(*near)
            with pytest.raises(UnreachableError):
                await link.reach(*far)

    in_virtual_time(journey())


def test_all_connections_share_one_bottleneck() -> None:
    size_bytes = SEGMENT_BYTES * 100

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"d" * size_bytes)
        await writer.drain()

    async def journey() -> list[float]:
        async with serving(send) as one, serving(send) as other, running() as link:
            begun_s = now_s()

            async def fetch(far: Endpoint) -> float:
                reader, writer = await asyncio.open_connection(*await link.reach(*far))
                assert len(await reader.read(-1)) == size_bytes
                took_s = now_s() - begun_s
                writer.close()
                return took_s

            async with asyncio.TaskGroup() as tasks:
                fetching = [tasks.create_task(fetch(far)) for far in (one, other)]
            return [each.result() for each in fetching]

    alone_s = 100 * 1_500 * 8 / 1e6
    took = in_virtual_time(journey())
    assert max(took) == pytest.approx(2 * alone_s + 2 * DELAY_S, rel=0.02)
    assert min(took) > 1.6 * alone_s, "neither has the link to itself"


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.001)
