"""A listener answers every failure with a sentence of ours, within its limits, and stops without cutting a request."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from gateway.connection import Handler
from gateway.errors import CannotStart, GatewayError, NotFound
from gateway.listener import Limits, Listener
from gateway.units import Address
from tests.waiting import wait_until

LOOPBACK = Address("127.0.0.1", 0)


def plain(request: web.BaseRequest, error: GatewayError) -> web.Response:
    del request
    return web.Response(status=error.status, text=error.what)


@asynccontextmanager
async def listening(serve: web.Application | Handler, limits: Limits | None = None) -> AsyncIterator[Listener]:
    listener = Listener("test", LOOPBACK, serve, plain, limits=limits)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop()


async def say(listener: Listener, data: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes, return everything that comes back until the close."""
    reader, writer = await asyncio.open_connection(*listener.address)
    writer.write(data)
    if half_close:
        writer.write_eof()
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


async def hello(request: web.BaseRequest) -> web.StreamResponse:
    del request
    return web.Response(text="hello")


MALFORMED = [
    b"SECRETMARK / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nSECRETMARK : x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"S" * 40_000 + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nSECRETMARK",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nSECRETMARK",
    b"\x16\x03\x01SECRETMARK\r\n\r\n",
    b"GET http://SECRETMARK[x]@/ HTTP/1.1\r\nHost: a\r\n\r\n",  # yarl raises an IndexError within the parser
]


@pytest.mark.parametrize("data", MALFORMED)
@pytest.mark.parametrize("kind", ["handler", "application"])
async def test_a_malformed_request_gets_400_that_repeats_nothing_of_it(data: bytes, kind: str) -> None:
    app = web.Application()
    app.router.add_get("/", hello)
    async with listening(hello if kind == "handler" else app) as listener:
        answer = await say(listener, data)
    head = answer.split(b"\r\n", 1)[0]
    assert b" 400 " in head
    assert b"SECRETMARK" not in answer
    assert b"SSSS" not in answer
    assert b"ython" not in answer, "the server's software is not named"


