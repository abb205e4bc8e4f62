"""A case as its doctor sees it: what was asked, what was measured, the photos, and the form for the answer.

The same at the door, where a signed link opens this one case, and in the village, for a doctor with an account.
"""

from collections.abc import Sequence
from contextlib import suppress

from aiohttp import web

from gateway.clinic.records.entries import Writer
from gateway.clinic.records.states import ENDED, Stage
from gateway.clinic.records.views import Actor, Entry, RecordView
from gateway.errors import Conflict, NotFound
from gateway.portal.clinic_forms import MEDICINES, Form, form_of, is_uuid, read_answer
from gateway.portal.clinic_frame import ClinicFrame, Seat
from gateway.portal.clinic_shown import shown
from gateway.portal.clinic_words import URGENCIES
from gateway.portal.credentials import Role

_HIDDEN = frozenset({"chat", "quality", "recording", "identity", "consent"})


class CaseAnswers:
    """Shows cases to doctors, and takes their answers."""

    def __init__(self, frame: ClinicFrame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes for doctors with an account."""
        behind = self._frame.behind
        return [
            web.get("/clinica/caso/{id}", behind(self._show, Role.DOCTOR)),
            web.post("/clinica/caso/{id}", behind(self._take, Role.DOCTOR)),
        ]

    async def page(
        self,
        request: web.Request,
        record: str,
        actor: Actor,
        paths: tuple[str, str],
        form: Form | None = None,
        status: int = 200,
    ) -> web.Response:
        """Return a case; `paths` are its own and that of its files.

        Raises: NotFound when there is no such case.
        """
        view = await self._case(record, actor)
        entries = await self._frame.records.entries(view.id, by=actor)
        own, files = paths
        return self._frame.render(
            request,
            "case_answer.html",
            status=status,
            locks=False,
            form_id=form.id if form else "",
            record=view,
            urgency=URGENCIES.get(view.urgency),
            entries=[each for each in shown(entries) if each.kind not in _HIDDEN],
            form=form or Form({"doctor": view.doctor or _doctor(entries)}, "", 0.0),
            is_answered=any(each.kind == "answer" for each in entries),
            is_open=view.stage not in ENDED and not view.is_sealed,
            medicines=range(1, MEDICINES + 1),
            path=own,
            files=files,
            at_door=own.startswith("/caso/"),
        )

    async def take(self, request: web.Request, record: str, actor: Actor, paths: tuple[str, str]) -> web.StreamResponse:
        """Keep an answer, and lead back to the case.

        Raises: NotFound, Conflict when the case is closed.
        """
        form = form_of(await self._frame.identity.take_form(request), self._frame.clock.wall_s())
        view = await self._case(record, actor)
        read_answer(form)
        if form.faults:
            return await self.page(request, record, actor, paths, form, 400)
        for entry in form.entries:
            await self._frame.records.keep(view.id, entry, by=actor)
        if view.stage is Stage.ASKED:
            with suppress(Conflict):  # another answer came meanwhile; this one is kept beside it
                await self._frame.records.move(view.id, Stage.ANSWERED, by=actor)
        raise web.HTTPSeeOther(paths[0])

    async def _case(self, record: str, actor: Actor) -> RecordView:
        view = await self._frame.records.view(record, by=actor) if is_uuid(record) else None
        if view is None or (not view.urgency and view.stage not in {Stage.ASKED, Stage.ANSWERED}):
            raise NotFound
        return view

    async def _show(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        record = request.match_info["id"]
        return await self.page(request, record, seat.actor, _paths(record))

    async def _take(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        record = request.match_info["id"]
        return await self.take(request, record, seat.actor, _paths(record))


def _paths(record: str) -> tuple[str, str]:
    return f"/clinica/caso/{record}", f"/clinica/registro/{record}/archivos"


def _doctor(entries: Sequence[Entry]) -> str:
    found = [each for each in entries if each.by is Writer.DOCTOR and each.kind == "answer"]
    return str(found[-1].fields["doctor"]) if found else ""
