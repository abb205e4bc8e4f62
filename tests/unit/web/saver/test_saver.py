"""A rendition is made once for all who wait, kept with its answer, and never worse than the original."""

import asyncio
import gzip
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import brotli
import pytest

from gateway.errors import OriginFault
from gateway.web.fetching.body import HeldBody, Source
from gateway.web.rules.asking import Ask
from gateway.web.rules.fields import Fields, first, values
from gateway.web.rules.freshness import Times
from gateway.web.rules.stored import BodyRef, Part, StoredResponse
from gateway.web.saver import saver as face
from gateway.web.saver.dense import dense
from gateway.web.saver.jobs import DenseJob, Done, Job, PictureJob
from gateway.web.saver.pictures import Policy
from gateway.web.saver.rendition import IN_VAIN, Rendition, written
from gateway.web.saver.saver import Saved, Saver, SaverLimits
from tests.waiting import wait_until
from tests.zstandard import zstd

TEXT = b"".join(b"<p>parrafo %d</p>\n" % (n * n) for n in range(1_000))
JPEG = b"\xff\xd8 a photograph " * 1_000
SMALL = Rendition("image/webp", b"small")
SAVING = (("Accept", "image/webp,*/*"), ("Save-Data", "on"))


def stored(data: bytes, kind: str = "image/jpeg", url: str = "http://a.test/a.jpg", coding: str = "") -> StoredResponse:
    fields: Fields = (("Content-Type", kind), ("ETag", '"a"'))
    if coding:
        fields = (*fields, ("Content-Encoding", coding))
    body = BodyRef(f"body {url} {hash(data)}", len(data), "")
    return StoredResponse("", url, 200, fields, (), Times(0.0, 0.0), len(data), (Part(0, body),))


@dataclass
class Shelf:
    """Keeps bodies and renditions in memory."""

    bodies: dict[str, bytes] = field(default_factory=dict)
    memory: dict[tuple[str, str], bytes] = field(default_factory=dict)
    disk: dict[tuple[str, str], bytes] = field(default_factory=dict)
    looked: int = 0
    full: bool = False

    async def open(self, stored: StoredResponse) -> Source | None:
        return HeldBody(self.bodies[stored.body.key]) if stored.body.key in self.bodies else None

    def recoded(self, stored: StoredResponse, coding: str) -> bytes | None:
        return self.memory.get((stored.body.key, coding))

    def hold_recoded(self, stored: StoredResponse, coding: str, data: bytes) -> None:
        self.memory[stored.body.key, coding] = data

    async def rendition(self, stored: StoredResponse, name: str) -> bytes | None:
        self.looked += 1
        at = (stored.body.key, name)
        return self.memory.get(at, self.disk.get(at))

    async def keep_rendition(self, stored: StoredResponse, name: str, data: bytes) -> None:
        if not self.full:
            self.memory[stored.body.key, name] = self.disk[stored.body.key, name] = data


@dataclass
class Hands:
    """In place of the workers: does what it is told, when it is let."""

    may: asyncio.Event = field(default_factory=asyncio.Event)
    gives: Done | None = field(default_factory=lambda: Done("made", "image/webp", b"small"))
    jobs: list[Job] = field(default_factory=list)
    busy: bool = False
    lost: int = 0

    async def done(self, job: Job, content: object) -> Done | None:
        self.jobs.append(job)
        await self.may.wait()
        assert callable(content)
        data = await content()
        if isinstance(job, DenseJob) and data is not None:
            return dense(data, job)
        return self.gives

    async def stop(self) -> None:
        self.may.set()


@dataclass
class Stand:
    saver: Saver
    shelf: Shelf
    hands: Hands
    better: list[tuple[str, str]]

    async def asks(
        self, answer: StoredResponse, *fields: tuple[str, str], method: str = "GET", policy: Policy | None = None
    ) -> Saved:
        source = await self.shelf.open(answer)
        assert source is not None
        ask = Ask(method, answer.url, fields)
        return await self.saver.saved(answer, source, answer.fields, ask, policy or Policy())


async def body(saved: Saved) -> bytes:
    assert not saved.done.changes
    return b"".join([piece async for piece in saved.source.pieces()])


