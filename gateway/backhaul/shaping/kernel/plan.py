"""What must stand in the kernel for two rates: queues, classes and limits, as plain values. Pure.

CAKE where the kernel has it. Else HTB: the link, below it the four classes, below each a queue for the box itself and
one for each device. A class is guaranteed a part of the link and may borrow what others leave up to its ceiling, in
the order of the classes; within a class the box's own traffic goes first, for it is paced before it comes here, and
the devices share the rest packet by packet. Each queue cuts the kernel's joined packets back into single ones, so a
call waits for the one packet that is being sent.

Sources: tc-htb(8); RFC 4594 §2, RFC 8622 (classes); our measurement of a call in a class smaller than itself (2026-11).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.backhaul.sharing.classes import TrafficClass

HANDLE = 0x7A60  # of every root queue made here, by which it is known again
BELOW = 0x2000  # handles of what stands below a leaf: this, plus the leaf's number
INNER = 0x10  # numbers of the four classes: this, plus their place
IFB = "tambo-down"  # arriving packets pass through it, for only what leaves an interface is shaped
RATE_BPS_MIN = 16_000
RATE_BPS_MAX = 10_000_000_000  # above it HTB wants other fields
LEAF_BPS = 800  # a queue is promised next to nothing: promises of queues come before classes
LEAF_BPS_MAX = 10_000_000_000  # what bounds a queue is its class
PACKET_BYTES = 1_514
BURST_S = 0.001  # of the rate: fewer wake-ups above 12 Mbit/s; below, one packet
QUEUE_S = 0.02  # a queue holds so much of the rate …
QUEUE_PACKETS_MIN = 3  # … or so many packets. What waits here tells senders too late: of 8 downloads at 3.8 of
# 4 Mbit/s, 60 ms left a second of queue on the link itself for half a minute, 20 ms a tenth of one (2026-11)
LIMITS_KEPT_RATIO = 1.5  # queues get new limits when the rate has moved by more
RATIO_MIN = 0.01  # no class is shut out
PLACES = tuple(TrafficClass)
CAKE_TINS = {
    TrafficClass.BULK: 1,
    TrafficClass.WEB: 2,
    TrafficClass.INTERACTIVE: 3,
    TrafficClass.REALTIME: 4,
}  # tc-cake(8), diffserv4


class Queueing(StrEnum):
    """Which of the kernel's schedulers is used."""

    CAKE = "cake"
    HTB = "htb"


@dataclass(frozen=True, slots=True)
class Features:
    """What this kernel has, found out by trying."""

    cake: bool = False
    htb: bool = False
    tbf: bool = False
    fq_codel: bool = False
    ifb: bool = False
    rules: bool = False  # nftables: classes and devices of what leaves
    answers: bool = False  # and of what arrives
    windows: bool = False  # the windows of routed TCP flows can be lowered
    redirect: bool = False  # u32 and mirred: arriving packets by their own marks

    @property
    def queueing(self) -> Queueing | None:
        """Return what to shape with, or None where nothing can be."""
        if self.cake:
            return Queueing.CAKE
        return Queueing.HTB if self.htb and self.tbf else None

    @property
    def arriving(self) -> bool:
        """Whether what arrives can be shaped too."""
        return self.ifb and (self.answers or self.redirect)


@dataclass(frozen=True, slots=True)
class Part:
    """A class's part of the link: what it is guaranteed, and what it never exceeds."""

    rate_ratio: float
    ceil_ratio: float

    def __post_init__(self) -> None:
        if not RATIO_MIN <= self.rate_ratio <= self.ceil_ratio <= 1:
            raise ValueError("a guarantee is not above its ceiling")


Parts = Mapping[TrafficClass, Part]

# Guarantees cost nothing while unused. Calls have a ceiling below the link, so whoever marks all their packets
# as a call does not silence the rest; orders take half of it at most, as they do among the box's own shares.
PARTS: Parts = {
    TrafficClass.REALTIME: Part(0.75, 0.9),
    TrafficClass.INTERACTIVE: Part(0.1, 0.5),
    TrafficClass.WEB: Part(0.1, 1.0),
    TrafficClass.BULK: Part(0.05, 1.0),
}


def checked(parts: Parts) -> Parts:
    """Return the parts if they are one for each class and add up to no more than the link.

    Raises: ValueError.
    """
    if set(parts) != set(TrafficClass) or sum(each.rate_ratio for each in parts.values()) > 1.0001:
        raise ValueError("guarantees of four classes, in all at most the link")
    return parts


@dataclass(frozen=True, slots=True)
class HtbClass:
    """One class of the tree, in the kernel's terms; `number` is the low half of its id."""

    number: int
    parent: int  # 0: the root queue itself
    rate_bps: int
    ceil_bps: int
    burst_bytes: int
    priority: int = 0
    quantum_bytes: int = PACKET_BYTES


def inner_of(traffic_class: TrafficClass) -> int:
    """Return the number of a class."""
    return INNER + PLACES.index(traffic_class)


def leaf_of(traffic_class: TrafficClass, queue: int) -> int:
    """Return the number of one of its queues: 0 the box itself, then the devices, the last for who is not known."""
    return (PLACES.index(traffic_class) + 1) << 8 | queue


def class_of(number: int) -> TrafficClass | None:
    """Return the class that a queue belongs to.

    >>> class_of(leaf_of(TrafficClass.WEB, 7)).value
    'web'
    """
    place = (number >> 8) - 1
    return PLACES[place] if 0 <= place < len(PLACES) else None


def upper(rate_bps: int, parts: Parts) -> Iterator[HtbClass]:
    """Yield what changes with the rate: the link, then its four classes."""
    rate_bps = within(rate_bps)
    yield HtbClass(1, 0, rate_bps, rate_bps, _burst_bytes(rate_bps))
    for each in TrafficClass:
        part = parts[each]
        ceil_bps = int(rate_bps * part.ceil_ratio)
        yield HtbClass(inner_of(each), 1, int(rate_bps * part.rate_ratio), ceil_bps, _burst_bytes(ceil_bps))


def leaves(devices: int) -> Iterator[HtbClass]:
    """Yield the queues below the classes: the box's own before the devices', class by class."""
    for place, each in enumerate(TrafficClass):
        for queue in range(devices + 2):
            priority = 2 * place + (queue > 0)
            yield HtbClass(
                leaf_of(each, queue), inner_of(each), LEAF_BPS, LEAF_BPS_MAX, PACKET_BYTES + 86, priority=priority
            )


def strangers(devices: int) -> int:
    """Return the queue of packets that no device is known for."""
    return devices + 1


def queue_bytes(rate_bps: int) -> int:
    """Return how much one queue holds at this rate before it drops."""
    return max(int(within(rate_bps) / 8 * QUEUE_S), QUEUE_PACKETS_MIN * PACKET_BYTES)


def limits_stale(set_for_bps: int, rate_bps: int) -> bool:
    """Say whether the rate has moved so far that the queues want new limits."""
    low, high = sorted((queue_bytes(set_for_bps), queue_bytes(rate_bps)))
    return high > low * LIMITS_KEPT_RATIO


def within(rate_bps: int) -> int:
    """Return the rate, kept to what the tree can be built for."""
    return min(max(rate_bps, RATE_BPS_MIN), RATE_BPS_MAX)


def _burst_bytes(rate_bps: int) -> int:
    return max(PACKET_BYTES + 86, int(rate_bps / 8 * BURST_S))
