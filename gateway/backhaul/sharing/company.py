"""Whether calls have the link to themselves: nothing else has moved for a while, or hardly anything. Pure.

What phones send past the box's own connections counts too, where it is seen: as the difference of two counters, and
over seconds, for a call's bytes are noted in lumps and cross in bursts.
"""

from dataclasses import dataclass, field

from gateway.backhaul.sensing.samples import Way

OTHERS_BPS_MAX, OTHERS_RATIO = 16_000, 0.15  # others who use less, or so little of what calls do, leave them alone
ALONE_AFTER_S = 2.0  # of that: between two parts of a page they are not alone
BESIDE_OVER_S = 3.0  # what crosses beside is smoothed over this: four lumps a second then are no difference
NEVER_S = float("-inf")


@dataclass(slots=True)
class Company:
    """What moves beside the calls."""

    moved_s: float = NEVER_S
    _beside_bps: dict[Way, float] = field(default_factory=lambda: dict.fromkeys(Way, 0.0))

    def opened(self, now_s: float) -> None:
        """Take note of a share: the first is about to be used, later ones are judged by what they use."""
        if self.moved_s == NEVER_S:
            self.moved_s = now_s

    def begins(self, now_s: float) -> None:
        """Take note that something is about to move."""
        self.moved_s = now_s

    def crossed(self, way: Way, beside_bytes: int, passed_s: float) -> None:
        """Take how much more has crossed since the last look than the box's own connections carried."""
        weight = min(passed_s / BESIDE_OVER_S, 1.0)
        self._beside_bps[way] += (beside_bytes * 8 / passed_s - self._beside_bps[way]) * weight

    def look(self, now_s: float, calls_bps: float, others_bps: float) -> None:
        """Take what the box's own connections use."""
        if max(others_bps, *self._beside_bps.values()) >= max(OTHERS_BPS_MAX, OTHERS_RATIO * calls_bps):
            self.moved_s = now_s

    def leaves_alone(self, now_s: float) -> bool:
        """Say whether nothing else has moved for long enough."""
        return now_s - self.moved_s >= ALONE_AFTER_S
