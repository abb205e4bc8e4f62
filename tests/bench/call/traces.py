"""A call over recorded mobile links: how long the picture stood still, how much sound was made up, what was carried."""

from collections.abc import Sequence

from tests.bench.call import cells
from tests.bench.call.cells import MACHINE_HEAD, NONE
from tests.bench.call.contenders import Alone, Contender, Tambo
from tests.bench.call.options import Options
from tests.bench.call.run import Run, Told
from tests.bench.call.seen import seen_where_strong, within_s
from tests.bench.link.emulator import Capacity, Conditions, trace_file
from tests.bench.machine import table

DOWN_MBIT, UP_MBIT = 10.0, 2.0  # where a trace has one direction only
QUEUE = "512K"
NOTE = (
    "The nurse's page first, then the doctor's. The box is not told the rate; a queue of 512 KB, 25 ms each way and "
    "what the trace adds. A trace of one direction is beside 10 Mbit/s down or 2 up. Frozen: gaps of at least "
    "max(3 × mean, mean + 150 ms), as a share of the time; a picture that rests counts as frozen. Where strong: "
    "without the seconds in which that way carries less than 150 kb/s; their share of the time in brackets."
)


def names() -> Sequence[str]:
    """Return the traces that are here, by name."""
    folder = trace_file("x").parent
    return sorted({each.stem for way in ("down", "up") for each in folder.glob(f"*.{way}")})


async def traces(options: Options) -> str:
    """Return the table."""
    found = names()
    if not found:
        return f"Traces: not measured, there is none in {trace_file('x').parent}: set TAMBO_TRACES to where they are."
    rows = []
    for name in found:
        for contender in (Tambo(), Alone()):
            if options.wants(name, contender.name):
                run = Run(contender, _conditions(name), options.trace_seconds, options.camera)
                rows.append(options.done(_row(name, contender, await options.told(name, run))))
    head = ["trace", "", "frozen %", "made-up sound %", "where strong: frozen, made up % (weak %)", "fps"]
    head += [
        "p50 / p95 ms",
        "seconds without a frame",
        "picture carried kb/s",
        "of capacity down / up %",
        "lost in the queue",
        *MACHINE_HEAD,
    ]
    return f"{table('A call over recorded links', head, rows)}\n\n{NOTE}"


def _conditions(name: str) -> Conditions:
    def way(direction: str, otherwise_mbit: float) -> Capacity:
        return Capacity(trace=name) if trace_file(f"{name}.{direction}").exists() else Capacity(otherwise_mbit)

    return Conditions(way("down", DOWN_MBIT), way("up", UP_MBIT), queue=QUEUE)


def _row(name: str, contender: Contender, told: Told | str) -> list[str]:
    if isinstance(told, str):
        return [name, contender.name, told, *[NONE] * (8 + len(MACHINE_HEAD))]
    ends = list(cells.ends(told).values())
    used = [told.link[way]["bps"] / max(told.link[way]["capacity_bps"], 1) for way in ("down", "up")]
    return [
        name,
        contender.name,
        "; ".join(cells.percent(each.frozen_s / told.window.length_s) for each in ends),
        "; ".join(cells.percent(each.concealed_ratio) for each in ends),
        "; ".join(_where_strong(told, role, way) for role, way in (("nurse", "down"), ("doctor", "up"))),
        "; ".join(f"{each.fps:.1f}" for each in ends),
        "; ".join(f"{cells.ms(each.p50_ms)} / {cells.ms(each.p95_ms)}" for each in ends),
        "; ".join(str(each.empty_s) for each in ends),
        "; ".join(f"{each.picture_bps / 1000:.0f}" for each in ends),
        " / ".join(f"{each * 100:.0f}" for each in used),
        " / ".join(f"{told.link[way]['dropped']:.0f}" for way in ("down", "up")),
        *cells.machine_cells(told),
    ]


def _where_strong(told: Told, role: str, way: str) -> str:
    weak = told.weak[way]
    frozen_ratio, concealed_ratio = seen_where_strong(told.pages[role], told.window, weak)
    weak_ratio = within_s(weak, told.window) / told.window.length_s
    return f"{cells.percent(frozen_ratio)}, {cells.percent(concealed_ratio)} ({cells.percent(weak_ratio)})"
