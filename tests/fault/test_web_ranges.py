"""Origins that lie about parts, change under a reader or break off: nobody gets bytes of two contents as one."""

import asyncio
import re
import resource
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.web.store.bodies import cut
from gateway.web.store.rows import Spooled
from tests.conformance.web_world import Got, Seen, World, world
from tests.ranged_origin import RangedOrigin, made
from tests.waiting import wait_until

SLICE = 65_536
SIZE = 8 * SLICE
CONTENT, OTHER = made(SIZE), made(SIZE, 1)
TOLD = 'Cache-Control: max-age=60\r\nETag: "a"\r\n'


@asynccontextmanager
async def one(tmp_path: Path, script: object, **limits: float) -> AsyncIterator[World]:
    """A world with one large content at /v."""
    async with world(tmp_path / "web", **limits) as w:  # type: ignore[arg-type]  # limits alone
        w.origin.on("/v", script)  # type: ignore[arg-type]
        yield w


async def ranged(w: World, text: str) -> Got:
    return await w.ask("/v", [("Range", f"bytes={text}")])


async def so_far(w: World, text: str) -> Got:
    """An answer with what came of its body, also where that was cut."""
    sock, head = await _begin(w, "/v", text)
    body = await _rest(sock)
    first, *lines = head.split("\r\n")
    fields = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
    length = int(dict(fields).get("Content-Length", len(body)))
    return Got(int(first.split(" ")[1]), fields, body, whole=len(body) == length)


def one_content(got: Got, begin: int, *contents: bytes) -> bool:
    """Whether what came, whole or not, is a stretch of one of the contents from `begin` on."""
    return got.status >= 400 or any(content[begin:].startswith(got.body) for content in contents)


LIES: dict[str, Callable[[int, int], tuple[str, int]]] = {
    "ends behind the total": lambda begin, end: (f"bytes {begin}-{SIZE + 5}/{SIZE}", end - begin),
    "negative": lambda begin, end: (f"bytes -{begin + 1}-{end}/{SIZE}", end - begin),
    "backwards": lambda begin, end: (f"bytes {end}-{begin}/{SIZE}", end - begin),
    "no total": lambda begin, end: (f"bytes {begin}-{end - 1}/*", end - begin),
    "of another unit": lambda begin, end: (f"pages {begin}-{end - 1}/{SIZE}", end - begin),
    "says more than it sends": lambda begin, end: (f"bytes {begin}-{end - 1}/{SIZE}", end - begin - 100),
    "says less than it sends": lambda begin, end: (f"bytes {begin}-{end - 101}/{SIZE}", end - begin),
    "other bytes": lambda begin, end: (f"bytes {(begin + SLICE) % SIZE}-{(begin + SLICE) % SIZE + 9}/{SIZE}", 10),
    "a huge total": lambda begin, end: (f"bytes {begin}-{end - 1}/{'9' * 30}", end - begin),
}


def liar(lie: Callable[[int, int], tuple[str, int]], *, first: int, chunked: bool) -> Callable[..., object]:
    """An origin that tells the truth of its first slices, and then lies."""
    honest = RangedOrigin(CONTENT)

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", seen.get("range") or "")
        if found is None or len(honest.seen) < first:
            await honest(seen, writer)
            return
        begin, end = int(found[1]), min(int(found[2]) + 1, SIZE)
        told, size = lie(begin, end)
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        head = f"HTTP/1.1 206 P\r\n{TOLD}Content-Range: {told}\r\n{framing}\r\n\r\n"
        body = CONTENT[begin : begin + size]
        writer.write(head.encode() + (b"%x\r\n%s\r\n0\r\n\r\n" % (size, body) if chunked else body))
        await writer.drain()

    return script


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("lie", LIES)
async def test_an_origin_that_lies_about_its_part_is_not_believed(
    lie: str, first: int, chunked: bool, tmp_path: Path
) -> None:
    async with one(tmp_path, liar(LIES[lie], first=first, chunked=chunked)) as w:
        got = await so_far(w, f"0-{4 * SLICE - 1}")
        if first:
            assert got.status == 206
            assert len(got.body) >= 2 * SLICE
            assert not got.whole or got.body == CONTENT[: 4 * SLICE]
            assert one_content(got, 0, CONTENT)
        await w.quiet()
        w.origin.on("/v", RangedOrigin(CONTENT))
        w.clock.pass_s(61)
        again = await ranged(w, f"0-{4 * SLICE - 1}")
        assert (again.status, again.body, again.whole) == (206, CONTENT[: 4 * SLICE], True), "nothing wrong was stored"
        await w.quiet()
        assert (await w.ask("/v")).body == CONTENT


