"""A request's connection carries its share from before the first byte is sent until the answer is let go."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest
import uvloop
from aiohttp import web

from gateway.backhaul.dialer import Connector, Endpoint, UnreachableError, carrying, connect
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.flows import Flows
from gateway.backhaul.sharing.classes import TrafficClass
from tests.clocks import HandClock

BODY = bytes(100_000)
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


class Here:
    """A dialer that finds every name on this machine."""

    async def endpoints(self, host: str, port: int) -> Sequence[Endpoint]:
        del host
        return [Endpoint("127.0.0.1", port)]


class Noting:
    """A carrier that notes what carries it."""

    def __init__(self) -> None:
        self.now: list[socket.socket] = []
        self.ever: list[socket.socket] = []

    def through(self, sock: socket.socket) -> None:
        self.now.append(sock)
        self.ever.append(sock)

    def leave(self, sock: socket.socket) -> None:
        self.now.remove(sock)


@asynccontextmanager
async def served(look: Callable[[], None] = lambda: None, *, held: bool = False) -> AsyncIterator[str]:
    """A server that looks while a request is still being sent; `held`: the end of its answer never comes."""
    over = asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await request.content.readany()
        look()
        await request.read()
        if not held:
            return web.Response(body=BODY)
        response = web.StreamResponse()
        await response.prepare(request)
        await over.wait()
        return response

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://far.test:{runner.addresses[0][1]}/"
    finally:
        over.set()
        await runner.cleanup()


def session_of(flows: Flows) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=Connector(Here(), flows=flows))


async def one_after_another() -> None:
    flows = Flows(HandClock())
    seen: list[list[list[socket.socket]]] = []
    first, second = Noting(), Noting()
    carriers = [first, second]

    async with (
        served(lambda: seen.append([list(each.now) for each in carriers])) as url,
        session_of(flows) as session,
    ):
        for each in carriers:
            with carrying(each):
                async with session.post(url, data=BODY) as response:
                    assert await response.read() == BODY
            assert each.now == [], "read to its end"
        (sock,) = first.ever
        assert second.ever == [sock], "kept alive, and used again"
        assert seen == [[[sock], []], [[], [sock]]], "while the request was still being sent"
        assert flows.made(sock.fileno()) is sock


async def broken_off() -> None:
    flows, carrier = Flows(HandClock()), Noting()
    async with served(held=True) as url, session_of(flows) as session:
        with carrying(carrier):
            response = await session.get(url)
        assert len(carrier.now) == 1
        response.close()
        assert carrier.now == []
        (sock,) = carrier.ever
        async with asyncio.timeout(5):
            while sock.fileno() != -1:
                await asyncio.sleep(0)


async def side_by_side() -> None:
    flows, carriers = Flows(HandClock()), [Noting() for _ in range(4)]
    carriers_now: list[int] = []

    async def ask(session: aiohttp.ClientSession, url: str, carrier: Noting) -> None:
        with carrying(carrier):
            async with session.get(url):
                carriers_now.append(len(carrier.now))
                async with asyncio.timeout(5):
                    while len(carriers_now) < len(carriers):
                        await asyncio.sleep(0)

    async with served(held=True) as url, session_of(flows) as session, asyncio.TaskGroup() as tasks:
        for each in carriers:
            tasks.create_task(ask(session, url, each))
    assert carriers_now == [1] * 4
    assert [len(each.ever) for each in carriers] == [1] * 4
    assert len({sock for each in carriers for sock in each.ever}) == 4


async def with_long_packets_before_a_call() -> None:
    flows, carrier = Flows(HandClock()), Noting()
    async with served() as url, session_of(flows) as session:
        for small in (False, True, True, False):
            flows.small_segments = lambda small=small: small  # type: ignore[misc]
            with carrying(carrier):
                async with session.get(url) as response:
                    assert await response.read() == BODY
    before, beside, again, after = carrier.ever
    assert beside is not before, "its packets would be too long"
    assert before.fileno() == -1
    assert [again, after] == [beside, beside], "short ones do no harm"


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("journey", [one_after_another, broken_off, side_by_side, with_long_packets_before_a_call])
def test_a_request_is_carried(
    journey: Callable[[], Coroutine[None, None, None]], loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(journey())


async def test_a_connection_that_does_not_come_about_leaves_no_socket() -> None:
    flows = Flows(HandClock())
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            await connect(flows, Endpoint(*refusing.getsockname()))
    assert [number for number in range(3, 200) if flows.made(number)] == []


async def test_a_share_marks_what_carries_it_and_is_measured_while_it_does() -> None:
    async def answers(peer: tuple[str, int]) -> bool:
        return bool(peer)

    backhaul = Backhaul(HandClock(), capacity=None, carrier=lambda: True, probe=answers)
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    with (
        await connect(backhaul.flows, Endpoint(*server.sockets[0].getsockname())) as sock,
        backhaul.share(TrafficClass.BULK, device="10.1.2.3") as share,
    ):
        assert [each.device for each in backhaul.steering.open.values()] == ["10.1.2.3"]
        share.through(sock)
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) >> 2 == 1
        share.rise(TrafficClass.WEB)
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) >> 2 == 0
        assert [each.flow for each in backhaul.flows.sample()] == list(backhaul.steering.open)
        share.leave(sock)
        assert backhaul.flows.sample() == []
    server.close()


async def test_a_name_that_is_not_found_opens_nothing() -> None:
    class Nowhere:
        async def endpoints(self, host: str, port: int) -> Sequence[Endpoint]:
            raise UnreachableError(f"{host}:{port}")

    carrier = Noting()
    async with aiohttp.ClientSession(connector=Connector(Nowhere(), flows=Flows(HandClock()))) as session:
        with carrying(carrier), pytest.raises(aiohttp.ClientError):
            await session.get("http://far.test/")
    assert carrier.ever == []
