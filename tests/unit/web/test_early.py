"""What is answered before the parser is what the parser's path would have answered, byte for byte; all else is left."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.listener import Limits, Listener
from gateway.units import Address
from gateway.web.early.answers import TARGET_BYTES_MAX
from tests.conformance.web_world import DOORS, SITE_HOST, Door, World, plain, reply, world

BROWSER = (
    ("Connection", "keep-alive"),
    ("User-Agent", "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36"),
    ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "es-PE,es;q=0.9"),
)
KEEPS = ("Cache-Control", "max-age=3600")
DATE = re.compile(rb"Date: [^\r]*")  # of an answer that is not stored it is the machine's own
PAGE = b"<p>" + b"un pueblo " * 200


def written(target: str, *fields: tuple[str, str], host: str = SITE_HOST) -> bytes:
    """A request in the shape of a browser's."""
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def raw_answers(listener: Listener, *pieces: bytes) -> bytes:
    """All that comes back for these pieces, each sent in a segment of its own, until the other end has no more."""
    reader, writer = await asyncio.open_connection(*listener.address)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            for _ in range(4):
                await asyncio.sleep(0)  # the pieces arrive apart
        writer.write_eof()
        async with asyncio.timeout(5):
            return DATE.sub(b"Date: now", await reader.read())
    except ConnectionError:
        return b"cut"
    finally:
        writer.transport.abort()


@asynccontextmanager
async def both(folder: Path, door: Door) -> AsyncIterator[tuple[World, Listener, Listener]]:
    """A world with some pages in it, its listener, and one like it that parses everything."""
    async with world(folder) as w:
        serve = w.room.doors.site if door == "site" else w.room.doors.proxy
        patient = Listener("patient", Address("127.0.0.1", 0), serve, plain, limits=Limits(stop_s=0.2))
        await patient.start()
        w.origin.on("/plain", reply(b"x" * 500, [KEEPS, ("Content-Type", "image/jpeg"), ("ETag", '"100%"')]))
        w.origin.on("/page", reply(PAGE, [KEEPS, ("Content-Type", "text/html")]))
        w.origin.on("/spoken", reply(PAGE, [KEEPS, ("Content-Type", "text/html"), ("Vary", "Accept-Language")]))
        w.origin.on("/", reply(b"first", [KEEPS]))
        w.origin.on("/cookie", reply(PAGE, [("Cache-Control", "public, max-age=9"), ("Vary", "Cookie")]))
        try:
            yield w, w.site if door == "site" else w.proxy, patient
        finally:
            await patient.stop()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("path", ["/plain", "/page", "/spoken"])
async def test_the_third_request_is_answered_early_with_the_bytes_of_the_second(
    tmp_path: Path, door: Door, path: str
) -> None:
    async with both(tmp_path, door) as (w, quick, patient):
        asked = written(w.url(path, door), *BROWSER)
        await raw_answers(quick, asked)
        await w.stored()
        second = await raw_answers(patient, asked)
        assert w.room.statistics().early == 0
        assert await raw_answers(quick, asked) == second
        assert w.room.statistics().early == 1


@pytest.mark.parametrize("door", DOORS)
async def test_age_and_ttl_go_on_as_in_the_full_path(tmp_path: Path, door: Door) -> None:
    async with both(tmp_path, door) as (w, quick, patient):
        asked = written(w.url("/page", door), *BROWSER)
        await raw_answers(quick, asked)
        await w.stored()
        await raw_answers(quick, asked)
        for step_s in (0.4, 0.7, 1.0, 1500.3, 1999.9):
            w.clock.pass_s(step_s)
            before = w.room.statistics().early
            early = await raw_answers(quick, asked)
            assert w.room.statistics().early == before + 1
            assert early == await raw_answers(patient, asked)


async def test_a_stale_answer_is_not_given_early(tmp_path: Path) -> None:
    async with both(tmp_path, "site") as (w, quick, _):
        asked = written("/page", *BROWSER)
        for _ in range(3):
            await raw_answers(quick, asked)
            await w.stored()
        early = w.room.statistics().early
        assert early == 1
        w.clock.pass_s(3600)
        await raw_answers(quick, asked)
        assert (len(w.origin.asked("/page")), w.room.statistics().early) == (2, early)


