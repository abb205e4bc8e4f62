"""Origins that lie, break off, flood and stall: no browser takes a part for the whole, and nothing broken is stored."""

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.web_world import DOORS, Door, Origin, Seen, reply, world
from tests.waiting import wait_until

FRESH = "Cache-Control: max-age=3600\r\n"
OK = f"HTTP/1.1 200 OK\r\n{FRESH}"
CHUNKED = f"{OK}Transfer-Encoding: chunked\r\n\r\n"
MANY_FIELDS = b"".join(b"X-%d: a\r\n" % n for n in range(20_000))


def says(*parts: bytes, reset: bool = False, hold: bool = False) -> Callable[[Seen, asyncio.StreamWriter], object]:
    """A script that writes the parts, and then closes, resets or falls silent."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if hold:
            await asyncio.Event().wait()
        if reset:
            await asyncio.sleep(0.05)
            sock = writer.get_extra_info("socket")
            sock.setsockopt(1, 13, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # SO_LINGER 0: the close is a reset
            writer.transport.abort()
        else:
            writer.close()

    return script


BROKEN = {
    "shorter than its length": says(f"{OK}Content-Length: 100\r\n\r\nhalf".encode()),
    "no last chunk": says(f"{OK}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n".encode()),
    "chunk cut": says(f"{OK}Transfer-Encoding: chunked\r\n\r\nff\r\nhalf".encode()),
    "chunk size nonsense": says(f"{OK}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nZZ\r\nmore".encode(), hold=True),
    "reset without a length": says(f"{OK}\r\nhalf".encode(), reset=True),
    "reset within its length": says(f"{OK}Content-Length: 100\r\n\r\nhalf".encode(), reset=True),
    "silent in the middle": says(f"{OK}Content-Length: 100\r\n\r\nhalf".encode(), hold=True),
    "chunk longer than its size": says(f"{CHUNKED}4\r\nhalf and more\r\n0\r\n\r\n".encode(), hold=True),
    "chunk size below nothing": says(f"{CHUNKED}4\r\nhalf\r\n-4\r\nmore\r\n0\r\n\r\n".encode(), hold=True),
    "chunk size beyond counting": says(
        f"{CHUNKED}4\r\nhalf\r\n10000000000000004\r\nmore\r\n0\r\n\r\n".encode(), hold=True
    ),
    "chunk size as code writes it": says(f"{CHUNKED}4\r\nhalf\r\n0x4\r\nmore\r\n0\r\n\r\n".encode(), hold=True),
    "chunk size signed": says(f"{CHUNKED}4\r\nhalf\r\n+4\r\nmore\r\n0\r\n\r\n".encode(), hold=True),
    "chunk extension without end": says(f"{CHUNKED}4\r\nhalf\r\n4;".encode() + b"a" * 200_000, hold=True),
    "trailer without end": says(f"{CHUNKED}4\r\nhalf\r\n0\r\nX: ".encode() + b"a" * 200_000, hold=True),
    "trailers without end": says(f"{CHUNKED}4\r\nhalf\r\n0\r\n".encode() + MANY_FIELDS, hold=True),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", BROKEN)
async def test_a_body_that_breaks_off_is_cut_and_never_stored(kind: str, door: Door, tmp_path: Path) -> None:
    async with world(tmp_path / "web", silence_s=0.3) as w:
        w.origin.on("/a", BROKEN[kind], reply(b"whole", [("Cache-Control", "max-age=3600")]))  # type: ignore[arg-type]
        try:
            got = await w.ask("/a", door=door)
            assert not got.whole or got.status >= 500
        except asyncio.IncompleteReadError:
            pass  # cut before the head
        await w.quiet()
        assert not w.room.statistics().stored_objects
        await w.tidy()
        assert (await w.ask("/a", door=door)).body == b"whole"


async def test_a_broken_body_is_cut_for_http_1_0_too(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", BROKEN["no last chunk"])  # type: ignore[arg-type]
        reader, writer = await w.connect("site")
        writer.write(b"GET /a HTTP/1.0\r\nHost: sitio.test\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()


async def test_a_broken_coded_body_is_cut_where_it_is_decoded(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        coded = gzip.compress(b"x" * 5_000)[:-8]
        w.origin.on("/a", reply(coded, [("Content-Encoding", "gzip"), ("Content-Type", "text/html")]))
        assert not (await w.ask("/a")).whole


async def test_a_bomb_does_not_go_off(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        bomb = gzip.compress(bytes(60_000_000))
        fields = [("Content-Encoding", "gzip"), ("Content-Type", "text/html"), ("Cache-Control", "max-age=60")]
        w.origin.on("/a", reply(bomb, fields))
        assert not (await w.ask("/a")).whole
        await w.quiet()
        as_is = await w.ask("/a", [("Accept-Encoding", "gzip")])
        assert as_is.body == bomb, "who wants it as it is may have it"
        for _ in range(2):
            assert (await w.ask("/a")).status == 502, "nobody else gets any of it"
        assert (await w.ask("/a", [("Accept-Encoding", "gzip")])).whole, "the room lives on"


NONSENSE = {
    "no http": b"\x16\x03\x01 nonsense\r\n\r\n",
    "two lengths": f"{OK}Content-Length: 4\r\nContent-Length: 5\r\n\r\nhalf".encode(),
    "length and chunked": f"{OK}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n\r\n".encode(),
    "longer than its length": f"{OK}Content-Length: 4\r\n\r\nhalf and more".encode(),
    "a status of its own": b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
    "a field without end": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000,
    "fields without end": b"HTTP/1.1 200 OK\r\n" + MANY_FIELDS,
    "an upgrade nobody asked for": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello",
    "304 that nobody asked for": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "closes at once": b"",
}


@pytest.mark.parametrize("kind", NONSENSE)
async def test_nonsense_is_an_error_of_the_origin(kind: str, tmp_path: Path) -> None:
    async with world(tmp_path / "web", silence_s=0.3) as w:
        w.origin.on("/a", says(NONSENSE[kind], hold="end" in kind))  # type: ignore[arg-type]
        got = await w.ask("/a")
        assert got.status in {502, 504}, got
        assert got.body.endswith(b".")
        w.origin.on("/a", reply(b"sane"))
        assert (await w.ask("/a")).body == b"sane"


def drips(first: bytes, again: bytes, count: float = float("inf")) -> Callable[[Seen, asyncio.StreamWriter], object]:
    """A script that sends something every hundredth of a second, so that it is never silent."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        del seen
        writer.write(first)
        sent = 0
        while sent < count:
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(0.01)
            sent += 1

    return script


