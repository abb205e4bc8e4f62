"""Large answers in slices: what is watched is what is paid for, and what was paid for once serves all."""

import asyncio
import gzip
import random
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from tests.conformance.web_world import DOORS, Door, Got, World, world
from tests.ranged_origin import RangedOrigin, made
from tests.waiting import wait_until

SLICE = 65_536
SIZE = 10 * SLICE + 1_234
CONTENT = made(SIZE)


def of(*slices: int) -> list[str]:
    """The ranges of whole slices."""
    return [f"bytes={each * SLICE}-{min((each + 1) * SLICE, SIZE) - 1}" for each in slices]


@asynccontextmanager
async def one(
    tmp_path: Path, origin: RangedOrigin | None = None, **limits: int
) -> AsyncIterator[tuple[World, RangedOrigin]]:
    """A world with one large content at /v."""
    video = origin or RangedOrigin(CONTENT)
    async with world(tmp_path / "web", **limits) as w:  # type: ignore[arg-type]  # limits alone
        w.origin.on("/v", video)
        yield w, video


async def ranged(w: World, text: str, *fields: tuple[str, str], door: Door = "site") -> Got:
    return await w.ask("/v", [("Range", f"bytes={text}"), *fields], door=door)


class Watcher:
    """A browser that reads as much as it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self.reader, self.writer, self.head = reader, writer, head

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.readexactly(size)

    def leave(self) -> None:
        self.writer.transport.abort()


async def watch(w: World, text: str | None = "0-", *, rcvbuf: int = 16_384) -> Watcher:
    """Begin to watch, with little room for what is not read yet."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock.setblocking(False)
    await loop.sock_connect(sock, tuple(w.site.address))
    reader, writer = await asyncio.open_connection(sock=sock, limit=16_384)
    wish = f"Range: bytes={text}\r\n" if text else ""
    writer.write(f"GET /v HTTP/1.1\r\nHost: sitio.test\r\n{wish}\r\n".encode())
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    return Watcher(reader, writer, head)


@pytest.mark.parametrize("door", DOORS)
async def test_a_range_costs_its_slices_once(door: Door, tmp_path: Path) -> None:
    async with one(tmp_path) as (w, video):
        at = 3 * SLICE + 7
        got = await ranged(w, f"{at}-{at + 99}", door=door)
        assert (got.status, got.body) == (206, CONTENT[at : at + 100])
        assert got.get("content-range") == f"bytes {at}-{at + 99}/{SIZE}"
        assert "fwd=uri-miss; fwd-status=206; stored" in got.cache
        await w.quiet()
        again = await ranged(w, f"{3 * SLICE}-{4 * SLICE - 1}", door=door)
        assert again.body == CONTENT[3 * SLICE : 4 * SLICE]
        assert "tambo; hit" in again.cache
        assert video.seen == of(3)


async def test_a_range_across_borders_is_whole(tmp_path: Path) -> None:
    """Not as in nginx#1065: whatever the border, no byte is lost or doubled."""
    async with one(tmp_path) as (w, video):
        for begin, end in ((SLICE - 1, SLICE + 1), (SLICE, 2 * SLICE), (5, 3 * SLICE + 5), (SIZE - 2, SIZE), (0, SIZE)):
            got = await ranged(w, f"{begin}-{end - 1}")
            assert (got.status, got.body) == (206, CONTENT[begin:end]), (begin, end)
            await w.quiet()
        assert sorted(video.seen) == sorted(of(*range(11))), "each slice once"


async def test_all_parts_are_a_whole_and_work_without_the_link(tmp_path: Path) -> None:
    async with one(tmp_path) as (w, video):
        for begin in (6 * SLICE, 0):
            await ranged(w, f"{begin}-{min(begin + 6 * SLICE, SIZE) - 1}")
        await w.quiet()
        await w.cut()
        got = await w.ask("/v")
        assert (got.status, got.body, got.get("content-length")) == (200, CONTENT, str(SIZE))
        assert "tambo; hit" in got.cache
        assert (await ranged(w, "-5")).body == CONTENT[-5:]
        assert len(video.seen) == 11


