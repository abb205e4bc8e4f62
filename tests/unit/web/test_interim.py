"""What an origin says before its answer reaches the browser whose request it is, and nobody else."""

import asyncio
from pathlib import Path

import pytest

from tests.conformance.web_world import DOORS, Door, Seen, reply, world
from tests.waiting import wait_until

HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: X-Mine\r\nX-Mine: 1\r\n\r\n"
FRESH = (("Cache-Control", "max-age=100"),)


async def heard(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(5):
        return (await reader.readuntil(b"\r\n\r\n")).decode()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_hint_comes_before_the_answer_that_is_still_to_come(door: Door, method: str, tmp_path: Path) -> None:
    hinted = asyncio.Event()

    async def slowly(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(HINT)
        await hinted.wait()
        writer.write(reply(b"page", FRESH))

    async with world(tmp_path / "web") as w:
        w.origin.on("/a", slowly)
        reader, writer = await w.connect(door)
        target = w.url("/a", door)
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: sitio.test\r\nContent-Length: 0\r\n\r\n".encode())
        hint = await heard(reader)
        assert hint.startswith("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n")
        assert "Via: 1.1 tambo-prueba" in hint
        assert "X-Mine" not in hint
        hinted.set()
        head = await heard(reader)
        assert head.startswith("HTTP/1.1 200 ")
        assert "Link" not in head
        writer.transport.abort()


async def test_who_joined_a_fetch_and_who_speaks_http_1_0_hear_no_hint(tmp_path: Path) -> None:
    hinted = asyncio.Event()

    async def slowly(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await hinted.wait()
        writer.write(HINT + reply(b"page", FRESH))

    async with world(tmp_path / "web") as w:
        w.origin.on("/a", slowly)
        old, joined = await w.connect("site"), await w.connect("site")
        old[1].write(b"GET /a HTTP/1.0\r\nHost: sitio.test\r\n\r\n")
        await wait_until(lambda: len(w.origin.seen) == 1)
        joined[1].write(b"GET /a HTTP/1.1\r\nHost: sitio.test\r\n\r\n")
        await wait_until(lambda: len(w.room.doors._busy) > 0 and w.room.doors._busy["127.0.0.1"] == 2)
        hinted.set()
        for reader, writer in (old, joined):
            assert (await heard(reader)).split(" ")[1] == "200"
            writer.transport.abort()
        assert len(w.origin.seen) == 1


@pytest.mark.parametrize("head", [b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_an_origin_that_only_hints_is_at_fault(head: bytes, tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/a", head * 40 + reply(b"page"))
        assert (await w.ask("/a")).status == 502
