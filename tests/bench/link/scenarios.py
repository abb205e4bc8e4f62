"""What the link part measures, and what is asked of each: groups of runs, one table a group. Pure."""

from dataclasses import dataclass

from tests.bench.link.emulator import Capacity, Conditions
from tests.bench.link.run import Device, Mode, Run

_LOADED = (Mode.UNMANAGED, Mode.MANAGED)
_ALL = (Mode.ALONE, *_LOADED)
UP_MBIT = 10.0
_TENANTS = """
[[tenants]]
name = "heavy"
weight = 3
networks = ["127.0.1.0/24"]
[[tenants]]
name = "light"
weight = 1
networks = ["127.0.2.0/24"]
"""


@dataclass(frozen=True)
class Asked:
    """What a run is to keep; excess is over the p95 of the same call alone."""

    excess_ms: float | None = None
    use_ratio: float | None = None
    loss_ratio: float | None = None
    excess_up_ms: float | None = None
    changes_a_minute: float | None = None


@dataclass(frozen=True)
class Scenario:
    """A run with the box, what is asked of it, and what is measured beside it."""

    label: str
    run: Run
    asked: Asked = Asked()
    modes: tuple[Mode, ...] = _ALL
    words: str = ""  # what is asked, where it is no figure of `asked`


def devices(downloads: int, uploads: int = 0, *, group: int = 1, name: str = "") -> tuple[Device, ...]:
    """Return devices that fetch without end, and devices that send photos; each has an address of its own."""
    down = [Device(f"{name}down{each}", "down", f"127.0.{group}.{each}") for each in range(1, downloads + 1)]
    up = [Device(f"{name}up{each}", "up", f"127.0.{group}.{100 + each}") for each in range(1, uploads + 1)]
    return (*down, *up)


def _constant(mbit: float, asked: Asked, **more: object) -> Scenario:
    run = Run("constant", Mode.MANAGED, Conditions(Capacity(mbit), Capacity(UP_MBIT)), devices(8), **more)  # type: ignore[arg-type]
    return Scenario(f"{mbit:g} Mbit/s, downloads {run.after_s:g} s into the call", run, asked)


def _trace(name: str, asked: Asked, *, both: bool = False, offset_s: float = 0.0, follow: bool = False) -> Scenario:
    """Return a trace's scenario; where it falls below what the call sends, the call has to follow the box's budget."""
    up = Capacity(trace=name, offset_s=offset_s) if both else Capacity(UP_MBIT)
    conditions = Conditions(Capacity(trace=name, offset_s=offset_s), up)
    label = name + (", its own uplink" if both else "") + (", the call keeps to the budget" if follow else "")
    return Scenario(label, Run(name, Mode.MANAGED, conditions, devices(8), follow=follow), asked)


_FLAT = Asked(excess_ms=20, use_ratio=0.92, loss_ratio=0.0)
_HOME = Asked(excess_ms=75, use_ratio=0.80, loss_ratio=0.0, changes_a_minute=6)
_WEAK = Asked(excess_ms=300, use_ratio=0.60, loss_ratio=0.005)
_FOUR = Conditions(Capacity(4.0), Capacity(UP_MBIT))
_STEPS = ((20.0, ("rate", "down", "0.4")), (40.0, ("rate", "down", "4")))


def _outage(for_s: float) -> Scenario:
    conditions = Conditions(Capacity(4.0), Capacity(UP_MBIT), outages=((10.0, for_s),))
    run = Run("outage", Mode.MANAGED, conditions, devices(8), seconds=for_s + 40)
    return Scenario(f"{for_s:g} s of nothing", run, modes=_LOADED)


GROUPS: dict[str, tuple[Scenario, ...]] = {
    "constant": (
        *(_constant(4, _FLAT, after_s=after_s) for after_s in (0.0, 5.0, 20.0)),
        Scenario(
            "4 Mbit/s, with the far side's echo",
            Run("constant", Mode.MANAGED, _FOUR, devices(8), reflector=True),
            _FLAT,
        ),
        Scenario(
            "4 Mbit/s, BBR senders",
            Run("constant", Mode.MANAGED, Conditions(_FOUR.down, _FOUR.up, congestion_control="bbr"), devices(8)),
            _FLAT,
        ),
        _constant(10, Asked(excess_ms=20, use_ratio=0.92, loss_ratio=0.0)),
        _constant(1, Asked(excess_ms=20, use_ratio=0.92, loss_ratio=0.0)),
    ),
    "traces": (
        _trace("lte-stationary-nyc-home", _HOME),
        Scenario(
            "lte-stationary-nyc-home, with the far side's echo",
            Run(
                "lte-stationary-nyc-home",
                Mode.MANAGED,
                Conditions(Capacity(trace="lte-stationary-nyc-home"), Capacity(UP_MBIT)),
                devices(8),
                reflector=True,
            ),
            _HOME,
        ),
        _trace("lte-walking-nyc-timessq", _WEAK),
        _trace("lte-driving-att2016", _WEAK),
        _trace("lte-driving-att2016", _WEAK, both=True, follow=True),
        _trace("lte-short-verizon", _WEAK, both=True),
        _trace("weak-umts-driving-tmobile", _WEAK, both=True, offset_s=20, follow=True),
        _trace("weak-evdo-driving-verizon", _WEAK, follow=True),
        _trace("weak-hsdpa-oslo", _WEAK, follow=True),
    ),
    "steps": (
        Scenario(
            "4 → 0.4 → 4 Mbit/s at 20 and 40 s",
            Run("steps", Mode.MANAGED, _FOUR, devices(8), events=_STEPS, follow=True),
        ),
    ),
    "outages": tuple(_outage(for_s) for for_s in (2.0, 20.0, 120.0)),
    "uploads": (
        Scenario(
            "4 down, 1 up: 8 downloads and 4 uploads",
            Run("uploads", Mode.MANAGED, Conditions(Capacity(4.0), Capacity(1.0)), devices(8, 4)),
            Asked(excess_ms=20, use_ratio=0.92, loss_ratio=0.0, excess_up_ms=20),
        ),
    ),
    "routed": tuple(
        Scenario(f"8 clients behind the box: {label}", Run("routed", Mode.MANAGED, conditions, devices(8)), asked)
        for label, conditions, asked in (
            ("4 Mbit/s", Conditions(Capacity(4.0), Capacity(UP_MBIT), routed_clients=8), _FLAT),
            (
                "lte-stationary-nyc-home",
                Conditions(Capacity(trace="lte-stationary-nyc-home"), Capacity(UP_MBIT), routed_clients=8),
                _HOME,
            ),
        )
    ),
    "shares": (
        Scenario(
            "two tenants 3:1, 8 downloads each",
            Run(
                "tenants",
                Mode.MANAGED,
                _FOUR,
                (*devices(8, name="heavy-"), *devices(8, group=2, name="light-")),
                more_settings=_TENANTS,
            ),
            modes=_LOADED,
            words="heavy ÷ light 2.85 to 3.15",
        ),
        Scenario(
            "the lighter tenant alone",
            Run("tenants", Mode.MANAGED, _FOUR, devices(8, group=2, name="light-"), more_settings=_TENANTS),
            modes=_LOADED,
            words="the whole link",
        ),
        Scenario(
            "ten devices, one with four downloads",
            Run("devices", Mode.MANAGED, _FOUR, (*devices(10), *devices(1), *devices(1), *devices(1))),
            modes=_LOADED,
            words="each 0.90 to 1.10",
        ),
    ),
}
