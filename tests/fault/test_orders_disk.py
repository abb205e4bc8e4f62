"""A disk that is slow, full or fails at any call: a refusal is a refusal, a receipt a receipt, and it goes on after."""

from collections import Counter
from pathlib import Path

import pytest

from tests.fault.conftest import Trials
from tests.fault.orders_replay import can_trace, traced
from tests.fault.orders_worlds import WORLDS, reopened_in, stands_in
from tests.fault.test_orders_kill import calls_of_a_day, spread

FAULTS = {  # the call, what it says, how many times in a row; and how many trials
    "a sync fails": ("fdatasync", "EIO", 1, 12),
    "syncs fail for a while": ("fdatasync", "EIO", 6, 8),
    "a write fails": ("pwrite64", "EIO", 1, 12),
    "the disk is full": ("pwrite64", "ENOSPC", 1, 12),
    "the disk is full for a while": ("pwrite64", "ENOSPC", 40, 8),
    "a file cannot be cut": ("ftruncate", "EIO", 1, 4),
    "a name cannot be removed": ("unlink", "EIO", 1, 4),
    "a folder cannot be synced": ("fsync", "EIO", 1, 3),
    "a name cannot be changed": ("rename", "EIO", 1, 3),
}


@pytest.fixture(autouse=True)
def strace() -> None:
    if why := can_trace():
        pytest.skip(why)


@pytest.mark.parametrize("name", list(WORLDS))
def test_a_failing_disk_gives_no_receipt_and_leaves_no_step_by_half(memory: Path, trials: Trials, name: str) -> None:
    world, begun = WORLDS[name], memory / "begun"
    begun.mkdir()
    world.lay_out(begun)
    known = stands_in(world, begun, memory / "known")
    counted, refused = calls_of_a_day(world, begun, memory), Counter[str]()
    made = 0
    for fault, (call, error, times, most) in FAULTS.items():
        points = spread(counted[call], most)
        if not points:
            continue
        folder = memory / fault.replace(" ", "-")
        folder.mkdir()
        limit = 2 * counted[call] + 20  # beyond what the box does before its first trial
        inject = ["-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={limit}..{limit + times - 1}"]
        words = ["fails", name, begun, folder, call, limit, *points]
        done = traced(["--seccomp-bpf", *inject], "/dev/null", words)
        assert done.returncode == 0, done.stderr
        for point in points:
            said = (folder / f"{point}.said").read_text()
            assert said.startswith("REFUSED"), f"{fault}, at {call} {point}: {said}"
            assert reopened_in(world, folder / str(point)) == known[-1], f"{fault}, at {call} {point}"
            refused[fault] += int(said.split()[1])
            made += 1
    assert refused["a sync fails"], refused
    assert refused["the disk is full"], refused
    trials(f"disks that fail or are full at a call ({name} journal)", made)


def test_a_slow_disk_changes_nothing_but_the_time(memory: Path, trials: Trials) -> None:
    world, begun = WORLDS["new"], memory / "begun"
    begun.mkdir()
    known = stands_in(world, begun, memory / "known")
    slow = ["--seccomp-bpf", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_exit=20000"]  # as an SD card's
    done = traced(slow, "/dev/null", ["play", "new", memory / "slow"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "END"
    assert reopened_in(world, memory / "slow") == known[-1]
    trials("days on a slow disk", 1)
