"""How fast the box may take from the link now, so that a queue as short as can be keeps it busy. Pure.

One direction. The rate stands for a window, rate × (base delay + target): what is under way at once. A window has its
own clock: when the link slows down, it bounds the queue before anybody has measured anything. At each tick the rate
moves by

    rate ← rate × (1 + gain × ((base + target) / (base + queueing) − 1))

so that it stays where the queueing delay is the target, falls by what the queue has too much, and rises by a sixteenth
(a target of 10 ms, a base of 40 ms) to a third (50 ms) in a round trip where there is none (FAST TCP). It rises only
while it is used, so it means something. The target follows how much the queueing delay varies: a steady link needs a
few milliseconds to be kept busy, a radio more.

Every so often the window is drawn in for a round trip, so that the base delay is seen again.

Source: D. Wei, C. Jin, S. Low, S. Hegde, "FAST TCP", IEEE/ACM ToN 14(6), 2006, eq. 5; N. Cardwell et al., "BBR", ACM
Queue 14(5), 2016 (ProbeRTT); RFC 9840 (rLEDBAT: a receiver's window as the lever). Constants: replays of LTE traces,
2026-11.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

GAIN_PER_BASE = 0.25  # of the way to the target in one base delay
BASE_S_MIN = 0.02
BASE_S_MAX = 0.8  # a satellite's; what is more is no base delay
TARGET_S_MIN = 0.010
TARGET_S_MAX = 0.050
TARGET_BITS_MIN = 24_000  # two packets, which one acknowledgement lets go: less is no queue (as CAKE, which has 1.5)
PACKETS_S_MAX = 0.024  # the rate may be a part of the link's alone
TARGET_S_STEADY = 0.006
TARGET_PER_VARIATION = 0.33
VARIATION_S = 4.0  # over which the variation of the queueing delay is smoothed
SAME_OVER_S = 4.0  # a queue that is the same for so long,
SAME_WITHIN_S = 0.012  # but for two packets' time at 2 Mbit/s,
LESS_RATIO = 0.7  # while so much less is taken, is none of ours
OTHERS_S_MAX = 0.2  # a longer one is that of somebody who does not yield
VARIES_S_MAX = 0.2  # a longer queue is a fall of the link, not the way of its radio
HEARD_S = 0.04  # what was heard so lately counts,
LOW, LOW_IN_TURNS = 1 / 4, 3 / 8  # and of it this quantile, for one late packet is no queue
USED_RATIO = 0.6  # of the rate that must be used for it to rise
USED_S = 0.5  # over which use is measured
FALL_MAX = 0.5  # at one tick
KEPT_RATIO = 0.5  # of what the link carries is kept beside no queue, …
CALLS_BPS_MIN = 8_000  # who uses less does not speak
LEFT_RATIO = 0.25  # of what calls leave is taken however long the queue is: the rest lets it go
KEPT_GONE_S = 1.0  # … and nothing beside one of half a second
DRAIN_EVERY_S = 10.0
DRAIN_RATIO = 0.6
NEAR_BASE_S = 0.003  # that close to the base delay counts as having seen it


@dataclass(frozen=True, slots=True)
class Limits:
    """Between what the rate moves, and where it starts."""

    least_bps: int = 30_000
    most_bps: int = 100_000_000
    start_bps: int = 1_000_000
    beside_calls_bps: int = 4_000  # the least where calls are: an order in two seconds, until the queue is gone
    packets_s_max: float = PACKETS_S_MAX  # of packets that are aimed at where they take longer than the target


class Heard(NamedTuple):
    """Queueing delay, and the base delay it is above."""

    queueing_s: float
    base_s: float


class Pace(NamedTuple):
    """What the box may take: a rate, and how long a queue it may build."""

    rate_bps: int
    target_s: float
    base_s: float
    drains: bool = False  # for a moment it is less, so that the base delay is seen

    @property
    def window_bytes(self) -> float:
        """What may be under way at once, in bytes of IP packets."""
        return self.rate_bps / 8 * (self.base_s + self.target_s)


class Controller:
    """Finds the rate of one direction."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._least_bps = self._limits.least_bps
        self._rate_bps = float(self._limits.start_bps)
        self.used_bps = 0.0
        self._used: deque[tuple[float, int]] = deque()
        self._recent: deque[tuple[float, float]] = deque()
        self._heard_s: float | None = None
        self._seen: deque[tuple[float, float, float]] = deque()  # when, how long a queue, at what rate
        self._others_s = 0.0
        self._mean_s = 0.0
        self._variation_s = 0.0
        self._base_s = 0.04
        self._seen_base_s: float | None = None
        self._drains_until_s = float("-inf")

    @property
    def target_s(self) -> float:
        """The queueing delay it aims at."""
        packets_s = min(TARGET_BITS_MIN / self._rate_bps, self._limits.packets_s_max)
        return min(
            max(TARGET_S_STEADY + TARGET_PER_VARIATION * self._variation_s, packets_s, TARGET_S_MIN), TARGET_S_MAX
        )

    def pace(self, now_s: float) -> Pace:
        """Return what may be taken now."""
        drains = now_s < self._drains_until_s
        rate_bps = int(self._rate_bps * (DRAIN_RATIO if drains else 1.0))
        return Pace(max(rate_bps, self._least_bps), self.target_s, self._base_s, drains)

    def step(
        self,
        now_s: float,
        used_bytes: int,
        heard: Sequence[Heard],
        *,
        base_s: float | None = None,
        carries_bps: float = 0.0,
        out_bps: float | None = None,
        calls_bps: float = 0.0,
        in_turns: bool = False,
        held_up: bool = False,
    ) -> float | None:
        """Take what was used since the start, and what was heard of the queue; returns the queueing delay, if heard.

        `base_s` is a round trip through an empty link, where one was heard of.
        `carries_bps` is what the link has carried of late: half of it, or what `calls_bps` leave, is not given up for a
        queue that is nearly gone. `out_bps` is the same over longer: a quarter of what calls leave is always taken.
        `in_turns`: connections take turns, because the window is too small for all, so they come in bursts.
        `held_up`: somebody waits for leave to use more.
        """
        self.used_bps = self._measure_use(now_s, used_bytes)
        self._follow_least(out_bps, calls_bps)
        if not heard:
            return None
        passed_s = min(now_s - self._heard_s, self._base_s) if self._heard_s is not None else 0.0
        self._heard_s = now_s
        queueing_s = self._ours_s(now_s, self._queueing_s(now_s, heard, in_turns=in_turns))
        if base_s is not None:
            self._base_s = min(max(base_s, BASE_S_MIN), BASE_S_MAX)
        self._learn_variation(queueing_s, passed_s)
        self._maybe_drain(now_s, queueing_s)
        if now_s >= self._drains_until_s + self._base_s:  # till then it tells of the smaller window
            self._move(queueing_s, passed_s, is_used=held_up or self.used_bps > USED_RATIO * self._rate_bps)
            least_ratio = KEPT_RATIO - queueing_s / KEPT_GONE_S
            kept_bps = least_ratio * min(carries_bps, 2 * (carries_bps - calls_bps))
            self._rate_bps = max(self._rate_bps, min(kept_bps, self._limits.most_bps))
        return queueing_s

    def _follow_least(self, out_bps: float | None, calls_bps: float) -> None:
        """Take no more than calls leave, down to what keeps orders going."""
        least_bps, beside_bps = self._limits.least_bps, self._limits.beside_calls_bps
        if calls_bps >= CALLS_BPS_MIN:
            least_bps = int(min(max(LEFT_RATIO * ((out_bps or 0.0) - calls_bps), beside_bps), least_bps))
        self._least_bps = least_bps

    def begin_below(self, most_bps: float) -> None:
        """Let what comes next begin at no more than this: more than the link has carried is a guess."""
        self._rate_bps = max(min(self._rate_bps, most_bps), self._least_bps)

    def _move(self, queueing_s: float, passed_s: float, *, is_used: bool) -> None:
        away = (self._base_s + self.target_s) / (self._base_s + queueing_s) - 1
        change = GAIN_PER_BASE * passed_s / self._base_s * away
        if change < 0:
            self._rate_bps *= 1 + max(change, -FALL_MAX)
        elif is_used or self._rate_bps <= self._least_bps:
            self._rate_bps *= 1 + change
        self._rate_bps = min(max(self._rate_bps, self._least_bps), self._limits.most_bps)

    def _queueing_s(self, now_s: float, heard: Sequence[Heard], *, in_turns: bool) -> float:
        """Return a low one of late; a higher one where turns are taken."""
        recent = self._recent
        recent.extend((now_s, each.queueing_s) for each in heard)
        while recent[0][0] < now_s - HEARD_S:
            recent.popleft()
        counting = sorted(each for _, each in recent)
        return counting[int(len(counting) * (LOW_IN_TURNS if in_turns else LOW))]

    def _ours_s(self, now_s: float, queueing_s: float) -> float:
        """Return what of a queue may be the box's own: what stays the same while it takes much less is a longer way."""
        self._others_s = min(self._others_s, queueing_s)
        seen = self._seen
        seen.append((now_s, queueing_s, self._rate_bps))
        while seen[0][0] < now_s - SAME_OVER_S:
            seen.popleft()
        takes_less = self._rate_bps < LESS_RATIO * seen[0][2] and now_s - seen[0][0] > 0.9 * SAME_OVER_S
        if takes_less and self.target_s < queueing_s < OTHERS_S_MAX:
            least_s, most_s = min(each[1] for each in seen), max(each[1] for each in seen)
            if most_s - least_s < SAME_WITHIN_S:
                self._others_s = least_s
        return queueing_s - self._others_s

    def _measure_use(self, now_s: float, used_bytes: int) -> float:
        used = self._used
        used.append((now_s, used_bytes))
        while len(used) > 2 and used[1][0] <= now_s - USED_S:
            used.popleft()
        over_s = now_s - used[0][0]
        return (used_bytes - used[0][1]) * 8 / over_s if over_s > 0 else 0.0

    def _learn_variation(self, queueing_s: float, passed_s: float) -> None:
        weight = min(1.0, passed_s / VARIATION_S)
        counted_s = min(queueing_s, VARIES_S_MAX)
        self._mean_s += (counted_s - self._mean_s) * weight
        self._variation_s += (abs(counted_s - self._mean_s) - self._variation_s) * weight

    def _maybe_drain(self, now_s: float, queueing_s: float) -> None:
        if self._seen_base_s is None or queueing_s <= NEAR_BASE_S:
            self._seen_base_s = now_s
        elif now_s - self._seen_base_s > DRAIN_EVERY_S:
            self._seen_base_s = now_s
            self._drains_until_s = now_s + self._base_s + self.target_s
