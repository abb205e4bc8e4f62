"""What the village got without the link is told by device: a stored answer's bytes once, and nothing that crossed."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.listener import Limits, Listener
from gateway.units import Address
from gateway.web.access_log import AccessLog
from gateway.web.early.answers import DEVICES_MAX, Answered, EarlyAnswers, Form, Learned
from gateway.web.early.copies import answered_from, reports
from gateway.web.statistics import Counters
from tests.conformance.web_world import DOORS, SITE_HOST, Door, Got, World, plain, reply, world
from tests.ranged_origin import RangedOrigin, made
from tests.unit.web.test_early import BROWSER, raw_answers
from tests.unit.web.test_early import written as request
from tests.unit.web.worker_world import village
from tests.waiting import wait_until

HERE = "127.0.0.1"
KEEPS = ("Cache-Control", "max-age=60")
PAGE = b"<p>" + b"un pueblo " * 900
LARGE = made(1_500_000)


@dataclass
class Told:
    """What was told, in its order."""

    all: list[tuple[str, int]] = field(default_factory=list)

    def __call__(self, device: str, size_bytes: int) -> None:
        self.all.append((device, size_bytes))

    async def take(self, count: int = 1) -> list[tuple[str, int]]:
        """What was told since this was last called, at least so much: a browser has its answer a moment before."""
        await wait_until(lambda: len(self.all) >= count)
        taken, self.all = self.all, []
        return taken


@pytest.fixture
def told() -> Told:
    return Told()


async def patient(w: World, path: str, *fields: tuple[str, str], method: str = "GET", door: Door = "site") -> Got:
    """An answer of the full path: a field that no browser sends keeps the request from being answered early."""
    return await w.ask(path, [*fields, ("Accept-Charset", "utf-8")], method=method, door=door)


@pytest.mark.parametrize("door", DOORS)
async def test_a_miss_is_not_told_and_each_hit_is_once(tmp_path: Path, told: Told, door: Door) -> None:
    async with world(tmp_path, served=told) as w:
        w.origin.on("/a", reply(LARGE, [KEEPS]))
        await patient(w, "/a", door=door)
        await w.stored()
        for _ in range(3):
            assert (await patient(w, "/a", door=door)).body == LARGE
        assert await told.take(3) == [(HERE, len(LARGE))] * 3


async def test_a_hit_from_disk_is_told(tmp_path: Path, told: Told) -> None:
    async with world(tmp_path) as w:
        w.origin.on("/a", reply(PAGE, [KEEPS]))
        await patient(w, "/a")
        await w.stored()
    async with world(tmp_path, origin=w.origin, clock=w.clock, served=told, memory_bytes_max=0) as w:
        assert "hit" in (await patient(w, "/a")).cache
        assert await told.take() == [(HERE, len(PAGE))]
    await w.origin.stop()


async def test_what_is_stale_and_what_the_origin_said_still_holds_is_told(tmp_path: Path, told: Told) -> None:
    async with world(tmp_path, served=told) as w:
        w.origin.on("/a", reply(PAGE, [KEEPS, ("ETag", '"1"')]), reply(status=304, fields=[("ETag", '"1"')]))
        await patient(w, "/a")
        await w.stored()
        w.clock.pass_s(61)
        assert "fwd-status=304" in (await patient(w, "/a")).cache
        assert await told.take() == [(HERE, len(PAGE))]
        w.clock.pass_s(61)
        await w.cut()
        assert "link-down" in (await patient(w, "/a")).cache
        assert await told.take() == [(HERE, len(PAGE))]


async def test_a_page_that_shows_its_age_is_told_as_it_was_sent(tmp_path: Path, told: Told) -> None:
    async with world(tmp_path, served=told) as w:
        by_host = w.room.doors._by_host
        by_host[SITE_HOST] = replace(by_host[SITE_HOST], banner=True)
        w.origin.on(
            "/a", reply(b"<!doctype html><title>a</title><body>" + PAGE, [KEEPS, ("Content-Type", "text/html")])
        )
        await patient(w, "/a", ("Sec-Fetch-Dest", "document"))
        await w.stored()
        await w.cut()
        got = await patient(w, "/a", ("Sec-Fetch-Dest", "document"))
        assert b"<aside" in got.body
        assert await told.take() == [(HERE, len(got.body))]


async def test_what_is_told_is_what_was_sent_after_coding(tmp_path: Path, told: Told) -> None:
    async with world(tmp_path, served=told) as w:
        w.origin.on("/a", reply(PAGE, [KEEPS, ("Content-Type", "text/html")]))
        await patient(w, "/a", ("Accept-Encoding", "gzip"))
        await w.stored()
        got = await patient(w, "/a", ("Accept-Encoding", "gzip"))
        assert got.get("Content-Encoding") == "gzip"
        assert await told.take() == [(HERE, len(got.body))]
        assert len(got.body) < len(PAGE)


async def test_an_answer_without_a_body_is_not_told(tmp_path: Path, told: Told) -> None:
    async with world(tmp_path, served=told) as w:
        w.origin.on("/a", reply(PAGE, [KEEPS, ("ETag", '"1"')]))
        await patient(w, "/a")
        await w.stored()
        assert (await patient(w, "/a", method="HEAD")).status == 200
        assert (await patient(w, "/a", ("If-None-Match", '"1"'))).status == 304
        await patient(w, "/a", ("Range", "bytes=0-9"))
        assert await told.take() == [(HERE, 10)]


async def test_what_is_not_stored_is_not_told(tmp_path: Path, told: Told) -> None:
    async with world(tmp_path, served=told) as w:
        w.origin.on("/a", reply(PAGE, [("Cache-Control", "no-store")]))
        w.origin.on("/gone", reply(PAGE, status=404))
        for path, method in (("/a", "GET"), ("/a", "GET"), ("/a", "POST"), ("/gone", "GET")):
            await patient(w, path, method=method)
        await w.quiet()
        w.origin.on("/b", reply(PAGE, [KEEPS]))
        for _ in range(2):
            await patient(w, "/b", ("Range", "bytes=0-9"))
            await w.quiet()
        assert await told.take() == [(HERE, 10)]


async def test_of_a_range_only_what_was_here_is_told(tmp_path: Path, told: Told) -> None:
    async with world(tmp_path, served=told) as w:
        w.origin.on("/v", RangedOrigin(LARGE))
        await patient(w, "/v", ("Range", "bytes=0-99"))
        await w.quiet()
        assert len((await patient(w, "/v", ("Range", "bytes=100-299"))).body) == 200
        assert await told.take() == [(HERE, 200)]
        assert len((await patient(w, "/v", ("Range", "bytes=65036-66035"))).body) == 1_000  # 500 on each side
        assert await told.take() == [(HERE, 500)]


async def test_of_an_answer_that_its_reader_left_only_what_was_sent_is_told(tmp_path: Path, told: Told) -> None:
    size_bytes = 20_000_000  # more than the sockets take
    async with world(tmp_path, served=told, object_bytes_max=2 * size_bytes) as w:
        w.origin.on("/a", reply(bytes(size_bytes), [KEEPS]))
        await patient(w, "/a")
        await w.stored()
        reader, writer = await w.connect("site")
        writer.write(b"GET /a HTTP/1.1\r\nHost: sitio.test\r\n\r\n")
        await reader.readexactly(300_000)
        writer.transport.abort()
        [(device, sent_bytes)] = await told.take()
        assert device == HERE
        assert 290_000 < sent_bytes < size_bytes


@pytest.mark.parametrize("door", DOORS)
async def test_early_answers_are_gathered_and_told_by_device(
    tmp_path: Path, told: Told, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.web.room.NOTES_S", 0.01)
    async with world(tmp_path, served=told) as w:
        listener, early = (w.site, w.room.site_early) if door == "site" else (w.proxy, w.room.proxy_early)
        w.origin.on("/a", reply(PAGE, [KEEPS]))
        asked = request(w.url("/a", door), *BROWSER)
        for _ in range(2):
            await raw_answers(listener, asked)
            await w.stored()
        assert early.size_bytes > 0
        assert await told.take() == [(HERE, len(PAGE))]
        for _ in range(3):
            await raw_answers(listener, asked)
        await wait_until(lambda: sum(size for _, size in told.all) == 3 * len(PAGE))
        assert {device for device, _ in await told.take()} == {HERE}
        assert w.room.statistics().early == 3


async def test_what_was_gathered_is_told_at_the_stop(tmp_path: Path, told: Told) -> None:
    async with world(tmp_path, served=told) as w:
        w.origin.on("/a", reply(PAGE, [KEEPS]))
        for _ in range(2):
            await raw_answers(w.site, request("/a", *BROWSER))
            await w.stored()
        await told.take()
        for _ in range(2):
            await raw_answers(w.site, request("/a", *BROWSER))
        assert told.all == []
    assert await told.take() == [(HERE, 2 * len(PAGE))]


async def test_what_two_devices_get_is_told_apart(tmp_path: Path, told: Told) -> None:
    async with world(tmp_path, served=told) as w:
        both = Listener("six", Address("::1", 0), w.room.doors.site, plain, Limits(), early=w.room.site_early.answer)
        await both.start()
        try:
            w.origin.on("/a", reply(PAGE, [KEEPS]))
            for _ in range(2):
                await raw_answers(w.site, request("/a", *BROWSER))
                await w.stored()
            await told.take()
            await raw_answers(w.site, request("/a", *BROWSER))
            await raw_answers(both, request("/a", *BROWSER))
        finally:
            await both.stop()
    assert sorted(await told.take(2)) == [(HERE, len(PAGE)), ("::1", len(PAGE))]


async def test_what_workers_answer_is_told_without_a_device(tmp_path: Path, told: Told) -> None:
    async with village(tmp_path, served=told) as it:
        it.world.origin.on("/a", reply(PAGE, [KEEPS]))
        for _ in range(2):
            await raw_answers(it.site, request("/a", *BROWSER))
            await it.world.quiet()
        before = sum(size for _, size in await told.take())
        assert before == len(PAGE)  # the box's own hit
        for _ in range(4):
            await raw_answers(it.site, request("/a", *BROWSER))
        await wait_until(lambda: it.world.room.statistics().early == 4)
    here = [size for device, size in told.all if device == HERE]  # of a worker that had no copy yet
    anywhere = [size for device, size in told.all if device == ""]
    assert sum(here) + sum(anywhere) == 4 * len(PAGE)
    assert anywhere


def test_devices_beyond_what_is_told_apart_count_for_none_of_them() -> None:
    early, asked = ready()
    for number in range(DEVICES_MAX + 10):
        assert early.answer(asked, f"fd00::{number:x}")
    served = early.take_served()
    assert len(served) == DEVICES_MAX + 1
    assert served[""] == 10 * len(PAGE)
    assert sum(served.values()) == (DEVICES_MAX + 10) * len(PAGE)
    assert early.take_served() == {}


@pytest.mark.parametrize("size_bytes", [-5, 10**30])
def test_a_worker_cannot_tell_of_bytes_that_nobody_could_have_sent(size_bytes: int) -> None:
    early, _ = ready()
    for each in reports(0, Answered(1, size_bytes, [], [])):
        early.count(answered_from(each)[1])
    assert 0 <= early.take_served()[""] < 2**63


def ready() -> tuple[EarlyAnswers, bytes]:
    """One answer, and the request that it is for."""
    clock = SystemClock()
    early = EarlyAnswers(clock, Counters(), AccessLog(None), bytes_max=1_000_000)
    stamp = early.generations.stamp("sitio", "http://o.test/a")
    form = Form(("sitio", "http://o.test/a"), 200, b"%d %d", PAGE, 0.0, clock.wall_s() - 5, 3_600.0, stamp)
    early.hold(Learned(b"/a\n" + SITE_HOST.encode(), (), (), form))
    return early, request("/a", *BROWSER)
