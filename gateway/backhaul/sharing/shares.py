"""Who may use how much of the link. Pure.

Served in order: a few kb/s that orders always get, then calls up to what they want; of the rest, orders under way take
half, and then the web, and bulk. Nothing is kept back for a class that nobody uses.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.backhaul.sharing.classes import TrafficClass

INTERACTIVE_FLOOR_BPS = 8_000  # an order of 134 B in a batch each second, and its receipt (2026-11)
INTERACTIVE_RATIO = 0.5  # of what calls leave, while a batch is under way: it is small, and soon over
CALLS_MAX_RATIO = 0.9  # the rest keeps signalling and acknowledgements of other flows alive
BULK_RATIO = 0.1  # beside a page somebody waits for


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the link can carry in each direction, in bit/s."""

    down_bps: int
    up_bps: int

    def __post_init__(self) -> None:
        if min(self.down_bps, self.up_bps) < 0:
            raise ValueError("a capacity is not negative")


def divide(capacity_bps: int, in_use: Mapping[TrafficClass, int], calls_want_bps: int) -> dict[TrafficClass, int]:
    """Return the bit/s of each class, for one direction; a class that is not in use gets none.

    `in_use` counts the open shares of each class; `calls_want_bps` is what all calls together would take. The shares
    never add up to more than the capacity.
    """
    used = {each for each in TrafficClass if in_use.get(each)}
    left = max(capacity_bps, 0)
    floor = min(left, INTERACTIVE_FLOOR_BPS) if TrafficClass.INTERACTIVE in used else 0
    realtime = min(calls_want_bps, int((left - floor) * CALLS_MAX_RATIO)) if TrafficClass.REALTIME in used else 0
    left -= floor + realtime
    others = used & {TrafficClass.WEB, TrafficClass.BULK}
    more = 0
    if TrafficClass.INTERACTIVE in used:
        more = int(left * INTERACTIVE_RATIO) if others else left
    left -= more
    bulk = left if others == {TrafficClass.BULK} else int(left * BULK_RATIO) if TrafficClass.BULK in others else 0
    return {
        TrafficClass.REALTIME: realtime,
        TrafficClass.INTERACTIVE: floor + more,
        TrafficClass.WEB: left - bulk if TrafficClass.WEB in others else 0,
        TrafficClass.BULK: bulk,
    }
