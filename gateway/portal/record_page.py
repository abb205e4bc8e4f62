"""One record: what is in it in its order, what may be added, and what may become of it.

Every press is a form of its own; one that is pressed twice does once. What the record does not allow any more is said
on its page, and nothing typed is lost with it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from aiohttp import web

from gateway.clinic.records.states import ENDED, HANDS_OVER, MOVES, Handover, Stage
from gateway.clinic.records.views import RecordView
from gateway.errors import N_, BadRequest, Conflict, GatewayError
from gateway.portal.clinic_forms import Form, form_of, read_follow_up, read_question, read_text, read_vitals
from gateway.portal.clinic_frame import RECORD_PATH, ClinicFrame, Seat, said
from gateway.portal.clinic_shown import access, case_steps, consents, last, shown
from gateway.portal.clinic_words import (
    HANDOVERS,
    HOW_SOON,
    MEASURES,
    STAGES,
    SUBJECTS,
    URGENCIES,
    case_state,
)
from gateway.portal.credentials import Role
from gateway.portal.record_files import Opened, RecordFiles
from gateway.portal.record_kinds import IMAGES, SOUNDS
from gateway.portal.record_upload import FILES_MAX, Uploads

_ID = f"{RECORD_PATH}/{{id}}"
_ASK_ANYWAY = N_("The call did not work. Please answer in writing.")
_READS: Mapping[str, Callable[[Form], None]] = MappingProxyType(
    {
        "vitals": lambda form: read_vitals(form, needed=True),
        "note": lambda form: read_text(form, "note"),
        "summary": lambda form: read_text(form, "summary"),
        "follow-up": lambda form: read_follow_up(form, needed=True),
    }
)
_MOVES: Mapping[str, Stage] = MappingProxyType(
    {
        "wait": Stage.WAITING,
        "book": Stage.BOOKED,
        "finish": Stage.FINISHED,
        "close": Stage.CLOSED,
        "cancel": Stage.CANCELLED,
    }
)


class RecordPages:
    """The nurse's side of a record."""

    def __init__(self, frame: ClinicFrame, files: RecordFiles, uploads: Uploads) -> None:
        self._frame = frame
        self._files = files
        self._uploads = uploads

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these pages."""
        behind = self._frame.behind
        return [
            web.get(_ID, behind(self._show, Role.NURSE)),
            web.post(_ID, behind(self._add, Role.NURSE)),
            web.post(f"{_ID}/archivo", behind(self._add_files, Role.NURSE)),
            web.post(f"{_ID}/etapa", behind(self._move, Role.NURSE)),
            web.post(f"{_ID}/caso", behind(self._ask, Role.NURSE)),
            web.post(f"{_ID}/entregar", behind(self._hand_over, Role.NURSE)),
            web.get(f"{_ID}/accesos", behind(self._accesses, Role.NURSE)),
            *self._files.routes(_ID, self._opens, is_far=False),
        ]

    async def _opens(self, request: web.Request) -> Opened:
        """Open a record's files to its nurse, and a case's to a doctor of the box."""
        found: list[Opened] = []

        async def opened(request: web.Request, seat: Seat) -> web.StreamResponse:
            view = await self._frame.view(request, seat)
            found.append(Opened(view.id, seat.actor))
            return web.Response()

        await self._frame.behind(opened, Role.NURSE, Role.DOCTOR, is_program=True)(request)
        return found[0]

    async def _show(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        return await self._page(request, seat, await self._frame.view(request, seat))

    async def _add(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        view = await self._frame.view(request, seat)
        typed = await self._frame.identity.take_form(request)
        read = _READS.get(typed.get("do", ""))
        if read is None:
            raise BadRequest(N_("The form could not be read."))
        form = form_of(typed, self._frame.clock.wall_s())
        read(form)
        if form.faults:
            return await self._page(request, seat, view, form, status=400)
        try:
            for entry in form.entries:
                await self._frame.records.keep(view.id, entry, by=seat.actor)
        except GatewayError as exc:
            return await self._page(request, seat, view, form, said(seat, exc), exc.status)
        raise web.HTTPSeeOther(f"{RECORD_PATH}/{view.id}")

    async def _add_files(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        view = await self._frame.view(request, seat)
        at_wall_s = self._frame.clock.wall_s()

        async def ready(fields: dict[str, str]) -> str:
            form_of(fields, at_wall_s)
            return view.id

        try:
            if not await self._uploads.take(request, ready, seat.actor, at_wall_s):
                raise BadRequest(N_("No file was chosen."), N_("Choose one, then press again."))
        except GatewayError as exc:
            response = await self._page(request, seat, view, None, said(seat, exc), exc.status)
            response.force_close()  # what is left of the body is not read
            return response
        raise web.HTTPSeeOther(f"{RECORD_PATH}/{view.id}")

    async def _move(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        view = await self._frame.view(request, seat)
        stage = _MOVES.get((await self._frame.identity.take_form(request)).get("do", ""))
        if stage is None:
            raise BadRequest(N_("The form could not be read."))
        if view.stage is not stage:
            try:
                await self._frame.records.move(view.id, stage, by=seat.actor)
            except Conflict:
                return await self._meanwhile(request, seat)
        self._end_call(view)
        raise web.HTTPSeeOther("/clinica" if stage in ENDED else f"{RECORD_PATH}/{view.id}")

    async def _ask(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        """Make a case of a record; without a question, as after a call that failed, the visit's reason is asked."""
        view = await self._frame.view(request, seat)
        typed = await self._frame.identity.take_form(request)
        if "question" not in typed:
            typed |= await self._question(view, seat)
        form = form_of(typed, self._frame.clock.wall_s())
        read_question(form, view.doctor)
        if form.faults:
            return await self._page(request, seat, view, form, status=400)
        if view.stage is not Stage.ASKED or "urgency" in typed:
            try:
                for entry in form.entries:
                    await self._frame.records.keep(view.id, entry, by=seat.actor)
                if view.stage is not Stage.ASKED:
                    await self._frame.records.move(view.id, Stage.ASKED, by=seat.actor)
            except Conflict:
                return await self._meanwhile(request, seat)
            self._end_call(view)
        raise web.HTTPSeeOther(f"{RECORD_PATH}/{view.id}")

    def _end_call(self, view: RecordView) -> None:
        """Nobody waits for a record's call any more, and whoever is in it is told that it is over."""
        self._frame.doctors.end_calls(view.id)
        if view.stage is Stage.TALKING:
            self._frame.desk.calls.end(view.id)

    async def _question(self, view: RecordView, seat: Seat) -> dict[str, str]:
        entries = await self._frame.records.entries(view.id, by=seat.actor)
        reason = str(last(entries, "reason").get("text", ""))
        return {"question": f"{seat.say(_ASK_ANYWAY)} {reason}".strip(), "form": view.id}

    async def _hand_over(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        view = await self._frame.view(request, seat)
        await self._frame.identity.take_form(request)
        if view.handover not in {Handover.QUEUED, Handover.SENDING}:
            try:
                await self._frame.records.hand_over(view.id, by=seat.actor)
            except Conflict:
                return await self._meanwhile(request, seat)
        self._frame.desk.send_now()
        raise web.HTTPSeeOther(f"{RECORD_PATH}/{view.id}")

    async def _accesses(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        view = await self._frame.view(request, seat)
        lines = [access(each) for each in await self._frame.records.audit(view.id)]
        return self._frame.render(request, "clinic_audit.html", record=view, lines=lines)

    async def _meanwhile(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        """Show a record as it is now, and say that it is not as it was shown."""
        sentence = seat.say(N_("The record changed meanwhile. Nothing was done: look at it again."))
        return await self._page(request, seat, await self._frame.view(request, seat), None, sentence, 409)

    async def _page(
        self,
        request: web.Request,
        seat: Seat,
        view: RecordView,
        form: Form | None = None,
        problem: str = "",
        status: int = 200,
    ) -> web.Response:
        entries = await self._frame.records.entries(view.id, by=seat.actor)
        has_question = any(each.kind == "request" for each in entries)
        held = {what for what, each in consents(entries).items() if each.fields["given"]}
        return self._frame.render(
            request,
            "clinic_record.html",
            status=status,
            locks=form is None,
            form_id=form.id if form else "",
            record=view,
            stage=STAGES[view.stage],
            handover=HANDOVERS[view.handover],
            urgency=URGENCIES.get(view.urgency),
            case=case_state(view, self._frame.wall_s()),
            steps=case_steps(view, entries) if has_question else [],
            entries=shown(entries),
            has_consent="consultation" in held,
            has_handover_consent="handover" in held,
            has_prescription=any(each.kind == "prescription" for each in entries),
            answer=next((each.id for each in reversed(entries) if each.kind == "answer"), ""),
            note=str(last(entries, "note").get("text", "")),
            question=str(last(entries, "request").get("question", "") or last(entries, "reason").get("text", "")),
            form=form or Form({}, "", 0.0),
            problem=problem,
            may=frozenset(each.value for each in MOVES[view.stage]),
            is_open=view.stage not in ENDED and not view.is_sealed,
            may_hand_over=view.stage in HANDS_OVER and view.handover in {Handover.NONE, Handover.ATTENTION},
            waits=view.handover in {Handover.QUEUED, Handover.SENDING},
            reason=seat.say(view.reason),
            doctors=self._frame.doctors.all(),
            measures=MEASURES,
            subjects=SUBJECTS,
            urgencies=HOW_SOON,
            images=IMAGES,
            sounds=SOUNDS,
            files_max=FILES_MAX,
            path=f"{RECORD_PATH}/{view.id}",
        )
