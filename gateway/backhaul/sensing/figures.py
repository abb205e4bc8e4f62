"""What is known of the link now: each figure with how sure it is and how old. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, how sure it is (0 a guess, 1 measured under load), and how old."""

    value: float
    confidence: float
    age_s: float
    is_told: bool = False  # the settings say so


@dataclass(frozen=True, slots=True)
class WayFigures:
    """One direction; `None` where nothing was ever seen."""

    capacity_bps: Estimate | None = None
    base_delay_s: Estimate | None = None
    queueing_s: Estimate | None = None
    loss_ratio: Estimate | None = None


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """Both directions."""

    down: WayFigures = WayFigures()
    up: WayFigures = WayFigures()
