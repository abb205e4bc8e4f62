"""What is known of another machine's clock: only between which bounds it runs ahead of ours. Pure.

A packet that left at `a` of one clock and came at `b` of the other took between nothing and the whole round trip, so
the clocks' difference lies in [b - a - round trip, b - a]. Each packet narrows the bounds; drift widens them.
Bounds that exclude each other mean that a clock was set, or that the machine is another: what was learned is void.

Source: Marzullo's intersection (RFC 5905 §11.2.1), here over time instead of over servers.
"""

DRIFT_RATIO = 5e-4  # two crystals differ by < 1e-4; a clock that NTP slews, by 5e-4 (RFC 5905 Appendix A.5.5.6)


class FarClock:
    """The bounds of one clock against ours."""

    def __init__(self, slack_s: float = 0.002) -> None:
        self._slack_s = slack_s
        self._least_s = float("-inf")
        self._most_s = float("inf")
        self._at_s = 0.0

    def fits(self, at_s: float, one_way_s: float, round_trip_s: float) -> bool:
        """Narrow the bounds by one packet; `False`, and a fresh start from it, where they exclude each other."""
        widened_s = DRIFT_RATIO * max(0.0, at_s - self._at_s) if self._at_s else 0.0
        least_s, most_s = one_way_s - round_trip_s - self._slack_s, one_way_s + self._slack_s
        kept_least_s, kept_most_s = self._least_s - widened_s, self._most_s + widened_s
        fits = least_s <= kept_most_s and kept_least_s <= most_s
        self._at_s = at_s
        self._least_s = max(least_s, kept_least_s) if fits else least_s
        self._most_s = min(most_s, kept_most_s) if fits else most_s
        return fits