@pytest.mark.parametrize("what", ["etag", "total", "both", "weak", "gone"])
async def test_a_content_that_changes_cuts_who_has_begun_and_serves_who_has_not(what: str, tmp_path: Path) -> None:
    video = RangedOrigin(CONTENT)
    later = {
        "etag": RangedOrigin(OTHER, etag='"b"'),
        "total": RangedOrigin(OTHER + b"more"),
        "both": RangedOrigin(OTHER + b"more", etag='"b"'),
        "weak": RangedOrigin(OTHER, etag='W/"a"'),
        "gone": RangedOrigin(OTHER, etag=None),
    }[what]

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await (video if len(video.seen) < 2 else later)(seen, writer)

    async with one(tmp_path, script) as w:
        got = await so_far(w, "0-")
        assert (got.status, got.whole) == (206, False), "it has a head of the old, and the old is gone"
        assert got.body
        assert one_content(got, 0, CONTENT)
        await w.quiet()
        assert len(later.seen) == 1, "it is not asked for twice"
        at = 6 * SLICE
        fresh = await ranged(w, f"{at}-{at + 99}")
        assert (fresh.status, fresh.body) == (206, OTHER[at : at + 100])
        assert fresh.get("etag") == later.etag
        await w.quiet()
        for begin in (0, 2 * SLICE, 5 * SLICE):
            mixed = await so_far(w, f"{begin}-{begin + SLICE}")
            assert one_content(mixed, begin, *((CONTENT, OTHER) if what in {"weak", "gone"} else (later.content,)))


