"""Orders leave a village without a link on a USB stick, and once more when the link comes: each takes effect once."""

import asyncio
import json
import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.demo.marketplace import DemoMarketplace
from tests.unit.market.orders import fields
from tests.village import CHECKOUT, ROOT, started, stopped

ORDERS = 50
SURROUNDINGS = {**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
CONFIG = """
[box]
name = "san-mateo"
data = "var"
[portal]
http = "127.0.0.1:{portal}"
hosts = ["127.0.0.1"]
[clinic]
door = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:{admin}"
[market]
marketplace = "http://127.0.0.1:{link}/orders"
retry_s_max = 1
bundle_recipient = "{recipient}"
"""


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Village:
    """A box whose link leads to a port where nobody listens until the link comes."""

    def __init__(self, folder: Path, far: int) -> None:
        self.folder = folder
        self.portal, self.admin, self.link = free_ports(3)
        self.far = far
        self.config = folder / "tambo.toml"
        self.log = folder / "log"
        self.process: subprocess.Popen[str] | None = None
        self.relay: asyncio.Server | None = None
        self.session: aiohttp.ClientSession | None = None

    async def tambo(self, *arguments: str | Path, code: int = 0, with_config: bool = True, given: str = "") -> str:
        """Run a command of `tambo`; return what it printed."""
        settings: list[str | Path] = ["--config", self.config] if with_config else []
        command: list[str | Path] = [*CHECKOUT, *arguments, *settings]
        done = await asyncio.to_thread(
            subprocess.run, command, env=SURROUNDINGS, capture_output=True, text=True, timeout=60, input=given
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr

    async def start(self) -> None:
        recipient = (await self.tambo("orders", "keygen", self.folder / "secret", with_config=False)).strip()
        ports = {"portal": self.portal, "admin": self.admin, "link": self.link}
        self.config.write_text(CONFIG.format(**ports, recipient=recipient), encoding="utf-8")
        await self.tambo(
            "account", "add", "ana", "--role", "merchant", "--password-stdin", given="seis llamas al alba\n"
        )
        token = (await self.tambo("account", "token", "ana")).strip()
        self.session = aiohttp.ClientSession(
            f"http://127.0.0.1:{self.portal}",
            headers={"Authorization": f"Bearer {token}", "Accept-Language": "en"},
        )
        await self.run()

    async def run(self) -> None:
        command: list[str | Path] = [*CHECKOUT, "run", "--config", self.config]
        self.process, _ = await asyncio.to_thread(started, command, self.log)

    async def halt(self) -> None:
        if self.process is not None:
            process, self.process = self.process, None
            await asyncio.to_thread(stopped, process, self.log)

    async def stop(self) -> None:
        if self.session is not None:
            await self.session.close()
        if self.relay is not None:
            self.relay.close()
        await self.halt()

    async def let_the_link_come(self) -> None:
        """From now on what is sent to the link's port reaches the marketplace."""
        self.relay = await asyncio.start_server(self._carry, "127.0.0.1", self.link)

    async def ask(self, method: str, path: str, document: object = None, **headers: str) -> tuple[int, Any, str]:
        assert self.session is not None
        async with self.session.request(method, path, json=document, headers=headers) as answer:
            return answer.status, await answer.json(), answer.headers.get("ETag", "")

    async def states(self) -> list[str]:
        _, told, _ = await self.ask("GET", "/api/v1/orders?limit=200")
        return [each["state"] for each in told["orders"]]

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.far)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_pumped(reader, far_writer))
            tasks.create_task(_pumped(far_reader, writer))


async def _pumped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[str]:
    marketplace = DemoMarketplace(tmp_path / "far")
    host, port = await marketplace.start("127.0.0.1", 0)
    yield f"http://{host}:{port}/orders"
    await marketplace.stop()


