"""A reference that nobody can read, wherever it stands, ends neither a page, nor a run, nor the room."""

from pathlib import Path
from unittest.mock import patch

import pytest

from gateway.web.ahead.warm_plan import WarmOrder
from gateway.web.ahead.warm_record import State
from gateway.web.offline.kept import KeptState
from tests.conformance.web_world import reply, world
from tests.waiting import wait_until

HOUR = ("Cache-Control", "max-age=3600")
HTML = ("Content-Type", "text/html")
PERSON = [("Accept", "text/html,*/*;q=0.8")]
UNREADABLE = "http://[x]@"  # for which yarl raises an IndexError
PAGE = reply(f"<base href='//[x]@'><a href='{UNREADABLE}'>x</a><img src='//[x]@'>".encode(), [HOUR, HTML])


async def test_a_kept_page_with_such_a_link_arrives_and_so_does_the_next(tmp_path: Path) -> None:
    with patch("gateway.web.offline.kept_run.LOOK_S", 0.02):
        async with world(tmp_path) as village:
            village.origin.on("/bad", PAGE)
            village.origin.on("/good", reply(b"good", [HOUR, HTML]))
            await village.cut()
            for path in ("/bad", "/good"):
                await village.ask(path, PERSON)
            await village.mend()
            await wait_until(lambda: village.room.kept.count(KeptState.ARRIVED) == 2)


async def test_a_run_goes_on_past_a_page_a_field_a_sheet_and_a_redirect_with_one(tmp_path: Path) -> None:
    pages = ("/page", "/field", "/moved", "/sheet", "/good")
    async with world(tmp_path, warm=WarmOrder(pages=pages, depth=0, sitemap=True)) as village:
        village.origin.on("/page", PAGE)
        village.origin.on("/field", reply(b"x", [HOUR, HTML, ("Link", f"<{UNREADABLE}>; rel=preload")]))
        village.origin.on("/moved", reply(b"", [HOUR, ("Location", UNREADABLE)], 301))
        village.origin.on("/sheet", reply(f"@import '{UNREADABLE}'".encode(), [HOUR, ("Content-Type", "text/css")]))
        village.origin.on("/good", reply(b"good", [HOUR, HTML]))
        village.origin.on("/robots.txt", reply(f"Sitemap: {UNREADABLE}\n".encode(), [HOUR]))
        village.origin.on(
            "/sitemap.xml", reply(f"<urlset><url><loc>{UNREADABLE}</loc></url></urlset>".encode(), [HOUR])
        )
        village.room.warming.begin("sitio", now=True)
        await wait_until(lambda: village.room.warming.statistics().runs == 1)
        run = village.room.warming.run_of("sitio")
        assert run is not None
        assert (run.state, run.progress.pages_done) == (State.DONE, 5)


async def test_what_a_change_points_to_may_be_unreadable(tmp_path: Path) -> None:
    async with world(tmp_path) as village:
        village.origin.on("/p", reply(b"done", [("Location", UNREADABLE), ("Content-Location", "//[x]@")]))
        got = await village.ask("/p", method="POST", body=b"x")
        assert (got.status, got.body) == (200, b"done")


@pytest.mark.parametrize("target", ["http://[x]@/", "http://[:::]/x", "http://[1::2::3]/", "http://a:0x1/", "x:@b/"])
async def test_a_request_for_one_is_refused_and_not_kept(tmp_path: Path, target: str) -> None:
    async with world(tmp_path) as village:
        await village.cut()
        got = await village.say(f"GET {target} HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n".encode(), door="proxy")
        assert got.status == 400
        assert not village.room.kept._pages
