"""Who may use how much of the link. Pure.

Served in order: a few kb/s that orders always get, then calls up to what they want, then the web, then bulk. Nothing is
kept back for a class that nobody uses.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.backhaul.classes import TrafficClass

INTERACTIVE_FLOOR_BPS = 8_000  # an order of 134 B in a batch each second, and its receipt (2026-11)
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
    """Return the bit/s of each class, for one direction.

    `in_use` counts the open shares of each class; `calls_want_bps` is what all calls together would take. The shares of
    classes in use never add up to more than the capacity.
    """
    left = max(capacity_bps, 0)
    interactive = min(left, INTERACTIVE_FLOOR_BPS) if in_use.get(TrafficClass.INTERACTIVE) else 0
    left -= interactive
    realtime = min(calls_want_bps, int(left * CALLS_MAX_RATIO)) if in_use.get(TrafficClass.REALTIME) else 0
    left -= realtime
    web = left - int(left * BULK_RATIO) if in_use.get(TrafficClass.BULK) else left
    bulk = left - web if in_use.get(TrafficClass.WEB) else left
    idle_web = not in_use.get(TrafficClass.WEB)
    idle_both = idle_web and not in_use.get(TrafficClass.BULK)
    return {
        TrafficClass.REALTIME: realtime,
        # orders take what nobody else uses
        TrafficClass.INTERACTIVE: interactive + left if idle_both else interactive or left,
        TrafficClass.WEB: web,
        TrafficClass.BULK: bulk,
    }
