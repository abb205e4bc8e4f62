"""The link part's tables: what was asked beside what was seen. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.link.run import Mode
from tests.bench.link.scenarios import Asked, Scenario
from tests.bench.machine import table

_WORDS = {Mode.ALONE: "call alone", Mode.UNMANAGED: "unmanaged", Mode.MANAGED: "Tambo"}
_NONE = "–"


@dataclass(frozen=True)
class Seen:
    """What a scenario's runs found; a sentence where one could not be."""

    scenario: Scenario
    found: Mapping[Mode, dict[str, Any] | str]


def call_table(title: str) -> Callable[[Sequence[Seen]], str]:
    """Return the table of scenarios that are judged by the call and the use of the link."""

    def laid_out(seen: Sequence[Seen]) -> str:
        head = ["link", "beside the call", "down p50 / p95 / p99 / max ms", "excess ms", "lost %", "up p95 ms"]
        head += ["excess ms", "use", "use from 10 s on", "bulk Mbit/s", "CPU", "budget changes/min", "asked", "kept"]
        rows = [_call_row(each, mode) for each in seen for mode in each.found]
        return table(title, head, rows)

    return laid_out


def _call_row(seen: Seen, mode: Mode) -> list[str]:
    found, alone = seen.found[mode], seen.found.get(Mode.ALONE)
    start = [seen.scenario.label, _beside(mode, found)]
    if isinstance(found, str):
        return [*start, found, *[_NONE] * 11]
    asked = seen.scenario.asked if mode is Mode.MANAGED else Asked()
    excess = {way: _excess(found, alone, way) for way in ("down", "up")}
    down, up = found["call_down"], found["call_up"]
    return [
        *start,
        " / ".join(_ms(down[each]) for each in ("p50_ms", "p95_ms", "p99_ms", "max_ms")),
        _ms(excess["down"]),
        _percent(down["loss_ratio"]),
        _ms(up["p95_ms"]),
        _ms(excess["up"]),
        _ratio(found["use_down"]),
        _ratio(found["use_down_late"]),
        f"{found['bulk_down_mbit']:.2f}" + (f" / {found['bulk_up_mbit']:.2f}" if found["bulk_up_mbit"] else ""),
        _percent(found["box_cpu_ratio"], " %"),
        _plain(found["budget_changes_a_minute"]),
        _asked_words(asked),
        _kept(asked, found, excess),
    ]


def _beside(mode: Mode, found: Mapping[str, Any] | str) -> str:
    is_missing = isinstance(found, Mapping) and found["is_budget_missing"]
    return _WORDS[mode] + (" (told no budget, so the call did not follow)" if is_missing else "")


def _excess(found: Mapping[str, Any], alone: Mapping[str, Any] | str | None, way: str) -> float | None:
    if found["mode"] == Mode.ALONE.value or not isinstance(alone, Mapping):
        return None
    with_load, without = found[f"call_{way}"]["p95_ms"], alone[f"call_{way}"]["p95_ms"]
    return None if with_load is None or without is None else with_load - without


def _asked_words(asked: Asked) -> str:
    words = []
    if asked.excess_ms is not None:
        words.append(f"excess ≤ {asked.excess_ms:g} ms" + (" both ways" if asked.excess_up_ms else ""))
    if asked.use_ratio is not None:
        words.append(f"use ≥ {asked.use_ratio:.0%}")
    if asked.loss_ratio is not None:
        words.append(f"lost < {asked.loss_ratio:.1%}" if asked.loss_ratio else "none lost")
    if asked.changes_a_minute is not None:
        words.append(f"≤ {asked.changes_a_minute:g} changes/min")
    return ", ".join(words) or _NONE


def _kept(asked: Asked, found: Mapping[str, Any], excess: Mapping[str, float | None]) -> str:
    """Say whether what was asked was kept, or what was not."""
    changes, use, lost = found["budget_changes_a_minute"], found["use_down"], found["call_down"]["loss_ratio"]
    missed = [
        name
        for name, limit, value in (
            ("excess", asked.excess_ms, excess["down"]),
            ("excess up", asked.excess_up_ms, excess["up"]),
            ("loss", asked.loss_ratio, lost),
            ("changes", asked.changes_a_minute, changes),
        )
        if limit is not None and (value is None or value > limit)
    ]
    if asked.use_ratio is not None and (use is None or use < asked.use_ratio):
        missed.append("use")
    if missed:
        return f"no: {', '.join(missed)}"
    return _NONE if asked == Asked() else "yes"


