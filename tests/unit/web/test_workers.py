"""A box with workers answers what one without them answers, and none of them outlives a change, a stop or the box."""

import asyncio
import math
import os
import random
import signal
import socket
import struct
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.listener import Limits, Listener
from gateway.web.early.answers import BODY_BYTES_MAX, Answered, Form, Learned
from gateway.web.early.copies import (
    REPORT_BYTES_MAX,
    Frame,
    Frames,
    Garbled,
    answered_from,
    copy_of,
    learned_from,
    reports,
    written,
)
from gateway.web.early.generations import WORDS, Generations
from gateway.web.early.shared_page import BOX, SharedPage
from gateway.web.early.worker_process import BACKLOG_BYTES_MAX
from tests.conformance.web_world import DOORS, SITE_HOST, Seen, read_answer, reply
from tests.unit.web.test_early import BROWSER, DATE, KEEPS, PAGE, mutated, raw_answers
from tests.unit.web.test_early import written as request
from tests.unit.web.worker_world import Village, answers_apart, pids, village
from tests.waiting import wait_until

HTML = ("Content-Type", "text/html")
TRIES = 3


def learned(body: bytes = b"body", url: str = "http://o.test/ñ") -> Learned:
    stamp = Generations().stamp("sitio", url)
    form = Form(("sitio", url), 200, b"HTTP/1.1 200 OK\r\nAge: %d\r\n\r\n", body, 1.5, 1e9, 60.25, stamp)
    return Learned(b"/\xf1\nsitio.test", (b"Accept-Encoding", b"qu"), (b"gzip", None), form)


def test_a_copy_is_what_was_learned_however_its_bytes_arrive() -> None:
    frame = copy_of(1, learned())
    assert frame is not None
    data = written(frame) * 3
    for size in (1, 7, len(data)):
        frames, found = Frames(), []
        for at in range(0, len(data), size):
            found += [learned_from(each) for each in frames.feed(data[at : at + size])]
        assert found == [(1, learned())] * 3


def test_a_frame_longer_than_any_copy_is_refused() -> None:
    data = written(Frame({}, b"", bytes(BODY_BYTES_MAX + 1)))
    with pytest.raises(Garbled):
        list(Frames().feed(data[:12]))


def test_an_answer_with_an_endless_address_is_not_copied() -> None:
    assert copy_of(0, learned(url="http://o.test/" + "x" * 20_000)) is None


def test_an_answer_that_thousands_of_fields_choose_is_not_copied() -> None:
    known = learned()
    names = tuple(b"x-%d" % count for count in range(10_000))
    assert copy_of(0, Learned(known.key, names, (None,) * len(names), known.form)) is None


@pytest.mark.parametrize("told", [b"[]", b"{", b"[" * 50_000])
def test_a_frame_that_tells_no_object_is_refused(told: bytes) -> None:
    with pytest.raises(Garbled):
        list(Frames().feed(struct.pack("!III", len(told), 0, 0) + told))


def test_hits_that_no_line_tells_are_counted_by_site_with_all_their_bytes() -> None:
    for hits, size in ((1, 5), (3, 100), (7, 0)):
        (_, summed) = [
            answered_from(each)[1] for each in reports(0, Answered(0, 0, [], []), [(1e9, "s", 200, size, hits)])
        ]
        assert ({line[:3] + line[4:] for line in summed.lines}, len(summed.lines)) == ({(1e9, "s", 200, "hit")}, hits)
        assert sum(line[3] for line in summed.lines) == size


def test_what_no_database_would_take_as_a_name_is_left_out() -> None:
    (whole,) = [
        answered_from(b'r{"door":0,"asked":[["s","http://a"],["s","\\ud800"],["s\\n","http://b"],[1,[2]]]}')[1].asked
    ]
    assert whole == [("s", "http://a"), ("1", "[2]")]


def test_a_report_says_all_that_was_done_in_bounded_pieces() -> None:
    asked = [("sitio", f"http://o.test/{count}?" + "ñ" * 1_000) for count in range(200)]
    lines = [(1e9 + count, "sitio", 200, count, "hit") for count in range(3_000)]
    whole = Answered(7, 1_000, asked, lines)
    pieces = list(reports(1, whole))
    assert max(map(len, pieces)) <= REPORT_BYTES_MAX
    found = [answered_from(each) for each in pieces]
    assert {door for door, _ in found} == {1}
    assert (sum(each.hits for _, each in found), sum(each.size_bytes for _, each in found)) == (7, 1_000)
    assert [one for _, each in found for one in each.asked] == asked
    assert [one for _, each in found for one in each.lines] == lines


