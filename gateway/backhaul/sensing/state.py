"""Whether the link carries anything, decided from evidence. Pure.

Evidence comes from the use itself: a byte received is progress; a connection or transfer that stays silent past its
deadline is a stall; the modem's carrier is what the interface says. A stall alone may be one dead server, so it only
makes the link *degraded*, which asks for a probe; a probe that finds nothing makes it *down*, and any progress, *up*.
A link that is down is probed until it answers. Idle links are never probed: probes cost data.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never


class LinkState(StrEnum):
    """What the link does for us now."""

    UP = "up"
    DEGRADED = "degraded"  # something stalled; a probe will tell
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Progressed:
    """Bytes came in from the far side."""


@dataclass(frozen=True, slots=True)
class Stalled:
    """A connection or transfer stayed silent past its deadline; it began at `since_s`."""

    since_s: float


@dataclass(frozen=True, slots=True)
class ProbeFailed:
    """No known peer answered a probe."""


@dataclass(frozen=True, slots=True)
class CarrierChanged:
    """The link's interface gained or lost its carrier."""

    present: bool


Evidence = Progressed | Stalled | ProbeFailed | CarrierChanged


@dataclass(frozen=True, slots=True)
class LinkView:
    """What is known of the link; `told_by` names the evidence that set the state."""

    state: LinkState = LinkState.UP
    since_s: float = 0.0
    told_by: str = "start"
    carrier: bool = True
    progress_s: float = float("-inf")


def step(view: LinkView, evidence: Evidence, now_s: float) -> LinkView:
    """Return the view after one piece of evidence."""
    match evidence:
        case CarrierChanged(present=False):
            return _enter(replace(view, carrier=False), LinkState.DOWN, "carrier", now_s)
        case CarrierChanged():
            back = replace(view, carrier=True)
            return _enter(back, LinkState.UP, "carrier", now_s) if not view.carrier else back
        case Progressed():
            return _enter(replace(view, carrier=True, progress_s=now_s), LinkState.UP, "progress", now_s)
        case Stalled(since_s=since_s):
            if view.state is LinkState.UP and view.progress_s <= since_s:
                return _enter(view, LinkState.DEGRADED, "stall", now_s)
            return view
        case ProbeFailed():
            # a probe that failed while something else came in says nothing about the link
            return view if view.state is LinkState.UP else _enter(view, LinkState.DOWN, "probe", now_s)
        case _:
            assert_never(evidence)


def _enter(view: LinkView, state: LinkState, told_by: str, now_s: float) -> LinkView:
    if view.state is state:
        return view
    return replace(view, state=state, since_s=now_s, told_by=told_by)
