"""A whole span in a few figures: sums are exact, percentiles are those of its stretches. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce

from gateway.backhaul.account.history_cells import Cell, WayCell, joined


def summary(cells: Sequence[Cell]) -> Cell | None:
    """Return the span as one stretch; None where nothing was seen.

    Its median is the median of the stretches' medians, its 95th percentile that of their 95th: a little high.
    """
    if not cells:
        return None
    whole = reduce(joined, cells)
    return replace(
        whole,
        down=_with_percentiles(whole.down, [each.down for each in cells]),
        up=_with_percentiles(whole.up, [each.up for each in cells]),
    )


def _with_percentiles(whole: WayCell, ways: Sequence[WayCell]) -> WayCell:
    return replace(
        whole,
        queueing_p50_s=_percentile(((each.queueing_p50_s, each.queueing_known_s) for each in ways), 0.5),
        queueing_p95_s=_percentile(((each.queueing_p95_s, each.queueing_known_s) for each in ways), 0.95),
    )


def _percentile(weighed: Iterable[tuple[float, float]], ratio: float) -> float:
    known = sorted((value, weight) for value, weight in weighed if weight > 0)
    wanted = sum(weight for _, weight in known) * ratio
    for value, weight in known:
        wanted -= weight
        if wanted <= 0:
            return value
    return known[-1][0] if known else 0.0
