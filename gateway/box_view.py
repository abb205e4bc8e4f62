"""What the technician sees of this box: each part, whether it does its work, and why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.backhaul.link import Backhaul, LinkStatus, Moved
from gateway.backhaul.sensing.state import LinkState
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clinic.room import ClinicRoom, ClinicStatistics
from gateway.clock import Clock, clock_state
from gateway.errors import N_
from gateway.market.room import MarketRoom, MarketStatistics
from gateway.portal.view import LinkWatch, Part
from gateway.web.ahead.warm_record import Run
from gateway.web.room import WebRoom
from gateway.web.statistics import WebStatistics

STORE_FAILURES_MAX = 3  # one may be a broken row
_LINK = {
    LinkState.UP: N_("The link carries traffic."),
    LinkState.DEGRADED: N_("Something on the link stalled; it is being probed."),
    LinkState.DOWN: N_("The link carries nothing now. What is stored is served, orders wait."),
}


@dataclass(frozen=True, slots=True)
class Rooms:
    """The rooms of a running box, seen from outside."""

    clock: Clock
    backhaul: Backhaul
    pages: WebRoom
    market_room: MarketRoom | None
    clinic_room: ClinicRoom
    link_watch: LinkWatch | None = None

    def parts(self) -> list[Part]:
        """Return every part; a link that is down does not make the box unready: it is made for that."""
        return [
            self._pages(),
            self._orders(),
            Part("consultations", True, N_("Consultations can be opened.")),
            Part("link", True, _LINK[self.backhaul.status().state]),
            self._clock_part(),
        ]

    def link(self) -> LinkStatus:
        """Return what the link does now."""
        return self.backhaul.status()

    def moved(self) -> Mapping[TrafficClass, Moved]:
        """Return the bytes each class has carried."""
        return self.backhaul.moved()

    def web(self) -> WebStatistics:
        """Return how the cache is."""
        return self.pages.statistics()

    def market(self) -> MarketStatistics | None:
        """Return how the market is."""
        return self.market_room.statistics() if self.market_room else None

    def clinic(self) -> ClinicStatistics:
        """Return how the clinic is."""
        return self.clinic_room.statistics()

    def warmed(self) -> Sequence[Run]:
        """Return each site's run to keep its pages ready."""
        return self.pages.warming.runs()

    def watch(self) -> LinkWatch | None:
        """Return what is known and kept of the link, where somebody watches it."""
        return self.link_watch

    def _pages(self) -> Part:
        if self.web().disk_is_full:
            return Part("pages", False, N_("The disk is full: pages that come in are not stored. Make room on it."))
        if self.web().failures_in_a_row >= STORE_FAILURES_MAX:
            return Part("pages", False, N_("The store of pages cannot be read or written; pages pass through."))
        return Part("pages", True, N_("Pages are served from the cache."))

    def _orders(self) -> Part:
        statistics = self.market()
        if statistics is None:
            return Part("orders", True, N_("No marketplace is set: no orders are taken."))
        if statistics.needs_a_technician:
            return Part(
                "orders",
                statistics.journal.is_taking,
                N_("The order journal found damage or cannot write; see market in /status.json."),
            )
        return Part("orders", True, N_("Orders are taken and written to disk."))

    def _clock_part(self) -> Part:
        if clock_state(self.clock.wall_s()) == "trusted":
            return Part("clock", True, N_("The clock can be believed."))
        return Part("clock", False, N_("The clock is wrong: set it, or wait for the link."))
