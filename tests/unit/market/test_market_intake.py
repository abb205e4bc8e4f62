"""The merchants' interface, over a real listener."""

import asyncio
import json
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.backhaul.link import Backhaul
from gateway.errors import GatewayError, NotSignedIn
from gateway.listener import Listener
from gateway.market.intake import routes
from gateway.market.order import ORDER_BYTES_MAX, content_hash, order_from
from gateway.market.room import MarketLimits, MarketRoom
from gateway.units import Address
from tests.clocks import HandClock
from tests.unit.market.orders import KEY, as_json, fields, new_id

LIMITS = MarketLimits(ballast_bytes=100_000, free_bytes_min=0)
EVIL = "evil-7f3a"
JSON = {"Content-Type": "application/json"}


async def merchant_of(request: web.Request) -> str:
    scheme, _, name = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        raise NotSignedIn
    return name


def as_sentence(request: web.BaseRequest, error: GatewayError) -> web.Response:
    del request
    return web.json_response({"code": error.code, "what": str(error), "advice": error.advice}, status=error.status)


async def answers(peer: tuple[str, int]) -> bool:
    return True


@dataclass
class Shop:
    room: MarketRoom
    session: aiohttp.ClientSession
    url: str
    address: Address

    async def post(self, body: bytes, merchant: str = "ana", **headers: str) -> tuple[int, dict[str, Any], Any]:
        sent = {**JSON, "Authorization": f"Bearer {merchant}", **headers}
        async with self.session.post(self.url, data=body, headers=sent) as answer:
            return answer.status, await answer.json(), answer.headers

    async def ask(
        self, method: str, path: str, body: bytes | None = None, merchant: str = "ana", if_match: str = ""
    ) -> tuple[int, dict[str, Any], Any]:
        seen = {"If-Match": if_match} if if_match else {}
        sent = {"Authorization": f"Bearer {merchant}", **({} if body is None else JSON), **seen}
        async with self.session.request(method, f"{self.url}{path}", data=body, headers=sent) as answer:
            return answer.status, await answer.json(), answer.headers

    async def get(self, path: str = "", merchant: str = "ana") -> tuple[int, dict[str, Any]]:
        sent = {"Authorization": f"Bearer {merchant}"}
        async with self.session.get(f"{self.url}{path}", headers=sent) as answer:
            return answer.status, await answer.json()


def a_room(tmp_path: Path, clock: HandClock) -> MarketRoom:
    return MarketRoom(
        key=KEY,
        boot="",
        receipt_seed=KEY,
        photo_key=KEY,
        trusted_boxes=(),
        marketplace_name="",
        folder=tmp_path / "market",
        box_name="san-mateo",
        receipt_code="SMT",
        clock=clock,
        backhaul=Backhaul(clock, capacity=None, carrier=lambda: True, probe=answers),
        marketplace=None,
        catalogue=None,
        limits=LIMITS,
        random=Random(1),
    )


@pytest.fixture
async def shop(tmp_path: Path, clock: HandClock) -> AsyncIterator[Shop]:
    room = a_room(tmp_path, clock)
    await room.start()
    app = web.Application()
    app.add_routes(routes(room, merchant_of))
    listener = Listener("portal", Address("127.0.0.1", 0), app, as_sentence)
    await listener.start()
    async with aiohttp.ClientSession() as session:
        yield Shop(room, session, f"http://{listener.address}/api/v1/orders", listener.address)
    await listener.stop()
    await room.stop()


async def test_a_new_order_is_answered_201_with_its_receipt_and_again_200_with_the_same(shop: Shop) -> None:
    sent = fields()
    status, receipt, headers = await shop.post(json.dumps(sent).encode())
    assert status == 201
    assert set(receipt) == {"id", "receipt", "state", "recorded_at", "hash"}
    assert receipt["id"] == sent["id"]
    assert receipt["receipt"] == "SMT-0001-0001"
    assert receipt["state"] == "recorded"
    assert receipt["recorded_at"] == "2027-01-15T08:00:00.000Z"
    assert receipt["hash"] == content_hash(order_from(sent), "ana")
    assert headers["Location"] == f"/api/v1/orders/{sent['id']}"
    assert headers["Cache-Control"] == "no-store"
    status, again, _ = await shop.post(json.dumps(sent | {"id": sent["id"].upper()}).encode())
    assert (status, again) == (200, receipt)
    assert await shop.room.waiting() == 1


async def test_the_same_id_with_other_content_is_a_conflict(shop: Shop) -> None:
    sent = fields()
    await shop.post(json.dumps(sent).encode())
    status, told, _ = await shop.post(json.dumps(sent | {"note": EVIL}).encode())
    assert (status, told["code"]) == (409, "conflict")
    assert EVIL not in json.dumps(told)
    status, told, _ = await shop.post(json.dumps(sent).encode(), merchant="luis")
    assert status == 409


