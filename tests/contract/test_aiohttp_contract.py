"""What the box uses of aiohttp without being promised it: each private name is there and does what is relied upon.

A newer aiohttp that changes one of these fails here, with the name, and not in a village.
"""

import asyncio
import inspect
from collections.abc import Sequence

import aiohttp
import pytest
from aiohttp import web, web_protocol, web_response
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict
from yarl import URL

from gateway.backhaul.dialer import Connector, Endpoint

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"


def test_the_parser_is_the_one_in_c() -> None:
    assert HttpRequestParser is not HttpRequestParserPy


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (web.AppRunner, ["_make_server"]),
        (web.Server, ["connection_made", "connections"]),
        (web.RequestHandler, ["handle_error", "eof_received", "connection_lost", "force_close"]),
        (web.StreamResponse, ["_prepare_headers", "_send_headers_immediately"]),
        (aiohttp.TCPConnector, ["_get", "_resolve_host"]),
        (ResponseHandler, ["closed", "read", "should_close"]),
        (aiohttp.ClientResponse, ["start"]),
        (web_response, ["SERVER_SOFTWARE"]),
        (web_protocol, ["_ErrInfo"]),
    ],
)
def test_the_names_are_there(owner: object, names: list[str]) -> None:
    assert [name for name in names if not hasattr(owner, name)] == []


def test_the_overridden_methods_take_what_ours_take() -> None:
    assert list(inspect.signature(web.RequestHandler.handle_error).parameters) == [
        "self",
        "request",
        "status",
        "exc",
        "message",
    ]
    assert list(inspect.signature(aiohttp.TCPConnector._resolve_host).parameters) == ["self", "host", "port", "traces"]
    assert list(inspect.signature(aiohttp.TCPConnector._get).parameters) == ["self", "key", "traces"]
    assert list(inspect.signature(web.StreamResponse._prepare_headers).parameters) == ["self"]
    assert inspect.iscoroutinefunction(web.StreamResponse._prepare_headers)
    assert inspect.iscoroutinefunction(web.AppRunner._make_server)


async def test_a_connection_keeps_its_state_under_these_names() -> None:
    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        raise NotImplementedError

    server = web.Server(serve)
    handler = server()
    names = (
        "_next_keepalive_close_time",
        "_keepalive_timeout",
        "_loop",
        "_waiter",
        "_messages",
        "_request_count",
        "_close",
        "_payload_parser",
        "_message_tail",
        "_current_request",
    )
    assert [name for name in names if not hasattr(handler, name)] == []
    assert [
        name for name in ("request_factory", "request_handler", "_connections", "_loop") if name not in vars(server)
    ] == []
    assert handler._message_tail == b""
    assert handler._request_count == 0


@pytest.mark.parametrize(
    ("target", "scheme", "absolute"),
    [("/a?b", "", False), ("http://x.test/a", "http", True), ("ftp://x.test/a", "ftp", True)],
)
async def test_the_target_keeps_its_scheme_in_the_message(target: str, scheme: str, absolute: bool) -> None:
    seen: list[URL] = []

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request._message.url)
        return web.Response()

    await exchange(serve, f"GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
    assert (seen[0].scheme, seen[0].absolute) == (scheme, absolute)


async def test_early_bytes_behind_connect_lie_in_the_tail() -> None:
    seen: list[tuple[bytes, str]] = []

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        seen.append((request.protocol._message_tail, request._message.url.raw_authority))
        return web.Response()

    await exchange(serve, b"CONNECT far.test:443 HTTP/1.1\r\nHost: h\r\n\r\nearly")
    assert seen[0] == (b"early", "far.test:443")


async def test_a_head_can_wait_for_its_body_and_lose_added_fields() -> None:
    class Bare(web.StreamResponse):
        async def _prepare_headers(self) -> None:
            await super()._prepare_headers()
            self.headers.popall("Server", None)
            self.headers.popall("Content-Type", None)

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        response = Bare(headers=CIMultiDict([("Content-Length", "4")]))
        response._send_headers_immediately = False
        await response.prepare(request)
        before = request.writer.output_size
        await response.write(b"page")
        await response.write_eof()
        assert before == 0, "the head went out before its body"
        return response

    answer = await exchange(serve, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert answer.endswith(b"\r\n\r\npage")
    assert b"Server" not in answer
    assert b"Content-Type" not in answer


async def exchange(serve: object, data: bytes) -> bytes:
    """Send bytes to a bare server, return all that comes back."""
    server = web.Server(serve)  # type: ignore[arg-type]  # the tests' handlers are of the right shape
    runner = web.ServerRunner(server, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(data)
        writer.write_eof() if b"CONNECT" in data else None
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        return answer
    finally:
        await runner.cleanup()


async def test_a_dialer_is_asked_for_names_and_for_literals() -> None:
    asked: list[str] = []
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    class Noting:
        async def endpoints(self, host: str, port_: int) -> Sequence[Endpoint]:
            asked.append(host)
            return [Endpoint("127.0.0.1", port)]

    async with aiohttp.ClientSession(connector=Connector(Noting())) as session:
        for host in ("name.test", "192.0.2.1", "[2001:db8::1]"):
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://{host}/")
    server.close()
    assert set(asked) == {"name.test", "192.0.2.1", "2001:db8::1"}


async def test_closed_tells_of_a_connection_that_went_in_the_middle_of_a_body() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED)
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b"ZZ\r\n")  # no chunk size

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
        assert response.connection is not None
        protocol = response.connection.protocol
        assert isinstance(protocol, ResponseHandler)
        closed = protocol.closed
        assert closed is not None
        assert await response.content.read(4) == b"half"
        await asyncio.wait_for(closed, 5)
        assert not response.content.is_eof(), "aiohttp now ends such a body itself: `origin._watch` can go"
    server.close()


def test_a_request_keeps_its_version_and_message_under_these_names() -> None:
    request = make_mocked_request("GET", "/", version=aiohttp.HttpVersion10)
    assert request._version == request.version == aiohttp.HttpVersion10
    assert request._message.url == request.rel_url


def test_a_request_knows_whether_an_application_serves_it() -> None:
    assert isinstance(make_mocked_request("GET", "/"), web.Request)
    assert issubclass(web.Request, web.BaseRequest)


async def test_what_a_connection_has_read_can_be_put_back() -> None:
    protocol = ResponseHandler(asyncio.get_running_loop())
    first, second = object(), object()
    protocol.feed_data(first, 0)  # type: ignore[arg-type]  # anything can stand in the queue
    protocol.feed_data(second, 0)  # type: ignore[arg-type]
    protocol._buffer.appendleft((await protocol.read(), 0))
    assert [await protocol.read(), await protocol.read()] == [first, second]


async def test_a_url_can_be_told_what_it_sends() -> None:
    written = URL("http://a.test/b?", encoded=True)
    written._cache["raw_path_qs"] = "/b?"
    assert (written.raw_path_qs, URL("http://a.test/b", encoded=True).raw_path_qs) == ("/b?", "/b")


async def test_what_came_before_a_fault_is_held_back_and_can_be_had() -> None:
    content = aiohttp.StreamReader(ResponseHandler(asyncio.get_running_loop()), 65_536)
    content.feed_data(b"half")
    content.set_exception(aiohttp.ClientPayloadError())
    with pytest.raises(aiohttp.ClientPayloadError):
        await content.read(4)
    assert (content._read_nowait(-1), content._read_nowait(-1)) == (b"half", b"")
