"""What each side of a call may send, from what the link is set to carry: voice first, the picture from the rest. Pure.

REMB speaks of the picture's payload alone (Chromium at a REMB of 190 kb/s put 181 of picture, 24 of voice and their
headers on the wire; 2026-11), so the figure sent to a browser is

    REMB = budget − voice − voice's headers − margin, less the picture's own headers, and at most the far browser's REMB

Under `PICTURE_MIN_BPS` an encoder only makes a slide show that is late: the picture pauses, the voice stays.

Source: draft-alvestrand-rmcat-remb-03; RFC 7587 §3.1.1 (Opus's useful rates), §6.1 (`maxaveragebitrate`).
"""

from dataclasses import dataclass
from enum import StrEnum

HEADERS_BYTES = 58  # IPv4 20, UDP 8, RTP 12, extension 8, authentication tag 10 (RFC 3711 §5.2)
VIDEO_HEADERS_RATIO = 0.08  # of the payload, at packets of 700 to 1,100 B (2026-11)
MARGIN_RATIO = 0.05  # reports, keyframes that overshoot
MARGIN_BPS_MIN = 4_000  # RTCP and ICE's consent checks of one leg
PICTURE_MIN_BPS = 30_000  # Chromium's encoder goes no lower
PICTURE_RESUME_BPS = 40_000  # a paused picture comes back here, so that it does not flap
BETTER_VOICE_AFTER_S = 10.0  # a cheaper one is agreed on at once, a better one after proof
CONNECT_BPS = 300_000  # Chromium's own first guess; never asked for more before it has been heard


@dataclass(frozen=True, slots=True)
class Voice:
    """How Opus is sent: its payload rate, and how much speech a packet holds."""

    rate_bps: int
    packet_s: float

    @property
    def wire_bps(self) -> int:
        """What it costs on the link, headers included."""
        return self.rate_bps + round(HEADERS_BYTES * 8 / self.packet_s)


SPARSE = Voice(12_000, 0.06)  # 20 kb/s on the wire; 40 ms later than the usual packets
LEAN = Voice(16_000, 0.04)
FULL = Voice(24_000, 0.02)  # 47 kb/s on the wire

# A better voice is worth it once the picture has this much beside it.
_BETTER_VOICES = ((LEAN, 60_000), (FULL, 180_000))


class Picture(StrEnum):
    """Whether a side may send its picture."""

    ON = "on"
    PAUSED = "paused"  # the link is too weak for it


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one side may send: `video_bps` is the REMB it gets, 0 while the picture is paused."""

    voice: Voice
    video_bps: int
    picture: Picture

    @property
    def wire_bps(self) -> int:
        """What it all costs on the link, headers included."""
        return self.voice.wire_bps + round(self.video_bps * (1 + VIDEO_HEADERS_RATIO))

    @property
    def remb_bps(self) -> int:
        """The figure for the browser: a page that does not pause is held at the least an encoder does."""
        return self.video_bps or PICTURE_MIN_BPS

    @property
    def connect_bps(self) -> int:
        """Where an encoder should begin."""
        return min(self.remb_bps, CONNECT_BPS)


def choose_voice(budget_bps: int) -> Voice:
    """Return the best voice this budget pays for without starving the picture.

    >>> choose_voice(72_000) == SPARSE, choose_voice(900_000) == FULL
    (True, True)
    """
    chosen = SPARSE
    for voice, beside_bps in _BETTER_VOICES:
        if _left_for_picture_bps(budget_bps, voice) >= beside_bps:
            chosen = voice
    return chosen


def allocate(
    budget_bps: int,
    *,
    voice: Voice,
    video_bps_max: int,
    far_bps: int | None = None,
    before: Picture = Picture.ON,
) -> Allocation:
    """Return what one side may send within `budget_bps`, with the voice that was agreed with its browser.

    `far_bps` is the REMB of the browser that receives it, where one has come. The voice is never dropped: it alone may
    exceed a budget that is smaller than it.
    """
    left_bps = _left_for_picture_bps(budget_bps, voice)
    enough_bps = PICTURE_MIN_BPS if before is Picture.ON else PICTURE_RESUME_BPS
    if left_bps < enough_bps:
        return Allocation(voice, 0, Picture.PAUSED)
    video_bps = min(left_bps, max(video_bps_max, PICTURE_MIN_BPS))
    if far_bps is not None:
        video_bps = min(video_bps, max(far_bps, PICTURE_MIN_BPS))
    return Allocation(voice, video_bps, Picture.ON)


def _left_for_picture_bps(budget_bps: int, voice: Voice) -> int:
    margin_bps = max(budget_bps * MARGIN_RATIO, MARGIN_BPS_MIN)
    left_bps = budget_bps - voice.wire_bps - margin_bps
    return max(int(left_bps / (1 + VIDEO_HEADERS_RATIO)), 0)
