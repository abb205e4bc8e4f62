"""What the benchmark asks of the machine: processes and their CPU time, free ports, percentiles, tables."""

import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.village import CHECKOUT, started

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_s(pid: int) -> float:
    """Return user + system seconds of a process and of its children that still run (proc(5), stat fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) * TICK_S
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return own + sum(cpu_s(int(child)) for child in children)


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """Return the value that `share` of the others do not exceed."""
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a Markdown table."""
    lines = [f"### {title}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


class Box:
    """A `tambo run` with a settings file of the benchmark's."""

    def __init__(self, folder: Path, settings: str) -> None:
        self.port = free_port()
        self.config = folder / "tambo.toml"
        self.config.write_text(
            f'[box]\nname = "bench"\ndata = "var"\n[portal]\nhttp = "127.0.0.1:{self.port}"\n'
            f'[clinic]\ndoor = "127.0.0.1:0"\n[admin]\nlisten = "127.0.0.1:0"\n{settings}',
            encoding="utf-8",
        )
        self.process, _ = started([*CHECKOUT, "run", "--config", self.config], folder / "log")

    @property
    def pid(self) -> int:
        """The process that serves."""
        return self.process.pid

    def command(self, *arguments: str) -> str:
        """Run a command of `tambo` on this box's settings."""
        done = subprocess.run(
            [*CHECKOUT, *arguments, "--config", self.config], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def stop(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait()
