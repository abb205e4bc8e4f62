"""The clinic's pages: open a consultation, and go into it; the far party sees one page of them, at the door.

A link's token is all that lets somebody in: the pages need no account, and what is wrong with a token is said by the
clinic's room. The door serves the doctor's links alone.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

from gateway.backhaul.sharing.admission import Admission
from gateway.errors import NotAllowed, NotFound
from gateway.portal.credentials import Role
from gateway.portal.identity import VISIT, Identity, demand_role
from gateway.portal.pages import Pages
from gateway.portal.view import Clinic, Invitations


@dataclass(frozen=True, slots=True)
class Links:
    """The two addresses of a consultation."""

    nurse: str
    doctor: str


class ConsultationPages:
    """Open, go in."""

    def __init__(
        self,
        pages: Pages,
        identity: Identity,
        clinic: Clinic | None,
        invite: Callable[[], Invitations] | None,
        admission: Callable[[], Admission],
        door_url: str,
        *,
        has_https: bool,
    ) -> None:
        self._pages = pages
        self._identity = identity
        self._clinic = clinic
        self._invite = invite
        self._admission = admission
        self._door_url = door_url.rstrip("/")
        self._has_https = has_https

    def routes(self) -> list[web.RouteDef]:
        """Return the village's side."""
        return [
            web.get("/clinica", self._show),
            web.post("/clinica", self._open),
            web.get("/consulta/{token}", self._call),
            web.get("/consulta/{token}/ws", self._socket),
        ]

    def door_routes(self) -> list[web.RouteDef]:
        """Return the far party's side."""
        return [web.get("/consulta/{token}", self._call_doctor), web.get("/consulta/{token}/ws", self._socket_doctor)]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        demand_role(request[VISIT], Role.NURSE, Role.TECHNICIAN)
        return self._page(request, None)

    async def _open(self, request: web.Request) -> web.StreamResponse:
        visit = request[VISIT]
        demand_role(visit, Role.NURSE, Role.TECHNICIAN)
        await self._identity.take_form(request)
        if self._clinic is None or self._invite is None:
            return self._page(request, None)
        made = self._invite()
        links = Links(
            nurse=f"{visit.scheme}://{visit.host}/consulta/{made.nurse}",
            doctor=f"{self._door_url}/consulta/{made.doctor}",
        )
        return self._page(request, links)

    def _page(self, request: web.Request, links: Links | None) -> web.Response:
        has_clinic = self._clinic is not None and self._invite is not None
        return self._pages.render(
            request,
            "consultations.html",
            links=links,
            has_clinic=has_clinic,
            has_https=self._has_https,
            admission=self._admission(),
        )

    async def _call(self, request: web.Request) -> web.StreamResponse:
        return self._call_page(request, None)

    async def _call_doctor(self, request: web.Request) -> web.StreamResponse:
        return self._call_page(request, "doctor")

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        return await self._demand_clinic().serve_socket(request, request.match_info["token"])

    async def _socket_doctor(self, request: web.Request) -> web.StreamResponse:
        with suppress(NotAllowed):  # the room itself answers a link that is not valid, or not any more
            self._place(request, "doctor")
        return await self._socket(request)

    def _call_page(self, request: web.Request, only: str | None) -> web.Response:
        token, role = self._place(request, only)
        return self._pages.render(request, "call.html", is_call=True, token=token, role=role, at_door=only is not None)

    def _place(self, request: web.Request, only: str | None) -> tuple[str, str]:
        token = request.match_info["token"]
        place = self._demand_clinic().read(token)
        if only is not None and place.role != only:
            raise NotFound
        return token, place.role

    def _demand_clinic(self) -> Clinic:
        if self._clinic is None:
            raise NotFound
        return self._clinic
