"""What one direction of the link carries, learned while it is full. Pure.

Only a link with a queue shows its capacity: then it is what comes out. Without one, all that is known is that it
carries at least what it carried. A figure falls quickly and rises slowly, and is worth less the older it is.
"""

from collections import deque

from gateway.backhaul.flow import PACKET_BYTES
from gateway.backhaul.sensing.figures import Estimate

OVER_S = 0.6  # what comes out is measured over this: ten frames of a call, several turns of a radio
GAP_S_MAX = 1.0  # nobody looked for longer: what came out meanwhile is no rate
LATELY_S = 0.25  # what comes out now: in a fall that is what counts
CAME_BYTES_MIN = 3_000  # two packets
LOST_RATIO = 1.5  # of what comes out of a full link may be sent for seconds: the rest of it is thrown away
FULL_RATIO = 0.5  # of the target queue: with so much of it the link is full
FALL_S, RISE_S = 0.5, 2.0  # within which the figure follows
DRAINS_BITS = 120_000  # at what the link carries: until a small picture beside what goes on is out of the queue
SURE_AFTER_S = 3.0  # of a full link
TRAINS_HOLD_S = 2.0  # the queue of trains of packets is heard of for so long when nothing of them comes any more
HALF_LIFE_S = 15.0  # of what was counted of losses
SURE_PACKETS = 1_000  # by then a loss of a per cent is ten packets
FADES_S = 600.0  # to a third of the confidence: a mobile link has changed by then