def moments_table(title: str, asked: Sequence[str]) -> Callable[[Sequence[Seen]], str]:
    """Return the table of what followed each change of the link; `asked` is said of each in turn."""

    def laid_out(seen: Sequence[Seen]) -> str:
        head = ["link", "beside the call", "after", "p95 of 1 s under 50 ms after s", "use over 85 % after s"]
        head += ["p95 until the next ms", "lost %", "state told (s: state)", "asked"]
        return table(title, head, [row for each in seen for mode in each.found for row in _moments(each, mode, asked)])

    return laid_out


def _moments(seen: Seen, mode: Mode, asked: Sequence[str]) -> list[list[str]]:
    found = seen.found[mode]
    start = [seen.scenario.label, _beside(mode, found)]
    if isinstance(found, str):
        return [[*start, found, *[_NONE] * 6]]
    return [
        [
            *start,
            f"{moment['at_s']:g} s",
            _plain(moment["calm_after_s"]),
            _plain(moment["full_after_s"]),
            _ms(moment["p95_ms"]),
            _percent(found["call_down"]["loss_ratio"]),
            ", ".join(f"{at_s:g}: {state}" for at_s, state in found["states"]) or _NONE,
            asked[number] if mode is Mode.MANAGED else _NONE,
        ]
        for number, moment in enumerate(found["moments"])
    ]


def shares_table(seen: Sequence[Seen]) -> str:
    """Lay out who got how much of the link."""
    head = ["who", "beside the call", "of the link, Mbit/s", "heavy ÷ light", "the same from 10 s on"]
    head += ["least and most of a device ÷ mean", "the same from 10 s on", "use", "p95 ms", "asked"]
    rows = [_share_row(each, mode) for each in seen for mode in each.found]
    return table("Shares: tenants and devices", head, rows)


def _share_row(seen: Seen, mode: Mode) -> list[str]:
    found = seen.found[mode]
    start = [seen.scenario.label, _beside(mode, found)]
    if isinstance(found, str):
        return [*start, found, *[_NONE] * 7]
    whole, late = found["devices_mbit"], found["devices_late_mbit"]
    return [
        *start,
        f"{found['bulk_down_mbit']:.2f}",
        _tenants(whole),
        _tenants(late),
        _spread(whole),
        _spread(late),
        _ratio(found["use_down"]),
        _ms(found["call_down"]["p95_ms"]),
        seen.scenario.words if mode is Mode.MANAGED else _NONE,
    ]


def _tenants(moved: Mapping[str, float]) -> str:
    heavy, light = (sum(each for name, each in moved.items() if name.startswith(who)) for who in ("heavy", "light"))
    return f"{heavy / light:.2f}" if heavy and light else _NONE


def _spread(moved: Mapping[str, float]) -> str:
    mean = sum(moved.values()) / len(moved) if moved else 0
    return f"{min(moved.values()) / mean:.2f} to {max(moved.values()) / mean:.2f}" if mean else _NONE


def _ms(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def _percent(value: float | None, unit: str = "") -> str:
    return _NONE if value is None else f"{value * 100:.2f}{unit}"


def _ratio(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3f}"


def _plain(value: float | None) -> str:
    return _NONE if value is None else f"{value:g}"


TABLES: Mapping[str, Callable[[Sequence[Seen]], str]] = {
    "constant": call_table("The link: constant capacity, unknown to the box"),
    "traces": call_table("The link: cellular traces"),
    "steps": moments_table(
        "The link: capacity falls to a tenth and comes back; the call keeps to the box's budget",
        ("calm within 3 s", "use over 85 % within 10 s"),
    ),
    "outages": moments_table("The link: after an outage", ("down told within 2 s, up within 1 s, no collapse",)),
    "uploads": call_table("The link: uploads and downloads at once"),
    "routed": call_table("The link: clients behind the box, without its proxy"),
    "shares": shares_table,
}
