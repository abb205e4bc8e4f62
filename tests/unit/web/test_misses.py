"""What passes between a browser and an origin where nothing is stored, alone and with others who wait."""

import asyncio
from pathlib import Path

import pytest

from tests.conformance.web_world import DOORS, Door, Got, Origin, Seen, World, reply, world
from tests.waiting import wait_until

FRESH = (("Cache-Control", "max-age=100"),)
HELD = (("If-None-Match", '"a"'),)


def waiting(w: World) -> int:
    return sum(w.room.doors._busy.values())


async def together(w: World, door: Door, answer: bytes, *asked: tuple[tuple[str, str], ...]) -> list[Got]:
    """Ask at once, the first before the others; the origin answers when all wait, and says 304 where it may."""
    held = asyncio.Event()

    async def answers(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        confirmed = answer == b"304" and seen.get("if-none-match") is not None
        writer.write(reply(b"", (("ETag", '"a"'),), 304) if confirmed else answer if answer != b"304" else whole())

    w.origin.on("/a", answers)
    got: list[Got] = []

    async def ask(fields: tuple[tuple[str, str], ...]) -> None:
        got.append(await w.ask("/a", fields, door=door))

    async with asyncio.TaskGroup() as tasks:
        for number, fields in enumerate(asked, 1):
            tasks.create_task(ask(fields))
            await wait_until(lambda number=number: waiting(w) == number)  # type: ignore[misc]
        held.set()
    return got


def whole() -> bytes:
    return reply(b"the page", (*FRESH, ("ETag", '"a"')))


@pytest.mark.parametrize("door", DOORS)
async def test_many_who_hold_an_old_copy_get_the_new_one_by_one_fetch(door: Door, tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        got = await together(w, door, reply(b"new", (*FRESH, ("ETag", '"b"'))), HELD, HELD, HELD, ())
        assert [each.body for each in got] == [b"new"] * 4
        assert sum("collapsed" in each.cache for each in got) == 3
        assert len(w.origin.seen) == 1


@pytest.mark.parametrize("door", DOORS)
async def test_a_304_is_for_who_asked_and_those_who_hold_nothing_share_one_fetch(door: Door, tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        got = await together(w, door, b"304", HELD, (), (), HELD)
        assert sorted(each.status for each in got) == [200, 200, 304, 304]
        assert {each.body for each in got if each.status == 200} == {b"the page"}
        assert [seen.get("if-none-match") for seen in w.origin.seen].count(None) == 1


async def test_a_304_that_was_passed_on_keeps_nobody_apart(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", reply(b"", (("ETag", '"a"'),), 304))
        assert (await w.ask("/a", HELD)).status == 304
        got = await together(w, "site", whole(), (), ())
        assert [each.status for each in got] == [200, 200]
        assert len(w.origin.seen) == 2


async def test_a_field_for_one_browser_is_not_told_to_those_who_wait_with_it(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        answer = reply(b"page", (("Cache-Control", 'max-age=100, private="x-user"'), ("X-User", "ana")))
        got = await together(w, "site", answer, (), (), ())
        assert sorted(each.get("x-user") or "" for each in got) == ["", "", "ana"]
        assert len(w.origin.seen) == 1


@pytest.mark.parametrize("door", DOORS)
async def test_a_query_with_nothing_in_it_reaches_the_origin_as_it_was_asked(door: Door, tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", whole())
        for target in ("/a?", "/a"):
            await w.ask(target, door=door)
        assert [seen.target for seen in w.origin.seen] == ["/a?", "/a"]


async def test_after_a_restart_likeness_is_learnt_from_what_is_served(tmp_path: Path) -> None:
    origin = Origin()
    await origin.start()
    origin.on("/a", reply(b"page", (*FRESH, ("No-Vary-Search", "params"))))
    async with world(tmp_path / "web", origin=origin) as w:
        await w.ask("/a?x=1", door="proxy")
        await w.stored()
    async with world(tmp_path / "web", origin=origin) as again:
        for query in ("x=1", "x=2"):
            assert "hit" in (await again.ask(f"/a?{query}", door="proxy")).cache
    await origin.stop()