class CapacityMeter:
    """What one direction carries."""

    def __init__(self, *, is_sent: bool = False) -> None:
        """Make it; `is_sent`: what is counted has been sent, and may wait yet: a burst is no proof."""
        self._is_sent = is_sent
        self._carried: deque[tuple[float, int]] = deque()
        self._queued: deque[tuple[float, float]] = deque()  # how long the queue was, within `OVER_S`
        self._bps: float | None = None
        self._falls_s = 0.0  # for how long less was carried by a full link
        self._full_s = 0.0  # for how long it was seen full, up to `SURE_AFTER_S`
        self._learned_s = float("-inf")
        self._holds_until_s = float("-inf")
        self.out_bps: float | None = None  # over `OVER_S`, at the last look

    def feed(
        self,
        now_s: float,
        carried_bytes: int,
        queueing_s: float | None,
        target_s: float,
        *,
        alone: bool = False,
        beside: bool = False,
    ) -> None:
        """Take all that was carried since the start, and how long the queue is; `alone`: calls are; `beside`: or not.

        Beside calls others' packets come between frames: the link is full where the queue has not gone meanwhile.
        """
        carried = self._carried
        if carried and not (now_s - carried[-1][0] <= GAP_S_MAX and carried_bytes >= carried[-1][1]):
            carried.clear()
            self.out_bps = None
        carried.append((now_s, carried_bytes))
        self._take_queue(now_s, queueing_s)
        while len(carried) > 2 and carried[1][0] <= now_s - OVER_S:
            carried.popleft()
        over_s = now_s - carried[0][0]
        if over_s < OVER_S / 2:
            return
        self.out_bps = out_bps = (carried_bytes - carried[0][1]) * 8 / over_s
        passed_s = now_s - carried[-2][0]
        if carried[-1][1] - carried[0][1] < CAME_BYTES_MIN:
            return  # a radio that is silent carries nothing now, and as much as before when it is back
        if self._is_sent and not alone:  # a part of what was sent waits: in the time its queue grew by, it would be out
            out_bps *= over_s / (over_s + max(self._grown_s(carried[0][0]), 0.0))
        if now_s < self._holds_until_s:
            return
        least_s = min(each for _, each in self._queued) if beside else queueing_s
        is_full = queueing_s is not None and min(queueing_s, 2 * (least_s or 0.0)) >= FULL_RATIO * target_s
        falls = is_full and self._bps is not None and out_bps < self._bps
        self._falls_s = self._falls_s + passed_s if falls else 0.0
        if is_full:
            self._take_full(now_s, out_bps, passed_s, falls=falls, alone=alone)
        elif not (self._is_sent and not alone and self._full_s and queueing_s is None):  # nobody says that it came
            self._take_more(now_s, out_bps, passed_s, over_s, alone=alone)

    def _take_full(self, now_s: float, out_bps: float, passed_s: float, *, falls: bool, alone: bool) -> None:
        """Follow what comes out of a link that is full."""
        if self._is_sent and falls and (self._grown_s(now_s - LATELY_S) <= 0 or self._drains()):
            return
        known_bps = self._bps or 0.0
        if not (self._is_sent and not alone and self._full_s and known_bps < out_bps < LOST_RATIO * known_bps):
            self._follow(out_bps, passed_s)
            self._full_s = min(self._full_s + passed_s, SURE_AFTER_S)
        self._learned_s = now_s

    def _take_more(self, now_s: float, out_bps: float, passed_s: float, over_s: float, *, alone: bool) -> None:
        """Take what a link that is not full has carried, if that is more than was known."""
        if self._full_s:  # what came just before may have been carried before: a figure that was learned is surer
            out_bps -= PACKET_BYTES * 8 / over_s
        if self._bps is None or out_bps > self._bps:
            if self._is_sent and not alone and self._full_s and self._bps is not None:
                self._follow(out_bps, passed_s)  # what others send waits longer than a call's frames
            else:
                self._bps = out_bps
            self._learned_s = now_s

    def learn(self, now_s: float, carries_bps: float) -> None:
        """Take what trains of packets have shown (`sensing.trains`)."""
        self._bps, self._learned_s = carries_bps, now_s
        self._full_s = SURE_AFTER_S
        self._holds_until_s = now_s + TRAINS_HOLD_S

    def lately_bps(self) -> float | None:
        """Return what came out of late: with a long queue, what the link carries now; `None` where it was silent."""
        came_bytes, over_s = self._lately()
        return came_bytes * 8 / over_s if came_bytes >= CAME_BYTES_MIN else None

    def _lately(self) -> tuple[int, float]:
        """Return what was carried of late, and within how many seconds."""
        carried = self._carried
        if not carried:
            return 0, LATELY_S
        since = next(each for each in carried if each[0] >= carried[-1][0] - LATELY_S)
        return carried[-1][1] - since[1], carried[-1][0] - since[0]

    def _take_queue(self, now_s: float, queueing_s: float | None) -> None:
        """Take how long the queue is; one that is not heard of does not grow."""
        self._queued.append((now_s, queueing_s or 0.0))
        while len(self._queued) > 2 and self._queued[1][0] <= now_s - OVER_S:
            self._queued.popleft()

    def _grown_s(self, since_s: float) -> float:
        """Return by how much the queue is longer than it was then; below 0: shorter."""
        before_s = next(queueing_s for at_s, queueing_s in self._queued if at_s >= since_s)
        return self._queued[-1][1] - before_s

    def _drains(self) -> bool:
        """Return whether less may be sent than comes out: after a burst, for as long as a picture waits there."""
        bps = self._bps or 0.0
        sent_bytes, over_s = self._lately()
        return sent_bytes * 8 > bps * over_s or self._falls_s * bps < DRAINS_BITS

    def _follow(self, out_bps: float, passed_s: float) -> None:
        if self._bps is None:
            self._bps = out_bps
        within_s = FALL_S if out_bps < self._bps else RISE_S
        self._bps += (out_bps - self._bps) * min(1.0, passed_s / within_s)

    def estimate(self, now_s: float) -> Estimate | None:
        """Return what it carries; `None` where nothing was ever carried."""
        if self._bps is None or not self._bps:
            return None
        age_s = now_s - self._learned_s
        sure = 0.1 + 0.9 * self._full_s / SURE_AFTER_S
        return Estimate(self._bps, sure / (1 + 2 * max(age_s, 0.0) / FADES_S), age_s)


class LossMeter:
    """What part of a call's packets never came, over the last half minute or so."""

    def __init__(self) -> None:
        self._expected = 0.0
        self._lost = 0.0
        self._fed_s: float | None = None

    def feed(self, now_s: float, expected: int, lost: int) -> None:
        """Take how many were due, and how many of them were lost."""
        kept = 1.0 if self._fed_s is None else 0.5 ** (max(now_s - self._fed_s, 0.0) / HALF_LIFE_S)
        self._expected = self._expected * kept + max(expected, 0)
        self._lost = self._lost * kept + min(max(lost, 0), max(expected, 0))
        self._fed_s = now_s

    def estimate(self, now_s: float) -> Estimate | None:
        """Return the ratio; `None` where no packet was ever counted."""
        if self._fed_s is None or self._expected <= 0:
            return None
        return Estimate(self._lost / self._expected, min(1.0, self._expected / SURE_PACKETS), now_s - self._fed_s)