async def test_with_the_link_down_a_gap_is_refused_before_any_head(tmp_path: Path) -> None:
    async with one(tmp_path) as (w, video):
        await ranged(w, f"0-{2 * SLICE - 1}")
        await w.quiet()
        await w.cut()
        inside = await ranged(w, "100-199")
        assert (inside.status, inside.body) == (206, CONTENT[100:200])
        for wish in (f"{SLICE}-{2 * SLICE}", f"{5 * SLICE}-", "-1", "0-1,-1"):
            got = await ranged(w, wish)
            assert (got.status, got.get("x-code")) == (504, "link-down"), wish
        assert (await w.ask("/v")).status == 504
        assert (await ranged(w, f"{SIZE}-")).status == 416
        assert (await w.ask("/v", method="HEAD")).get("content-length") == str(SIZE)
        assert len(video.seen) == 2


async def test_with_the_link_down_an_open_range_gets_what_there_is_from_its_beginning(tmp_path: Path) -> None:
    async with one(tmp_path) as (w, _):
        await ranged(w, f"0-{2 * SLICE - 1}")
        await w.quiet()
        await w.cut()
        got = await ranged(w, "100-")
        assert (got.status, got.body) == (206, CONTENT[100 : 2 * SLICE])
        assert got.get("content-range") == f"bytes 100-{2 * SLICE - 1}/{SIZE}"
        assert "tambo; hit" in got.cache


async def test_many_who_want_the_same_cost_one_request_a_slice(tmp_path: Path) -> None:
    video = RangedOrigin(CONTENT, gate=asyncio.Event(), before_gate=16_384)
    async with one(tmp_path, video) as (w, _):
        assert video.gate is not None
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(ranged(w, f"{at}-{at + 1_000}")) for at in range(10)]
            await wait_until(lambda: w.room.statistics().fetches_open == 1 and video.sent_bytes >= 16_384)
            for task in asked:
                await asyncio.wait_for(asyncio.shield(task), 5)  # what has come is passed on while the rest comes
            video.gate.set()
        assert all(task.result().body == CONTENT[at : at + 1_001] for at, task in enumerate(asked))
        await w.quiet()
        assert video.seen == of(0)
        assert w.room.statistics().collapsed == 9


async def test_who_watches_the_beginning_pays_for_the_beginning(tmp_path: Path) -> None:
    async with one(tmp_path, RangedOrigin(made(100 * SLICE)), object_bytes_max=20_000_000) as (w, video):
        villager = await watch(w)
        assert "206" in villager.head
        assert f"bytes 0-{100 * SLICE - 1}/{100 * SLICE}" in villager.head
        await villager.read(2 * SLICE)
        await w.quiet()
        villager.leave()
        await w.quiet()
        # what lies between: the box's and the phone's buffers, and one slice ahead
        assert video.sent_bytes <= 8 * SLICE
        assert video.seen == of(*range(len(video.seen)))


async def test_the_next_slice_is_asked_for_in_the_last_quarter(tmp_path: Path) -> None:
    video = RangedOrigin(CONTENT)
    async with one(tmp_path, video) as (w, _):
        got = await ranged(w, f"0-{SLICE * 3 // 4 - 1}")
        assert len(got.body) == SLICE * 3 // 4
        await w.quiet()
        assert video.seen == of(0), "nobody wants more"
        video.gate, video.before_gate = asyncio.Event(), 0
        watching = asyncio.get_running_loop().create_task(ranged(w, f"0-{SLICE + 9}"))
        await wait_until(lambda: len(video.seen) == 2)
        assert video.seen == of(0, 1)
        video.gate.set()
        assert (await watching).body == CONTENT[: SLICE + 10]


