"""The box is killed at random moments while merchants order: every order with a receipt arrives, once."""

import asyncio
import json
import os
import random
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from gateway.demo.marketplace import DemoMarketplace
from tests.village import CHECKOUT, started, stopped

KILLS = 10
SEED = 20261122
MERCHANTS = 4
ARRIVAL_S = 60.0


def order(order_id: str) -> dict[str, object]:
    return {
        "id": order_id,
        "currency": "PEN",
        "buyer": {"name": "Lucía", "phone": "984123456"},
        "lines": [{"sku": "papa", "name": "Papa", "quantity": "1.5", "unit": "kg", "unit_price_minor": 350}],
        "note": "",
    }


class Box:
    """A `tambo run` on fixed ports that is killed and started again."""

    def __init__(self, folder: Path, marketplace: str) -> None:
        self.log = folder / "log"
        self.config = folder / "tambo.toml"
        self.config.write_text(
            f"""
[box]
name = "san-mateo"
data = "var"
[portal]
http = "127.0.0.1:0"
[market]
marketplace = "{marketplace}"
retry_s_max = 1
[clinic]
door = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
""",
            encoding="utf-8",
        )
        self.process: subprocess.Popen[str] | None = None
        self.portal = ""

    def start(self) -> None:
        self.process, line = started([*CHECKOUT, "run", "--config", self.config], self.log)
        name, _, address = line.strip().partition(" listens on ")
        assert name == "portal"
        self.portal = f"http://localhost:{address.rpartition(':')[2]}"

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def user(self, *arguments: str) -> str:
        done = subprocess.run(
            [*CHECKOUT, "user", *arguments, "--config", self.config],
            capture_output=True, text=True, check=True, cwd=self.config.parent,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        return done.stdout.strip()


@pytest.fixture
async def marketplace(tmp_path: Path) -> AsyncIterator[str]:
    server = DemoMarketplace(tmp_path / "marketplace")
    host, port = await server.start("127.0.0.1", 0)
    yield f"http://{host}:{port}/orders"
    await server.stop()


async def sell(portal: str, token: str, pick: random.Random, receipts: dict[str, str]) -> None:
    """Order until the box dies; keep each receipt that was really shown."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        while True:
            order_id = str(uuid.UUID(int=pick.getrandbits(128), version=4))
            try:
                async with session.post(f"{portal}/api/v1/orders", json=order(order_id)) as answer:
                    assert answer.status == 201, await answer.text()
                    receipts[order_id] = (await answer.json())["receipt"]
            except (aiohttp.ClientError, json.JSONDecodeError):
                return


async def test_every_order_with_a_receipt_is_delivered_once_through_ten_kills(tmp_path: Path, marketplace: str) -> None:
    pick = random.Random(SEED)
    box = Box(tmp_path, marketplace)
    box.user("add", "ana", "--role", "merchant")
    token = box.user("token", "ana")
    receipts: dict[str, str] = {}
    for _ in range(KILLS):
        await asyncio.to_thread(box.start)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(MERCHANTS):
                tasks.create_task(sell(box.portal, token, random.Random(pick.random()), receipts))
            await asyncio.sleep(pick.uniform(0.05, 0.8))
            await asyncio.to_thread(box.kill)
    assert len(receipts) >= KILLS, "merchants got receipts between the kills"
    assert len(set(receipts.values())) == len(receipts), "no receipt number is given twice"

    await asyncio.to_thread(box.start)
    arrived: dict[str, int] = {}
    async with asyncio.timeout(ARRIVAL_S), aiohttp.ClientSession() as session:
        while not set(receipts) <= set(arrived):
            await asyncio.sleep(0.05)
            async with session.get(marketplace) as answer:
                arrived = {each["id"]: each["times_applied"] for each in (await answer.json())["orders"]}
    assert set(arrived.values()) == {1}
    assert box.process is not None
    await asyncio.to_thread(stopped, box.process, box.log)
    print(f"{KILLS} kills, {len(receipts)} receipts, {len(arrived)} orders arrived, each once")
