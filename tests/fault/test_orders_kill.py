"""`kill -9` at any point of the journal's day: it comes back as after the last step said to be done, or the next.

Each trial is a process of its own. With strace it is killed as it enters a system call that writes; without, before or
after a statement that it gives to SQLite.
"""

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.durable.database import BUSY_S
from tests.clocks import HandClock
from tests.fault.conftest import Trials
from tests.fault.orders_replay import can_trace, traced
from tests.fault.orders_script import Stand, a_writer, play
from tests.fault.orders_worlds import WORLDS, World, reopened_in, stands_in

CALLS = {"pwrite64": 40, "fdatasync": 12, "ftruncate": 5, "unlink": 5, "fsync": 5, "rename": 3}  # kills a world


def hold(found: Stand, known: list[Stand], said: str) -> bool:
    """Hold what came back against what was said; say whether the day was cut short."""
    assert "FAILED" not in said, said
    whole = [line for line in said.splitlines(keepends=True) if line.endswith("\n")]
    done = max((int(line.split()[1]) for line in whole if line.startswith("ACK")), default=-1)
    assert found in known[max(done, 0) : done + 2], f"a step was lost, invented or done by half after {done}"
    return "END\n" not in whole


@pytest.mark.parametrize("name", list(WORLDS))
def test_a_kill_as_it_writes_leaves_no_step_by_half(memory: Path, trials: Trials, name: str) -> None:
    if why := can_trace():
        pytest.skip(why)
    world, begun, killed = WORLDS[name], memory / "begun", 0
    begun.mkdir()
    world.lay_out(begun)
    known = stands_in(world, begun, memory / "known")
    counted = calls_of_a_day(world, begun, memory)
    for call, most in CALLS.items():
        limit, points = counted[call], spread(counted[call], most)
        if not points:
            continue
        (memory / call).mkdir()
        inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={limit}"]
        done = traced(inject, "/dev/null", ["kills", name, begun, memory / call, call, limit, *points])
        assert done.returncode == 0, done.stderr
        for point in points:
            said = (memory / call / f"{point}.said").read_text()
            killed += hold(reopened_in(world, memory / call / str(point)), known, said)
    assert killed > 20
    trials(f"kills as it enters a write ({name} journal)", killed)


def calls_of_a_day(world: World, begun: Path, folder: Path) -> dict[str, int]:
    """Return how often each kind of call is made in a whole day."""
    shutil.copytree(begun, folder / "counted")
    trace = folder / "calls"
    done = traced(
        ["--seccomp-bpf", "-s", "0", "-e", f"trace={','.join(CALLS)}"], trace, ["play", world.name, folder / "counted"]
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=1)[-1] for line in trace.read_text().splitlines()]
    return {call: sum(line.startswith(f"{call}(") for line in lines) for call in CALLS}


def spread(count: int, most: int) -> list[int]:
    """Return at most so many of the first `count` numbers, all over them."""
    step = max(count / most, 1.0) if most else 1.0
    return sorted({1 + int(place * step) for place in range(min(count, most))})


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.parametrize("name", list(WORLDS))
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_a_statement_leaves_no_step_by_half(memory: Path, trials: Trials, name: str, after: bool) -> None:
    world, begun = WORLDS[name], memory / "begun"
    begun.mkdir()
    world.lay_out(begun)
    known = stands_in(world, begun, memory / "known")
    point = killed = 0
    is_cut = True
    while is_cut:
        point += 1 + 17 * (name == "new")  # a day has thousands; the other worlds' are mostly reading
        shop = memory / str(point)
        shutil.copytree(begun, shop)
        said = in_a_process(world, shop, dying_at(point, after=after))
        is_cut = hold(reopened_in(world, shop), known, said)
        shutil.rmtree(shop)
        killed += is_cut
        if name != "new":
            point += 6
    assert killed > 20
    trials(f"kills {'after' if after else 'before'} a statement ({name} journal)", killed)


def dying_at(point: int, *, after: bool) -> Callable[[Path], sqlite3.Connection]:
    """Return what opens connections whose process ends at the `point`-th statement that may write."""
    left = [point]

    class Dying(sqlite3.Connection):
        def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
            left[0] -= not statement.startswith("SELECT")
            if left[0] == 0 and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            found = super().execute(statement, *values)  # type: ignore[arg-type]
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

    return lambda path: sqlite3.connect(path, isolation_level=None, timeout=BUSY_S, factory=Dying)


def in_a_process(world: World, shop: Path, opens: Callable[[Path], sqlite3.Connection]) -> str:
    """Do the day of a world in a process of its own; return what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            clock = HandClock()
            writer = a_writer(shop, clock, opens=opens)
            writer.start()
            os.write(writing, b"ACK 0\n")
            for number, step in enumerate(world.steps, 1):
                play(writer, clock, step)
                os.write(writing, f"ACK {number}\n".encode())
            os.write(writing, b"END\n")
        except BaseException as exc:
            os.write(writing, f"FAILED {exc!r}\n".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        said = told.read()
    os.waitpid(child, 0)
    return said
