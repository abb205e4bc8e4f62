"""A call on a narrow link, and the same beside downloads and a queue of orders: what both ends see and hear."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.bench.call import cells
from tests.bench.call.cells import HEAD, MACHINE_HEAD, NONE
from tests.bench.call.contenders import CONTENDERS, Contender, Tambo, told_rate
from tests.bench.call.load import OFFERED, Load, loaded
from tests.bench.call.options import Options
from tests.bench.call.run import Run, Told
from tests.bench.call.seen import Seen
from tests.bench.link.emulator import Capacity, Conditions
from tests.bench.machine import table

QUEUE = "500ms"


@dataclass(frozen=True)
class Asked:
    """What a call is to keep at a rate; without `fps` the picture rests, and the page says why."""

    fps: float | None
    p95_ms: float | None
    concealed_ratio: float
    empty_s: int | None = None

    def __str__(self) -> str:
        """Say it in words."""
        if self.fps is None:
            return "voice without a gap, no picture, the reason on the page"
        frozen = "" if self.empty_s is None else ", no second without a frame"
        return f"≥ {self.fps:g} fps, p95 ≤ {self.p95_ms:g} ms{frozen}, made up ≤ {self.concealed_ratio:.1%}"

    def kept(self, told: Told, found: Mapping[str, Seen]) -> str:
        """Say whether both ends got it."""
        every = list(found.values())
        checks = [("voice", all((each.concealed_ratio or 0) <= self.concealed_ratio + 5e-5 for each in every))]
        checks.append(("heard", all(each.concealed_ratio is not None for each in every)))
        if self.fps is None:
            texts = cells.words(told).casefold()
            checks.append(("picture at rest", not any(each.has_picture for each in every)))
            checks.append(("reason", "weak" in texts or "rests" in texts or "picture" in texts))
            return cells.kept(checks)
        checks.append(("fps", all(each.fps >= self.fps for each in every)))
        checks.append(("p95", all(each.p95_ms is not None and each.p95_ms <= (self.p95_ms or 0) for each in every)))
        checks.append(("frozen", self.empty_s is None or all(each.empty_s <= self.empty_s for each in every)))
        return cells.kept(checks)


RATES: Mapping[int, Asked] = {
    250: Asked(fps=15, p95_ms=150, concealed_ratio=0.001),
    80: Asked(fps=9, p95_ms=200, concealed_ratio=0.0, empty_s=0),
    40: Asked(fps=None, p95_ms=None, concealed_ratio=0.0),
}
NOTE = (
    "The nurse's page first, then the doctor's, where they differ. A queue of 500 ms and 25 ms each way; the box is "
    "not told the rate where nothing is said. Frames carry a clock: p50 and p95 are from the camera to the screen. "
    "Frozen: gaps of at least max(3 × mean, mean + 150 ms), or a second. One run each, in turn; load and the browsers' "
    "CPU say how busy the machine was."
)


async def rates(options: Options) -> str:
    """Return the table of a call alone on a narrow link."""
    rows = []
    for kbps, asked in RATES.items():
        knows = Tambo("Tambo, told the rate", told_rate(kbps))
        for contender in (*CONTENDERS[:1], knows, *CONTENDERS[1:]):
            if not options.wants(f"{kbps} kb/s", contender.name):
                continue
            run = Run(contender, narrow(kbps), options.seconds, options.camera)
            told = await options.told(f"{kbps} kb/s", run)
            rows.append(options.done(_row(f"{kbps} kb/s", contender, asked, told)))
    head = ["link, each way", "", *HEAD, "carried down / up kb/s", *MACHINE_HEAD, "the page", "asked", "kept"]
    return f"{table('A call on a narrow link', head, rows)}\n\n{NOTE}"


def narrow(kbps: float) -> Conditions:
    """Return a link that carries so much each way."""
    return Conditions(Capacity(kbps / 1000), Capacity(kbps / 1000), queue=QUEUE)


def _row(label: str, contender: Contender, asked: Asked, told: Told | str, more: tuple[str, ...] = ()) -> list[str]:
    if isinstance(told, str):
        return [label, contender.name, told, *[NONE] * (len(HEAD) + len(MACHINE_HEAD) + len(more) + 3)]
    found = cells.ends(told)
    carried = " / ".join(f"{told.link[way]['bps'] / 1000:.0f}" for way in ("down", "up"))
    is_ours = isinstance(contender, Tambo)
    return [
        label,
        contender.name,
        *cells.ends_cells(found),
        carried,
        *more,
        *cells.machine_cells(told),
        cells.words(told),
        str(asked) if is_ours else NONE,
        asked.kept(told, found) if is_ours else NONE,
    ]


async def beside(options: Options) -> str:
    """Return the table of a call beside downloads, orders and photos."""
    rows = []
    for kbps, asked in RATES.items():
        for contender in CONTENDERS:
            if not options.wants(f"{kbps} kb/s", contender.name):
                continue
            load = Load()
            events = ((0.0, load.begin),)
            run = Run(
                loaded(contender), narrow(kbps), options.seconds, options.camera, events=events, load=load.prepare
            )
            told = await options.told(f"{kbps} kb/s, beside the rest", run)
            more = (load.words() if not isinstance(told, str) else NONE,)
            rows.append(options.done(_row(f"{kbps} kb/s", contender, asked, told, more)))
    head = ["link, each way", "", *HEAD, "carried down / up kb/s", "orders, photos there", *MACHINE_HEAD]
    head += ["the page", "asked", "kept"]
    return f"{table('The same call beside ' + OFFERED, head, rows)}\n\n{NOTE}"
