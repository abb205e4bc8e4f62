"""How the call is for one person, in a word, with its cause and the next step in a sentence. Pure.

The village's link is blamed only where it is known to be the reason: it is down, or its budget pauses the picture or
makes it small. Where the link has room, loss or a small estimate is beyond it; where nothing is lost on the way, a
picture that stutters is the device's.
"""

from dataclasses import dataclass
from typing import Literal

from gateway.clinic.pictures import GOOD_BPS
from gateway.errors import N_

Word = Literal["good", "fair", "poor", "voice"]
Cause = Literal["none", "village-link", "far-side", "device", "away"]

FAIR_CONCEALED_RATIO, POOR_CONCEALED_RATIO = 0.02, 0.08  # of the sound: heard as clicks, hard to follow
FAIR_FROZEN_S, POOR_FROZEN_S = 0.5, 2.0  # of five seconds
FAIR_FPS, POOR_FPS = 12.0, 5.0
FAIR_DELAY_S, POOR_DELAY_S = 0.3, 0.6  # COMAR 10.09.49.07: < 300 ms; G.114: > 400 ms is not acceptable
FAIR_LOST_RATIO, POOR_LOST_RATIO = 0.03, 0.1


@dataclass(frozen=True, slots=True)
class PageFigures:
    """What a page measured over the last five seconds."""

    fps: float
    frozen_s: float
    concealed_ratio: float
    delay_s: float | None = None


@dataclass(frozen=True, slots=True)
class Signs:
    """What is known of one person's side of the call."""

    link_is_down: bool = False
    others: int = 1
    heard: bool = True
    """Something came lately from somebody else."""
    is_away: bool = False
    """Whoever is not heard has no page open either."""
    wants_picture: bool = True
    """Somebody else would send one."""
    sees_picture: bool = True
    left_bps: int | None = None
    """What the link leaves for a picture; None where none crosses it."""
    picture_bps: int = 0
    """Of the picture seen."""
    receives_bps: int | None = None
    lost_ratio: float = 0.0
    page: PageFigures | None = None


@dataclass(frozen=True, slots=True)
class CallQuality:
    """A word, its cause, and a sentence (a message id)."""

    word: Word
    cause: Cause
    message: str


def judge(signs: Signs) -> CallQuality:
    """Return how the call is.

    >>> judge(Signs()).word, judge(Signs(sees_picture=False, left_bps=9_000)).cause
    ('good', 'village-link')
    """
    if not signs.others:
        return CallQuality("good", "none", "")
    if signs.link_is_down:
        return CallQuality("poor", "village-link", LINK_DOWN)
    if not signs.heard:
        return CallQuality("poor", "away", AWAY) if signs.is_away else CallQuality("poor", "far-side", NOT_HEARD)
    level = max(_sound(signs), _picture(signs))
    if signs.wants_picture and not signs.sees_picture:
        cause = _cause(signs) if _sound(signs) else "village-link" if _is_narrow(signs) else "none"
        return CallQuality("poor" if _sound(signs) == len(_WORDS) - 1 else "voice", cause, _PAUSED[cause])
    if not level:
        return CallQuality("good", "none", "")
    cause = _cause(signs)
    return CallQuality(_WORDS[level], cause, _MENDING[cause])


def _sound(signs: Signs) -> int:
    page = signs.page
    levels = [_level(signs.lost_ratio, FAIR_LOST_RATIO, POOR_LOST_RATIO)]
    if page is not None:
        levels.append(_level(page.concealed_ratio, FAIR_CONCEALED_RATIO, POOR_CONCEALED_RATIO))
        levels.append(_level(page.delay_s or 0.0, FAIR_DELAY_S, POOR_DELAY_S))
    return max(levels)


def _picture(signs: Signs) -> int:
    if not signs.sees_picture or signs.page is None:
        return 0
    slow = _level(-signs.page.fps, -FAIR_FPS, -POOR_FPS)
    return max(_level(signs.page.frozen_s, FAIR_FROZEN_S, POOR_FROZEN_S), slow)


def _level(value: float, fair: float, poor: float) -> int:
    return 2 if value >= poor else 1 if value >= fair else 0


def _is_narrow(signs: Signs) -> bool:
    return signs.left_bps is not None and signs.left_bps < GOOD_BPS


def _cause(signs: Signs) -> Cause:
    if _is_narrow(signs):
        return "village-link"
    is_tight = signs.receives_bps is not None and signs.receives_bps < signs.picture_bps * 0.9
    if is_tight or signs.lost_ratio >= FAIR_LOST_RATIO:
        return "far-side" if signs.left_bps is not None else "device"
    page = signs.page
    if page is not None and (page.concealed_ratio >= FAIR_CONCEALED_RATIO or (page.delay_s or 0.0) >= FAIR_DELAY_S):
        return "far-side" if signs.left_bps is not None else "device"
    return "device"


_WORDS: tuple[Word, ...] = ("good", "fair", "poor")
LINK_DOWN = N_("The village's link is interrupted. Wait: the call goes on by itself when it is back.")
NOT_HEARD = N_("Nothing comes from the other side. Wait: it is tried again by itself.")
AWAY = N_("The other side's page is not open any more. Wait, or ask them to open their link again.")
_NARROW_VOICE = N_("The village's link carries the voice alone now. Go on talking: the picture comes back by itself.")
_NARROW = N_("The village's link is weak now. Speak one after the other, and send a photo to show something small.")
_BEYOND = N_("The link of the village has room; the far side's connection is weak. They may use another network.")
_DEVICE = N_("This device or its Wi-Fi is slow. Close other programs, or move closer to the Wi-Fi.")
_PAUSED: dict[Cause, str] = {
    "none": N_("The picture is not shown now. It comes by itself."),
    "village-link": _NARROW_VOICE,
    "far-side": _BEYOND,
    "device": _DEVICE,
    "away": AWAY,
}
_MENDING: dict[Cause, str] = {
    "none": "",
    "village-link": _NARROW,
    "far-side": _BEYOND,
    "device": _DEVICE,
    "away": AWAY,
}
