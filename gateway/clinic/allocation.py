"""What each side of a call may send, from what the link is set to carry: voice first, the picture from the rest. Pure.

REMB speaks of the picture's payload alone (Chromium at a REMB of 190 kb/s put 181 of picture, 24 of voice and their
headers on the wire; 2026-11), so the figure sent to a browser is

    REMB = budget − voice − voice's headers − margin, less the picture's own headers, and at most the far browser's REMB

Under `PICTURE_MIN_BPS` an encoder only makes a slide show that is late: the picture pauses, the voice stays. What is
left for pictures is divided by `pictures`.

A direction carries each voice as often as somebody beyond the link sends or hears it. RED doubles a voice's payload,
and is worth that where packets are lost and a picture still fits beside it.

Source: draft-alvestrand-rmcat-remb-03; RFC 7587 §3.1.1 (Opus's useful rates), §6.1 (`maxaveragebitrate`);
RFC 2198 §3 (RED).
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

HEADERS_BYTES = 58  # IPv4 20, UDP 8, RTP 12, extension 8, authentication tag 10 (RFC 3711 §5.2)
VIDEO_HEADERS_RATIO = 0.08  # of the payload, at packets of 700 to 1,100 B (2026-11)
MARGIN_RATIO = 0.05  # reports, keyframes that overshoot
MARGIN_BPS_MIN = 4_000  # RTCP and ICE's consent checks of one leg
PICTURE_MIN_BPS = 30_000  # Chromium's encoder goes no lower
PICTURE_RESUME_BPS = 34_000  # a paused picture comes back here, so that it does not flap
BETTER_VOICE_AFTER_S = 10.0  # a cheaper one is agreed on at once, a better one after proof
RED_HEADER_BYTES = 5  # RFC 2198 §3: 4 of the former packet, 1 of this one
RED_LOSS_RATIO = 0.02  # from here in-band FEC alone leaves gaps
RED_LOSS_PAST_RATIO = 0.01
RED_BESIDE_BPS = 60_000  # of picture, or the doubled voice would take more than it mends
CONNECT_BPS = 300_000  # Chromium's own first guess; never asked for more before it has been heard


@dataclass(frozen=True, slots=True)
class Voice:
    """How Opus is sent: its payload rate, how much speech a packet holds, and whether each holds the former one too."""

    rate_bps: int
    packet_s: float
    red: bool = False

    @property
    def wire_bps(self) -> int:
        """What it costs on the link, headers included."""
        if self.red:
            return 2 * self.rate_bps + round((HEADERS_BYTES + RED_HEADER_BYTES) * 8 / self.packet_s)
        return self.rate_bps + round(HEADERS_BYTES * 8 / self.packet_s)

    def is_better_than(self, other: "Voice") -> bool:
        """Whether a link must have proven that it can do with this one."""
        return self.rate_bps > other.rate_bps or (other.red and not self.red and self.rate_bps == other.rate_bps)


SPARSE = Voice(12_000, 0.06)  # 20 kb/s on the wire; 40 ms later than the usual packets
LEAN = Voice(16_000, 0.02)  # 39 kb/s on the wire
FULL = Voice(24_000, 0.02)  # 47 kb/s on the wire

# A better voice is worth it once the picture has this much beside it.
_BETTER_VOICES = ((LEAN, 80_000), (FULL, 180_000))


def choose_voice(budget_bps: int, copies: int = 1, legs: int = 1) -> Voice:
    """Return the best voice this budget pays for, as often as it is carried, without starving the picture.

    >>> choose_voice(72_000) == SPARSE, choose_voice(900_000) == FULL, choose_voice(300_000, copies=4) == LEAN
    (True, True, True)
    """
    chosen = SPARSE
    for voice, beside_bps in _BETTER_VOICES:
        if left_for_pictures_bps(budget_bps, [voice] * copies, legs) >= beside_bps:
            chosen = voice
    return chosen


def doubled(voice: Voice, budget_bps: int, copies: int, legs: int, *, lost_ratio: float, was_red: bool) -> Voice:
    """Return the voice with RED where packets are lost and the budget has room for it.

    >>> doubled(FULL, 500_000, 1, 1, lost_ratio=0.05, was_red=False).red
    True
    """
    red = replace(voice, red=True)
    loses = lost_ratio > (RED_LOSS_PAST_RATIO if was_red else RED_LOSS_RATIO)
    fits = left_for_pictures_bps(budget_bps, [red] * copies, legs) >= RED_BESIDE_BPS
    return red if loses and fits else voice


def left_for_pictures_bps(budget_bps: int, voices: Collection[Voice], legs: int = 1) -> int:
    """Return the payload of pictures that fits beside voices into one direction with so many legs beyond the link."""
    margin_bps = max(budget_bps * MARGIN_RATIO, MARGIN_BPS_MIN * legs)
    left_bps = budget_bps - sum(each.wire_bps for each in voices) - margin_bps
    return max(int(left_bps / (1 + VIDEO_HEADERS_RATIO)), 0)


def on_the_wire_bps(picture_bps: int) -> int:
    """Return what a picture costs on the link, headers included."""
    return round(picture_bps * (1 + VIDEO_HEADERS_RATIO))
