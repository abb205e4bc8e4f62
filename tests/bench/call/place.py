"""Where a call of the benchmark takes place: the nurse's village, the box, the doctor's far side, and the link between.

Three network namespaces: the village reaches the box by a veth pair, the box the far side by the emulated link. The box
forwards what is addressed past it, so that two browsers can also call each other without it.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.link import emulator
from tests.bench.link.emulator import Conditions, Link, emulated
from tests.bench.link.packets import FAR_ADDRESS, NEAR_ADDRESS
from tests.bench.machine import TICK_S

BOX_NEAR, BOX_FAR = "10.78.1.1", NEAR_ADDRESS
VILLAGE, FAR = "10.78.1.2", FAR_ADDRESS
DELAY_MS = 25  # one way


@dataclass(frozen=True)
class Place:
    """Namespaces that are up, and a folder for what is written down."""

    link: Link
    folder: Path

    @property
    def village(self) -> str:
        """The nurse's namespace."""
        return f"{self.link.client_prefix}1"

    @property
    def box(self) -> str:
        """The box's."""
        return self.link.near

    @property
    def far(self) -> str:
        """The doctor's."""
        return self.link.far

    async def told(self, namespace: str, *command: str) -> str:
        """Return what a command printed that ran in a namespace.

        Raises: RuntimeError where it fails.
        """
        asked = await asyncio.create_subprocess_exec(
            *self.link.inside(namespace, *command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await asked.communicate()
        if asked.returncode:
            raise RuntimeError(f"{' '.join(command)}: {said.decode()[-500:]}")
        return said.decode()


@asynccontextmanager
async def placed(conditions: Conditions, folder: Path) -> AsyncIterator[Place]:
    """Put up the namespaces and the link; take them down at the end, whatever ends it."""
    async with emulated(replace(conditions, routed_clients=1), folder, 0.0) as link:
        for way in ("down", "up"):
            await link.tell("delay", way, str(DELAY_MS))
        place = Place(link, folder)
        # the box's address in the village is none that the far side could reach
        await place.told(place.far, "ip", "link", "add", "nowhere", "type", "veth", "peer", "name", "beyond")
        for end in ("nowhere", "beyond"):
            await place.told(place.far, "ip", "link", "set", end, "arp", "off", "up")
        await place.told(place.far, "ip", "route", "add", f"{BOX_NEAR}/32", "dev", "nowhere")
        yield place


def missing() -> str | None:
    """Return, in a sentence, what keeps a call from being measured here; None where nothing does."""
    if chromium() is None:
        return "there is no Chromium: apt-get install chromium, or set CHROMIUM to where it is."
    return emulator.missing()


def chromium() -> str | None:
    """Return where the browser is."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


@dataclass(frozen=True)
class Process:
    """What a process has used: CPU seconds since it began, and the memory it holds now."""

    pid: int
    name: str
    cpu_s: float
    rss_bytes: int


def tree(pid: int) -> Sequence[Process]:
    """Return a process and its descendants, the oldest first; one that just ended is left out."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return []
    used_s = (int(fields[11]) + int(fields[12])) * TICK_S
    own = Process(pid, _name(words), used_s, int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))
    return [own, *(each for child in children for each in tree(int(child)))]


def _name(words: Sequence[str]) -> str:
    """Return what a process is, from its command line: a module of Python's by its last words."""
    if "-m" in words:
        module = words[words.index("-m") + 1]
        return {"gateway": "box", "gateway.clinic.media": "media"}.get(module, module.removeprefix("gateway."))
    if any("multiprocessing" in each for each in words):
        return "worker"
    return Path(words[0]).name


async def browsers_cpu_s(place: Place) -> float:
    """Return the CPU seconds of all browsers of a place that run."""
    used_s = 0.0
    for namespace in (place.village, place.far):
        asked = await asyncio.create_subprocess_exec("ip", "netns", "pids", namespace, stdout=asyncio.subprocess.PIPE)
        said, _ = await asked.communicate()
        used_s += sum(_browser_cpu_s(int(pid)) for pid in said.split())
    return used_s


def _browser_cpu_s(pid: int) -> float:
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")
    except OSError:
        return 0.0
    fields = rest.split()
    return (int(fields[11]) + int(fields[12])) * TICK_S if "(chrom" in name else 0.0
