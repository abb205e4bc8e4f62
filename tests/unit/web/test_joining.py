"""Who may wait for another's fetch gets what would have been right for her alone, and nobody waits for one in vain."""

import asyncio
import os
from pathlib import Path
from unittest.mock import patch

import pytest

from gateway.backhaul.sharing.classes import TrafficClass
from gateway.errors import NoCapacity
from gateway.web import answer as answering
from gateway.web.fetching import fetch as fetching
from gateway.web.fetching.fetch import Fetches
from gateway.web.rules.stored import Shelf
from tests.conformance.web_world import Got, Pairs, Script, Seen, World, reply, world
from tests.ranged_origin import RangedOrigin, made
from tests.waiting import wait_until

CHUNKED = ("Transfer-Encoding", "chunked")
FRESH = ("Cache-Control", "max-age=60")
GROUP = ("Cache-Groups", '"g"')


def head(*fields: tuple[str, str]) -> bytes:
    return reply(b"", (CHUNKED, *fields), length=False)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class OldThenNew:
    """Answers GET with OLD, which ends when it may, and then with NEW; other methods at once."""

    def __init__(self, *fields: tuple[str, str], posted: Pairs = ()) -> None:
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.gets = 0
        self._fields = fields
        self._posted = posted

    async def __call__(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.method != "GET":
            writer.write(reply(b"ok", self._posted))
            return
        self.gets += 1
        if self.gets > 1:
            writer.write(reply(b"NEW", self._fields))
            return
        writer.write(head(*self._fields) + chunk(b"OLD"))
        await writer.drain()
        self.begun.set()
        await self.go.wait()
        writer.write(b"0\r\n\r\n")


async def late(w: World, script: OldThenNew, asked: Pairs = (), *, passed_s: float = 0.0) -> tuple[Got, Got]:
    """Ask once, and again when the first answer has begun to come."""
    w.origin.on("/a", script)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(w.ask("/a"))
        await script.begun.wait()
        await wait_until(lambda: all(each.outcome is not None for each in w.room._fetches._open))
        w.clock.pass_s(passed_s)
        second = tasks.create_task(w.ask("/a", asked))
        await wait_until(lambda: second.done() or sum(w.room.doors._busy.values()) == 2)
        script.go.set()
    return first.result(), second.result()


@pytest.mark.parametrize(
    ("control", "asked", "body"),
    [
        ("max-age=600", (), b"OLD"),
        ("max-age=60", (), b"NEW"),
        ("no-cache", (), b"NEW"),
        ("max-age=600", (("Cache-Control", "max-age=5"),), b"NEW"),
        ("max-age=600", (("Cache-Control", "min-fresh=400"),), b"NEW"),
    ],
)
async def test_who_comes_late_joins_only_what_the_store_would_serve_her(
    control: str, asked: Pairs, body: bytes, tmp_path: Path
) -> None:
    async with world(tmp_path / "web") as w:
        first, second = await late(w, OldThenNew(("Cache-Control", control)), asked, passed_s=300)
        assert (first.body, second.body) == (b"OLD", body)
        assert second.get("age") == ("300" if body == b"OLD" else None)


async def test_what_came_while_the_store_was_looked_at_is_not_fetched_again(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        script, store, looks = OldThenNew(FRESH), w.room._store, []
        shelf = store.shelf

        async def slow(site: str, url: str) -> Shelf:
            found = await shelf(site, url)
            looks.append(found)
            if len(looks) == 2:  # the second request's first
                script.go.set()
                await wait_until(lambda: not w.room._fetches._open)
            return found

        with patch.object(store, "shelf", slow):
            first, second = await late(w, script)
        assert (first.body, second.body) == (b"OLD", b"OLD")
        assert script.gets == 1
        assert [bool(each) for each in looks] == [False, False, True]


async def test_who_wants_her_own_takes_no_fetch_from_those_who_share_it(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        script = OldThenNew(FRESH)
        w.origin.on("/a", script)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(w.ask("/a"))
            await script.begun.wait()
            await wait_until(lambda: all(each.outcome is not None for each in w.room._fetches._open))
            (fetch,) = w.room._fetches._open
            tasks.create_task(w.ask("/a", [("Cache-Control", "no-cache")]))
            await wait_until(lambda: script.gets == 2)
            assert fetch in w.room._fetches._shared.values()
            script.go.set()


@pytest.mark.parametrize(("control", "body"), [(None, b"ana"), ("no-cache", b"ana"), ("max-age=60", b"nobody")])
async def test_who_has_a_cookie_gets_nobodys_page_only_where_it_keeps(
    control: str | None, body: bytes, tmp_path: Path
) -> None:
    go = asyncio.Event()

    async def page(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        writer.write(reply((seen.get("cookie") or "nobody").encode(), [("Cache-Control", control)] if control else []))

    async with world(tmp_path / "web") as w:
        w.origin.on("/a", page)
        async with asyncio.TaskGroup() as tasks:
            nobody = tasks.create_task(w.ask("/a"))
            await wait_until(lambda: len(w.origin.seen) == 1)
            ana = tasks.create_task(w.ask("/a", [("Cookie", "ana")]))
            await wait_until(lambda: sum(w.room.doors._busy.values()) == 2)
            go.set()
        assert (nobody.result().body, ana.result().body) == (b"nobody", body)


@pytest.mark.parametrize("how", ["purge", "post"])
async def test_who_comes_after_its_group_was_touched_does_not_join(how: str, tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        script = OldThenNew(FRESH, GROUP, posted=[("Cache-Group-Invalidation", '"g"')])
        w.origin.on("/a", script)
        w.origin.on("/form", script)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(w.ask("/a"))
            await script.begun.wait()
            await wait_until(lambda: all(each.outcome is not None for each in w.room._fetches._open))
            if how == "purge":
                await w.room._store.purge_group("sitio", "g")
            else:
                await w.ask("/form", method="POST", body=b"x")
            second = tasks.create_task(w.ask("/a"))
            await wait_until(lambda: script.gets == 2)
            script.go.set()
        assert second.result().body == b"NEW"


async def test_who_waits_when_its_group_is_touched_before_the_head_asks_for_herself(tmp_path: Path) -> None:
    go, gets = asyncio.Event(), 0

    async def page(seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal gets
        del seen
        gets += 1
        body = b"OLD" if gets == 1 else b"NEW"
        await go.wait()
        writer.write(reply(body, [FRESH, GROUP]))

    async with world(tmp_path / "web") as w:
        w.origin.on("/a", page)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(w.ask("/a"))
            await wait_until(lambda: gets == 1)
            await w.room._store.purge_group("sitio", "g")
            second = tasks.create_task(w.ask("/a"))
            await wait_until(lambda: sum(w.room.doors._busy.values()) == 2)
            go.set()
        assert second.result().body == b"NEW"


async def test_a_range_does_not_wait_for_a_whole_that_is_of_before(tmp_path: Path) -> None:
    gate = asyncio.Event()
    video = RangedOrigin(made(1_500_000), gate=gate, before_gate=200_000)

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.method == "POST":
            writer.write(reply(b"ok"))
        else:
            await video(seen, writer)

    async with world(tmp_path / "web") as w:
        w.origin.on("/v", script)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(w.ask("/v"))
            await wait_until(lambda: video.sent_bytes >= 200_000)
            await w.ask("/v", method="POST", body=b"x")
            tasks.create_task(w.ask("/v", [("Range", "bytes=0-99")]))
            await wait_until(lambda: len(video.seen) == 2)
            gate.set()
        assert video.seen == ["", "bytes=0-65535"]


def streaming(*fields: tuple[str, str], piece: bytes = b"data: 1\n\n", silent: bool = False) -> Script:
    """A stream without end that begins with a piece, and then brings little or nothing."""

    async def stream(seen: Seen, writer: asyncio.StreamWriter) -> None:
        del seen
        writer.write(head(*fields) + chunk(piece))
        while not writer.is_closing():
            await asyncio.sleep(0.01)
            if not silent:
                writer.write(chunk(b"."))
                await writer.drain()

    return stream


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "LOOK_EVERY_S", 0.01)


async def begun(w: World, path: str, *, again: bool = True) -> asyncio.StreamWriter:
    reader, writer = await w.connect("site")
    more = "Cache-Control: no-cache\r\n" if again else ""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: sitio.test\r\n{more}\r\n".encode())
    await asyncio.wait_for(reader.readuntil(b"data: 1"), 5)
    return writer


async def test_an_event_stream_ends_when_its_reader_leaves(tmp_path: Path) -> None:
    async with world(tmp_path / "web", silence_s=600) as w:
        w.origin.on(
            "/events",
            streaming(("Content-Type", "text/event-stream;charset=utf-8"), ("Cache-Control", "no-cache"), silent=True),
        )
        for _ in range(3):
            writer = await begun(w, "/events")
            assert w.room.statistics().fetches_open == 1
            writer.transport.abort()
            await w.quiet()
        assert not w.room.statistics().stored_objects


async def test_a_stream_that_nobody_reads_ends_soon_and_not_while_somebody_does(tmp_path: Path) -> None:
    with patch.object(fetching, "FINISH_UNKNOWN_S", 0.02):
        async with world(tmp_path / "web", silence_s=600) as w:
            w.origin.on("/radio", streaming(("Content-Type", "audio/mpeg"), FRESH))
            first = await begun(w, "/radio")
            (fetch,) = w.room._fetches._open
            assert fetch.unread_until_s is None
            first.transport.abort()
            await w.quiet()


async def test_a_stream_of_much_ends_when_its_reader_leaves(tmp_path: Path) -> None:
    with patch.object(fetching, "FINISH_UNKNOWN_BYTES", 1_000):
        async with world(tmp_path / "web", silence_s=600) as w:
            w.origin.on("/radio", streaming(FRESH, piece=b"data: 1" + bytes(2_000)))
            (await begun(w, "/radio")).transport.abort()
            await w.quiet()


async def test_who_joins_a_stream_that_nobody_read_keeps_it(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", streaming(FRESH))
        (await begun(w, "/a", again=False)).transport.abort()
        (fetch,) = w.room._fetches._open
        await wait_until(lambda: fetch.unread_until_s is not None)
        second = await begun(w, "/a", again=False)
        assert fetch.unread_until_s is None
        assert w.room.statistics().fetches_open == 1
        second.transport.abort()
        fetch.body.stop_keeping()
        await w.quiet()


async def test_without_room_for_a_fetch_what_is_stored_is_served_and_let_go(tmp_path: Path) -> None:
    big = os.urandom(1_500_000)
    async with world(tmp_path / "web", memory_bytes_max=1_000) as w:
        w.origin.on("/a", reply(big, [("Cache-Control", "max-age=10, stale-while-revalidate=1000"), ("ETag", '"a"')]))
        w.origin.on("/b", reply(b"small", [("Cache-Control", "max-age=10, stale-if-error=1000"), ("ETag", '"a"')]))
        await w.ask("/a")
        await w.ask("/b")
        await w.stored(2)
        w.clock.pass_s(60)

        def files() -> int:
            return sum("/web/" in os.path.realpath(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd"))

        before = files()
        with patch.object(Fetches, "begin", side_effect=NoCapacity):
            for _ in range(3):
                assert (await w.ask("/a")).body == big
            assert (await w.ask("/b")).body == b"small"
            assert (await w.ask("/none")).status == NoCapacity.status
        await wait_until(lambda: files() <= before)


async def test_who_waits_for_a_page_does_not_wait_in_bulk(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        script = OldThenNew(FRESH)
        w.origin.on("/a", script)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(w.room.gatherer.gather("sitio", f"http://{w.origin.address}/a"))
            await script.begun.wait()
            assert w.backhaul.open_shares()[TrafficClass.BULK] == 1
            got = tasks.create_task(w.ask("/a"))
            await wait_until(lambda: w.backhaul.open_shares()[TrafficClass.WEB] == 1)
            script.go.set()
        assert (got.result().body, script.gets) == (b"OLD", 1)
        assert not any(w.backhaul.open_shares().values())


async def test_a_head_does_not_undo_what_a_form_called_in_question(tmp_path: Path) -> None:
    go, gets = asyncio.Event(), 0

    async def page(seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal gets
        if seen.method == "HEAD":
            await go.wait()
            writer.write(reply(b"OLD", [FRESH]).removesuffix(b"OLD"))
        elif seen.method == "POST":
            writer.write(reply(b"ok"))
        else:
            gets += 1
            writer.write(reply(b"OLD" if gets == 1 else b"NEW", [FRESH]))

    async with world(tmp_path / "web") as w:
        w.origin.on("/a", page)
        await w.ask("/a")
        await w.stored()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(w.ask("/a", [("Cache-Control", "no-cache")], method="HEAD"))
            await wait_until(lambda: w.origin.seen[-1].method == "HEAD")
            await w.ask("/a", method="POST", body=b"x")
            go.set()
        assert (await w.ask("/a")).body == b"NEW"


async def test_a_304_for_a_tag_that_the_browser_has_not_is_not_for_it(tmp_path: Path) -> None:
    async def page(seen: Seen, writer: asyncio.StreamWriter) -> None:
        vary = ("Vary", "Accept-Language")
        if seen.get("if-none-match"):
            writer.write(reply(b"", [("ETag", 'W/"x"'), vary], 304))
        else:
            writer.write(reply(b"CURRENT", [FRESH, ("ETag", '"x"'), vary]))

    async with world(tmp_path / "web") as w:
        w.origin.on("/a", page)
        await w.ask("/a", [("Accept-Language", "es")])
        await w.stored()
        got = await w.ask("/a", [("Accept-Language", "qu"), ("If-None-Match", '"y"')])
        assert (got.status, got.body) == (200, b"CURRENT")


async def test_of_several_ranges_the_first_may_be_beyond_the_end(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        asked: list[str | None] = []

        async def video(seen: Seen, writer: asyncio.StreamWriter) -> None:
            asked.append(seen.get("range"))
            if asked[-1] == "bytes=70000-70001,0-1":
                writer.write(reply(b"ab", [("Content-Range", "bytes 0-1/60000"), ("ETag", '"a"')], 206))
            else:
                writer.write(reply(b"", [("Content-Range", "bytes */60000"), ("ETag", '"a"')], 416))

        w.origin.on("/v", video)
        got = await w.ask("/v", [("Range", "bytes=70000-70001,0-1")])
        assert (got.status, got.body) == (206, b"ab")
        assert (await w.ask("/v", [("Range", "bytes=70000-70001")])).status == 416


@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", "Content-Length: 9000"])
async def test_an_upload_that_is_broken_off_says_nothing_of_the_link(framing: str, tmp_path: Path) -> None:
    got = asyncio.Event()

    async def raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(1)
        got.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(raw, "127.0.0.1", 0)
    async with world(tmp_path / "web") as w:
        with (
            patch.object(w.dialer._origin, "address", server.sockets[0].getsockname()[:2]),
            patch.object(w.backhaul, "stalled") as stalled,
        ):
            _, writer = await w.connect("proxy")
            writer.write(f"POST http://x.test/up HTTP/1.1\r\nHost: x.test\r\n{framing}\r\n\r\n".encode())
            writer.write(chunk(bytes(5_000)))
            await asyncio.wait_for(got.wait(), 5)
            writer.transport.abort()
            await wait_until(lambda: not sum(w.room.doors._busy.values()))
            assert not stalled.called
    server.close()
