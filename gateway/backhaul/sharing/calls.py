"""A call's budget falls at once with its share, and rises after proof, in steps: the picture does not flap. Pure.

Proof is a few seconds at the present level in which more was there all the while, and no queue. Each change that people
saw within the last minute makes the next level leave more room under the share, and after some nothing rises until they
are past: whoever sees a small picture for a minute is served better than whoever sees it jump. So a share that stays
within a factor of four changes the picture at most six times in any minute: the last three of more would be falls, to
0.8 × 0.7 × 0.4 < 1/4 of the largest share, and then none is below. A picture that is seen stays through the first falls
while the share carries the smallest one. One state serves one direction.

Source: LiveKit's and oxpulse's allocators (fall at once, rise after some good seconds); Jitsi's `bwe-change-threshold`.
"""

from dataclasses import dataclass, replace

from gateway.backhaul.sharing.filling import UNLIMITED

PROOF_S = 3.0  # good seconds before a rise
BLIND_PROOF_S = 6.0  # where nobody tells of queues
QUEUEING_MAX_S = 0.05  # of a good second; above it a queue is felt (bufferbloat.net)
UNWATCHED_S_MAX = 1.0  # what happened in a longer gap is no proof
STEP_RATIO = 2.0  # a rise goes up to this times the level …
STEP_BPS_MIN = 200_000  # … or by this, out of an outage
WORTH_RATIO = 1.1  # a smaller rise is not worth a change
REMEMBERED_S = 60.0  # how long a change counts
CHANGES_BEFORE_RISE_MAX = 3  # a rise and the falls it may lead to make six a minute
ROOM_RATIOS = (1.0, 0.95, 0.9, 0.8, 0.7, 0.4)  # of the share, by the changes remembered
SLIDING_S = 2.0  # a fall so soon after a change is part of a slide: one deep step instead of many
SLIDES_RATIO, SLIDING_RATIO = 0.95, 0.5  # an estimate that wavers is no slide
PICTURE_BPS = 62_000  # on the wire, with one voice: less lets no picture begin that would use it (2026-11)
KEPT_PICTURE_BPS = 57_000  # … and this keeps the one that is seen: 30 kb/s of it, the least an encoder makes
VOICE_BPS = 20_000  # on the wire: 12 kb/s Opus in 60 ms packets (2026-11)


@dataclass(frozen=True, slots=True)
class CallBudget:
    """What a call may use of one direction, and what has been proven since it last changed."""

    bps: int
    seen_s: float
    proving_s: float  # since when all was good
    lowest_bps: int  # the smallest share since then
    changes_s: tuple[float, ...] = ()


def begin(now_s: float, share_bps: int) -> CallBudget:
    """Return the budget of a call that begins with this share."""
    return CallBudget(_level(share_bps), now_s, now_s, UNLIMITED)


def step(state: CallBudget, now_s: float, share_bps: int, queueing_s: float | None) -> CallBudget:
    """Return the budget now that the call's share is `share_bps`, and its direction's queue `queueing_s` long.

    Never above the share. The share is taken as it comes: whoever is less sure of the capacity hands in less.
    """
    known = replace(state, changes_s=tuple(at_s for at_s in state.changes_s if now_s - at_s < REMEMBERED_S))
    room_ratio = ROOM_RATIOS[min(len(known.changes_s), len(ROOM_RATIOS) - 1)]
    if share_bps < state.bps:
        slides = bool(known.changes_s) and now_s - known.changes_s[-1] < SLIDING_S
        if slides and share_bps < SLIDES_RATIO * state.bps:
            room_ratio = min(room_ratio, SLIDING_RATIO)
        fallen_bps = _level(int(share_bps * room_ratio))
        if len(known.changes_s) <= CHANGES_BEFORE_RISE_MAX:
            fallen_bps = max(fallen_bps, _kept_picture(state.bps, share_bps))
        return _changed(known, now_s, fallen_bps)
    anew = replace(known, seen_s=now_s, proving_s=now_s, lowest_bps=UNLIMITED)
    worth_it = _level(int(share_bps * room_ratio)) >= max(int(state.bps * WORTH_RATIO), state.bps + 1)
    queueing = queueing_s is not None and queueing_s > QUEUEING_MAX_S
    if not worth_it or queueing or now_s - state.seen_s > UNWATCHED_S_MAX:
        return anew
    lowest_bps = min(state.lowest_bps, share_bps)
    if now_s - state.proving_s < (BLIND_PROOF_S if queueing_s is None else PROOF_S):
        return replace(anew, proving_s=state.proving_s, lowest_bps=lowest_bps)
    one_step_bps = max(int(state.bps * STEP_RATIO), state.bps + STEP_BPS_MIN)
    risen_bps = _level(min(int(lowest_bps * room_ratio), one_step_bps))
    if len(known.changes_s) > CHANGES_BEFORE_RISE_MAX:
        risen_bps = min(risen_bps, VOICE_BPS)
    return anew if risen_bps <= state.bps else _changed(known, now_s, risen_bps)


def _kept_picture(before_bps: int, share_bps: int) -> int:
    """Return the smallest picture that a share still carries, for whoever sees one: it is better than none."""
    levels_bps = (PICTURE_BPS, KEPT_PICTURE_BPS) if before_bps >= KEPT_PICTURE_BPS else ()
    return next((bps for bps in levels_bps if bps <= share_bps), 0)


def _changed(state: CallBudget, now_s: float, bps: int) -> CallBudget:
    changes_s = state.changes_s
    if max(bps, state.bps) > VOICE_BPS:  # a voice is sent in any case: nobody sees that it fits
        changes_s = (*changes_s, now_s)[-len(ROOM_RATIOS) :]
    return CallBudget(bps, now_s, now_s, UNLIMITED, changes_s)


def _level(bps: int) -> int:
    """Round down to what makes a difference: a picture of any rate, a voice alone, or less than a voice takes."""
    return bps if bps >= PICTURE_BPS else VOICE_BPS if bps >= VOICE_BPS else 0
