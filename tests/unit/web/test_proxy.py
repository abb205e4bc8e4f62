"""The forward proxy takes complete http addresses, keeps to what its dialer allows, and carries tunnels."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import pytest

from gateway.backhaul.dialer import Endpoint, PublicDialer
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.web.cut import reset
from tests.conformance.web_world import World, read_answer, reply, world
from tests.waiting import wait_until

FRESH = [("Cache-Control", "max-age=3600")]


class Far:
    """A server at the far end of a tunnel that does what its handler says."""

    def __init__(self) -> None:
        self.came: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.port = 0

    async def end(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        await wait_until(lambda: bool(self.came))
        return self.came[-1]


@asynccontextmanager
async def far_end(w: World) -> AsyncIterator[Far]:
    """A far end that every tunnel leads to."""
    far = Far()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far.came.append((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    far.port = server.sockets[0].getsockname()[1]

    async def endpoints(host: str, port: int) -> Sequence[Endpoint]:
        del host, port
        return [Endpoint("127.0.0.1", far.port)]

    with patch.object(w.dialer, "endpoints", endpoints):
        yield far
    server.close()
    for _, writer in far.came:
        writer.transport.abort()


async def tunnel(w: World, *, early: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await w.connect("proxy")
    writer.write(b"CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n" + early)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert head.startswith(b"HTTP/1.1 200 ")
    for gone in (b"content-length", b"transfer-encoding", b"connection: close", b"content-type"):
        assert gone not in head.lower()
    return reader, writer


async def test_a_tunnel_carries_both_ways_with_what_came_early(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w, far_end(w) as far:
        reader, writer = await tunnel(w, early=b"early ")
        far_reader, far_writer = await far.end()
        writer.write(b"late")
        assert await asyncio.wait_for(far_reader.readexactly(10), 5) == b"early late"
        far_writer.write(b"back")
        assert await asyncio.wait_for(reader.readexactly(4), 5) == b"back"
        seen = w.room.statistics()
        assert (seen.tunnels_open, seen.tunnel_up_bytes, seen.tunnel_down_bytes) == (1, 10, 4)
        moved = w.backhaul.moved()[TrafficClass.WEB]
        assert (moved.up_bytes, moved.down_bytes) == (10, 4)
        writer.close()
        assert await asyncio.wait_for(far_reader.read(), 5) == b""
        far_writer.close()
        await wait_until(lambda: w.room.statistics().tunnels_open == 0 and w.proxy.connections() == 0)


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_half_close_goes_through_and_the_way_back_stays_open(at_once: bool, tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w, far_end(w) as far:
        if at_once:  # the end comes with the request, before there is a tunnel
            reader, writer = await w.connect("proxy")
            writer.write(b"CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\nall I say")
            writer.write_eof()
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        else:
            reader, writer = await tunnel(w, early=b"all I say")
            await far.end()
            writer.write_eof()
        far_reader, far_writer = await far.end()
        assert await asyncio.wait_for(far_reader.read(), 5) == b"all I say"
        far_writer.write(b"answer")
        far_writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b"answer"
        writer.close()
        await wait_until(lambda: w.room.statistics().tunnels_open == 0)


async def test_the_far_ends_half_close_goes_through_too(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w, far_end(w) as far:
        reader, writer = await tunnel(w)
        far_reader, far_writer = await far.end()
        far_writer.write(b"bye")
        far_writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b"bye"
        writer.write(b"still here")
        writer.write_eof()
        assert await asyncio.wait_for(far_reader.read(), 5) == b"still here"
        writer.close()


async def test_who_does_not_read_holds_back_who_sends(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w, far_end(w) as far:
        reader, writer = await tunnel(w)
        _, far_writer = await far.end()
        far_writer.transport.set_write_buffer_limits(high=0)
        sent_bytes = 0
        with suppress(TimeoutError):
            while sent_bytes < 100_000_000:
                far_writer.write(bytes(1_000_000))
                async with asyncio.timeout(0.3):
                    await far_writer.drain()
                sent_bytes += 1_000_000
        assert sent_bytes < 40_000_000, "kernel buffers and little more"
        assert len(await reader.readexactly(sent_bytes)) == sent_bytes
        writer.close()


async def test_a_broken_side_breaks_the_other_visibly(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w, far_end(w) as far:
        reader, writer = await tunnel(w)
        _, far_writer = await far.end()
        reset(far_writer.transport)
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await wait_until(lambda: w.room.statistics().tunnels_open == 0)


async def test_an_idle_tunnel_ends(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w, far_end(w) as far:
        assert w.room._tunnels is not None
        w.room._tunnels._idle_s = 0.05
        reader, writer = await tunnel(w)
        await far.end()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await wait_until(lambda: w.room.statistics().tunnels_open == 0)


async def test_tunnels_over_the_limit_are_refused(tmp_path: Path) -> None:
    async with world(tmp_path / "web", tunnels_max=1) as w, far_end(w):
        _, writer = await tunnel(w)
        got = await w.say(b"CONNECT far.test:443 HTTP/1.1\r\nHost: far.test\r\n\r\n", door="proxy")
        assert got.status == 503
        writer.close()


async def test_a_refused_tunnel_leaves_the_connection_usable(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", reply(b"page", FRESH))
        reader, writer = await w.connect("proxy")
        writer.write(b"CONNECT nowhere.test:443 HTTP/1.1\r\nHost: nowhere.test\r\n\r\n")
        assert (await asyncio.wait_for(read_answer(reader), 5)).status == 502
        writer.write(b"GET http://sitio.test/a HTTP/1.1\r\nHost: sitio.test\r\n\r\n")
        assert (await asyncio.wait_for(read_answer(reader), 5)).body == b"page"
        writer.close()


async def test_a_tunnel_with_the_link_down_is_refused_at_once(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        await w.cut()
        got = await w.say(b"CONNECT far.test:443 HTTP/1.1\r\nHost: far.test\r\n\r\n", door="proxy")
        assert got.get("x-code") == "link-down"
        assert not w.dialer.asked


async def test_stopping_ends_tunnels(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w, far_end(w) as far:
        reader, writer = await tunnel(w)
        await far.end()
        w.room.close_tunnels()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()


REFUSED = [
    (b"GET /admin HTTP/1.1\r\nHost: SECRETMARK.test\r\n\r\n", 400),
    (b"GET https://secretmark.test/ HTTP/1.1\r\nHost: secretmark.test\r\n\r\n", 400),
    (b"GET ftp://secretmark.test/ HTTP/1.1\r\nHost: secretmark.test\r\n\r\n", 400),
    (b"GET http://SECRETMARK@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    (b"GET http://SECRET%6dARK.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    (b"CONNECT secretmark.test HTTP/1.1\r\nHost: secretmark.test\r\n\r\n", 400),
    (b"CONNECT secretmark.test:443 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello", 400),
    (b"CONNECT SECRETMARK@a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    (b"CONNECT a.test:99999 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    (b"TRACE http://secretmark.test/ HTTP/1.1\r\nHost: secretmark.test\r\n\r\n", 405),
    (b"GET http://a.test/SECRETMARK HTTP/1.1\r\nHost: a.test\r\nVia: 1.1 tambo-prueba\r\n\r\n", 508),
]


@pytest.mark.parametrize(("data", "status"), REFUSED)
async def test_what_the_proxy_does_not_take_gets_a_sentence_that_repeats_none_of_it(
    data: bytes, status: int, tmp_path: Path
) -> None:
    async with world(tmp_path / "web") as w:
        got = await w.say(data, door="proxy")
        assert got.status == status
        assert got.body.endswith(b".")
        assert b"secretmark" not in got.body.lower()
        assert not w.dialer.asked


async def test_the_uri_decides_over_the_host_field(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", reply(b"page", FRESH))
        await w.say(b"GET http://one.test/a HTTP/1.1\r\nHost: two.test\r\n\r\n", door="proxy")
        assert w.origin.seen[0].get("host") == "one.test"
        assert w.dialer.asked == [("one.test", 80)]


async def test_the_proxy_reaches_no_inside_address(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        inside = PublicDialer(ports=range(1, 65_536))
        with patch.object(w.dialer, "endpoints", inside.endpoints):
            for target in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"):
                at = f"{target}:{w.origin.address.port}"
                got = await w.say(f"GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\n\r\n".encode(), door="proxy")
                assert got.status == 403, target
                got = await w.say(f"CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n".encode(), door="proxy")
                assert got.status == 403, target
        assert not w.origin.connections


async def test_a_name_that_is_not_known_is_502(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        got = await w.say(b"GET http://nowhere.test/ HTTP/1.1\r\nHost: nowhere.test\r\n\r\n", door="proxy")
        assert (got.status, got.get("x-code")) == (502, "origin-fault")


async def test_upgrades_are_not_passed_on(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", reply(b"page", FRESH))
        fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
        got = await w.ask("/a", fields, door="proxy")
        assert got.body == b"page"
        assert w.origin.seen[0].get("upgrade") is None