async def test_a_plain_get_is_served_from_parts_and_completed(tmp_path: Path) -> None:
    async with one(tmp_path) as (w, video):
        await ranged(w, f"{2 * SLICE}-{3 * SLICE - 1}")
        await ranged(w, f"0-{SLICE - 1}")
        await w.quiet()
        got = await w.ask("/v")
        assert (got.status, got.body, got.get("content-length")) == (200, CONTENT, str(SIZE))
        assert "fwd=partial" in got.cache
        await w.quiet()
        assert sorted(video.seen) == sorted(of(*range(11)))
        assert "tambo; hit" in (await w.ask("/v")).cache


async def test_a_plain_get_that_is_left_is_kept_as_a_part(tmp_path: Path) -> None:
    big = made(40_000_000)
    async with one(tmp_path, RangedOrigin(big), object_bytes_max=60_000_000) as (w, video):
        villager = await watch(w, None)
        await villager.read(300_000)
        villager.leave()
        await w.quiet()
        kept_bytes = video.sent_bytes
        assert kept_bytes < 30_000_000, "nobody waits for it: it is not fetched to its end"
        got = await ranged(w, "0-99999")
        assert (got.status, got.body) == (206, big[:100_000])
        assert "tambo; hit" in got.cache
        assert video.seen == [""]


async def test_a_body_that_breaks_off_is_completed_by_ranges(tmp_path: Path) -> None:
    async with one(tmp_path, RangedOrigin(CONTENT, cut_after=3 * SLICE)) as (w, video):
        broken = await w.ask("/v")
        assert not broken.whole
        await w.quiet()
        video.cut_after = None
        got = await w.ask("/v")
        assert (got.status, got.body, got.whole) == (200, CONTENT, True)
        assert video.seen[0] == ""
        assert video.seen[1] == f"bytes={3 * SLICE}-{4 * SLICE - 1}"
        assert len(video.seen) == 1 + 8


@pytest.mark.parametrize(
    "changed",
    [
        {"etag": None},
        {"etag": 'W/"a"'},
        {"more": (("Accept-Ranges", "none"),)},
        {"control": "no-store"},
    ],
)
async def test_a_broken_body_that_cannot_be_completed_is_not_kept(changed: dict[str, object], tmp_path: Path) -> None:
    video = RangedOrigin(CONTENT, cut_after=3 * SLICE, **changed)  # type: ignore[arg-type]
    async with one(tmp_path, video) as (w, _):
        await w.ask("/v")
        await w.quiet()
        await w.ask("/v")
        assert video.seen == ["", ""]
        assert not w.room.statistics().stored_objects


async def test_what_is_larger_than_the_limit_is_kept_up_to_it(tmp_path: Path) -> None:
    limit = 4 * SLICE
    async with one(tmp_path, object_bytes_max=limit) as (w, video):
        for _ in range(2):
            got = await ranged(w, f"0-{6 * SLICE - 1}")
            assert got.body == CONTENT[: 6 * SLICE]
            await w.quiet()
        assert video.seen == of(0, 1, 2, 3, 4, 5, 4, 5)


async def test_the_beginning_of_a_plain_get_larger_than_the_limit_is_kept(tmp_path: Path) -> None:
    limit = 4 * SLICE
    async with one(tmp_path, object_bytes_max=limit) as (w, video):
        assert (await w.ask("/v")).body == CONTENT
        await w.quiet()
        got = await ranged(w, f"0-{3 * SLICE}")
        assert (got.body, "tambo; hit" in got.cache) == (CONTENT[: 3 * SLICE + 1], True)
        assert (await w.ask("/v")).body == CONTENT
        assert all(int(re.findall(r"\d+", each)[0]) > SLICE * 3 for each in video.seen[1:])


