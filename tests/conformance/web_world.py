"""A web room between two real listeners and a scripted origin, all on this machine, under a clock moved by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from unittest.mock import patch

from aiohttp import web

from gateway.backhaul.dialer import Endpoint, UnreachableError
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.errors import GatewayError
from gateway.listener import Limits, Listener
from gateway.units import Address
from gateway.web.ahead.warm_plan import WarmOrder
from gateway.web.limits import WebLimits
from gateway.web.room import WebRoom
from gateway.web.saver.pictures import Policy
from gateway.web.saver.saver import SaverLimits
from gateway.web.site import Site
from tests.clocks import HandClock
from tests.waiting import wait_until

Door = Literal["site", "proxy"]
DOORS: tuple[Door, ...] = ("site", "proxy")
SITE_HOST = "sitio.test"
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Seen:
    """A request as it came to the origin."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.fields if each.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)


@dataclass(frozen=True)
class Got:
    """An answer as a browser got it; `whole` says that it ended as HTTP says, not by a cut."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    whole: bool
    interim: tuple[tuple[int, tuple[tuple[str, str], ...]], ...] = ()  # what came before it: status and fields

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.fields if each.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)

    @property
    def cache(self) -> str:
        return self.get("cache-status") or ""


Script = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]
Answer = bytes | Script


def reply(body: bytes = b"", fields: Pairs = (), status: int = 200, *, length: bool = True) -> bytes:
    """An answer in bytes, with its length."""
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in fields)]
    if length and status not in {204, 304}:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (b"" if status in {204, 304} else body)


class Origin:
    """A server that answers each path with what its script says, one answer after another, the last for ever."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.scripts: dict[str, list[Answer]] = {}
        self.connections = 0
        self.address = Address("127.0.0.1", 0)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None] | None] = set()

    def on(self, path: str, *answers: Answer) -> None:
        self.scripts[path] = list(answers)

    def asked(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.target.partition("?")[0] == path]

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=1_000_000)
        self.address = Address(*self._server.sockets[0].getsockname()[:2])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for task in list(self._tasks):
                if task is not None:
                    task.cancel()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while not writer.is_closing():
                    await self._answer(await read_request(reader), writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        self.seen.append(seen)
        answers = self.scripts.get(seen.target.partition("?")[0], [reply(b"nothing here", status=404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            await answer(seen, writer)
        elif not answer:
            writer.close()
        else:
            writer.write(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if seen.method == "HEAD" else answer)
            await writer.drain()


async def read_request(reader: asyncio.StreamReader) -> Seen:
    """Read one request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    fields = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
    body = await read_body(reader, fields)
    return Seen(method, target, fields, body)


async def read_body(reader: asyncio.StreamReader, fields: Iterable[tuple[str, str]]) -> bytes:
    """Read a body that states its length, or is chunked."""
    said = {name.lower(): value for name, value in fields}
    if "content-length" in said:
        return await reader.readexactly(int(said["content-length"]))
    body = b""
    if said.get("transfer-encoding", "").lower() == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
    return body


async def read_answer(reader: asyncio.StreamReader, method: str = "GET") -> Got:
    """Read one answer, whole or cut."""
    interim = []
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")[:-2]
        status = int(first.split(" ")[1])
        fields = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        if status >= 200:
            break
        interim.append((status, fields))
    body, whole = await _read_to_its_end(reader, fields, bodiless=method == "HEAD" or status in {204, 304})
    return Got(status, fields, body, whole, tuple(interim))


async def _read_to_its_end(
    reader: asyncio.StreamReader, fields: tuple[tuple[str, str], ...], *, bodiless: bool
) -> tuple[bytes, bool]:
    if bodiless:
        return b"", True
    names = {name.lower() for name, _ in fields}
    try:
        if not names & {"content-length", "transfer-encoding"}:
            return await reader.read(), True
        return await read_body(reader, fields), True
    except (asyncio.IncompleteReadError, ConnectionError):
        return b"", False


class ToOrigin:
    """A dialer for whom every name is the origin, save those that are nowhere or hang."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.asked: list[tuple[str, int]] = []

    async def endpoints(self, host: str, port: int) -> Sequence[Endpoint]:
        self.asked.append((host, port))
        if host == "nowhere.test":
            raise UnreachableError("no such name")
        if host == "hangs.test":
            await asyncio.Event().wait()
        return [Endpoint(*self._origin.address)]


@dataclass
class World:
    """All of it."""

    origin: Origin
    clock: HandClock
    backhaul: Backhaul
    room: WebRoom
    site: Listener
    proxy: Listener
    link: "Link"
    folder: Path
    dialer: ToOrigin
    errors: list[GatewayError] = field(default_factory=list)

    def url(self, path: str, door: Door) -> str:
        """The request target for a path."""
        return path if door == "site" else f"http://{SITE_HOST}{path}"

    async def connect(self, door: Door) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        listener = self.site if door == "site" else self.proxy
        return await asyncio.open_connection(*listener.address)

    async def ask(
        self,
        path: str,
        fields: Pairs = (),
        *,
        method: str = "GET",
        door: Door = "site",
        body: bytes = b"",
        version: str = "1.1",
    ) -> Got:
        """Send one request and read its answer."""
        lines = [f"{method} {self.url(path, door)} HTTP/{version}", f"Host: {SITE_HOST}"]
        lines += [f"{name}: {value}" for name, value in fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return await self.say(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body, door=door, method=method)

    async def say(self, data: bytes, *, door: Door = "site", method: str = "GET") -> Got:
        """Send bytes and read one answer."""
        reader, writer = await self.connect(door)
        try:
            async with asyncio.timeout(10):
                writer.write(data)
                return await read_answer(reader, method)
        finally:
            writer.transport.abort()

    async def cut(self) -> None:
        """Take the link away, and wait until that is known."""
        self.link.carrier = False
        await wait_until(lambda: self.backhaul.is_down)

    async def mend(self) -> None:
        self.link.carrier = True
        await wait_until(lambda: not self.backhaul.is_down)

    async def stored(self, count: int = 1) -> None:
        """Wait until so many answers are stored, and none is under way."""
        await wait_until(
            lambda: self.room.statistics().stored_objects >= count and not self.room.statistics().fetches_open
        )

    async def tidy(self) -> None:
        """Wait until nothing is left of bodies that were under way."""
        await wait_until(lambda: not list((self.folder / "spool").iterdir()))

    async def quiet(self) -> None:
        """Wait until no fetch is under way."""
        await wait_until(lambda: not self.room.statistics().fetches_open)


@dataclass
class Link:
    """The link's interface, and what a probe finds."""

    carrier: bool = True
    answers: bool = True


def limits(**changed: float) -> WebLimits:
    """Small limits."""
    figures = {
        "size_bytes_max": 50_000_000,
        "memory_bytes_max": 4_000_000,
        "object_bytes_max": 2_000_000,
        "slice_bytes": 65_536,
        "free_bytes_min": 0,
        "write_every_s": 5.0,
        "upload_bytes_max": 100_000,
        "fetches_max": 400,
        "device_requests_max": 48,
        "patience_s": 3.0,
        "reader_s": 120.0,
        "head_s": 120.0,
        "tunnel_idle_s": 600.0,
        "connect_s": 5.0,
        "silence_s": 5.0,
        "tunnels_max": 10,
        **changed,
    }
    return WebLimits(**figures)  # type: ignore[arg-type]  # ints where ints are due


def plain(request: web.BaseRequest, error: GatewayError) -> web.Response:
    """An error as a sentence, the way the portal does it, without the portal."""
    del request
    return web.Response(status=error.status, text=f"{error.what} {error.advice}", headers={"X-Code": error.code})


@asynccontextmanager
async def world(
    folder: Path,
    *,
    origin: Origin | None = None,
    clock: HandClock | None = None,
    warm: WarmOrder = WarmOrder(),  # noqa: B008 - frozen
    pictures: Policy = Policy(),  # noqa: B008 - frozen
    saver: SaverLimits = SaverLimits(often=0),  # noqa: B008 - frozen
    served: Callable[[str, int], None] | None = None,
    **changed: float,
) -> AsyncIterator[World]:
    """Run a world; an origin or a clock from an earlier one goes on."""
    serving, hand, link = origin or Origin(), clock or HandClock(), Link()
    if origin is None:
        await serving.start()

    async def probe(peer: tuple[str, int]) -> bool:
        del peer
        return link.answers

    backhaul = Backhaul(hand, capacity=None, carrier=lambda: link.carrier, probe=probe)
    dialer = ToOrigin(serving)
    room = WebRoom(
        folder=folder,
        name="prueba",
        sites=[
            Site(
                "sitio",
                "Sitio",
                (SITE_HOST,),
                f"http://{serving.address}",
                TrafficClass.WEB,
                warm=warm,
                pictures=pictures,
            )
        ],
        saver=saver,
        limits=limits(**changed),
        clock=hand,
        backhaul=backhaul,
        site_dialer=dialer,
        proxy_dialer=dialer,
        served=served,
    )
    small = Limits(stop_s=0.2)
    site = Listener("site", Address("127.0.0.1", 0), room.doors.site, plain, limits=small, early=room.site_early.answer)
    proxy = Listener(
        "proxy", Address("127.0.0.1", 0), room.doors.proxy, plain, limits=small, early=room.proxy_early.answer
    )
    watch = "gateway.backhaul.sensing.watch"
    with (
        patch(f"{watch}.CARRIER_POLL_S", 0.01),
        patch(f"{watch}.WAVE_S", 0.01),
        patch(f"{watch}.JUDGE_S", 0.01),
        patch(f"{watch}.STALL_ANSWER_S", 0.0),  # the hand clock stands still
        patch(f"{watch}.ANSWER_S", 0.0),
    ):
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(backhaul.run())
            await room.start()
            await site.start()
            await proxy.start()
            try:
                yield World(serving, hand, backhaul, room, site, proxy, link, folder, dialer)
            finally:
                room.close_tunnels()
                await site.stop()
                await proxy.stop()
                await room.stop()
                if origin is None:
                    await serving.stop()
                watching.cancel()
