"""Fetching for the store alone: what is stored afterwards, what it cost, and what was found in it."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.web_world import World, reply, world

HOUR = ("Cache-Control", "max-age=3600")
HTML = ("Content-Type", "text/html; charset=utf-8")


@pytest.fixture
async def village(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def url(village: World, path: str) -> str:
    return f"http://{village.origin.address}{path}"


async def test_a_gathered_page_is_stored_and_then_costs_the_link_nothing(village: World) -> None:
    village.origin.on("/a", reply(b"<img src=b.png>", [HOUR, HTML]))
    found = await village.room.gatherer.gather("sitio", url(village, "/a"))
    assert (found.status, found.stored, found.link_bytes, found.error) == (200, True, 15, None)
    assert found.links.parts == (url(village, "/b.png"),)
    again = await village.room.gatherer.gather("sitio", url(village, "/a"))
    assert (again.stored, again.link_bytes, again.links) == (True, 0, found.links)
    got = await village.ask("/a")
    assert "hit" in got.cache
    assert len(village.origin.asked("/a")) == 1


async def test_links_are_found_in_a_page_that_came_compressed(village: World) -> None:
    body = gzip.compress(b"<link rel=stylesheet href=s.css>")
    village.origin.on("/a", reply(body, [HOUR, HTML, ("Content-Encoding", "gzip")]))
    found = await village.room.gatherer.gather("sitio", url(village, "/a"))
    assert found.links.parts == (url(village, "/s.css"),)


async def test_a_stale_page_is_validated_and_a_304_moves_no_body(village: World) -> None:
    village.origin.on("/a", reply(b"x" * 500, [("Cache-Control", "max-age=1"), ("ETag", '"1"')]), reply(status=304))
    await village.room.gatherer.gather("sitio", url(village, "/a"))
    village.clock.pass_s(10)
    found = await village.room.gatherer.gather("sitio", url(village, "/a"))
    assert (found.status, found.stored, found.link_bytes) == (200, True, 0)
    assert village.origin.asked("/a")[1].get("If-None-Match") == '"1"'


async def test_an_answer_that_may_not_be_stored_is_said_to_be_so(village: World) -> None:
    village.origin.on("/a", reply(b"x" * 300_000, [("Cache-Control", "private")]))
    found = await village.room.gatherer.gather("sitio", url(village, "/a"))
    assert (found.status, found.stored, found.error) == (200, False, None)


async def test_a_redirect_within_the_origin_says_where_it_leads(village: World) -> None:
    village.origin.on("/a", reply(b"", [HOUR, ("Location", "/b?x=1")], 301))
    village.origin.on("/c", reply(b"", [HOUR, ("Location", "http://otro.test/")], 301))
    assert (await village.room.gatherer.gather("sitio", url(village, "/a"))).moved_to == url(village, "/b?x=1")
    assert (await village.room.gatherer.gather("sitio", url(village, "/c"))).moved_to is None


async def test_a_body_past_the_limit_is_broken_off_and_not_stored(village: World) -> None:
    gone = asyncio.Event()

    async def endless(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 16_384)
                await writer.drain()
        finally:
            gone.set()

    village.origin.on("/a", endless)
    found = await village.room.gatherer.gather("sitio", url(village, "/a"), bytes_max=100_000)
    assert (found.stored, found.error) == (False, "too-large")
    async with asyncio.timeout(5):
        await gone.wait()
    await village.quiet()
    assert village.room.statistics().stored_objects == 0


async def test_a_link_that_is_down_and_an_origin_that_fails_are_told_apart(village: World) -> None:
    village.origin.on("/a", reply(b"no", status=503))
    assert (await village.room.gatherer.gather("sitio", url(village, "/a"))).status == 503
    village.origin.on("/b", b"nonsense\r\n\r\n")
    assert (await village.room.gatherer.gather("sitio", url(village, "/b"))).error == "origin-fault"
    await village.cut()
    assert (await village.room.gatherer.gather("sitio", url(village, "/a"))).error == "link-down"
    assert (await village.room.gatherer.gather("otro", url(village, "/a"))).error == "link-down"


async def test_a_body_nobody_waits_for_any_more_is_broken_off_and_its_bytes_are_told(village: World) -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    async def slow(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1900000\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 5_000)
                await writer.drain()
                begun.set()
                await asyncio.sleep(0.005)
        finally:
            gone.set()

    village.origin.on("/a", slow)
    spent: list[int] = []
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        gathering = tasks.create_task(village.room.gatherer.gather("sitio", url(village, "/a"), spend=spent.append))
        await begun.wait()
        await asyncio.sleep(0.02)
        gathering.cancel()
    async with asyncio.timeout(5):
        await gone.wait()
    await village.quiet()
    assert spent
    assert 0 < sum(spent) < 1_000_000
    assert village.room.statistics().stored_objects == 0