@asynccontextmanager
async def stand(
    *answers: tuple[StoredResponse, bytes], patience_s: float = 5.0, often: int = 3
) -> AsyncIterator[Stand]:
    shelf = Shelf({answer.body.key: data for answer, data in answers})
    better: list[tuple[str, str]] = []
    hands = Hands()
    limits = SaverLimits(patience_s=patience_s, often=often)
    with ThreadPoolExecutor(1) as pool:
        async with asyncio.TaskGroup() as tasks:
            saver = Saver(shelf, limits, pool, lambda site, url: better.append((site, url)))
            saver._making._pictures = saver._making._idle = hands  # type: ignore[assignment]
            saver.live_in(tasks)
            yield Stand(saver, shelf, hands, better)
            await saver.stop()


PHOTO = stored(JPEG)
HTML = stored(TEXT, "text/html", "http://a.test/")


async def test_many_wait_for_one_job_and_its_rendition_is_kept() -> None:
    async with stand((PHOTO, JPEG)) as s:
        asking = [asyncio.get_running_loop().create_task(s.asks(PHOTO, *SAVING)) for _ in range(20)]
        await wait_until(lambda: bool(s.hands.jobs))
        s.hands.may.set()
        got = [await each for each in asking]
        assert {await body(each) for each in got} == {b"small"}
        assert s.hands.jobs == [PictureJob(720, True, ("webp",), 16_000_000, 10.0)]
        assert first(got[0].fields, "etag") == 'W/"a-720s-webp"'
        assert s.shelf.disk == {(PHOTO.body.key, "720s-webp"): written(SMALL)}
        assert await body(await s.asks(PHOTO, *SAVING)) == b"small"
        assert len(s.hands.jobs) == 1
        assert s.saver.statistics().pictures == 1
        assert s.saver.statistics().before_bytes == len(JPEG)


async def test_on_a_full_disk_it_is_made_once_all_the_same() -> None:
    async with stand((PHOTO, JPEG)) as s:
        s.shelf.full = True
        s.hands.may.set()
        for _ in range(2):
            assert await body(await s.asks(PHOTO, *SAVING)) == b"small"
        assert len(s.hands.jobs) == 1


async def test_who_is_out_of_patience_gets_the_original_and_the_next_the_rendition() -> None:
    async with stand((PHOTO, JPEG), patience_s=0.01) as s:
        early = await s.asks(PHOTO, *SAVING)
        assert await body(early) == JPEG
        assert not early.settled, "nobody is to be given this as the last word"
        assert values(early.fields, "vary") == ["Accept", "Save-Data"]
        assert first(early.fields, "etag") == '"a"'
        s.hands.may.set()
        await wait_until(lambda: bool(s.shelf.disk))
        late = await s.asks(PHOTO, *SAVING)
        assert (await body(late), late.settled) == (b"small", True)


async def test_nobody_waits_while_many_others_do() -> None:
    async with stand((PHOTO, JPEG)) as s:
        s.hands.busy = True
        async with asyncio.timeout(1):
            assert await body(await s.asks(PHOTO, *SAVING)) == JPEG
        assert len(s.hands.jobs) == 1, "it is made all the same, for the next"


@pytest.mark.parametrize("why", ["not-smaller", "not-for-us", "too-large", "broken"])
async def test_what_was_in_vain_is_not_tried_again(why: str) -> None:
    async with stand((PHOTO, JPEG)) as s:
        s.hands.gives = Done(why)  # type: ignore[arg-type]
        s.hands.may.set()
        for _ in range(3):
            got = await s.asks(PHOTO, *SAVING)
            assert (await body(got), got.settled, first(got.fields, "etag")) == (JPEG, True, '"a"')
        assert len(s.hands.jobs) == 1
        assert s.shelf.disk == {(PHOTO.body.key, "720s-webp"): written(IN_VAIN)}


async def test_a_lost_worker_is_no_verdict_for_ever() -> None:
    async with stand((PHOTO, JPEG)) as s:
        s.hands.gives = Done("lost")
        s.hands.may.set()
        assert await body(await s.asks(PHOTO, *SAVING)) == JPEG
        assert not s.shelf.disk
        assert s.shelf.memory == {(PHOTO.body.key, "720s-webp"): written(IN_VAIN)}


async def test_where_there_was_no_room_it_is_tried_again() -> None:
    async with stand((PHOTO, JPEG)) as s:
        s.hands.gives = None
        s.hands.may.set()
        assert not (await s.asks(PHOTO, *SAVING)).settled
        s.hands.gives = Done("made", "image/webp", b"small")
        assert await body(await s.asks(PHOTO, *SAVING)) == b"small"


