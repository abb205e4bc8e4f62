"""A real FreeRADIUS is told exactly what crossed, over restarts of it and of the box, with the right secret only."""

import asyncio
import itertools
import os
import shutil
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.backhaul.account.account import Account
from gateway.backhaul.account.radius import WORDS, Heard, Radius, RadiusLimits
from gateway.backhaul.sharing.classes import TrafficClass
from tests.clocks import HandClock
from tests.waiting import wait_until

SECRET = b"a secret of the operator"
CONFIG = """
prefix = {folder}
raddbdir = {folder}
logdir = {folder}
run_dir = {folder}
libdir = /usr/lib/freeradius
log {{
    destination = files
    file = {folder}/radius.log
}}
security {{
    max_attributes = 200
    status_server = no
}}
thread pool {{
    start_servers = 1
    max_servers = 2
    min_spare_servers = 1
    max_spare_servers = 1
}}
client box {{
    ipaddr = 127.0.0.1
    secret = "{secret}"
}}
modules {{
    detail {{
        filename = {folder}/detail
        permissions = 0600
        header = "%t"
    }}
}}
server accounting {{
    listen {{
        type = acct
        ipaddr = 127.0.0.1
        port = {port}
    }}
    accounting {{
        detail
    }}
}}
"""
LIMITS = RadiusLimits(interim_s=600, first_s=0.05, last_s=0.2, round_s=0.5, rest_s=0.02, rest_s_max=0.02)


@dataclass
class FreeRadius:
    """A server of our own, with its files in a folder of its own."""

    folder: Path
    port: int
    process: Process | None = None

    async def start(self, secret: bytes = SECRET) -> None:
        text = CONFIG.format(folder=self.folder, secret=secret.decode(), port=self.port)
        (self.folder / "radiusd.conf").write_text(text)
        (self.folder / "dictionary").touch()
        log = self.folder / "radius.log"
        log.unlink(missing_ok=True)
        program = str(shutil.which("freeradius"))
        self.process = await asyncio.create_subprocess_exec(
            program, "-f", "-d", str(self.folder), stdout=DEVNULL, stderr=DEVNULL
        )
        await wait_until(lambda: log.exists() and "Ready to process requests" in log.read_text(), 20)

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()
        self.process = None

    def told(self) -> list[dict[str, str]]:
        """Return the requests that it wrote down, in their order."""
        path = self.folder / "detail"
        blocks = path.read_text().split("\n\n") if path.exists() else []
        return [
            {
                name: value.strip('"')
                for name, _, value in (line.strip().partition(" = ") for line in block.splitlines()[1:])
            }
            for block in blocks
            if " = " in block
        ]


@dataclass
class Line:
    """A share of the link that counts."""

    up_bytes: int = 0
    down_bytes: int = 0
    held: int = field(default=0)

    async def take_up(self, size_bytes: int) -> None:
        self.up_bytes += size_bytes

    def moved(self, *, down_bytes: int = 0, up_bytes: int = 0) -> None:
        self.down_bytes += down_bytes
        self.up_bytes += up_bytes

    @contextmanager
    def claim(self) -> Iterator["Line"]:
        self.held += 1
        yield self


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[FreeRadius]:
    if shutil.which("freeradius") is None:
        pytest.skip("no FreeRADIUS here: sudo apt install freeradius")
    folder = tmp_path / "server"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = FreeRadius(folder, port)
    await made.start()
    yield made
    await made.stop()


_numbers = itertools.count()


async def a_box(folder: Path, clock: HandClock) -> Account:
    account = Account(folder / "account", clock, box="san-mateo", token=lambda: f"{next(_numbers):08x}{os.getpid()}")
    await account.start()
    return account


def a_client(account: Account, clock: HandClock, port: int, line: Line, secret: bytes = SECRET) -> Radius:
    return Radius(
        account,
        clock,
        box="san-mateo",
        server=("127.0.0.1", port),
        secret=secret,
        claim=line.claim,
        limits=LIMITS,
        chance=lambda: 0.5,
    )


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def quarter(account: Account, clock: HandClock, down_bytes: int = 0, up_bytes: int = 0) -> None:
    account.count("coop", TrafficClass.WEB, down_bytes=down_bytes, up_bytes=up_bytes)
    clock.pass_s(900)
    await account.beat()


