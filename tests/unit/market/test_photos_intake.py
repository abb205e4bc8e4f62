"""A phone hands in a photo over a real listener, in pieces, again, cut, and wrong."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from PIL import Image

from gateway.errors import GatewayError, NotSignedIn
from gateway.listener import Limits, Listener
from gateway.market.photos.intake import routes
from gateway.market.photos.photos import Photos
from gateway.units import Address
from tests.clocks import HandClock
from tests.unit.market.photo_world import LIMITS, MemoryOrders, a_jpeg, a_picture, mark_sent, named, some_photos
from tests.waiting import wait_until


async def merchant_of(request: web.Request) -> str:
    scheme, _, name = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        raise NotSignedIn
    return name


def as_sentence(request: web.BaseRequest, error: GatewayError) -> web.Response:
    del request
    return web.json_response({"code": error.code, "what": str(error), "advice": error.advice}, status=error.status)


@dataclass
class Answered:
    status: int
    fields: Any
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)

    @property
    def offset(self) -> int:
        return int(self.fields["Upload-Offset"])


@dataclass
class Counter:
    photos: Photos
    session: aiohttp.ClientSession
    address: Address

    async def ask(
        self, method: str, name: str, body: Any = None, *, merchant: str | None = "ana", query: str = "", **fields: str
    ) -> Answered:
        sent = {each.replace("_", "-"): value for each, value in fields.items()}
        if merchant is not None:
            sent["Authorization"] = f"Bearer {merchant}"
        url = f"http://{self.address}/api/v1/photos/{name}{query}"
        async with self.session.request(method, url, data=body, headers=sent) as answer:
            return Answered(answer.status, answer.headers, await answer.read())

    async def put(self, content: bytes, first: int = 0, last: int | None = None, **asked: Any) -> Answered:
        part = content[first : None if last is None else last + 1]
        asked.setdefault("Content_Range", f"bytes {first}-{first + len(part) - 1}/{len(content)}")
        return await self.ask("PUT", named(content), part, **asked)

    async def cut_after(self, content: bytes, sent_bytes: int, first: int = 0) -> None:
        """Announce the rest from `first`, send so many bytes of it, and be gone."""
        _, writer = await asyncio.open_connection(*self.address)
        writer.write(
            f"PUT /api/v1/photos/{named(content)} HTTP/1.1\r\nHost: box\r\nAuthorization: Bearer ana\r\n"
            f"Content-Range: bytes {first}-{len(content) - 1}/{len(content)}\r\n"
            f"Content-Length: {len(content) - first}\r\n\r\n".encode()
        )
        writer.write(content[first : first + sent_bytes])
        await writer.drain()
        await wait_until(lambda: self.photos._arriving == 1)
        writer.close()


@pytest.fixture
async def counter(tmp_path: Path, clock: HandClock) -> AsyncIterator[Counter]:
    photos = some_photos(
        tmp_path / "photos", clock, limits=replace(LIMITS, silence_s=5.0, merchant_bytes_max=6_000_000)
    )
    await photos.start()
    app = web.Application()
    app.add_routes(routes(photos, merchant_of))
    listener = Listener("portal", Address("127.0.0.1", 0), app, as_sentence)
    await listener.start()
    async with aiohttp.ClientSession() as session:
        yield Counter(photos, session, listener.address)
    await listener.stop()
    await photos.stop()


async def test_a_whole_photo_is_answered_201_and_again_200_and_is_shown_byte_for_byte(counter: Counter) -> None:
    content = a_jpeg(200_000)
    answer = await counter.ask("PUT", named(content), content)
    assert answer.status == 201
    assert answer.told == {"sha256": named(content), "size_bytes": 200_000, "type": "image/jpeg", "smaller": None}
    assert (answer.offset, answer.fields["Upload-Complete"]) == (200_000, "?1")
    again = await counter.ask("PUT", named(content), content)
    assert (again.status, again.told) == (200, answer.told)
    shown = await counter.ask("GET", named(content))
    assert (shown.status, shown.body) == (200, content)
    assert shown.fields["Content-Type"] == "image/jpeg"
    assert shown.fields["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in shown.fields["Cache-Control"]


async def test_a_photo_in_pieces_goes_on_where_it_ended(counter: Counter) -> None:
    content = a_jpeg(100_000)
    assert (await counter.ask("HEAD", named(content))).status == 404
    answer = await counter.put(content, 0, 39_999)
    assert (answer.status, answer.offset, answer.fields["Upload-Complete"]) == (204, 40_000, "?0")
    head = await counter.ask("HEAD", named(content))
    assert (head.status, head.offset, head.fields["Upload-Length"]) == (200, 40_000, "100000")
    assert (await counter.ask("GET", named(content))).status == 404, "not whole, not shown"
    assert (await counter.put(content, 40_000, 40_000)).offset == 40_001
    assert (await counter.put(content, 40_001)).status == 201
    assert (await counter.ask("GET", named(content))).body == content


async def test_a_gap_is_refused_with_the_place_to_go_on_from(counter: Counter) -> None:
    content = a_jpeg(1_000)
    answer = await counter.put(content, 500)
    assert (answer.status, answer.offset) == (409, 0)
    await counter.put(content, 0, 299)
    answer = await counter.put(content, 500)
    assert (answer.status, answer.offset, answer.told["code"]) == (409, 300, "wrong-offset")


async def test_bytes_that_are_here_already_are_passed_over(counter: Counter) -> None:
    content = a_jpeg(1_000)
    await counter.put(content, 0, 599)
    assert (await counter.put(content, 100, 699)).offset == 700
    assert (await counter.put(content, 0, 99)).offset == 700
    assert (await counter.ask("PUT", named(content), content)).status == 201


async def test_a_body_that_is_cut_leaves_what_came_of_it(counter: Counter) -> None:
    content = a_jpeg(500_000)
    await counter.cut_after(content, 150_000)
    await wait_until(lambda: any(each.offset_bytes for each in counter.photos._store.photos))
    head = await counter.ask("HEAD", named(content))
    assert head.offset == 150_000
    assert (await counter.put(content, head.offset)).status == 201


async def test_a_newer_connection_takes_over_from_one_that_hangs(counter: Counter) -> None:
    content = a_jpeg(500_000)
    hangs = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield content[:200_000]
        await hangs.wait()
        yield content[200_000:]

    async with asyncio.TaskGroup() as tasks:
        old = tasks.create_task(counter.ask("PUT", named(content), slowly(), Content_Length="500000"))
        await wait_until(lambda: counter.photos._arriving == 1)
        assert (await counter.put(content, 0, 299_999)).status == 204
        hangs.set()
    assert (old.result().status, old.result().told["code"]) == (409, "superseded")
    assert (await counter.put(content, 300_000)).status == 201


async def test_a_whole_that_is_not_what_its_address_says_is_thrown_away(counter: Counter) -> None:
    content, other = a_jpeg(1_000, seed=1), a_jpeg(1_000, seed=2)
    await counter.put(content, 0, 499)
    answer = await counter.ask("PUT", named(content), other[500:], Content_Range="bytes 500-999/1000")
    assert (answer.status, answer.told["code"]) == (422, "other-content")
    assert (await counter.ask("HEAD", named(content))).status == 404
    assert (await counter.ask("PUT", named(content), content)).status == 201


async def test_another_size_begins_anew(counter: Counter) -> None:
    content = a_jpeg(1_000)
    await counter.ask("PUT", named(content), content[:600], Content_Range="bytes 0-599/2000")
    answer = await counter.put(content, 600)
    assert (answer.status, answer.offset) == (409, 0)
    assert (await counter.put(content)).status == 201


@pytest.mark.parametrize(
    "content", [b"<html><script>alert(1)</script>" + b" " * 100, b"GIF89a" + bytes(100), b"MZ", b"\xff"]
)
async def test_what_is_no_photo_is_refused_and_not_kept(counter: Counter, content: bytes) -> None:
    answer = await counter.ask("PUT", named(content), content)
    assert (answer.status, answer.told["code"]) == (415, "wrong-kind")
    assert (await counter.ask("HEAD", named(content))).status == 404
    assert counter.photos.statistics().size_bytes == 0


async def test_a_wrong_kind_is_seen_in_the_first_piece(counter: Counter) -> None:
    content = b"#!/bin/sh\n" + bytes(2_000_000)
    assert (await counter.put(content, 0, 9_999)).status == 415


async def test_a_pdf_is_taken_and_never_opened_in_the_page(counter: Counter) -> None:
    content = b"%PDF-1.7\n" + bytes(500)
    assert (await counter.ask("PUT", named(content), content)).status == 201
    shown = await counter.ask("GET", named(content))
    assert (shown.fields["Content-Type"], shown.fields["Content-Disposition"]) == ("application/pdf", "attachment")


async def test_merchants_neither_see_nor_disturb_each_others(counter: Counter) -> None:
    content = a_jpeg(1_000)
    await counter.ask("PUT", named(content), content)
    assert (await counter.ask("HEAD", named(content), merchant="luis")).status == 404
    assert (await counter.ask("GET", named(content), merchant="luis")).status == 404
    assert (await counter.put(content, 0, 499, merchant="luis")).status == 204, "new to luis"
    assert (await counter.ask("PUT", named(content), content, merchant="luis")).status == 201
    assert (await counter.ask("GET", named(content))).body == content
    assert (await counter.ask("GET", named(content), merchant=None)).status == 401
    assert (await counter.ask("PUT", named(content), content, merchant=None)).status == 401
    assert (await counter.ask("HEAD", named(content), merchant=None)).status == 401


async def test_an_address_that_is_no_hash_names_nothing(counter: Counter) -> None:
    for name in ("0" * 63, "A" * 64, "g" * 64, "..%2f..%2fkey", "0" * 63 + "%0a"):
        for method in ("HEAD", "GET", "PUT"):
            assert (await counter.ask(method, name, b"x" if method == "PUT" else None)).status == 404


async def test_too_large_a_photo_is_refused_before_it_comes(counter: Counter) -> None:
    content = a_jpeg(100)
    answer = await counter.ask("PUT", named(content), content, Content_Range="bytes 0-99/3000001")
    assert (answer.status, answer.told["code"]) == (413, "too-large")


async def test_a_spent_budget_refuses_politely_and_loses_nothing(counter: Counter) -> None:
    kept = [a_jpeg(3_000_000, seed=seed) for seed in (1, 2)]
    for content in kept:
        assert (await counter.ask("PUT", named(content), content)).status == 201
    more = a_jpeg(1_000)
    answer = await counter.ask("PUT", named(more), more)
    assert (answer.status, answer.told["code"]) == (503, "no-capacity")
    assert int(answer.fields["Retry-After"]) > 0
    assert (await counter.ask("PUT", named(more), more, merchant="luis")).status == 201, "luis has room of his own"
    for content in kept:
        assert (await counter.ask("HEAD", named(content))).fields["Upload-Complete"] == "?1"
    await counter.photos._store.ask(lambda shelf: mark_sent(shelf, named(kept[0])))
    assert (await counter.ask("PUT", named(more), more)).status == 201, "what was sent makes room"


async def test_a_coded_body_and_a_lying_length_are_refused(counter: Counter) -> None:
    content = a_jpeg(1_000)
    assert (await counter.ask("PUT", named(content), content, Content_Encoding="gzip")).status == 400
    answer = await counter.ask("PUT", named(content), content, Content_Range="bytes 0-99/1000")
    assert answer.status == 400

    async def endless() -> AsyncIterator[bytes]:
        yield content

    assert (await counter.ask("PUT", named(content), endless())).status == 411
    assert (await counter.ask("PUT", named(content), endless(), Content_Range="bytes 0-99/1000")).status == 400
    assert (await counter.ask("PUT", named(content), endless(), Content_Range="bytes 0-999/1000")).status == 201


async def test_a_body_that_stands_still_is_given_up_and_kept(tmp_path: Path, clock: HandClock) -> None:
    content = a_jpeg(1_000)
    photos = some_photos(tmp_path / "photos", clock, limits=replace(LIMITS, silence_s=0.02))
    await photos.start()
    app = web.Application()
    app.add_routes(routes(photos, merchant_of))
    listener = Listener("portal", Address("127.0.0.1", 0), app, as_sentence, Limits(stop_s=0.1))
    await listener.start()
    forever = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield content[:700]
        await forever.wait()

    async with aiohttp.ClientSession() as session:
        told = Counter(photos, session, listener.address)
        answer = await told.ask("PUT", named(content), stuck(), Content_Length="1000")
        assert (answer.status, answer.told["code"]) == (408, "stalled")
        assert (await told.ask("HEAD", named(content))).offset == 700
    await listener.stop()
    await photos.stop()


async def test_a_photo_is_made_smaller_when_asked_upright_and_without_its_place(counter: Counter) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter
    exif.get_ifd(0x8825)[1] = "S"
    exif.get_ifd(0x8825)[2] = (13.0, 30.0, 0.0)
    content = a_picture(2_000, 1_000, exif=exif.tobytes())
    assert b"Exif" in content
    answer = await counter.ask("PUT", named(content), content, query="?shrink=1")
    assert answer.status == 201
    smaller = answer.told["smaller"]
    assert (smaller["type"], smaller["size_bytes"] < len(content) // 4) == ("image/webp", True)
    shown = (await counter.ask("GET", smaller["sha256"])).body
    assert named(shown) == smaller["sha256"]
    with Image.open(io.BytesIO(shown)) as image:
        assert image.size == (640, 1_280)
        assert not image.getexif()
        red, green, _ = image.convert("RGB").getpixel((320, 100))  # type: ignore[misc]
        assert red > 150 > 100 > green, "the left half is the upper one now"
    assert b"EXIF" not in shown
    assert (await counter.ask("GET", named(content))).body == content, "the original is as it came"
    again = await counter.ask("PUT", named(content), content, query="?shrink=1")
    assert (again.status, again.told) == (200, answer.told)
    assert counter.photos.statistics().waiting == 2


async def test_what_cannot_be_made_smaller_stays_as_it_is(counter: Counter) -> None:
    for content in (a_jpeg(5_000), b"%PDF-1.7\n" + bytes(500)):
        answer = await counter.ask("PUT", named(content), content, query="?shrink=1")
        assert (answer.status, answer.told["smaller"]) == (201, None)
    assert (await counter.ask("PUT", named(b""), b"x", query="?shrink=yes")).status == 400


async def test_pages_hand_in_a_photo_whole_and_get_the_hash_that_an_order_names(counter: Counter) -> None:
    content = a_picture()
    photo = await counter.photos.take("ana", content)
    assert photo.is_whole
    assert photo.sha256 != named(content)
    assert photo.size_bytes < len(content)
    assert (await counter.photos.take("ana", content)).sha256 == photo.sha256
    plain = await counter.photos.take("ana", content, shrink=False)
    assert plain.sha256 == named(content)
    assert counter.photos._orders.__class__ is MemoryOrders
