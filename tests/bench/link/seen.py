"""What a run found, from what its processes wrote down. Pure.

Queueing is one-way delay less the emulated delay, so it holds a packet's own transmission time. A packet counts as lost
where a later one of its stream came: the link does not reorder, and what still waits at the end is not judged.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.bench.link.packets import VIDEO, VOICE, Came
from tests.bench.machine import percentile

FREEZE_S = 0.5  # a picture that stands still for longer counts as frozen
CALM_MS, CALM_S = 50.0, 3.0
FULL_RATIO, FULL_S = 0.85, 2.0
STEP_S = 0.1


@dataclass(frozen=True)
class Window:
    """The stretch that is judged, in monotonic seconds."""

    from_s: float
    to_s: float

    def __contains__(self, at_s: float) -> bool:
        return self.from_s <= at_s < self.to_s

    @property
    def length_s(self) -> float:
        """How long it is."""
        return self.to_s - self.from_s


def queueing_ms(packet: Came, delay_s: float) -> float:
    """Return how long a packet waited on its way."""
    return (packet.came_s - packet.sent_s - delay_s) * 1000


def call_figures(came: Sequence[Came], window: Window, delay_s: float) -> dict[str, float | None]:
    """Return one direction of a call: of the packets sent in the window."""
    judged = [each for each in came if each.sent_s in window]
    waits = sorted(queueing_ms(each, delay_s) for each in judged)
    if not waits:
        return {"packets": 0, "p50_ms": None, "p95_ms": None, "p99_ms": None, "max_ms": None, "loss_ratio": None}
    lost = sum(_lost([each.number for each in judged if each.stream == stream]) for stream in (VOICE, VIDEO))
    pictures = [each.came_s for each in came if each.stream == VIDEO and each.came_s in window]
    sizes = sum(each.size_bytes for each in judged if each.stream == VIDEO)
    return {
        "packets": len(waits),
        "p50_ms": round(percentile(waits, 0.50), 1),
        "p95_ms": round(percentile(waits, 0.95), 1),
        "p99_ms": round(percentile(waits, 0.99), 1),
        "max_ms": round(waits[-1], 1),
        "lost_packets": lost,
        "loss_ratio": round(lost / (lost + len(waits)), 5),
        "frozen_s": round(_frozen_s([window.from_s, *pictures, window.to_s]), 2),
        "picture_bps": round(sizes * 8 / window.length_s),
    }


def _lost(numbers: Sequence[int]) -> int:
    return numbers[-1] - numbers[0] + 1 - len(numbers) if numbers else 0


def _frozen_s(times_s: Sequence[float]) -> float:
    gaps = (after_s - before_s for before_s, after_s in pairwise(times_s))
    return sum(each for each in gaps if each > FREEZE_S)


def use_ratio(lines: Iterable[Mapping[str, Any]], way: str, window: Window, origin_s: float) -> float | None:
    """Return how much of what a direction could carry it carried, by the emulator's lines."""
    judged = [each[way] for each in lines if "span" in each and origin_s + each["t"] - each["span"] / 2 in window]
    capacity = sum(each["capacity_bytes"] for each in judged)
    return round(sum(each["out_bytes"] for each in judged) / capacity, 4) if capacity else None


def moved_mbit(told: Mapping[str, Any], window: Window, names: Sequence[str]) -> dict[str, float]:
    """Return what each device moved in the window, in Mbit/s."""
    bin_s = told["bin_s"]
    found = {}
    for name in names:
        bins = told["moved"].get(name, {})
        moved = sum(size for at, size in bins.items() if (int(at) + 0.5) * bin_s in window)
        found[name] = round(moved * 8 / window.length_s / 1e6, 4)
    return found


def calm_after_s(came: Sequence[Came], event_s: float, until_s: float, delay_s: float) -> float | None:
    """Return how long after an event the p95 of each second goes under 50 ms, and stays there for three."""
    waits = [(each.came_s, queueing_ms(each, delay_s)) for each in came if event_s <= each.came_s < until_s]

    def is_calm(from_s: float) -> bool:
        found = sorted(wait for at_s, wait in waits if from_s <= at_s < from_s + 1)
        return bool(found) and percentile(found, 0.95) < CALM_MS

    seconds = int(CALM_S)
    for step in range(int((until_s - event_s - CALM_S) / STEP_S)):
        at_s = event_s + step * STEP_S
        if all(is_calm(at_s + later) for later in range(seconds)):
            return round(at_s - event_s, 1)
    return None


def full_after_s(lines: Sequence[Mapping[str, Any]], event_s: float, until_s: float, origin_s: float) -> float | None:
    """Return how long after an event the downlink is used by more than 85 % for two seconds on end."""
    for step in range(int((until_s - event_s - FULL_S) / STEP_S)):
        at_s = event_s + step * STEP_S
        used = use_ratio(lines, "down", Window(at_s, at_s + FULL_S), origin_s)
        if used is not None and used > FULL_RATIO:
            return round(at_s - event_s, 1)
    return None


def at(told: Mapping[str, Any] | None, field: str) -> Any:
    """Return the value that a dotted name has in what the box told; None where it has none."""
    found: Any = told
    for name in field.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def changes_a_minute(watched: Sequence[Mapping[str, Any]], field: str, window: Window) -> float | None:
    """Return how often a value that the box shows changed."""
    values = [at(each, field) for each in watched if each["at_s"] in window]
    told = [each for each in values if each is not None]
    changes = sum(before != after for before, after in pairwise(told))
    return round(changes * 60 / window.length_s, 1) if told else None


def states(watched: Sequence[Mapping[str, Any]], from_s: float) -> list[tuple[float, str]]:
    """Return the link's states as the box told them: when each was first seen, in seconds from `from_s`."""
    found: list[tuple[float, str]] = []
    for each in watched:
        state = at(each, "link.state")
        if state is not None and (not found or found[-1][1] != state):
            found.append((round(each["at_s"] - from_s, 1), state))
    return found
