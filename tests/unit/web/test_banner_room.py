"""A site that opted in shows its pages' age while the link is down, and as they are when it is up."""

import gzip
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance.web_world import SITE_HOST, Got, World, reply, world

PERSON = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"), ("Accept-Language", "es")]
PAGE = b"<!doctype html><title>a</title><body class=x><p>" + b"papa " * 400
FIELDS = [("Cache-Control", "max-age=60"), ("Content-Type", "text/html"), ("ETag", '"1"')]


@pytest.fixture
async def village(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        by_host = made.room.doors._by_host
        by_host[SITE_HOST] = replace(by_host[SITE_HOST], banner=True)
        yield made


def has_banner(got: Got) -> bool:
    return b"<aside" in got.body


async def test_a_stored_page_shows_its_age_only_while_the_link_is_down(village: World) -> None:
    village.origin.on("/a", reply(PAGE, FIELDS))
    assert not has_banner(await village.ask("/a", PERSON))
    await village.stored()
    assert not has_banner(await village.ask("/a", PERSON))
    village.clock.pass_s(2 * 86_400)
    await village.cut()
    got = await village.ask("/a", PERSON)
    assert got.body.startswith(b"<!doctype html><title>a</title><body class=x><aside role")
    assert b"esta p&#225;gina es de hace 2 d&#237;as" in got.body
    assert got.body.endswith(PAGE[-100:])
    assert (got.get("ETag"), got.get("Cache-Control"), got.get("Age")) == (None, "no-store", "172800")
    assert "detail=link-down" in got.cache
    village.origin.on("/a", reply(status=304))
    await village.mend()
    again = await village.ask("/a", [*PERSON, ("If-None-Match", '"1"')])
    assert (again.status, again.get("ETag")) == (304, '"1"')


async def test_a_fresh_page_shows_its_age_too_though_others_asked_for_it_before(village: World) -> None:
    village.origin.on("/a", reply(PAGE, FIELDS))
    await village.ask("/a", PERSON)
    await village.stored()
    await village.cut()
    script = [("Accept", "*/*"), ("Accept-Language", "es")]
    for _ in range(3):
        assert not has_banner(await village.ask("/a", script))
        assert has_banner(await village.ask("/a", PERSON))
    await village.mend()
    for _ in range(3):
        assert not has_banner(await village.ask("/a", PERSON))


async def test_a_coded_page_is_decoded_and_coded_again_for_who_reads_it(village: World) -> None:
    village.origin.on("/a", reply(gzip.compress(PAGE), [*FIELDS, ("Content-Encoding", "gzip")]))
    await village.ask("/a", PERSON)
    await village.stored()
    await village.cut()
    plain = await village.ask("/a", PERSON)
    assert has_banner(plain)
    assert plain.get("Content-Encoding") is None
    coded = await village.ask("/a", [*PERSON, ("Accept-Encoding", "gzip")])
    assert coded.get("Content-Encoding") == "gzip"
    assert gzip.decompress(coded.body) == plain.body


@pytest.mark.parametrize(
    "fields",
    [
        [("Cache-Control", "max-age=60, no-transform"), ("Content-Type", "text/html")],
        [("Cache-Control", "max-age=60"), ("Content-Type", "text/plain")],
        [("Cache-Control", "max-age=60"), ("Content-Type", "text/html"), ("Content-Encoding", "x-own")],
        [("Cache-Control", "max-age=60"), ("Content-Type", "text/html"), ("Content-Encoding", "gzip")],
    ],
)
async def test_what_may_not_or_cannot_be_changed_is_sent_as_it_is(
    village: World, fields: list[tuple[str, str]]
) -> None:
    village.origin.on("/a", reply(PAGE, fields))
    asked = [*PERSON, ("Accept-Encoding", "gzip, x-own")]
    await village.ask("/a", asked)
    await village.stored()
    await village.cut()
    got = await village.ask("/a", asked)
    assert PAGE in {got.body, gzip.decompress(got.body) if got.body[:1] == b"\x1f" else b""}
    assert not has_banner(await village.ask("/a", asked, method="HEAD"))


async def test_a_site_that_did_not_opt_in_shows_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as village:
        village.origin.on("/a", reply(PAGE, FIELDS))
        await village.ask("/a", PERSON)
        await village.stored()
        await village.cut()
        got = await village.ask("/a", PERSON)
        assert (got.body, got.get("ETag")) == (PAGE, '"1"')
