"""A prescription as it is printed in the village: on a sheet, or on the narrow paper of a receipt printer.

The code on it is the record's id and nothing else: it finds the record on this box, and tells nobody anything.
"""

import asyncio

from aiohttp import web

from gateway.errors import N_, NotFound
from gateway.portal.clinic_calls import qr_image
from gateway.portal.clinic_frame import RECORD_PATH, ClinicFrame, Seat
from gateway.portal.clinic_shown import last
from gateway.portal.credentials import Role

PAPERS = ("58", "80")  # millimetres; anything else is a sheet


class PrescriptionPage:
    """The last prescription of a record."""

    def __init__(self, frame: ClinicFrame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this page."""
        return [web.get(f"{RECORD_PATH}/{{id}}/receta", self._frame.behind(self._show, Role.NURSE))]

    async def _show(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        view = await self._frame.view(request, seat)
        entries = await self._frame.records.entries(view.id, by=seat.actor)
        written = next((each for each in reversed(entries) if each.kind == "prescription"), None)
        if written is None:
            raise NotFound(N_("There is no prescription in this record."), N_("It comes with the doctor's answer."))
        paper = request.query.get("papel", "")
        return self._frame.render(
            request,
            "prescription.html",
            record=view,
            patient=last(entries, "patient"),
            prescription=written.fields,
            at_wall_s=written.at_wall_s,
            again=last(entries, "follow-up"),
            paper=paper if paper in PAPERS else "",
            qr=await asyncio.to_thread(qr_image, view.id),
            path=f"{RECORD_PATH}/{view.id}",
        )
