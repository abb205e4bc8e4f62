"""The call's packets as they cross, and as an end writes down those that came. Pure."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

NEAR_ADDRESS, FAR_ADDRESS = "10.77.0.1", "10.77.0.2"
VOICE, VIDEO = 0, 1
HEAD = struct.Struct("!BIdI")  # stream, number, when it was sent (monotonic), what the other end's picture may use
RECORD = struct.Struct("<BIddH")  # stream, number, when it was sent, when it came, payload bytes


@dataclass(frozen=True, slots=True)
class Came:
    """A packet that came."""

    stream: int
    number: int
    sent_s: float
    came_s: float
    size_bytes: int


def read(records: bytes) -> Sequence[Came]:
    """Return the packets an end wrote down, in the order in which they came."""
    whole = len(records) // RECORD.size * RECORD.size
    return [Came(*each) for each in RECORD.iter_unpack(records[:whole])]
