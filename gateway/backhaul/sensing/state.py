"""Whether the link carries anything, decided from evidence. Pure.

Evidence comes from the use itself: a byte received is progress; a connection or transfer that stays silent past its
deadline is a stall; bytes that are expected while nothing at all comes in are a silence; carrier and modem say what
they know. A stall may be one dead server, and the modem may speak of a line that nobody uses: each only makes the link
*degraded*, which asks for a probe; a probe that finds nothing makes it *down*, and any progress, *up*.

Radio goes silent for a second or two without being cut, so a silence alone changes nothing that anybody sees: it is a
doubt, it asks for a probe, and it is an outage once it has lasted, unanswered. Where outages come one after the other,
the next must last longer to be believed, so that what people see does not flap: at most six changes a minute. A link
that is down is probed until it answers. Idle links are never probed: probes cost data.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

# Silence until the link is down, after 0, 1, 2 and more outages that ended within the last minute. A cut must show
# within 2 s, with the counter looked at, and the verdict spoken, 0.1 s late each; the longest gaps of recorded LTE
# downlinks are 1.1, 1.4, 2.0 and 2.1 s (Mahimahi, Cellular-Traces-NYC).
# Four outages within a minute would need 54 s for the last alone: there are at most three, which is six changes.
DOWN_AFTER_S = (1.7, 1.7, 6.0, 54.0)
REMEMBERED_S = 60.0


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
class Silent:
    """Bytes are expected, and nothing at all has come over the interface since `since_s`."""

    since_s: float


@dataclass(frozen=True, slots=True)
class ProbeFailed:
    """No known peer answered a probe."""


@dataclass(frozen=True, slots=True)
class CarrierChanged:
    """The link's interface gained or lost its carrier."""

    present: bool


@dataclass(frozen=True, slots=True)
class ModemChanged:
    """The modem says that it has a connection now, or none."""

    connected: bool


Evidence = Progressed | Stalled | Silent | ProbeFailed | CarrierChanged | ModemChanged


@dataclass(frozen=True, slots=True)
class LinkView:
    """What is known of the link; `told_by` names the evidence that set the state."""

    state: LinkState = LinkState.UP
    since_s: float = 0.0
    told_by: str = "start"
    carrier: bool = True
    progress_s: float = float("-inf")
    silent_s: float | None = None  # since when nothing comes although something should
    connected: bool | None = None  # the modem's word, where there is one
    passed_s: tuple[float, ...] = ()  # when outages that silence told ended, the last few

    @property
    def in_doubt(self) -> bool:
        """Whether only a probe can tell what the link does."""
        return self.silent_s is not None or self.state is not LinkState.UP


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
        case Silent(since_s=since_s):
            return _doubt(view, since_s)
        case ModemChanged(connected=connected):
            return _hear_modem(view, connected, now_s)
        case ProbeFailed():
            return _weigh(view, now_s)
        case _:
            assert_never(evidence)


def down_after_s(view: LinkView, now_s: float) -> float:
    """Return how long a silence must last, unanswered, to be an outage."""
    passed = sum(now_s - each < REMEMBERED_S for each in view.passed_s)
    return DOWN_AFTER_S[min(passed, len(DOWN_AFTER_S) - 1)]


def _doubt(view: LinkView, since_s: float) -> LinkView:
    if view.state is LinkState.DOWN or view.silent_s is not None or view.progress_s > since_s:
        return view
    return replace(view, silent_s=since_s)


def _hear_modem(view: LinkView, connected: bool, now_s: float) -> LinkView:
    heard = replace(view, connected=connected)
    lost = view.connected is True and not connected
    return _enter(heard, LinkState.DEGRADED, "modem", now_s) if lost and view.state is LinkState.UP else heard


def _weigh(view: LinkView, now_s: float) -> LinkView:
    """Decide what a probe without an answer means; where something else came in meanwhile, nothing."""
    if view.state is LinkState.DEGRADED:
        return _enter(view, LinkState.DOWN, "modem" if view.told_by == "modem" else "probe", now_s)
    if view.silent_s is not None and now_s >= view.silent_s + down_after_s(view, now_s):
        return _enter(view, LinkState.DOWN, "silence", now_s)
    return view


def _enter(view: LinkView, state: LinkState, told_by: str, now_s: float) -> LinkView:
    if state is LinkState.UP:
        view = replace(view, silent_s=None, passed_s=_passed(view, now_s))
    if view.state is state:
        return view
    return replace(view, state=state, since_s=now_s, told_by=told_by)


def _passed(view: LinkView, now_s: float) -> tuple[float, ...]:
    if view.state is LinkState.DOWN and view.silent_s is not None:
        return (*view.passed_s[1 - len(DOWN_AFTER_S) :], now_s)
    return view.passed_s
