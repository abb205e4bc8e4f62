"""What a page saw of a call in a window of time, from its frames and samples. Pure.

Times are milliseconds of the machine's wall clock, which both pages read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.bench.machine import percentile

STILL_MS = 1_000
FREEZE_MS = 150  # W3C webrtc-stats, freezeCount: a gap of max(3 × mean, mean + 150 ms)
VOICE_BACK_RATIO = 0.2  # of a second's sound is made up at most: the voice is there
VOICE_BACK_MS = 1_000
PICTURE_BACK_MS = 1_000  # without a gap longer than this


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time."""

    from_ms: float
    to_ms: float

    def __contains__(self, at_ms: float) -> bool:
        """Say whether a moment lies in it."""
        return self.from_ms <= at_ms < self.to_ms

    @property
    def length_s(self) -> float:
        """How long it is."""
        return (self.to_ms - self.from_ms) / 1000


@dataclass(frozen=True, slots=True)
class Seen:
    """What one page saw and heard in a window."""

    fps: float
    size: str
    frozen_s: float
    empty_s: int  # seconds in which no frame came
    p50_ms: float | None
    p95_ms: float | None
    concealed_ratio: float | None
    received_bps: float
    picture_bps: float
    keyframes: int
    voice_s: float  # of sound that was not made up

    @property
    def has_picture(self) -> bool:
        """Whether more than a still came."""
        return self.fps > 1.0


def seen(told: Mapping[str, Any], window: Window, who: int | None = None) -> Seen:
    """Return what a page saw; with `who`, only of one sender's picture."""
    frames = [each for each in told["frames"] if each[0] in window and who in {None, each[4]}]
    delays = sorted(each[1] for each in frames if each[1] is not None)
    shown = _grown(told["samples"], "shown", window)
    packets, samples, concealed = (_grown(told["samples"], "heard", window)[each] for each in (0, 2, 3))
    sizes = [f"{each[2]}×{each[3]}" for each in frames if each[2]]
    return Seen(
        fps=sum(each[5] for each in frames) / window.length_s,
        size=max(set(sizes), key=sizes.count) if sizes else "–",
        frozen_s=frozen_s([each[0] for each in frames], window),
        empty_s=empty_s([each[0] for each in frames], window),
        p50_ms=percentile(delays, 0.5) if delays else None,
        p95_ms=percentile(delays, 0.95) if delays else None,
        concealed_ratio=concealed / samples if samples and packets else None,
        received_bps=_bytes(told["samples"], window) * 8 / window.length_s,
        picture_bps=shown[4] * 8 / window.length_s,
        keyframes=round(shown[3]),
        voice_s=(samples - concealed) / 48_000,
    )


def frozen_s(times_ms: Sequence[float], window: Window) -> float:
    """Return how long the picture stood still: gaps of at least max(3 × mean, mean + 150 ms), the edges included.

    A second is always one: beside a picture that hardly moves, the mean says nothing.
    """
    return sum(each.length_s for each in _still(times_ms, window))


def _still(times_ms: Sequence[float], window: Window) -> list[Window]:
    gaps = [Window(before, after) for before, after in pairwise((window.from_ms, *times_ms, window.to_ms))]
    mean_ms = sum(each.length_s for each in gaps) * 1000 / len(gaps)
    limit_ms = min(max(3 * mean_ms, mean_ms + FREEZE_MS), STILL_MS)
    return [each for each in gaps if each.length_s * 1000 >= limit_ms]


def seen_where_strong(told: Mapping[str, Any], window: Window, weak: Sequence[Window]) -> tuple[float, float | None]:
    """Return which part of the time the picture stood still, and of the sound was made up, outside weak stretches."""
    strong_s = window.length_s - within_s(weak, window)
    times_ms = [each[0] for each in told["frames"] if each[0] in window]
    still_s = sum(each.length_s - within_s(weak, each) for each in _still(times_ms, window))
    inside = [each for each in told["samples"] if each["at"] in window]
    spans = [(a, b) for a, b in pairwise(inside) if not within_s(weak, Window(a["at"], b["at"]))]
    samples, concealed = (sum(sum(_difference(a["heard"], b["heard"], place)) for a, b in spans) for place in (2, 3))
    return still_s / strong_s if strong_s else 0.0, concealed / samples if samples else None


def within_s(stretches: Sequence[Window], window: Window) -> float:
    """Return how much of a window lies in stretches that do not overlap."""
    parts = (min(each.to_ms, window.to_ms) - max(each.from_ms, window.from_ms) for each in stretches)
    return sum(max(part, 0.0) for part in parts) / 1000


def empty_s(times_ms: Sequence[float], window: Window) -> int:
    """Return in how many whole seconds of the window no frame came."""
    present = {int((each - window.from_ms) // 1000) for each in times_ms}
    return sum(each not in present for each in range(int(window.length_s)))


def voice_back_ms(told: Mapping[str, Any], from_ms: float) -> float | None:
    """Return when, after a moment, a second began in which the voice was there; None where it never was."""
    marks = [each for each in told["samples"] if each["at"] >= from_ms]
    for before in marks:
        after = next((each for each in marks if each["at"] >= before["at"] + VOICE_BACK_MS), None)
        if after is None:
            return None
        packets, samples, concealed = (sum(_difference(before["heard"], after["heard"], place)) for place in (0, 2, 3))
        if packets > 5 and samples > 0 and concealed < VOICE_BACK_RATIO * samples:
            return float(before["at"]) - from_ms
    return None


def picture_back_ms(told: Mapping[str, Any], from_ms: float) -> float | None:
    """Return when, after a moment, frames came again that did not stop for a second; None where they did not."""
    times = [each[0] for each in told["frames"] if each[0] >= from_ms]
    for place, first in enumerate(times):
        following = [each for each in times[place:] if each <= first + 2 * PICTURE_BACK_MS]
        if len(following) > 4 and max(b - a for a, b in pairwise(following)) < PICTURE_BACK_MS:
            return float(first) - from_ms
    return None


def said(told: Mapping[str, Any], window: Window, part: str = "status") -> list[tuple[float, str]]:
    """Return what a part of the page read, and since which second of the window; negative is before it."""
    found: list[tuple[float, str]] = []
    for each in told["samples"]:
        text = each.get("words", {}).get(part)
        if text is None or (found and found[-1][1] == text) or each["at"] >= window.to_ms:
            continue
        moment = ((each["at"] - window.from_ms) / 1000, text)
        if found and moment[0] <= 0:
            found[-1] = moment
        else:
            found.append(moment)
    return [(round(at_s, 1), text) for at_s, text in found]


def _bytes(samples: Sequence[Mapping[str, Any]], window: Window) -> float:
    inside = [each["bytes"] for each in samples if each["at"] in window]
    return float(sum(max(0, after - before) for before, after in pairwise(inside)))


def _grown(samples: Sequence[Mapping[str, Any]], kind: str, window: Window) -> list[float]:
    """Return by how much the counters of all streams of a kind grew in a window; a new stream counts from nothing."""
    inside = [each[kind] for each in samples if each["at"] in window]
    sums = [0.0] * 7
    for before, after in pairwise(inside):
        for place in range(7):
            sums[place] += sum(_difference(before, after, place))
    return sums


def _difference(before: Mapping[str, Any], after: Mapping[str, Any], place: int) -> list[float]:
    found = []
    for key, values in after.items():
        if place >= len(values):
            continue
        earlier = before.get(key)
        found.append(max(0.0, (values[place] or 0) - ((earlier[place] or 0) if earlier else 0)))
    return found
