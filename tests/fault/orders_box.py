"""A program that does the script of a journal's day, and says each step that is done: run by the fault tests.

python orders_box.py play WORLD FOLDER                         `ACK n` after each step, `ACK 0` after the start
python orders_box.py kills WORLD BEGUN FOLDER CALL LIMIT N...  for each N a copy of itself: LIMIT - N calls that do
    nothing, then the day in FOLDER/N; whoever traces it kills each at its call number LIMIT, the N-th of the day
python orders_box.py fails WORLD BEGUN FOLDER CALL LIMIT N...  as above; the call fails, and the day goes on
"""

import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from gateway.errors import CannotStart
from tests.clocks import HandClock
from tests.fault.orders_script import TRIES_MAX, Stand, a_writer, play, stand, through_failures
from tests.fault.orders_worlds import WORLDS, World, stands_in

_NO_FILE = 9_999  # no file is open by this number: the call is made, and fails
_CALLS: dict[str, Callable[[], object]] = {
    "pwrite64": lambda: os.pwrite(_NO_FILE, b"", 0),
    "fdatasync": lambda: os.fdatasync(_NO_FILE),
    "fsync": lambda: os.fsync(_NO_FILE),
    "ftruncate": lambda: os.ftruncate(_NO_FILE, 0),
    "unlink": lambda: os.unlink(""),
    "rename": lambda: os.rename("", ""),
}


def play_all(world: World, folder: Path, handle: int) -> None:
    """Do the whole day, and say on a file handle what is done."""
    clock = HandClock()
    writer = a_writer(folder, clock)
    writer.start()
    os.write(handle, b"ACK 0\n")
    for number, step in enumerate(world.steps, 1):
        play(writer, clock, step)
        os.write(handle, f"ACK {number}\n".encode())
    writer.stop()
    os.write(handle, b"END\n")


def fail_and_go_on(world: World, folder: Path, handle: int, known: list[Stand]) -> None:
    """Do the whole day on a disk that fails, and say how often a step was refused."""
    clock, refusals = HandClock(), 0
    writer = a_writer(folder, clock)
    while True:
        try:
            writer.start()
        except CannotStart:
            refusals += 1
            writer.stop()
            assert refusals < TRIES_MAX, "it starts again"
        else:
            break
    assert stand(writer) == known[0]
    refusals += through_failures(writer, clock, world.steps, known)
    writer.stop()
    os.write(handle, f"REFUSED {refusals}\n".encode())


def forked(work: Callable[[int], None], said: Path) -> None:
    """Run something in a copy of this process, which may be killed; what it says is in a file."""
    child = os.fork()
    if child == 0:
        handle = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        try:
            work(handle)
        except BaseException:
            os.write(handle, b"FAILED " + traceback.format_exc().replace("\n", " | ").encode())
        os._exit(0)
    os.waitpid(child, 0)


def main(way: str, name: str, *others: str) -> None:
    """Do as asked."""
    world = WORLDS[name]
    if way == "play":
        play_all(world, Path(others[0]), 1)
        return
    begun, folder, call, limit, *numbers = others
    known = stands_in(world, Path(begun), Path(folder) / "known") if way == "fails" else []

    def work(number: int, handle: int) -> None:
        for _ in range(int(limit) - number):
            try:
                _CALLS[call]()
            except OSError:
                continue
        if way == "fails":
            fail_and_go_on(world, Path(folder) / str(number), handle, known)
        else:
            play_all(world, Path(folder) / str(number), handle)

    for number in map(int, numbers):
        shutil.copytree(begun, Path(folder) / str(number))
        forked(lambda handle, number=number: work(number, handle), Path(folder) / f"{number}.said")  # type: ignore[misc]


if __name__ == "__main__":
    main(*sys.argv[1:])
