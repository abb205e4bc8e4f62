"""Cells of the call's tables: both ends side by side, the nurse's first. Pure."""

from collections.abc import Callable, Mapping, Sequence

from tests.bench.call.run import Told
from tests.bench.call.seen import Seen, said, seen

NONE = "–"
HEAD = (
    "size", "fps", "frozen s", "seconds without a frame", "p50 / p95 ms", "made-up sound %", "picture kb/s",
    "keyframes",
)  # fmt: skip
MACHINE_HEAD = ("in after s", "CPU of what carries it %", "MB", "load", "browsers' CPU %")


def ends(told: Told) -> Mapping[str, Seen]:
    """Return what each page saw in the run's window."""
    return {role: seen(page, told.window) for role, page in told.pages.items()}


def ends_cells(found: Mapping[str, Seen]) -> list[str]:
    """Return the cells of `HEAD`."""
    return [
        _both(found, lambda each: each.size),
        _both(found, lambda each: f"{each.fps:.1f}"),
        _both(found, lambda each: f"{each.frozen_s:.1f}"),
        _both(found, lambda each: str(each.empty_s)),
        _both(found, lambda each: f"{ms(each.p50_ms)} / {ms(each.p95_ms)}"),
        _both(found, lambda each: percent(each.concealed_ratio)),
        _both(found, lambda each: f"{each.picture_bps / 1000:.0f}"),
        _both(found, lambda each: str(each.keyframes)),
    ]


def machine_cells(told: Told) -> list[str]:
    """Return the cells of `MACHINE_HEAD`: what the run cost, and how busy the machine was."""
    cpu = NONE
    if told.used:
        parts = " + ".join(f"{each.name} {each.cpu_ratio * 100:.1f}" for each in told.used)
        cpu = f"{told.cpu_ratio * 100:.1f}" + (f" ({parts})" if len(told.used) > 1 else "")
    return [
        NONE if told.connected_s is None else f"{told.connected_s:.1f}",
        cpu,
        f"{told.rss_bytes / 1e6:.0f}" if told.used else NONE,
        f"{told.load:.1f}",
        f"{told.browsers_cpu_ratio * 100:.0f}",
    ]


def words(told: Told, part: str = "status") -> str:
    """Return what the pages read, with the second since which they did."""
    found = {role: said(page, told.window, part) for role, page in told.pages.items()}
    return (
        "; ".join(
            f"{role}: " + " → ".join(f"{at_s:g} s “{text}”" for at_s, text in moments)
            for role, moments in found.items()
            if moments
        )
        or NONE
    )


def ms(value: float | None) -> str:
    """Return milliseconds for a cell."""
    return NONE if value is None else f"{value:.0f}"


def percent(value: float | None) -> str:
    """Return a share in percent for a cell."""
    return NONE if value is None else f"{value * 100:.2f}"


def seconds(value_ms: float | None) -> str:
    """Return milliseconds as seconds for a cell."""
    return "not back" if value_ms is None else f"{value_ms / 1000:.1f}"


def _both(found: Mapping[str, Seen], cell: Callable[[Seen], str]) -> str:
    cells = [cell(each) for each in found.values()]
    return cells[0] if len(set(cells)) == 1 else "; ".join(cells)


def kept(checks: Sequence[tuple[str, bool]]) -> str:
    """Say whether what was asked was kept, or what was not."""
    missed = [name for name, holds in checks if not holds]
    return f"no: {', '.join(missed)}" if missed else "yes"
