"""A run keeps a real site's pages with all that belongs to them, and costs nothing the second time."""

import gzip
import threading
from pathlib import Path
from unittest.mock import patch
from urllib.parse import unquote

import brotli
import pytest

from gateway.backhaul.sharing.classes import TrafficClass
from gateway.web.ahead.warm_plan import WarmOrder
from gateway.web.ahead.warm_record import Run, State
from gateway.web.rules.query import QueryRules, normalised
from tests.conformance.web_world import Pairs, World, reply, world
from tests.waiting import wait_until

HOUR = ("Cache-Control", "max-age=3600")
HTML = ("Content-Type", "text/html; charset=utf-8")


def page(body: str, *more: tuple[str, str]) -> bytes:
    return reply(body.encode(), (HOUR, HTML, *more))


def part(body: bytes = b"x" * 300, fields: Pairs = (HOUR,)) -> bytes:
    return reply(body, fields)


async def warmed(web: World) -> Run:
    """Run once, by command, and return how it ended."""
    before = web.room.warming.statistics().runs
    web.room.warming.begin("sitio", now=True)
    await wait_until(lambda: web.room.warming.statistics().runs > before)
    run = web.room.warming.run_of("sitio")
    assert run is not None
    return run


def asked(web: World) -> list[str]:
    return [seen.target for seen in web.origin.seen]


async def test_a_page_is_kept_with_its_pieces_and_the_pages_it_leads_to(tmp_path: Path) -> None:
    async with world(tmp_path) as web:
        web.origin.on("/", page('<link rel=stylesheet href=/s.css><a href="/dos/?b=2&a=1">2</a><a href=//o.test/>'))
        web.origin.on("/dos/", page('<img src=/foto.jpg><a href="/tres/">3</a>'))
        for path in ("/s.css", "/foto.jpg"):
            web.origin.on(path, part())
        run = await warmed(web)
        assert asked(web) == ["/", "/s.css", "/dos/?a=1&b=2", "/foto.jpg"]
        assert (run.state, run.progress.pages_done, run.progress.pieces_done, run.progress.failed) == (
            State.DONE,
            2,
            2,
            0,
        )
        await web.cut()
        for path in ("/", "/s.css", "/dos/?b=2&a=1", "/foto.jpg"):
            got = await web.ask(path)
            assert (got.status, got.cache.split(";")[1]) == (200, " hit")


async def test_what_is_fresh_costs_nothing_and_what_is_stale_is_validated(tmp_path: Path) -> None:
    async with world(tmp_path) as web:
        fresh = page("<img src=/a.png>", ("ETag", '"1"'))
        web.origin.on("/", fresh, reply(b"", (HOUR, ("ETag", '"1"')), 304))
        web.origin.on("/a.png", part(fields=(("Cache-Control", "max-age=86400"),)))
        first = await warmed(web)
        assert first.progress.moved_bytes > 300
        again = await warmed(web)
        assert (len(web.origin.seen), again.progress.moved_bytes, again.progress.pages_done) == (2, 0, 1)
        web.clock.pass_s(7_200)
        third = await warmed(web)
        assert asked(web) == ["/", "/a.png", "/"]
        assert web.origin.seen[-1].get("if-none-match") == '"1"'
        assert 0 < third.progress.moved_bytes < first.progress.moved_bytes


async def test_a_sheet_brings_its_fonts_and_pictures(tmp_path: Path) -> None:
    async with world(tmp_path, warm=WarmOrder(depth=0)) as web:
        web.origin.on("/", page("<link rel=stylesheet href=/css/s.css?v=1>"))
        sheet = b"@font-face{src:url(f.woff2),url(f.woff)}p{background:url(../i.png)}@import 'mas.css';"
        coded = (HOUR, ("Content-Type", "text/css"), ("Content-Encoding", "br"))
        web.origin.on("/css/s.css", reply(brotli.compress(sheet), coded))
        for path in ("/css/f.woff2", "/i.png", "/css/mas.css"):
            web.origin.on(path, part())
        run = await warmed(web)
        assert asked(web) == ["/", "/css/s.css?v=1", "/css/f.woff2", "/i.png", "/css/mas.css"]
        assert (run.progress.pieces_done, run.progress.failed) == (4, 0)


async def test_link_fields_and_hints_are_honoured_on_the_same_site_only(tmp_path: Path) -> None:
    async with world(tmp_path) as web:
        links = ("Link", "</f.woff2>; rel=preload; as=font, </sig/>; rel=prefetch, <http://o.test/x>; rel=preload")
        web.origin.on("/", page("<link rel=prefetch href=/luego/><link rel=preload as=image href=/i.webp>", links))
        for path in ("/f.woff2", "/sig/", "/luego/", "/i.webp"):
            web.origin.on(path, part())
        await warmed(web)
        assert sorted(asked(web)) == ["/", "/f.woff2", "/i.webp", "/luego/", "/sig/"]