async def test_a_fault_of_ours_gives_the_original() -> None:
    async with stand((PHOTO, JPEG)) as s:
        s.hands.may.set()
        s.hands.gives = 7  # type: ignore[assignment]
        assert await body(await s.asks(PHOTO, *SAVING)) == JPEG


async def test_without_leave_no_job_is_begun() -> None:
    async with stand((PHOTO, JPEG)) as s:
        for fields, policy in (
            ((), Policy()),
            (SAVING[:1], Policy()),
            (SAVING, Policy("off")),
            (SAVING, Policy(720, ("/a",))),
            ((*SAVING, ("Range", "bytes=0-9")), Policy()),
        ):
            got = await s.asks(PHOTO, *fields, policy=policy)
            assert (await body(got), got.settled) == (JPEG, True)
        head = await s.asks(PHOTO, *SAVING, method="HEAD")
        assert first(head.fields, "etag") == '"a"'
        assert not s.hands.jobs


async def test_a_head_tells_of_the_rendition_that_a_get_would_bring() -> None:
    async with stand((PHOTO, JPEG)) as s:
        s.hands.may.set()
        got = await s.asks(PHOTO, *SAVING)
        head = await s.asks(PHOTO, *SAVING, method="HEAD")
        assert (head.fields, head.source.size_bytes) == (got.fields, got.source.size_bytes)


async def test_text_is_coded_once_and_held() -> None:
    async with stand((HTML, TEXT), often=0) as s:
        got = await s.asks(HTML, ("Accept-Encoding", "gzip, br"))
        assert brotli.decompress(await body(got)) == TEXT
        assert (first(got.fields, "content-encoding"), first(got.fields, "etag")) == ("br", 'W/"a"')
        held = s.shelf.memory[HTML.body.key, "br-of-identity"]
        assert (await s.asks(HTML, ("Accept-Encoding", "br"))).source.size_bytes == len(held) - 32
        assert not s.shelf.disk
        assert not s.hands.jobs


async def test_text_asked_for_often_is_coded_again_and_better() -> None:
    async with stand((HTML, TEXT)) as s:
        s.hands.may.set()
        sizes = [(await s.asks(HTML, ("Accept-Encoding", "br"))).source.size_bytes for _ in range(3)]
        await wait_until(lambda: bool(s.better))
        assert s.better == [("", HTML.url)]
        got = await s.asks(HTML, ("Accept-Encoding", "br"))
        assert brotli.decompress(await body(got)) == TEXT
        assert (got.source.size_bytes or 0) < (sizes[0] or 0)
        assert s.shelf.disk.keys() == {(HTML.body.key, "br11-of-identity")}
        assert len(s.hands.jobs) == 1


async def test_what_was_coded_better_is_found_after_a_restart() -> None:
    async with stand((HTML, TEXT)) as s:
        s.shelf.disk[HTML.body.key, "br11-of-identity"] = written(Rendition("", b"dense"))
        for _ in range(9):
            assert await body(await s.asks(HTML, ("Accept-Encoding", "br"))) == b"dense"
        assert not s.hands.jobs


async def test_requests_answered_elsewhere_count_too() -> None:
    async with stand((HTML, TEXT)) as s:
        s.hands.may.set()
        s.saver.asked("", HTML.url, 50)
        assert not s.hands.jobs, "it is not known as text yet"
        await s.asks(HTML, ("Accept-Encoding", "br"))
        s.saver.asked("", HTML.url, 2)
        await wait_until(lambda: bool(s.better))


async def test_another_body_at_the_same_url_is_counted_anew() -> None:
    other = stored(TEXT + b"new", "text/html", HTML.url)
    async with stand((HTML, TEXT), (other, TEXT + b"new"), often=2) as s:
        s.hands.may.set()
        await s.asks(HTML, ("Accept-Encoding", "br"))
        await s.asks(other, ("Accept-Encoding", "br"))
        assert not s.hands.jobs


async def test_a_coded_body_that_is_not_smaller_is_sent_as_it_is() -> None:
    noise = bytes(range(256)) * 2 + bytes(reversed(range(256)))
    random = zstd.compress(noise + TEXT)[:600]
    plain = stored(random, "application/wasm", "http://a.test/a.wasm")
    async with stand((plain, random)) as s:
        for _ in range(2):
            got = await s.asks(plain, ("Accept-Encoding", "gzip"))
            assert await body(got) == random
            assert first(got.fields, "content-encoding") is None
            assert (first(got.fields, "etag"), first(got.fields, "vary")) == ('"a"', "Accept-Encoding")


