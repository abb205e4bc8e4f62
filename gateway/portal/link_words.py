"""The state of the link in words a villager reads at a glance: what it does, and what that means for them. Pure."""

from dataclasses import dataclass

from gateway.backhaul.link import LinkStatus
from gateway.backhaul.sensing.state import LinkState
from gateway.errors import N_


@dataclass(frozen=True, slots=True)
class LinkWords:
    """What a page says of the link; `headline` and `meaning` are message ids."""

    state: str
    headline: str
    meaning: str
    since_s: float | None  # for how long, where it matters
    down_bps: int | None
    up_bps: int | None


_HEADLINES = {
    LinkState.UP: N_("The link works"),
    LinkState.DEGRADED: N_("The link is slow to answer"),
    LinkState.DOWN: N_("The link is down"),
}
_MEANINGS = {
    LinkState.UP: N_("Pages, orders and consultations pass."),
    LinkState.DEGRADED: N_("Pages may take a while. The box is checking."),
    LinkState.DOWN: N_("Stored pages still open. Orders are kept here and leave as soon as it is back."),
}


def in_words(status: LinkStatus, now_s: float) -> LinkWords:
    """Return what to say of the link; `now_s` is monotonic, as `status.since_s` is."""
    capacity = status.capacity if status.state is not LinkState.DOWN else None
    return LinkWords(
        state=status.state.value,
        headline=_HEADLINES[status.state],
        meaning=_MEANINGS[status.state],
        since_s=None if status.state is LinkState.UP else max(now_s - status.since_s, 0.0),
        down_bps=capacity.down_bps if capacity else None,
        up_bps=capacity.up_bps if capacity else None,
    )