async def test_a_clock_that_fell_back_goes_the_full_way(tmp_path: Path) -> None:
    async with both(tmp_path, "site") as (w, quick, _):
        asked = written("/page", *BROWSER)
        for _ in range(3):
            await raw_answers(quick, asked)
            await w.stored()
        w.clock.pass_s(-5000)
        await raw_answers(quick, asked)
        assert (len(w.origin.asked("/page")), w.room.statistics().early) == (2, 1)


async def test_an_unsafe_request_ends_early_answers(tmp_path: Path) -> None:
    async with both(tmp_path, "site") as (w, quick, _):
        asked = written("/page", *BROWSER)
        for _ in range(3):
            await raw_answers(quick, asked)
            await w.stored()
        await w.ask("/page", method="POST", body=b"x")
        await raw_answers(quick, asked)
        assert [seen.method for seen in w.origin.asked("/page")] == ["GET", "POST", "GET"]


async def test_each_language_gets_its_own_form(tmp_path: Path) -> None:
    async with both(tmp_path, "site") as (w, quick, patient):
        spanish = written("/spoken", *BROWSER)
        quechua = written("/spoken", *BROWSER[:-1], ("Accept-Language", "qu"))
        for asked in (spanish, quechua, spanish, quechua):
            await raw_answers(quick, asked)
            await w.quiet()
        for asked in (spanish, quechua):
            assert await raw_answers(quick, asked) == await raw_answers(patient, asked)
        assert (len(w.origin.asked("/spoken")), w.room.statistics().early) == (2, 2)


async def test_what_varies_by_cookie_is_never_held(tmp_path: Path) -> None:
    async with both(tmp_path, "site") as (w, quick, _):
        asked = written("/cookie", *BROWSER, ("Cookie", "a=b"))
        for _ in range(3):
            await raw_answers(quick, asked)
            await w.stored()
        assert w.room.statistics().early == 0


@pytest.mark.parametrize(
    "field",
    [
        ("Cache-Control", "no-cache"),
        ("Pragma", "no-cache"),
        ("Range", "bytes=0-1"),
        ("If-None-Match", "*"),
        ("Authorization", "Basic eA=="),
        ("Connection", "close"),
        ("Content-Length", "0"),
        ("Via", "1.1 x"),
        ("X-Unknown", "1"),
        ("accept", "*/*"),
        ("Accept", "*/*"),  # a second one
    ],
)
async def test_a_request_of_another_shape_goes_the_full_way(tmp_path: Path, field: tuple[str, str]) -> None:
    async with both(tmp_path, "site") as (w, quick, patient):
        for _ in range(2):
            await raw_answers(quick, written("/page", *BROWSER))
            await w.stored()
        asked = written("/page", *BROWSER[1:], field)
        answer = await raw_answers(quick, asked)
        assert w.room.statistics().early == 0
        assert answer == await raw_answers(patient, asked)


async def test_pages_under_way_and_early_answers_keep_their_order(tmp_path: Path) -> None:
    async with both(tmp_path, "site") as (w, quick, patient):
        held = asyncio.Event()

        async def slow(seen: object, writer: asyncio.StreamWriter) -> None:
            del seen
            await held.wait()
            writer.write(reply(b"slow"))

        w.origin.on("/slow", slow)
        asked = written("/plain", *BROWSER)
        for _ in range(2):
            await raw_answers(quick, asked)
            await w.stored()
        whole = (await raw_answers(patient, asked)).partition(b"\r\n\r\n")[2]
        reader, writer = await asyncio.open_connection(*quick.address)
        writer.write(asked)
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(whole)) == whole
        writer.write(written("/slow", *BROWSER))
        await asyncio.sleep(0.02)
        writer.write(asked)
        await asyncio.sleep(0.02)
        held.set()
        writer.write_eof()
        rest = await reader.read()
        assert rest.endswith(whole)
        assert b"slow" in rest[: -len(whole)]
        writer.transport.abort()