async def test_fifty_merchants_at_once_each_get_one_receipt(shop: Shop) -> None:
    bodies = [as_json() for _ in range(50)]
    async with asyncio.TaskGroup() as tasks:
        posted = [tasks.create_task(shop.post(body, f"m{index % 10}")) for index, body in enumerate(bodies)]
    assert [task.result()[0] for task in posted] == [201] * 50
    assert len({task.result()[1]["receipt"] for task in posted}) == 50


async def test_a_merchant_sees_their_own_orders_only(shop: Shop) -> None:
    sent = fields()
    await shop.post(json.dumps(sent).encode())
    await shop.post(as_json(), merchant="luis")
    status, shown = await shop.get(f"/{sent['id'].upper()}")
    assert status == 200
    assert {name: shown[name] for name in sent} == sent
    assert (shown["state"], shown["reason"], shown["total_minor"]) == ("queued", "", 2_323)
    assert (await shop.get(f"/{sent['id']}", merchant="luis"))[0] == 404
    status, listed = await shop.get()
    assert (status, [each["id"] for each in listed["orders"]]) == (200, [sent["id"]])


async def test_the_list_is_newest_first_and_bounded(shop: Shop) -> None:
    ids = [new_id() for _ in range(4)]
    for each in ids:
        await shop.post(as_json(id=each))
    _, listed = await shop.get("?limit=2")
    assert [each["id"] for each in listed["orders"]] == [ids[3], ids[2]]
    for limit in ("0", "-1", "201", "x", "", "9" * 500, "1.5", "%D9%A1"):
        status, _ = await shop.get(f"?limit={limit}")
        assert status == 400, limit


@pytest.mark.parametrize("path", ["/x", f"/{EVIL}", "/..%2f..%2fetc", f"/{new_id()}"])
async def test_an_order_that_is_not_there_is_not_found(shop: Shop, path: str) -> None:
    status, told = await shop.get(path)
    assert status == 404
    assert EVIL not in json.dumps(told)


async def test_who_is_not_known_records_nothing(shop: Shop) -> None:
    async with shop.session.post(shop.url, data=as_json(), headers=JSON) as answer:
        assert answer.status == 401
    assert await shop.room.waiting() == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": f"application/{EVIL}"}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Encoding": "br"}, 415),
        ({"Content-Type": "application/json; charset=UTF-8"}, 201),
    ],
)
async def test_only_json_as_it_is_is_taken(shop: Shop, headers: dict[str, str], status: int) -> None:
    got, told, _ = await shop.post(as_json(), **headers)
    assert got == status
    assert EVIL not in json.dumps(told)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"id":1,"id":2}',
        b'{"evil-7f3a":1}',
        as_json(id=EVIL),
        as_json(note=f"{EVIL}\x00"),
        as_json(lines=[{EVIL: 1}]),
        b"[" * 100_000,
        b'{"id": NaN}',
        json.dumps({EVIL: "\ud800"}).encode(),
        as_json(buyer={"name": "\udfff", "phone": "984123456"}),
    ],
)
async def test_a_faulty_order_gets_a_sentence_that_repeats_none_of_it(shop: Shop, body: bytes) -> None:
    status, told, _ = await shop.post(body)
    assert status == 400
    assert re.match(r"[A-Z].*\.$", told["what"])
    assert EVIL not in json.dumps(told)
    assert await shop.room.waiting() == 0


async def test_a_field_at_fault_is_named(shop: Shop) -> None:
    sent = fields()
    sent["lines"][1]["quantity"] = 2
    _, told, _ = await shop.post(json.dumps(sent).encode())
    assert "lines[1].quantity" in told["what"]


async def test_an_order_over_the_limit_is_refused_with_and_without_a_length(shop: Shop) -> None:
    body = as_json(note="x") + b" " * ORDER_BYTES_MAX
    assert (await shop.post(body))[0] == 413

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    sent = {**JSON, "Authorization": "Bearer ana"}
    async with shop.session.post(shop.url, data=pieces(), headers=sent) as answer:
        assert answer.status == 413
    assert await shop.room.waiting() == 0


async def test_a_body_that_is_cut_records_nothing(shop: Shop) -> None:
    body = as_json()
    reader, writer = await asyncio.open_connection(*shop.address)
    head = "POST /api/v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ana\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-1])
    await writer.drain()
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    writer.transport.abort()
    with suppress(ConnectionError):
        await reader.read()
    status, _ = await shop.get()
    assert status == 200
    assert await shop.room.waiting() == 0


