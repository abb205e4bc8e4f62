"""How much each routed TCP flow may have under way: the window of all, in whole segments, by those who receive. Pure.

What waits on the far side of the link cannot be shaped here, but it can be asked for less: the receive window that a
phone offers is set lower on its way through the box, as the box does with its own connections. A mean between two whole
numbers of segments is kept by offering the one or the other, from packet to packet. QUIC's windows are encrypted: for
it, and for all else but TCP, there is the queue alone.

Source: RFC 9840 (a sender is steered by the receiver's window); RFC 7323 §2.2 (what the field counts), RFC 9293
§3.8.6.2 (senders fill segments only where the window is whole ones).
"""

from typing import NamedTuple

PACKET_BYTES = 1_500  # of IP
SEGMENT_BYTES = 1_460  # of content at most: a window some bytes over costs nothing, one under it a segment
PARTS = 16  # of a segment: finer means are not kept
SCALES = range(15)  # RFC 7323 §2.3
FIELD_MAX = 65_535


class Window(NamedTuple):
    """Of each flow: so many segments, and in so many of `PARTS` packets one more."""

    segments: int
    more: int


def window_for(window_bytes: int, flows: int) -> Window:
    """Return the window of each of so many flows; one segment at least, or nothing would move.

    >>> window_for(30_000, 8)
    Window(segments=2, more=8)
    """
    parts = max(window_bytes * PARTS // (PACKET_BYTES * max(flows, 1)), PARTS)
    return Window(*divmod(parts, PARTS))


def field_of(segments: int, scale: int) -> int:
    """Return what the window field holds for so many segments; never less than them.

    >>> field_of(2, 0), field_of(2, 7)
    (2920, 23)
    """
    return min(-(-segments * SEGMENT_BYTES >> scale), FIELD_MAX)
