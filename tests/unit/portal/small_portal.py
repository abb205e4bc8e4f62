"""A portal on a free port with rooms made of plain values, and a browser of few words."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from multidict import CIMultiDictProxy
from yarl import URL

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.shares import Capacity
from gateway.errors import NotAllowed
from gateway.listener import Listener
from gateway.portal.accounts import Accounts
from gateway.portal.portal import Portal, PortalLimits
from gateway.units import Address
from tests.clocks import HandClock
from tests.unit.portal.fake_market import FakeMarket

PASSWORD = "seis llamas al alba"


@dataclass(frozen=True)
class FakeSite:
    name: str
    title: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class FakeWeb:
    sites: tuple[FakeSite, ...] = (
        FakeSite("salud", "Posta de salud", ("salud.localhost",)),
        FakeSite("escuela", "Escuela de San Mateo", ("escuela.localhost",)),
        FakeSite("muni", "Municipalidad", ("muni.localhost",)),
    )


@dataclass(frozen=True)
class FakePlace:
    role: Literal["nurse", "doctor"]
    consultation: str = "no-record"


class FakeClinic:
    def read(self, token: str) -> FakePlace:
        if token not in {"n-token", "d-token"}:
            raise NotAllowed
        return FakePlace("nurse" if token == "n-token" else "doctor")

    async def serve_socket(self, request: web.Request, token: str, far: bool) -> web.StreamResponse:
        del far
        return web.Response(text=f"socket of {self.read(token).role}")

    async def check_link(self, request: web.Request, token: str) -> web.StreamResponse:
        del request
        return web.Response(text=f"link of {self.read(token).role}")


async def never(peer: tuple[str, int]) -> bool:
    del peer
    return False


@dataclass
class SmallPortal:
    """What runs, and how to reach it."""

    clock: HandClock
    accounts: Accounts
    market: FakeMarket
    portal: Portal
    base: str
    door: str


@asynccontextmanager
async def small_portal(
    folder: Path, clock: HandClock, *, catalogue: bool = True, has_market: bool = True
) -> AsyncIterator[SmallPortal]:
    accounts = Accounts(folder, clock)
    market = FakeMarket(clock)
    if not catalogue:
        market.storefront.offer(None)
    portal = Portal(
        accounts=accounts,
        clock=clock,
        backhaul=Backhaul(clock, capacity=Capacity(4_000_000, 1_000_000), carrier=lambda: True, probe=never),
        web=FakeWeb(),
        market=market if has_market else None,
        clinic=FakeClinic(),
        door_url="https://puerta.example:8444/",
        secret=b"k" * 32,
        limits=PortalLimits(body_bytes_max=20_000, session_idle_s=3_600.0),
        has_https=False,
        proxy_port=lambda: 3128,
    )
    await portal.start()
    village = Listener("portal", Address("127.0.0.1", 0), portal.application(), portal.render_error)
    door = Listener("door", Address("127.0.0.1", 0), portal.door(), portal.render_error)
    await village.start()
    await door.start()
    try:
        yield SmallPortal(
            clock,
            accounts,
            market,
            portal,
            f"http://127.0.0.1:{village.address.port}",
            f"http://127.0.0.1:{door.address.port}",
        )
    finally:
        await door.stop()
        await village.stop()
        await portal.stop()


@dataclass(frozen=True)
class Page:
    """An answer, read."""

    status: int
    headers: CIMultiDictProxy[str]
    text: str
    path: str
    cookies: dict[str, str]

    def field(self, name: str) -> str:
        """The value of a hidden or filled field."""
        found = re.search(rf'name="{re.escape(name)}"[^>]* value="([^"]*)"', self.text)
        assert found, f"no field {name}"
        return found[1]


class SmallBrowser:
    """Keeps cookies, follows redirections, sends forms as a browser does."""

    def __init__(self, base: str, language: str = "es") -> None:
        self.base = base
        jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=URL(base))
        headers = {"Accept": "text/html", "Accept-Language": language, "Accept-Encoding": "br, gzip"}
        self.session = aiohttp.ClientSession(cookie_jar=jar, headers=headers)

    async def __aenter__(self) -> "SmallBrowser":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def get(self, path: str, **headers: str) -> Page:
        async with self.session.get(self.base + path, headers=headers) as answer:
            return await _page(answer)

    async def post(self, path: str, fields: dict[str, str], origin: str | None = "", *, follow: bool = True) -> Page:
        headers = {} if origin is None else {"Origin": origin or self.base}
        sent = self.session.post(self.base + path, data=fields, headers=headers, allow_redirects=follow)
        async with sent as answer:
            return await _page(answer)

    async def sign_in(self, name: str, password: str = PASSWORD, path: str = "/entrar") -> Page:
        form = await self.get(path)
        wanted = {"token": form.field("token"), "next": form.field("next"), "name": name, "password": password}
        return await self.post("/entrar", wanted)


async def _page(answer: aiohttp.ClientResponse) -> Page:
    cookies = {name: morsel.OutputString() for name, morsel in answer.cookies.items()}
    return Page(answer.status, answer.headers, await answer.text(), urlsplit(str(answer.url)).path, cookies)
