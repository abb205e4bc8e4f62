"""What there is to set of the link, and of who shares it."""

from pydantic import Field

from gateway.errors import N_
from gateway.settings_types import RATE, Section, Whole


class Backhaul(Section):
    """The one link to the world."""

    interface: str | None = Field(
        default=None,
        pattern=r"^[^\s/]{1,15}$",
        description=N_("the link's network interface; absent: that of the default route"),
        examples=["wwan0"],
    )
    head_s: float = Field(
        default=120.0,
        ge=1,
        le=3_600,  # one that comes byte by byte; silence has its own limit
        description=N_("seconds until an answer that does not begin is given up, 1 to 3600"),
        examples=[120.0],
    )
    down_bps: Whole | None = Field(
        default=None,
        ge=1_000,
        description=RATE,
        examples=[4_000_000],
    )
    up_bps: Whole | None = Field(
        default=None,
        ge=1_000,
        description=RATE,
        examples=[1_000_000],
    )
    connect_s: float = Field(
        default=8.0,
        ge=0.5,
        le=120,
        description=N_("seconds until a connection that does not come about is given up, 0.5 to 120"),
        examples=[8.0],
    )
    silence_s: float = Field(
        default=20.0,
        ge=1,
        le=600,
        description=N_("seconds without a byte until a transfer is given up, 1 to 600"),
        examples=[20.0],
    )
