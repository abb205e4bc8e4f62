"""What a disk may hold after a power cut, from the system calls of a program that was writing.

Kept for sure is what was synced. Of what was written since, each sector of 512 bytes may be there or not; names made,
changed or removed since their folder was synced are there up to some moment (a journaling file system keeps their
order). `-shm` is memory shared by processes and no part of what SQLite reads after a restart.

Source: Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014 (which states a crash may leave).
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

SECTOR_BYTES = 512
CALLS = ("openat", "pwrite64", "write", "ftruncate", "fdatasync", "fsync", "unlink", "rename", "mkdir")
ROOT = Path(__file__).resolve().parents[2]
BOX = Path(__file__).with_name("orders_box.py")

Way = Literal["all of it", "what was synced", "torn"]

_CALL = re.compile(r"(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
_HANDLE = re.compile(r"(\d+)<((?:\\x[0-9a-f]{2})*)>")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True)
class Call:
    """A system call that was made and did not fail."""

    name: str
    handle: int = -1
    path: str = ""
    other: str = ""  # where to, in a rename
    content: bytes = b""
    figure: int = 0  # an offset or a size
    creates: bool = False
    empties: bool = False


@dataclass(eq=False)
class File:
    """A file's bytes, and what of them is on the disk."""

    synced: bytes = b""
    now: bytearray = field(default_factory=bytearray)
    since: list[tuple[int, bytes | None]] = field(default_factory=list)  # offset and bytes; None: cut there

    def write(self, offset: int, content: bytes) -> None:
        _lay(self.now, offset, content)
        self.since.append((offset, content))

    def cut(self, size_bytes: int) -> None:
        _cut(self.now, size_bytes)
        self.since.append((size_bytes, None))

    def sync(self) -> None:
        self.synced, self.since = bytes(self.now), []

    def found(self, way: Way, random: Random) -> bytes:
        """Return the bytes as they are found; torn, with some of the sectors that were written since the last sync."""
        if way != "torn":
            return bytes(self.now if way == "all of it" else self.synced)
        found = bytearray(self.synced)
        for offset, content in self.since:
            if content is None:
                if random.random() < 0.5:
                    _cut(found, offset)
                continue
            chance = random.choice([0.0, 0.5, 1.0])
            for start in range(0, len(content), SECTOR_BYTES):
                if random.random() < chance:
                    _lay(found, offset + start, content[start : start + SECTOR_BYTES])
        return bytes(found)


class Disk:
    """The files below a folder, while a program writes them."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._now: dict[str, File] = {}
        for path in folder.rglob("*"):
            if path.is_file():
                file = self._now[str(path)] = File(now=bytearray(path.read_bytes()))
                file.sync()
        self._synced = dict(self._now)
        self._since: list[tuple[str, File | None]] = []  # names since their folder was synced

    def see(self, call: Call) -> None:
        """Take in what a call did."""
        if not call.path.startswith(self._folder):
            return
        file = self._now.get(call.path)
        match call.name:
            case "openat" if file is None and call.creates:
                self._name(call.path, File())
            case "openat" if file is not None and call.empties:
                file.cut(0)
            case "pwrite64" | "write" if file is not None:
                offset = call.figure if call.name == "pwrite64" else len(file.now)
                file.write(offset, call.content)
            case "ftruncate" if file is not None:
                file.cut(call.figure)
            case "fsync" | "fdatasync":
                if file is not None:
                    file.sync()
                else:  # a folder
                    self._settle_names(len(self._since))
            case "unlink":
                self._name(call.path, None)
            case "rename" if file is not None:
                self._name(call.other, file)
                self._name(call.path, None)

    def lay_out(self, folder: Path, way: Way, random: Random) -> None:
        """Write the files, as they may be found after a power cut (or a kill, with all of it), to another folder."""
        names, files = self._synced, dict[str, bytes]()
        if way == "all of it":
            names = self._now
        elif way == "torn":
            names = _names_after(self._synced, self._since[: random.randrange(len(self._since) + 1)])
        for name, file in names.items():
            if not name.endswith("-shm"):
                files[name] = file.found(way, random)
        folder.mkdir(parents=True)
        for name, content in files.items():
            path = folder / Path(name).relative_to(self._folder)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)

    def _name(self, path: str, file: File | None) -> None:
        self._since.append((path, file))
        self._now = _names_after(self._now, [(path, file)])

    def _settle_names(self, count: int) -> None:
        self._synced = _names_after(self._synced, self._since[:count])
        del self._since[:count]


def can_trace() -> str:
    """Return why system calls cannot be traced here; "" where they can."""
    if shutil.which("strace") is None:
        return "no strace here: sudo apt install strace"
    tried = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "this machine lets no process be traced (ptrace)"


def traced(
    options: Sequence[str], trace: Path | str, words: Sequence[object], box: Path = BOX
) -> subprocess.CompletedProcess[str]:
    """Run the box with its system calls traced."""
    command = ["strace", "-f", "-o", str(trace), *options, sys.executable, str(box), *map(str, words)]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=300, check=False)


def recorded(trace: Path, world: str, folder: Path, box: Path = BOX) -> list[Call]:
    """Return the calls of a box that does the day of a world in a folder."""
    options = ["--seccomp-bpf", "-y", "-xx", "-s", "10000000", "-e", f"trace={','.join(CALLS)}"]
    done = traced(options, trace, ["play", world, folder], box)
    assert done.returncode == 0, done.stderr
    with trace.open(encoding="ascii") as lines:
        return [call for line in lines if (call := _read(line)) is not None]


def steps_done(calls: Sequence[Call]) -> Iterator[int]:
    """Yield after each call the last step that was said to be done; -1 before the start was."""
    done = -1
    for call in calls:
        if call.name == "write" and call.handle == 1 and call.content.startswith(b"ACK "):
            done = int(call.content.split()[1])
        yield done


def _read(line: str) -> Call | None:
    found = _CALL.match(line)
    if found is None or int(found[3]) < 0:
        return None
    name, words = found[1], found[2]
    handle, texts = _HANDLE.match(words), [_plain(each) for each in _TEXT.findall(words)]
    place = (int(handle[1]), os.fsdecode(_plain(handle[2]))) if handle else (-1, "")
    match name:
        case "openat":
            path = os.fsdecode(texts[0])
            return Call(name, path=path, creates="O_CREAT" in words, empties="O_TRUNC" in words)
        case "pwrite64":
            size_bytes = int(found[3])
            return Call(name, *place, content=texts[0][:size_bytes], figure=int(words.rpartition(", ")[2]))
        case "write":
            return Call(name, *place, content=texts[0])
        case "ftruncate":
            return Call(name, *place, figure=int(words.rpartition(", ")[2]))
        case "unlink" | "mkdir":
            return Call(name, path=os.fsdecode(texts[0]))
        case "rename":
            return Call(name, path=os.fsdecode(texts[0]), other=os.fsdecode(texts[1]))
    return Call(name, *place)


def _plain(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _names_after(names: dict[str, File], changes: Sequence[tuple[str, File | None]]) -> dict[str, File]:
    found = dict(names)
    for path, file in changes:
        if file is None:
            found.pop(path, None)
        else:
            found[path] = file
    return found


def _lay(into: bytearray, offset: int, content: bytes) -> None:
    if len(into) < offset:
        into.extend(bytes(offset - len(into)))
    into[offset : offset + len(content)] = content


def _cut(content: bytearray, size_bytes: int) -> None:
    del content[size_bytes:]
    content.extend(bytes(size_bytes - len(content)))
