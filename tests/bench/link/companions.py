"""What stands beside the box in some runs: the far side's echo, and the kernel shaper for routed clients.

Each is a command of `tambo`. Where this checkout does not have it, the runs that need it are left out with a sentence.
"""

import asyncio
import secrets
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.bench.link.emulator import Link
from tests.bench.link.packets import FAR_ADDRESS
from tests.village import ROOT

_ECHO = f"{FAR_ADDRESS}:8445"


def reflector(link: Link, folder: Path) -> Sequence[str]:
    """Return the command of the far side's echo."""
    return link.module(link.far, "gateway", "reflect", "--listen", _ECHO, "--key-file", _key(folder))


def reflector_settings(folder: Path) -> Mapping[str, str]:
    """Return what the box is told of the far side's echo."""
    return {"probe.reflector": f'"{_ECHO}"', "probe.key_file": f'"{_key(folder)}"'}


def shaper(link: Link, config: Path) -> Sequence[str]:
    """Return the command of the kernel shaper on the village's side."""
    return link.module(link.near, "gateway", "shaper", "--config", config)


def _key(folder: Path) -> Path:
    path = folder / "echo.key"
    if not path.exists():
        path.write_text(f"1 {secrets.token_hex(32)}\n", encoding="ascii")
        path.chmod(0o600)
    return path


@cache
def _known(command: str) -> list[bool]:
    return []


async def offered(command: str) -> bool:
    """Say whether this checkout has a command of `tambo`."""
    known = _known(command)
    if not known:
        asked = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", command, "--help"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=ROOT,
        )
        known.append(await asked.wait() == 0)
    return known[0]
