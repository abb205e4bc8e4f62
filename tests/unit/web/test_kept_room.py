"""The web room with its link cut: what is kept, fetched when the link is back, bounded, and written down."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from gateway.web.ahead.page_links import PageLinks, page_links
from gateway.web.offline.kept import KeptLimits, KeptPage, KeptState
from gateway.web.offline.kept_list import KeptList
from gateway.web.rules.asking import Ask
from tests.clocks import HandClock
from tests.conformance.web_world import DOORS, Door, World, reply, world
from tests.waiting import wait_until

HOUR = ("Cache-Control", "max-age=3600")
HTML = ("Content-Type", "text/html")
PERSON = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"), ("Accept-Language", "es")]


@pytest.fixture
async def village(tmp_path: Path) -> AsyncIterator[World]:
    with patch("gateway.web.offline.kept_run.LOOK_S", 0.02):
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


async def drips(_: object, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.005)


async def test_a_page_that_drips_is_a_failed_try_and_holds_up_nobody_for_ever(village: World) -> None:
    village.origin.on("/drip", drips)
    village.origin.on("/good", reply(b"<img src=drip>", [HOUR, HTML]))
    await village.cut()
    for path in ("/drip", "/good"):
        await village.ask(path, PERSON)
    with patch("gateway.web.offline.kept_run.PAGE_S_MAX", 0.2):
        await village.mend()
        await wait_until(lambda: village.room.kept.count(KeptState.ARRIVED) == 1)
    found = {page.url.rpartition("/")[2]: (page.state, page.tries) for page in listed(village)}
    assert found == {"drip": (KeptState.WAITING, 1), "good": (KeptState.ARRIVED, 1)}, "without the part that drips"
    await village.quiet()


async def test_a_fault_of_ours_over_one_page_is_a_failed_try(village: World) -> None:
    village.origin.on("/bad", reply(b"bad", [HOUR, HTML]))
    village.origin.on("/good", reply(b"good", [HOUR, HTML]))
    await village.cut()
    for path in ("/bad", "/good"):
        await village.ask(path, PERSON)
    read = page_links

    def fails(url: str, html: bytes) -> PageLinks:
        if html == b"bad":
            raise ZeroDivisionError
        return read(url, html)

    with patch("gateway.web.ahead.gather.page_links", fails):
        await village.mend()
        await wait_until(lambda: village.room.kept.count(KeptState.ARRIVED) == 1)
    [waiting] = [page for page in listed(village) if page.state is KeptState.WAITING]
    assert (waiting.url.rpartition("/")[2], waiting.tries) == ("bad", 1)


async def test_no_more_is_fetched_in_a_day_than_its_data(village: World) -> None:
    village.room._kept_run._limits = KeptLimits(day_bytes_max=1_000)
    for path in ("/a", "/b", "/c"):
        village.origin.on(path, reply(b"x" * 600, [HOUR, HTML]))
    await village.cut()
    for path in ("/a", "/b", "/c"):
        await village.ask(path, PERSON)
    await village.mend()
    await wait_until(lambda: village.room.kept.count(KeptState.ARRIVED) == 2)
    await asyncio.sleep(0.05)
    assert (village.room.kept.count(KeptState.WAITING), village.origin.asked("/c")) == (1, [])
    village.clock.wall += 5 * 86_400  # a date that leaps gives no data
    await asyncio.sleep(0.05)
    assert not village.origin.asked("/c")
    village.clock.pass_s(86_400)
    await settled(village)


async def test_a_list_that_could_not_be_written_is_written_as_soon_as_it_can_be(tmp_path: Path) -> None:
    with patch("gateway.web.offline.kept_run.WRITE_PAUSE_S", 0.01):
        async with world(tmp_path) as village:
            (tmp_path / "kept.new").mkdir()  # so that no file of this name can be written
            await village.cut()
            with capture_logs() as logs:
                await village.ask("/a", PERSON)
                await asyncio.sleep(0.05)
            assert [each["event"] for each in logs if each["event"].startswith("kept.")] == ["kept.unwritten"]
            (tmp_path / "kept.new").rmdir()
            await wait_until((tmp_path / "kept.list").exists)


def a_list(folder: Path, clock: HandClock, pages_max: int = 100) -> KeptList:
    limits = KeptLimits(pages_max=pages_max, per_device_max=5)
    return KeptList(folder / "kept.list", limits, clock, lambda _site, _url: True, b"k" * 32)


def test_one_phone_with_many_ipv6_addresses_leaves_others_half_of_the_list(tmp_path: Path) -> None:
    kept = a_list(tmp_path, HandClock())
    ask = Ask("GET", "", tuple(PERSON), site="")
    tokens = [kept.keep(replace(ask, url=f"http://a.test/{at}"), f"2001:db8::{at // 5:x}") for at in range(100)]
    assert sum(token is not None for token in tokens) == 50
    assert kept.keep(replace(ask, url="http://a.test/0"), "2001:db8::99") is not None, "what is on the list is shared"
    for device in ("10.0.0.9", "2001:db8:0:1::9"):
        assert kept.keep(replace(ask, url=f"http://a.test/of-{device}"), device) is not None


def test_a_clock_that_leaps_ahead_and_back_forgets_no_page(tmp_path: Path) -> None:
    clock = HandClock()
    kept = a_list(tmp_path, clock)
    kept.keep(Ask("GET", "http://a.test/", tuple(PERSON), site=""), "10.0.0.9")
    for leap_s in (10 * 365 * 86_400.0, -10 * 365 * 86_400.0):
        clock.wall += leap_s
        clock.pass_s(3 * 86_400)
        kept.sweep()
        assert kept.count(KeptState.WAITING) == 1
    clock.pass_s(2 * 86_400)
    kept.sweep()
    assert kept.count(KeptState.WAITING) == 0, "it grew old all the same"