@pytest.mark.parametrize("length", [True, False])
async def test_an_origin_without_ranges_sends_the_whole_and_the_range_is_cut_from_it(
    length: bool, tmp_path: Path
) -> None:
    video = RangedOrigin(CONTENT, ranges=False, length=length, gate=asyncio.Event(), before_gate=4 * SLICE)
    async with one(tmp_path, video) as (w, _):
        assert video.gate is not None
        if length:
            got = await ranged(w, f"{SLICE}-{2 * SLICE - 1}")
            assert (got.status, got.body) == (206, CONTENT[SLICE : 2 * SLICE]), "sent while the rest comes"
            async with asyncio.TaskGroup() as tasks:
                other = tasks.create_task(ranged(w, "5-9"))
                whole = tasks.create_task(w.ask("/v"))
                await wait_until(lambda: w.room.statistics().collapsed == 2)
                video.gate.set()
            assert (other.result().body, whole.result().body) == (CONTENT[5:10], CONTENT)
        else:
            video.gate.set()
            got = await ranged(w, f"{SLICE}-{2 * SLICE - 1}")
            assert (got.status, got.body) == (200, CONTENT), "nobody knows how long it is"
        await w.quiet()
        assert (await ranged(w, "5-9")).body == CONTENT[5:10]
        assert len(video.seen) == 1


async def test_a_range_joins_the_whole_that_is_coming_if_it_is_near(tmp_path: Path) -> None:
    video = RangedOrigin(CONTENT, gate=asyncio.Event(), before_gate=2 * SLICE)
    async with one(tmp_path, video) as (w, _):
        assert video.gate is not None
        async with asyncio.TaskGroup() as tasks:
            whole = tasks.create_task(w.ask("/v"))
            await wait_until(lambda: video.sent_bytes >= 2 * SLICE)
            near = await ranged(w, f"{SLICE}-{SLICE + 9}")
            assert (near.status, near.body) == (206, CONTENT[SLICE : SLICE + 10])
            video.gate.set()
        assert whole.result().body == CONTENT
        assert video.seen == [""]


async def test_several_ranges_come_as_parts_in_their_order(tmp_path: Path) -> None:
    async with one(tmp_path, RangedOrigin(CONTENT, more=(("Content-Type", "video/mp4"),))) as (w, video):
        spans = [(7 * SLICE, 7 * SLICE + 9), (5, 9), (SIZE - 4, SIZE - 1)]
        for _ in range(2):
            got = await ranged(w, ",".join(f"{begin}-{last}" for begin, last in spans))
            assert (got.status, got.get("content-range")) == (206, None)
            kind = got.get("content-type") or ""
            assert kind.startswith("multipart/byteranges; boundary=")
            told = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + got.body, policy=default)
            found = list(told.iter_parts())
            assert [part["Content-Range"] for part in found] == [f"bytes {a}-{b}/{SIZE}" for a, b in spans]
            assert [part["Content-Type"] for part in found] == ["video/mp4"] * 3
            assert [part.get_content() for part in found] == [CONTENT[a : b + 1] for a, b in spans]
            await w.quiet()
        assert video.seen == of(7, 0, 10)
        assert "tambo; hit" in got.cache


async def test_one_validation_speaks_for_all_slices(tmp_path: Path) -> None:
    """Not as in ATS#12047: freshness is the object's."""
    async with one(tmp_path) as (w, video):
        await ranged(w, f"0-{4 * SLICE - 1}")
        await w.quiet()
        w.clock.pass_s(4_000)
        got = await ranged(w, f"0-{6 * SLICE - 1}")
        assert (got.body, "fwd=stale; fwd-status=304" in got.cache) == (CONTENT[: 6 * SLICE], True)
        await w.quiet()
        assert [seen.get("if-none-match") for seen in w.origin.seen[4:]] == ['"a"', None, None]
        assert video.seen[4:] == of(4, 4, 5)


async def test_a_slice_that_was_missing_validates_the_rest(tmp_path: Path) -> None:
    async with one(tmp_path) as (w, video):
        await ranged(w, f"0-{SLICE - 1}")
        await w.quiet()
        w.clock.pass_s(4_000)
        got = await ranged(w, f"{SLICE}-{2 * SLICE - 1}")
        assert (got.body, "fwd=stale; fwd-status=206" in got.cache) == (CONTENT[SLICE : 2 * SLICE], True)
        await w.quiet()
        assert "tambo; hit" in (await ranged(w, f"0-{2 * SLICE - 1}")).cache, "one round trip for both"
        assert video.seen == of(0, 1)