@pytest.mark.parametrize(
    "data",
    [
        b"r",
        b"r{}",
        b"r[]",
        b"r\xff",
        b'r{"door":0,"hits":"x"}',
        b'r{"door":0,"asked":[1]}',
        b'r{"door":0,"hits":1e999}',
        b'r{"door":0,"lines":[[1,"s\\n",200,1,"hit"]]}',
        b'r{"door":0,"sums":[[1,"\\ud800",200,1,1]]}',
        b"r" + b"[" * 50_000,
    ],
)
def test_what_is_no_report_is_refused(data: bytes) -> None:
    with pytest.raises(Garbled):
        answered_from(data)


def test_a_stamp_differs_after_a_change_and_only_of_its_resource() -> None:
    generations = Generations()
    generations.changed("sitio", "a")
    words = memoryview(bytearray(4 * WORDS)).cast("I")
    stamp, other = generations.stamp("sitio", "a"), generations.stamp("otro", "b")
    generations.share(words)
    assert (stamp, other) == (generations.stamp("sitio", "a"), generations.stamp("otro", "b"))
    generations.changed("sitio", "a")
    assert (stamp != generations.stamp("sitio", "a"), other == generations.stamp("otro", "b")) == (True, True)
    assert words[stamp.place] == stamp.own + 1
    generations.cleared()
    assert other != generations.stamp("otro", "b")


def test_connections_are_counted_over_all_processes_and_on_their_way() -> None:
    page = SharedPage.made(2, 3)
    seen = SharedPage(os.dup(page.fd), 2, 3, writes=False)
    for _ in range(3):
        seen.add(1, 2, 1)
    page.set(1, BOX, 1 - 1)  # one was handed to the box, which has it
    assert (page.open(1), page.open(0)) == (3, 0)
    page.set(1, BOX, 0 - 1)  # and ended it
    assert seen.open(1) == 2
    with pytest.raises(TypeError):
        seen.generations(0)[0] = 1
    page.close()
    seen.close()


async def stored(it: Village, *paths: str) -> None:
    """Have pages stored and answered once from the store, so that workers have them."""
    for path in paths:
        it.world.origin.on(path, reply(PAGE, [KEEPS, HTML]))
    for path in paths:
        for door in DOORS:
            listener = it.site if door == "site" else it.proxy
            for _ in range(2):
                await raw_answers(listener, request(it.world.url(path, door), *BROWSER))
                await it.world.quiet()


async def answers(listener: Listener, other: Listener, *pieces: bytes) -> tuple[bytes, bytes]:
    """What two listeners answer within the same second, less the word on whether the connection ends.

    Whether the half-close behind the last piece is known before the last answer is a matter of microseconds. Of answers
    that a reset ended, what is behind it is left out on both sides.
    """
    tries = 0
    while True:
        began_s = math.ceil(SystemClock().wall_s())
        (one, one_cut), (two, two_cut) = [await answers_apart(each, *pieces) for each in (listener, other)]
        one, two = [DATE.sub(b"Date: now", each).replace(b"Connection: close\r\n", b"") for each in (one, two)]
        tries += math.ceil(SystemClock().wall_s()) == began_s
        if one == two:
            return one, two
        if tries == TRIES:
            end = min([len(each) for each, cut in ((one, one_cut), (two, two_cut)) if cut], default=None)
            return one[:end], two[:end]


async def connected(listener: Listener) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*listener.address)


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    """The body of the answer to one request on a connection."""
    writer.write(data)
    async with asyncio.timeout(5):
        return (await read_answer(reader)).body


