"""A call that has the link to itself finds out what it carries, and stays a little below. Pure.

Beside other traffic a call takes its share, and the others make room. Alone, the only queue is its own: where one
stands, the link is full, and what comes out of it is what it carries. Then the call takes less at once, waits until its
senders have followed, and looks again. Without a queue it takes more: in large steps until the link was once full, in
smaller ones towards eight tenths of that afterwards, and past it seldom and in the smallest: what a step is too much
stands as a queue for as long as it takes to be seen and obeyed. Where that fails it is tried ever more seldom; where it
does not the link has changed, and is found out anew.

A picture comes in bursts. One frame makes a queue that the next no longer meets, so only what stands for several frames
counts (`standing_s`: the least of them).

Source: S. Holmer et al., draft-ietf-rmcat-gcc-02 §5.5 (0.85 × what came out, after a queue), §5.4 (hold, then rise).
"""

import math
from dataclasses import dataclass, replace

from gateway.backhaul.sharing.calls import PICTURE_BPS, VOICE_BPS
from gateway.backhaul.sharing.calls import STEP_BPS_MIN as KNOWN_STEP_BPS_MIN
from gateway.backhaul.sharing.calls import STEP_RATIO as KNOWN_STEP_RATIO

FULL_S = 0.05  # a queue that stands so long is felt (bufferbloat.net),
FULL_BITS = 6_000  # or as long as a small picture's frame takes
CLEAR_RATIO = 0.6  # of that is no queue
FOLLOWS_S = 1.2  # until a browser has obeyed, and the queue tells of it
BEGINS_S, BEGINS_BITS = 2.5, 24_000  # until the first pictures have crossed, each of which is a whole one
SHRINKS_S, SHRINKS_RATIO = 0.6, 0.8  # a queue that is so much shorter after so long needs nothing more
LONG_S = 0.2  # a queue that may be losing already
DRAINS_S = 1.0  # within which a queue is to be gone
LEAST_RATIO = 0.5  # of what the link carries is kept: less is seen, and gains little
HOLE_RATIO = 0.5  # of what it was seen to carry: less was a hole of the radio, until that figure has followed it down
ROOM_RATIO = 0.8  # of what it carries: a frame comes in a burst, and the voice waits behind it
PROOF_S, FIRST_PROOF_S, BLIND_PROOF_S = 3.0, 1.5, 6.0
STEP_RATIO, FIRST_STEP_RATIO, NEAR_STEP_RATIO = 1.2, 1.4, 1.06
FIRST_STEP_BPS_MIN = 100_000  # below, a queue is long before it is heard of
NEAR_RATIO = 1.3  # of what it last carried: past that it is another link
STILL_BPS = 2_000  # reports and the like
USED_RATIO = 0.8  # of its budget a call must use, or nothing is proven
BEYOND_RATIO, FIRST_BEYOND_RATIO = 1.15, 1.25  # of what came out a call may try
TRY_S, TRY_S_MAX = 10.0, 300.0  # after so long more than it last carried is tried
KNOWN_TRY_S = 60.0  # where it was shown before the call what it carries
NO_PICTURE_TRY_S = 120.0  # where it was shown before the call that the smallest picture does not fit
FAILED_RATIO, SMALLEST_FAILED_RATIO = 2, 6
GOES_ON_BPS = 57_000  # less pauses a picture that is seen
DRAINING_RATIO = 0.85  # of what it carries: with less in use a queue drains
UNWATCHED_S_MAX = 1.0


@dataclass(frozen=True, slots=True)
class Alone:
    """What the calls may take together of one direction, and what is known of it."""

    bps: int
    seen_s: float
    good_since_s: float
    proven_bps: float = 0.0  # the most that came out since then: a large frame proves what a small one does not
    is_first: bool = True  # it never had to take less
    follows_until_s: float = float("-inf")
    stood_s: float = 0.0  # the longest queue since it took less
    good_bps: int = 0  # the last that was proven, however little there is now
    carries_bps: int | None = None  # when it was last full, until it carried more
    full_s: float = float("-inf")
    try_s: float = TRY_S  # how long after it was full more is tried


def begin(now_s: float, bps: int, carries_bps: int | None = None) -> Alone:
    """Return the state in which calls may take `bps` of a link of which nothing is known, or what it carries."""
    if carries_bps is None:
        return Alone(bps, now_s, now_s)
    try_s = KNOWN_TRY_S if DRAINING_RATIO * carries_bps >= PICTURE_BPS else NO_PICTURE_TRY_S
    known = Alone(bps, now_s, now_s, is_first=False, good_bps=bps)
    return replace(known, carries_bps=carries_bps, full_s=now_s, try_s=try_s)


