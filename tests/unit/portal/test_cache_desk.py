"""The technician's orders about the store reach it as they were meant, and nothing else does."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from gateway.errors import BadRequest, NotFound
from gateway.listener import Listener
from gateway.portal.admin import admin_application
from gateway.portal.apology import render_error
from gateway.portal.cache_desk import ADDRESS_CHARS_MAX, RUN_WORDS, CacheDesk
from gateway.units import Address, parse_address
from gateway.web.ahead.warm_plan import Progress
from gateway.web.ahead.warm_record import Run, State
from gateway.web.housekeeping import Pinned, SiteFigures
from gateway.web.store.store import Removed
from tests.unit.portal.test_admin import FakeBox
from tests.waiting import wait_until

RUN = Run("salud", State.RUNNING, Progress(1, 4, 9, 0, 2_000, 50_000, 12.5), 1_800_000_000.0)


@dataclass
class FakeWarming:
    told: list[tuple[object, ...]]

    def begin(self, name: str, *, now: bool) -> Run:
        self.told.append(("begin", name, now))
        if name != "salud":
            raise NotFound
        return RUN

    def end(self, name: str) -> Run | None:
        self.told.append(("end", name))
        return RUN

    def run_of(self, name: str) -> Run | None:
        return RUN if name == "salud" else None

    def runs(self) -> Sequence[Run]:
        return [RUN]


@dataclass
class FakePages:
    """A room of pages that writes down what it is told."""

    told: list[tuple[object, ...]] = field(default_factory=list)
    size_bytes_max: int = 8_000
    stored_objects: int = 3
    stored_bytes: int = 4_000
    memory_bytes: int = 500
    failures_in_a_row: int = 0

    @property
    def housekeeping(self) -> "FakePages":
        return self

    @property
    def warming(self) -> FakeWarming:
        return FakeWarming(self.told)

    def statistics(self) -> "FakePages":
        return self

    async def stat(self) -> Sequence[SiteFigures]:
        return [SiteFigures("salud", 3, 4_000, 1, 9, 1, 20_000, 2)]

    async def purge(self, address: str) -> Removed:
        self.told.append(("purge", address))
        if not address.startswith("http"):
            raise BadRequest
        return Removed(2, 300)

    async def purge_site(self, name: str) -> Removed:
        self.told.append(("purge_site", name))
        return Removed(5, 600)

    async def purge_group(self, name: str, group: str) -> Removed:
        self.told.append(("purge_group", name, group))
        return Removed(1, 100)

    async def pin(self, address: str, *, on: bool) -> Pinned:
        self.told.append(("pin", address, on))
        return Pinned(1)

    async def pin_site(self, name: str, *, on: bool) -> Pinned:
        self.told.append(("pin_site", name, on))
        return Pinned(0, 2)

    async def pinned(self) -> Sequence[tuple[str, str]]:
        return [("salud", "http://a.test/")]


@pytest.fixture
def pages() -> FakePages:
    return FakePages()


@pytest.fixture
async def base(pages: FakePages) -> AsyncIterator[str]:
    application = admin_application(FakeBox(), {"127.0.0.1"}, CacheDesk(pages).routes())
    listener = Listener("admin", Address("127.0.0.1", 0), application, render_error)
    await listener.start()
    yield f"http://{listener.address}"
    await listener.stop()


async def told(method: str, url: str, document: object = None, **headers: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, url, json=document) as answer,
    ):
        return answer.status, await answer.json()


async def test_a_client_that_hangs_up_ends_no_purge(
    base: str, pages: FakePages, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(name: str) -> Removed:
        begun.set()
        await goes_on.wait()
        pages.told.append(("purged", name))
        return Removed(1, 1)

    monkeypatch.setattr(pages, "purge_site", slow)
    address = parse_address(base.removeprefix("http://"))
    _, writer = await asyncio.open_connection(address.host, address.port)
    order = b'{"site": "salud"}'
    head = f"POST /cache/purge HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
    writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(order) + order)
    async with asyncio.timeout(10):
        await begun.wait()
        writer.transport.abort()
        await asyncio.sleep(0.05)
        goes_on.set()
    await wait_until(lambda: ("purged", "salud") in pages.told)


async def test_the_store_is_told_site_by_site_and_whole(base: str) -> None:
    status, said = await told("GET", f"{base}/cache/stat")
    assert status == 200
    assert said["sites"] == [
        {
            "site": "salud",
            "answers": 3,
            "size_bytes": 4_000,
            "pinned": 1,
            "hits": 9,
            "misses": 1,
            "saved_bytes": 20_000,
            "waiting": 2,
        }
    ]
    assert said["whole"] == {
        "stored_objects": 3,
        "stored_bytes": 4_000,
        "memory_bytes": 500,
        "failures_in_a_row": 0,
        "size_bytes_max": 8_000,
    }


@pytest.mark.parametrize(
    ("path", "order", "meant", "said"),
    [
        ("purge", {"url": "http://a.test/"}, ("purge", "http://a.test/"), {"answers": 2, "size_bytes": 300}),
        ("purge", {"site": "salud"}, ("purge_site", "salud"), {"answers": 5, "size_bytes": 600}),
        ("purge", {"site": "salud", "group": "g"}, ("purge_group", "salud", "g"), {"answers": 1, "size_bytes": 100}),
        ("pin", {"url": "http://a.test/", "on": True}, ("pin", "http://a.test/", True), {"pages": 1, "to_come": 0}),
        ("pin", {"url": "http://a.test/"}, ("pin", "http://a.test/", False), {"pages": 1, "to_come": 0}),
        ("pin", {"site": "salud", "on": True}, ("pin_site", "salud", True), {"pages": 0, "to_come": 2}),
    ],
)
async def test_an_order_reaches_the_store_as_it_was_meant(
    base: str, pages: FakePages, path: str, order: object, meant: tuple[object, ...], said: object
) -> None:
    assert await told("POST", f"{base}/cache/{path}", order) == (200, said)
    assert pages.told == [meant]


async def test_a_run_is_begun_followed_and_stopped(base: str, pages: FakePages) -> None:
    shown = {
        "site": "salud",
        "state": "running",
        "pages_done": 1,
        "pages_known": 4,
        "pieces_done": 9,
        "failed": 0,
        "moved_bytes": 2_000,
        "allowed_bytes": 50_000,
        "left_s": 12.5,
        "began_s": 1_800_000_000.0,
        "ended_s": None,
    }
    assert await told("POST", f"{base}/cache/warm", {"site": "salud", "now": True}) == (200, shown)
    assert await told("GET", f"{base}/cache/warm/salud") == (200, shown)
    assert await told("GET", f"{base}/cache/warm/muni") == (200, {"site": "muni", "state": "never"})
    assert await told("POST", f"{base}/cache/warm/stop", {"site": "salud"}) == (200, shown)
    assert pages.told == [("begin", "salud", True), ("end", "salud")]


async def test_what_is_pinned_is_listed(base: str) -> None:
    assert await told("GET", f"{base}/cache/pin") == (200, {"pinned": [{"site": "salud", "url": "http://a.test/"}]})


@pytest.mark.parametrize(
    ("path", "order"),
    [
        ("purge", []),
        ("purge", {}),
        ("purge", {"url": 5}),
        ("purge", {"url": ""}),
        ("purge", {"url": "h" * (ADDRESS_CHARS_MAX + 1)}),
        ("purge", {"group": "g"}),
        ("purge", {"site": ["salud"]}),
        ("purge", {"url": "not an address"}),
        ("pin", {"url": "http://a.test/", "on": "yes"}),
        ("warm", {"now": True}),
        ("warm", {"site": "salud", "now": 1}),
        ("warm/stop", {}),
    ],
)
async def test_an_order_that_is_none_is_refused_in_the_readers_language(
    base: str, pages: FakePages, path: str, order: object
) -> None:
    status, said = await told("POST", f"{base}/cache/{path}", order, **{"Accept-Language": "en"})
    assert status == 400
    assert said["error"]["message"].endswith(".")
    assert [each for each in pages.told if each[0] != "purge"] == []


async def test_a_site_nobody_set_is_not_found(base: str) -> None:
    assert (await told("POST", f"{base}/cache/warm", {"site": "no"}))[0] == 404


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"site": "salud"}', {"Content-Type": "text/plain"}, 400),
        (b'{"site": ', {"Content-Type": "application/json"}, 400),
        (b'{"site": "salud"}', {"Content-Type": "application/json", "Origin": "http://evil.example"}, 403),
        (b'{"site": "salud"}', {"Content-Type": "application/json", "Host": "evil.example"}, 421),
    ],
)
async def test_a_foreign_page_cannot_empty_the_store(
    base: str, pages: FakePages, body: bytes, headers: dict[str, str], status: int
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{base}/cache/purge", data=body, headers=headers) as answer,
    ):
        assert answer.status == status
    assert pages.told == []


def test_every_state_of_a_run_has_its_words() -> None:
    assert set(RUN_WORDS) == set(State)
