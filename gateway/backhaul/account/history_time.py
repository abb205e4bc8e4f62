"""The history's own time goes on over restarts, and no clock that is wrong can move it back or by years. Pure.

It counts monotonic seconds. The date is asked for two things only: how long the box was off before this start (at most
`OFF_S_MAX` is believed), and what to write below a curve. Many boxes boot with the date of their last stop, or none,
and learn the right one minutes later: so in the first hour after a start a date that runs ahead is time that the box
was off; later it is somebody setting the clock, and moves nothing.
"""

from gateway.clock import clock_state

SETTLING_S = 3_600.0  # after a start, for the date to come
OFF_S_MIN = 5.0  # less is a restart, or the clocks' drift
OFF_S_MAX = 31 * 86_400.0  # the longest span that is kept: a longer absence leaves nothing to show


class OwnTime:
    """Seconds of the box's life, as the history counts them."""

    def __init__(self, own_s: float = 0.0, ahead_s: float | None = None, *, goes_on: bool = False) -> None:
        self.own_s = own_s
        self.ahead_s = ahead_s  # what the date is ahead of own time; None while no date was believed
        self._goes_on = goes_on
        self._began_s: float | None = None
        self._last_s = 0.0

    def step(self, now_s: float, wall_s: float) -> float:
        """Go on to this moment; returns how long it was since the last step (0 for the first)."""
        if self._began_s is None:
            self._began_s = self._last_s = now_s
        elapsed_s = max(now_s - self._last_s, 0.0)
        self._last_s = max(now_s, self._last_s)
        self.own_s += elapsed_s
        if clock_state(wall_s) == "trusted":
            self._learn_date(wall_s, now_s - self._began_s)
        return elapsed_s

    def wall_s(self, own_s: float) -> float | None:
        """Return the date of a moment, as far as it is known now."""
        return None if self.ahead_s is None else own_s + self.ahead_s

    def _learn_date(self, wall_s: float, running_s: float) -> None:
        if self.ahead_s is not None and self._goes_on and running_s <= SETTLING_S:
            off_s = wall_s - self.own_s - self.ahead_s
            if off_s >= OFF_S_MIN:
                self.own_s += min(off_s, OFF_S_MAX)
        self.ahead_s = wall_s - self.own_s
