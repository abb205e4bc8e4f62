"""What is one person's does not get to the next: at once, later, with the link down, or on the disk."""

import asyncio
from pathlib import Path

import pytest

from tests.conformance.web_world import DOORS, Door, Got, Script, Seen, World, reply, world
from tests.waiting import wait_until

PUBLIC = ("Cache-Control", "public, max-age=0")


def echo(field: str, release: asyncio.Event | None = None) -> Script:
    """An answer that says a field of its request, and of its cache nothing; when it is released."""

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if release is not None:
            await release.wait()
        writer.write(reply((seen.get(field) or "nobody").encode()))
        await writer.drain()

    return answer


async def at_once(w: World, path: str, door: Door, release: asyncio.Event, *asked: list[tuple[str, str]]) -> list[Got]:
    """Ask while the first is on its way, and let the answers go when all have asked."""
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(w.ask(path, asked[0], door=door))]
        await wait_until(lambda: len(w.origin.asked(path)) == 1)
        waiting += [tasks.create_task(w.ask(path, each, door=door)) for each in asked[1:]]
        await wait_until(lambda: sum(w.room.doors._busy.values()) == len(asked))
        release.set()
    return [each.result() for each in waiting]


@pytest.mark.parametrize("field", ["X-Auth-Token", "X-Own"])
@pytest.mark.parametrize("door", DOORS)
async def test_who_asks_with_a_field_of_her_own_gets_her_own_answer_at_once(
    tmp_path: Path, door: Door, field: str
) -> None:
    async with world(tmp_path / "web") as w:
        release = asyncio.Event()
        w.origin.on("/me", echo(field, release))
        got = await at_once(w, "/me", door, release, [(field, "ana")], [(field, "rosa")], [])
        assert [each.body for each in got] == [b"ana", b"rosa", b"nobody"]


@pytest.mark.parametrize("field", ["X-Auth-Token", "X-Own"])
async def test_who_asks_with_a_field_of_her_own_leaves_nothing_for_when_the_link_is_down(
    tmp_path: Path, field: str
) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/me", echo(field))
        await w.ask("/me", [(field, "ana")])
        await w.quiet()
        await w.cut()
        assert (await w.ask("/me", [(field, "rosa")])).get("x-code") == "link-down"


@pytest.mark.parametrize("door", DOORS)
async def test_a_public_answers_cookie_is_for_who_began_it(tmp_path: Path, door: Door) -> None:
    async with world(tmp_path / "web") as w:
        release = asyncio.Event()

        async def home(seen: Seen, writer: asyncio.StreamWriter) -> None:
            del seen
            await release.wait()
            writer.write(reply(b"home", [PUBLIC, ("ETag", '"a"'), ("Set-Cookie", "sid=ana")]))
            await writer.drain()

        w.origin.on("/a", home)
        got = await at_once(w, "/a", door, release, [], [], [])
        assert [each.all("set-cookie") for each in got] == [["sid=ana"], [], []]
        assert sum("collapsed" in each.cache for each in got) == 2
        await w.stored()
        w.origin.on("/a", reply(b"", [("ETag", '"a"'), ("Set-Cookie", "sid=rosa")], 304))
        assert (await w.ask("/a", door=door)).all("set-cookie") == []
        await w.cut()
        assert (await w.ask("/a", door=door)).all("set-cookie") == []


async def test_no_value_that_chooses_an_answer_gets_to_the_disk_in_clear(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", reply(b"x", [("Vary", "X-Api-Key, Referer"), ("Cache-Control", "public, max-age=60")]))
        asked = [("X-Api-Key", "SECRETKEY"), ("Referer", "http://a.test/REFERRED")]
        await w.ask("/a", asked)
        await w.stored()
        assert "hit" in (await w.ask("/a", asked)).cache
    written = b"".join(each.read_bytes() for each in (tmp_path / "web").rglob("*") if each.is_file())
    assert b"Referer" in written
    assert b"SECRETKEY" not in written
    assert b"REFERRED" not in written


async def test_a_redirect_of_a_site_stays_in_the_village_and_opens_no_way_out(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        origin = f"http://{w.origin.address}"
        for rest, shown in (("/x", "/x"), ("?lang=es", "/?lang=es"), ("//evil.test/x", f"{origin}//evil.test/x")):
            w.origin.on("/a/b", reply(b"", [("Location", origin + rest)], 302))
            assert (await w.ask("/a/b")).get("location") == shown


async def test_an_origin_that_is_silent_for_so_long_counts_as_one_the_cache_is_disconnected_from(
    tmp_path: Path,
) -> None:
    async with world(tmp_path / "web", patience_s=0.02) as w:
        for path, said in (("/a", "max-age=10"), ("/b", "max-age=10, must-revalidate")):
            w.origin.on(path, reply(b"page", [("Cache-Control", said)]), echo("x", asyncio.Event()))
            await w.ask(path)
        await w.stored(2)
        w.clock.pass_s(500)
        assert (await w.ask("/a")).cache.endswith("detail=origin-silent")
        assert not w.backhaul.is_down
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(w.ask("/b"))
            await wait_until(lambda: len(w.origin.asked("/b")) == 2)
            await w.cut()
        assert waiting.result().cache.endswith("detail=link-down"), "a directive that forbids it is not passed over"
