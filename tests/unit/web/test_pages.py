"""A page streams while it is stored, one fetch serves all who wait, and the store serves without the link."""

import asyncio
import gzip
from pathlib import Path

import brotli
import pytest

from tests.conformance.web_world import DOORS, Door, Got, Origin, Seen, World, read_answer, reply, world
from tests.waiting import wait_until

FRESH = [("Cache-Control", "max-age=3600"), ("Content-Type", "text/html")]
HEAD = "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Type: text/html\r\n"


class Held:
    """An answer that comes in parts, each when the test says so."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = parts
        self.go = asyncio.Semaphore(0)

    async def __call__(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        for part in self.parts:
            await self.go.acquire()
            writer.write(part)
            await writer.drain()


def request(path: str, *fields: str, host: str = "sitio.test") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode()


@pytest.mark.parametrize("door", DOORS)
async def test_an_answer_streams_to_the_browser_while_it_is_stored(door: Door, tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        held = Held(f"{HEAD}Content-Length: 8\r\n\r\n".encode(), b"half", b"done")
        w.origin.on("/a", held)
        reader, writer = await w.connect(door)
        writer.write(request(w.url("/a", door)))
        held.go.release()
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert b"Content-Length: 8" in head
        held.go.release()
        assert await asyncio.wait_for(reader.readexactly(4), 5) == b"half", "before the rest has come"
        assert not w.room.statistics().stored_objects
        held.go.release()
        assert await asyncio.wait_for(reader.readexactly(4), 5) == b"done"
        writer.close()
        await w.stored()
        assert (await w.ask("/a", door=door)).body == b"halfdone"
        assert len(w.origin.seen) == 1


async def test_compressed_text_streams_too(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        held = Held(f"{HEAD}Content-Length: 1008\r\n\r\n".encode() + b"begin" * 200, b"8 bytes!")
        w.origin.on("/a", held)
        reader, writer = await w.connect("site")
        writer.write(request("/a", "Accept-Encoding: br"))
        held.go.release()
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        size = int(await asyncio.wait_for(reader.readuntil(b"\r\n"), 5), 16)
        assert brotli.Decompressor().process(await reader.readexactly(size)).startswith(b"begin")
        held.go.release()
        writer.close()
        await w.stored()


async def ask_together(w: World, path: str, count: int, held: Held) -> list[Got]:
    """Ask `count` times at once, let the origin answer when it was reached, return all answers."""
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(w.ask(path)) for _ in range(count)]
        await wait_until(lambda: len(w.origin.seen) > 0 and w.site.connections() == count)
        await asyncio.sleep(0.05)
        for _ in held.parts:
            held.go.release()
    return [each.result() for each in asked]


async def test_one_fetch_serves_all_who_wait(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        held = Held(f"{HEAD}Content-Length: 4\r\n\r\n".encode(), b"page")
        w.origin.on("/a", held)
        answers = await ask_together(w, "/a", 20, held)
        assert {each.body for each in answers} == {b"page"}
        assert len(w.origin.seen) == 1
        assert sum("collapsed" in each.cache for each in answers) == 19


async def test_what_may_not_be_shared_is_fetched_for_each(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        private = "HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 1\r\n\r\n"
        held = Held(f"{private}0".encode())
        w.origin.on("/a", held, *(reply(str(n).encode(), [("Cache-Control", "private")]) for n in range(1, 5)))
        answers = await ask_together(w, "/a", 5, held)
        assert sorted(each.body for each in answers) == [b"0", b"1", b"2", b"3", b"4"]
        assert len(w.origin.seen) == 5


async def test_who_waits_for_another_variant_gets_its_own(tmp_path: Path) -> None:
    async def by_language(seen: Seen, writer: asyncio.StreamWriter) -> None:
        body = (seen.get("accept-language") or "").encode()
        if body == b"es":
            await go.wait()
        writer.write(reply(body, [*FRESH, ("Vary", "Accept-Language")]))

    go = asyncio.Event()
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", by_language)
        async with asyncio.TaskGroup() as tasks:
            spanish = tasks.create_task(w.ask("/a", [("Accept-Language", "es")]))
            await wait_until(lambda: len(w.origin.seen) == 1)
            quechua = tasks.create_task(w.ask("/a", [("Accept-Language", "qu")]))
            await wait_until(lambda: w.site.connections() == 2)
            go.set()
        assert (spanish.result().body, quechua.result().body) == (b"es", b"qu")


@pytest.mark.parametrize("leaves_first", [True, False])
async def test_a_browser_that_leaves_takes_nothing_from_others_or_the_store(leaves_first: bool, tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        held = Held(f"{HEAD}Content-Length: 8\r\n\r\nhalf".encode(), b"done")
        w.origin.on("/a", held)
        leaving, staying = await w.connect("site"), await w.connect("site")
        for _, writer in (leaving, staying) if leaves_first else (staying, leaving):
            writer.write(request("/a"))
        held.go.release()
        for reader, _ in (leaving, staying):
            await asyncio.wait_for(reader.readuntil(b"half"), 5)
        leaving[1].transport.abort()
        held.go.release()
        assert await asyncio.wait_for(staying[0].readexactly(4), 5) == b"done"
        staying[1].close()
        await w.stored()
        assert len(w.origin.seen) == 1


async def test_the_store_gets_its_copy_when_everybody_left(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        held = Held(f"{HEAD}Content-Length: 8\r\n\r\nhalf".encode(), b"done")
        w.origin.on("/a", held)
        reader, writer = await w.connect("site")
        writer.write(request("/a"))
        held.go.release()
        await asyncio.wait_for(reader.readuntil(b"half"), 5)
        writer.transport.abort()
        held.go.release()
        await w.stored()
        assert (await w.ask("/a")).body == b"halfdone"


async def test_a_slow_reader_holds_up_neither_others_nor_the_store(tmp_path: Path) -> None:
    page = bytes(range(256)) * 6_000  # 1.5 MB: more than the socket buffers and the memory of a body
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", reply(page, [("Cache-Control", "max-age=3600")]))
        slow, writer = await asyncio.open_connection(*w.site.address, limit=1_024)
        writer.write(request("/a"))
        await asyncio.wait_for(slow.readuntil(b"\r\n\r\n"), 5)
        assert (await w.ask("/a")).body == page
        await w.stored()
        assert len(w.origin.seen) == 1
        assert await asyncio.wait_for(slow.readexactly(len(page)), 10) == page, "and it gets all of it in the end"
        writer.close()


async def test_an_answer_larger_than_is_stored_passes_through(tmp_path: Path) -> None:
    page = bytes(range(256)) * 4_000
    for length in (True, False):
        async with world(tmp_path / f"web-{length}", object_bytes_max=300_000) as w:
            chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(page), page)
            stated = reply(page, FRESH)
            unstated = reply(chunked, [*FRESH, ("Transfer-Encoding", "chunked")], length=False)
            w.origin.on("/a", stated if length else unstated)
            assert (await w.ask("/a")).body == page
            assert (await w.ask("/a")).body == page
            assert len(w.origin.seen) == 2
            assert not w.room.statistics().stored_objects
            await w.tidy()


@pytest.mark.parametrize("size_bytes", [0, 1, 40_000, 700_000])
async def test_a_restart_keeps_everything(size_bytes: int, tmp_path: Path) -> None:
    origin = Origin()
    await origin.start()
    page = bytes(n % 251 for n in range(size_bytes))
    origin.on("/a", reply(page, [*FRESH, ("X-A", "ñ".encode().decode("latin-1"))]))
    async with world(tmp_path / "web", origin=origin) as w:
        before = await w.ask("/a")
        await w.stored()
    async with world(tmp_path / "web", origin=origin, clock=w.clock) as w:
        await w.cut()
        after = await w.ask("/a")
    await origin.stop()
    assert after.body == before.body == page
    assert after.get("x-a") == before.get("x-a")
    assert len(origin.seen) == 1
    assert (tmp_path / "web").stat().st_mode & 0o777 == 0o700


async def test_with_the_link_down_what_is_stored_is_served_and_marked(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", reply(b"page", [("Cache-Control", "max-age=10, must-revalidate"), ("ETag", '"a"')]))
        w.origin.on("/b", reply(b"sibling", [("Cache-Control", "no-cache")]))
        for path in ("/a", "/b"):
            await w.ask(path)
        await w.stored(2)
        await w.cut()
        w.clock.pass_s(86_400)
        for path, body in (("/a", b"page"), ("/b", b"sibling")):
            got = await w.ask(path)
            assert (got.status, got.body) == (200, body)
            assert got.get("age") == "86400"
            assert "tambo; hit; ttl=-" in got.cache
            assert got.cache.endswith("detail=link-down")
        missing = await w.ask("/c")
        assert (missing.status, missing.get("x-code")) == (504, "link-down")
        assert len(w.origin.seen) == 2, "nothing was tried over a link that is down"
        await w.mend()
        assert (await w.ask("/a")).cache.startswith("tambo; fwd=stale")


async def test_a_request_that_waits_when_the_link_goes_down_is_answered_at_once(tmp_path: Path) -> None:
    async with world(tmp_path / "web", silence_s=60.0) as w:
        w.origin.on("/a", Held(b"never"))
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(w.ask("/a"))
            await wait_until(lambda: len(w.origin.seen) == 1)
            await w.cut()
        assert waiting.result().get("x-code") == "link-down"


async def test_an_origin_that_is_silent_costs_patience_only_once(tmp_path: Path) -> None:
    async with world(tmp_path / "web", silence_s=30.0, patience_s=0.05) as w:
        w.origin.on("/a", reply(b"page", [("Cache-Control", "max-age=10")]), Held(b"never"))
        await w.ask("/a")
        await w.stored()
        w.clock.pass_s(20)
        w.link.answers = False
        first = await w.ask("/a")
        found_out = {f"tambo; hit; ttl=-10; detail={each}" for each in ("origin-silent", "link-down")}  # by then
        assert first.body == b"page"
        assert first.cache in found_out
        await wait_until(lambda: w.backhaul.is_down)
        assert (await w.ask("/a")).cache == "tambo; hit; ttl=-10; detail=link-down"


async def test_stale_is_not_served_behind_the_origins_back(tmp_path: Path) -> None:
    async with world(tmp_path / "web", silence_s=0.1) as w:
        w.origin.on("/a", reply(b"page", [("Cache-Control", "max-age=10, must-revalidate")]), Held(b"never"))
        await w.ask("/a")
        await w.stored()
        w.clock.pass_s(20)
        got = await w.ask("/a")
        assert (got.status, got.get("x-code")) == (504, "origin-silent"), "the link is not known to be down"


async def test_browsers_get_the_coding_they_accept(tmp_path: Path) -> None:
    page = b"<p>una pagina de texto que se repite</p>" * 50
    async with world(tmp_path / "web") as w:
        coded = [*FRESH, ("Content-Encoding", "br"), ("ETag", '"a"')]
        w.origin.on("/a", reply(brotli.compress(page), coded))
        await w.ask("/a")
        await w.stored()
        assert w.origin.seen[0].get("accept-encoding") == "br, zstd, gzip"
        as_is = await w.ask("/a", [("Accept-Encoding", "gzip, br")])
        assert (brotli.decompress(as_is.body), as_is.get("etag")) == (page, '"a"')
        for _ in range(2):  # the second comes from memory
            zipped = await w.ask("/a", [("Accept-Encoding", "gzip")])
            assert (gzip.decompress(zipped.body), zipped.get("etag")) == (page, 'W/"a"')
            assert zipped.get("vary") == "Accept-Encoding"
            plain = await w.ask("/a")
            assert (plain.body, plain.get("content-encoding")) == (page, None)
            assert plain.get("content-length") == str(len(page))
        assert len(w.origin.seen) == 1


async def test_http_1_0_gets_a_plain_close(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        chunked = [*FRESH, ("Transfer-Encoding", "chunked")]
        w.origin.on("/a", reply(b"4\r\npage\r\n0\r\n\r\n", chunked, length=False))
        got = await w.ask("/a", version="1.0")
        assert (got.body, got.whole, got.get("transfer-encoding")) == (b"page", True, None)


async def test_a_body_is_passed_on_as_it_comes_with_its_length(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", reply(b"thanks"))
        got = await w.ask("/a", [("Content-Type", "text/plain")], method="POST", body=b"hello")
        assert got.body == b"thanks"
        assert got.cache.startswith("tambo; fwd=method; fwd-status=200")
        seen = w.origin.seen[0]
        assert (seen.body, seen.get("content-length"), seen.get("transfer-encoding")) == (b"hello", "5", None)


async def test_a_chunked_body_stays_chunked_and_100_continue_is_said(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", reply(b"thanks"))
        reader, writer = await w.connect("site")
        fields = ["Host: sitio.test", "Transfer-Encoding: chunked", "Expect: 100-continue"]
        writer.write(("\r\n".join(["PUT /a HTTP/1.1", *fields]) + "\r\n\r\n").encode())
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 100")
        writer.write(b"5\r\nhello\r\n0\r\n\r\n")
        got = await asyncio.wait_for(read_answer(reader), 5)
        writer.close()
        assert got.body == b"thanks"
        assert w.origin.seen[0].body == b"hello"
        assert w.origin.seen[0].get("expect") is None


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused(chunked: bool, tmp_path: Path) -> None:
    async with world(tmp_path / "web", upload_bytes_max=50_000) as w:
        w.origin.on("/a", reply(b"thanks"))
        head = b"POST /a HTTP/1.1\r\nHost: sitio.test\r\n"
        if chunked:
            data = (
                head
                + b"Transfer-Encoding: chunked\r\n\r\n"
                + b"8000\r\n"
                + b"x" * 32_768
                + b"\r\n"
                + b"8000\r\n"
                + b"x" * 32_768
            )
        else:
            data = head + b"Content-Length: 50001\r\n\r\n"
        got = await w.say(data)
        assert got.status == 413
        assert not w.origin.asked("/a"), "no whole request came"


async def test_redirects_and_forms_keep_to_the_village(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        home = f"http://{w.origin.address}"
        w.origin.on("/a", reply(b"", [("Location", f"{home}/b?c=d")], 302))
        got = await w.ask("/a", [("Origin", "http://sitio.test"), ("Referer", "http://sitio.test/x")], method="POST")
        assert got.get("location") == "/b?c=d"
        assert w.origin.seen[0].get("origin") == home
        assert w.origin.seen[0].get("referer") == f"{home}/x"
        w.origin.on("/a", reply(b"", [("Location", "http://elsewhere.test/")], 302))
        assert (await w.ask("/a", method="POST")).get("location") == "http://elsewhere.test/"


async def test_an_answer_has_no_fields_of_ours_but_those_that_say_what_happened(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", reply(b"page", [("Cache-Control", "max-age=10")]))
        for _ in range(2):
            got = await w.ask("/a")
            names = {name.lower() for name, _ in got.fields}
            assert names <= {"cache-control", "date", "age", "via", "cache-status", "content-length", "accept-ranges"}
            await w.stored()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /a HTTP/1.1\r\nHost: other.test\r\n\r\n", 421),
        (b"GET http://other.test/a HTTP/1.1\r\nHost: sitio.test\r\n\r\n", 421),
        (b"GET http://sitio.test/a HTTP/1.1\r\nHost: other.test\r\n\r\n", 200),
        (b"GET /a HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
        (b"POST /a HTTP/1.0\r\nHost: sitio.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: sitio.test\r\n\r\n", 200),
    ],
)
async def test_odd_requests_to_a_site(data: bytes, status: int, tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", reply(b"page"))
        got = await w.say(data)
        assert got.status == status, got
        assert (len(w.origin.seen) == 1) == (status == 200 and b"OPTIONS" not in data)


async def test_statistics_tell_what_happened(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", reply(b"page", [("Cache-Control", "max-age=10"), ("ETag", '"a"')]), reply(status=304))
        await w.ask("/a")
        await w.stored()
        await w.ask("/a")
        w.clock.pass_s(20)
        await w.ask("/a")
        seen = w.room.statistics()
        assert (seen.misses, seen.hits, seen.revalidated, seen.served_stale) == (1, 2, 1, 0)
        assert (seen.bytes_from_link, seen.bytes_from_store, seen.stored_objects) == (4, 8, 1)
        assert w.backhaul.moved()[next(iter(w.room.sites)).traffic_class].down_bytes > 4


async def test_a_tunnel_is_refused_at_a_site_and_never_reaches_its_origin(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        request = b"CONNECT sitio.test:80 HTTP/1.1\r\nHost: sitio.test\r\n\r\n"
        assert (await w.say(request, method="CONNECT")).status == 405
        assert w.origin.seen == []


async def test_what_is_asked_for_after_a_purge_is_not_what_was_coming_before(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        before, after = (
            Held(reply(b"before", [("Cache-Control", "max-age=60")])),
            Held(reply(b"after", [("Cache-Control", "max-age=60")])),
        )
        w.origin.on("/a", before, after)
        async with asyncio.TaskGroup() as tasks:
            early = tasks.create_task(w.ask("/a"))
            await wait_until(lambda: len(w.origin.seen) == 1)
            await w.room.housekeeping.purge("http://sitio.test/a")
            late = tasks.create_task(w.ask("/a"))
            await wait_until(lambda: len(w.origin.seen) == 2)
            before.go.release()
            after.go.release()
        assert (early.result().body, late.result().body) == (b"before", b"after")
        assert (await w.ask("/a")).body == b"after"
