"""Somebody is registered: who walked in, who has an appointment, and a case for a doctor who is not there.

Until the call, what was written can be written anew; the last one holds. A case takes its photos and its voice note in
the same form, for a phone without script.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from aiohttp import web

from gateway.clinic.records.states import ENDED, Stage
from gateway.clinic.records.views import RecordView
from gateway.errors import N_, Conflict, NotFound
from gateway.portal.clinic_forms import Form, form_of, read_due, read_person, read_question, read_vitals
from gateway.portal.clinic_frame import RECORD_PATH, ClinicFrame, Seat
from gateway.portal.clinic_shown import person_typed
from gateway.portal.clinic_words import CONSENTS, HOW_SOON, HOWS, IDENTITIES, MEASURES, SEXES, SUBJECTS
from gateway.portal.credentials import Role
from gateway.portal.record_kinds import IMAGES, SOUNDS
from gateway.portal.record_upload import FILES_MAX, Uploads


@dataclass(frozen=True, slots=True)
class Way:
    """One way to begin a record: its stage, the page's title and the button's words (message ids)."""

    stage: Stage
    title: str
    button: str


WAYS: Mapping[str, Way] = MappingProxyType(
    {
        "llegada": Way(Stage.WAITING, N_("A patient is here"), N_("Put into the queue")),
        "cita": Way(Stage.BOOKED, N_("New appointment"), N_("Book it")),
        "caso": Way(Stage.ASKED, N_("New case, without a call"), N_("Keep the case")),
    }
)


class NotRead(Exception):
    """A form has faults; it carries itself."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form


class VisitPages:
    """Register, and edit."""

    def __init__(self, frame: ClinicFrame, uploads: Uploads) -> None:
        self._frame = frame
        self._uploads = uploads

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these pages."""
        behind = self._frame.behind
        ways = "|".join(WAYS)
        edit = f"{RECORD_PATH}/{{id}}/editar"
        return [
            web.get(f"/clinica/nuevo/{{way:{ways}}}", behind(self._show, Role.NURSE)),
            web.post(f"/clinica/nuevo/{{way:{ways}}}", behind(self._register, Role.NURSE)),
            web.get(edit, behind(self._show_edit, Role.NURSE)),
            web.post(edit, behind(self._edit, Role.NURSE)),
        ]

    async def _show(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        return self._page(request, request.match_info["way"])

    async def _register(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        name = request.match_info["way"]
        at_wall_s = self._frame.clock.wall_s()

        async def ready(fields: dict[str, str]) -> str:
            form = form_of(fields, at_wall_s)
            read_person(form)
            if name == "cita":
                read_due(form)
            doctor = self._frame.doctors.named(fields.get("doctor", ""))
            if name == "caso":
                read_question(form, doctor.name if doctor else "")
                read_vitals(form, needed=False)
            if form.faults:
                raise NotRead(form)
            made = await self._frame.records.begin(
                form.id,
                WAYS[name].stage,
                by=seat.actor,
                due_wall_s=form.due_wall_s,
                doctor=doctor.name if doctor else "",
                entries=form.entries,
            )
            return made.id

        try:
            if name == "caso":
                record = ""

                async def noted(fields: dict[str, str]) -> str:
                    nonlocal record
                    record = await ready(fields)
                    return record

                await self._uploads.take(request, noted, seat.actor, at_wall_s)
            else:
                record = await ready(await self._frame.identity.take_form(request))
        except NotRead as exc:
            return self._page(request, name, exc.form, 400)
        raise web.HTTPSeeOther(f"{RECORD_PATH}/{record}")

    async def _show_edit(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        view = await self._editable(request, seat)
        typed = person_typed(await self._frame.records.entries(view.id, by=seat.actor))
        return self._page(request, "", Form(typed, "", 0.0), record=view)

    async def _edit(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        view = await self._editable(request, seat)
        form = form_of(await self._frame.identity.take_form(request), self._frame.clock.wall_s())
        read_person(form)
        if form.faults:
            return self._page(request, "", form, 400, record=view)
        for entry in form.entries:
            await self._frame.records.keep(view.id, entry, by=seat.actor)
        raise web.HTTPSeeOther(f"{RECORD_PATH}/{view.id}")

    async def _editable(self, request: web.Request, seat: Seat) -> RecordView:
        view = await self._frame.view(request, seat)
        if view.is_sealed:
            raise NotFound
        if view.stage in ENDED:
            raise Conflict(N_("This record is closed."), N_("Begin a new one."))
        return view

    def _page(
        self,
        request: web.Request,
        name: str,
        form: Form | None = None,
        status: int = 200,
        record: RecordView | None = None,
    ) -> web.Response:
        way = WAYS.get(name)
        return self._frame.render(
            request,
            "clinic_visit.html",
            status=status,
            locks=False,
            form_id=form.id if form else "",
            form=form or Form({}, "", 0.0),
            way=name,
            title=way.title if way else N_("Change what was registered"),
            button=way.button if way else N_("Keep the change"),
            record=record,
            sexes=SEXES,
            identities=IDENTITIES,
            consents=CONSENTS,
            hows=HOWS,
            urgencies=HOW_SOON,
            measures=MEASURES,
            subjects=SUBJECTS,
            doctors=self._frame.doctors.all(),
            images=IMAGES,
            sounds=SOUNDS,
            files_max=FILES_MAX,
        )
