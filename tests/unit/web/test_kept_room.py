"""The web room with its link cut: what is kept, fetched when the link is back, bounded, and written down."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest

from gateway.web.asking import Ask
from gateway.web.kept import KeptLimits, KeptPage, KeptState
from tests.conformance.web_world import DOORS, Door, World, reply, world
from tests.waiting import wait_until

HOUR = ("Cache-Control", "max-age=3600")
HTML = ("Content-Type", "text/html")
PERSON = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"), ("Accept-Language", "es")]


@pytest.fixture
async def village(tmp_path: Path) -> AsyncIterator[World]:
    with patch("gateway.web.kept_run.LOOK_S", 0.02):
        async with world(tmp_path) as made:
            yield made


def listed(village: World) -> list[KeptPage]:
    return list(village.room.kept._pages.values())


def has_tried(village: World, tries: int) -> bool:
    return listed(village)[0].tries == tries


async def settled(village: World) -> list[KeptPage]:
    await wait_until(lambda: not village.room.kept.count(KeptState.WAITING))
    return listed(village)


@pytest.mark.parametrize("door", DOORS)
async def test_a_page_asked_for_while_the_link_is_down_arrives_when_it_is_back(village: World, door: Door) -> None:
    village.origin.on(
        "/a", reply(b"<title>Hola  &amp; m&aacute;s</title><img src=b.png><img src=/c.png>", [HOUR, HTML])
    )
    village.origin.on("/b.png", reply(b"b", [HOUR]))
    village.origin.on("/c.png", reply(b"c", [HOUR]))
    await village.cut()
    got = await village.ask("/a?x=1", [*PERSON, ("Cookie", "s=1")], door=door)
    assert (got.status, got.get("X-Code")) == (503, "kept-for-later")
    assert got.cache == "tambo; detail=kept-for-later"
    await village.mend()
    [page] = await settled(village)
    assert (page.state, page.title, page.status) == (KeptState.ARRIVED, "Hola & más", 200)
    asked = village.origin.asked("/a")[0]
    assert (asked.get("Accept-Language"), asked.get("Cookie")) == ("es", None)
    await village.cut()
    for path in ("/a?x=1", "/b.png", "/c.png"):
        stored = await village.ask(path, PERSON, door=door)
        assert (stored.status, "hit" in stored.cache) == (200, True)
    figures = village.room.statistics()
    assert (figures.kept_waiting, figures.kept_arrived) == (0, 1)


async def test_what_is_no_page_is_refused_in_short_and_not_kept(village: World) -> None:
    await village.cut()
    for fields in ([("Accept", "image/webp,*/*")], [*PERSON, ("Authorization", "Basic eDp5")]):
        got = await village.ask("/b.png", fields)
        assert (got.status, got.cache) == (504, "tambo; detail=link-down")
    assert not listed(village)


async def test_a_page_that_loads_itself_again_is_one_request(village: World) -> None:
    await village.cut()
    for _ in range(3):
        await village.ask("/a", PERSON)
    [page] = listed(village)
    assert len(page.tokens) == 1


async def test_a_device_may_wait_for_so_many_pages_and_the_village_too(tmp_path: Path) -> None:
    async with world(tmp_path) as village:
        village.room.kept._limits = KeptLimits(pages_max=3, per_device_max=2)
        await village.cut()
        codes = [(await village.ask(f"/{at}", PERSON)).get("X-Code") for at in range(3)]
        assert codes == ["kept-for-later", "kept-for-later", "link-down"]
        village.room.kept._of_device.clear()  # other devices
        codes = [(await village.ask(f"/{at}", PERSON)).get("X-Code") for at in range(3, 5)]
        assert codes == ["kept-for-later", "link-down"]


async def test_a_page_not_to_be_stored_and_one_that_is_not_there_are_told_apart(village: World) -> None:
    village.origin.on("/mine", reply(b"x", [("Cache-Control", "private"), HTML]))
    await village.cut()
    await village.ask("/mine", PERSON)
    await village.ask("/none", PERSON)
    await village.mend()
    assert {page.url.rpartition("/")[2]: page.state for page in await settled(village)} == {
        "mine": KeptState.PERSONAL,
        "none": KeptState.GIVEN_UP,
    }


async def test_a_failing_origin_is_tried_again_with_a_pause_until_it_is_given_up(village: World) -> None:
    village.origin.on("/a", reply(b"", status=503))
    await village.cut()
    await village.ask("/a", PERSON)
    await village.mend()
    for tries in range(1, 6):
        await wait_until(partial(has_tried, village, tries))
        await asyncio.sleep(0.05)
        assert len(village.origin.asked("/a")) == tries, "not before its pause is over"
        village.clock.pass_s(7_200)
    [page] = await settled(village)
    assert page.state is KeptState.GIVEN_UP


async def test_a_link_that_goes_down_again_leaves_the_page_waiting(village: World) -> None:
    begun = asyncio.Event()

    async def hangs(_: object, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await asyncio.Event().wait()

    village.origin.on("/a", reply(b"<img src=b.png>", [HOUR, HTML]))
    village.origin.on("/b.png", hangs, reply(b"b", [HOUR]))
    await village.cut()
    await village.ask("/a", PERSON)
    await village.mend()
    await begun.wait()
    await village.cut()
    await village.quiet()
    await asyncio.sleep(0.03)
    [page] = listed(village)
    assert (page.state, page.tries) == (KeptState.WAITING, 0)
    await village.mend()
    village.clock.pass_s(60)
    [page] = await settled(village)
    assert page.state is KeptState.ARRIVED
    assert len(village.origin.asked("/a")) == 1, "what had come costs nothing the next time"


async def test_what_is_taken_back_is_not_fetched_and_another_token_takes_nothing(village: World) -> None:
    await village.cut()
    await village.ask("/a", PERSON)
    [page] = listed(village)
    village.room.kept.take_back("x" * 22)
    assert listed(village) == [page]
    token = village.room.kept.keep(ask_like(page), "127.0.0.1")
    assert token is not None
    assert [found for found, _ in village.room.kept.shown_by([token, "y" * 22])] == [token]
    village.room.kept.take_back(token)
    await village.mend()
    await asyncio.sleep(0.05)
    assert not listed(village)
    assert not village.origin.asked("/a")


def ask_like(page: KeptPage) -> Ask:
    return Ask("GET", page.url, page.asked, site=page.site)


async def test_the_list_outlives_a_restart_without_a_word_of_who_asked(tmp_path: Path) -> None:
    async with world(tmp_path) as before:
        before.origin.on("/a", reply(b"a", [HOUR, HTML]))
        await before.cut()
        await before.ask("/a", PERSON)
        origin = before.origin.address
    written = (tmp_path / "kept.list").read_bytes()
    assert b"127.0.0.1" not in written.replace(str(origin).encode(), b"")
    await before.origin.start(origin.port)
    async with world(tmp_path, origin=before.origin) as after:
        [page] = await settled(after)
        assert page.state is KeptState.ARRIVED
    await before.origin.stop()


@pytest.mark.parametrize("found", [b"", b"\x00" * 100, b"x" * 10_000])
async def test_a_broken_list_is_a_fresh_one_and_the_room_starts(tmp_path: Path, found: bytes) -> None:
    (tmp_path / "kept.list").write_bytes(found)
    async with world(tmp_path) as village:
        assert not listed(village)
        await village.cut()
        await village.ask("/a", PERSON)
        assert len(listed(village)) == 1


async def test_a_page_whose_wait_the_link_ended_is_kept_too(village: World) -> None:
    async def hangs(_: object, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    village.origin.on("/a", hangs)
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(village.ask("/a", PERSON))
        await wait_until(lambda: bool(village.origin.asked("/a")))
        await village.cut()
    assert asking.result().get("X-Code") == "kept-for-later"
    assert len(listed(village)) == 1