async def test_an_exception_becomes_500_without_its_words() -> None:
    async def breaks(request: web.BaseRequest) -> web.StreamResponse:
        raise RuntimeError("SECRETMARK")

    async with listening(breaks) as listener:
        answer = await say(listener, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b" 500 " in answer
    assert b"SECRETMARK" not in answer


async def test_a_planned_failure_keeps_the_connection() -> None:
    async def refuses(request: web.BaseRequest) -> web.StreamResponse:
        raise NotFound

    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    async with listening(refuses) as listener:
        answer = await say(listener, request * 2 + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answer.count(b" 404 ") == 3


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/", 405)])
async def test_the_routers_own_refusals_are_ours(path: str, status: int) -> None:
    app = web.Application()
    app.router.add_get("/", hello)
    async with listening(app) as listener:
        answer = await say(
            listener, f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
        )
    assert f" {status} ".encode() in answer
    assert answer.endswith(b"."), "a sentence"


async def test_a_half_closed_request_is_still_answered() -> None:
    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(0.02)
        return await hello(request)

    async with listening(slow) as listener:
        answer = await say(listener, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", half_close=True)
    assert answer.endswith(b"hello")


async def test_stopping_lets_a_running_request_finish() -> None:
    begun = asyncio.Event()
    go_on = asyncio.Event()

    async def held(request: web.BaseRequest) -> web.StreamResponse:
        begun.set()
        await go_on.wait()
        return await hello(request)

    listener = Listener("test", LOOPBACK, held, plain)
    await listener.start()
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(say(listener, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        await begun.wait()
        stopping = tasks.create_task(listener.stop())
        await asyncio.sleep(0)
        go_on.set()
        await stopping
    assert asked.result().endswith(b"hello")


async def test_stopping_lets_a_request_finish_whose_body_is_still_arriving() -> None:
    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=await request.read())

    listener = Listener("test", LOOPBACK, echo, plain)
    await listener.start()
    reader, writer = await asyncio.open_connection(*listener.address)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf ")
    await wait_until(lambda: listener.connections() == 1)
    await asyncio.sleep(0.02)  # the first half is there
    async with asyncio.TaskGroup() as tasks:
        stopping = tasks.create_task(listener.stop())
        await asyncio.sleep(0.02)
        writer.write(b"whole")
        async with asyncio.timeout(5):
            answer = await reader.read()
        await stopping
    assert answer.endswith(b"half whole")
    writer.close()


async def test_connections_over_the_limit_are_closed() -> None:
    async with listening(hello, Limits(connections_max=2)) as listener:
        held = [await asyncio.open_connection(*listener.address) for _ in range(2)]
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        try:
            answer = await reader.read()
        except ConnectionError:
            answer = b""
        assert answer == b""
        writer.close()
        for _, each in held:
            each.close()


def test_an_address_in_use_is_one_sentence(loop_of: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listener = Listener("portal", Address("127.0.0.1", taken.getsockname()[1]), hello, plain)
        with pytest.raises(CannotStart, match="another program listens there"):
            loop_of().run_until_complete(listener.start())


@pytest.fixture
def loop_of() -> Callable[[], asyncio.AbstractEventLoop]:
    return asyncio.new_event_loop


def outside(address: str) -> bool:
    del address
    return False


async def test_who_is_not_of_the_village_gets_a_sentence_and_nothing_early() -> None:
    asked = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    def early(data: bytes, device: str) -> tuple[bytes, bytes]:
        raise AssertionError(data, device)

    listener = Listener("test", LOOPBACK, hello, plain, early=early, clients=outside)
    await listener.start()
    try:
        answer = await say(listener, asked, half_close=True)
    finally:
        await listener.stop()
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"village's own network" in answer


async def test_an_early_answer_keeps_its_connection_until_it_has_idled() -> None:
    asked = b"GET /early HTTP/1.1\r\nHost: a\r\n\r\n"

    def early(data: bytes, device: str) -> tuple[bytes, bytes] | None:
        assert device == "127.0.0.1"
        return (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", b"x") if data == asked else None

    listener = Listener("test", LOOPBACK, hello, plain, early=early, limits=Limits(idle_s=0.4))
    await listener.start()
    reader, writer = await asyncio.open_connection(*listener.address)
    try:
        begun_s = asyncio.get_running_loop().time()
        for _ in range(20):
            writer.write(asked)
            assert (await reader.readexactly(39)).endswith(b"x")
            await asyncio.sleep(0.03)  # together longer than it may idle
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        assert asyncio.get_running_loop().time() - begun_s >= 0.9
    finally:
        writer.transport.abort()
        await listener.stop()


async def test_after_a_half_close_every_request_that_came_is_answered() -> None:
    held = asyncio.Event()

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/1":
            await held.wait()
        return web.Response(text=request.path)

    async with listening(serve) as listener:
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"".join(f"GET /{at} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for at in (1, 2, 3)))
        writer.write_eof()
        await asyncio.sleep(0.02)
        held.set()
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
    assert [at for at in (b"/1", b"/2", b"/3") if at in answer] == [b"/1", b"/2", b"/3"]


@pytest.mark.parametrize("early", [True, False])
async def test_who_takes_nothing_of_an_answer_is_cut(early: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.listener.WATCH_S", 0.05)
    body = b"x" * 8_000_000  # more than the sockets take

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        del request
        return web.Response(body=body)

    def at_once(data: bytes, device: str) -> tuple[bytes, bytes]:
        del data, device
        return b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n", body

    limits = Limits(idle_s=30.0, reader_s=0.3)
    listener = Listener("test", LOOPBACK, serve, plain, limits=limits, early=at_once if early else None)
    await listener.start()
    deaf = socket.create_connection(listener.address)
    try:
        deaf.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await wait_until(lambda: listener.connections() == 1)
        await wait_until(lambda: listener.connections() == 0)
    finally:
        deaf.close()
        await listener.stop()
