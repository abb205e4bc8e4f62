"""How often each resource has changed, so that a copy of an answer elsewhere can tell that it is void.

One counter stands for all resources of a hash, and one for everything. A copy carries both as they were when it was
made; it holds while they are the same. Two resources that share a counter only end each other's copies too early.

The counters may lie in memory that other processes see. That needs no lock: one process writes, each counter is four
aligned bytes, stored and loaded at once, and it is stored before the change is answered to anybody. Whoever has learned
of the change from this box therefore finds the new value.
"""

from array import array
from typing import NamedTuple

WORDS = 8_192  # 32 KiB, whole pages; a village asks for a few thousand pages a day
_MASK = 0xFFFF_FFFF
_ALL = 0  # the place of the counter of everything


class Stamp(NamedTuple):
    """The counters of one resource as they were, and where its own is."""

    place: int
    own: int
    all: int


class Generations:
    """The counters of one door."""

    def __init__(self) -> None:
        self._words: array[int] | memoryview[int] = array("I", bytes(4 * WORDS))
        self.changes = 0  # of all counters together

    def share(self, words: "memoryview[int]") -> None:
        """Count in these words from now on, of `WORDS` times four bytes."""
        words[:] = memoryview(array("I", self._words))
        self._words = words

    def changed(self, site: str, url: str) -> None:
        """Make void what is known of one resource."""
        self._count(_place(site, url))

    def cleared(self) -> None:
        """Make void everything."""
        self._count(_ALL)

    def stamp(self, site: str, url: str) -> Stamp:
        """Return what a copy made now carries."""
        place = _place(site, url)
        return Stamp(place, self._words[place], self._words[_ALL])

    def _count(self, place: int) -> None:
        self._words[place] = (self._words[place] + 1) & _MASK
        self.changes += 1


def _place(site: str, url: str) -> int:
    return 1 + hash((site, url)) % (WORDS - 1)
