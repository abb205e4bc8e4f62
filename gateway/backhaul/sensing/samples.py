"""What the box's instruments say of the link: plain values, each with the moment it was taken. Pure.

Times are monotonic seconds. A delay's zero may be anything (two clocks that were never compared), so only differences
within one `path` mean something.
"""

from dataclasses import dataclass
from enum import StrEnum

FULL_BYTES = 1_448  # of content in a segment: 1500 B less 40 B of headers and 12 B of time stamps


class Way(StrEnum):
    """A direction, as the village sees it."""

    DOWN = "down"
    UP = "up"


class Sees(StrEnum):
    """Which queues a delay contains."""

    DOWN = "down"  # one way, towards the village
    UP = "up"  # one way, from the village
    BOTH = "both"  # a round trip


@dataclass(frozen=True, slots=True)
class DelaySample:
    """One delay, of something that arrived at `at_s`; `path` names what its baseline belongs to."""

    at_s: float
    delay_s: float
    path: str
    sees: Sees


@dataclass(frozen=True, slots=True)
class CounterSample:
    """What an interface has carried since some beginning, in bytes of IP packets."""

    at_s: float
    down_bytes: int
    up_bytes: int


@dataclass(frozen=True, slots=True)
class FlowSample:
    """What the kernel says of one connection of the box."""

    at_s: float
    flow: int
    peer: str  # whom it talks to: connections to one have one way
    received_bytes: int  # since it began
    acked_bytes: int  # of what was sent since it began
    unread_bytes: int  # have crossed, and wait in the kernel
    offered_bytes: int  # may still come without a word from here
    unsent_bytes: int  # not sent yet, or not acknowledged
    rcv_rtt_s: float | None  # receiver's round trip, smoothed by an eighth each time
    rtt_s: float | None  # sender's round trip, smoothed by an eighth
    min_rtt_s: float | None
    segments_in: int  # with content
    segments_out: int
    retransmitted: int
    segment_bytes: int = FULL_BYTES  # of content, at most