def begun(state: Alone, now_s: float) -> Alone:
    """Return the state as the first call begins: its first queue tells nothing of a link that is known."""
    if state.carries_bps is None:
        return state
    begins_s = BEGINS_S + BEGINS_BITS / ((1 - ROOM_RATIO) * max(state.carries_bps, VOICE_BPS))
    return replace(state, follows_until_s=now_s + begins_s)


def resume(state: Alone, now_s: float, bps: int) -> Alone:
    """Return the state in which calls that are alone again may take `bps`: what was found out is not forgotten."""
    return replace(state, bps=bps, seen_s=now_s, good_since_s=now_s)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is seen of one direction; None: not known."""

    standing_s: float | None
    """The queue that stands."""
    out_bps: float | None
    """What came out of the link over several frames."""
    most_bps: int
    """What the calls may have at most."""
    carries_bps: int | None = None
    """What the link is known to carry now: then `most_bps` is there, and need not be tried."""
    is_sent: bool = False
    """Whether `out_bps` is what the box sent: beside a long queue more than came out at the other end, or less."""
    calls: int = 1
    """How many share it."""
    learned_bps: float | None = None
    """What the link was surely seen to carry when it was last full."""
    voices_bps: int = 0
    """What all their voices take, where that is more than one each."""

    @property
    def least_bps(self) -> int:
        """What is sent in any case."""
        return max(self.voices_bps, VOICE_BPS * self.calls)

    def with_picture_bps(self, alone_bps: int) -> int:
        """Return what the calls take with a picture each, where a call of one voice takes `alone_bps`."""
        return self.least_bps + (alone_bps - VOICE_BPS) * self.calls


def step(state: Alone, now_s: float, seen: Seen) -> Alone:
    """Return the state now."""
    state = _watched(state, now_s, seen)
    if seen.standing_s is not None and seen.standing_s > _full_s(state) and seen.out_bps:
        if seen.out_bps < STILL_BPS:  # the link is gone: less would help nobody, and tells nothing of what it carries
            return replace(state, follows_until_s=now_s + FOLLOWS_S)
        if now_s < state.follows_until_s:
            return replace(state, stood_s=max(state.stood_s, seen.standing_s))
        if seen.standing_s < SHRINKS_RATIO * state.stood_s:  # it is on its way out
            return replace(state, follows_until_s=now_s + SHRINKS_S, stood_s=seen.standing_s)
        return _fallen(state, now_s, seen, seen.standing_s, _came_out_bps(seen, seen.out_bps))
    return _risen(state, now_s, seen)


def _watched(state: Alone, now_s: float, seen: Seen) -> Alone:
    queues = seen.standing_s is not None and seen.standing_s > CLEAR_RATIO * _full_s(state)
    is_good = not queues and now_s - state.seen_s <= UNWATCHED_S_MAX and state.bps <= seen.most_bps
    proven_bps = max(state.proven_bps, seen.out_bps or 0.0) if is_good else 0.0
    if seen.carries_bps is not None and state.bps > seen.most_bps:  # full, whether or not a queue was felt
        state = replace(state, carries_bps=seen.carries_bps, full_s=now_s, try_s=_failed_try_s(state, now_s))
    return replace(
        state,
        bps=min(max(state.bps, seen.least_bps), seen.most_bps),
        seen_s=now_s,
        good_since_s=state.good_since_s if is_good else now_s,
        proven_bps=proven_bps,
        stood_s=state.stood_s if queues else 0.0,
        is_first=state.is_first and state.bps <= seen.most_bps,
    )


def _full_s(state: Alone) -> float:
    return max(FULL_S, FULL_BITS / max(state.bps, VOICE_BPS))


def _came_out_bps(seen: Seen, out_bps: float) -> float:
    """Return what came out of a full link: a sender that had less to send than fits tells nothing new."""
    learned_bps = seen.learned_bps if seen.is_sent else None
    return learned_bps if learned_bps is not None and HOLE_RATIO * learned_bps <= out_bps < learned_bps else out_bps


def _fallen(state: Alone, now_s: float, seen: Seen, standing_s: float, out_bps: float) -> Alone:
    room_ratio = max(ROOM_RATIO - standing_s / DRAINS_S / 2, LEAST_RATIO)
    if seen.is_sent:
        bps = min(out_bps, state.bps) * (LEAST_RATIO if standing_s > LONG_S else room_ratio)
    else:
        bps = max(min(out_bps * room_ratio, state.bps * ROOM_RATIO), out_bps * LEAST_RATIO)
    least_bps = seen.least_bps
    if state.bps > seen.with_picture_bps(GOES_ON_BPS):  # for once: a longer queue is less of a loss than a picture
        least_bps = _least_bps(out_bps, GOES_ON_BPS, seen)
    bps = min(max(int(bps), least_bps), state.bps)  # what else comes out is somebody's who does not ask
    fallen = replace(state, bps=bps, good_since_s=now_s, is_first=False, stood_s=standing_s)
    fallen = replace(fallen, follows_until_s=now_s + FOLLOWS_S)
    if out_bps < seen.least_bps:
        return fallen  # in fits and starts: that tells nothing of what it carries
    if seen.learned_bps is not None and out_bps < HOLE_RATIO * seen.learned_bps:
        return replace(fallen, carries_bps=None)
    try_s = _next_try_s(state, now_s, seen)
    return replace(fallen, carries_bps=int(out_bps), full_s=now_s, try_s=try_s, good_bps=bps)


def _next_try_s(state: Alone, now_s: float, seen: Seen) -> float:
    """Return how long after a fall more is tried; a smallest picture that does not fit makes the longest queues."""
    if state.bps <= seen.with_picture_bps(PICTURE_BPS):
        return min(SMALLEST_FAILED_RATIO * state.try_s, TRY_S_MAX)
    return _failed_try_s(state, now_s)


def _failed_try_s(state: Alone, now_s: float) -> float:
    failed = -math.inf < state.full_s < now_s - state.try_s
    return min(FAILED_RATIO * state.try_s, TRY_S_MAX) if failed else state.try_s


def _least_bps(carries_bps: float, alone_bps: int, seen: Seen) -> int:
    """Return what calls have at least: with a picture, if that leaves a queue some room to drain."""
    with_picture_bps = seen.with_picture_bps(alone_bps)
    return with_picture_bps if with_picture_bps <= DRAINING_RATIO * carries_bps else seen.least_bps


def _risen(state: Alone, now_s: float, seen: Seen) -> Alone:
    resumes_bps = seen.with_picture_bps(PICTURE_BPS)
    proof_s = BLIND_PROOF_S if seen.standing_s is None else FIRST_PROOF_S if state.is_first else PROOF_S
    proven_bps = (seen.out_bps or 0.0) if _is_near(state) else state.proven_bps
    is_used = seen.carries_bps is not None or proven_bps >= USED_RATIO * state.bps or state.bps < resumes_bps
    if now_s - state.good_since_s < proof_s or now_s < state.follows_until_s or not is_used:
        return state
    if state.carries_bps is not None and NEAR_RATIO * state.carries_bps < state.bps:
        is_first = state.bps >= FIRST_STEP_BPS_MIN
        state = replace(state, carries_bps=None, try_s=TRY_S, is_first=is_first)  # it carries more now: no queue grew
    if seen.carries_bps is not None:
        wanted_bps = max(state.bps * KNOWN_STEP_RATIO, state.bps + KNOWN_STEP_BPS_MIN)
    else:
        step_ratio, beyond_ratio = _ratios(state)
        wanted_bps = max(min(step_ratio * state.bps, beyond_ratio * proven_bps), resumes_bps)
    bps = int(min(wanted_bps, _most_bps(state, now_s, seen), seen.most_bps))
    risen = replace(state, bps=bps, good_since_s=now_s, proven_bps=0.0, good_bps=state.bps)
    return risen if bps > state.bps else state


def _ratios(state: Alone) -> tuple[float, float]:
    """Return how much a step may be, of the budget and of what came out."""
    if state.is_first and state.bps >= FIRST_STEP_BPS_MIN:
        return FIRST_STEP_RATIO, FIRST_BEYOND_RATIO
    return NEAR_STEP_RATIO if _is_near(state) else STEP_RATIO, BEYOND_RATIO


def _is_near(state: Alone) -> bool:
    """Say whether the link was nearly full with so much: then what it carries now counts, and not what it might."""
    return state.carries_bps is not None and state.bps >= int(ROOM_RATIO * state.carries_bps)


def _most_bps(state: Alone, now_s: float, seen: Seen) -> float:
    """Return what may be taken: until it is time to try, no more than leaves room."""
    if state.carries_bps is None or now_s - state.full_s >= state.try_s:
        return math.inf
    carries_bps = max(state.carries_bps, seen.carries_bps or 0)
    return max(carries_bps * ROOM_RATIO, _least_bps(carries_bps, PICTURE_BPS, seen))
