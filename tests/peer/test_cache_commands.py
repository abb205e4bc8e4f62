"""`tambo cache` on a running box, as a technician types it: warm-up that is followed, stopped and gone on with."""

import asyncio
import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.web_world import Origin, Seen, reply
from tests.village import CHECKOUT, ROOT, started, stopped
from tests.waiting import wait_until

HTML = (("Cache-Control", "max-age=3600"), ("Content-Type", "text/html"))
PART = (("Cache-Control", "max-age=3600"), ("Content-Type", "image/png"))
SURROUNDINGS = {**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
CONFIG = """
[box]
name = "san-mateo"
data = "var"
[portal]
http = "127.0.0.1:{portal}"
[clinic]
door = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:{admin}"
[[sites]]
name = "salud"
hosts = ["salud.localhost"]
origin = "http://{origin}"
[sites.warm]
pages = ["/"]
depth = 1
hours = [{hours}]
"""


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Village:
    """A `tambo run` with one site, and its origin."""

    def __init__(self, folder: Path, origin: Origin, hours: str = "") -> None:
        self.origin = origin
        self.portal, self.admin = free_ports(2)
        self.config = folder / "tambo.toml"
        self.config.write_text(
            CONFIG.format(portal=self.portal, admin=self.admin, origin=origin.address, hours=hours), encoding="utf-8"
        )
        self.log = folder / "log"
        self.process: subprocess.Popen[str] | None = None

    async def start(self) -> None:
        command: list[str | Path] = [*CHECKOUT, "run", "--config", self.config]
        self.process, _ = await asyncio.to_thread(started, command, self.log)

    async def stop(self) -> None:
        assert self.process is not None
        await asyncio.to_thread(stopped, self.process, self.log)

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await asyncio.to_thread(self.process.wait)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def command(self, *arguments: str) -> list[str | Path]:
        return [*CHECKOUT, "cache", *arguments, "--config", self.config]

    async def tambo(self, *arguments: str, code: int = 0) -> str:
        """Run a command; return what it printed."""
        done = await asyncio.to_thread(
            subprocess.run, self.command(*arguments), env=SURROUNDINGS, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    async def stat(self) -> Any:
        return json.loads(await self.tambo("stat", "--json"))["sites"][0]

    async def status(self, path: str) -> int:
        """Return what a browser of the village is answered."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.portal)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: salud.localhost\r\nConnection: close\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n")
        writer.transport.abort()
        return int(head.split()[1])


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    made = Origin()
    links = "".join(f'<a href="/p{each}/">{each}</a>' for each in range(9))
    made.on("/", reply(f"{links}<img src=/foto.png>".encode(), HTML))
    for each in range(9):
        made.on(f"/p{each}/", reply(b"x" * 5_000, HTML))
    made.on("/foto.png", reply(b"x" * 20_000, PART))
    await made.start()
    yield made
    await made.stop()


async def hangs(seen: Seen, writer: asyncio.StreamWriter) -> None:
    del seen, writer
    await asyncio.Event().wait()


async def test_a_site_is_warmed_counted_pinned_and_purged(tmp_path: Path, origin: Origin) -> None:
    village = Village(tmp_path, origin)
    await village.start()
    assert "not the hour" in await village.tambo("warm", "salud", code=1)
    told = (await village.tambo("warm", "salud", "--now")).splitlines()
    assert told[-1].startswith("All of it is ready: 10 pages,")
    await origin.stop()
    assert [await village.status(path) for path in ("/", "/p0/", "/p8/", "/foto.png")] == [200] * 4
    figures = await village.stat()
    assert (figures["answers"], figures["hits"], figures["saved_bytes"] > 30_000) == (11, 4, True)
    assert await village.tambo("pin", "http://salud.localhost/p1/") == "Pinned: 1.\n"
    assert (await village.tambo("pin")).split() == ["salud", f"http://{origin.address}/p1/"]
    assert (await village.stat())["pinned"] == 1
    assert (await village.tambo("purge", f"http://{origin.address}/p0/")).startswith("Answers removed: 1 (5")
    assert [await village.status(path) for path in ("/p0/", "/p2/")] == [502, 200]
    assert (await village.tambo("purge", "salud", "--yes")).startswith("Answers removed: 10 (")
    figures = await village.stat()
    assert (figures["answers"], figures["pinned"]) == (0, 0)
    await village.stop()
    assert "does not answer" in await village.tambo("stat", code=1)


async def test_ctrl_c_stops_the_run_and_not_the_box(tmp_path: Path, origin: Origin) -> None:
    village = Village(tmp_path, origin)
    origin.on("/p3/", hangs)
    await village.start()
    following = subprocess.Popen(
        village.command("warm", "salud", "--now"), env=SURROUNDINGS, stdout=subprocess.PIPE, text=True
    )
    await wait_until(lambda: bool(origin.asked("/p3/")))
    following.send_signal(signal.SIGINT)
    told, _ = await asyncio.to_thread(following.communicate, timeout=30)
    assert following.returncode == 130
    assert "Stopped: 4 of 10 pages" in told
    assert await village.status("/p2/") == 200
    await asyncio.sleep(0.05)
    assert not origin.asked("/p4/")
    await village.stop()


async def test_a_terminal_shows_a_bar_with_pages_bytes_and_the_time_left(tmp_path: Path, origin: Origin) -> None:
    village = Village(tmp_path, origin)
    pages: list[str] = []

    async def slowly(seen: Seen, writer: asyncio.StreamWriter) -> None:
        pages.append(seen.target)
        await asyncio.sleep(0.25)
        writer.write(reply(b"x" * 5_000, HTML))

    for each in range(9):
        origin.on(f"/p{each}/", slowly)
    await village.start()
    shown = await asyncio.to_thread(on_a_terminal, village.command("warm", "salud", "--now"))
    await village.stop()
    assert len(pages) == 9
    for told in ("━", "10/10 pages", "/50 MB", " left", "fetching", "All of it is ready"):
        assert told in shown
    assert len({line for line in shown.replace("\r", "\n").splitlines() if "pages" in line}) > 3


def on_a_terminal(command: list[str | Path]) -> str:
    """Run a command on a terminal of its own; return all that it wrote there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command,
        env={**SURROUNDINGS, "TERM": "xterm", "COLUMNS": "100", "LINES": "24"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # what Linux says when the other end is closed
            while piece := os.read(ours, 65_536):
                shown += piece
        os.close(ours)
        assert process.wait(timeout=30) == 0
    return shown.decode()


async def test_a_run_that_a_kill_cut_short_goes_on_by_itself_at_no_cost_for_what_it_had(
    tmp_path: Path, origin: Origin
) -> None:
    village = Village(tmp_path, origin, hours='"00:00-24:00"')
    origin.on("/p5/", hangs)
    await village.start()
    await wait_until(lambda: bool(origin.asked("/p5/")))
    assert (await village.stat())["answers"] >= 7  # a look at the store writes what it holds in batches for the card
    await village.kill()
    origin.on("/p5/", reply(b"x" * 5_000, HTML))
    before = {path: len(origin.asked(path)) for path in ("/", "/p1/", "/p2/")}
    await village.start()
    await wait_until(lambda: bool(origin.asked("/p8/")))
    assert {path: len(origin.asked(path)) for path in before} == before
    await village.stop()
