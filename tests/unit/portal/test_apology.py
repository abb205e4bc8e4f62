"""Every failure is answered in a sentence, in the reader's language, small, and repeating nothing."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from gateway.errors import GatewayError, LinkDown, NotFound, NotSignedIn, TooMany, WrongHost
from gateway.listener import Listener
from gateway.portal import apology
from gateway.units import Address

FAILURES: dict[str, type[GatewayError]] = {
    "down": LinkDown,
    "missing": NotFound,
    "who": NotSignedIn,
    "often": TooMany,
    "host": WrongHost,
    "broken": GatewayError,
}


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async def fail(request: web.BaseRequest) -> web.StreamResponse:
        raise FAILURES[request.path.strip("/")]

    await asyncio.to_thread(apology.load)
    made = Listener("site", Address("127.0.0.1", 0), fail, apology.render_error)
    await made.start()
    yield made
    await made.stop()


@pytest.mark.parametrize("path", FAILURES)
async def test_a_browser_gets_a_small_page_that_needs_nothing_else(listener: Listener, path: str) -> None:
    headers = {"Accept": "text/html", "Accept-Language": "es-PE", "Accept-Encoding": "identity"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{listener.address}/{path}?SECRETMARK=1", headers=headers) as answer,
    ):
        body = await answer.text()
        assert answer.status == FAILURES[path].status
        assert len(body.encode()) <= 4_000
        assert "SECRETMARK" not in body
        assert "/static/" not in body
        assert '<html lang="es">' in body
        assert answer.headers["Cache-Control"] == "no-store"
        assert "style-src 'sha256-" in answer.headers["Content-Security-Policy"]
        assert ("Retry-After" in answer.headers) is (path in {"down", "often"})
        assert answer.headers.get("WWW-Authenticate") == ("Bearer" if path == "who" else None)


async def test_a_program_gets_json(listener: Listener) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{listener.address}/down", headers={"Accept-Language": "en"}) as answer,
    ):
        error = (await answer.json())["error"]
    assert error["code"] == "link-down"
    assert error["message"] == LinkDown.what
    assert error["advice"] == LinkDown.advice


@pytest.mark.parametrize(
    "data",
    [
        b"SECRETMARK / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nSECRETMARK : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nAccept: text/html\r\nX: " + b"S" * 40_000 + b"\r\n\r\n",
        b"\x00\x01SECRETMARK\r\n\r\n",
    ],
)
async def test_a_message_that_is_no_request_is_answered_too(listener: Listener, data: bytes) -> None:
    reader, writer = await asyncio.open_connection(*listener.address)
    writer.write(data)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.split(b"\r\n")[0]
    assert b"SECRETMARK" not in answer
    assert json.loads(body)["error"]["code"] == "bad-request"


async def test_odd_headers_of_a_request_do_not_break_the_apology(listener: Listener) -> None:
    odd = (
        b"GET /missing HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nAccept-Language: ;;q=x,\xff;q=1\r\n"
        b"Accept-Encoding: br;q=abc,;,gzip;q=0\r\nCookie: idioma=\xff; =;;\r\nConnection: close\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(*listener.address)
    writer.write(odd)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    assert b" 404 " in answer.split(b"\r\n")[0]
