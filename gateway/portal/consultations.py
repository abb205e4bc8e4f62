"""The call's page: go into a consultation by its link, in the village or, for the far parties, at the door.

A link's token is all that lets somebody in: the pages need no account, and what is wrong with a token is said by the
clinic's room. A consultation is its record; photos that are taken in it go into the record by the same link.
"""

from contextlib import suppress

from aiohttp import web

from gateway.clinic.records.entries import Writer
from gateway.clinic.records.views import Actor
from gateway.errors import NotAllowed, NotFound
from gateway.portal.clinic_doctors import DESK
from gateway.portal.clinic_forms import is_uuid
from gateway.portal.clinic_frame import PIN_PATH, RECORD_PATH, ClinicDesk
from gateway.portal.credentials import Role
from gateway.portal.identity import VISIT
from gateway.portal.pages import Pages
from gateway.portal.record_files import Opened, RecordFiles
from gateway.portal.view import Clinic, Place

SLOTS = 3  # others whom a page can show
_FAR = frozenset({"doctor", "interpreter", "guest"})
_NEAR = _FAR | {"nurse"}  # a camera has no page
_SEES_FILES = {"nurse": Writer.NURSE, "doctor": Writer.DOCTOR}


class ConsultationPages:
    """Go in."""

    def __init__(self, pages: Pages, clinic: Clinic | None, desk: ClinicDesk | None, files: RecordFiles | None) -> None:
        self._pages = pages
        self._clinic = clinic
        self._desk = desk
        self._files = files

    def routes(self) -> list[web.RouteDef]:
        """Return the village's side."""
        made = [web.get("/consulta/{token}", self._call), web.get("/consulta/{token}/ws", self._socket)]
        if self._files is not None:
            made += self._files.routes("/consulta/{token}", self._opens, is_far=False)
        return made

    def door_routes(self) -> list[web.RouteDef]:
        """Return the far parties' side."""
        made = [
            web.get("/consulta/{token}", self._call_far),
            web.get("/consulta/{token}/ws", self._socket_far),
            web.get("/consulta/{token}/enlace", self._check_link),
        ]
        if self._files is not None:
            made += self._files.routes("/consulta/{token}", self._opens_far, is_far=True)
        return made

    async def _call(self, request: web.Request) -> web.StreamResponse:
        return self._call_page(request, _NEAR, at_door=False)

    async def _call_far(self, request: web.Request) -> web.StreamResponse:
        response = self._call_page(request, _FAR, at_door=True)
        if self._desk is not None and isinstance(response.body, bytes | bytearray):
            with self._desk.far() as share:
                await share.take_up(len(response.body))
        return response

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        return await self._serve_socket(request, _NEAR, far=False)

    async def _socket_far(self, request: web.Request) -> web.StreamResponse:
        return await self._serve_socket(request, _FAR, far=True)

    async def _check_link(self, request: web.Request) -> web.StreamResponse:
        self._place(request, _FAR)
        return await self._demand_clinic().check_link(request, request.match_info["token"])

    async def _serve_socket(self, request: web.Request, roles: frozenset[str], *, far: bool) -> web.StreamResponse:
        with suppress(NotAllowed):  # the room itself answers a link that is not valid, or not any more
            self._place(request, roles)
        return await self._demand_clinic().serve_socket(request, request.match_info["token"], far)

    async def _opens(self, request: web.Request) -> Opened:
        return self._opened(request, _NEAR)

    async def _opens_far(self, request: web.Request) -> Opened:
        return self._opened(request, _FAR)

    def _opened(self, request: web.Request, roles: frozenset[str]) -> Opened:
        """Open a record's files to the nurse and the doctor of its call, and to nobody else who is in it.

        Raises: NotFound, NotAllowed.
        """
        place = self._place(request, roles)
        writer = _SEES_FILES.get(place.role)
        if writer is None:
            raise NotAllowed
        if not is_uuid(place.consultation):
            raise NotFound
        return Opened(place.consultation, Actor(writer, place.role))

    def _call_page(self, request: web.Request, roles: frozenset[str], *, at_door: bool) -> web.Response:
        place = self._place(request, roles)
        token, record, desk = request.match_info["token"], place.consultation, self._desk
        has_record = desk is not None and is_uuid(record)
        is_nurse = has_record and place.role == "nurse" and request[VISIT].role is Role.NURSE
        return self._pages.render(
            request,
            "call.html",
            is_call=True,
            token=token,
            role=place.role,
            at_door=at_door,
            slots=SLOTS,
            may_record=has_record and desk is not None and desk.may_record,
            ice_servers=list(desk.ice_servers()) if desk is not None and at_door else [],
            files_url=f"/consulta/{token}/archivos" if has_record else "",
            case_url=f"{RECORD_PATH}/{record}/caso" if is_nurse else "",
            unlock_url=f"{PIN_PATH}/abrir" if is_nurse else "",
            idle_lock_s=int(desk.idle_lock_s) if desk is not None and is_nurse else 0,
        )

    def _place(self, request: web.Request, roles: frozenset[str]) -> Place:
        place = self._demand_clinic().read(request.match_info["token"])
        if place.role not in roles or place.consultation.startswith(DESK):
            raise NotFound
        return place

    def _demand_clinic(self) -> Clinic:
        if self._clinic is None:
            raise NotFound
        return self._clinic
