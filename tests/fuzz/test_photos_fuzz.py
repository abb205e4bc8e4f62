"""Photos under arbitrary input: fields, bytes, orders of calls, files."""

import asyncio
import string
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.durable.sealed_file import FileSeal, NotOpened
from gateway.errors import BadRequest, GatewayError, NotSignedIn, TooLarge
from gateway.listener import Limits, Listener
from gateway.market.photos.intake import routes
from gateway.market.photos.kinds import kind_of
from gateway.market.photos.refusals import Gap, OtherContent, WrongKind
from gateway.market.photos.shelf import Shelf
from gateway.market.photos.stretch import stretch_of
from gateway.units import Address
from tests.clocks import HandClock
from tests.unit.market.photo_world import KEY, LIMITS, a_jpeg, named, some_photos

REQUESTS = 600
MARK = "evil-7f3a"


@given(
    st.none() | st.text(max_size=60) | st.from_regex(r"bytes [0-9]{0,20}-[0-9]{0,20}/[0-9*]{0,20}", fullmatch=True),
    st.none() | st.integers(0, 10**20),
)
@settings(max_examples=1_000, deadline=None)
def test_a_stretch_is_sensible_or_refused(content_range: str | None, content_length: int | None) -> None:
    try:
        found = stretch_of(content_range, content_length, 8_000_000)
    except (BadRequest, TooLarge):
        return
    assert 0 <= found.first < found.first + found.length_bytes <= found.size_bytes <= 8_000_000


@given(st.binary(max_size=64))
@settings(max_examples=1_000, deadline=None)
def test_any_bytes_are_a_kind_or_none(head: bytes) -> None:
    kind_of(head)


@given(st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=12), st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_a_file_with_anything_in_it_is_opened_as_it_was_written_or_not_at_all(
    flips: list[tuple[int, bool]], added: bytes
) -> None:
    with TemporaryDirectory() as folder:
        seal, name = FileSeal(KEY), "0" * 40
        head = seal.new_head(name, "ana", "a" * 64, 1_000)
        raw = bytearray(head + added)
        for at, low in flips:
            if at < len(raw):
                raw[at] ^= 1 if low else 128
        path = Path(folder) / f"{name}.part"
        path.write_bytes(raw)
        try:
            found = seal.head(path)
        except NotOpened:
            assert bytes(raw[: len(head)]) != head
            return
        assert (found.owner, found.size_bytes, found.bytes_before) == ("ana", 1_000, len(head))


_steps = st.lists(
    st.tuples(st.sampled_from(["put", "wrong", "settle", "restart"]), st.integers(0, 3_200), st.integers(0, 2_000)),
    max_size=25,
)


@given(_steps)
@settings(max_examples=150, deadline=None)
def test_whatever_comes_in_whatever_order_only_the_photo_itself_becomes_whole(
    steps: list[tuple[str, int, int]],
) -> None:
    content, other = a_jpeg(3_000, 1), b"\xff\xd8\xff\xe0" + Random(2).randbytes(2_996)
    with TemporaryDirectory() as folder:

        def opened() -> Shelf:
            shelf = Shelf(Path(folder), KEY, HandClock(), LIMITS)
            shelf.open()
            return shelf

        shelf, told = opened(), 0
        for step, at, length in steps:
            photo = shelf.find("ana", named(content))
            if photo is not None:
                assert photo.is_whole or photo.offset_bytes >= told, "what was told is there"
            if photo is None:
                photo, told = shelf.begin("ana", named(content), len(content)), 0
            try:
                if step in {"put", "wrong"}:
                    shelf.write(photo.name, at, (content if step == "put" else other)[at : at + length])
                elif step == "restart":
                    shelf = opened()
                else:
                    told = shelf.settle(photo.name).offset_bytes
            except (Gap, OtherContent, WrongKind):
                told = 0
        found = shelf.find("ana", named(content))
        if found is not None and found.is_whole:
            assert shelf.is_sound(found.name)
            assert shelf.read(found.name, 0) == content


async def merchant_of(request: web.Request) -> str:
    if "Authorization" not in request.headers:
        raise NotSignedIn
    return "ana"


def as_sentence(request: web.BaseRequest, error: GatewayError) -> web.Response:
    del request
    return web.Response(text=f"{error} {error.advice}", status=error.status)


@pytest.fixture
async def address(tmp_path: Path, clock: HandClock) -> AsyncIterator[Address]:
    photos = some_photos(tmp_path / "photos", clock)
    await photos.start()
    app = web.Application()
    app.add_routes(routes(photos, merchant_of))
    listener = Listener("portal", Address("127.0.0.1", 0), app, as_sentence, Limits(stop_s=0.2))
    await listener.start()
    yield listener.address
    await listener.stop()
    await photos.stop()


def a_request(random: Random) -> bytes:
    """A request that is about right, or not at all."""
    content = a_jpeg(random.choice([40, 300, 3_000]), random.randrange(40))
    first = random.choice([0, 0, 0, random.randrange(len(content))])
    size = random.choice([len(content), len(content), len(content) + 1, 0, 10**11])
    body = content[first:] if random.random() < 0.8 else random.randbytes(random.randrange(200))
    part = body[: random.randrange(1, len(body) + 1)] if body else b"x"
    if random.random() < 0.5:
        body = part
    name = random.choice(
        [named(content), named(content), named(content), named(content)[:-1], MARK, "%00" * 64, "0" * 64]
    )
    ranges = [
        f"bytes {first}-{first + len(body) - 1}/{len(content)}",
        f"bytes {first}-{first + len(body) - 1}/{len(content)}",
        f"bytes {first}-{len(content) - 1}/{size}",
        f"bytes 0-{len(body) - 1}/99999999",
        f"bytes */{size}",
        MARK,
        "bytes 9-1/5",
        "bytes 0-0/" + "9" * 40,
    ]
    fields = [f"Host: {MARK}", "Connection: close", f"Content-Length: {len(body)}"]
    if random.random() < 0.9:
        fields.append("Authorization: Bearer x")
    if random.random() < 0.6:
        fields.append(f"Content-Range: {random.choice(ranges)}")
    if random.random() < 0.1:
        fields.append(f"Content-Encoding: {random.choice(['gzip', MARK])}")
    if random.random() < 0.2:
        fields.append("".join(random.choices(string.ascii_letters, k=5)) + f": {MARK}")
    method = random.choice(["PUT", "PUT", "PUT", "GET", "HEAD", "POST", "DELETE", "PATCH"])
    query = random.choice(["", "", "?shrink=0", f"?shrink={MARK}", f"?{MARK}"])
    return (
        f"{method} /api/v1/photos/{name}{query} HTTP/1.1\r\n{chr(13) + chr(10)}".replace(
            "\r\n\r\n", "\r\n" + "\r\n".join(fields) + "\r\n\r\n"
        ).encode()
        + body
    )


async def test_no_request_breaks_the_box_or_is_repeated_in_its_answer(address: Address) -> None:
    random, seen = Random(29), set()
    for _ in range(REQUESTS):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(a_request(random))
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
        status = int(answer.split()[1])
        seen.add(status)
        assert status != 500
        assert MARK.encode() not in answer
    assert {200, 201, 204, 400, 401, 404, 405, 409, 413, 415} <= seen, seen
