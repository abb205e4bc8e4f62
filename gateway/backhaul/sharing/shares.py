"""What the link carries in each direction, and what each class has of one. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.filling import UNLIMITED
from gateway.backhaul.sharing.policy import NOTHING, ByClass, Policy, by_class


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the link can carry in each direction, in bit/s."""

    down_bps: int
    up_bps: int

    def __post_init__(self) -> None:
        if min(self.down_bps, self.up_bps) < 0:
            raise ValueError("a capacity is not negative")


def divide(
    capacity_bps: int,
    in_use: Mapping[TrafficClass, int],
    calls_want_bps: int,
    policy: Policy = Policy(),  # noqa: B008 - frozen
) -> dict[TrafficClass, int]:
    """Return the bit/s of each class, for one direction; a class that is not in use gets none.

    `in_use` counts the open shares of each class; `calls_want_bps` is what all calls together would take.
    """
    wants = ByClass(*(UNLIMITED if in_use.get(each) else 0 for each in TrafficClass))
    wants = wants._replace(realtime=min(calls_want_bps, wants.realtime))
    shares = by_class(max(capacity_bps, 0), wants, NOTHING, policy)
    return dict(zip(TrafficClass, shares, strict=True))