async def test_more_than_four_gigabytes_arrive_exactly(server: FreeRadius, tmp_path: Path, clock: HandClock) -> None:
    account, line = await a_box(tmp_path, clock), Line()
    client = a_client(account, clock, server.port, line)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(client.run())
        await wait_until(lambda: len(server.told()) == 1)  # Accounting-On: before anything is counted
        down, up = 3 * 2**32 + 123_456_789, 2**32 + 7
        await quarter(account, clock, down_bytes=down, up_bytes=up)
        client.wake()
        await wait_until(lambda: client.statistics().acknowledged >= 2)  # Accounting-On and Start
        clock.pass_s(600)
        client.wake()
        await wait_until(lambda: client.statistics().acknowledged >= 3)
        await ended(running)
    await account.stop()
    on, start, interim = server.told()[:3]
    assert [each["Acct-Status-Type"] for each in (on, start, interim)] == ["Accounting-On", "Start", "Interim-Update"]
    assert (interim["User-Name"], interim["NAS-Identifier"]) == ("coop", "san-mateo")
    assert interim["Acct-Session-Id"] == start["Acct-Session-Id"]
    output = (int(interim["Acct-Output-Gigawords"]) << 32) + int(interim["Acct-Output-Octets"])
    into = (int(interim["Acct-Input-Gigawords"]) << 32) + int(interim["Acct-Input-Octets"])
    assert (output, into) == (down, up), "output is what the village downloads"
    assert (interim["Acct-Output-Gigawords"], interim["Acct-Input-Gigawords"]) == ("3", "1")
    assert interim["Acct-Session-Time"] == "900"
    assert client.statistics().heard is Heard.ANSWERS
    assert line.up_bytes > 150
    assert line.down_bytes >= 3 * 20


async def test_a_restart_of_the_server_and_of_the_box_loses_nothing_and_counts_nothing_twice(
    server: FreeRadius, tmp_path: Path, clock: HandClock
) -> None:
    account, line = await a_box(tmp_path, clock), Line()
    client = a_client(account, clock, server.port, line)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(client.run())
        await wait_until(lambda: len(server.told()) == 1)
        await quarter(account, clock, down_bytes=1_000, up_bytes=10)
        client.wake()
        await wait_until(lambda: client.statistics().acknowledged >= 2)  # Accounting-On and Start
        clock.pass_s(600)
        client.wake()
        await wait_until(lambda: client.statistics().acknowledged >= 3)
        await server.stop()
        for _ in range(97):  # more than a day: the session ends while nobody hears of it, and the next begins
            await quarter(account, clock, down_bytes=2**31, up_bytes=1)
        await wait_until(lambda: client.statistics().heard in {Heard.CLOSED, Heard.SILENT})
        await wait_until(lambda: client.statistics().waiting == 2)  # a Stop and a Start
        await ended(running)
        await account.stop()

        account = await a_box(tmp_path, clock)
        client = a_client(account, clock, server.port, line)
        running = tasks.create_task(client.run())
        await quarter(account, clock, down_bytes=5)
        await server.start()
        clock.pass_s(900)
        client.wake()
        await wait_until(lambda: client.statistics().acknowledged >= 2)  # Stop and Start
        clock.pass_s(600)
        client.wake()
        await wait_until(lambda: server.told()[-1]["Acct-Status-Type"] == "Interim-Update")
        await ended(running)
    await account.stop()
    told = server.told()
    kinds = [each["Acct-Status-Type"] for each in told]
    assert kinds.count("Accounting-On") == 1, "the sessions outlive the restart"
    sums: dict[str, int] = {}
    for each in told:
        if "Acct-Output-Octets" in each:
            sums[each["Acct-Session-Id"]] = int(each["Acct-Output-Octets"]) + (int(each["Acct-Output-Gigawords"]) << 32)
    assert sum(sums.values()) == 1_000 + 97 * 2**31 + 5, "the last word of each session adds up to what crossed"
    assert len(sums) == 2
    stop = next(each for each in told if each["Acct-Status-Type"] == "Stop")
    assert stop["Acct-Terminate-Cause"] == "Session-Timeout"
    assert int(stop["Acct-Delay-Time"]) >= 900, "it was told late, and says by how much"


async def test_a_wrong_secret_is_noticed_and_said_and_mends_without_loss(
    server: FreeRadius, tmp_path: Path, clock: HandClock
) -> None:
    account, line = await a_box(tmp_path, clock), Line()
    client = a_client(account, clock, server.port, line, b"another secret, by mistake")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(client.run())
        await wait_until(lambda: client.statistics().heard is Heard.SILENT)
        assert "shared secret" in WORDS[client.statistics().heard]
        assert client.statistics().waiting == 1
        log = (server.folder / "radius.log").read_text()
        assert "secret is incorrect" in log, "the server hears it and says nothing"
        await ended(running)
        client = a_client(account, clock, server.port, line)
        running = tasks.create_task(client.run())
        await wait_until(lambda: len(server.told()) == 1)
        await ended(running)
    await account.stop()


async def test_a_server_that_is_off_is_told_from_one_that_is_silent(tmp_path: Path, server: FreeRadius) -> None:
    clock = HandClock()
    await server.stop()
    account, line = await a_box(tmp_path, clock), Line()
    client = a_client(account, clock, server.port, line)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(client.run())
        await wait_until(lambda: client.statistics().heard is Heard.CLOSED)
        await ended(running)
    await account.stop()