@pytest.mark.parametrize("coding", ["identity", "gzip", "br"])
async def test_sitemaps_are_read_in_every_coding_and_packed(tmp_path: Path, coding: str) -> None:
    listed = b"<urlset><url><loc>/uno/</loc></url><url><loc>http://o.test/no</loc></url></urlset>"
    index = b"<sitemapindex><sitemap><loc>/m.xml.gz</loc></sitemap></sitemapindex>"
    code = {"identity": bytes, "gzip": gzip.compress, "br": brotli.compress}[coding]
    async with world(tmp_path, warm=WarmOrder(depth=0, sitemap=True)) as web:
        web.origin.on("/", page("<a href=/no/>no</a>"))
        web.origin.on("/robots.txt", part(b"Sitemap: /indice.xml?v=2&utm_source=x\n"))
        coded = (HOUR, ("Content-Encoding", coding))
        web.origin.on("/indice.xml", part(code(index), (HOUR,) if coding == "identity" else coded))
        web.origin.on("/m.xml.gz", part(gzip.compress(listed)))
        web.origin.on("/sitemap.xml", reply(b"", (), 404))
        web.origin.on("/uno/", page("uno"))
        run = await warmed(web)
        assert asked(web) == ["/", "/robots.txt", "/sitemap.xml", "/indice.xml?v=2", "/m.xml.gz", "/uno/"]
        assert (run.progress.pages_done, run.progress.failed) == (2, 0)


async def test_a_redirect_on_the_site_is_followed_and_one_that_leaves_it_is_not(tmp_path: Path) -> None:
    async with world(tmp_path, warm=WarmOrder(pages=("/", "/fuera"))) as web:
        web.origin.on("/", reply(b"", (HOUR, ("Location", "/inicio/")), 301))
        web.origin.on("/inicio/", page("<a href=/dos/>2</a>"))
        web.origin.on("/dos/", page("2"))
        web.origin.on("/fuera", reply(b"", (HOUR, ("Location", "http://o.test/")), 301))
        run = await warmed(web)
        assert asked(web) == ["/", "/fuera", "/inicio/", "/dos/"]
        assert run.state is State.DONE


async def test_what_is_not_there_or_not_to_be_kept_is_counted(tmp_path: Path) -> None:
    async with world(tmp_path, warm=WarmOrder(pages=("/no", "/privado", "/si"))) as web:
        web.origin.on("/no", reply(b"no", (HOUR,), 404))
        web.origin.on("/privado", reply(b"p", (HTML, ("Cache-Control", "private"))))
        web.origin.on("/si", page("si"))
        run = await warmed(web)
        assert (run.progress.pages_done, run.progress.failed) == (3, 2)


async def test_a_page_larger_than_what_is_left_of_the_data_is_passed_over(tmp_path: Path) -> None:
    async with world(tmp_path, warm=WarmOrder(pages=("/gorda", "/chica"), bytes_max=200_000)) as web:
        web.origin.on("/gorda", part(b"x" * 1_900_000))
        web.origin.on("/chica", page("poco"))
        run = await warmed(web)
        assert asked(web) == ["/gorda", "/chica"]
        assert (run.state, run.progress.failed) == (State.DONE, 1)
        assert run.progress.moved_bytes < 200_000


async def test_a_run_is_bulk_on_the_link(tmp_path: Path) -> None:
    async with world(tmp_path) as web:
        web.origin.on("/", page("hola"))
        run = await warmed(web)
        moved = web.backhaul.moved()
        assert moved[TrafficClass.BULK].down_bytes + moved[TrafficClass.BULK].up_bytes == run.progress.moved_bytes > 0
        assert moved[TrafficClass.WEB].down_bytes == 0


async def test_a_path_is_asked_for_as_a_browser_spells_it(tmp_path: Path) -> None:
    async with world(tmp_path, warm=WarmOrder(pages=("/niñez?b=2&a=%7e",))) as web:
        await warmed(web)
        assert asked(web) == ["/ni%C3%B1ez?a=%7e&b=2"]
        assert unquote(asked(web)[0]).startswith("/niñez")


async def test_of_a_sitemap_no_more_is_spelt_than_a_run_takes_and_not_on_the_loop(tmp_path: Path) -> None:
    listed = "".join(f"<url><loc>/{at}?b=1&amp;a=2</loc><lastmod>20{at:02d}-01-01</lastmod></url>" for at in range(90))
    spelt: list[tuple[str, bool]] = []

    def counted(url: str, rules: QueryRules) -> str:
        spelt.append((url, threading.current_thread() is threading.main_thread()))
        return normalised(url, rules)

    async with world(tmp_path, warm=WarmOrder(depth=0, sitemap=True, pages_max=5)) as web:
        web.origin.on("/", page(""))
        web.origin.on("/sitemap.xml", part(f"<urlset>{listed}</urlset>".encode()))
        with patch("gateway.web.ahead.warm_fetch.normalised", counted):
            await warmed(web)
        assert asked(web)[3:] == [f"/{at}?a=2&b=1" for at in (89, 88, 87, 86)]
    of_pages = [on_loop for url, on_loop in spelt if "?" in url]
    assert (len(of_pages), any(of_pages)) == (10, False)
