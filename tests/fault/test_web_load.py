"""What a box takes: large bodies for slow readers, many connections, many who want one page. Memory: the process's."""

import asyncio
import hashlib
import resource
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.conformance.web_world import Origin, Script, Seen, reply
from tests.fault.web_box import CONNECTIONS_MAX, DEADLINE_S, WebBox, request, serving, web_box
from tests.waiting import wait_until

FRESH = [("Cache-Control", "max-age=3600")]
LARGE_BYTES = 100_000_000
BLOCK = bytes(range(256)) * 256  # 64 KB; shifted from block to block, so that one out of place is seen
GROWTH_BYTES_MAX = 8_000_000
SLOW_BYTES, SLOW_EVERY_S = 6_250, 0.05  # 1 Mbit/s
IDLE, BUSY, UNDER_WAY, SAMPLES = 2_000, 200, 60, 10
CONNECTED_BYTES_MAX = 200_000_000
FILES_SOFT = 1_024  # what systemd and login shells give a process; asking for more is left to it
FILES_NEEDED = 3_000  # by the side of the browsers


def block(at: int) -> bytes:
    shift = at % 251
    return BLOCK[shift:] + BLOCK[:shift]


async def large(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """100 MB, as fast as it is taken; `/unstored` is not for the store."""
    lifetime = "no-store" if seen.target == "/unstored" else "max-age=3600"
    fields = f"Cache-Control: {lifetime}\r\nContent-Type: video/mp4\r\nContent-Length: {LARGE_BYTES}\r\n"
    writer.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode())
    left, at = LARGE_BYTES, 0
    while left:
        piece = block(at)[:left]
        writer.write(piece)
        await writer.drain()
        left, at = left - len(piece), at + 1


def large_digest() -> str:
    found, left, at = hashlib.sha256(), LARGE_BYTES, 0
    while left:
        piece = block(at)[:left]
        found.update(piece)
        left, at = left - len(piece), at + 1
    return found.hexdigest()


async def read_fast(box: WebBox, path: str) -> str:
    """Read a body as fast as it comes, and return its hash."""
    reader, writer = await box.connect(limit=1_000_000)
    writer.write(request(path))
    await reader.readuntil(b"\r\n\r\n")
    found, left = hashlib.sha256(), LARGE_BYTES
    while left:
        piece = await reader.read(min(left, 1_000_000))
        assert piece, "the body was cut"
        found.update(piece)
        left -= len(piece)
    writer.close()
    return found.hexdigest()


class SlowReader:
    """A phone at 1 Mbit/s with a small window."""

    def __init__(self, box: WebBox) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self._socket.setblocking(False)
        self._port = box.port
        self.read_bytes = 0

    async def begin(self, path: str) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, ("127.0.0.1", self._port))
        await loop.sock_sendall(self._socket, request(path))

    async def go_on(self) -> None:
        """Read for as long as it is let."""
        loop = asyncio.get_running_loop()
        while True:
            piece = await loop.sock_recv(self._socket, SLOW_BYTES)
            assert piece, "the slow reader was cut off"
            self.read_bytes += len(piece)
            await asyncio.sleep(SLOW_EVERY_S)

    def close(self) -> None:
        self._socket.close()


class Peak:
    """The most memory a box held while it was watched."""

    def __init__(self, box: WebBox) -> None:
        self._box = box
        self.before_bytes = box.rss_bytes()
        self.bytes = self.before_bytes

    async def watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, self._box.rss_bytes())
            await asyncio.sleep(0.02)

    @property
    def growth_bytes(self) -> int:
        return self.bytes - self.before_bytes


async def warm(box: WebBox, origin: Origin) -> None:
    """Have it do once what it will do, so that what is measured is not its first use of its code."""
    origin.on("/warm", reply(bytes(3_000_000), FRESH))
    for _ in range(3):
        assert (await box.ask("/warm")).whole


@pytest.mark.parametrize("path", ["/stored", "/unstored"])
async def test_100_mb_for_a_slow_and_a_fast_reader_cost_little_memory(path: str, tmp_path: Path) -> None:
    async with serving() as origin, web_box(tmp_path, origin) as box:
        origin.on(path, large)
        await warm(box, origin)
        peak, slow = Peak(box), SlowReader(box)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(peak.watch())
            await slow.begin(path)
            reading = tasks.create_task(slow.go_on())
            digest = await read_fast(box, path)
            if path == "/stored":  # and both once more from the disk
                assert await read_fast(box, path) == digest
                second = SlowReader(box)
                await second.begin(path)
                more = tasks.create_task(second.go_on())
                await wait_until(lambda: second.read_bytes > 50_000)
                more.cancel()
                second.close()
            await wait_until(lambda: slow.read_bytes > 50_000)
            for task in (watching, reading):
                task.cancel()
        slow.close()
        assert digest == large_digest()
        assert len(origin.asked(path)) == (1 if path == "/stored" else 2)
        print(f"{path}: memory grew by {peak.growth_bytes / 1e6:.1f} MB from {peak.before_bytes / 1e6:.1f} MB")
        assert peak.growth_bytes < GROWTH_BYTES_MAX


