"""A receive window lets a sender have in flight what its rate carries in a round trip, and a little to queue. Pure.

A sender fills its segments only where the window is whole segments, so the window is one number of them or the next,
and what is rounded off is owed to the next call: over successive calls the mean is what was asked for.

Source: RFC 9840 (a receiver steers a sender by its window). A window that is a few bytes short of whole segments costs
a fifth of the rate, one that is a few bytes over costs 1 % (2026-11): the kernel rounds up to `STEP_BYTES`. One segment
would do: Linux sends it in halves, and the acknowledgement of the first is not held back (.93 of the window a round
trip, with Nagle's algorithm and without). Two are the least here, and where all of them are too much `turns` are taken.
"""

from typing import NamedTuple

SEGMENTS_MIN = 2
STEP_BYTES = 64  # what the window field counts (RFC 7323 §2.2): 2^6, so that it reaches the largest window below
WINDOW_BYTES_MAX = 65_535 * STEP_BYTES  # 56 Mbit/s at 600 ms


class Window(NamedTuple):
    """A window, and what rounding has kept back; below 0: what it has given too much."""

    size_bytes: int
    owed_bytes: float = 0.0


def window_for(rate_bps: int, rtt_s: float, target_s: float, mss_bytes: int, owed_bytes: float = 0.0) -> Window:
    """Return the window for `rate_bps` of content on a way that takes `rtt_s` and may queue for `target_s`.

    `owed_bytes` is what the call before has kept back. Never below two segments, whatever the rate is.
    """
    wanted_bytes = rate_bps / 8 * (rtt_s + target_s) + owed_bytes
    segments = max(SEGMENTS_MIN, int(wanted_bytes // mss_bytes))
    size_bytes = min(segments * mss_bytes, WINDOW_BYTES_MAX)
    return Window(size_bytes, min(max(wanted_bytes - size_bytes, -mss_bytes), mss_bytes))
