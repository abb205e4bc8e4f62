"""Which way is taken where there is more than one: the first in the operator's order that carries anything. Pure.

A way that is down is left at once. One that is better (earlier in the order, or with data left) is gone back to once it
has been good for a while, and for longer each time the last return did not last: a link at the edge of its coverage
would else take the village to and fro. A way whose allowance is spent comes after all that have some left; nothing is
refused for that. With every way down, the one there was is kept, so that whichever answers first is found.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.backhaul.sensing.state import LinkState

GOOD_FOR_S = 30.0  # a better way has carried so long: the longest gap of a stationary LTE trace, fifteen times
GOOD_FOR_S_MAX = 900.0
LASTED_S = 600.0  # a return that held so long is forgotten


@dataclass(frozen=True, slots=True)
class Standing:
    """How one way is now."""

    name: str
    state: LinkState = LinkState.UP
    since_s: float = 0.0
    spent: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """Which way is taken, since when, and how long a better one must be good first."""

    active: str
    since_s: float
    good_for_s: float = GOOD_FOR_S
    returned: bool = False  # it was gone back to, not fled to


def choose(order: Order, ways: Sequence[Standing], now_s: float) -> Order:
    """Return which way is taken now; `ways` are in the operator's order."""
    active = next((way for way in ways if way.name == order.active), None)
    if active is None or active.state is LinkState.DOWN:
        return _flee(order, ways, now_s)
    better = next((way for way in better_than(active, ways) if now_s - way.since_s >= order.good_for_s), None)
    if better is None:
        return order
    return Order(better.name, now_s, order.good_for_s, returned=True)


def better_than(active: Standing, ways: Sequence[Standing]) -> list[Standing]:
    """Return the ways that are up and would be taken rather than this one, the best first."""
    ranked = _ranked(ways)
    return [way for way in ranked[: ranked.index(active)] if way.state is LinkState.UP]


def _flee(order: Order, ways: Sequence[Standing], now_s: float) -> Order:
    usable = next((way for way in _ranked(ways) if way.state is not LinkState.DOWN), None)
    if usable is None or usable.name == order.active:
        return order
    lasted = now_s - order.since_s >= LASTED_S
    if not order.returned or lasted:
        good_for_s = GOOD_FOR_S if lasted else order.good_for_s
    else:
        good_for_s = min(2 * order.good_for_s, GOOD_FOR_S_MAX)
    return replace(order, active=usable.name, since_s=now_s, good_for_s=good_for_s, returned=False)


def _ranked(ways: Sequence[Standing]) -> list[Standing]:
    return sorted(ways, key=lambda way: way.spent)  # stable: the operator's order within
