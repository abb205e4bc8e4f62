"""A web room whose connections workers accept: real processes, so under the machine's own clock."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from gateway.backhaul.reach import is_of
from gateway.clock import SystemClock
from gateway.listener import Limits, Listener
from gateway.units import Address
from gateway.web.early.workers import Door, Workers
from tests.clocks import HandClock
from tests.conformance.web_world import World, plain, world
from tests.waiting import wait_until


class RealClock(HandClock):
    """The machine's clock, where one that is moved by hand is asked for."""

    def now_s(self) -> float:
        return SystemClock().now_s()

    def wall_s(self) -> float:
        return SystemClock().wall_s()


@dataclass
class Village:
    """A world, its two shared listeners, and one like the site's that nobody else accepts for."""

    world: World
    workers: Workers
    site: Listener
    proxy: Listener
    patient: Listener
    running: asyncio.Task[None]

    async def ready(self, count: int = 1) -> None:
        """Wait until so many workers accept, and the box does not."""
        await wait_until(lambda: self.workers.ready == count and not self.site.accepts)

    def ports(self) -> set[int]:
        """The browsers' ports of the connections that the box has."""
        runner = self.site._runner
        assert runner is not None
        assert runner.server is not None
        return {transport.get_extra_info("peername")[1] for transport in runner.server._connections.values()}


def pids() -> list[int]:
    """The workers of this process."""
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        for child in path.read_text().split():
            command = Path(f"/proc/{child}/cmdline")
            if command.exists() and b"gateway.web.early.worker\0" in command.read_bytes():
                found.append(int(child))
    return sorted(found)


def rss_kb(pid: int) -> int:
    """The memory that a process has of its own or shares."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def unread(listening: int, port: int) -> bool:
    """Whether something from this port waits to be read behind that one."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, here, there, _, queues, *_ = line.split()
        if (int(here.rpartition(":")[2], 16), int(there.rpartition(":")[2], 16)) == (listening, port):
            return int(queues.rpartition(":")[2], 16) > 0
    return False


async def answers_apart(listener: Listener, *pieces: bytes) -> tuple[bytes, bool]:
    """All that comes back for these pieces, and whether a reset ended it.

    Each piece is read over there before the next is sent: a parser that gets two at once refuses both for the last.
    """
    loop = asyncio.get_running_loop()
    with socket.socket() as browser:
        browser.setblocking(False)
        await loop.sock_connect(browser, tuple(listener.address))
        port = browser.getsockname()[1]
        with suppress(OSError):  # it was closed before the last piece; what it said is there
            for piece in pieces:
                await loop.sock_sendall(browser, piece)
                await wait_until(lambda: not unread(listener.address.port, port))
            browser.shutdown(socket.SHUT_WR)
        found = b""
        async with asyncio.timeout(10):
            try:
                while data := await loop.sock_recv(browser, 65_536):
                    found += data
            except ConnectionError:
                return found, True
        return found, False


@asynccontextmanager
async def village(
    folder: Path,
    *,
    count: int = 1,
    limits: Limits = Limits(stop_s=0.2),  # noqa: B008 - frozen
    clients: tuple[IPv4Network, ...] | None = None,
    access_log: bool = True,
    served: Callable[[str, int], None] | None = None,
) -> AsyncIterator[Village]:
    """Run a world with workers, and wait until they accept."""
    async with world(folder, clock=RealClock(), served=served) as w, asyncio.TaskGroup() as tasks:
        room = w.room

        def near(peer: str) -> bool:
            return clients is None or is_of(peer, clients)

        here = Address("127.0.0.1", 0)
        early = room.site_early.answer
        site = Listener("site", here, room.doors.site, plain, limits=limits, early=early, clients=near)
        proxy = Listener("proxy", here, room.doors.proxy, plain, limits=limits, early=room.proxy_early.answer)
        patient = Listener("patient", here, room.doors.site, plain, limits=limits)
        for listener in (site, proxy, patient):
            await listener.start()
        doors = [Door(site, room.site_early, 4_000_000, clients), Door(proxy, room.proxy_early, 4_000_000)]
        workers = Workers(doors, count=count, clock=SystemClock(), access_log=access_log)
        running = tasks.create_task(workers.run())
        it = Village(w, workers, site, proxy, patient, running)
        try:
            await it.ready(count)
            yield it
        finally:
            await workers.stop()
            for listener in (site, proxy, patient):
                await listener.stop()
