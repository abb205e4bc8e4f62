"""What a doctor far away may open at the door beside a call: one case by its link, and the page on which they wait.

The waiting page shows nothing of the village: that they can be reached, and when a nurse calls, the way in. Every body
waits for its turn on the link in the interactive class.
"""

from aiohttp import web

from gateway.clinic.records.entries import Writer
from gateway.clinic.records.views import Actor
from gateway.errors import NotFound
from gateway.portal.case_answer import CaseAnswers
from gateway.portal.clinic_doctors import ASKS_S, DESK
from gateway.portal.clinic_forms import is_uuid
from gateway.portal.clinic_frame import ClinicFrame, Handler
from gateway.portal.guards import guard
from gateway.portal.record_files import Opened, RecordFiles
from gateway.portal.view import Place

FAR_DOCTOR = Actor(Writer.DOCTOR, "doctor")


class CaseDoor:
    """A case, and a desk, at the door."""

    def __init__(self, frame: ClinicFrame, answers: CaseAnswers, files: RecordFiles) -> None:
        self._frame = frame
        self._answers = answers
        self._files = files

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the door."""
        return [
            web.get("/caso/{token}", self._paced(self._show)),
            web.post("/caso/{token}", self._paced(self._take)),
            web.get("/turno/{token}", self._paced(self._wait)),
            web.get("/turno/{token}/estado", self._paced(self._state)),
            *self._files.routes("/caso/{token}", self._opens, is_far=True),
        ]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        return await self._answers.page(request, self._record(request), FAR_DOCTOR, _paths(request))

    async def _take(self, request: web.Request) -> web.StreamResponse:
        return await self._answers.take(request, self._record(request), FAR_DOCTOR, _paths(request))

    async def _wait(self, request: web.Request) -> web.StreamResponse:
        desk = self._desk(request)
        doctor = self._frame.doctors.of_desk(desk)
        if doctor is None:
            raise NotFound
        self._frame.doctors.see(desk)
        record = self._frame.doctors.called(desk)
        token = self._frame.desk.sign(record, "doctor", self._frame.desk.link_s) if record else ""
        return self._frame.render(
            request,
            "clinic_waiting.html",
            locks=False,
            doctor=doctor,
            enter=f"/consulta/{token}" if token else "",
            asks_s=ASKS_S,
            state=f"{request.path}/estado",
        )

    async def _state(self, request: web.Request) -> web.StreamResponse:
        """Say whether somebody calls: 200, else 204."""
        desk = self._desk(request)
        if self._frame.doctors.of_desk(desk) is None:
            raise NotFound
        self._frame.doctors.see(desk)
        response = web.Response(status=200 if self._frame.doctors.called(desk) else 204)
        guard(response.headers)
        return response

    async def _opens(self, request: web.Request) -> Opened:
        return Opened(self._record(request), FAR_DOCTOR)

    def _record(self, request: web.Request) -> str:
        place = self._place(request)
        if not is_uuid(place.consultation):
            raise NotFound
        return place.consultation

    def _desk(self, request: web.Request) -> str:
        place = self._place(request)
        if not place.consultation.startswith(DESK):
            raise NotFound
        return place.consultation

    def _place(self, request: web.Request) -> Place:
        place = self._frame.desk.read(request.match_info["token"])
        if place.role != "doctor":
            raise NotFound
        return place

    def _paced(self, handler: Handler) -> Handler:
        async def paced(request: web.Request) -> web.StreamResponse:
            response = await handler(request)
            if isinstance(response, web.Response) and isinstance(response.body, bytes | bytearray) and response.body:
                with self._frame.desk.far() as share:
                    await share.take_up(len(response.body))
            return response

        return paced


def _paths(request: web.Request) -> tuple[str, str]:
    token = request.match_info["token"]
    return f"/caso/{token}", f"/caso/{token}/archivos"