ENDLESS_HEADS = {
    "a field that grows": drips(b"HTTP/1.1 200 OK\r\nX: ", b"a"),
    "field after field": drips(b"HTTP/1.1 200 OK\r\n", b"X: a\r\n"),
    "a status line that grows": drips(b"HTTP/1.1 200 ", b"O"),
    "early hints for ever": drips(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"),
    "patience asked for ever": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("kind", ENDLESS_HEADS)
async def test_a_head_that_never_ends_has_a_deadline(kind: str, tmp_path: Path) -> None:
    async with world(tmp_path / "web", head_s=0.3) as w:
        w.origin.on("/a", ENDLESS_HEADS[kind])  # type: ignore[arg-type]
        got = await w.ask("/a")
        assert got.status in {502, 504}, got
        assert got.whole
        await w.quiet()
        w.origin.on("/a", reply(b"sane"))
        assert (await w.ask("/a")).body == b"sane"


async def test_a_body_that_comes_very_slowly_is_the_right_one(tmp_path: Path) -> None:
    async with world(tmp_path / "web", silence_s=0.5) as w:
        w.origin.on("/a", drips(f"{OK}Content-Length: 60\r\n\r\n".encode(), b"slow; ", 10))  # type: ignore[arg-type]
        got = await w.ask("/a")
        assert (got.status, got.body, got.whole) == (200, b"slow; " * 10, True)
        await w.stored()
        assert (await w.ask("/a")).cache.startswith("tambo; hit")


@pytest.mark.parametrize(
    "framing", ["Transfer-Encoding: chunked", "Connection: close", "Content-Length: 9999999999999"]
)
async def test_a_body_without_end_ends_with_its_browser_and_is_not_stored(framing: str, tmp_path: Path) -> None:
    ended = asyncio.Event()
    sent_bytes = 0

    async def endless(seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal sent_bytes
        del seen
        writer.write(f"{OK}{framing}\r\n\r\n".encode())
        piece = bytes(65_536)
        chunk = b"10000\r\n" + piece + b"\r\n" if "chunked" in framing else piece
        try:
            while True:
                writer.write(chunk)
                await writer.drain()
                sent_bytes += len(piece)
        finally:
            ended.set()

    async with world(tmp_path / "web") as w:
        w.origin.on("/a", endless)
        reader, writer = await w.connect("site")
        writer.write(b"GET /a HTTP/1.1\r\nHost: sitio.test\r\n\r\n")
        async with asyncio.timeout(10):
            await reader.readexactly(6_000_000)  # three times what is stored at most, and then no more
            still, held = -1, 0
            while sent_bytes != still:
                still, held = sent_bytes, sent_bytes - 6_000_000
                await asyncio.sleep(0.05)
            assert held < 20_000_000, "who does not read holds the origin back"
            writer.transport.abort()
            await ended.wait()
        await w.quiet()
        await w.tidy()
        assert not w.room.statistics().stored_objects


@pytest.mark.parametrize("late", [False, True])
async def test_an_answer_that_nobody_asked_for_is_given_to_nobody(late: bool, tmp_path: Path) -> None:
    evil = reply(b"evil", [("Cache-Control", "max-age=3600")])

    async def two(seen: Seen, writer: asyncio.StreamWriter) -> None:
        del seen
        whole = reply(b"page", [("Cache-Control", "max-age=3600")])
        writer.write(whole if late else whole + evil)
        await writer.drain()
        if late:
            await asyncio.sleep(0.03)
            writer.write(evil)
            await writer.drain()

    async with world(tmp_path / "web") as w:
        w.origin.on("/a", two)
        for path in "bcd":
            w.origin.on(f"/{path}", reply(path.encode(), [("Cache-Control", "max-age=3600")]))
        got = await w.ask("/a")
        assert got.body == b"page" or got.status == 502
        if late:
            await asyncio.sleep(0.05)
        for path in "bcdbcd":
            got = await w.ask(f"/{path}")
            assert got.body == path.encode() or got.status == 502, "an answer out of turn"


async def test_control_characters_in_a_field_do_not_reach_the_browser(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", f"{OK}X-A: one\r\n two\x01three\r\nContent-Length: 4\r\n\r\npage".encode())
        got = await w.ask("/a")
        assert got.get("x-a") in {"one two three", None}
        assert got.status in {200, 502}


@pytest.mark.parametrize("door", DOORS)
async def test_a_silent_origin_is_504_and_told_to_the_backhaul(door: Door, tmp_path: Path) -> None:
    async with world(tmp_path / "web", silence_s=0.1) as w:
        w.origin.on("/a", says(hold=True))  # type: ignore[arg-type]
        w.link.answers = False
        got = await w.ask("/a", door=door)
        assert (got.status, got.get("x-code")) == (504, "origin-silent")
        await wait_until(lambda: w.backhaul.is_down)


async def test_a_name_that_is_not_answered_has_a_deadline(tmp_path: Path) -> None:
    async with world(tmp_path / "web", connect_s=0.1) as w:
        got = await w.say(b"GET http://hangs.test/ HTTP/1.1\r\nHost: hangs.test\r\n\r\n", door="proxy")
        assert got.status in {502, 504}
        got = await w.say(b"CONNECT hangs.test:443 HTTP/1.1\r\nHost: hangs.test\r\n\r\n", door="proxy")
        assert got.status == 504


async def test_a_refusing_origin_is_502_or_stale_and_no_word_about_the_link(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", reply(b"page", [("Cache-Control", "max-age=10"), ("Connection", "close")]))
        await w.ask("/a")
        await w.stored()
        port = w.origin.address.port
        await w.origin.stop()
        w.clock.pass_s(20)
        w.link.answers = False
        assert (await w.ask("/a")).cache == "tambo; hit; ttl=-10; detail=origin-fault"
        assert (await w.ask("/b")).status == 502
        assert w.backhaul.status().state == "up"
        await w.origin.start(port)
        assert (await w.ask("/a")).cache.startswith("tambo; fwd=stale; fwd-status=200")


async def test_many_broken_answers_leave_nothing_behind(tmp_path: Path) -> None:
    origin = Origin()
    await origin.start()
    async with world(tmp_path / "web", origin=origin, silence_s=0.2) as w:
        for kind, script in BROKEN.items():
            origin.on(f"/{kind.replace(' ', '-')}", script)  # type: ignore[arg-type]
            for _ in range(5):
                try:
                    await w.ask(f"/{kind.replace(' ', '-')}")
                except asyncio.IncompleteReadError:
                    continue
        await w.quiet()
        await wait_until(lambda: w.site.connections() == 0)
        assert "web fetch" not in {task.get_name() for task in asyncio.all_tasks()}
    await origin.stop()
