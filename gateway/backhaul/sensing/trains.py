"""What one direction carries, found with a few trains of packets while nobody else is on the link. Pure.

A train is sent as fast as can be, and the narrowest link spreads it: what it carries is the train's size over how long
it lasts at the far end. The first is short, so that the weakest link is rid of it within a second; each next one is
twice as long, until one lasted so long that a radio's pauses do not matter, or it is clear that nobody needs more. A
train that the link's queue does not hold loses its end, and what is sent again comes late: what it was before counts.

Source: C. Dovrolis, P. Ramanathan, D. Moore, "What do packet dispersion techniques measure?", IEEE INFOCOM 2001.
"""

from dataclasses import dataclass

FIRST_BYTES = 5_600  # four full segments
LASTS_S = 0.25  # a shorter train is not sure
SHORTEST_S = 0.001
ENOUGH_BPS, ENOUGH_BYTES = 2_000_000, 20_000  # so much, shown by so long a train, is more than any call takes


@dataclass(frozen=True, slots=True)
class Trains:
    """What the trains so far have told."""

    next_bytes: int | None = FIRST_BYTES  # of content; None: it is known
    carries_bps: int | None = None  # of content


@dataclass(frozen=True, slots=True)
class Passed:
    """How much of a train has passed, and in how long: the fastest it was, once that was long enough to be sure."""

    size_bytes: int = 0
    lasted_s: float = 0.0


def passed(before: Passed, size_bytes: int, lasted_s: float) -> Passed:
    """Return what counts of a train of which `size_bytes` have passed now.

    >>> passed(Passed(5_600, 0.3), 9_800, 1.15)
    Passed(size_bytes=5600, lasted_s=0.3)
    """
    slower = size_bytes * before.lasted_s < before.size_bytes * lasted_s
    return before if before.lasted_s >= LASTS_S and slower else Passed(size_bytes, lasted_s)


def came(state: Trains, size_bytes: int, lasted_s: float, bytes_max: int) -> Trains:
    """Return what is known now that `size_bytes` of content came within `lasted_s`; no train is above `bytes_max`.

    >>> came(Trains(), 4_200, 0.44, 64_000)
    Trains(next_bytes=None, carries_bps=76363)
    >>> came(Trains(), 4_200, 0.02, 64_000).next_bytes
    11200
    """
    carries_bps = int(size_bytes * 8 / max(lasted_s, SHORTEST_S))
    twice_bytes = 2 * (state.next_bytes or FIRST_BYTES)
    enough = carries_bps >= ENOUGH_BPS and size_bytes >= ENOUGH_BYTES
    return Trains(None if lasted_s >= LASTS_S or enough or twice_bytes > bytes_max else twice_bytes, carries_bps)
