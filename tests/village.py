"""A running `tambo`, as its user starts it, and ways to talk to it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parents[1]
START_S = 60.0


@dataclass
class Demo:
    """A `tambo demo` process and where everything in it is."""

    process: subprocess.Popen[str]
    where: dict[str, Any]
    log: Path

    async def link(self, **change: object) -> None:
        """Change the emulated link."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.where['admin']}demo/link", json=change) as answer,
        ):
            assert answer.status == 200, await answer.text()

    async def marketplace_orders(self) -> dict[str, dict[str, Any]]:
        """What arrived at the marketplace, by id."""
        async with aiohttp.ClientSession() as session, session.get(self.where["marketplace"]) as answer:
            return {order["id"]: order for order in (await answer.json())["orders"]}


CHECKOUT = [sys.executable, "-m", "gateway"]


def started(command: Sequence[str | Path], log: Path, **environment: str) -> tuple[subprocess.Popen[str], str]:
    """Start a command of `tambo` and return it with the first line it prints, which it prints once it is up."""
    surroundings = {**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT), **environment}
    with log.open("a") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=surroundings, cwd=log.parent
        )
    assert process.stdout is not None
    too_late = threading.Timer(START_S, process.kill)
    too_late.start()
    line = process.stdout.readline()
    too_late.cancel()
    assert line, log.read_text()
    return process, line


def stopped(process: subprocess.Popen[str], log: Path) -> None:
    """Stop as TERM does, and hold what must hold after every run: a clean end and no traceback."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0, log.read_text()
    assert process.stdout is not None
    process.stdout.close()
    assert "Traceback" not in log.read_text()
