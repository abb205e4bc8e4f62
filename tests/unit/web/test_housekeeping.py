"""What a technician asks of the store is done for the right answers, and at once for everybody."""

from pathlib import Path

import pytest

from gateway.backhaul.sharing.classes import TrafficClass
from gateway.errors import BadRequest, NotFound
from gateway.web.ahead.warm_plan import WarmOrder
from gateway.web.housekeeping import Pinned
from gateway.web.rules.asking import PROXY
from gateway.web.site import Site, resources
from tests.conformance.web_world import SITE_HOST, World, reply, world
from tests.waiting import wait_until

HOUR = ("Cache-Control", "max-age=3600")
SITES = (
    Site("salud", "Salud", ("salud.test", "salud.localhost"), "https://salud.gob.test", TrafficClass.WEB),
    Site("muni", "Muni", ("muni.test",), "http://muni.gob.test:8080", TrafficClass.WEB),
    Site("obras", "Obras", ("obras.test",), "http://muni.gob.test:8080", TrafficClass.WEB),
)


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("http://salud.test/a", [("salud", "https://salud.gob.test/a")]),
        ("https://SALUD.localhost:8443/a?b=2&a=1#x", [("salud", "https://salud.gob.test/a?a=1&b=2")]),
        ("https://salud.gob.test", [("salud", "https://salud.gob.test/")]),
        ("http://salud.gob.test/a", [(PROXY, "http://salud.gob.test/a")]),
        (
            "http://muni.gob.test:8080/a?utm_source=b",
            [
                ("muni", "http://muni.gob.test:8080/a"),
                ("obras", "http://muni.gob.test:8080/a"),
                (PROXY, "http://muni.gob.test:8080/a?utm_source=b"),
            ],
        ),
        ("http://otro.test/a", [(PROXY, "http://otro.test/a")]),
    ],
)
def test_an_address_names_what_is_stored_for_it_as_seen_from_either_side(
    address: str, named: list[tuple[str, str]]
) -> None:
    assert list(resources(SITES, address)) == named


@pytest.mark.parametrize(
    "address",
    ["", "salud", "/a", "ftp://salud.test/", "http://", "http://[", "https://otro.test/", "http://a:b@salud.test/"],
)
def test_what_is_no_address_of_the_box_is_refused(address: str) -> None:
    with pytest.raises(BadRequest):
        resources(SITES, address)


async def stored(web: World, *paths: str) -> None:
    for path in paths:
        web.origin.on(path, reply(b"x" * 300, (HOUR, ("Cache-Groups", '"todo"'))))
        await web.ask(path)
        await web.quiet()


async def test_an_address_that_was_purged_is_asked_for_anew(tmp_path: Path) -> None:
    async with world(tmp_path) as web:
        await stored(web, "/a", "/b")
        assert (await web.ask("/a")).cache.startswith("tambo; hit")
        assert (await web.ask("/a")).cache.startswith("tambo; hit")  # answered early by now
        removed = await web.room.housekeeping.purge(f"http://{SITE_HOST}/a")
        assert (removed.answers, removed.size_bytes >= 300) == (1, True)
        assert (await web.ask("/a")).cache.startswith("tambo; fwd=uri-miss")
        assert (await web.ask("/b")).cache.startswith("tambo; hit")
        assert (await web.room.housekeeping.purge(f"http://{SITE_HOST}/never")).answers == 0


async def test_an_address_is_purged_by_the_name_its_origin_has_too(tmp_path: Path) -> None:
    async with world(tmp_path) as web:
        await stored(web, "/a")
        assert (await web.room.housekeeping.purge(f"http://{web.origin.address}/a")).answers == 1


