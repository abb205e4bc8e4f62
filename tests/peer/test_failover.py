"""A download goes on by the second link within seconds of the first one's silent end, and goes back to the first.

Real kernel: a box and a far side in network namespaces, two cables between them that stand for two modems. A cut drops
every packet of one cable; its carrier stays.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import pytest

BOX, FAR = "tkwbox", "tkwfar"
SERVER = "10.91.9.9"
TOLD_EVERY_S = 0.15  # how late a line may be
PIECE_BYTES = 262_144  # of one connection
ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("failover_box.py")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("nft") is None,
    reason="needs root, iproute2 and nftables",
)


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True, timeout=20)


def nft(rules: str) -> None:
    subprocess.run(["ip", "netns", "exec", FAR, "nft", rules], check=True, capture_output=True, timeout=20)


@contextmanager
def two_links() -> Iterator[None]:
    """Two namespaces with two cables between them; both know the server's address."""
    for name in (BOX, FAR):
        ip("netns", "del", name, check=False)
    try:
        for name in (BOX, FAR):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", FAR, "address", "add", f"{SERVER}/32", "dev", "lo")
        for number in (1, 2):
            near, far = f"tkwn{number}", f"tkwf{number}"
            ip("link", "add", near, "netns", BOX, "type", "veth", "peer", "name", far, "netns", FAR)
            for where, name, last in ((BOX, near, 1), (FAR, far, 2)):
                ip("-n", where, "address", "add", f"10.91.{number}.{last}/24", "dev", name)
                ip("-n", where, "link", "set", name, "up")
            gateway = ("via", f"10.91.{number}.2", "dev", near, "metric", f"{number}00")
            ip("-n", BOX, "route", "add", "default", *gateway)
        nft("add table inet tkw")
        for hook in ("input", "output"):
            nft(f"add chain inet tkw {hook} {{ type filter hook {hook} priority 0; }}")
        yield
    finally:
        for name in (BOX, FAR):
            ip("netns", "del", name, check=False)


def cut(interface: str) -> None:
    nft(f"add rule inet tkw input iifname {interface} drop; add rule inet tkw output oifname {interface} drop")


def mend() -> None:
    nft("flush table inet tkw")


class Line(NamedTuple):
    """How far the box is."""

    at_s: float
    got_bytes: int
    way: str
    state: str


class Told:
    """What the box has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[Line] = []
        self._process = process
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self, holds: Callable[[Line], bool], deadline_s: float) -> Line:
        """Return the first new line of which this holds."""
        seen, until_s = len(self.lines), monotonic() + deadline_s
        while monotonic() < until_s:
            for line in self.lines[seen:]:
                if holds(line):
                    return line
            sleep(0.02)
        pytest.fail(f"not within {deadline_s} s; last: {self.lines[-1:]}")

    def wait_for(self, got_bytes: int) -> None:
        """Return when the box has got so much."""
        self.wait(lambda line: line.got_bytes > got_bytes, 20)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with suppress(ValueError):
                told = json.loads(line)
                self.lines.append(Line(**told))


@contextmanager
def started(namespace: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        ["ip", "netns", "exec", namespace, sys.executable, str(SCRIPT), *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)


@contextmanager
def fetching(*interfaces: str) -> Iterator[Told]:
    """A box that fetches by these links, in the order of preference."""
    with two_links(), started(FAR, "far") as far:
        assert far.stdout is not None
        assert far.stdout.readline() == "ready\n"
        with started(BOX, "box", SERVER, *interfaces) as box:
            told = Told(box)
            told.wait(lambda line: line.got_bytes > 500_000, 20)
            yield told


def test_a_download_goes_on_by_the_second_link_and_goes_back_to_the_first() -> None:
    with fetching("tkwn1", "tkwn2") as told:
        assert told.lines[-1].way == "tkwn1"
        cut("tkwf1")
        cut_s, before_bytes = monotonic(), told.lines[-1].got_bytes
        found = told.wait(lambda line: line.way == "tkwn2", 10)
        on = told.wait(lambda line: line.got_bytes > before_bytes + 100_000, 10)
        print(f"left after {found.at_s - cut_s:.2f} s, goes on after {on.at_s - cut_s:.2f} s")
        assert found.at_s - cut_s < 2.5, "the cut is told within two seconds, and the way is left at once"
        assert on.at_s - cut_s < 5.0

        mend()
        mended_s = monotonic()
        back = told.wait(lambda line: line.way == "tkwn1", 20)
        assert back.at_s - mended_s >= 1.9, "not before it has been good for a while"
        past = told.wait(lambda line: line.got_bytes > back.got_bytes + 2 * PIECE_BYTES, 10)
        cut("tkwf2")  # what is fetched now can only come by the first
        told.wait(lambda line: line.got_bytes > past.got_bytes + 1_000_000, 10)
        assert told.lines[-1].way == "tkwn1"


def test_the_only_link_is_told_down_within_two_seconds_and_up_within_one() -> None:
    with fetching("tkwn1") as told:
        for outage_s in (1.0, 2.5, 4.3):
            assert told.lines[-1].state == "up"
            cut("tkwf1")
            cut_s = monotonic()
            if outage_s > 2:
                down = told.wait(lambda line: line.state == "down", 5)
                print(f"down after {down.at_s - cut_s:.2f} s")
                assert down.at_s - cut_s < 2.0 + TOLD_EVERY_S
            sleep(max(cut_s + outage_s - monotonic(), 0))
            mend()
            mended_s = monotonic()
            if outage_s > 2:
                up = told.wait(lambda line: line.state == "up", 5)
                print(f"up after {up.at_s - mended_s:.2f} s")
                assert up.at_s - mended_s < 1.0 + TOLD_EVERY_S
            told.wait_for(told.lines[-1].got_bytes + 300_000)
