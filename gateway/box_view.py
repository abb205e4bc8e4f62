"""What the technician sees of this box: each part, whether it does its work, and why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from gateway.backhaul.link import Backhaul, LinkStatus, Moved
from gateway.backhaul.sensing.state import LinkState
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clinic.handover.handover import Handover
from gateway.clinic.media.host import MediaStatistics
from gateway.clinic.records.records import Records
from gateway.clinic.records.states import ENDED, Stage
from gateway.clinic.records.views import RecordStatistics
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
class RecordFigures:
    """How the clinic's records are; counts only."""

    open: int
    waiting: int
    asked: int
    answered: int
    missing: int
    damaged: int
    stored_bytes: int
    put_aside: int
    failures: int
    is_taking: bool


@dataclass(frozen=True, slots=True)
class HandoverFigures:
    """How far records are on their way to the receiving side; counts only."""

    waiting: int
    needs_person: int
    delivered: int
    files_waiting: int
    files_sent: int
    answers: int
    unreadable: int
    failures_in_a_row: int


@dataclass(frozen=True, slots=True)
class ClinicFigures(ClinicStatistics):
    """How the clinic is: its calls, their media, its records and their way to the hospital."""

    media: MediaStatistics
    records: RecordFigures
    handover: HandoverFigures | None


@dataclass(frozen=True, slots=True)
class ClinicView:
    """The clinic of a running box."""

    room: ClinicRoom
    records: Records
    handover: Handover | None

    def statistics(self) -> ClinicFigures:
        """Return how it is."""
        room = self.room.statistics()
        return ClinicFigures(
            **{each.name: getattr(room, each.name) for each in fields(room)},
            media=self.room.media(),
            records=_record_figures(self.records.statistics()),
            handover=_handover_figures(self.handover) if self.handover else None,
        )


@dataclass(frozen=True, slots=True)
class Rooms:
    """The rooms of a running box, seen from outside."""

    clock: Clock
    backhaul: Backhaul
    pages: WebRoom
    market_room: MarketRoom | None
    clinic_view: ClinicView
    link_watch: LinkWatch | None = None

    def parts(self) -> list[Part]:
        """Return every part; a link that is down does not make the box unready: it is made for that."""
        return [
            self._pages(),
            self._orders(),
            self._consultations(),
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

    def clinic(self) -> ClinicFigures:
        """Return how the clinic is."""
        return self.clinic_view.statistics()

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

    def _consultations(self) -> Part:
        told = self.clinic()
        if not told.records.is_taking:
            return Part("consultations", False, N_("No clinic record can be written: the disk is full or fails."))
        if told.records.damaged or told.records.put_aside:
            return Part("consultations", True, N_("Damage was found in the clinic's records; see tambo clinic stat."))
        if told.handover is not None and told.handover.needs_person:
            return Part("consultations", True, N_("The receiving side refused a clinic record: a nurse must look."))
        return Part("consultations", True, N_("Consultations can be opened."))

    def _clock_part(self) -> Part:
        if clock_state(self.clock.wall_s()) == "trusted":
            return Part("clock", True, N_("The clock can be believed."))
        return Part("clock", False, N_("The clock is wrong: set it, or wait for the link."))


def _record_figures(told: RecordStatistics) -> RecordFigures:
    stages = told.stages
    return RecordFigures(
        open=sum(count for stage, count in stages.items() if stage not in ENDED),
        waiting=stages.get(Stage.WAITING, 0),
        asked=stages.get(Stage.ASKED, 0),
        answered=stages.get(Stage.ANSWERED, 0),
        missing=told.missing,
        damaged=told.damaged,
        stored_bytes=told.file_bytes,
        put_aside=told.put_aside,
        failures=told.failures,
        is_taking=told.is_taking,
    )


def _handover_figures(handover: Handover) -> HandoverFigures:
    told = handover.statistics()
    return HandoverFigures(
        waiting=told.waiting,
        needs_person=told.attention,
        delivered=told.delivered,
        files_waiting=told.files_waiting,
        files_sent=told.files_sent,
        answers=told.answers,
        unreadable=told.unreadable,
        failures_in_a_row=told.failures_in_a_row,
    )
