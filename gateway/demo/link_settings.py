"""What the emulated link is set to, and how a request changes it. Pure.

A rate or a trace says what a direction carries, never both: naming a rate ends the trace of its direction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from gateway.backhaul.sharing.shares import Capacity
from gateway.demo.trace import Trace
from gateway.errors import N_, BadRequest

BPS_MIN, BPS_MAX = 1_000, 100_000_000  # above, the emulation would need a core for itself
DELAY_S_MAX = 10.0  # seconds were seen in the field (Larson et al., Norwegian 3G/LTE)
OUTAGE_S_MAX = 86_400.0
LOSS_RATIO_MAX = 0.5
QUEUE_BYTES_MIN, QUEUE_BYTES_MAX = 3_000, 16_000_000  # two full packets; 13 s at 10 Mbit/s
QUEUE_BYTES = 256_000  # half a second at 4 Mbit/s: a modem without queue management

TraceName = Literal["small"]
Traces = Mapping[str, tuple[Trace, Trace]]  # by name: down, up


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """What the link carries, and what it does to packets; `delay_s` is one way."""

    down_bps: int = 1_000_000
    up_bps: int = 1_000_000
    delay_s: float = 0.04
    queue_bytes: int = QUEUE_BYTES
    loss_ratio: float = 0.0
    trace_down: Trace | None = None
    trace_up: Trace | None = None

    def __post_init__(self) -> None:
        if not (
            BPS_MIN <= self.down_bps <= BPS_MAX
            and BPS_MIN <= self.up_bps <= BPS_MAX
            and 0 <= self.delay_s <= DELAY_S_MAX
            and QUEUE_BYTES_MIN <= self.queue_bytes <= QUEUE_BYTES_MAX
            and 0 <= self.loss_ratio <= LOSS_RATIO_MAX
        ):
            raise ValueError("a link outside its limits")

    def capacity(self) -> Capacity:
        """Return what the link carries, on average where a trace runs."""
        return Capacity(
            self.trace_down.mean_bps if self.trace_down else self.down_bps,
            self.trace_up.mean_bps if self.trace_up else self.up_bps,
        )


@dataclass(frozen=True, slots=True)
class LinkChange:
    """What a request asks to change; None, and the trace "keep", leave a thing as it is."""

    down_bps: int | None = None
    up_bps: int | None = None
    delay_s: float | None = None
    queue_bytes: int | None = None
    loss_ratio: float | None = None
    trace: TraceName | Literal["keep", "none"] = "keep"
    outage_s: float | None = None  # 0 ends an outage
    silent: bool = False  # the modem keeps its carrier during the outage

    def applied_to(self, settings: LinkSettings, traces: Traces) -> LinkSettings:
        """Return the settings after this change."""
        named = {
            key: value
            for key in ("down_bps", "up_bps", "delay_s", "queue_bytes", "loss_ratio")
            if (value := getattr(self, key)) is not None
        }
        trace_down, trace_up = settings.trace_down, settings.trace_up
        if self.trace == "none" or self.down_bps is not None:
            trace_down = None
        if self.trace == "none" or self.up_bps is not None:
            trace_up = None
        if self.trace not in {"none", "keep"}:
            trace_down, trace_up = traces[self.trace]
        return replace(settings, **named, trace_down=trace_down, trace_up=trace_up)


_INTEGERS = {
    "down_bps": (BPS_MIN, BPS_MAX),
    "up_bps": (BPS_MIN, BPS_MAX),
    "queue_bytes": (QUEUE_BYTES_MIN, QUEUE_BYTES_MAX),
}
_NUMBERS = {"delay_s": (0.0, DELAY_S_MAX), "loss_ratio": (0.0, LOSS_RATIO_MAX), "outage_s": (0.0, OUTAGE_S_MAX)}
_KEYS = (*_INTEGERS, *_NUMBERS, "trace", "silent")
_ADVICE = N_('Send, for example, {"down_bps": 1000000, "delay_s": 0.04} or {"outage_s": 60}.')


def parse_change(document: object) -> LinkChange:
    """Return the change a JSON document asks for.

    Raises: BadRequest.

    >>> parse_change({"outage_s": 60}).outage_s
    60.0
    """
    if not isinstance(document, dict) or not document:
        raise BadRequest(N_("A change of the link is a JSON object with at least one key."), _ADVICE)
    if any(key not in _KEYS for key in document):
        raise BadRequest(N_("The link has no such setting; it has these: %(known)s."), _ADVICE, known=", ".join(_KEYS))
    if document.get("silent") and "outage_s" not in document:
        raise BadRequest(N_("Only an outage can be silent: outage_s is missing."), _ADVICE)
    trace = _trace(document)
    if trace == "small" and ("down_bps" in document or "up_bps" in document):
        raise BadRequest(N_("The link follows a rate or a trace, not both."), _ADVICE)
    numbers = {key: _number(document[key], key, *_NUMBERS[key]) for key in _NUMBERS if key in document}
    return LinkChange(
        down_bps=_integer(document, "down_bps"),
        up_bps=_integer(document, "up_bps"),
        queue_bytes=_integer(document, "queue_bytes"),
        **numbers,
        trace=trace,
        silent=_flag(document.get("silent", False)),
    )


def _integer(document: Mapping[str, object], key: str) -> int | None:
    if key not in document:
        return None
    value, (least, most) = document[key], _INTEGERS[key]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        what = N_("%(key)s must be a whole number from %(least)s to %(most)s.")
        raise BadRequest(what, _ADVICE, key=key, least=least, most=most)
    return value


def _number(value: object, key: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:  # NaN is not
        what = N_("%(key)s must be a number from %(least)s to %(most)s.")
        raise BadRequest(what, _ADVICE, key=key, least=f"{least:g}", most=f"{most:g}")
    return float(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise BadRequest(N_("silent must be true or false."), _ADVICE)
    return value


def _trace(document: Mapping[str, object]) -> TraceName | Literal["keep", "none"]:
    if "trace" not in document:
        return "keep"
    match document["trace"]:
        case None:
            return "none"
        case "small":
            return "small"
        case _:
            raise BadRequest(N_('trace must be "small" or null.'), _ADVICE)
