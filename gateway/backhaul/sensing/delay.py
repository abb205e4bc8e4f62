"""How long packets wait in the link's queue, from delays whose zero is not known. Pure.

A path's *base delay* is the least it showed lately; what is above it is queueing. Two things are not queueing, and are
taken off: the time in which nothing at all came in (a radio that is silent holds packets up, but builds no queue that
sending less would shorten), and the smoothing that the kernel puts on a receiver's round trip.

Source: RFC 9840 §4.2 (base delay as a windowed minimum), RFC 6817 §3.4.2; cake-autorate issue 23 (silence is no bloat).
"""

from collections import deque

from gateway.backhaul.sensing.samples import DelaySample, Sees

SPAN_S = 5.0  # a minimum is kept for each of these
SPANS = 6  # so a base delay that has grown is believed after half a minute
PATHS_MAX = 256
ABOVE_EMPTY = "tcp:"  # paths whose delays are told as above an empty link already (`overheard`)
SMOOTHING = 7 / 8  # each new sample counts an eighth
SEGMENTS_PER_SAMPLE = 2  # a receiver acknowledges every second segment (RFC 9293 §3.8.6.3), and each is one sample
SAME_SAMPLE_S = 0.2  # segments of one sample come closer together, or slowness would not be told from silence
STEPS_MAX = 8  # smoothing that old leaves two thirds of the newest: nothing is left to undo


class BaseDelay:
    """The least delay a path showed in the last half minute; time without a sample, as in an outage, does not count."""

    def __init__(self) -> None:
        self._minima: deque[tuple[int, float]] = deque(maxlen=SPANS)  # of each span that had a sample, newest last

    def feed(self, at_s: float, delay_s: float) -> float:
        """Take a delay; returns the base delay."""
        span = int(at_s // SPAN_S)
        minima = self._minima
        if not minima or minima[-1][0] < span:
            minima.append((span, delay_s))
        elif delay_s < minima[-1][1]:
            minima[-1] = (span, delay_s)
        return self.least_s()

    def least_s(self) -> float:
        """Return it, once there was a delay."""
        return min(least for _, least in self._minima)


class Silence:
    """When nothing came in, while something was due."""

    KEPT_MAX = 16

    def __init__(self) -> None:
        self._gaps: deque[tuple[float, float]] = deque(maxlen=self.KEPT_MAX)
        self._last_s: float | None = None
        self._bytes = -1

    def feed(self, at_s: float, down_bytes: int, patience_s: float) -> None:
        """Take a counter; a pause longer than `patience_s` is a silence."""
        if down_bytes == self._bytes:
            return
        if self._last_s is not None and at_s - self._last_s > patience_s:
            self._gaps.append((self._last_s, at_s))
        self._bytes, self._last_s = down_bytes, at_s

    def lasts_s(self, now_s: float) -> float:
        """Return how long nothing has come."""
        return 0.0 if self._last_s is None else now_s - self._last_s

    def within_s(self, since_s: float, until_s: float) -> float:
        """Return how much of a time was silent."""
        return sum(max(0.0, min(end_s, until_s) - max(begin_s, since_s)) for begin_s, end_s in self._gaps)


class Queueing:
    """Queueing delay over many paths, each with a base delay of its own."""

    def __init__(self) -> None:
        self._paths: dict[tuple[str, Sees], BaseDelay] = {}
        self.silence = Silence()

    def base_s(self, path: str, sees: Sees) -> float | None:
        """Return the base delay of a path, if it was heard of."""
        base = self._paths.get((path, sees))
        return base.least_s() if base is not None else None

    def feed(self, sample: DelaySample) -> tuple[float, float]:
        """Take a sample; returns its queueing and its base delay, in seconds."""
        key = (sample.path, sample.sees)
        base = self._paths.pop(key, None) or _new_base(sample)
        self._paths[key] = base  # the last one used stands last
        if len(self._paths) > PATHS_MAX:
            del self._paths[next(iter(self._paths))]
        base_s = base.feed(sample.at_s, sample.delay_s)
        waited_s = sample.delay_s - base_s
        # a sample is told when it came in: what was silent while it was under way did not make it wait
        return max(0.0, waited_s - self.silence.within_s(sample.at_s - waited_s, sample.at_s)), base_s


def _new_base(sample: DelaySample) -> BaseDelay:
    base = BaseDelay()
    if sample.path.startswith(ABOVE_EMPTY):
        base.feed(sample.at_s, 0.0)
    return base


class RoundTrips:
    """The round trips behind a smoothed figure that the kernel keeps of a connection.

    A sender's is smoothed both ways (RFC 6298 §2). A receiver's follows a shorter one at once and a longer one by an
    eighth (`tcp_rcv_rtt_update` since Linux 6.16; before, by an eighth both ways, and it falls a little late).
    """

    def __init__(self, *, receives: bool) -> None:
        self._receives = receives
        self._last: dict[int, tuple[float, int, float]] = {}  # smoothed, segments, when one was told

    def feed(
        self,
        flow: int,
        at_s: float,
        smoothed_s: float | None,
        segments: int,
        least_s: float | None,
        *,
        was_read: bool = True,
    ) -> float | None:
        """Return the newest round trip of a flow, or `None` where there was none since the last look.

        `segments` counts those that brought samples; `least_s` is the least round trip the sender has seen.
        `was_read`: all that had come by the last look. Else the kernel takes a shorter round trip only.
        """
        if smoothed_s is None:
            return None
        before_s, before, told_s = self._last.get(flow, (None, 0, at_s))
        came = segments - before
        told_before = not was_read or (came == 1 and at_s - told_s < SAME_SAMPLE_S)  # the second segment of a sample
        if before_s is not None and (came <= 0 or (smoothed_s == before_s and told_before)):
            self._last[flow] = (smoothed_s, segments, told_s)
            return None
        self._last[flow] = (smoothed_s, segments, at_s)
        if before_s is None:
            return smoothed_s
        if self._receives and smoothed_s <= before_s:
            return smoothed_s
        newest_s = _behind(smoothed_s, before_s, -(-came // SEGMENTS_PER_SAMPLE))
        # how many samples it was is a guess, and a wrong one goes too far: none was less than the least ever seen
        return max(newest_s, min(smoothed_s, least_s or smoothed_s))

    def forget(self, flow: int) -> None:
        """Forget a flow."""
        self._last.pop(flow, None)


def _behind(smoothed_s: float, before_s: float, steps: int) -> float:
    """Return what so many samples, all alike, have brought from one smoothed figure to the next."""
    kept = SMOOTHING ** min(steps, STEPS_MAX)
    return (smoothed_s - before_s * kept) / (1 - kept)