async def test_a_site_that_was_purged_leaves_the_proxys_answers(tmp_path: Path) -> None:
    async with world(tmp_path) as web:
        await stored(web, "/a", "/b")
        await web.ask("/a", door="proxy")
        await web.quiet()
        assert (await web.room.housekeeping.purge_site("sitio")).answers == 2
        assert (await web.ask("/a")).cache.startswith("tambo; fwd=uri-miss")
        assert (await web.ask("/a", door="proxy")).cache.startswith("tambo; hit")


async def test_a_group_that_was_purged_takes_its_answers_and_no_others(tmp_path: Path) -> None:
    async with world(tmp_path) as web:
        await stored(web, "/a", "/b")
        web.origin.on("/c", reply(b"c" * 300, (HOUR,)))
        await web.ask("/c")
        await web.quiet()
        assert (await web.room.housekeeping.purge_group("sitio", "todo")).answers == 2
        assert (await web.ask("/c")).cache.startswith("tambo; hit")
        assert (await web.ask("/a")).cache.startswith("tambo; fwd=uri-miss")


async def test_figures_are_told_site_by_site(tmp_path: Path) -> None:
    async with world(tmp_path) as web:
        await stored(web, "/a", "/b")
        await web.ask("/a")
        await web.ask("/a")
        (figures,) = await web.room.housekeeping.stat()
        assert (figures.site, figures.answers, figures.size_bytes >= 600) == ("sitio", 2, True)
        assert (figures.hits, figures.misses, figures.saved_bytes >= 600) == (2, 2, True)
        await web.ask("/a", door="proxy")
        await web.quiet()
        assert [each.site for each in await web.room.housekeeping.stat()] == ["sitio", PROXY]


async def test_what_is_pinned_is_listed_until_it_is_not(tmp_path: Path) -> None:
    async with world(tmp_path) as web:
        await stored(web, "/a")
        keeping, at = web.room.housekeeping, f"http://{SITE_HOST}/a"
        assert await keeping.pin(at, on=True) == Pinned(1)
        assert await keeping.pinned() == (("sitio", f"http://{web.origin.address}/a"),)
        assert (await keeping.stat())[0].pinned == 1
        assert await keeping.pin(at, on=False) == Pinned(1)
        assert await keeping.pinned() == ()
        assert await keeping.pin(at, on=False) == Pinned(0)


async def test_what_is_pinned_before_it_is_stored_is_pinned_by_the_next_run(tmp_path: Path) -> None:
    async with world(tmp_path, warm=WarmOrder(pages=("/",))) as web:
        keeping = web.room.housekeeping
        for path in ("/", "/lejos"):
            web.origin.on(path, reply(b"x" * 300, (HOUR,)))
        assert await keeping.pin(f"http://{SITE_HOST}/lejos", on=True) == Pinned(0, 1)
        assert await keeping.pin_site("sitio", on=True) == Pinned(0, 1)
        assert (await keeping.stat())[0].waiting == 2
        web.room.warming.begin("sitio", now=True)
        await wait_until(lambda: web.room.warming.statistics().runs == 1)
        assert len(await keeping.pinned()) == 2
        assert (await keeping.stat())[0].waiting == 0
        assert await keeping.pin_site("sitio", on=False) == Pinned(2)
        assert await keeping.pinned() == ()


async def test_a_pinned_page_is_kept_up_to_date_by_every_run(tmp_path: Path) -> None:
    async with world(tmp_path, warm=WarmOrder(pages=())) as web:
        await stored(web, "/a")
        await web.room.housekeeping.pin(f"http://{SITE_HOST}/a", on=True)
        web.clock.pass_s(7_200)
        web.room.warming.begin("sitio", now=True)
        await wait_until(lambda: web.room.warming.statistics().runs == 1)
        assert len(web.origin.asked("/a")) == 2


async def test_a_site_nobody_set_is_not_found(tmp_path: Path) -> None:
    async with world(tmp_path) as web:
        keeping = web.room.housekeeping
        for order in (keeping.purge_site("no"), keeping.purge_group("no", "g"), keeping.pin_site("no", on=True)):
            with pytest.raises(NotFound):
                await order
