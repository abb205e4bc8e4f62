"""The clinic's first page: who is booked, who waits, who is in a call, which cases wait, and what the link carries.

A technician sees how many, and nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from gateway.clinic.records.states import OPEN, Stage
from gateway.clinic.records.views import RecordView
from gateway.errors import N_, BadRequest
from gateway.portal.clinic_frame import ClinicFrame, Seat
from gateway.portal.clinic_words import HANDOVERS, STAGES, URGENCIES, CaseState, Named, case_state
from gateway.portal.credentials import Role

LISTED = 200
_CASES = frozenset({Stage.ASKED, Stage.ANSWERED})
_HURRY = {"asap": 0, "urgent": 1}


@dataclass(frozen=True, slots=True)
class Row:
    """One record in a list."""

    view: RecordView
    stage: Named
    handover: Named
    urgency: Named | None
    case: CaseState
    place: int = 0  # in the queue, from 1


@dataclass(frozen=True, slots=True)
class Today:
    """The lists of the first page."""

    answered: list[Row]
    talking: list[Row]
    waiting: list[Row]
    booked: list[Row]
    asked: list[Row]
    finished: list[Row]


def today(views: Sequence[RecordView], wall_s: float | None) -> Today:
    """Return records in lists, each in the order in which somebody should look at them."""

    def rows(stage: Stage, *order: str) -> list[Row]:
        found = [each for each in views if each.stage is stage]
        found.sort(key=lambda each: (_HURRY.get(each.urgency, 2), *(getattr(each, name) or 0 for name in order)))
        return [_row(each, wall_s, place) for place, each in enumerate(found, 1)]

    return Today(
        answered=rows(Stage.ANSWERED, "changed_wall_s"),
        talking=rows(Stage.TALKING, "changed_wall_s"),
        waiting=rows(Stage.WAITING, "ticket", "began_wall_s"),
        booked=rows(Stage.BOOKED, "due_wall_s"),
        asked=rows(Stage.ASKED, "changed_wall_s"),
        finished=rows(Stage.FINISHED, "changed_wall_s"),
    )


class TodayPages:
    """Today."""

    def __init__(self, frame: ClinicFrame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these pages."""
        anyone = (Role.NURSE, Role.DOCTOR, Role.TECHNICIAN)
        return [
            web.get("/clinica", self._frame.behind(self._show, *anyone)),
            web.post("/clinica/puerta", self._frame.behind(self._invite_desk, Role.NURSE, Role.TECHNICIAN)),
        ]

    async def _show(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        if seat.account.role is Role.TECHNICIAN:
            return self._counts(request)
        wall_s = self._frame.wall_s()
        if seat.account.role is Role.DOCTOR:
            views = await self._frame.records.views(_CASES, limit=LISTED, by=seat.actor)
            return self._frame.render(request, "clinic_cases.html", today=today(views, wall_s))
        views = await self._frame.records.views(OPEN, limit=LISTED, by=seat.actor)
        return self._frame.render(
            request,
            "clinic_today.html",
            today=today(views, wall_s),
            admission=self._frame.admission(),
            doctors=self._frame.doctors.all(),
            has_pin=await self._frame.lock.has_pin(seat.account),
            is_full=len(views) >= LISTED,
        )

    def _counts(self, request: web.Request, **made: object) -> web.Response:
        told = self._frame.records.statistics()
        return self._frame.render(
            request,
            "clinic_counts.html",
            stages=[(STAGES[stage].name, told.stages.get(stage, 0)) for stage in STAGES],
            handovers=[(HANDOVERS[each].name, told.handovers.get(each, 0)) for each in HANDOVERS],
            told=told,
            admission=self._frame.admission(),
            doctors=self._frame.doctors.all(),
        )

    async def _invite_desk(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        form = await self._frame.identity.take_form(request)
        doctor = self._frame.doctors.named(form.get("doctor", ""))
        if doctor is None:
            raise BadRequest(N_("There is no doctor of this name here."))
        token = self._frame.desk.sign(doctor.desk, "doctor", DESK_LINK_S)
        return self._frame.render(
            request, "clinic_desk.html", doctor=doctor, desk_url=f"{self._frame.door_url}/turno/{token}"
        )


DESK_LINK_S = 90 * 86_400.0  # a doctor keeps the page among the bookmarks


def _row(view: RecordView, wall_s: float | None, place: int) -> Row:
    return Row(
        view,
        STAGES[view.stage],
        HANDOVERS[view.handover],
        URGENCIES.get(view.urgency),
        case_state(view, wall_s),
        place,
    )