PACKED = gzip.compress(bytes(range(256)) * 3 + TEXT, mtime=0)
FILE = stored(PACKED, "text/plain", "http://a.test/f")  # the gzip file itself
PAGE = stored(PACKED, "text/plain", "http://a.test/f", "gzip")  # what it unfolds to


@pytest.mark.parametrize("often", [0, 1], ids=["as it goes", "and again in idle time"])
@pytest.mark.parametrize("accept", ["br", "zstd", "identity"])
@pytest.mark.parametrize("order", [(FILE, PAGE), (PAGE, FILE), (FILE, PAGE, FILE, PAGE)], ids=len)
async def test_the_same_bytes_are_one_thing_with_a_coding_and_another_without(
    order: tuple[StoredResponse, ...], accept: str, often: int
) -> None:
    async with stand((FILE, PACKED), often=often) as s:
        s.hands.may.set()
        for answer in order:
            for _ in range(3):
                got = await s.asks(answer, ("Accept-Encoding", accept))
                sent, coding = await body(got), first(got.fields, "content-encoding")
                assert sent, "never nothing in place of something"
                plain = {"br": brotli.decompress, "zstd": zstd.decompress, None: bytes}[coding](sent)
                assert plain == (PACKED if answer is FILE else gzip.decompress(PACKED))
                await wait_until(lambda: not s.saver._making._open)


async def test_what_is_held_as_in_vain_is_no_answer_where_a_coding_must_come_off() -> None:
    async with stand((PAGE, PACKED), often=0) as s:
        for coding in ("identity", "br"):
            s.shelf.memory[PAGE.body.key, f"{coding}-of-gzip"] = written(IN_VAIN)
            assert await body(await s.asks(PAGE, ("Accept-Encoding", coding)))


async def test_who_forbids_to_change_text_gets_it_as_it_is() -> None:
    asked = (("Accept-Encoding", "br"), ("Cache-Control", "no-transform"))
    async with stand((HTML, TEXT), (PAGE, PACKED)) as s:
        got = await s.asks(HTML, *asked)
        assert (await body(got), first(got.fields, "content-encoding"), first(got.fields, "etag")) == (
            TEXT,
            None,
            '"a"',
        )
        unpacked = await s.asks(PAGE, *asked)
        assert await body(unpacked) == gzip.decompress(PACKED), "it cannot read gzip"
        assert first(unpacked.fields, "content-encoding") is None


async def test_an_empty_body_is_decoded_to_an_empty_body() -> None:
    data = zstd.compress(b"")
    empty = stored(data, "text/html", "http://a.test/e", "zstd")
    async with stand((empty, data)) as s:
        got = await s.asks(empty)
        assert (await body(got), first(got.fields, "content-encoding")) == (b"", None)


async def test_what_unfolds_too_far_for_memory_is_sent_as_it_unfolds() -> None:
    data = brotli.compress(b"<td>1</td><td>2</td>\n" * 30 + os.urandom(200_000) + bytes(10_000_000), quality=5)
    long = stored(data, "text/plain", "http://a.test/l", "br")
    async with stand((long, data)) as s:
        got = await s.asks(long)
        assert len(data) < face.CODED_BYTES_MAX
        assert got.done.decode == ("br",)
        assert not s.shelf.memory


async def test_what_cannot_be_decoded_is_the_origins_fault() -> None:
    data = b"this is no brotli" * 100
    broken = stored(data, "text/html", "http://a.test/x", "br")
    async with stand((broken, data)) as s:
        with pytest.raises(OriginFault):
            await s.asks(broken, ("Accept-Encoding", "gzip"))


async def test_nothing_is_begun_after_the_stop() -> None:
    async with stand((PHOTO, JPEG)) as s:
        asking = asyncio.get_running_loop().create_task(s.asks(PHOTO, *SAVING))
        await wait_until(lambda: bool(s.hands.jobs))
        await s.saver.stop()
        assert await body(await asking) == JPEG
        assert await body(await s.asks(PHOTO, *SAVING)) == JPEG
        assert len(s.hands.jobs) == 1
