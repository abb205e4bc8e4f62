"""Whether one more call fits, and at what quality, said before it begins. Pure.

Calls under way keep what they need; the next gets what is left of the calls' part, and the weaker direction decides.
What is not known is not promised: an unmeasured link begins small, and a doubtful figure counts for less.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gateway.backhaul.sensing.figures import Estimate, LinkFigures, WayFigures
from gateway.backhaul.sharing.calls import PICTURE_BPS
from gateway.backhaul.sharing.policy import Policy
from gateway.errors import N_

# One direction of a call on the wire: all of it, voice, picture, headers and reports.
VOICE_NEEDS_BPS = 24_000  # 12 kb/s Opus in 60 ms packets: 15 kb/s measured, 20 with all headers; 4 of reports (2026-11)
SMALL_PICTURE_NEEDS_BPS = PICTURE_BPS  # 160×120, ten frames a second, p95 about 200 ms (2026-11)
FULL_PICTURE_NEEDS_BPS = 350_000  # 300 kb/s picture and 50 voice: least for telehealth (Mend)
CALL_WANTS_BPS = 800_000  # 640×480 at 700 kb/s, voice and headers: more shows nothing more
UNKNOWN_BPS = 300_000  # of all calls where the link was never measured: holds on all but the weakest 4G
DOUBTED_RATIO = 0.5  # of a figure nobody is sure of at all
SURE_CONFIDENCE = 0.3  # below it a figure is called a guess
OLD_S = 900.0  # a figure older than this is a guess too: a mobile link has changed since


class Quality(StrEnum):
    """What a call would carry, the worst first."""

    NOTHING = "nothing"
    VOICE_ONLY = "voice_only"
    VOICE_SMALL_PICTURE = "voice_small_picture"
    FULL = "full"


class Need(NamedTuple):
    """What a call must have in each direction to stay as it is, in bit/s."""

    down_bps: int
    up_bps: int


@dataclass(frozen=True, slots=True)
class Admission:
    """What one more call would get, in each direction and in words; `reason` and `next_step` are message ids."""

    fits: bool
    quality: Quality
    down_bps: int
    up_bps: int
    reason: str
    next_step: str


NO_LINK = Admission(
    False,
    Quality.NOTHING,
    0,
    0,
    N_("The link is down: no call can begin."),
    N_("Stay on this page: it says when the link is back."),
)


def admit(figures: LinkFigures, open_calls: Iterable[Need], policy: Policy) -> Admission:
    """Return whether one more call fits beside those that are open."""
    needs = list(open_calls)
    down_bps = _left_bps(figures.down, sum(need.down_bps for need in needs), policy)
    up_bps = _left_bps(figures.up, sum(need.up_bps for need in needs), policy)
    quality = quality_of(min(down_bps, up_bps))
    unsure = _guessed(figures.down.capacity_bps) or _guessed(figures.up.capacity_bps)
    reason, next_step = _in_words(quality, unsure=unsure, others=bool(needs))
    return Admission(quality is not Quality.NOTHING, quality, down_bps, up_bps, reason, next_step)


def quality_of(bps: int) -> Quality:
    """Return what this much of one direction carries.

    >>> quality_of(23_999), quality_of(24_000), quality_of(62_000), quality_of(350_000)
    (<Quality.NOTHING: 'nothing'>, <Quality.VOICE_ONLY: 'voice_only'>, \
<Quality.VOICE_SMALL_PICTURE: 'voice_small_picture'>, <Quality.FULL: 'full'>)
    """
    return max((quality for quality, least_bps in _LEAST_BPS.items() if bps >= least_bps), key=_LEAST_BPS.__getitem__)


def needs_bps(bps: int) -> int:
    """Return what an open call with this budget must have, one direction: the least at which it carries the same.

    >>> needs_bps(800_000), needs_bps(100_000), needs_bps(10_000)
    (350000, 62000, 24000)
    """
    return max(_LEAST_BPS[quality_of(bps)], VOICE_NEEDS_BPS)


def trusted_bps(estimate: Estimate) -> int:
    """Return how much of a capacity to count on: all of it when it was measured under load, half of a mere guess."""
    confidence = 0.0 if estimate.age_s > OLD_S else min(max(estimate.confidence, 0.0), 1.0)
    return int(max(estimate.value, 0.0) * (DOUBTED_RATIO + (1 - DOUBTED_RATIO) * confidence))


_LEAST_BPS = {
    Quality.NOTHING: 0,
    Quality.VOICE_ONLY: VOICE_NEEDS_BPS,
    Quality.VOICE_SMALL_PICTURE: SMALL_PICTURE_NEEDS_BPS,
    Quality.FULL: FULL_PICTURE_NEEDS_BPS,
}


def _left_bps(way: WayFigures, needed_bps: int, policy: Policy) -> int:
    calls_bps = UNKNOWN_BPS
    if way.capacity_bps is not None:
        beside_floor_bps = max(trusted_bps(way.capacity_bps) - policy.interactive_floor_bps, 0)
        calls_bps = int(beside_floor_bps * policy.calls_ratio_max)
    return min(max(calls_bps - needed_bps, 0), CALL_WANTS_BPS, policy.call_bps_max)


def _guessed(capacity_bps: Estimate | None) -> bool:
    return capacity_bps is None or capacity_bps.confidence < SURE_CONFIDENCE or capacity_bps.age_s > OLD_S


_CARRIES = {
    Quality.VOICE_ONLY: (
        N_("Today the link carries a voice, without a picture."),
        N_("Begin with the voice: the picture comes by itself when the link allows."),
    ),
    Quality.VOICE_SMALL_PICTURE: (
        N_("Today the link carries voice and a small picture."),
        N_("Sit close to the camera, where there is light."),
    ),
    Quality.FULL: (N_("Today the link carries voice and a clear picture."), N_("You can begin.")),
}
_PERHAPS = {
    Quality.VOICE_ONLY: N_("The link has not been measured lately. It may carry a voice, without a picture."),
    Quality.VOICE_SMALL_PICTURE: N_("The link has not been measured lately. It may carry voice and a small picture."),
    Quality.FULL: N_("The link has not been measured lately. It may carry voice and a clear picture."),
}
_BEGIN_SMALL = N_("Begin: the quality follows what the link turns out to carry.")


def _in_words(quality: Quality, *, unsure: bool, others: bool) -> tuple[str, str]:
    if quality is Quality.NOTHING and others:
        return N_("The link carries the calls that are under way, and no more."), N_(
            "Wait until one of them has ended."
        )
    if quality is Quality.NOTHING:
        return N_("The link is too weak for a call now."), N_("Try again in a few minutes.")
    if unsure:
        return _PERHAPS[quality], _BEGIN_SMALL
    return _CARRIES[quality]
