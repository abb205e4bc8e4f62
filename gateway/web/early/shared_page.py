"""The memory that the box and its workers share: what has changed, and how many connections are open.

The box alone writes what has changed; workers cannot, since their view of it is for reading.
Connections are counted where they begin and end: a worker adds what it accepted and subtracts what it closed; the box
adds what it has open and subtracts what workers handed to it, which they go on counting. So the sum is right while a
connection is on its way from one to the other, and each count has one writer. A sum is read without a lock: it may miss
what happens at that moment, and no more. Beside that each worker tells how many it holds, so that one that holds many
can wait for the others.
"""

import mmap
import os
from typing import Self

from gateway.web.early.generations import WORDS

BOX = 0  # its place among the processes; workers follow
_GENERATIONS_BYTES = 4 * WORDS
_COUNTS_BYTES = mmap.ALLOCATIONGRANULARITY
_MASK, _SIGN = 0xFFFF_FFFF, 0x8000_0000


class SharedPage:
    """The shared memory, of as many doors and processes as it was made for."""

    def __init__(self, fd: int, doors: int, processes: int, *, writes: bool) -> None:
        self.fd = fd
        self._processes = processes
        size_bytes = doors * _GENERATIONS_BYTES
        access = mmap.ACCESS_WRITE if writes else mmap.ACCESS_READ
        self._generations = memoryview(mmap.mmap(fd, size_bytes, access=access)).cast("I")
        counts = memoryview(mmap.mmap(fd, _COUNTS_BYTES, offset=size_bytes)).cast("I")
        self._counts = counts[: doors * processes]
        self._held = counts[doors * processes : (doors + 1) * processes]

    @classmethod
    def made(cls, doors: int, processes: int) -> Self:
        """Make it, for the box."""
        fd = os.memfd_create("tambo-workers")
        os.truncate(fd, doors * _GENERATIONS_BYTES + _COUNTS_BYTES)
        return cls(fd, doors, processes, writes=True)

    def generations(self, door: int) -> "memoryview[int]":
        """Return the words that tell what has changed behind a door."""
        return self._generations[door * WORDS : (door + 1) * WORDS]

    def add(self, door: int, process: int, change: int) -> None:
        """Count connections of a process."""
        place = door * self._processes + process
        self._counts[place] = (self._counts[place] + change) & _MASK

    def set(self, door: int, process: int, count: int) -> None:
        """Count anew."""
        self._counts[door * self._processes + process] = count & _MASK

    def open(self, door: int) -> int:
        """Return how many connections of a door are open, of all processes together."""
        total = sum(self._counts[door * self._processes : (door + 1) * self._processes]) & _MASK
        return total - 2 * (total & _SIGN)

    def hold(self, process: int, count: int) -> None:
        """Tell how many connections a worker holds itself."""
        self._held[process] = count

    def least_held(self) -> int:
        """Return how many the worker holds that holds the fewest."""
        return min(self._held[BOX + 1 :])

    def close(self) -> None:
        """Let go of the file; the memory is there while somebody counts in it."""
        os.close(self.fd)
