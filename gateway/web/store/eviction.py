"""What goes first when room is needed: what was not used for long, and sooner where its bytes came cheap. Pure.

An answer's rank is the time of its last use and a bonus that grows with the logarithm of what a byte of it cost on the
link, in the manner of GreedyDual-Size: a small page costs three round trips and takes no room, so it stays; a film
costs as much a byte as the link is slow. The lowest rank goes first. Time is counted in seconds the box has run, so a
clock that was wrong, or a month without power, changes no order.

Source: Cao, Irani: Cost-Aware WWW Proxy Caching Algorithms (USITS 1997).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import log2

CHEAP_S_PER_BYTE = 1e-6  # at 8 Mbit/s, a good hour of a village's link
WORTH_S = 21_600.0  # a byte that cost twice as much may lie unused for 6 hours longer
BONUS_S_MAX = 604_800.0  # a week: nothing that nobody uses stays for ever
PINNED_S = 1e15  # ranks from here on are never reached by use; what is pinned stays
HEAD_BYTES = 1_024  # what the rows of an answer take beside its body (2026-11)


@dataclass(frozen=True, slots=True)
class Room:
    """What is stored and what may be, and what is free on the disk and has to stay so for others."""

    held_bytes: int
    size_bytes_max: int
    free_bytes: int
    free_bytes_min: int

    def excess_bytes(self, wanted_bytes: int, *, is_there: bool = False) -> int:
        """Return how much has to go before so much can be stored; 0 or less: nothing.

        `is_there`: it lies on the disk already, in a file that is only to be renamed.
        """
        over = self.held_bytes + wanted_bytes - self.size_bytes_max
        return max(over, self.short_bytes(0 if is_there else wanted_bytes))

    def short_bytes(self, wanted_bytes: int) -> int:
        """Return by how much less would be free than has to stay so."""
        return self.free_bytes_min + wanted_bytes - self.free_bytes


def bonus_s(cost_s: float, size_bytes: int) -> float:
    """Return for how long an answer may lie unused beyond one that cost nothing.

    >>> round(bonus_s(0.0, 1_000)), round(bonus_s(0.6, 1_000) / 3_600), round(bonus_s(100.0, 12_500_000) / 3_600)
    (0, 49, 19)
    """
    if not cost_s > 0.0:
        return 0.0
    return min(BONUS_S_MAX, WORTH_S * log2(1.0 + cost_s / (size_bytes + HEAD_BYTES) / CHEAP_S_PER_BYTE))


def victims(by_rank: Iterable[tuple[str, int]], excess_bytes: int) -> list[str]:
    """Return which answers go, of keys and sizes with the lowest rank first: as many as are needed.

    >>> victims([("a", 4_000), ("b", 90_000), ("c", 10)], 50_000)
    ['a', 'b']
    """
    gone: list[str] = []
    for key, size_bytes in by_rank:
        if excess_bytes <= 0:
            break
        gone.append(key)
        excess_bytes -= size_bytes + HEAD_BYTES
    return gone