async def arrived(far: str) -> dict[str, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(far) as answer:
        return {each["id"]: each for each in (await answer.json())["orders"]}


async def until_all_are(village: Village, state: str, count: int) -> None:
    async with asyncio.timeout(30):
        while (await village.states()).count(state) < count:
            await asyncio.sleep(0.05)


async def test_orders_on_a_stick_and_over_the_link_take_effect_once(tmp_path: Path, far: str) -> None:
    village = Village(tmp_path, int(far.split(":")[2].partition("/")[0]))
    stick, secret = tmp_path / "stick" / "orders.tambo", tmp_path / "secret"
    stick.parent.mkdir()
    await village.start()
    try:
        handed_in = [fields() for _ in range(ORDERS)]
        for each in handed_in:
            assert (await village.ask("POST", "/api/v1/orders", each))[0] == 201

        said = await village.tambo("orders", "export", stick)
        assert f"{stick}: {ORDERS}." in said
        assert "It is sealed" in said
        assert b"Quispe" not in stick.read_bytes()
        assert "already" in await village.tambo("orders", "export", stick, code=1)
        assert f"Waiting: {ORDERS}. Need a person: 0." in await village.tambo("orders", "stat")
        assert len((await village.tambo("orders", "list")).splitlines()) == ORDERS + 1

        # the merchant thinks better of one of them, after the stick has left
        path = f"/api/v1/orders/{handed_in[7]['id']}"
        _, _, tag = await village.ask("GET", path)
        assert (await village.ask("DELETE", path, **{"If-Match": tag}))[0] == 200

        key = (await village.tambo("orders", "key")).strip()
        assert re.fullmatch(r"SMT:[A-Za-z0-9_-]{43}", key)
        bring: list[str | Path] = ["orders", "import", stick, "--to", far, "--key", key, "--secret-file", secret]
        said = await village.tambo(*bring, with_config=False)
        assert f"accepted\t{ORDERS}\n" in said
        assert "Quispe" not in said
        receipts = json.loads((stick.parent / "orders.tambo.receipts.json").read_text())
        assert (receipts["is_whole"], receipts["sums"]) == (True, {"accepted": ORDERS})
        assert {each["id"] for each in receipts["receipts"]} == {each["id"] for each in handed_in}
        assert {(each["times_applied"], each["revision"]) for each in (await arrived(far)).values()} == {(1, 1)}
        assert f"duplicate\t{ORDERS}\n" in await village.tambo(*bring, with_config=False)

        await village.let_the_link_come()
        await until_all_are(village, "accepted", ORDERS - 1)
        await until_all_are(village, "cancelled", 1)
        found = await arrived(far)
        assert found.keys() == {each["id"] for each in handed_in}
        assert {each["times_applied"] for each in found.values()} == {1}
        changed = found.pop(handed_in[7]["id"])
        assert (changed["revision"], changed["outcome"]) == (2, "cancelled")
        assert {(each["revision"], each["outcome"]) for each in found.values()} == {(1, "accepted")}
        assert "Waiting: 0. Need a person: 0." in await village.tambo("orders", "stat")
        assert "There is none." in await village.tambo("orders", "list")
    finally:
        await village.stop()


async def test_a_journal_is_copied_beside_the_box_and_put_back_when_it_is_lost(tmp_path: Path, far: str) -> None:
    village = Village(tmp_path, int(far.split(":")[2].partition("/")[0]))
    copy = tmp_path / "copy.sqlite3"
    await village.start()
    try:
        first = fields()
        _, before, _ = await village.ask("POST", "/api/v1/orders", first)
        assert "Orders in the copy: 1 " in await village.tambo("orders", "backup", copy)
        assert "Another copy of the box runs" in await village.tambo("orders", "restore", copy, code=1)
        _, lost, _ = await village.ask("POST", "/api/v1/orders", fields())
        await village.halt()
        said = await village.tambo("orders", "restore", copy)
        assert "Orders in the journal now: 1." in said
        assert (tmp_path / "var" / "market" / "orders.damaged-1.sqlite3").exists()
        await village.run()
        _, again, _ = await village.ask("POST", "/api/v1/orders", first)
        assert again == before
        _, new, _ = await village.ask("POST", "/api/v1/orders", fields())
        assert new["receipt"] not in {before["receipt"], lost["receipt"]}
    finally:
        await village.stop()