def mutated(data: bytes, rng: random.Random) -> list[bytes]:
    """One request, broken, doubled or cut in a way that a hostile or an odd client might."""
    lines = data.split(b"\r\n")
    kind = rng.randrange(9)
    at = rng.randrange(1, len(lines) - 2)
    match kind:
        case 0:
            lines[at] = bytes([*lines[at][:-1], rng.randrange(256)])
        case 1:
            lines.insert(at, lines[at])
        case 2:
            lines[at] = lines[at].swapcase()
        case 3:
            lines[at] = lines[at].replace(b": ", rng.choice([b":", b":  ", b" : ", b":\t"]), 1)
        case 4:
            lines.insert(
                at, rng.choice([b" folded", b"\tfolded", b"Nonsense", b": x", b"A: \x00", b"Content-Length: 5"])
            )
        case 5:
            lines[0] = rng.choice(
                [lines[0].lower(), lines[0] + b" ", lines[0].replace(b"1.1", b"1.0"), b"GET  / HTTP/1.1"]
            )
        case 6:
            cut = rng.randrange(1, len(data))
            return [data[:cut], data[cut:]]
        case 7:
            return [data + data]
        case 8:
            return [data.replace(b"\r\n", b"\n", rng.randrange(1, 3)), data]
    return [b"\r\n".join(lines)]


@pytest.mark.parametrize("door", DOORS)
async def test_both_paths_answer_any_bytes_alike(tmp_path: Path, door: Door) -> None:
    """A few hundred seeded mutations; each goes to both listeners, twice, so that early answers are there to be had."""
    rng = random.Random(9111)
    async with both(tmp_path, door) as (w, quick, patient):
        paths = ("/plain", "/page", "/spoken")
        for path in paths:
            for _ in range(2):
                await raw_answers(quick, written(w.url(path, door), *BROWSER))
            await w.quiet()
        early = w.room.statistics().early
        for _ in range(200):
            chosen = written(w.url(rng.choice(paths), door), *rng.sample(BROWSER, rng.randrange(len(BROWSER) + 1)))
            pieces = [chosen, *mutated(chosen, rng)] if rng.random() < 0.5 else mutated(chosen, rng)
            await raw_answers(patient, *pieces)  # whatever it fetches is there now
            await w.quiet()
            seen, parsed = await raw_answers(quick, *pieces), await raw_answers(patient, *pieces)
            assert seen == parsed, pieces
        assert w.room.statistics().early > early


async def test_a_field_with_a_per_cent_sign_in_its_name_harms_nobody(tmp_path: Path) -> None:
    async with both(tmp_path, "site") as (w, quick, patient):
        w.origin.on("/odd", reply(b"odd", [KEEPS, ("X-%600000000d", "a"), ("X-100%", "%s")]))
        asked = written("/odd", *BROWSER)
        for _ in range(2):
            await raw_answers(quick, asked)
            await w.stored()
            await w.quiet()
        assert await raw_answers(quick, asked) == await raw_answers(patient, asked)
        assert w.room.statistics().early == 1


async def test_the_better_variant_is_not_hidden_by_one_without_vary(tmp_path: Path) -> None:
    async with both(tmp_path, "site") as (w, quick, patient):
        varied = reply(b"HOLA", [KEEPS, ("Vary", "Accept-Language")])
        w.origin.on("/greeting", varied, reply(b"HELLO", [KEEPS]))
        spanish = written("/greeting", *BROWSER)
        french = written("/greeting", *BROWSER[:-1], ("Accept-Language", "fr"))
        for asked in (spanish, french, french, french, spanish, spanish):
            answer = await raw_answers(quick, asked)
            assert answer == await raw_answers(patient, asked) or b"fwd=" in answer
            await w.quiet()
        assert b"HOLA" in await raw_answers(quick, spanish)
        assert w.room.statistics().early > 0


async def test_a_request_that_ends_its_connection_teaches_nothing(tmp_path: Path) -> None:
    async with both(tmp_path, "proxy") as (w, quick, _):
        target = w.url("/plain", "proxy")
        for _ in range(3):
            await raw_answers(quick, written(target, ("Proxy-Connection", "close")))
            await w.quiet()
        assert w.room.statistics().early == 0
        assert b"Connection: close" not in await raw_answers(quick, written(target, *BROWSER))


async def test_what_long_addresses_cost_is_counted(tmp_path: Path) -> None:
    async with both(tmp_path, "site") as (w, quick, _):
        long = written(f"/plain?q={'x' * TARGET_BYTES_MAX}", *BROWSER)
        for _ in range(3):
            await raw_answers(quick, long)
            await w.quiet()
        assert w.room.statistics().early == 0
        near = TARGET_BYTES_MAX - 50
        for at in range(3):
            for _ in range(2):
                await raw_answers(quick, written(f"/plain?q={at}{'x' * near}", *BROWSER))
                await w.quiet()
        assert w.room.site_early.size_bytes > 3 * 2 * near
