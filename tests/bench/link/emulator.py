"""An emulated access link between two network namespaces, for one run: built by `linkemu`, gone when the run is.

The namespaces carry this process's number, so that runs can go side by side; inside, addresses and ports are always
the same. `linkemu` is a tool of its own, and so are the traces: found by `TAMBO_LINKEMU` and `TAMBO_TRACES`, on the
path, or beside the checkout.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.bench.link.running import Running, running
from tests.village import ROOT

FAR_NETWORK = "10.77.0.0/24"
DEVICE = "lte0"
CLIENTS_NETWORK = "10.78.0.0/16"  # what the emulator gives routed clients: 10.78.i.2
DELAY_S = 0.020  # one way
STATS_S = 0.1
START_S = 20.0


@dataclass(frozen=True)
class Capacity:
    """What one direction carries: a constant rate in Mbit/s, or a trace from a second on."""

    mbit: float = 10.0
    trace: str = ""
    offset_s: float = 0.0

    def __str__(self) -> str:
        return self.trace or f"{self.mbit:g} Mbit/s"


@dataclass(frozen=True)
class Conditions:
    """What the link is like; outages are (start, duration) in seconds after its origin."""

    down: Capacity = Capacity()
    up: Capacity = Capacity()
    queue: str = "512K"
    congestion_control: str = "cubic"
    outages: tuple[tuple[float, float], ...] = ()
    outage_mode: str = "hold"
    routed_clients: int = 0
    jitter_ms: float = 0.0
    loss_percent: float = 0.0


@dataclass(frozen=True)
class Link:
    """A link that runs; `origin_s` (monotonic) is when its traces and outages begin to count."""

    program: str
    near: str
    far: str
    client_prefix: str
    origin_s: float
    stats: Path

    async def tell(self, *words: str) -> None:
        """Change the link while it runs: `rate down 0.4`, `outage 5`."""
        command = [self.program, "ctl", "--near", self.near, *words]
        told = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        said, _ = await told.communicate()
        if told.returncode:
            raise RuntimeError(f"linkemu {' '.join(words)}: {said.decode()}")

    def inside(self, namespace: str, *command: str | Path) -> list[str]:
        """Return the command that runs `command` in a namespace of this link."""
        return ["ip", "netns", "exec", namespace, *map(str, command)]

    def module(self, namespace: str, module: str, *arguments: str | Path) -> list[str]:
        """Return the command that runs a module of this checkout in a namespace."""
        return self.inside(namespace, sys.executable, "-m", module, *arguments)


@cache
def program() -> str | None:
    """Return where `linkemu` is."""
    named = os.environ.get("TAMBO_LINKEMU") or shutil.which("linkemu") or ROOT.parent / "shared/linkemu/linkemu"
    return str(named) if os.access(named, os.X_OK) else None


def trace_file(name: str) -> Path:
    """Return where a trace is, such as `lte-driving-att2016.down`."""
    return Path(os.environ.get("TAMBO_TRACES") or ROOT.parent / "shared/traces") / name


def missing() -> str | None:
    """Return, in a sentence, what keeps the link from being emulated here; None where nothing does."""
    if program() is None:
        return "linkemu was not found: set TAMBO_LINKEMU to where it is."
    if os.geteuid() or not Path("/dev/net/tun").exists() or shutil.which("ip") is None:
        return "network namespaces need root, /dev/net/tun and iproute2."
    return None


@asynccontextmanager
async def emulated(conditions: Conditions, folder: Path, starts_s: float) -> AsyncIterator[Link]:
    """Run a link; a trace's `offset_s` is what passes `starts_s` after the link's origin."""
    found = program()
    if found is None:
        raise RuntimeError(missing())
    near, far, clients = (f"tb{os.getpid()}{end}" for end in ("v", "w", "c"))
    stats = folder / "link.jsonl"
    options = [*_options(conditions, starts_s), "--near", near, "--far", far, "--client-prefix", clients]
    command = [found, "up", *options, "--stats", str(stats), "--interval", str(STATS_S)]
    async with running(command, folder / "linkemu.log") as emulator:
        ready = json.loads(await emulator.first_line(START_S))
        yield Link(found, near, far, clients, ready["start_monotonic"], stats)
        await _still_up(emulator)


def _options(conditions: Conditions, starts_s: float) -> Sequence[str]:
    given = [f"--delay={DELAY_S * 1000:g}", f"--queue={conditions.queue}", f"--cc={conditions.congestion_control}"]
    given += [f"--jitter={conditions.jitter_ms}", f"--loss={conditions.loss_percent}"]
    offsets = set()
    for way, capacity in (("down", conditions.down), ("up", conditions.up)):
        if capacity.trace:
            path = trace_file(f"{capacity.trace}.{way}")
            if not path.exists():
                raise FileNotFoundError(f"there is no trace {path}: set TAMBO_TRACES to where the traces are")
            given.append(f"--trace-{way}={path}")
            offsets.add((capacity.offset_s - starts_s) % _length_s(path))
        else:
            given.append(f"--rate-{way}={capacity.mbit}")
    if offsets:  # both directions of one drive: the emulator takes one offset, the longer file's
        given.append(f"--trace-offset={max(offsets)}")
    given += [f"--outage={starts_s + start_s}:{for_s}" for start_s, for_s in conditions.outages]
    return [*given, f"--outage-mode={conditions.outage_mode}", f"--clients={conditions.routed_clients}"]


def _length_s(path: Path) -> float:
    with path.open("rb") as file:
        file.seek(-64, os.SEEK_END)
        return int(file.read().split()[-1]) / 1000


async def _still_up(emulator: Running) -> None:
    if emulator.process.returncode is not None:
        raise RuntimeError(f"linkemu ended early: {emulator.log.read_text()}")
