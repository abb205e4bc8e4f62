"""What the box and the shaper say to each other: one JSON document a line, bounded, checked at both ends. Pure.

The box says the rates, again and again: a shaper that hears nothing for a while takes everything away. It is answered
with how things stand: whether there is shaping, what cannot be done and why, and with `status` what each class carried.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator

from gateway.backhaul.shaping.kernel.plan import PARTS, RATE_BPS_MAX, RATIO_MIN, Part, Parts, checked
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.errors import N_, PeerError

LINE_BYTES_MAX = 8_192
SOCKET = "shaper.sock"  # in the box's data directory

Bps = Annotated[int, Strict(), Field(ge=0, le=RATE_BPS_MAX)]
Count = Annotated[int, Strict(), Field(ge=0, le=1 << 63)]
WindowBytes = Annotated[int, Strict(), Field(ge=0, le=1 << 30)]
Ratio = Annotated[float, Field(ge=RATIO_MIN, le=1, allow_inf_nan=False)]


class Misspoken(PeerError):
    """A line that is not of this conversation."""

    code = "misspoken"


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SaidPart(_Said):
    """A class's part of the link."""

    rate_ratio: Ratio
    ceil_ratio: Ratio


class SaidRates(_Said):
    """What all traffic may take each way, and what routed TCP may have under way; without `parts`, as planned."""

    down_bps: Bps
    up_bps: Bps
    window_bytes: WindowBytes | None = None  # None: as the devices offer
    parts: dict[TrafficClass, SaidPart] | None = None

    @model_validator(mode="after")
    def _parts_add_up(self) -> "SaidRates":
        self.as_parts()
        return self

    def as_parts(self) -> Parts:
        """Return the parts, those of the plan where none are said.

        Raises: ValueError.
        """
        if self.parts is None:
            return PARTS
        return checked({each: Part(said.rate_ratio, said.ceil_ratio) for each, said in self.parts.items()})


class Order(_Said):
    """What the box says: new rates, a question, or both."""

    rates: SaidRates | None = None
    status: bool = False


class SaidAccount(_Said):
    """What one class has carried one way since the tree was made."""

    sent_bytes: Count
    routed_bytes: Count | None  # without the box's own, where it can be told apart
    drops: Count
    backlog_bytes: Count


class Report(_Said):
    """What the shaper answers."""

    shaping: bool
    flows: Count | None = None  # routed TCP flows that were sent something of late; None: windows are not held
    queueing: Literal["cake", "htb"] | None = None
    cannot: tuple[Annotated[str, Field(max_length=300)], ...] = Field(default=(), max_length=8)  # message ids
    values: dict[str, int | str] = Field(default={}, max_length=4)  # of the sentences' places
    tree: Count = 0  # counts what was built: counters begin anew with it
    down: dict[TrafficClass, SaidAccount] = {}
    up: dict[TrafficClass, SaidAccount] = {}


def order_of(line: bytes) -> Order:
    """Read what the box says.

    Raises: Misspoken.
    """
    try:
        return Order.model_validate_json(line)
    except ValidationError as exc:
        raise Misspoken from exc


def report_of(line: bytes) -> Report:
    """Read what the shaper answers.

    Raises: Misspoken.
    """
    try:
        return Report.model_validate_json(line)
    except ValidationError as exc:
        raise Misspoken from exc


def line_of(said: Order | Report) -> bytes:
    """Write either as a line."""
    return said.model_dump_json(exclude_defaults=True).encode() + b"\n"


NO_ARRIVING = N_("This kernel has no ifb: only what leaves over the link is shaped, not what arrives.")
NO_DEVICES = N_("nftables cannot be used: devices are not told apart, and only marked packets are put into classes.")
NO_ANSWERS = N_("nftables cannot lead arriving packets: only those that are marked are put into classes.")
