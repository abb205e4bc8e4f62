"""What origins, browsers and workers gone bad do, a worker or the box outlives, and what it costs is bounded."""

import asyncio
import os
import signal
import socket
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from gateway.web.early.answers import BODY_BYTES_MAX
from gateway.web.early.copies import Frame, copy_of, written
from gateway.web.early.worker_process import WorkerProcess, _sockets
from tests.conformance.web_world import reply
from tests.unit.web.test_early import BROWSER, KEEPS
from tests.unit.web.test_early import written as request
from tests.unit.web.test_workers import at_worker, connected, said, stored
from tests.unit.web.worker_world import Village, pids, rss_kb, village
from tests.waiting import wait_until


async def served_by_box(it: Village, path: str, connections: int) -> int:
    """How many of so many connections the box had to answer, each after what the last one taught has arrived."""
    found = 0
    for _ in range(connections):
        reader, writer = await connected(it.site)
        port = writer.get_extra_info("sockname")[1]
        await said(reader, writer, request(path, *BROWSER))
        found += port in it.ports()
        writer.transport.abort()
        await it.world.quiet()
    return found


@pytest.mark.parametrize("change", ["another site", "another resource of the same counter"])
async def test_what_ends_others_takes_no_page_from_the_workers_for_good(tmp_path: Path, change: str) -> None:
    async with village(tmp_path) as it:
        await stored(it, "/page")
        (await at_worker(it, "/page"))[1].transport.abort()
        early = it.world.room.site_early
        (at,) = early._by_resource
        if change == "another site":
            early.clear("otro")
        else:
            place = early.generations.stamp(*at).place
            early.forget(
                "otro", next(url for url in map(str, count()) if early.generations.stamp("otro", url).place == place)
            )
        assert await served_by_box(it, "/page", 1) == 1
        (await at_worker(it, "/page"))[1].transport.abort()


async def test_a_worker_outlives_a_copy_that_it_cannot_use(tmp_path: Path) -> None:
    async with village(tmp_path) as it:
        await stored(it, "/page")
        (await at_worker(it, "/page"))[1].transport.abort()
        asked, before = request("/page", *BROWSER), pids()
        known = it.world.room.site_early.found(asked)
        assert known is not None
        spoilt = copy_of(0, replace(known, form=replace(known.form, template=b"100% d %z")))
        assert spoilt is not None
        for frame in (Frame({}), Frame({**spoilt.told, "door": 9}), spoilt):
            it.workers._running[0].tell(written(frame))
        async with asyncio.timeout(5):
            while await served_by_box(it, "/page", 1) == 0:
                pass
        assert (pids(), it.site.accepts) == (before, False)


async def test_a_worker_that_cannot_follow_the_box_is_replaced(tmp_path: Path) -> None:
    async with village(tmp_path) as it:
        (worker,), before = it.workers._running, pids()
        worker.tell(b"\xff" * 12)
        await wait_until(lambda: it.site.accepts)
        await it.ready()
        assert (len(pids()), pids() == before) == (1, False)
        assert worker._process is not None
        assert worker._process.returncode == 0


async def test_who_does_not_read_costs_the_worker_no_copy_of_the_page(tmp_path: Path) -> None:
    async with village(tmp_path) as it:
        it.world.origin.on("/big", reply(os.urandom(BODY_BYTES_MAX), [KEEPS, ("Content-Type", "image/jpeg")]))
        (await at_worker(it, "/big"))[1].transport.abort()
        assert it.site._listening is not None
        it.site._listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        before_kb = rss_kb(pids()[0])
        browsers = []
        for _ in range(60):
            browser = socket.socket()
            browser.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            browser.setblocking(False)
            await asyncio.get_running_loop().sock_connect(browser, tuple(it.site.address))
            browser.send(request("/big", *BROWSER))
            browsers.append(browser)
        for browser in browsers:
            assert (await asyncio.get_running_loop().sock_recv(browser, 9)) == b"HTTP/1.1 "
        assert rss_kb(pids()[0]) - before_kb < 60 * BODY_BYTES_MAX // 1_024 // 4
        assert it.site.connections() == 0
        for browser in browsers:
            browser.close()


async def test_a_connection_that_was_lost_on_its_way_is_counted_out(tmp_path: Path) -> None:
    """The kernel leaves its descriptor out where the box has no room for one."""
    async with village(tmp_path) as it:
        worker = it.workers._running[0]
        worker._heed(worker, b"c\x01GET", [])
        worker._heed(worker, b"c\xffGET", [])
        assert worker.handed == [0, 1]


@pytest.mark.parametrize("kind", ["datagrams", "not connected", "local", "listening"])
async def test_nothing_that_a_worker_hands_over_ends_the_box(tmp_path: Path, kind: str) -> None:
    async with village(tmp_path) as it:
        worker = it.workers._running[0]
        family = socket.AF_UNIX if kind == "local" else socket.AF_INET
        strange = socket.socket(family, socket.SOCK_DGRAM if kind == "datagrams" else socket.SOCK_STREAM)
        if kind == "listening":
            strange.listen()
        worker._heed(worker, b"c\x00GET", [strange])
        await wait_until(lambda: worker.handed[0] == 1)
        assert not it.running.done()
        reader, writer = await connected(it.site)
        assert await said(reader, writer, request("/page", *BROWSER)) is not None
        writer.transport.abort()


def test_a_descriptor_of_no_socket_is_closed() -> None:
    reading, writing = os.pipe()
    assert list(_sockets([reading])) == []
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"x")
    os.close(writing)


async def test_a_worker_that_idles_says_so_and_one_that_hangs_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with village(tmp_path) as it:
        (worker,), before = it.workers._running, pids()
        worker.silent_ticks = 3
        await wait_until(lambda: worker.silent_ticks == 0)
        os.kill(before[0], signal.SIGSTOP)
        with monkeypatch.context() as patched:
            patched.setattr("gateway.web.early.workers.SILENT_TICKS_MAX", 1)
            await wait_until(lambda: it.site.accepts)
        await it.ready()
        assert (len(pids()), pids() == before) == (1, False)


async def test_a_stop_waits_no_longer_for_a_slow_browser_than_it_is_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.web.early.worker_process.STOP_S", 0.4)  # a worker that takes twice as long is killed
    async with village(tmp_path) as it:
        it.world.origin.on("/big", reply(os.urandom(BODY_BYTES_MAX), [KEEPS, ("Content-Type", "image/jpeg")]))
        (await at_worker(it, "/big"))[1].transport.abort()
        assert it.site._listening is not None
        it.site._listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            slow.setblocking(False)
            await asyncio.get_running_loop().sock_connect(slow, tuple(it.site.address))
            slow.send(request("/big", *BROWSER))
            await asyncio.get_running_loop().sock_recv(slow, 9)
            (worker,) = it.workers._running
            worker.silent_ticks = 3
            await wait_until(lambda: worker.silent_ticks == 0)  # its next tick is far
            await it.workers.stop()
        assert worker._process is not None
        assert worker._process.returncode == 0


async def test_a_worker_that_is_told_to_go_while_it_starts_is_written_nothing() -> None:
    class Closed(asyncio.Transport):
        def is_closing(self) -> bool:
            return True

        def get_write_buffer_size(self) -> int:
            return 0

        def write(self, data: bytes | bytearray | memoryview) -> None:
            raise RuntimeError(data)

    worker = WorkerProcess(1, 1, lambda *heard: None)
    worker._stream = Closed()
    worker.tell(b"a copy")
    assert not worker.is_going