async def at_worker(it: Village, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which a worker has answered this page."""
    async with asyncio.timeout(5):
        while True:
            reader, writer = await connected(it.site)
            port = writer.get_extra_info("sockname")[1]
            await said(reader, writer, request(path, *BROWSER))
            if port not in it.ports():
                return reader, writer
            writer.transport.abort()
            await it.world.quiet()


@pytest.mark.parametrize("path", ["/page", "/spoken", "/plain", "/big"])
async def test_a_worker_answers_with_the_bytes_of_the_box(tmp_path: Path, path: str) -> None:
    async with village(tmp_path) as it:
        w = it.world
        w.origin.on("/page", reply(PAGE, [KEEPS, HTML]))
        w.origin.on("/plain", reply(b"x" * 500, [KEEPS, ("Content-Type", "image/jpeg"), ("ETag", '"100%"')]))
        w.origin.on("/spoken", reply(PAGE, [KEEPS, HTML, ("Vary", "Accept-Language")]))
        w.origin.on("/big", reply(os.urandom(100_000), [KEEPS, ("Content-Type", "image/jpeg")]))
        asked = request(path, *BROWSER)
        for _ in range(2):
            await raw_answers(it.site, asked)
            await w.stored()
        (await at_worker(it, path))[1].transport.abort()
        by_worker, by_box = await answers(it.site, it.patient, asked)
        assert by_worker == by_box
        assert b"tambo; hit" in by_worker


async def test_any_bytes_are_answered_alike_with_workers_and_without(tmp_path: Path) -> None:
    rng = random.Random(9110)
    async with village(tmp_path) as it:
        await stored(it, "/plain", "/page")
        (await at_worker(it, "/page"))[1].transport.abort()
        said_something = 0
        for _ in range(60):
            chosen = request(rng.choice(("/plain", "/page")), *rng.sample(BROWSER, rng.randrange(len(BROWSER) + 1)))
            pieces = [chosen, *mutated(chosen, rng)] if rng.random() < 0.5 else mutated(chosen, rng)
            await raw_answers(it.patient, *pieces)  # whatever it fetches is there now
            await it.world.quiet()
            by_worker, by_box = await answers(it.site, it.patient, *pieces)
            assert by_worker == by_box, pieces
            said_something += by_worker != b""
        assert said_something > 50


async def test_a_request_with_a_body_reaches_the_origin_whole(tmp_path: Path) -> None:
    async with village(tmp_path) as it:
        await stored(it, "/page")
        reader, writer = await at_worker(it, "/page")
        body = os.urandom(50_000)
        head = f"POST /page HTTP/1.1\r\nHost: {SITE_HOST}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        for at in range(0, len(body), 10_000):
            writer.write((head if at == 0 else b"") + body[at : at + 10_000])
            await writer.drain()
            await asyncio.sleep(0)
        assert (await read_answer(reader)).status == 200
        assert [seen.body for seen in it.world.origin.asked("/page") if seen.method == "POST"] == [body]
        writer.transport.abort()


async def test_a_request_whose_body_can_no_longer_come_is_closed(tmp_path: Path) -> None:
    async with village(tmp_path) as it:
        reader, writer = await connected(it.site)
        writer.write(request("/page", ("Content-Length", "5")))
        writer.write_eof()
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        assert it.world.origin.asked("/page") == []
        writer.close()


async def test_a_head_in_pieces_is_answered_by_the_box(tmp_path: Path) -> None:
    async with village(tmp_path) as it:
        await stored(it, "/page")
        asked = request("/page", *BROWSER)
        reader, writer = await at_worker(it, "/page")
        writer.write(asked[:30])
        await wait_until(lambda: it.site.connections() == 1)
        writer.write(asked[30:])
        assert (await read_answer(reader)).status == 200
        writer.transport.abort()


async def test_requests_in_one_piece_are_answered_in_order(tmp_path: Path) -> None:
    async with village(tmp_path) as it:
        await stored(it, "/page")
        it.world.origin.on("/new", reply(b"new"))
        reader, writer = await at_worker(it, "/page")
        writer.write(request("/page", *BROWSER) + request("/new", *BROWSER) + request("/page", *BROWSER))
        sizes = [len((await read_answer(reader)).body) for _ in range(3)]
        assert sizes[0] == sizes[2] != 3 == sizes[1]
        writer.transport.abort()


async def test_a_tunnel_is_the_boxs(tmp_path: Path) -> None:
    async with village(tmp_path) as it:
        port = it.world.origin.address.port
        it.world.origin.on("/through", reply(b"through"))
        reader, writer = await connected(it.proxy)
        writer.write(f"CONNECT {SITE_HOST}:{port} HTTP/1.1\r\nHost: {SITE_HOST}:{port}\r\n\r\n".encode())
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert await said(reader, writer, request("/through")) == b"through"
        writer.transport.abort()


async def test_a_client_that_the_listener_does_not_serve_is_told_so(tmp_path: Path) -> None:
    async with village(tmp_path, clients=(IPv4Network("10.0.0.0/8"),)) as it:
        reader, writer = await connected(it.site)
        writer.write(request("/page", *BROWSER))
        assert (await read_answer(reader)).status == 403
        writer.transport.abort()


async def test_no_page_outlives_its_change(tmp_path: Path) -> None:
    """A worker has the old page when the answer to a POST is read, and never gives it again."""
    async with village(tmp_path) as it:
        version = 0

        async def page(seen: Seen, writer: asyncio.StreamWriter) -> None:
            nonlocal version
            version += seen.method == "POST"
            writer.write(reply(b"version %d." % version, [KEEPS, ("Content-Type", "image/jpeg")]))

        it.world.origin.on("/page", page)
        for _ in range(200):
            reader, writer = await at_worker(it, "/page")
            assert await said(reader, writer, request("/page", *BROWSER)) == b"version %d." % version
            assert (await it.world.ask("/page", method="POST", body=b"x")).status == 200
            assert await said(reader, writer, request("/page", *BROWSER)) == b"version %d." % version
            writer.transport.abort()
        assert version == 200


async def test_who_reads_slowly_gets_all_of_it_and_the_next_answer_too(tmp_path: Path) -> None:
    async with village(tmp_path) as it:
        body = os.urandom(BODY_BYTES_MAX)
        it.world.origin.on("/big", reply(body, [KEEPS, ("Content-Type", "image/jpeg")]))
        (await at_worker(it, "/big"))[1].transport.abort()
        assert it.site._listening is not None
        it.site._listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)  # the next connections have it too
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        narrow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(narrow, tuple(it.site.address))
        reader, writer = await asyncio.open_connection(sock=narrow, limit=2_048)
        for _ in range(3):
            assert await said(reader, writer, request("/big", *BROWSER)) == body
        assert it.site.connections() == 0
        writer.transport.abort()


@pytest.mark.parametrize("access_log", [True, False])
async def test_what_workers_do_is_counted_as_the_boxs(tmp_path: Path, access_log: bool) -> None:
    async with village(tmp_path, count=2, access_log=access_log) as it:
        await stored(it, "/page")
        room = it.world.room
        reader, writer = await at_worker(it, "/page")
        logged = room._log.served()
        served = logged["sitio"]
        await wait_until(lambda: bool(room.site_early.asked_for()))
        # of what a worker reports the lines of the log come last
        await wait_until(lambda: sum(each.hits for each in logged.values()) == room.statistics().hits)
        before, served_before = room.statistics(), replace(served)
        for _ in range(50):
            size = len(await said(reader, writer, request("/page", *BROWSER)))
        await wait_until(lambda: served.hits == served_before.hits + 50)
        after = room.statistics()
        assert (after.hits - before.hits, after.bytes_from_store - before.bytes_from_store) == (50, 50 * size)
        assert served.bytes_from_store - served_before.bytes_from_store == 50 * size
        assert [url.rpartition("/")[2] for _, url in room.site_early.asked_for()] == ["page"]
        writer.transport.abort()


async def test_a_killed_worker_is_missed_for_a_moment_only(tmp_path: Path) -> None:
    async with village(tmp_path) as it:
        await stored(it, "/page")
        (await at_worker(it, "/page"))[1].transport.abort()
        old = pids()
        os.kill(old[0], signal.SIGKILL)
        await wait_until(lambda: it.site.accepts)
        reader, writer = await connected(it.site)
        assert await said(reader, writer, request("/page", *BROWSER)) != b""
        assert it.site.connections() == 1
        await it.ready()
        assert (len(pids()), pids() == old) == (1, False)
        (await at_worker(it, "/page"))[1].transport.abort()
        assert await said(reader, writer, request("/page", *BROWSER)) != b"", "the box's own go on"
        writer.transport.abort()


async def test_a_stop_leaves_no_worker_and_closes_what_idles(tmp_path: Path) -> None:
    async with village(tmp_path, count=2) as it:
        await stored(it, "/page")
        reader, writer = await at_worker(it, "/page")
        assert len(pids()) == 2
        await it.workers.stop()
        assert (pids(), await reader.read()) == ([], b"")
        await it.site.stop()
        with pytest.raises(ConnectionRefusedError):
            await connected(it.site)
        writer.close()


async def test_more_connections_than_the_limit_are_closed_whoever_has_the_others(tmp_path: Path) -> None:
    async with village(tmp_path, count=2, limits=Limits(connections_max=10, stop_s=0.2)) as it:
        await stored(it, "/page")
        it.world.origin.on("/new", reply(b"new"))
        await wait_until(lambda: it.site.connections() == 0)
        them: list[asyncio.StreamWriter] = []
        while len(them) < 10:
            reader, writer = await connected(it.site)
            path = "/new" if len(them) % 2 else "/page"  # half of them are the box's
            writer.write(request(path, *BROWSER))
            try:
                await read_answer(reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                continue  # the one before it, in this test, has not been counted out yet
            them.append(writer)
        for _ in range(5):
            reader, writer = await connected(it.site)
            async with asyncio.timeout(5):
                with suppress(ConnectionError):
                    assert await reader.read() == b""
        for each in them:
            each.transport.abort()


async def test_who_says_nothing_is_closed_and_who_says_half_is_the_boxs(tmp_path: Path) -> None:
    async with village(tmp_path, limits=Limits(idle_s=0.3, stop_s=0.2)) as it:
        reader, writer = await connected(it.site)
        other, half = await connected(it.site)
        half.write(b"GET / HT")
        async with asyncio.timeout(5):
            assert await reader.read() == b""
            assert await other.read() == b""
        writer.close()
        half.close()


async def test_a_worker_that_does_not_keep_up_misses_copies(tmp_path: Path) -> None:
    async with village(tmp_path) as it:
        worker = it.workers._running[0]
        os.kill(pids()[0], signal.SIGSTOP)
        try:
            for _ in range(40):
                worker.tell(bytes(100_000))
            assert worker._stream is not None
            assert worker._stream.get_write_buffer_size() <= BACKLOG_BYTES_MAX
        finally:
            os.kill(pids()[0], signal.SIGKILL)
