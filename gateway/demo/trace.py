"""A trace says at which milliseconds a link can carry a packet. Pure.

Mahimahi's format: one line is one opportunity, the millisecond from the trace's start at which up to 1,500 bytes may
leave; the same millisecond on several lines is several opportunities; the trace is looped, and its last line is its
length. An opportunity that finds nobody waiting is lost.

Source: R. Netravali et al., "Mahimahi: Accurate Record-and-Replay for HTTP", USENIX ATC 2015, §3 (LinkShell).
"""

from bisect import bisect_left
from dataclasses import dataclass

OPPORTUNITY_BYTES = 1_500
LINES_MAX = 1_000_000  # 100 s at 120 Mbit/s
_EDGE_MS = 1e-6  # an instant computed from a millisecond finds that millisecond again


@dataclass(frozen=True, slots=True)
class Trace:
    """The milliseconds, never falling, at which a packet may leave; looped after the last."""

    times_ms: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.times_ms or self.times_ms[0] < 0 or self.times_ms[-1] <= 0:
            raise ValueError("a trace needs an opportunity after its start")
        if any(later < earlier for earlier, later in zip(self.times_ms, self.times_ms[1:], strict=False)):
            raise ValueError("the times of a trace never go back")

    @property
    def period_s(self) -> float:
        """How long one round is."""
        return self.times_ms[-1] / 1e3

    @property
    def mean_bps(self) -> int:
        """What the trace carries on average."""
        return round(len(self.times_ms) * OPPORTUNITY_BYTES * 8 / self.period_s)

    def time_s(self, opportunity: int) -> float:
        """Return when an opportunity is, counted through all rounds, in seconds from the start.

        >>> trace = Trace((2, 10))
        >>> trace.time_s(0), trace.time_s(3)
        (0.002, 0.02)
        """
        rounds, index = divmod(opportunity, len(self.times_ms))
        return (self.times_ms[index] + rounds * self.times_ms[-1]) / 1e3

    def first_from(self, elapsed_s: float) -> int:
        """Return the first opportunity at or after `elapsed_s`.

        >>> Trace((2, 10)).first_from(0.003), Trace((2, 10)).first_from(0.011)
        (1, 2)
        """
        rounds, rest_ms = divmod(max(elapsed_s, 0.0) * 1e3 - _EDGE_MS, self.times_ms[-1])
        return int(rounds) * len(self.times_ms) + bisect_left(self.times_ms, rest_ms)


def parse_trace(text: str) -> Trace:
    r"""Read Mahimahi's format; empty lines and lines that begin with `#` say nothing.

    Raises: ValueError when it is something else.

    >>> parse_trace("# ms\n1\n1\n3\n").mean_bps
    12000000
    """
    lines = text.splitlines()
    if len(lines) > LINES_MAX:
        raise ValueError("a trace this long is a mistake")
    return Trace(tuple(int(line) for line in lines if line.strip() and not line.startswith("#")))
