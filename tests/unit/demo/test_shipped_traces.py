"""The shipped traces are what their README says."""

from itertools import pairwise
from math import pi, sin

import pytest

from gateway.demo.link import shipped_traces
from gateway.resources import content

ROUND_MS = 20_000


def by_formula(least_mbps: float, times: float, lag_s: float) -> tuple[int, ...]:
    """What `content/demo/traces/README.md` tells."""
    due, written = 0.0, list[int]()
    for ms in range(1, ROUND_MS + 1):
        t = ms / 1e3 - lag_s
        u = (1 + 0.7 * sin(2 * pi * t / 20) + 0.3 * sin(2 * pi * t / 2.5)) / 2
        due += least_mbps * times**u * 125 / 1500
        while len(written) + 1 <= due:
            written.append(ms)
    return tuple(written if written[-1] == ROUND_MS else [*written, ROUND_MS])


def test_the_traces_are_made_by_the_formula_beside_them() -> None:
    down, up = shipped_traces()["small"]
    assert down.times_ms == by_formula(0.3, 20, 0.0)
    assert up.times_ms == by_formula(0.15, 10, 1.5)


def test_the_readme_tells_the_traces_figures() -> None:
    readme = (content() / "demo" / "traces" / "README.md").read_text(encoding="utf-8")
    for trace in shipped_traces()["small"]:
        assert f"| {len(trace.times_ms)} | {trace.mean_bps / 1e6:.2f} |" in readme


@pytest.mark.parametrize("way", ["down", "up"])
def test_a_trace_is_small(way: str) -> None:
    assert (content() / "demo" / "traces" / f"small.{way}").stat().st_size <= 20_000


def test_no_pause_of_a_trace_is_longer_than_a_packet_at_its_lowest_rate() -> None:
    for trace, least_bps in zip(shipped_traces()["small"], (300_000, 150_000), strict=True):
        longest_ms = max(later - earlier for earlier, later in pairwise(trace.times_ms))
        assert longest_ms <= 1_500 * 8 / least_bps * 1e3 + 1