async def test_what_the_room_says_of_itself(shop: Shop) -> None:
    await shop.post(as_json())
    said = shop.room.statistics()
    assert (said.waiting, said.recorded, said.needs_a_technician) == (1, 1, False)
    assert said.drain.batches == 0


async def test_a_change_is_a_new_revision_and_says_which_it_saw(shop: Shop) -> None:
    sent = fields()
    await shop.post(json.dumps(sent).encode())
    path, changed = f"/{sent['id']}", json.dumps(sent | {"note": "Mañana"}).encode()
    _, _, headers = await shop.ask("GET", path)
    assert headers["ETag"] == '"1"'
    status, shown, headers = await shop.ask("PUT", path, changed, if_match='"1"')
    assert (status, shown["revision"], shown["note"], headers["ETag"]) == (200, 2, "Mañana", '"2"')
    _, listed = await shop.get()
    assert [(each["revision"], each["note"]) for each in listed["orders"]] == [(2, "Mañana")]


async def test_a_change_whose_answer_was_lost_comes_again_and_is_done_once(shop: Shop) -> None:
    sent = fields()
    await shop.post(json.dumps(sent).encode())
    path, changed = f"/{sent['id']}", json.dumps(sent | {"note": "Mañana"}).encode()
    first = await shop.ask("PUT", path, changed, if_match='"1"')
    again = await shop.ask("PUT", path, changed, if_match='"1"')
    assert (again[0], again[1]) == (200, first[1])
    assert again[1]["revision"] == 2


async def test_a_change_of_what_was_changed_meanwhile_changes_nothing(shop: Shop) -> None:
    sent = fields()
    await shop.post(json.dumps(sent).encode())
    path = f"/{sent['id']}"
    await shop.ask("PUT", path, json.dumps(sent | {"note": "uno"}).encode(), if_match='"1"')
    other = json.dumps(sent | {"note": "dos"}).encode()
    status, told, headers = await shop.ask("PUT", path, other, if_match='"1"')
    assert (status, told["code"], headers["ETag"]) == (412, "changed-meanwhile", '"2"')
    assert (await shop.ask("PUT", path, other))[0] == 428
    assert (await shop.ask("PUT", path, other, if_match='W/"2"'))[0] == 412
    assert (await shop.get(path))[1]["note"] == "uno"
    assert (await shop.ask("PUT", path, other, if_match="*"))[1]["note"] == "dos"


async def test_a_change_names_the_order_it_changes_and_only_an_own_one(shop: Shop) -> None:
    sent = fields()
    await shop.post(json.dumps(sent).encode())
    body, seen = json.dumps(sent).encode(), '"1"'
    assert (await shop.ask("PUT", f"/{new_id()}", as_json(), if_match=seen))[0] == 404
    assert (await shop.ask("PUT", f"/{sent['id']}", as_json(), if_match=seen))[0] == 409
    assert (await shop.ask("PUT", f"/{sent['id']}", body, merchant="luis", if_match=seen))[0] == 404
    assert (await shop.ask("DELETE", f"/{sent['id']}", merchant="luis", if_match=seen))[0] == 404
    assert (await shop.get(f"/{sent['id']}"))[1]["revision"] == 1


async def test_a_cancelled_order_stays_cancelled_however_often_it_is_asked(shop: Shop) -> None:
    sent = fields()
    await shop.post(json.dumps(sent).encode())
    path = f"/{sent['id']}"
    assert (await shop.ask("DELETE", path))[0] == 428
    for _ in range(2):
        status, shown, _ = await shop.ask("DELETE", path, if_match='"1"')
        assert (status, shown["state"], shown["revision"]) == (200, "cancelled", 2)
    status, told, _ = await shop.ask("PUT", path, json.dumps(sent).encode(), if_match='"2"')
    assert (status, told["code"]) == (409, "conflict")
    assert await shop.room.waiting() == 0


async def test_the_list_goes_on_where_it_ended_and_shows_only_the_states_asked_for(shop: Shop) -> None:
    ids = [new_id() for _ in range(5)]
    for each in ids:
        await shop.post(as_json(id=each))
    await shop.ask("DELETE", f"/{ids[1]}", if_match='"1"')
    seen: list[str] = []
    onward = ""
    while True:
        _, page = await shop.get(f"?limit=2{onward}")
        seen += [each["id"] for each in page["orders"]]
        if "next" not in page:
            break
        onward = f"&before={page['next']}"
    assert seen == ids[::-1]
    _, cancelled = await shop.get("?state=cancelled&state=accepted")
    assert [each["id"] for each in cancelled["orders"]] == [ids[1]]
    for query in ("?state=lost", "?before=x", "?before=-1", "?before=", f"?before={'9' * 30}"):
        assert (await shop.get(query))[0] == 400, query