async def test_a_slice_that_breaks_off_cuts_its_reader_and_keeps_what_came(tmp_path: Path) -> None:
    big = 262_144
    content = made(4 * big)
    video = RangedOrigin(content, cut_after=big // 2)
    async with one(tmp_path, video, slice_bytes=big) as w:
        got = await so_far(w, "0-")
        assert (got.status, got.whole) == (206, False)
        assert one_content(got, 0, content)
        assert got.body
        await w.quiet()
        video.cut_after = None
        again = await ranged(w, "0-")
        assert (again.whole, again.body) == (True, content)
        assert video.seen[1] == f"bytes={big // 2}-{big - 1}", "what had come is not paid for twice"


async def test_the_link_cut_while_watching_leaves_what_was_watched(tmp_path: Path) -> None:
    video = RangedOrigin(CONTENT, gate=asyncio.Event(), before_gate=SLICE // 2)
    async with one(tmp_path, video, silence_s=0.3) as w:
        assert video.gate is not None
        video.gate.set()
        assert (await ranged(w, f"0-{2 * SLICE - 1}")).whole
        await w.quiet()
        video.gate.clear()
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(so_far(w, "0-"))
            await wait_until(lambda: len(video.seen) == 3)
            await w.cut()
        got = watching.result()
        assert not got.whole
        assert got.body[: 2 * SLICE] == CONTENT[: 2 * SLICE]
        assert one_content(got, 0, CONTENT)
        await w.quiet()
        again = await ranged(w, f"0-{2 * SLICE - 1}")
        assert (again.status, again.whole) == (206, True)
        assert (await ranged(w, f"{SLICE}-{3 * SLICE}")).status == 504
        await w.mend()
        video.gate.set()
        assert (await ranged(w, "0-")).body == CONTENT


async def test_an_origin_that_drops_ranges_midway_is_read_as_the_whole_it_sends(tmp_path: Path) -> None:
    video = RangedOrigin(CONTENT)

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        video.ranges = len(video.seen) < 2
        await video(seen, writer)

    async with one(tmp_path, script) as w:
        got = await ranged(w, "0-")
        assert (got.status, got.whole, got.body) == (206, True, CONTENT)
        await w.quiet()
        assert "tambo; hit" in (await w.ask("/v")).cache
        assert len(video.seen) == 3


async def test_crumbs_come_to_an_end(tmp_path: Path) -> None:
    video = RangedOrigin(CONTENT, short=1_000)
    async with one(tmp_path, video) as w:
        got = await so_far(w, "0-")
        assert not got.whole
        assert one_content(got, 0, CONTENT)
        assert len(video.seen) < 40, "one request a kilobyte is not a download"


async def test_an_answer_longer_than_its_slice_is_taken_for_what_it_says(tmp_path: Path) -> None:
    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        begin = int(re.findall(r"\d+", seen.get("range") or "0")[0])
        head = f"HTTP/1.1 206 P\r\n{TOLD}Content-Range: bytes {begin}-{SIZE - 1}/{SIZE}\r\n"
        writer.write(head.encode() + f"Content-Length: {SIZE - begin}\r\n\r\n".encode() + CONTENT[begin:])
        await writer.drain()

    async with one(tmp_path, script) as w:
        got = await ranged(w, "10-")
        assert (got.status, got.body) == (206, CONTENT[10:])
        await w.quiet()
        assert len(w.origin.seen) == 1
        assert "tambo; hit" in (await w.ask("/v")).cache


async def test_an_error_before_the_first_byte_is_an_error(tmp_path: Path) -> None:
    video = RangedOrigin(CONTENT)
    async with one(tmp_path, video) as w:
        await ranged(w, f"0-{SLICE - 1}")
        await w.quiet()
        w.origin.on("/v", b"nonsense\r\n\r\n")
        got = await ranged(w, f"{3 * SLICE}-")
        assert (got.status, got.get("x-code")) == (502, "origin-fault")
        assert (await ranged(w, "5-9")).body == CONTENT[5:10]


async def test_a_damaged_part_is_fetched_again(tmp_path: Path) -> None:
    video = RangedOrigin(CONTENT)
    async with one(tmp_path, video, memory_bytes_max=1_000_000) as w:
        for begin in range(0, 4 * SLICE, SLICE):
            await ranged(w, f"{begin}-{begin + SLICE - 1}")
        await w.quiet()
    files = sorted((tmp_path / "web" / "index").rglob("*.val"))
    assert files
    for file in files:
        file.write_bytes(b"\0" * file.stat().st_size)
    async with one(tmp_path, video) as w:
        got = await w.ask("/v", [("Range", f"bytes=0-{4 * SLICE - 1}")], door="proxy")
        assert got.body == CONTENT[: 4 * SLICE]
        await w.quiet()
        again = await w.ask("/v", [("Range", f"bytes=0-{4 * SLICE - 1}")], door="proxy")
        assert (again.body, "tambo; hit" in again.cache) == (CONTENT[: 4 * SLICE], True)


def test_what_is_cut_off_for_the_store_is_not_taken_from_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(CONTENT)
    with path.open("rb") as reader:
        kept = cut(Spooled(path, SIZE), SLICE, 3 * SLICE)
        assert reader.read() == CONTENT
    assert isinstance(kept, Spooled)
    assert (kept.path.read_bytes(), kept.size_bytes) == (CONTENT[SLICE : 3 * SLICE], 2 * SLICE)
    assert [each.name for each in tmp_path.iterdir()] == [kept.path.name]


async def test_a_slow_reader_gets_all_that_came_of_a_body_that_broke_off(tmp_path: Path) -> None:
    size = 40 * SLICE
    content = made(size)
    breaks = RangedOrigin(content, ranges=False, cut_after=size - SLICE)
    async with one(tmp_path, RangedOrigin(content), object_bytes_max=10_000_000) as w:
        await ranged(w, f"0-{2 * SLICE - 1}")
        await w.quiet()
        w.origin.on("/v", breaks)
        slow, _ = await _begin(w, "/v", room_bytes=16_384)
        await wait_until(lambda: breaks.sent_bytes >= size - SLICE)
        await w.quiet()  # what came lies in the store now
        come = await _rest(slow)
        assert len(come) > 10 * SLICE
        assert content.startswith(come)


async def test_a_large_video_for_a_slow_and_a_fast_reader_takes_little_memory(tmp_path: Path) -> None:
    size = 100_000_000
    video = RangedOrigin(made(1_000_000) * (size // 1_000_000))
    async with one(tmp_path, video, object_bytes_max=size, size_bytes_max=2 * size, slice_bytes=524_288) as w:
        w.origin.on("/w", video)
        await _drain(w, "/v", 8_000_000)  # so that what is set up once is set up, and the memory tier is full
        before = _memory_bytes()
        slow, _ = await _begin(w, "/w", room_bytes=16_384)
        peak = await _drain(w, "/w", size)
        assert peak - before < 8_000_000
        slow.close()


async def _begin(w: World, path: str, text: str = "0-", room_bytes: int = 65_536) -> tuple[socket.socket, str]:
    """Ask for a range, and read the head alone."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room_bytes)
    sock.setblocking(False)
    await loop.sock_connect(sock, tuple(w.site.address))
    lines = (f"GET {path} HTTP/1.1", "Host: sitio.test", f"Range: bytes={text}", "Connection: close")
    await loop.sock_sendall(sock, ("\r\n".join(lines) + "\r\n\r\n").encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await asyncio.wait_for(loop.sock_recv(sock, 1), 10)
    return sock, head.decode().strip()


async def _rest(sock: socket.socket) -> bytes:
    loop, come = asyncio.get_running_loop(), b""
    with suppress(ConnectionError):
        while piece := await asyncio.wait_for(loop.sock_recv(sock, 262_144), 10):
            come += piece
    sock.close()
    return come


async def _drain(w: World, path: str, size: int) -> int:
    """Read so much as fast as it comes; returns the most memory that this process had on the way."""
    (sock, _), loop, come, peak = await _begin(w, path), asyncio.get_running_loop(), 0, 0
    while come < size:
        come += len(await asyncio.wait_for(loop.sock_recv(sock, 262_144), 20))
        peak = max(peak, _memory_bytes())
    sock.close()
    return peak


def _memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
