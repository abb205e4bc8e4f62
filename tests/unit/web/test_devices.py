"""What crosses the link is somebody's: the device's that asked, or the box's own; and a connection carries it."""

import asyncio
from pathlib import Path

import pytest

from tests.conformance.web_world import Seen, World, reply, world
from tests.waiting import wait_until

FRESH = ("Cache-Control", "max-age=3600")
ASKED, OWN = "127.0.0.1", ""


class Waiting:
    """An origin's page that comes once it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def __call__(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        del seen
        self.begun.set()
        await self.go.wait()
        writer.write(reply(b"page", [FRESH]))


def devices(w: World) -> list[str]:
    return [each.device for each in w.backhaul.steering.open.values()]


def carried(w: World) -> int:
    return len(w.backhaul.flows.sample())


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_page_is_the_device_s_that_asked_for_it(method: str, tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w, asyncio.TaskGroup() as tasks:
        page = Waiting()
        w.origin.on("/a", page)
        asking = tasks.create_task(w.ask("/a", method=method))
        await page.begun.wait()
        assert (devices(w), carried(w)) == ([ASKED], 1)
        page.go.set()
        assert (await asking).body == b"page"
        await wait_until(lambda: (devices(w), carried(w)) == ([], 0))


async def test_what_the_box_gathers_is_its_own(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w, asyncio.TaskGroup() as tasks:
        page = Waiting()
        w.origin.on("/a", page)
        tasks.create_task(w.room.gatherer.gather("sitio", f"http://{w.origin.address}/a"))
        await page.begun.wait()
        assert (devices(w), carried(w)) == ([OWN], 1)
        page.go.set()


async def test_a_tunnel_is_the_device_s_and_carried_until_its_end(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        reader, writer = await w.connect("proxy")
        writer.write(b"CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200 ")
        await wait_until(lambda: (devices(w), carried(w)) == ([ASKED], 1))
        writer.transport.abort()
        await wait_until(lambda: (devices(w), carried(w)) == ([], 0))
