"""The demo's origin answers as an ordinary site does: tags, dates, 304, gzip, and nothing outside its folder."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path

import aiohttp
import pytest

from gateway.demo.origin import DemoOrigin
from tests.clocks import HandClock

INDEX = "<!doctype html><title>Posta</title>" + "<p>Vacunas, controles y consultas.</p>" * 40
STYLE = "body{color:#222}" * 40
PHOTO = bytes(range(256)) * 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "fotos").mkdir(parents=True)
    (site / "index.html").write_text(INDEX)
    (site / "vacunas.html").write_text(INDEX.replace("Posta", "Vacunas"))
    (site / "estilo.css").write_text(STYLE)
    (site / "fotos" / "posta.jpg").write_bytes(PHOTO)
    (site / ".oculto").write_text("no")
    (tmp_path / "outside.html").write_text("outside")
    (site / "enlace.html").symlink_to(tmp_path / "outside.html")
    return site


@pytest.fixture
async def origin(folder: Path, clock: HandClock) -> AsyncIterator[DemoOrigin]:
    origin = DemoOrigin(folder, clock)
    yield origin
    await origin.stop()


@pytest.fixture
async def client(origin: DemoOrigin) -> AsyncIterator[aiohttp.ClientSession]:
    address = await origin.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(
        f"http://{address}", auto_decompress=False, skip_auto_headers=("Accept-Encoding",)
    ) as session:
        yield session


@pytest.mark.parametrize("path", ["/", "/index.html"])
async def test_a_page_has_a_strong_tag_a_date_and_may_be_kept_a_minute(
    client: aiohttp.ClientSession, path: str
) -> None:
    async with client.get(path) as answer:
        assert (answer.status, await answer.text()) == (200, INDEX)
        assert answer.headers["ETag"].startswith('"')
        assert answer.headers["Cache-Control"] == "max-age=60, stale-while-revalidate=600"
        assert answer.headers["Last-Modified"].endswith("GMT")
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Vary"] == "Accept-Encoding"


async def test_a_page_is_also_known_without_its_ending(client: aiohttp.ClientSession) -> None:
    async with client.get("/vacunas") as short, client.get("/vacunas.html") as long:
        assert await short.read() == await long.read()


async def test_assets_may_be_kept_a_day_and_photos_are_not_coded(client: aiohttp.ClientSession) -> None:
    async with client.get("/fotos/posta.jpg", headers={"Accept-Encoding": "gzip"}) as answer:
        assert (answer.status, await answer.read()) == (200, PHOTO)
        assert answer.headers["Cache-Control"] == "max-age=86400"
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert "Content-Encoding" not in answer.headers
        assert "Vary" not in answer.headers


@pytest.mark.parametrize(
    ("accepts", "coding"),
    [
        ("gzip", "gzip"),
        ("br, gzip;q=0.5", "gzip"),
        ("*", "gzip"),
        ("br", None),
        ("gzip;q=0, br", None),
        ("identity", None),
        ("", None),
    ],
)
async def test_text_is_gzipped_for_who_accepts_it(
    client: aiohttp.ClientSession, accepts: str, coding: str | None
) -> None:
    async with client.get("/estilo.css", headers={"Accept-Encoding": accepts}) as answer:
        body = await answer.read()
        assert answer.headers.get("Content-Encoding") == coding
        assert (gzip.decompress(body) if coding else body) == STYLE.encode()


async def test_each_coding_has_its_own_strong_tag(client: aiohttp.ClientSession) -> None:
    async with client.get("/") as plain, client.get("/", headers={"Accept-Encoding": "gzip"}) as zipped:
        assert plain.headers["ETag"] != zipped.headers["ETag"]


@pytest.mark.parametrize("form", ["{tag}", "W/{tag}", '"other", {tag}', "*"])
async def test_who_has_it_gets_304_with_what_a_cache_needs(client: aiohttp.ClientSession, form: str) -> None:
    async with client.get("/") as first:
        tag = first.headers["ETag"]
    async with client.get("/", headers={"If-None-Match": form.format(tag=tag)}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
        assert answer.headers["ETag"] == tag
        assert {"Cache-Control", "Vary", "Last-Modified", "Date"} <= set(answer.headers)


async def test_a_tag_decides_before_a_date(client: aiohttp.ClientSession) -> None:
    later = formatdate(4_000_000_000, usegmt=True)
    async with client.get("/", headers={"If-Modified-Since": later}) as answer:
        assert answer.status == 304
    async with client.get("/", headers={"If-Modified-Since": later, "If-None-Match": '"other"'}) as answer:
        assert answer.status == 200
    for wrong in ("yesterday", formatdate(1, usegmt=True)):
        async with client.get("/", headers={"If-Modified-Since": wrong}) as answer:
            assert answer.status == 200


async def test_head_is_get_without_its_body(client: aiohttp.ClientSession) -> None:
    async with client.head("/") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert int(answer.headers["Content-Length"]) == len(INDEX.encode())


async def test_the_board_changes_each_minute_and_must_be_asked_for(
    client: aiohttp.ClientSession, clock: HandClock
) -> None:
    async with client.get("/cartelera") as answer:
        first, tag = await answer.read(), answer.headers["ETag"]
        assert answer.headers["Cache-Control"] == "no-cache"
    async with client.get("/cartelera", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    clock.pass_s(60)
    async with client.get("/cartelera", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 200
        assert await answer.read() != first


async def test_the_form_counts_what_arrived(client: aiohttp.ClientSession, origin: DemoOrigin) -> None:
    async with client.get("/formulario") as answer:
        assert 'method="post"' in await answer.text()
    for count in (1, 2):
        async with client.post("/formulario", data={"nombre": "<b>Ana</b>", "mensaje": "hola"}) as answer:
            text = await answer.text()
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"
            assert f"Mensajes recibidos: {count}." in text
            assert "Ana" not in text
    assert origin.messages == 2


@pytest.mark.parametrize(
    "path",
    [
        "/../outside.html",
        "/%2e%2e/outside.html",
        "/fotos/..%2f..%2foutside.html",
        "/.oculto",
        "/enlace.html",
        "/no",
        "//",
    ],
)
async def test_nothing_outside_the_folder_is_there(origin: DemoOrigin, path: str) -> None:
    address = await origin.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*address)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read(-1)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"outside" not in answer.partition(b"\r\n\r\n")[2]


async def test_other_methods_are_refused(client: aiohttp.ClientSession) -> None:
    async with client.delete("/") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"


async def test_requests_are_counted_by_path(client: aiohttp.ClientSession, origin: DemoOrigin) -> None:
    for path in ("/", "/?a=1", "/no"):
        async with client.get(path):
            pass
    assert origin.requests == {"/": 2, "/no": 1}


async def test_a_missing_page_is_the_sites_own_where_it_has_one(folder: Path, clock: HandClock) -> None:
    (folder / "404.html").write_text("<p>Perdido</p>")
    origin = DemoOrigin(folder, clock)
    address = await origin.start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/no") as answer:
        assert (answer.status, await answer.text()) == (404, "<p>Perdido</p>")
    await origin.stop()
