"""A village of namespaces for the shaper's tests: far side, box, two phones; the link is a veth pair or a TUN."""

import asyncio
import fcntl
import json
import os
import select
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from gateway.backhaul.shaping.kernel_client import KernelRates, KernelShaper, KernelStatus
from gateway.clock import SystemClock
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
TRAFFIC = Path(__file__).with_name("shaped_traffic.py")
BOX, FAR, PHONES = "tksbox", "tksfar", ("tksa", "tksb")
LINK = "tkslink"
FAR4, FAR6 = "10.66.0.2", "fd66::2"
PORT = 5001
_TUNSETIFF, _IFF_TUN_NO_PI = 0x400454CA, 0x1001

needs_network = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/net/tun").exists() or not Path("/usr/sbin/tc").exists(),
    reason="needs root, /dev/net/tun and iproute2 with nftables: network namespaces of its own",
)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def within(namespace: str, *command: str) -> str:
    done = subprocess.run(["ip", "netns", "exec", namespace, *command], check=True, capture_output=True, text=True)
    return done.stdout


def standing() -> str:
    """Return what stands in the box's kernel: queues, rules, interfaces."""
    devices = "\n".join(line.split()[0] for line in within(BOX, "ip", "-br", "link").splitlines())
    return within(BOX, "tc", "qdisc", "show") + within(BOX, "nft", "list", "ruleset") + devices


async def traffic(namespace: str, *arguments: object) -> Any:
    """Run one piece of traffic to its end and return what it printed."""
    child = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", namespace, sys.executable, str(TRAFFIC), *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, _ = await child.communicate()
    assert child.returncode == 0
    return json.loads(said) if said else None


async def at_once(first: Coroutine[None, None, Any], second: Coroutine[None, None, Any]) -> tuple[Any, Any]:
    """Return what both give, run beside each other."""
    async with asyncio.TaskGroup() as tasks:
        both = tasks.create_task(first), tasks.create_task(second)
    return both[0].result(), both[1].result()


@contextmanager
def village(link: Literal["veth", "tun"] = "veth", *, translated: bool = False) -> Iterator[None]:
    """Build it, with a server at the far side; take it down again."""
    names = (BOX, FAR, *PHONES)
    _take_down(names)
    try:
        for each in names:
            ip("netns", "add", each)
            ip("-n", each, "link", "set", "lo", "up")
        with _veth() if link == "veth" else _tun():
            _address(translated=translated)
            with _server():
                yield
    finally:
        _take_down(names)


def _take_down(names: tuple[str, ...]) -> None:
    for each in names:
        subprocess.run(["ip", "netns", "del", each], check=False, capture_output=True)


@contextmanager
def _veth() -> Iterator[None]:
    ip("link", "add", LINK, "netns", BOX, "type", "veth", "peer", "name", LINK, "netns", FAR)
    yield


@contextmanager
def _tun() -> Iterator[None]:
    """Two TUNs whose packets a thread carries: an interface without Ethernet, as a modem's is."""
    files = []
    for name, namespace in ((LINK, BOX), (f"{LINK}f", FAR)):
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN_NO_PI))
        ip("link", "set", name, "netns", namespace)
        files.append(file)
    ip("-n", FAR, "link", "set", f"{LINK}f", "name", LINK)
    stop = threading.Event()
    thread = threading.Thread(target=_carry, args=(*files, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for file in files:
            os.close(file)


def _carry(near: int, far: int, stop: threading.Event) -> None:
    other = {near: far, far: near}
    while not stop.is_set():
        for file in select.select([near, far], [], [], 0.1)[0]:
            try:
                os.write(other[file], os.read(file, 2_048))
            except OSError:
                continue


def _address(*, translated: bool) -> None:
    for namespace, last in ((BOX, 1), (FAR, 2)):
        ip("-n", namespace, "address", "add", f"10.66.0.{last}/24", "dev", LINK)
        ip("-n", namespace, "address", "add", f"fd66::{last}/64", "dev", LINK, "nodad")
        ip("-n", namespace, "link", "set", LINK, "up")
    within(BOX, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    for number, phone in enumerate(PHONES, 1):
        ip("link", "add", f"lan{number}", "netns", BOX, "type", "veth", "peer", "name", "wlan0", "netns", phone)
        for namespace, device, last in ((BOX, f"lan{number}", 1), (phone, "wlan0", 2)):
            ip("-n", namespace, "address", "add", f"10.66.{number}.{last}/24", "dev", device)
            ip("-n", namespace, "address", "add", f"fd66:{number}::{last}/64", "dev", device, "nodad")
            ip("-n", namespace, "link", "set", device, "up")
        ip("-n", phone, "route", "add", "default", "via", f"10.66.{number}.1")
        ip("-n", phone, "route", "add", "default", "via", f"fd66:{number}::1")
        ip("-n", FAR, "route", "add", f"fd66:{number}::/64", "via", "fd66::1")
        if not translated:
            ip("-n", FAR, "route", "add", f"10.66.{number}.0/24", "via", "10.66.0.1")
    if translated:
        hook = "type nat hook postrouting priority 100"
        hidden = f"table ip nat {{\nchain out {{\n{hook}\noifname {LINK} masquerade\n}}\n}}\n"
        subprocess.run(["ip", "netns", "exec", BOX, "nft", "-f", "-"], input=hidden, text=True, check=True)


@contextmanager
def _server() -> Iterator[None]:
    command = ["ip", "netns", "exec", FAR, sys.executable, str(TRAFFIC), "serve", str(PORT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline()
        try:
            yield
        finally:
            server.kill()


@dataclass
class Shaper:
    """A `tambo shaper` that runs in the box's namespace, and the box's side of it."""

    process: asyncio.subprocess.Process
    client: KernelShaper
    speaking: asyncio.Task[None]  # the client's; cancelled, the box has fallen silent

    async def shape(self, down_bps: int, up_bps: int) -> None:
        self.client.tell(KernelRates(down_bps, up_bps))
        await wait_until(lambda: self.client.status().shaping)

    async def status(self) -> KernelStatus:
        """Return counters that were read from now on."""
        before = self.client.status().at_s
        await wait_until(lambda: self.client.status().at_s not in {before, None})
        return self.client.status()


def config_in(folder: Path) -> Path:
    config = folder / "tambo.toml"
    config.write_text(
        f'[box]\nname = "san-mateo"\ndata = "var"\n[backhaul]\ninterface = "{LINK}"\n[shaper]\nsilence_s = 3\n'
    )
    return config


async def start_shaper(folder: Path, *arguments: str, under: tuple[str, ...] = ()) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", BOX, *under, sys.executable, "-m", "gateway", "shaper",
        "--config", str(config_in(folder)), *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
    )  # fmt: skip


@asynccontextmanager
async def shaper_in(folder: Path, *under: str) -> AsyncIterator[Shaper]:
    """Run a shaper and speak to it; stop it at the end, where it still runs."""
    process = await start_shaper(folder, under=under)
    assert process.stdout is not None
    assert await process.stdout.readline()
    client = KernelShaper(folder / "var" / "shaper.sock", SystemClock())
    async with asyncio.TaskGroup() as tasks:
        speaking = tasks.create_task(client.run())
        try:
            yield Shaper(process, client, speaking)
        finally:
            speaking.cancel()
            if process.returncode is None:
                process.terminate()
            await process.communicate()