@contextmanager
def files_soft(limit: int) -> Iterator[None]:
    """What is started inside has this soft limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process may open as many files as its side of the connections needs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES_NEEDED:
        pytest.skip(f"needs {FILES_NEEDED} open files: ulimit -Hn {FILES_NEEDED}")
    with files_soft(FILES_NEEDED):
        yield


def device(count: int) -> str:
    """The address of one of many devices: what one device may have under way is limited."""
    return f"127.0.{1 + count // 250}.{1 + count % 250}"


def halves(go_on: asyncio.Event) -> Script:
    """Half of a body, and the other when `go_on`."""

    async def half(seen: Seen, writer: asyncio.StreamWriter) -> None:
        del seen
        writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 600000\r\n\r\n" + bytes(300_000))
        await writer.drain()
        await go_on.wait()
        writer.write(bytes(300_000))
        await writer.drain()

    return half


def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def idle(box: WebBox, count: int, open_now: AsyncExitStack) -> None:
    """A browser that has its page and keeps its connection."""
    reader, writer = await box.connect(device(count))
    open_now.callback(hang_up, writer)
    writer.write(request("/small"))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    assert len(await reader.readexactly(10_000)) == 10_000


async def busy(box: WebBox, path: str, count: int, open_now: AsyncExitStack) -> None:
    """A browser in the middle of an answer that it reads slowly."""
    reader, writer = await box.connect(device(count), limit=4_096)
    open_now.callback(hang_up, writer)
    writer.write(request(path))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")


@pytest.mark.usefixtures("many_files")
async def test_2000_idle_and_200_busy_connections_fit_in_200_mb(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    async with serving() as origin, AsyncExitStack() as open_now:
        origin.on("/small", reply(b"x" * 10_000, FRESH))
        origin.on("/stored", reply(bytes(4_000_000), FRESH))
        for count in range(UNDER_WAY):
            origin.on(f"/under-way-{count}", halves(go_on))
        box = await open_now.enter_async_context(web_box(tmp_path, origin))
        open_now.callback(go_on.set)
        for path in ("/small", "/stored"):
            assert (await box.ask(path)).whole
        before_bytes = box.rss_bytes()
        for first in range(0, IDLE, 100):
            async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as browsers:
                for count in range(first, first + 100):
                    browsers.create_task(idle(box, count, open_now))
        idle_bytes = box.rss_bytes()
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as browsers:
            for count in range(BUSY):
                path = f"/under-way-{count}" if count < UNDER_WAY else "/stored"
                browsers.create_task(busy(box, path, count, open_now))
        busy_bytes = 0
        for _ in range(SAMPLES):  # while every buffer fills that will
            await asyncio.sleep(0.05)
            busy_bytes = max(busy_bytes, box.rss_bytes())
        assert box.files() > IDLE + BUSY, "all of them are still connected"
        mb = [f"{each / 1e6:.0f}" for each in (before_bytes, idle_bytes, busy_bytes)]
        print(f"memory: {mb[0]} MB, with {IDLE} idle {mb[1]} MB, with {BUSY} busy besides {mb[2]} MB")
        assert busy_bytes < CONNECTED_BYTES_MAX
        assert (await box.ask("/small", source="127.0.99.1")).body == b"x" * 10_000, "and it goes on serving"


async def test_a_box_may_open_as_many_files_as_its_listener_takes_connections(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving() as origin:
        with files_soft(FILES_SOFT):
            async with web_box(tmp_path, origin) as box:
                soft, _ = resource.prlimit(box.pid, resource.RLIMIT_NOFILE)
        assert soft >= (CONNECTIONS_MAX if hard == resource.RLIM_INFINITY else min(hard, CONNECTIONS_MAX))


async def test_10_browsers_that_want_one_page_make_one_origin_request(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def slowly(seen: Seen, writer: asyncio.StreamWriter) -> None:
        del seen
        await go.wait()
        writer.write(reply(b"page" * 2_500, FRESH))
        await writer.drain()

    async with serving() as origin, web_box(tmp_path, origin) as box:
        origin.on("/page", slowly)
        got = []

        async def ask() -> None:
            got.append(await box.ask("/page"))

        async with asyncio.TaskGroup() as browsers:
            for _ in range(10):
                browsers.create_task(ask())
            await wait_until(lambda: len(origin.seen) >= 1)
            with suppress(TimeoutError):  # nobody else comes
                await wait_until(lambda: len(origin.seen) > 1, 0.2)
            go.set()
        assert [(each.status, each.body) for each in got] == [(200, b"page" * 2_500)] * 10
        assert len(origin.asked("/page")) == 1