async def test_a_refresh_behind_fetches_no_whole(tmp_path: Path) -> None:
    """Not as in nginx#911."""
    video = RangedOrigin(CONTENT, control="max-age=10, stale-while-revalidate=100")
    async with one(tmp_path, video) as (w, _):
        await ranged(w, "0-9")
        await w.quiet()
        w.clock.pass_s(20)
        video.content, video.etag = made(SIZE, 1), '"b"'
        got = await ranged(w, "0-9")
        assert (got.body, "hit" in got.cache) == (CONTENT[:10], True)
        await w.quiet()
        assert video.seen == of(0, 0)
        assert (await ranged(w, "0-9")).body == video.content[:10]


async def test_parts_outlast_a_restart(tmp_path: Path) -> None:
    async with one(tmp_path) as (w, video):
        await ranged(w, f"0-{3 * SLICE - 1}", door="proxy")
        await w.quiet()
    async with one(tmp_path, RangedOrigin(b"")) as (w, other):
        got = await ranged(w, f"0-{3 * SLICE - 1}", door="proxy")
        assert (got.body, "tambo; hit" in got.cache) == (CONTENT[: 3 * SLICE], True)
    assert (len(video.seen), other.seen) == (3, [])


async def test_a_small_content_is_one_slice_and_then_whole(tmp_path: Path) -> None:
    async with one(tmp_path, RangedOrigin(b"abcdef")) as (w, video):
        assert (await ranged(w, "1-2")).body == b"bc"
        await w.quiet()
        got = await w.ask("/v")
        assert (got.body, "tambo; hit" in got.cache) == (b"abcdef", True)
        assert video.seen == [f"bytes=0-{SLICE - 1}"]


async def test_a_slow_watcher_holds_up_nobody(tmp_path: Path) -> None:
    async with one(tmp_path) as (w, video):
        slow = await watch(w)
        await slow.read(10)
        got = await w.ask("/v")
        assert got.body == CONTENT
        rest = await slow.read(SIZE - 10)
        assert rest == CONTENT[10:]
        slow.leave()
        await w.quiet()
        assert len(set(video.seen)) == len(video.seen)


async def test_a_text_in_parts_is_coded_on_its_way_like_any_other(tmp_path: Path) -> None:
    text = b"<p>una pagina larga</p>" * 10_000
    async with one(tmp_path, RangedOrigin(text, more=(("Content-Type", "text/html"),))) as (w, _):
        await ranged(w, "0-9", ("Accept-Encoding", "gzip"))
        await w.quiet()
        got = await w.ask("/v", [("Accept-Encoding", "gzip")])
        assert (gzip.decompress(got.body), got.get("etag")) == (text, 'W/"a"')


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_asked_for_in_whatever_order_the_bytes_are_right(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    video = RangedOrigin(CONTENT, short=dice.choice([None, 40_000]))
    async with one(tmp_path, video, memory_bytes_max=dice.choice([1_000_000, 4_000_000])) as (w, _):
        for _ in range(12):
            wishes = [(dice.randrange(SIZE), dice.choice([1, 500, SLICE, 3 * SLICE])) for _ in range(4)]
            spans = [(begin, min(begin + length, SIZE)) for begin, length in wishes]
            async with asyncio.TaskGroup() as tasks:
                asked = [tasks.create_task(ranged(w, f"{begin}-{end - 1}")) for begin, end in spans]
            for task, (begin, end) in zip(asked, spans, strict=True):
                assert (task.result().whole, task.result().body) == (True, CONTENT[begin:end])
        assert (await w.ask("/v")).body == CONTENT
        await w.quiet()
        await w.cut()
        assert (await w.ask("/v")).body == CONTENT
